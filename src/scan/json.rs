//! The JSON layer of a scan: containers are walked, values in them parsed by `serde_json`.
//!
//! `serde_json` parses a slice several times faster than a reader, and holds nothing of a slice. So
//! the containers that hold the results are walked here over the window, and each value in them is
//! given to `serde_json` as a slice: one value is held at a time, up to [`MAX_VALUE`].
//!
//! What `serde_json` lets through where a value is passed over, is checked here: bytes that are not
//! UTF-8 (by the window), escaped halves of surrogate pairs, and depth. Numbers that are beyond
//! `f64` are JSON all the same, and taken.

use std::fmt::Write as _;
use std::io::{self, Read};

use memchr::{memchr2, memmem};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::keys::Keys;
use super::window::{Charset, Extent, IllegalKind, Mark, WINDOW_SIZE, Window};
use crate::finding::{Code, Findings};

/// The longest value that is held: one record, or one value beside the results. In bytes.
pub const MAX_VALUE: usize = 8_000_000;

/// How deep containers may nest. Ruby's `JSON.parse` refuses more (`max_nesting`).
const MAX_DEPTH: usize = 100;

/// How many illegal characters may wait for the value that they are in to be complete.
const MAX_PENDING_ILLEGAL: usize = 4096;

/// Why a scan ends: it could not be read, or the document is broken and that was reported.
#[derive(Debug)]
pub enum Stop {
    Io(io::Error),
    Broken,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The outcome of one step through a document.
pub type Step<T = ()> = Result<T, Stop>;

/// A step of the path to a value.
#[derive(Debug)]
enum PathStep {
    Key(String),
    Index(u64),
}

/// A value that was parsed, and where it began.
#[derive(Debug)]
pub struct Parsed<T> {
    pub value: T,
    pub offset: u64,
}

/// A walk through one JSON document; see the module.
#[derive(Debug)]
pub struct Cursor<'f, R> {
    window: Window<R>,
    findings: &'f mut Findings,
    path: Vec<PathStep>,
    is_sound: bool,
}

impl<'f, R: Read> Cursor<'f, R> {
    /// A cursor at the start of `source`, whose findings go to `findings`.
    pub fn new(source: R, findings: &'f mut Findings) -> Self {
        let window = Window::new(source, Charset::Unicode);
        Self { window, findings, path: Vec::new(), is_sound: true }
    }

    /// Walks the whole document: `root` takes its one value.
    ///
    /// Returns how much was read.
    ///
    /// # Errors
    /// What reading the source gives. What is wrong with the document is a finding.
    pub fn document(mut self, root: impl FnOnce(&mut Self) -> Step) -> io::Result<Extent> {
        let walked = self.start().and_then(|()| root(&mut self)).and_then(|()| self.end());
        match walked {
            Ok(()) | Err(Stop::Broken) => Ok(self.window.extent()),
            Err(Stop::Io(error)) => Err(error),
        }
    }

