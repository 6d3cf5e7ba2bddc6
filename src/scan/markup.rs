//! The grammar of XML 1.0 within one piece of markup: pure functions over bytes in memory.
//!
//! Numbers in brackets are productions of the XML 1.0 recommendation, fifth edition.

mod doctype;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use memchr::{memchr, memchr2, memchr3, memrchr};

use super::window::is_xml_character;
use crate::finding::{Code, LISTED_PER_CODE};
pub use doctype::{DoctypeParser, check_doctype};

/// The most attributes in one tag, so that their list stays small whatever the tag.
pub const MAX_ATTRIBUTES: usize = 65_536;

/// The longest entity or character reference that is held: libxml2 takes names of 50,000 bytes.
pub const MAX_REFERENCE: usize = 50_002;

/// Up to this many attributes are compared pairwise, which is quickest for few.
const PAIRWISE: usize = 16;

/// What is wrong in a piece of markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    /// Bytes from the start of the piece.
    pub at: usize,
    pub message: Cow<'static, str>,
}

impl Fault {
    pub fn new(code: Code, at: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, at, message: message.into() }
    }
}

/// Where one attribute's name and value are in its tag.
#[derive(Debug, Clone)]
pub struct Attribute {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// The attributes of a tag and the faults that leave its structure clear; reused for every tag.
#[derive(Debug, Default)]
pub struct Spans {
    pub list: Vec<Attribute>,
    /// The first of each code.
    pub faults: Vec<Fault>,
    /// How many more there are of each: a tag may have millions.
    pub unlisted: HashMap<Code, u64>,
    /// A bit for each length and first letter that a name has, and whether two names share one:
    /// those of most tags do not, and need no comparison.
    signatures: u64,
    may_repeat: bool,
}

impl Spans {
    fn clear(&mut self) {
        self.list.clear();
        self.faults.clear();
        self.unlisted.clear();
        self.signatures = 0;
        self.may_repeat = false;
    }

    fn add(&mut self, attribute: Attribute, first_letter: u8) {
        let signature = usize::from(first_letter) * 5 + attribute.name.len();
        let bit = 1 << (signature % 64);
        self.may_repeat |= self.signatures & bit != 0;
        self.signatures |= bit;
        self.list.push(attribute);
    }

    fn fault(&mut self, fault: Fault) {
        let listed = self.faults.iter().filter(|listed| listed.code == fault.code).count();
        if listed as u64 >= LISTED_PER_CODE {
            *self.unlisted.entry(fault.code).or_default() += 1;
        } else {
            self.faults.push(fault);
        }
    }
}

/// A start tag that keeps the grammar.
#[derive(Debug, Clone, Copy)]
pub struct CheckedTag {
    /// The name is the first bytes of the tag, this many.
    pub name_length: usize,
    /// How many bytes it has behind its `<`, with its `>`.
    pub length: usize,
    /// `<name/>`
    pub is_empty_element: bool,
}

/// Whether the byte is white space in XML \[3\].
#[inline]
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Checks a start or empty-element tag \[40, 44\], given from behind its `<`; what follows it is left.
///
/// `None` where the bytes end within the tag.
///
/// # Errors
/// A fault after which the rest of the tag cannot be understood. Others are left in `spans`.
pub fn check_start_tag(bytes: &[u8], spans: &mut Spans) -> Result<Option<CheckedTag>, Fault> {
    spans.clear();
    let name_length = name_length(bytes);
    if name_length == 0 && !bytes.is_empty() {
        return Err(bad_name(Code::XmlMalformedTag, bytes, 0, "a tag's name"));
    }
    let checked =
        |length, is_empty_element| Ok(Some(CheckedTag { name_length, length, is_empty_element }));
    let mut at = name_length;
    loop {
        let gap = space_length(bytes.get(at..).unwrap_or_default());
        at += gap;
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'>') => {
                check_unique(bytes, spans);
                return checked(at + 1, false);
            }
            Some(b'/') => match bytes.get(at + 1) {
                None => return Ok(None),
                Some(b'>') => {
                    check_unique(bytes, spans);
                    return checked(at + 2, true);
                }
                Some(_) => return Err(Fault::new(Code::XmlMalformedTag, at, "a / within a tag")),
            },
            Some(_) if gap == 0 && spans.list.is_empty() => {
                return Err(bad_name(Code::XmlMalformedTag, bytes, at, "a tag's name"));
            }
            Some(_) if gap == 0 => {
                let message = "no space before an attribute";
                return Err(Fault::new(Code::XmlMalformedAttribute, at, message));
            }
            Some(_) => match attribute(bytes, at, spans)? {
                Some(end) => at = end,
                None => return Ok(None),
            },
        }
    }
}

