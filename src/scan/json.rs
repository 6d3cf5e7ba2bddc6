//! The JSON layer of a scan: containers are walked, values in them parsed by `serde_json`.
//!
//! `serde_json` parses a slice several times faster than a reader, and holds nothing of a slice. So
//! the containers that hold the results are walked here over the window, and each value in them is
//! given to `serde_json` as a slice: one value is held at a time, up to [`MAX_VALUE`].
//!
//! What `serde_json` lets through where a value is passed over, is checked here: bytes that are not
//! UTF-8 (by the window) and escaped halves of surrogate pairs.

use std::fmt::Write as _;
use std::io::{self, Read};

use memchr::memmem;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::window::{Charset, Extent, IllegalKind, Mark, WINDOW_SIZE, Window};
use crate::finding::{Code, Findings};

/// The longest value that is held: one record, or one value beside the results. In bytes.
pub const MAX_VALUE: usize = 8_000_000;

/// How deep a value that is passed over is walked; beyond it is held as a whole.
const MAX_WALKED: usize = 64;

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

    /// Walks an object: `field` takes the value of each key.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Step) -> Step {
        self.enter(b'{', "an object")?;
        if self.peek()? == Some(b'}') {
            self.window.take(1);
            return Ok(());
        }
        loop {
            if self.peek()?.is_some_and(|byte| byte != b'"') {
                return Err(self.syntax("a key in quotes is expected"));
            }
            let key: String = self.value()?.value;
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
                let offset = self.window.offset();
                Err(self.broken(Code::JsonWrongShape, offset, || {
                    format!("{found} where {what} is expected")
                }))
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
            let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
            let parsed = values.next();
            let length = values.byte_offset();
            let is_whole = length < bytes.len() || self.window.at_eof();
            let fault = match parsed {
                Some(Ok(value)) if is_whole => {
                    let lone = bytes.get(..length).and_then(lone_surrogate);
                    return Ok(self.checked(value, length, lone));
                }
                Some(Err(error))
                    if error.classify() != Category::Eof
                        && (self.window.at_eof() || !is_at_end(bytes, &error)) =>
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
        self.skip_within(0)
    }

    fn skip_within(&mut self, depth: usize) -> Step {
        let next = self.peek()?;
        let bytes = self.window.bytes();
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        let is_value = matches!(values.next(), Some(Ok(_)));
        let length = values.byte_offset();
        if is_value && length < bytes.len() {
            let lone = bytes.get(..length).and_then(lone_surrogate);
            self.checked((), length, lone);
            return Ok(());
        }
        // What is not whole in the window is walked, so that only its texts and numbers are held.
        match next {
            Some(b'[') if depth < MAX_WALKED => self.array(|cursor| cursor.skip_within(depth + 1)),
            Some(b'{') if depth < MAX_WALKED => {
                self.object(|cursor, _| cursor.skip_within(depth + 1))
            }
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

    /// Takes a value that was parsed, checking its characters.
    fn checked<T>(&mut self, value: T, length: usize, lone_surrogate: Option<usize>) -> Parsed<T> {
        let offset = self.window.offset();
        self.drain_illegal(offset + length as u64);
        if let Some(at) = lone_surrogate {
            self.unsound(Code::JsonLoneSurrogate, offset + at as u64, &|| {
                "an escaped half of a surrogate pair without its other half".into()
            });
        }
        self.window.take(length);
        Parsed { value, offset }
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
        if self.drain_illegal(offset + 4) {
            return Stop::Broken;
        }
        let message = error.to_string();
        let message =
            message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        self.broken(code, offset, || message.to_owned())
    }

    fn syntax(&mut self, message: &'static str) -> Stop {
        let offset = self.window.offset();
        match self.peek() {
            Ok(Some(_)) => {
                if self.drain_illegal(offset + 4) {
                    return Stop::Broken;
                }
                self.broken(Code::JsonSyntax, offset, || message.into())
            }
            Ok(None) => self.truncated(),
            Err(stop) => stop,
        }
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
mod tests {
    use super::*;

    /// Gives a byte at a time, so that everything is cut everywhere.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    fn walk(text: impl Read) -> Vec<(Code, u64)> {
        let mut findings = Findings::default();
        let cursor = Cursor::new(text, &mut findings);
        cursor.document(|cursor| cursor.array(Cursor::skip)).unwrap();
        findings.listed().iter().map(|f| (f.code, f.place.as_ref().unwrap().offset)).collect()
    }

    #[test]
    fn names_the_place_of_what_is_wrong() {
        use Code::*;
        type Case<'a> = (&'a [u8], &'a [(Code, u64)]);
        let cases: &[Case<'_>] = &[
            (b" [ 1 , {\"a\":[null]} ]\n", &[]),
            (b"[]", &[]),
            (b"", &[(InputEmpty, 0)]),
            (b"[1,]", &[(JsonSyntax, 3)]),
            (b"[1 2]", &[(JsonSyntax, 3)]),
            (b"[,1]", &[(JsonSyntax, 1)]),
            (b"[1", &[(JsonTruncated, 2)]),
            (b"[{\"a\":", &[(JsonTruncated, 6)]),
            (b"[\n\"a\x01\"]", &[(JsonSyntax, 4)]),
            (b"[\"\\ud800\"]", &[(JsonLoneSurrogate, 2)]),
            (b"[\"\\ud83d\\ude00\\\\ud800\"]", &[]),
            (b"[\"\xff\"]", &[(JsonInvalidUtf8, 2)]),
            (b"{}", &[(JsonWrongShape, 0)]),
            (b"[] []", &[(JsonTrailingContent, 3)]),
            (b"\xEF\xBB\xBF[]", &[(JsonByteOrderMark, 0)]),
            (b"[tru]", &[(JsonSyntax, 4)]),
            (b"[-1.5e+3, 0.25, -0, 12E-2, true, null, \"\\u00e9\\n\"]", &[]),
            (b"[1.]", &[(JsonSyntax, 3)]),
        ];
        for (text, expected) in cases {
            assert_eq!(walk(*text), *expected, "{:?}", String::from_utf8_lossy(text));
            assert_eq!(walk(Slowly(text)), *expected, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn refuses_a_value_beyond_the_limit_without_holding_more() {
        let long = [b"[\"".as_slice(), &vec![b'a'; 3 * MAX_VALUE], b"\"]"].concat();
        assert_eq!(walk(long.as_slice()), [(Code::JsonValueTooLarge, 1)]);
        let fits = [b"[\"".as_slice(), &vec![b'a'; MAX_VALUE / 2], b"\"]"].concat();
        assert_eq!(walk(fits.as_slice()), []);
    }
}