    fn start(&mut self) -> Step {
        self.window.require(3)?;
        match self.window.bytes() {
            [] => Err(self.broken(Code::InputEmpty, 0, || "the file is empty".into())),
            [0xEF, 0xBB, 0xBF, ..] => {
                let message = "a byte-order mark before the JSON";
                Err(self.broken(Code::JsonByteOrderMark, 0, || message.into()))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Step {
        if self.peek()?.is_none() {
            Ok(())
        } else {
            let offset = self.window.offset();
            Err(self.broken(Code::JsonTrailingContent, offset, || {
                "something follows the end of the JSON document".into()
            }))
        }
    }

    /// The next byte that is not white space, which stays there; `None` at the end.
    ///
    /// # Errors
    /// What reading the source gives.
    pub fn peek(&mut self) -> Step<Option<u8>> {
        loop {
            let bytes = self.window.bytes();
            let space =
                bytes.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            let space = space.count();
            let next = bytes.get(space).copied();
            self.window.take(space);
            if next.is_some() || !self.fill()? {
                return Ok(next);
            }
        }
    }

    /// What comes next and is not taken: so many bytes at least, if there are so many.
    ///
    /// # Errors
    /// What reading the source gives.
    pub fn ahead(&mut self, count: usize) -> Step<&[u8]> {
        self.window.require(count)?;
        Ok(self.window.bytes())
    }

    /// Where the next byte is in the document; before an element of an array, where that begins.
    pub const fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Counts out the place of an offset near the one at hand.
    pub fn mark(&self, offset: u64) -> Mark {
        self.window.mark(offset)
    }

    /// Whether the document kept the grammar up to here.
    pub const fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// Walks an array: `element` takes each value.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Step) -> Step {
        self.enter(b'[', "an array")?;
        let mut index = 0;
        if self.peek()? == Some(b']') {
            self.window.take(1);
            return Ok(());
        }
        loop {
            self.path.push(PathStep::Index(index));
            element(self)?;
            self.path.pop();
            index += 1;
            if self.is_last(b']')? {
                return Ok(());
            }
        }
    }

    /// Walks an object: `field` takes the value of each key. The keys in `once` are those whose
    /// values hold results: they must not be there twice.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn object(
        &mut self,
        once: &[&str],
        mut field: impl FnMut(&mut Self, &str) -> Step,
    ) -> Step {
        self.enter(b'{', "an object")?;
        let mut keys = Keys::default();
        if self.peek()? == Some(b'}') {
            self.window.take(1);
            return Ok(());
        }
        loop {
            if self.peek()?.is_some_and(|byte| byte != b'"') {
                return Err(self.syntax("a key in quotes is expected"));
            }
            let Parsed { value: key, offset } = self.value::<String>()?;
            let held = once.iter().position(|once| *once == key);
            if held.is_some() && !keys.insert(held.and_then(|at| u8::try_from(at).ok()), &key) {
                return Err(self.broken(Code::JsonDuplicateKey, offset, || {
                    format!("the key \"{key}\" twice in an object")
                }));
            }
            match self.peek()? {
                Some(b':') => self.window.take(1),
                _ => return Err(self.syntax("a colon is expected")),
            }
            self.path.push(PathStep::Key(key.chars().take(64).collect()));
            field(self, &key)?;
            self.path.pop();
            if self.is_last(b'}')? {
                return Ok(());
            }
        }
    }

    /// Takes what stands between two values: a comma, or the end of their container.
    fn is_last(&mut self, close: u8) -> Step<bool> {
        match self.peek()? {
            Some(b',') => self.window.take(1),
            Some(byte) if byte == close => {
                self.window.take(1);
                return Ok(true);
            }
            _ => {
                return Err(self.syntax(if close == b']' {
                    "a comma or ] is expected"
                } else {
                    "a comma or } is expected"
                }));
            }
        }
        if self.peek()? == Some(close) {
            return Err(self.syntax("a comma before the end of its container"));
        }
        Ok(false)
    }

    fn enter(&mut self, open: u8, what: &'static str) -> Step {
        match self.peek()? {
            Some(byte) if byte == open => {
                if self.path.len() == MAX_DEPTH {
                    return Err(self.too_deep(self.window.offset()));
                }
                self.window.take(1);
                Ok(())
            }
            None => Err(self.truncated()),
            Some(byte) => {
                let found = match byte {
                    b'{' => "an object",
                    b'[' => "an array",
                    b'"' => "a string",
                    b'-' | b'0'..=b'9' => "a number",
                    b't' | b'f' | b'n' => "a literal",
                    _ => return Err(self.syntax("a value is expected")),
                };
                Err(self.wrong_shape(&format!("{found} where {what} is expected")))
            }
        }
    }

    /// Takes the next value and gives what `serde_json` makes of it.
    ///
    /// `T` must take every type of value: what does not fit its meaning is for the caller to report.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn value<T: DeserializeOwned>(&mut self) -> Step<Parsed<T>> {
        self.peek()?;
        let offset = self.window.offset();
        loop {
            let bytes = self.window.bytes();
            let (parsed, length) = parse::<T>(bytes);
            let is_whole = length < bytes.len() || self.window.at_eof();
            let fault = match parsed {
                Some(Ok(value)) if is_whole => return self.checked(value, length),
                Some(Err(error))
                    if error.classify() != Category::Eof
                        && if self.window.at_eof() {
                            !is_cut_number(bytes, &error)
                        } else {
                            !is_at_end(bytes, &error)
                        } =>
                {
                    let at = error_offset(bytes, &error);
                    Some(if is_about_surrogates(&error) {
                        let escape =
                            bytes.get(..at).and_then(|before| memmem::rfind(before, b"\\u"));
                        (Code::JsonLoneSurrogate, escape.unwrap_or(at), error)
                    } else {
                        (Code::JsonSyntax, at, error)
                    })
                }
                _ => None,
            };
            if let Some((code, at, error)) = fault {
                return Err(self.not_json(code, offset + at as u64, &error));
            }
            if bytes.len() >= MAX_VALUE {
                return Err(self.broken(Code::JsonValueTooLarge, offset, || {
                    format!("a value of more than {MAX_VALUE} bytes")
                }));
            }
            if self.window.at_eof() {
                return Err(self.truncated());
            }
            // Parsing anew from the value's start pays, as there is twice as much each time.
            let wanted = (bytes.len() * 2).clamp(WINDOW_SIZE, MAX_VALUE);
            while self.window.bytes().len() < wanted && self.fill()? {}
        }
    }