/// One attribute \[41\]; returns where it ends, or `None` where the bytes end within it.
fn attribute(bytes: &[u8], start: usize, spans: &mut Spans) -> Result<Option<usize>, Fault> {
    let from = |at: usize| bytes.get(at..).unwrap_or_default();
    let malformed =
        |at, message: &'static str| Fault::new(Code::XmlMalformedAttribute, at, message);
    let name = start..start + name_length(from(start));
    if name.is_empty() {
        return Err(bad_name(Code::XmlMalformedAttribute, bytes, start, "an attribute's name"));
    }
    let mut at = name.end + space_length(from(name.end));
    match bytes.get(at) {
        Some(b'=') => at += 1,
        None => return Ok(None),
        Some(byte) => {
            if at == name.end && !matches!(byte, b'/' | b'>') {
                return Err(bad_name(
                    Code::XmlMalformedAttribute,
                    bytes,
                    at,
                    "an attribute's name",
                ));
            }
            return Err(malformed(name.end, "an attribute without a value"));
        }
    }
    at += space_length(from(at));
    let quote = match bytes.get(at) {
        Some(&quote @ (b'"' | b'\'')) => quote,
        None => return Ok(None),
        _ => return Err(malformed(at, "an attribute's value without quotes")),
    };
    let value_start = at + 1;
    let Some(value_end) = value_end(bytes, value_start, quote, spans) else { return Ok(None) };
    if spans.list.len() == MAX_ATTRIBUTES {
        let message = format!("more than {MAX_ATTRIBUTES} attributes in one tag");
        return Err(Fault::new(Code::XmlTagTooLarge, start, message));
    }
    let first_letter = bytes.get(start).copied().unwrap_or(0);
    spans.add(Attribute { name, value: value_start..value_end }, first_letter);
    Ok(Some(value_end + 1))
}

/// Checks the value of an attribute \[10\], which has no `<`, and `&` only in references.
///
/// Returns where its closing quote is.
fn value_end(bytes: &[u8], start: usize, quote: u8, spans: &mut Spans) -> Option<usize> {
    let mut at = start;
    loop {
        at += memchr3(quote, b'<', b'&', bytes.get(at..)?)?;
        match bytes.get(at) {
            Some(b'<') => {
                spans.fault(Fault::new(
                    Code::XmlLessThanInAttribute,
                    at,
                    "< in an attribute's value",
                ));
            }
            Some(b'&') => {
                // One that reaches beyond the quote is none, as no name holds a quote.
                if let Err(fault) = check_reference(bytes.get(at..)?, at) {
                    spans.fault(fault);
                }
            }
            _ => return Some(at),
        }
        at += 1;
    }
}

/// No attribute twice (well-formedness constraint "Unique Att Spec").
fn check_unique(tag: &[u8], spans: &mut Spans) {
    let name = |attribute: &Attribute| tag.get(attribute.name.clone()).unwrap_or_default();
    if !spans.may_repeat {
        return;
    }
    let mut twice = None;
    if spans.list.len() <= PAIRWISE {
        for (index, attribute) in spans.list.iter().enumerate() {
            if spans.list.iter().take(index).any(|other| name(other) == name(attribute)) {
                twice = Some(attribute.name.start);
                break;
            }
        }
    } else {
        let mut seen = std::collections::HashSet::with_capacity(spans.list.len());
        twice =
            spans.list.iter().find(|attribute| !seen.insert(name(attribute))).map(|a| a.name.start);
    }
    if let Some(at) = twice {
        spans.fault(Fault::new(Code::XmlDuplicateAttribute, at, "an attribute twice in one tag"));
    }
}

/// Finds the next fault in text \[14\] from a place on.
pub fn next_text_fault(text: &[u8], from: usize) -> Option<Fault> {
    let mut at = from;
    loop {
        at += memchr2(b'&', b']', text.get(at..)?)?;
        let rest = text.get(at..)?;
        if rest.starts_with(b"]]>") {
            return Some(Fault::new(Code::XmlCdataEndInText, at, "]]> in text"));
        }
        if rest.starts_with(b"&")
            && let Err(fault) = check_reference(rest, at)
        {
            return Some(fault);
        }
        at += 1;
    }
}

