//! Every rule of XML, with the document cut everywhere.

use super::*;
use crate::finding::LISTED_PER_CODE;
use crate::scan::window::WINDOW_SIZE;

/// Gives a few bytes at a time, so that everything is cut everywhere.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.1);
        self.0.read(&mut buffer[..count])
    }
}

struct Ignored;

impl Handler for Ignored {
    fn open(&mut self, _: &StartTag<'_>, _: &mut dyn Context) {}
    fn close(&mut self, _: ByteRange, _: &mut dyn Context) {}
    fn settle(&mut self, _: crate::scan::handler::MarkOf<'_>) {}
}

fn scan(text: &[u8], step: usize) -> Vec<(Code, u64)> {
    let mut findings = Findings::default();
    let window = Window::with_size(Slowly(text, step), Charset::Xml, 8);
    Lexer::over(window, &mut Ignored, &mut findings).run().unwrap();
    findings.sort();
    let place = |offset: u64| {
        let before = &text[..usize::try_from(offset).unwrap()];
        let line = 1 + memchr::memchr_iter(b'\n', before).count() as u64;
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() as u64 + 1;
        (line, column)
    };
    let found = findings.listed().iter().map(|finding| {
        let at = finding.place.as_ref().unwrap();
        assert_eq!((at.line, at.column), place(at.offset), "{finding:?}");
        (finding.code, at.offset)
    });
    found.collect()
}

#[test]
fn every_rule_at_every_step() {
    use Code::*;
    type Case<'a> = (&'a str, &'a [(Code, u64)]);
    let cases: &[Case<'_>] = &[
        ("<a/>", &[]),
        (
            "\u{feff}<?xml version='1.0' encoding=\"utf-8\" standalone='no' ?>\n<a></a>\n<!-- e --><?p?>\n",
            &[],
        ),
        (
            "<a b='1' c = \"'>\" ><![CDATA[]]]]><![CDATA[>&<]]>&lt;&#x41;&#65;]]&gt;<?p ?>?><!----></a>",
            &[],
        ),
        ("<\u{e9}:l\u{e9} x\u{b7}y='\u{1f600}'>\u{fffd}</\u{e9}:l\u{e9}\n>", &[]),
        ("<a>]]]></a>", &[(XmlCdataEndInText, 4)]),
        ("<a>\n&</a>", &[(XmlBareAmpersand, 4)]),
        ("<a>&amp</a>", &[(XmlBareAmpersand, 3)]),
        (
            "<a>&nbsp;&#0;&#x110000;&#xD800;&#xFFFE;&#;</a>",
            &[
                (XmlUndefinedEntity, 3),
                (XmlIllegalReference, 9),
                (XmlIllegalReference, 13),
                (XmlIllegalReference, 23),
                (XmlIllegalReference, 31),
                (XmlBareAmpersand, 39),
            ],
        ),
        ("<a b='<' c='&x;'/>", &[(XmlLessThanInAttribute, 6), (XmlUndefinedEntity, 12)]),
        // A quote is missing: the first < that follows shows where.
        (
            "<a b='&>\n<c d='e&' f='<'>\n</c></a>",
            &[(XmlBareAmpersand, 6), (XmlLessThanInAttribute, 9), (XmlMalformedAttribute, 15)],
        ),
        (
            "<a b='&>\n<c/><c/>",
            &[(XmlBareAmpersand, 6), (XmlLessThanInAttribute, 9), (XmlTruncated, 17)],
        ),
        ("<a b='1' b='2'/>", &[(XmlDuplicateAttribute, 9)]),
        ("<a b='1'c='2'/>", &[(XmlMalformedAttribute, 8)]),
        ("<a b=1/>", &[(XmlMalformedAttribute, 5)]),
        ("<a b/>", &[(XmlMalformedAttribute, 4)]),
        ("<a b\n c='d'/>", &[(XmlMalformedAttribute, 4)]),
        ("<a 1='x'/>", &[(XmlBadName, 3)]),
        ("<a b@c='x'/>", &[(XmlBadName, 4)]),
        ("<1/>", &[(XmlBadName, 1)]),
        ("< a/>", &[(XmlMalformedTag, 1)]),
        ("<a / b='1'/>", &[(XmlMalformedTag, 3)]),
        ("<a></b>", &[(XmlMismatchedTag, 3)]),
        ("<a></a b>", &[(XmlMalformedTag, 7)]),
        ("<a></a\n<b></b", &[(XmlMalformedTag, 7)]),
        ("<a></b\n<c></c>", &[(XmlMismatchedTag, 3)]),
        ("<a></ a>", &[(XmlMismatchedTag, 3)]),
        ("</a>", &[(XmlMismatchedTag, 0)]),
        ("<a><!x></a>", &[(XmlMalformedTag, 3)]),
        ("<a><!-- \n-- x --></a>", &[(XmlMalformedComment, 9)]),
        ("<a><!-- --->\n</a>", &[(XmlMalformedComment, 8)]),
        ("<a><?xml version='1.0'?></a>", &[(XmlMisplacedDeclaration, 3)]),
        ("\n<?xml version='1.0'?><a/>", &[(XmlMisplacedDeclaration, 1)]),
        ("<a><?1?></a>", &[(XmlBadName, 5)]),
        ("<a><?1></a>", &[(XmlBadName, 5), (XmlTruncated, 11)]),
        ("<a><?xml a></a>", &[(XmlMisplacedDeclaration, 3)]),
        ("<?xml?><a/>", &[(XmlMisplacedDeclaration, 0)]),
        ("<?xml encoding='utf-8'?><a/>", &[(XmlMalformedDeclaration, 5)]),
        ("<?xml version='2.0'?><a/>", &[(XmlMalformedDeclaration, 15)]),
        ("<?xml version='1.'?><a/>", &[]),
        ("<?xml version='1.0'><a/>", &[(XmlMalformedDeclaration, 19)]),
        ("<?xml version='1.0 encoding='a'\n><a/>", &[(XmlMalformedDeclaration, 15)]),
        ("<?xml version=\n><a/>", &[(XmlMalformedDeclaration, 14)]),
        ("<?xml version='1.0' encoding='ascii'?><a b='\u{e9}'/>", &[(XmlInvalidUtf8, 44)]),
        ("<?xml version='1.0' encoding='koi8-r'?><a/>", &[(XmlUnsupportedEncoding, 30)]),
        ("<?xml version='1.0' encoding='UTF-16'?><a/>", &[(XmlInvalidEncoding, 30)]),
        ("<\0\0\0a", &[(XmlUnsupportedEncoding, 0)]),
        ("<\0a\0", &[(XmlInvalidEncoding, 0)]),
        ("<!DOCTYPE a><a/>", &[(XmlDoctype, 0)]),
        ("<!DOCTYPE a SYSTEM 'x>y' ><a>&x;</a>", &[(XmlDoctype, 0)]),
        ("<!DOCTYPE a PUBLIC '-//A//B' \"c\"><a/>", &[(XmlDoctype, 0)]),
        ("<!DOCTYPE a PUBLIC '{' 'c'><a/>", &[(XmlMalformedDoctype, 19)]),
        (
            "<?xml version='1.0' standalone='yes'?><!DOCTYPE a SYSTEM 'x'><a>&x;</a>",
            &[(XmlDoctype, 38), (XmlUndefinedEntity, 64)],
        ),
        ("<!DOCTYPE a [<!ENTITY e ']>'><!-- ]> -->]><a>&e;</a>", &[(XmlInternalSubset, 0)]),
        ("<!DOCTYPE a []><a>&e;</a>", &[(XmlDoctype, 0), (XmlUndefinedEntity, 18)]),
        ("<!DOCTYPE a SYSTEM 'x' [ \n] ><a>&e;</a>", &[(XmlDoctype, 0)]),
        ("<!DOCTYPE a [] x><a/>", &[(XmlMalformedDoctype, 15)]),
        ("<!DOCTYPE_a><a/>", &[(XmlDoctype, 0)]),
        ("<a/><!DOCTYPE a>", &[(XmlMalformedDoctype, 4)]),
        ("<!DOCTYPE><a/>", &[(XmlMalformedDoctype, 9)]),
        ("x<a/>", &[(XmlTextBeforeRoot, 0)]),
        ("<a/>\n x", &[(XmlContentAfterRoot, 6)]),
        ("<a/><b/>", &[(XmlContentAfterRoot, 4)]),
        ("<a/><![CDATA[]]>", &[(XmlContentAfterRoot, 4)]),
        ("", &[(InputEmpty, 0)]),
        (" \n", &[(XmlNoRoot, 2)]),
        ("<a>\u{1}\u{fffe}</a>", &[(XmlIllegalCharacter, 3), (XmlIllegalCharacter, 4)]),
    ];
    for (text, expected) in cases {
        for step in 1..=text.len().max(1) {
            assert_eq!(scan(text.as_bytes(), step), *expected, "{text:?} in steps of {step}");
        }
    }
}

#[test]
fn a_document_that_is_cut_anywhere_is_truncated_there() {
    let text = "<?xml version='1.0'?>\n<a b='1'><!-- c --><c>t</c ><![CDATA[d]]><?p i?>\n</a>";
    for end in 1..text.len() {
        let expected = match end {
            // Before the root there is nothing that could be cut off.
            21 | 22 => Code::XmlNoRoot,
            // What is not seen to be a declaration yet is another instruction.
            _ => Code::XmlTruncated,
        };
        for step in [1, 3, 100] {
            assert_eq!(
                scan(&text.as_bytes()[..end], step),
                [(expected, end as u64)],
                "{}",
                text.get(..end).unwrap()
            );
        }
    }
}

/// libxml2 takes any number of zeros, and names of 50,000 bytes.
#[test]
fn references_may_be_long() {
    let zeros = "0".repeat(2_000);
    assert_eq!(scan(format!("<a b='&#{zeros}65;'>&#x{zeros}41;</a>").as_bytes(), 1000), []);
    let name = "e".repeat(50_000);
    let text = format!("<a>{}&{name};</a>", "x".repeat(20_000));
    assert_eq!(scan(text.as_bytes(), 1000), [(Code::XmlUndefinedEntity, 20_003)]);
}

#[test]
fn ampersands_at_every_byte_take_linear_time() {
    let text = format!("<a b='{0}'>{0}</a>", "&".repeat(200_000));
    assert_eq!(scan(text.as_bytes(), WINDOW_SIZE).len() as u64, LISTED_PER_CODE);
}

/// Found by trying with xmllint: it refuses these unless it is given --huge.
#[test]
fn what_libxml2_takes_only_when_told_to_is_a_warning() {
    let most = ["x".repeat(9_999_999), "\n".to_owned()].concat();
    let text = format!("<a>{most}<b/>{most}\n<b/><![CDATA[{most}x]]></a>");
    let found = scan(text.as_bytes(), WINDOW_SIZE);
    let expected = [10_000_007, 20_000_021].map(|at| (Code::XmlHuge, at));
    assert_eq!(found, expected);
    for (depth, expected) in
        [(257, &[][..]), (258, &[(Code::XmlHuge, 771)]), (259, &[(Code::XmlHuge, 771)])]
    {
        let text = ["<a>".repeat(depth), "</a>".repeat(depth)].concat();
        assert_eq!(scan(text.as_bytes(), 100), expected, "{depth}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_named_one_by_one() {
    let text = b"<a b='\xff'>\xe9\xc3\x28</a>";
    let expected = [6, 9, 10].map(|offset| (Code::XmlInvalidUtf8, offset));
    for step in 1..text.len() {
        assert_eq!(scan(text, step), expected);
    }
}
