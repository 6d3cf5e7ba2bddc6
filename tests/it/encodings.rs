//! XML in other encodings: taken where libxml2 takes it, and sent as UTF-8.

use std::io::Write;
use std::process::{Command, Stdio};

use bktec_upload::finding::{Code, Finding};
use bktec_upload::format::Format;
use bktec_upload::scan::Scan;

use crate::corpus::{is_wellformed, scan_file};
use crate::delivery::only;
use crate::harness::{Options, folder, has_program, receiver, tool, upload};

/// What a program makes of its standard input, and whether it succeeds.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> (bool, Vec<u8>) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // A parser that finds an error reads no further.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.success(), output.stdout)
}

/// A text in another encoding, as glibc writes it.
fn iconv(encoding: &str, text: &str) -> Vec<u8> {
    let (is_written, bytes) = filter("iconv", &["-f", "UTF-8", "-t", encoding], text.as_bytes());
    assert!(is_written, "{encoding}: {text}");
    bytes
}

fn xmllint_takes(document: &[u8]) -> bool {
    filter("xmllint", &["--noout", "--nonet", "-"], document).0
}

fn scan(document: &[u8]) -> Scan {
    let files = folder(&[("a.xml", document)]);
    scan_file(&files.path().join("a.xml"), Format::Junit)
}

/// Offset, line and column.
fn place(finding: &Finding) -> (u64, u64, u64) {
    let place = finding.place.as_ref().unwrap();
    (place.offset, place.line, place.column)
}

#[test]
fn libxml2_agrees_on_documents_that_iconv_wrote() {
    if !has_program("iconv", &["--version"]) || !has_program("xmllint", &["--version"]) {
        return;
    }
    // Each with bytes that it does not have, if there are any.
    let cases: &[(&str, &str, &[u8])] = &[
        ("ISO-8859-1", "na\u{ef}ve \u{80}\u{9f}", b""),
        ("ISO-8859-2", "\u{17b}\u{f3}\u{142}w", b""),
        ("ISO-8859-5", "\u{43a}\u{438}\u{442}", b""),
        ("ISO-8859-7", "\u{3b3}\u{3ac}\u{3c4}\u{3b1}", b"\xD2"),
        ("ISO-8859-8", "\u{5d7}\u{5ea}\u{5d5}\u{5dc}", b"\xBF"),
        ("ISO-8859-9", "\u{11f}\u{131}\u{15f}\u{96}", b""),
        ("ISO-8859-11", "\u{e41}\u{e21}\u{e27}\u{85}", b"\xFC"),
        ("ISO-8859-15", "5 \u{20ac}", b""),
        ("windows-1250", "\u{17e}lu\u{165} \u{2026}", b"\x81"),
        ("windows-1251", "\u{43a}\u{43e}\u{442} \u{201e}", b"\x98"),
        ("windows-1252", "\u{20ac} \u{201c}x\u{201d}", b"\x81"),
        ("windows-1254", "\u{20ac} \u{15f}", b"\x8E"),
        ("windows-1257", "\u{17e}\u{2013}", b"\xA1"),
        ("KOI8-R", "\u{43a}\u{43e}\u{442} \u{2500}", b""),
        ("IBM866", "\u{43a}\u{43e}\u{442}", b""),
        ("Shift_JIS", "\u{8868}\u{ff76}", b"\x81\x20"),
        ("windows-31j", "\u{8868}\u{2460}", b"\xFD"),
        ("EUC-JP", "\u{732b}\u{ff76}\u{4e02}", b"\xFF"),
        ("ISO-2022-JP", "\u{732b} a \u{72ac}", b"\xFF"),
        ("GB2312", "\u{732b}", b"\xFF"),
        ("GBK", "\u{8c93}", b"\xFF"),
        ("GB18030", "\u{732b}\u{1f408}\u{e9}", b"\x81\x31\x20"),
        ("Big5", "\u{8c93}", b"\xFF"),
        ("EUC-KR", "\u{ace0}\u{c591}\u{c774}", b"\xFF"),
        ("UTF-16", "\u{732b}\u{1f408}\u{e9}", b"\0\xD8\0\0"),
        ("UTF-16LE", "\u{732b}\u{1f408}\u{e9}", b"\0\xDC"),
        ("UTF-16BE", "\u{732b}\u{1f408}\u{e9}", b"\xDC\0"),
    ];
    for &(encoding, text, malformed) in cases {
        let unit = if encoding.starts_with("UTF-16") { 2 } else { 1 };
        let document = format!(
            "<?xml version='1.0' encoding='{encoding}'?>\n<testsuite name='{text}'>\n\
             <testcase name='{text}' classname='{text}'/>\n<!-- {text} -->"
        );
        let start = iconv(encoding, &document);
        // A byte-order mark would be written again.
        let go_on =
            |text: &str| iconv(if encoding == "UTF-16" { "UTF-16LE" } else { encoding }, text);
        let end = go_on("<testcase name='t' classname='c'/>\n</testsuite>\n");
        let whole = [start.as_slice(), &end].concat();
        let scan_of = scan(&whole);
        assert!(xmllint_takes(&whole), "{encoding}");
        assert!(scan_of.findings.is_empty(), "{encoding}: {:?}", scan_of.findings);
        assert_eq!(scan_of.counts.results, 2, "{encoding}");

        // The same with an error behind the text, found where it is.
        let twice = go_on("<testcase classname='1' name='2' name='3'/>");
        let broken = [start.as_slice(), &twice, &end].concat();
        let found = scan(&broken);
        let column = go_on(&format!("<!-- {text} -->")).len() as u64;
        let at = "<testcase classname='1' name='2' ".len() as u64 * unit;
        let expected = (start.len() as u64 + at, 4, column + at + 1);
        assert!(!xmllint_takes(&broken), "{encoding}");
        assert_eq!(found.findings.listed()[0].code, Code::XmlDuplicateAttribute, "{encoding}");
        assert_eq!(place(&found.findings.listed()[0]), expected, "{encoding}");

        if malformed.is_empty() {
            continue;
        }
        let broken = [start.as_slice(), malformed, &end].concat();
        let found = scan(&broken);
        assert!(!xmllint_takes(&broken), "{encoding}");
        let first = &found.findings.listed()[0];
        assert_eq!(first.code, Code::XmlInvalidEncoding, "{encoding}");
        assert_eq!(place(first), (start.len() as u64, 4, column + 1), "{encoding}");
        assert!(first.message.starts_with("byte"), "{}", first.message);
    }
}