/// How much of the end of `text` may be the beginning of a reference or of `]]>`.
pub fn unfinished_length(text: &[u8]) -> usize {
    let tail = text.get(text.len().saturating_sub(MAX_REFERENCE)..).unwrap_or_default();
    match memrchr(b'&', tail).and_then(|at| tail.get(at..)) {
        Some(reference) if memchr(b';', reference).is_none() => reference.len(),
        _ => text.iter().rev().take(2).take_while(|&&byte| byte == b']').count(),
    }
}

/// Checks the reference \[66, 68\] that `bytes` begin with; `at` is its place.
///
/// # Errors
/// Its fault: no reference, an entity that is not one of XML's five, or a character that XML forbids.
pub fn check_reference(bytes: &[u8], at: usize) -> Result<(), Fault> {
    let bare = || Fault::new(Code::XmlBareAmpersand, at, "& that begins no reference");
    let body = bytes.get(1..).unwrap_or_default();
    // Not a search for the `;`: that may be far, and text may have an `&` at every byte.
    let length = match body {
        [b'#', digits @ ..] => {
            1 + digits.iter().take_while(|digit| digit.is_ascii_alphanumeric()).count()
        }
        _ => name_length(body),
    };
    let (body, end) = body.split_at_checked(length).unwrap_or_default();
    if end.first() != Some(&b';') {
        return Err(bare());
    }
    match body {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => Ok(()),
        [b'#', digits @ ..] => {
            let (digits, radix) = match digits {
                [b'x', hex @ ..] => (hex, 16),
                _ => (digits, 10),
            };
            if digits.is_empty() || !digits.iter().all(|&digit| char::from(digit).is_digit(radix)) {
                return Err(bare());
            }
            let value = digits.iter().try_fold(0_u32, |value, &digit| {
                value.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?)
            });
            if value.and_then(char::from_u32).is_some_and(is_xml_character) {
                return Ok(());
            }
            let message = format!("&{}; is not a character of XML", shown(body));
            Err(Fault::new(Code::XmlIllegalReference, at, message))
        }
        [] => Err(bare()),
        _ => {
            let message = format!("the entity &{}; is not defined", shown(body));
            Err(Fault::new(Code::XmlUndefinedEntity, at, message))
        }
    }
}

/// Checks a processing instruction \[16\], given without its `<?` and `?>`.
pub fn check_instruction(content: &[u8]) -> Result<(), Fault> {
    let length = name_length(content);
    let target = content.get(..length).unwrap_or_default();
    if target.eq_ignore_ascii_case(b"xml") {
        let message = "an XML declaration that is not at the start of the document";
        return Err(Fault::new(Code::XmlMisplacedDeclaration, 0, message));
    }
    if length == 0 {
        return Err(bad_name(Code::XmlMalformedInstruction, content, 0, "an instruction's name"));
    }
    match content.get(length) {
        None => Ok(()),
        Some(&byte) if is_space(byte) => Ok(()),
        Some(_) => {
            Err(bad_name(Code::XmlMalformedInstruction, content, length, "an instruction's name"))
        }
    }
}

/// Checks an XML declaration \[23\], given without its `<?xml` and `?>`.
///
/// # Errors
/// A fault in its grammar, or an encoding that is not UTF-8 or ASCII.
pub fn check_declaration(content: &[u8]) -> Result<Declaration, Fault> {
    let malformed =
        |at, message: &'static str| Fault::new(Code::XmlMalformedDeclaration, at, message);
    let mut spans = Spans::default();
    // With a name before it and its end behind it, a declaration has the grammar of a tag.
    let tag = [b"x", content, b">"].concat();
    let back = |at: usize| at.saturating_sub(1).min(content.len());
    let checked = check_start_tag(&tag, &mut spans);
    let mut declaration = Declaration::default();
    let mut expected = ["version", "encoding", "standalone"].iter();
    for attribute in &spans.list {
        let name = tag.get(attribute.name.clone()).unwrap_or_default();
        let value = tag.get(attribute.value.clone()).unwrap_or_default();
        let at = back(attribute.value.start);
        if !expected.any(|expected| expected.as_bytes() == name) {
            let message = "an XML declaration has version, encoding, standalone, in this order";
            return Err(malformed(back(attribute.name.start), message));
        }
        match name {
            b"version"
                if value
                    .strip_prefix(b"1.")
                    .is_none_or(|minor| !minor.iter().all(u8::is_ascii_digit)) =>
            {
                return Err(malformed(at, "a version of XML that is not 1.0"));
            }
            b"standalone" if value != b"yes" && value != b"no" => {
                return Err(malformed(at, "standalone that is neither yes nor no"));
            }
            b"standalone" => declaration.is_standalone = value == b"yes",
            b"encoding" if is_label(value, &["us-ascii", "ascii", "ansi_x3.4-1968"]) => {
                declaration.is_ascii = true;
            }
            b"encoding" if is_label(value, &["utf-16", "utf16", "utf-16le", "utf-16be"]) => {
                let message = format!("the declaration says {}, the bytes do not", shown(value));
                return Err(Fault::new(Code::XmlInvalidEncoding, at, message));
            }
            b"encoding" if !is_label(value, &["utf-8", "utf8"]) => {
                let message = format!("the encoding {} is not read", shown(value));
                return Err(Fault::new(Code::XmlUnsupportedEncoding, at, message));
            }
            _ => {}
        }
    }
    // Where a quote is missing, the value before tells that sooner.
    let checked = checked.map_err(|fault| {
        let before = tag.get(..fault.at).unwrap_or_default().trim_ascii_end();
        malformed(back(before.len()), "a malformed XML declaration")
    })?;
    let Some(checked) = checked.filter(|checked| checked.length == tag.len()) else {
        return Err(malformed(0, "a malformed XML declaration"));
    };
    if checked.is_empty_element {
        return Err(malformed(0, "an XML declaration that ends with /"));
    }
    if spans.list.first().is_none_or(|first| tag.get(first.name.clone()) != Some(b"version")) {
        return Err(malformed(0, "an XML declaration without a version"));
    }
    Ok(declaration)
}

