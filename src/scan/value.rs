//! Reading a JSON value that is whole in memory: what is there, of which type, by RFC 8259.
//!
//! The service validates record by record and skips what it cannot read, so a wrong type is a
//! finding, not an error: every type of value is taken. One look at each byte checks the grammar and
//! finds what is wanted; of what is not wanted nothing is kept. `serde_json`, whose typed values
//! fail at the first wrong type, took 1.7 times as long. What is refused here is shown to
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a value in all depth, as `serde_json` would print it without its numbers and spaces.
    fn outline(reader: &mut Reader<'_>) -> String {
        let mut parts = Vec::new();
        let mut ahead = *reader;
        let mut is_array = true;
        let mut kind = ahead.array(|element| parts.push(outline(element)));
        if kind != Kind::Array {
            is_array = false;
            ahead = *reader;
            kind = ahead.object(|key, value| {
                parts.push(format!("{:?}:{}", String::from_utf8_lossy(key), outline(value)));
            });
        }
        let text = match kind {
            Kind::Array if is_array => format!("[{}]", parts.join(",")),
            Kind::Object => format!("{{{}}}", parts.join(",")),
            Kind::Text | Kind::EmptyText => {
                format!("{:?}", String::from_utf8_lossy(&reader.clone().text().bytes))
            }
            other => other.as_str().to_owned(),
        };
        let mut skipped = *reader;
        skipped.skip();
        assert_eq!(skipped.rest, ahead.rest, "a value skipped is as long as one that is read");
        *reader = ahead;
        text
    }

    fn expected(value: &serde_json::Value) -> String {
        use serde_json::Value;
        match value {
            Value::Null => Kind::Null.as_str().to_owned(),
            Value::Bool(_) => Kind::Boolean.as_str().to_owned(),
            Value::Number(_) => Kind::Number.as_str().to_owned(),
            Value::String(text) => format!("{text:?}"),
            Value::Array(elements) => {
                format!("[{}]", elements.iter().map(expected).collect::<Vec<_>>().join(","))
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(key, value)| format!("{key:?}:{}", expected(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
        }
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let text = "[\\PC\"\\\\{}\\[\\],:\n\u{1f}é😀]{0,12}";
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            text.prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(text, inner, 0..6)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// What `serde_json` says of the value that the bytes begin with: its length, or whether it is cut.
    fn by_serde_json(bytes: &[u8]) -> Result<usize, Refused> {
        let mut values =
            serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => Ok(values.byte_offset()),
            Some(Err(error)) if !error.is_eof() => Err(Refused::Syntax),
            _ => Err(Refused::Cut),
        }
    }

    fn length(bytes: &[u8]) -> Result<usize, Refused> {
        let mut reader = Reader::new(bytes, 100);
        reader.skip();
        reader.end().map(|extent| extent.length)
    }

    fn reader(text: &[u8]) -> Reader<'_> {
        Reader::new(text, 100)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn reads_what_serde_json_reads(value in any_value(), is_pretty in any::<bool>()) {
            let print = if is_pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
            let text = [print(&value).unwrap(), b" , 1".to_vec()].concat();
            let mut reader = reader(&text);
            prop_assert_eq!(outline(&mut reader), expected(&value));
            prop_assert_eq!(reader.peek(), Some(b','));
            prop_assert_eq!(reader.end().map(|extent| extent.length), Ok(text.len() - 3));
        }

        #[test]
        fn takes_and_refuses_what_serde_json_does(
            value in any_value(),
            is_pretty in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any_token()), 1..3),
        ) {
            let print = if is_pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
            let mut text = print(&value).unwrap();
            for (at, (token, replaced)) in changes {
                let at = at.index(text.len() + 1);
                let end = text.len().min(at + replaced);
                text.splice(at..end, token);
            }
            text.push(b' ');
            let theirs = by_serde_json(&text);
            let ours = length(&text);
            let shown = String::from_utf8_lossy(&text);
            match (ours, theirs) {
                // It looks at what stands behind a literal or a number too.
                (Ok(length), Err(Refused::Syntax)) => {
                    let behind = text.get(length).copied().map(char::from);
                    let is_delimiter = |next| " \t\n\r,:[]{}\"".contains(next);
                    prop_assert!(!behind.is_some_and(is_delimiter), "{}", shown);
                }
                // Of an escape that is cut off, it does not look at what there is.
                (Err(Refused::Syntax), Err(Refused::Cut)) => {
                    let end = text.len().saturating_sub(6);
                    prop_assert!(text[end..].windows(2).any(|pair| pair == b"\\u"), "{}", shown);
                }
                _ => prop_assert_eq!(ours, theirs, "{}", shown),
            }
        }

        #[test]
        fn ends_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = reader(&bytes);
            reader.object(|_, value| { value.array(Reader::skip); });
            reader.array(|element| { element.text(); });
            prop_assert!(reader.rest.len() <= bytes.len());
        }
    }

    /// Bytes to put somewhere, and how many to take away there.
    fn any_token() -> impl Strategy<Value = (Vec<u8>, usize)> {
        let tokens = [
            "",
            ",",
            ":",
            "[",
            "]",
            "{",
            "}",
            "\"",
            "\\",
            "\\u00e9",
            "\\ud800",
            "\\u12",
            "\\x",
            "\n",
            "\u{1f}",
            "\u{7f}",
            "0",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+5",
            "tru",
            "nul",
            "false",
            "NaN",
            "\u{b}",
            "\u{a0}",
            "{\"a\":1}",
            "{:1}",
            "{\"a\" 1}",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "//",
        ];
        (prop::sample::select(tokens.map(|token| token.as_bytes().to_vec()).to_vec()), 0_usize..3)
    }

    #[test]
    fn a_value_that_is_cut_is_not_whole() {
        let text =
            r#"{"a\n\ud83d\ude00":[-1.5e+3,10,true,false,null,""],"é":{},"b":[]}"#.as_bytes();
        assert_eq!(length(text), Ok(text.len()));
        for end in 0..text.len() {
            assert_eq!(length(&text[..end]), Err(Refused::Cut), "{end}");
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_are_found() {
        for (text, place) in [
            (r#" "\ud800""#, Some(2)),
            (r#""\udc00\ud800""#, Some(1)),
            (r#""\ud83d\ude00\\ud800""#, None),
            (r#"["\uD83D\uDE00", "a\uD83D\u0041"]"#, Some(19)),
        ] {
            let mut reader = reader(text.as_bytes());
            reader.skip();
            assert_eq!(reader.end().map(|extent| extent.lone_surrogate), Ok(place), "{text}");
        }
    }

    #[test]
    fn only_so_many_containers_nest() {
        for (levels, text, expected) in [
            (2, "[[1]]", Ok(5)),
            (1, "[[1]]", Err(Refused::TooDeep(1))),
            (1, r#"{"a":{}}"#, Err(Refused::TooDeep(5))),
            (1, "[1]", Ok(3)),
            (0, "1", Ok(1)),
            (0, "[]", Err(Refused::TooDeep(0))),
        ] {
            let mut reader = Reader::new(text.as_bytes(), levels);
            reader.skip();
            assert_eq!(reader.end().map(|extent| extent.length), expected, "{text}");
        }
        let mut siblings = Reader::new(b"[[],[],{},{}]", 2);
        siblings.skip();
        assert!(siblings.end().is_ok());
    }

    #[test]
    fn a_text_without_anything_to_read_is_empty() {
        for text in [r#""""#, r#"" ""#, r#""\t\u00a0""#, "\"\u{2003}\""] {
            assert_eq!(reader(text.as_bytes()).kind(), Kind::EmptyText, "{text}");
        }
        for text in [r#""a""#, r#"" a""#, r#""\u0061""#, r#""\ud800""#, "\"é\""] {
            assert_eq!(reader(text.as_bytes()).kind(), Kind::Text, "{text}");
        }
    }
}