/// What a document's bytes are in: UTF-16 with and without a byte-order mark, UTF-8 with one, and
/// Latin-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Utf16Le,
    Utf16Be,
    MarkedUtf16Le,
    MarkedUtf16Be,
    Utf32Le,
    MarkedUtf32Be,
    Ebcdic,
    Utf8,
    MarkedUtf8,
    Latin1,
}

impl In {
    fn write(self, text: &str) -> Vec<u8> {
        let marked = format!("\u{feff}{text}");
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
        };
        match self {
            Self::Utf16Le => utf_16(text, u16::to_le_bytes),
            Self::Utf16Be => utf_16(text, u16::to_be_bytes),
            Self::MarkedUtf16Le => utf_16(&marked, u16::to_le_bytes),
            Self::MarkedUtf16Be => utf_16(&marked, u16::to_be_bytes),
            Self::Utf32Le => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            Self::MarkedUtf32Be => {
                marked.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()
            }
            Self::Ebcdic => iconv("CP037", text),
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::MarkedUtf8 => marked.into_bytes(),
            Self::Latin1 => text.chars().map(|c| u8::try_from(c).unwrap()).collect(),
        }
    }
}

/// Each row with what `xmllint --noout` says, version 2.9.14.
#[test]
fn a_declaration_that_contradicts_the_bytes_is_an_error_where_it_is_one_for_libxml2() {
    use In::*;
    let in_16 = [
        (None, true),
        (Some(""), true),
        (Some("UTF-16"), true),
        (Some("utf16"), true),
        (Some("UTF-8"), true),
        (Some("ISO-8859-1"), false),
        (Some("US-ASCII"), false),
        (Some("Shift_JIS"), false),
        (Some("windows-1252"), false),
        (Some("UTF-32"), false),
        (Some("bogus"), false),
    ];
    let in_8 = [
        (None, true),
        (Some(""), true),
        (Some("UTF-8"), true),
        (Some("utf8"), true),
        (Some("ISO-8859-1"), true),
        (Some("windows-1252"), true),
        (Some("US-ASCII"), false),
        (Some("UTF-16"), false),
        (Some("utf16"), false),
        (Some("UTF-16LE"), false),
        (Some("UTF-16BE"), false),
        (Some("UCS-2"), false),
        (Some("UTF-32"), false),
        (Some("bogus"), false),
    ];
    let in_latin1 = [(None, false), (Some("UTF-8"), false), (Some("latin1"), true)];
    let mut rows: Vec<(In, Option<&str>, bool)> = Vec::new();
    for form in [Utf16Le, Utf16Be, MarkedUtf16Le, MarkedUtf16Be] {
        // Without either, nothing says that it is XML in UTF-16.
        let is_marked = matches!(form, MarkedUtf16Le | MarkedUtf16Be);
        rows.extend(
            in_16.map(|(label, taken)| (form, label, taken && (is_marked || label.is_some()))),
        );
        let is_little = matches!(form, Utf16Le | MarkedUtf16Le);
        rows.extend([(form, Some("UTF-16LE"), is_little), (form, Some("utf-16be"), !is_little)]);
    }
    for form in [Utf8, MarkedUtf8] {
        rows.extend(in_8.map(|(label, taken)| (form, label, taken)));
    }
    rows.extend(in_latin1.map(|(label, taken)| (Latin1, label, taken)));
    for form in [Utf32Le, MarkedUtf32Be] {
        rows.extend([None, Some(""), Some("UTF-32")].map(|label| (form, label, false)));
    }
    if has_program("iconv", &["--version"]) {
        rows.push((Ebcdic, Some("UTF-8"), false));
    }
    let xmllint = has_program("xmllint", &["--version"]);
    for (form, label, taken) in rows {
        let declaration = label.map(|label| match label {
            "" => "<?xml version='1.0'?>\n".to_owned(),
            _ => format!("<?xml version='1.0' encoding='{label}'?>\n"),
        });
        let document = format!(
            "{}<testsuite name='\u{e9}'><testcase name='t' classname='c'/></testsuite>\n",
            declaration.unwrap_or_default()
        );
        let document = form.write(&document);
        let scan = scan(&document);
        assert_eq!(is_wellformed(&scan), taken, "{form:?} {label:?}: {:?}", scan.findings);
        assert_eq!(scan.counts.results, u64::from(taken), "{form:?} {label:?}");
        assert!(!xmllint || xmllint_takes(&document) == taken, "{form:?} {label:?}");
    }
}

