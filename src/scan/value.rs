//! Reading a JSON value that is whole in memory: what is there, of which type, by RFC 8259.
//!
//! The service validates record by record and skips what it cannot read, so a wrong type is a
//! finding, not an error: every type of value is taken. One look at each byte checks the grammar and
//! finds what is wanted; of what is not wanted nothing is kept. `serde_json`, whose typed values
//! fail at the first wrong type, took almost twice as long. What is refused here is shown to
//! `serde_json`, which names the error; that both take the same is tested.

use std::borrow::Cow;

use super::keys::Keys;
use super::markup::shown;

/// Which type a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// There is no such field.
    #[default]
    Missing,
    Null,
    Boolean,
    Number,
    /// Nothing, or white space alone.
    EmptyText,
    Text,
    Array,
    Object,
}

impl Kind {
    /// The word for it in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::EmptyText => "an empty string",
            Self::Text => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A value that is a text, or should be one.
#[derive(Debug, Default)]
pub struct Text<'a> {
    pub kind: Kind,
    /// Without its quotes and escapes; empty if it is none.
    pub bytes: Cow<'a, [u8]>,
}

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is not whole: all that there is of it keeps the grammar.
    Cut,
    /// It breaks the grammar.
    Syntax,
    /// Too many containers nest, with the one that begins at this byte.
    TooDeep(usize),
}

/// A value that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How many bytes it has, with the white space before it.
    pub length: usize,
    /// Where the first escaped half of a surrogate pair is without its other half.
    pub lone_surrogate: Option<usize>,
}

