//! Mending the characters of a document: a filter that copies it, with others in the place of those
//! that must not be there.
//!
//! Bytes that are not UTF-8, characters that XML forbids, and references to these become U+FFFD; an
//! `&` that begins no reference becomes `&amp;`. What tells text from markup is all that the filter
//! knows of XML: in comments, CDATA sections and instructions an `&` is an `&`.
//!
//! Lines stay lines, as no line feed is ever replaced.

use std::collections::VecDeque;
use std::io::{self, Read};

use memchr::{memchr, memchr2, memmem};

use super::markup::{self, DoctypeParser, MAX_REFERENCE};
use super::window::{Charset, IllegalKind, Window};
use crate::finding::{Code, Findings, LISTED_PER_CODE, Place};
use crate::format::Format;

/// What is mended of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Bytes that are not UTF-8.
    Json,
    /// Also characters, references and ampersands.
    Xml {
        /// `&nbsp;` is text: no DOCTYPE may define it.
        with_entities: bool,
    },
}

impl Rules {
    /// Those for a document of a format with these findings.
    #[must_use]
    pub fn of(format: Format, findings: &Findings) -> Self {
        match format {
            Format::Junit => {
                let with_entities = findings.counts().contains_key(&Code::XmlUndefinedEntity);
                Self::Xml { with_entities }
            }
            _ => Self::Json,
        }
    }
}

/// What was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// A byte that is not UTF-8.
    Byte,
    /// A character that XML forbids.
    Character,
    /// A reference to such a character.
    Reference,
    /// An `&` that begins no reference.
    Ampersand,
}

/// An account of what was replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replaced {
    pub bytes: u64,
    pub characters: u64,
    pub references: u64,
    pub ampersands: u64,
    /// The first of them, and where they stood.
    #[serde(skip)]
    pub listed: Vec<(Fault, Place)>,
}

impl Replaced {
    /// How many there are in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.bytes + self.characters + self.references + self.ampersands
    }

    fn add(&mut self, fault: Fault, place: impl FnOnce() -> Place) {
        if self.total() < LISTED_PER_CODE {
            self.listed.push((fault, place()));
        }
        *match fault {
            Fault::Byte => &mut self.bytes,
            Fault::Character => &mut self.characters,
            Fault::Reference => &mut self.references,
            Fault::Ampersand => &mut self.ampersands,
        } += 1;
    }
}

/// Where in a document the filter is.
#[derive(Debug)]
enum Within {
    /// Where nothing but bytes is looked at.
    Json,
    /// Text and tags: a reference is one in both.
    Content,
    /// What only this ends.
    Until(&'static [u8]),
    Doctype(DoctypeParser),
}

/// A document, read as what it is when it is mended; see the module.
#[derive(Debug)]
pub struct Mender<R> {
    window: Window<R>,
    rules: Rules,
    within: Within,
    /// What is mended and was not read yet.
    mended: VecDeque<u8>,
    /// How many bytes were mended.
    length: u64,
    /// Replacements are accounted for up to this many of them.
    until: u64,
    replaced: Replaced,
    /// Where `until` is in the document.
    place: Option<Place>,
}

impl<R: Read> Mender<R> {
    /// Mends `source`, and accounts for what is replaced in the first `until` bytes that come out.
    pub fn new(source: R, rules: Rules, until: u64) -> Self {
        let (charset, within) = match rules {
            Rules::Json => (Charset::Unicode, Within::Json),
            Rules::Xml { .. } => (Charset::Xml, Within::Content),
        };
        Self {
            window: Window::new(source, charset),
            rules,
            within,
            mended: VecDeque::new(),
            length: 0,
            until,
            replaced: Replaced::default(),
            place: None,
        }
    }

    /// The account, and where in the source it ends, if the source is that long.
    pub fn into_account(self) -> (Replaced, Option<Place>) {
        (self.replaced, self.place)
    }