#[test]
fn what_is_not_read_says_so() {
    let message = |document: &[u8]| {
        let finding = scan(document).findings.listed()[0].clone();
        (finding.code, finding.message)
    };
    let undeclared: Vec<u8> = "<a/>".bytes().flat_map(|byte| [byte, 0]).collect();
    for (document, code, expected) in [
        (&In::Utf32Le.write("<a/>")[..], Code::XmlUnsupportedEncoding, "the file is in UTF-32"),
        (b"\x4C\x6F\xA7\x94", Code::XmlUnsupportedEncoding, "the file is in EBCDIC"),
        (&undeclared, Code::XmlInvalidEncoding, "the file is in UTF-16 without a"),
        (
            &In::MarkedUtf16Be.write("<?xml version='1.0' encoding='koi8-r'?><a/>"),
            Code::XmlInvalidEncoding,
            "the file is in UTF-16, and its declaration does not say so",
        ),
        (
            b"<?xml version='1.0' encoding='utf-16'?><a/>",
            Code::XmlInvalidEncoding,
            "the declaration says utf-16, the bytes do not",
        ),
        (
            b"<?xml version='1.0' encoding='utf-7'?><a/>",
            Code::XmlUnsupportedEncoding,
            "the encoding utf-7 is not read",
        ),
    ] {
        let (found, message) = message(document);
        assert!(found == code && message.starts_with(expected), "{found:?} {message}");
    }
}

#[test]
fn malformed_bytes_are_all_counted_and_some_listed() {
    let text = "<?xml version='1.0' encoding='cp1252'?>\n<testsuite>\n\u{e9}\u{81}";
    let document = [In::Latin1.write(text), b"\xE9\x90\n".repeat(49)].concat();
    let findings = scan(&document).findings;
    assert_eq!(findings.counts()[&Code::XmlInvalidEncoding], 50);
    let listed = findings.listed().iter().filter(|one| one.code == Code::XmlInvalidEncoding);
    let offsets: Vec<_> = listed.map(|finding| place(finding).0).collect();
    let first = text.chars().count() as u64 - 1;
    let expected = [first].into_iter().chain((0..19).map(|n| first + 2 + 3 * n));
    assert_eq!(offsets, expected.collect::<Vec<_>>());
}