/// Reads from the start of one value to its end; see the module.
///
/// Once it refuses something, there is nothing more to read, whatever is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// From the value's start.
    bytes: &'a [u8],
    rest: &'a [u8],
    /// How many more containers may nest.
    levels: usize,
    lone_surrogate: Option<usize>,
    refused: Option<Refused>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a value, in which so many containers may nest.
    pub const fn new(bytes: &'a [u8], levels: usize) -> Self {
        Self { bytes, rest: bytes, levels, lone_surrogate: None, refused: None }
    }

    /// What was read, or why that is not to be used.
    ///
    /// # Errors
    /// That the value was refused. A number that ends with the bytes is taken, though it may be cut.
    pub fn end(self) -> Result<Extent, Refused> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok(Extent { length: self.offset(), lone_surrogate: self.lone_surrogate }),
        }
    }

    /// Takes a value and says of which type it is.
    pub fn kind(&mut self) -> Kind {
        let Some(first) = self.peek() else { return self.take() };
        // Most texts tell with their first character that they are not empty.
        if first == b'"' && !matches!(self.rest, [_, second, ..] if is_visible(*second)) {
            return self.text().kind;
        }
        self.take()
    }

    /// Takes a value, which is best a text.
    pub fn text(&mut self) -> Text<'a> {
        if self.peek() != Some(b'"') {
            return Text { kind: self.kind(), bytes: Cow::Borrowed(&[]) };
        }
        let bytes = self.string();
        let is_plain = bytes.first().copied().is_some_and(is_visible);
        let is_empty = !is_plain && String::from_utf8_lossy(&bytes).trim().is_empty();
        Text { kind: if is_empty { Kind::EmptyText } else { Kind::Text }, bytes }
    }

    /// Takes a value; if it is an object, `field` takes the value of each of its keys.
    pub fn object(&mut self, mut field: impl FnMut(&[u8], &mut Self)) -> Kind {
        if self.peek() != Some(b'{') {
            return self.kind();
        }
        let mut more = self.enter(b'}');
        while more {
            let key = self.key();
            field(&key, self);
            more = self.goes_on(b'}');
        }
        Kind::Object
    }

    /// Takes an object whose keys must differ; gives one that is there twice beside its type.
    ///
    /// `number` is that of a key that such an object usually has, below 32: those cost next to
    /// nothing.
    pub fn object_of_unique(
        &mut self,
        number: impl Fn(&[u8]) -> Option<u8>,
        mut field: impl FnMut(&[u8], &mut Self),
    ) -> (Kind, Option<String>) {
        let mut keys = Keys::default();
        let mut twice = None;
        let kind = self.object(|key, value| {
            if !keys.insert(number(key), key) {
                twice.get_or_insert_with(|| shown(key));
            }
            field(key, value);
        });
        (kind, twice)
    }

    /// Takes a value; if it is an array, `element` takes each of its elements.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self)) -> Kind {
        if self.peek() != Some(b'[') {
            return self.kind();
        }
        let mut more = self.enter(b']');
        while more {
            element(self);
            more = self.goes_on(b']');
        }
        Kind::Array
    }

    /// Takes a value, whatever it is.
    pub fn skip(&mut self) {
        self.take();
    }

    /// Takes a value and says of which type it is; whether a text is empty is not looked at.
    fn take(&mut self) -> Kind {
        match self.peek() {
            Some(b'"') => {
                self.raw_string();
                Kind::Text
            }
            Some(b'{') => {
                let mut more = self.enter(b'}');
                while more {
                    self.skip_key();
                    self.skip();
                    more = self.goes_on(b'}');
                }
                Kind::Object
            }
            Some(b'[') => self.array(Self::skip),
            Some(b't') => self.literal(b"true", Kind::Boolean),
            Some(b'f') => self.literal(b"false", Kind::Boolean),
            Some(b'n') => self.literal(b"null", Kind::Null),
            _ => {
                self.number();
                Kind::Number
            }
        }
    }

    /// Takes the bracket that opens a container; says whether there is something in it.
    fn enter(&mut self, close: u8) -> bool {
        let Some(levels) = self.levels.checked_sub(1) else {
            self.refuse(Refused::TooDeep(self.offset()));
            return false;
        };
        self.levels = levels;
        self.advance(1);
        match self.peek() {
            Some(byte) if byte == close => self.leave(),
            _ => true,
        }
    }

    /// Takes what stands behind an element: says whether there is one more, or the container ends.
    #[inline]
    fn goes_on(&mut self, close: u8) -> bool {
        match self.peek() {
            Some(b',') => {
                self.advance(1);
                true
            }
            Some(byte) if byte == close => self.leave(),
            _ => {
                self.expect(close);
                false
            }
        }
    }

    fn leave(&mut self) -> bool {
        self.levels += 1;
        self.advance(1);
        false
    }

    /// Takes a key and its colon.
    fn key(&mut self) -> Cow<'a, [u8]> {
        self.expect(b'"');
        let key = self.string();
        self.expect(b':');
        self.advance(1);
        key
    }

    fn skip_key(&mut self) {
        self.expect(b'"');
        self.raw_string();
        self.expect(b':');
        self.advance(1);
    }

    /// Refuses what does not go on with this byte, which stays there.
    fn expect(&mut self, byte: u8) {
        match self.peek() {
            Some(next) if next == byte => {}
            Some(_) => self.refuse(Refused::Syntax),
            None => self.refuse(Refused::Cut),
        }
    }

    fn literal(&mut self, literal: &[u8], kind: Kind) -> Kind {
        let there = self.rest.get(..literal.len()).unwrap_or(self.rest);
        if there == literal {
            self.advance(literal.len());
        } else {
            let is_cut = literal.starts_with(there);
            self.refuse(if is_cut { Refused::Cut } else { Refused::Syntax });
        }
        kind
    }

    /// Takes a number, of any size.
    fn number(&mut self) {
        if self.rest.first() == Some(&b'-') {
            self.advance(1);
        }
        match self.rest.first() {
            Some(b'0') => self.advance(1),
            _ => self.digits(),
        }
        if self.rest.first() == Some(&b'.') {
            self.advance(1);
            self.digits();
        }
        if let Some(b'e' | b'E') = self.rest.first() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.rest.first() {
                self.advance(1);
            }
            self.digits();
        }
    }

    /// Takes digits, of which there must be one.
    fn digits(&mut self) {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            let is_cut = self.rest.is_empty();
            self.refuse(if is_cut { Refused::Cut } else { Refused::Syntax });
        }
        self.advance(count);
    }

    /// Takes a string; gives it without its quotes and escapes.
    fn string(&mut self) -> Cow<'a, [u8]> {
        let (raw, has_escapes) = self.raw_string();
        let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if !has_escapes {
            return Cow::Borrowed(inside);
        }
        match serde_json::from_slice::<String>(raw) {
            Ok(text) => Cow::Owned(text.into_bytes()),
            // Such as a lone surrogate, which is a finding of its own.
            Err(_) => Cow::Borrowed(inside),
        }
    }

    /// Takes a string; gives it as it is written, and whether there are escapes in it.
    fn raw_string(&mut self) -> (&'a [u8], bool) {
        let raw = self.rest;
        let mut at = 1;
        let mut has_escapes = false;
        loop {
            let rest = raw.get(at..).unwrap_or_default();
            at += plain_length(rest);
            match raw.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    match self.escape(raw, at) {
                        Ok(length) => at += length,
                        Err(refused) => self.refuse(refused),
                    }
                }
                Some(_) => self.refuse(Refused::Syntax),
                None => self.refuse(Refused::Cut),
            }
            if self.refused.is_some() {
                return (&[], false);
            }
        }
        self.advance(at + 1);
        (raw.get(..=at).unwrap_or_default(), has_escapes)
    }

    /// How long the escape is that begins there in a string that begins with the rest.
    fn escape(&mut self, raw: &[u8], at: usize) -> Result<usize, Refused> {
        match raw.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => {
                let digits = raw.get(at + 2..).unwrap_or_default();
                let digits = digits.get(..4).unwrap_or(digits);
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Refused::Syntax);
                }
                match (escaped_unit(raw, at), escaped_unit(raw, at + 6)) {
                    (None, _) => Err(Refused::Cut),
                    (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => Ok(12),
                    (Some(0xD800..=0xDFFF), _) => {
                        let place = self.offset() + at;
                        self.lone_surrogate.get_or_insert(place);
                        Ok(6)
                    }
                    _ => Ok(6),
                }
            }
            Some(_) => Err(Refused::Syntax),
            None => Err(Refused::Cut),
        }
    }

    /// The next byte that is not white space, which stays there.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] => self.rest = rest,
                [byte, ..] => return Some(*byte),
                [] => return None,
            }
        }
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    const fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }

    /// Refuses the value, unless that was done already. There is nothing more to read.
    #[cold]
    fn refuse(&mut self, refused: Refused) {
        self.refused.get_or_insert(refused);
        self.rest = &[];
    }
}

/// A character of ASCII that can be seen, as it is written: nothing that may be an escape.
const fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\' && byte != b'"'
}

/// The UTF-16 unit that `\uXXXX` at this place stands for.
fn escaped_unit(value: &[u8], at: usize) -> Option<u16> {
    let digits = value.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    u16::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_hex)?, 16).ok()
}

/// How many bytes stand before the first quote, backslash or control character.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        let controls = word.wrapping_sub(EACH_BYTE * 0x20) & !word & HIGH_BITS;
        let found = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES) | controls;
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

/// Words of which each byte is the same.
const EACH_BYTE: u64 = u64::from_le_bytes([1; 8]);
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);

/// The highest bit of each byte that is zero; of those behind the first such byte, maybe more.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EACH_BYTE) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests;
