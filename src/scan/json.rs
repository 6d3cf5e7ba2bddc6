//! The JSON layer of a scan: containers are walked, values in them read whole.
//!
//! A value is read from a slice: one is held at a time, up to [`MAX_VALUE`]. `value` reads it, and
//! checks all of it but that it is UTF-8, which the window does. What breaks the grammar,
//! `serde_json` is asked to name.

use std::fmt::Write as _;
use std::io::{self, Read};

use serde::de::IgnoredAny;

use super::keys::Keys;
use super::value::{self, Reader, Refused};
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

    /// What was read and not taken yet, as far as it is there.
    pub fn unread(&self) -> &[u8] {
        self.window.bytes()
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
            let Parsed { value: key, offset } =
                self.value(|key| String::from_utf8_lossy(&key.text().bytes).into_owned())?;
            let held = once.iter().position(|once| *once == key);
            let number = held.and_then(|at| u8::try_from(at).ok());
            if held.is_some() && !keys.insert(number, key.as_bytes()) {
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

    /// Takes the next value and gives what `read` makes of it.
    ///
    /// Where the value is not whole in the window, `read` starts again with more of it.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn value<T>(&mut self, read: impl Fn(&mut Reader<'_>) -> T) -> Step<Parsed<T>> {
        self.peek()?;
        let offset = self.window.offset();
        loop {
            let mut reader = self.reader();
            let value = read(&mut reader);
            let length = self.window.bytes().len();
            let at_eof = self.window.at_eof();
            match reader.end() {
                Ok(extent) if extent.length < length || at_eof => {
                    self.take(extent);
                    return Ok(Parsed { value, offset });
                }
                Err(Refused::Syntax) => return Err(self.not_json()),
                Err(Refused::TooDeep(at)) => return Err(self.too_deep(offset + at as u64)),
                Ok(_) | Err(Refused::Cut) if at_eof => return Err(self.truncated()),
                Ok(_) | Err(Refused::Cut) if length >= MAX_VALUE => {
                    return Err(self.broken(Code::JsonValueTooLarge, offset, || {
                        format!("a value of more than {MAX_VALUE} bytes")
                    }));
                }
                // Starting anew pays, as there is twice as much each time.
                Ok(_) | Err(Refused::Cut) => {
                    let wanted = (length * 2).clamp(WINDOW_SIZE, MAX_VALUE);
                    self.require(wanted)?;
                }
            }
        }
    }

    /// Takes the next value, whatever it is and however large.
    ///
    /// # Errors
    /// [`Stop`], as every step.
    pub fn skip(&mut self) -> Step {
        let next = self.peek()?;
        let mut reader = self.reader();
        reader.skip();
        if let Ok(extent) = reader.end()
            && extent.length < self.window.bytes().len()
        {
            self.take(extent);
            return Ok(());
        }
        // What is not whole in the window is walked, so that only its texts and numbers are held.
        match next {
            Some(b'[') => self.array(Self::skip),
            Some(b'{') => self.object(&[], |cursor, _| cursor.skip()),
            _ => {
                self.value(|value| {
                    value.skip();
                })?;
                Ok(())
            }
        }
    }

    /// A reader of the next value, as far as it is in the window.
    fn reader(&self) -> Reader<'_> {
        Reader::new(self.window.bytes(), self.levels())
    }

    /// How many containers may nest in the value at hand.
    pub fn levels(&self) -> usize {
        MAX_DEPTH.saturating_sub(self.path.len())
    }

    /// Reads until so many bytes are there that were not taken, or all.
    ///
    /// # Errors
    /// What reading the source gives.
    pub fn require(&mut self, count: usize) -> Step {
        while self.window.bytes().len() < count && self.fill()? {}
        Ok(())
    }

    /// Takes a value that was read.
    pub fn take(&mut self, extent: value::Extent) {
        let offset = self.window.offset();
        self.drain_illegal(offset + extent.length as u64);
        if let Some(at) = extent.lone_surrogate {
            self.unsound(Code::JsonLoneSurrogate, offset + at as u64, &|| {
                "an escaped half of a surrogate pair without its other half".into()
            });
        }
        self.window.take(extent.length);
    }

    fn fill(&mut self) -> Step<bool> {
        let more = self.window.fill()?;
        if self.window.illegal_pending() > MAX_PENDING_ILLEGAL {
            self.drain_illegal(u64::MAX);
        }
        Ok(more)
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

    /// The value at hand breaks the grammar: `serde_json` says how. Bytes that are not UTF-8 are the
    /// better word for it.
    fn not_json(&mut self) -> Stop {
        let bytes = self.window.bytes();
        let error = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>().next();
        let (at, message) = match error {
            Some(Err(error)) => (error_offset(bytes, &error), error.to_string()),
            // It takes what was refused, which should not be.
            _ => (0, "this value is not JSON".to_owned()),
        };
        let offset = self.window.offset() + at as u64;
        match self.is_not_utf8(offset) {
            Ok(true) => return Stop::Broken,
            Ok(false) => {}
            Err(stop) => return stop,
        }
        let message =
            message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        self.broken(Code::JsonSyntax, offset, || message.to_owned())
    }

    /// Whether there are bytes that are not UTF-8 up to a fault, or right behind it; reports them.
    fn is_not_utf8(&mut self, offset: u64) -> Step<bool> {
        let end = offset + 4;
        self.require(usize::try_from(end - self.window.offset()).unwrap_or(usize::MAX))?;
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

#[cfg(test)]
mod tests;