    /// Takes the next value, whatever it is and however large.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn skip(&mut self) -> Step {
        let next = self.peek()?;
        let bytes = self.window.bytes();
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        let is_value = matches!(values.next(), Some(Ok(_)));
        let length = values.byte_offset();
        if is_value && length < bytes.len() {
            return self.checked((), length).map(|_| ());
        }
        // What is not whole in the window is walked, so that only its texts and numbers are held.
        match next {
            Some(b'[') => self.array(Self::skip),
            Some(b'{') => self.object(&[], |cursor, _| cursor.skip()),
            _ => self.value::<IgnoredAny>().map(|_| ()),
        }
    }

    fn fill(&mut self) -> Step<bool> {
        let more = self.window.fill()?;
        if self.window.illegal_pending() > MAX_PENDING_ILLEGAL {
            self.drain_illegal(u64::MAX);
        }
        Ok(more)
    }

    /// Takes a value that was parsed, checking its characters and its depth.
    fn checked<T>(&mut self, value: T, length: usize) -> Step<Parsed<T>> {
        let offset = self.window.offset();
        let bytes = self.window.bytes().get(..length).unwrap_or_default();
        if let Some(at) = too_deep(bytes, MAX_DEPTH - self.path.len().min(MAX_DEPTH)) {
            return Err(self.too_deep(offset + at as u64));
        }
        let lone_surrogate = lone_surrogate(bytes);
        self.drain_illegal(offset + length as u64);
        if let Some(at) = lone_surrogate {
            self.unsound(Code::JsonLoneSurrogate, offset + at as u64, &|| {
                "an escaped half of a surrogate pair without its other half".into()
            });
        }
        self.window.take(length);
        Ok(Parsed { value, offset })
    }

    /// Adds a finding about the value at hand, or about `field` in it.
    pub fn report(&mut self, code: Code, offset: u64, field: &str, message: &dyn Fn() -> String) {
        let (window, path) = (&self.window, &self.path);
        self.findings.add(code, || {
            let mut path = path_text(path);
            if !field.is_empty() {
                if !path.is_empty() && !field.starts_with('[') {
                    path.push('.');
                }
                path.push_str(field);
            }
            (message(), Some(window.place(offset, path)))
        });
    }

    fn unsound(&mut self, code: Code, offset: u64, message: &dyn Fn() -> String) {
        self.is_sound = false;
        self.report(code, offset, "", message);
    }

    fn broken(&mut self, code: Code, offset: u64, message: impl Fn() -> String) -> Stop {
        self.unsound(code, offset, &message);
        Stop::Broken
    }

    /// A fault in what `serde_json` parses. Bytes that are not UTF-8 are the better word for it.
    fn not_json(&mut self, code: Code, offset: u64, error: &serde_json::Error) -> Stop {
        match self.is_not_utf8(offset) {
            Ok(true) => return Stop::Broken,
            Ok(false) => {}
            Err(stop) => return stop,
        }
        let message = error.to_string();
        // A flood of them was reported before.
        let is_reported = self.findings.counts().contains_key(&Code::JsonInvalidUtf8);
        if is_reported && message.starts_with("invalid unicode code point") {
            return Stop::Broken;
        }
        let message =
            message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        self.broken(code, offset, || message.to_owned())
    }

    /// Whether there are bytes that are not UTF-8 up to a fault, or right behind it; reports them.
    fn is_not_utf8(&mut self, offset: u64) -> Step<bool> {
        let end = offset + 4;
        self.window.require(usize::try_from(end - self.window.offset()).unwrap_or(usize::MAX))?;
        Ok(self.drain_illegal(end))
    }

    fn syntax(&mut self, message: &'static str) -> Stop {
        let offset = self.window.offset();
        match self.peek() {
            Ok(Some(_)) => match self.is_not_utf8(offset) {
                Ok(true) => Stop::Broken,
                Ok(false) => self.broken(Code::JsonSyntax, offset, || message.into()),
                Err(stop) => stop,
            },
            Ok(None) => self.truncated(),
            Err(stop) => stop,
        }
    }

    /// The document has not the outline of its format.
    pub fn wrong_shape(&mut self, message: &str) -> Stop {
        let offset = self.window.offset();
        self.broken(Code::JsonWrongShape, offset, || message.into())
    }

    fn too_deep(&mut self, offset: u64) -> Stop {
        self.broken(Code::JsonTooDeep, offset, || {
            format!("more than {MAX_DEPTH} arrays and objects within each other")
        })
    }

    fn truncated(&mut self) -> Stop {
        let offset = self.window.offset() + self.window.bytes().len() as u64;
        self.drain_illegal(offset);
        self.broken(Code::JsonTruncated, offset, || "the document ends too early".into())
    }

    /// Reports the bytes that are not UTF-8 before `end`; returns whether there were any.
    fn drain_illegal(&mut self, end: u64) -> bool {
        let mut any = false;
        while let Some(illegal) = self.window.next_illegal(end) {
            any = true;
            if let IllegalKind::NotUtf8(byte) = illegal.kind {
                self.unsound(Code::JsonInvalidUtf8, illegal.offset, &|| {
                    format!("byte 0x{byte:02X} is not UTF-8 here")
                });
            }
        }
        any
    }
}