/// What an XML declaration says that matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declaration {
    pub is_ascii: bool,
    pub is_standalone: bool,
}

/// Whether an encoding's name is one of these.
fn is_label(label: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| label.eq_ignore_ascii_case(known.as_bytes()))
}

/// How many bytes of white space there are at the start.
#[inline]
fn space_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| is_space(byte)).count()
}

/// How long the name \[5\] at the start is; 0 if there is none.
#[inline]
pub fn name_length(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(&first) if class(first) == NAME_START => {}
        Some(0x80..) => {}
        _ => return 0,
    }
    let ascii = bytes.iter().take_while(|&&byte| class(byte) != 0).count();
    match bytes.get(ascii) {
        Some(0x80..) => wide_name_length(bytes, ascii),
        _ => ascii,
    }
}

const NAME_CHAR: u8 = 1;
const NAME_START: u8 = 2;

/// What each byte may be in a name, as far as one byte tells.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "a byte is always within 256 entries")]
        let entry = &mut class[byte as usize];
        *entry = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | b':' => NAME_START,
            b'0'..=b'9' | b'-' | b'.' => NAME_CHAR,
            _ => 0,
        };
        byte += 1;
    }
    class
};

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is always within 256 entries")]
const fn class(byte: u8) -> u8 {
    CLASS[byte as usize]
}

/// A name with characters beyond ASCII, after `ascii` bytes of it.
#[cold]
fn wide_name_length(bytes: &[u8], ascii: usize) -> usize {
    let mut length = ascii;
    while let Some(character) = bytes.get(length..).and_then(first_character) {
        if length == 0 && !is_name_start(character) || !is_name_character(character) {
            break;
        }
        length += character.len_utf8();
    }
    length
}

/// The character at the start, if that is one.
fn first_character(bytes: &[u8]) -> Option<char> {
    let few = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    few.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next())
}

/// Production \[4\] `NameStartChar`.
const fn is_name_start(character: char) -> bool {
    matches!(character, ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// Production \[4a\] `NameChar`.
const fn is_name_character(character: char) -> bool {
    is_name_start(character)
        || matches!(character, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// The fault of a name that does not begin, or does not go on, as a name may.
fn bad_name(otherwise: Code, bytes: &[u8], at: usize, what: &str) -> Fault {
    match bytes.get(at..).and_then(first_character) {
        Some(character)
            if !character.is_ascii()
                || character.is_ascii_graphic()
                    && !matches!(character, '<' | '>' | '&' | '=' | '"' | '\'' | '/') =>
        {
            Fault::new(Code::XmlBadName, at, format!("{character:?} in {what}"))
        }
        Some(character) => {
            Fault::new(otherwise, at, format!("{character:?} where {what} is expected"))
        }
        None => Fault::new(otherwise, at, format!("no name where {what} is expected")),
    }
}

/// Text from the document for a message: short, and whatever its bytes.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(64)).unwrap_or_default());
    text.chars()
        .map(|character| if character.is_control() { '\u{FFFD}' } else { character })
        .collect()
}