const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n<testsuite name=\"\u{e9}\">\r\n\
    <testcase name=\"\u{1f408}\" classname=\"c\"/>\r\n<testcase name=\"b\" classname=\"c\"/>\r\n\
    <testcase name=\"c\" classname=\"c\"><failure>\u{2717}</failure></testcase>\r\n</testsuite>\r\n";

#[tokio::test]
async fn a_file_in_utf_16_arrives_as_utf_8() {
    let original = In::MarkedUtf16Le.write(DOCUMENT);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&original).unwrap();
    let files = folder(&[
        ("a.xml", &original),
        ("b.xml.gz", &gzip.finish().unwrap()),
        ("c", &In::Utf16Be.write(DOCUMENT)),
    ]);
    let expected = DOCUMENT.replace("UTF-16", "UTF-8");
    for (name, encoding) in [("a.xml", "UTF-16LE"), ("b.xml.gz", "UTF-16LE"), ("c", "UTF-16BE")] {
        let receiver = receiver(Options { keep_bodies: true, ..Options::default() }).await;
        let run = upload(&receiver, [name, "--report=json", "-v"]).within(files.path());
        let ran = run.run().await.expect(0).tells(&format!("{name}: transcoded from {encoding}"));
        let report = ran.report();
        assert_eq!(report["files"][0]["encoding"], encoding);
        assert_eq!(report["files"][0]["bytes"], expected.len());
        assert_eq!(
            (&report["totals"]["results"], &report["totals"]["failures"]),
            (&3.into(), &1.into())
        );
        let received = only(&receiver);
        assert_eq!((received.results, received.problems), (Some(3), Vec::new()));
        let body = received.data.unwrap().body.unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
    // Cut and packed it is UTF-8 too.
    let receiver = receiver(Options::default()).await;
    let run = upload(&receiver, ["a.xml", "c", "--max-results=2"]).within(files.path());
    run.run().await.expect(0).says("queued 6 of 6 results");
}

#[tokio::test]
async fn a_finding_has_its_place_in_the_original() {
    let text = DOCUMENT
        .replace("</testsuite>", "<testcase classname='c' name='d' name='\u{e9}'/>\r\n</suite>");
    let before = |mark: &str| {
        let (before, _) = text.split_once(mark).unwrap();
        before.encode_utf16().count() * 2 + 2
    };
    let duplicate = before(" name='\u{e9}'") + 2;
    let files = folder(&[("a.xml", &In::MarkedUtf16Be.write(&text))]);
    let run = tool(["a.xml", "--validate-only", "--report=json"]).within(files.path());
    let report = run.run().await.expect(10).report();
    let findings = &report["files"][0]["findings"];
    assert_eq!(findings[0]["code"], "xml-duplicate-attribute");
    assert_eq!((&findings[0]["offset"], &findings[0]["line"]), (&duplicate.into(), &6.into()));
    assert_eq!(findings[0]["column"], "<testcase classname='c' name='d' ".len() * 2 + 1);
    assert_eq!(findings[1]["code"], "xml-mismatched-tag");
    assert_eq!(findings[1]["offset"], before("</suite>"));
    let suite = before("<testsuite");
    let message = format!("</suite> where <testsuite> is open, since byte {suite}");
    assert_eq!(findings[1]["message"], message);

    let latin1 =
        "<?xml version='1.0' encoding='iso-8859-7'?>\n<testsuite name='\u{d2}\u{ff}\u{e1}'/>";
    let files = folder(&[("a.xml", &In::Latin1.write(latin1))]);
    let run = tool(["a.xml", "--validate-only"]).within(files.path()).run().await.expect(10);
    run.says("a.xml (junit from ISO-8859-7, ")
        .says("a.xml:2:18: error: byte 0xD2 is not ISO-8859-7 here [xml-invalid-encoding]")
        .says("a.xml:2:19: error: byte 0xFF is not ISO-8859-7 here")
        .says("help: write the file as UTF-8, or have its declaration name");
}