    /// Mends some more; `false` at the end.
    fn step(&mut self) -> io::Result<bool> {
        self.window.require(MAX_REFERENCE)?;
        let bytes = self.window.bytes();
        let length = bytes.len();
        match &mut self.within {
            Within::Json => self.copy(length),
            Within::Content => match (memchr2(b'<', b'&', bytes), bytes.first()) {
                (Some(0), Some(b'&')) => self.reference(),
                (Some(0), _) => self.markup(),
                (at, _) => self.copy(at.unwrap_or(length)),
            },
            Within::Until(end) => {
                let found = memmem::find(bytes, end).map(|at| at + end.len());
                // The end may have begun.
                let kept = if self.window.at_eof() { 0 } else { end.len() - 1 };
                self.copy(found.unwrap_or(length.saturating_sub(kept)));
                if found.is_some() {
                    self.within = Within::Content;
                }
            }
            Within::Doctype(parser) => {
                let found = parser.feed(bytes).map(|at| at + 1);
                self.copy(found.unwrap_or(length));
                if found.is_some() {
                    self.within = Within::Content;
                }
            }
        }
        Ok(length > 0)
    }

    /// Takes the `&` at hand, with its reference where that is replaced.
    fn reference(&mut self) {
        let bytes = self.window.bytes();
        let with_entities = self.rules == Rules::Xml { with_entities: true };
        match markup::check_reference(bytes, 0).map_err(|fault| fault.code) {
            // The `;` is looked for only where there is one: text may have an `&` at every byte.
            Err(Code::XmlIllegalReference) => {
                let length = memchr(b';', bytes).map_or(1, |end| end + 1);
                self.replace(Fault::Reference, length);
            }
            Err(Code::XmlUndefinedEntity) if !with_entities => self.copy(1),
            Err(_) => self.replace(Fault::Ampersand, 1),
            Ok(()) => self.copy(1),
        }
    }

    /// Takes the `<` at hand, and enters what it begins.
    fn markup(&mut self) {
        let known: [(&[u8], Within); 4] = [
            (b"<!--", Within::Until(b"-->")),
            (b"<![CDATA[", Within::Until(b"]]>")),
            (b"<?", Within::Until(b"?>")),
            (b"<!DOCTYPE", Within::Doctype(DoctypeParser::default())),
        ];
        let bytes = self.window.bytes();
        match known.into_iter().find(|(start, _)| bytes.starts_with(start)) {
            Some((start, within)) => {
                self.copy(start.len());
                self.within = within;
            }
            None => self.copy(1),
        }
    }

    /// Takes so many bytes as they are, but for the characters that must not be there.
    fn copy(&mut self, count: usize) {
        let end = self.window.offset() + count as u64;
        while let Some(illegal) = self.window.next_illegal(end) {
            self.pass(illegal.offset);
            match illegal.kind {
                IllegalKind::NotUtf8(_) => self.replace(Fault::Byte, 1),
                IllegalKind::Forbidden(character) | IllegalKind::NotAscii(character) => {
                    self.replace(Fault::Character, character.len_utf8());
                }
            }
        }
        self.pass(end);
    }

    /// Takes all up to `end` as it is.
    fn pass(&mut self, end: u64) {
        let start = self.window.offset();
        // A character that was replaced may end behind `end`.
        let count = end.saturating_sub(start);
        let ahead = self.until.saturating_sub(self.length);
        if self.length <= self.until && ahead <= count {
            self.place.get_or_insert_with(|| self.window.place(start + ahead, String::new()));
        }
        self.length += count;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.mended.extend(self.window.bytes().get(..count).unwrap_or_default());
        self.window.take(count);
    }

    /// Takes so many bytes and puts what stands for them in their place.
    fn replace(&mut self, fault: Fault, count: usize) {
        if self.length < self.until {
            let window = &self.window;
            self.replaced.add(fault, || window.place(window.offset(), String::new()));
        }
        let by = if fault == Fault::Ampersand { "&amp;" } else { "\u{FFFD}" };
        self.mended.extend(by.as_bytes());
        self.length += by.len() as u64;
        self.window.take(count);
    }
}

impl<R: Read> Read for Mender<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.mended.len() < buffer.len() && self.step()? {}
        self.mended.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: Rules = Rules::Xml { with_entities: true };