/// Parses the value that `bytes` begin with; also says how long it is.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> (Option<serde_json::Result<T>>, usize) {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    match values.next() {
        Some(Err(error)) if is_about_range(&error) => {
            let mut ignored = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
            let is_json = ignored.next();
            let length = ignored.byte_offset();
            let value = bytes.get(..length).unwrap_or_default();
            let again = |_| serde_json::from_slice(&without_numbers(value));
            (is_json.map(|is_json| is_json.and_then(again)), length)
        }
        parsed => (parsed, values.byte_offset()),
    }
}

/// A copy of a value that is JSON, with 0 for each number: nobody here looks at numbers.
fn without_numbers(value: &[u8]) -> Vec<u8> {
    let mut copy = value.to_vec();
    let mut rest = copy.as_mut_slice();
    while let [byte, behind @ ..] = rest {
        let mut length = 0;
        match byte {
            b'"' => length = string_length(behind),
            b'-' | b'0'..=b'9' => {
                *byte = b'0';
                let is_number =
                    |byte: &&mut u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                for byte in behind.iter_mut().take_while(is_number) {
                    *byte = b' ';
                }
            }
            _ => {}
        }
        rest = behind.get_mut(length..).unwrap_or_default();
    }
    copy
}

/// How long a string is from behind its first quote to behind its last.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if bytes.get(at - 1) == Some(&b'"') {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Finds the bracket that opens more than `levels` containers, in a value that is JSON.
fn too_deep(value: &[u8], levels: usize) -> Option<usize> {
    // Most values have too few brackets for that. The loop is written for the compiler to vectorise.
    let opens = |byte: u8| byte | 0x20 == b'{';
    let brackets = value
        .chunks(128)
        .map(|chunk| usize::from(chunk.iter().map(|&byte| u8::from(opens(byte))).sum::<u8>()));
    if brackets.sum::<usize>() <= levels {
        return None;
    }
    let (mut at, mut depth) = (0, 0);
    while let Some(&byte) = value.get(at) {
        at += 1;
        match byte {
            b'"' => at += string_length(value.get(at..).unwrap_or_default()),
            b'[' | b'{' if depth == levels => return Some(at - 1),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the document ends within a number, which `serde_json` calls an invalid one.
fn is_cut_number(bytes: &[u8], error: &serde_json::Error) -> bool {
    matches!(bytes.last(), Some(b'-' | b'+' | b'.' | b'e' | b'E'))
        && error_offset(bytes, error) + 1 >= bytes.len()
        && error.to_string().starts_with("invalid number")
}

/// `serde_json` has no kind for it: only its message tells.
fn is_about_range(error: &serde_json::Error) -> bool {
    error.to_string().contains("out of range")
}

/// Whether the error may be the window's: `serde_json` calls a number that ends with its point or its
/// sign invalid, not cut off.
fn is_at_end(bytes: &[u8], error: &serde_json::Error) -> bool {
    const TOKEN: usize = 16;
    error_offset(bytes, error) + TOKEN >= bytes.len()
}

/// `serde_json` has no kind for it: only its message tells.
fn is_about_surrogates(error: &serde_json::Error) -> bool {
    let message = error.to_string();
    message.contains("surrogate") || message.contains("end of hex escape")
}

/// A path in the way of JavaScript: `testResults[0].assertionResults[3]`.
fn path_text(path: &[PathStep]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            PathStep::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            // Writing to a string does not fail.
            PathStep::Index(index) => drop(write!(text, "[{index}]")),
        }
    }
    text
}

/// Where in the slice `serde_json` found its error: it tells a line and a column in bytes.
fn error_offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let line = error.line().saturating_sub(1);
    let line_start = match line {
        0 => 0,
        _ => memchr::memchr_iter(b'\n', bytes).nth(line - 1).map_or(0, |at| at + 1),
    };
    let at = line_start + error.column().saturating_sub(1);
    // Before a control character in a string, serde_json has not taken it yet.
    let is_before = bytes.get(at + 1).is_some_and(|&byte| byte < b' ' && byte != b'\n');
    (if is_before { at + 1 } else { at }).min(bytes.len())
}

/// Finds an escaped surrogate that is no half of a pair, in a value that `serde_json` took.
fn lone_surrogate(value: &[u8]) -> Option<usize> {
    if memmem::find(value, b"\\ud").is_none() && memmem::find(value, b"\\uD").is_none() {
        return None;
    }
    let mut at = 0;
    loop {
        at += memchr::memchr(b'\\', value.get(at..)?)?;
        match escaped_unit(value, at) {
            Some(0xD800..=0xDBFF) => match escaped_unit(value, at + 6) {
                Some(0xDC00..=0xDFFF) => at += 12,
                _ => return Some(at),
            },
            Some(0xDC00..=0xDFFF) => return Some(at),
            Some(_) => at += 6,
            // Another escape, of two bytes: the second may be a backslash too.
            None => at += 2,
        }
    }
}

/// The UTF-16 unit that `\uXXXX` at this place stands for.
fn escaped_unit(value: &[u8], at: usize) -> Option<u16> {
    let digits = value.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