    /// Gives so many bytes at a time.
    struct Steps<'a>(&'a [u8], usize);

    impl Read for Steps<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn mended(text: &[u8], rules: Rules, until: u64) -> (Vec<u8>, Replaced, Option<Place>) {
        let mend = |step| {
            let mut mender = Mender::new(Steps(text, step), rules, until);
            let mut mended = Vec::new();
            mender.read_to_end(&mut mended).unwrap();
            let (replaced, place) = mender.into_account();
            (mended, replaced, place)
        };
        let whole = mend(usize::MAX);
        for step in 1..12 {
            assert_eq!(mend(step), whole, "step {step}");
        }
        whole
    }

    #[test]
    fn replaces_what_must_not_be_there_and_nothing_else() {
        let cases: &[(&[u8], &str)] = &[
            (
                b"<a b='&#27;&#x41;&#x1B;'>\x1b[0m&amp;&#0;</a>",
                "<a b='\u{FFFD}&#x41;\u{FFFD}'>\u{FFFD}[0m&amp;\u{FFFD}</a>",
            ),
            (
                b"<a>\xff\xc3\xa9\xe9t\xc3</a>\xf0\x9f",
                "<a>\u{FFFD}é\u{FFFD}t\u{FFFD}</a>\u{FFFD}\u{FFFD}",
            ),
            ("<a>\u{FFFE}\u{FFFD}</a>".as_bytes(), "<a>\u{FFFD}\u{FFFD}</a>"),
            (
                b"<a b='x&y'>a & b &nbsp; &lt;&;&",
                "<a b='x&amp;y'>a &amp; b &amp;nbsp; &lt;&amp;;&amp;",
            ),
            (b"<![CDATA[&#27;&\x01]]>&#27;", "<![CDATA[&#27;&\u{FFFD}]]>\u{FFFD}"),
            (b"<!-- &#27;&\x01 --->&#27;-->", "<!-- &#27;&\u{FFFD} --->\u{FFFD}-->"),
            (b"<?a &#27;& > \x01?>&#27;", "<?a &#27;& > \u{FFFD}?>\u{FFFD}"),
            (b"<!DOCTYPE a SYSTEM 'x?>&y'><a>&</a>", "<!DOCTYPE a SYSTEM 'x?>&y'><a>&amp;</a>"),
            (b"<a/><!-", "<a/><!-"),
            (b"", ""),
        ];
        for (text, expected) in cases {
            let (mended, ..) = mended(text, XML, u64::MAX);
            assert_eq!(String::from_utf8(mended).unwrap(), *expected);
        }
        let json = b"[\"\xff\", \"\x01&#27;&\"]";
        assert_eq!(
            mended(json, Rules::Json, u64::MAX).0,
            "[\"\u{FFFD}\", \"\x01&#27;&\"]".as_bytes()
        );
        let external = Rules::Xml { with_entities: false };
        assert_eq!(mended(b"<a>&x; & </a>", external, u64::MAX).0, b"<a>&x; &amp; </a>");
    }

    #[test]
    fn accounts_for_what_it_replaced_up_to_a_place() {
        let text = b"<a>\n\x01 &\n&#1;\xff</a>\n\x02";
        let (_, replaced, place) = mended(text, XML, u64::MAX);
        assert_eq!(place, None);
        assert_eq!((replaced.bytes, replaced.characters), (1, 2));
        assert_eq!((replaced.references, replaced.ampersands, replaced.total()), (1, 1, 5));
        let places =
            replaced.listed.iter().map(|(fault, at)| (*fault, at.offset, at.line, at.column));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [
                (Fault::Character, 4, 2, 1),
                (Fault::Ampersand, 6, 2, 3),
                (Fault::Reference, 8, 3, 1),
                (Fault::Byte, 12, 3, 5),
                (Fault::Character, 18, 4, 1),
            ]
        );
        // Behind `</a>`: 17 bytes of the text, 4 more with an ampersand, 2 for each other but `&#1;`.
        let (_, replaced, place) = mended(text, XML, 17 + 2 + 4 - 1 + 2);
        assert_eq!(replaced.total(), 4);
        let place = place.unwrap();
        assert_eq!((place.offset, place.line, place.column), (17, 3, 10));
    }

    #[test]
    fn lists_the_first_and_counts_all_in_long_texts_too() {
        let text = [b"<a>".as_slice(), &b"x\x1b".repeat(300_000), b"</a>"].concat();
        let mut mender = Mender::new(text.as_slice(), XML, u64::MAX);
        let length = io::copy(&mut mender, &mut io::sink()).unwrap();
        assert_eq!(length, 7 + 300_000 * 4);
        let (replaced, _) = mender.into_account();
        assert_eq!((replaced.characters, replaced.listed.len()), (300_000, 20));
    }
}
