//! A window that slides over a source: bounded memory, whole characters, and places.
//!
//! Scanners see the unread bytes as one slice, take from its front, and ask for more. The window
//! checks each byte once, when it is read: that it is UTF-8 and, for XML, a character that XML 1.0
//! allows. It never shows a part of a character.

use std::cell::Cell;
use std::io::{self, Read};

use memchr::{memchr_iter, memrchr};
use simdutf8::basic::from_utf8;

use crate::finding::Place;

/// The usual size of the window; measured best between 64 and 128 KiB.
pub const WINDOW_SIZE: usize = 128 * 1024;

/// The size to begin with: most files are no longer, and room has to be cleared.
const FIRST_SIZE: usize = 16 * 1024;

/// The window doubles up to this much at a time.
const LARGEST_GROWTH: usize = 2 * 1024 * 1024;

/// Which characters a document may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// All that ASCII has and XML allows.
    Ascii,
    /// All that UTF-8 encodes; JSON's own rules on control characters are its parser's.
    Unicode,
    /// Those of XML 1.0, production \[2\] `Char`.
    Xml,
}

/// A place in the source where there is no allowed character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IllegalCharacter {
    /// Bytes from the start of the source.
    pub offset: u64,
    /// What is there.
    pub kind: IllegalKind,
}

/// What stands where an allowed character should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IllegalKind {
    /// A byte that is no part of a UTF-8 character.
    NotUtf8(u8),
    /// A character that XML does not have.
    Forbidden(char),
    /// A character that ASCII does not have.
    NotAscii(char),
}

/// How much of a document was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub bytes: u64,
    pub lines: u64,
}

/// A place that was counted out: an offset, its line and where that line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    offset: u64,
    line: u64,
    line_start: u64,
}

impl Mark {
    const START: Self = Self { offset: 0, line: 1, line_start: 0 };

    /// The mark that is `bytes` further.
    fn after(self, bytes: &[u8]) -> Self {
        let line_start = match memrchr(b'\n', bytes) {
            Some(at) => self.offset + at as u64 + 1,
            None => self.line_start,
        };
        Self {
            offset: self.offset + bytes.len() as u64,
            line: self.line + memchr_iter(b'\n', bytes).count() as u64,
            line_start,
        }
    }

    /// Bytes from the start of the source.
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// Its line, from 1.
    pub const fn line(self) -> u64 {
        self.line
    }

    /// The place of it, within these elements.
    pub fn place(self, path: String) -> Place {
        let column = self.offset.saturating_sub(self.line_start) + 1;
        Place { offset: self.offset, line: self.line, column, path }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Window<R> {
    source: R,
    charset: Charset,
    buffer: Vec<u8>,
    /// The size that the buffer has once something was taken.
    usual: usize,
    /// The unread bytes are `start..shown`; `shown..end` is a part of a character.
    start: usize,
    shown: usize,
    end: usize,
    /// Where the buffer's first byte is in the source.
    base: Mark,
    /// The last place in the buffer that was asked for: what comes next is mostly behind it.
    last: Cell<Mark>,
    at_eof: bool,
    /// Illegal characters in the buffer, first one last.
    illegal: Vec<IllegalCharacter>,
}

impl<R: Read> Window<R> {
    /// A window over `source`, which must be at its start.
    pub fn new(source: R, charset: Charset) -> Self {
        Self::with_sizes(source, charset, FIRST_SIZE, WINDOW_SIZE)
    }

    /// The same with another size, for tests.
    #[cfg(test)]
    pub fn with_size(source: R, charset: Charset, size: usize) -> Self {
        Self::with_sizes(source, charset, size, size)
    }

    fn with_sizes(source: R, charset: Charset, first: usize, usual: usize) -> Self {
        Self {
            source,
            charset,
            buffer: vec![0; first],
            usual,
            start: 0,
            shown: 0,
            end: 0,
            base: Mark::START,
            last: Cell::new(Mark::START),
            at_eof: false,
            illegal: Vec::new(),
        }
    }

    /// The bytes that were read and not taken yet.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.shown).unwrap_or_default()
    }

    /// Where the first unread byte is in the source.
    #[inline]
    pub const fn offset(&self) -> u64 {
        self.base.offset + self.start as u64
    }

    /// Takes `count` bytes from the front; at most those that are there.
    #[inline]
    pub fn take(&mut self, count: usize) {
        self.start = self.shown.min(self.start + count);
    }

    /// The rest of the document holds ASCII only: that is what it says of itself.
    pub fn restrict_to_ascii(&mut self) {
        self.charset = Charset::Ascii;
        let unread = self.buffer.get(self.start..self.shown).unwrap_or_default();
        let mut found = Vec::new();
        find_illegal(unread, self.base.offset + self.start as u64, self.charset, &mut found);
        found.reverse();
        self.illegal = found;
    }

    /// Whether there is nothing after what [`bytes`](Self::bytes) shows.
    pub const fn at_eof(&self) -> bool {
        self.at_eof
    }

    /// Reads more behind the unread bytes, growing the buffer when they fill it.
    ///
    /// Returns whether there is more to see. The caller bounds the growth: it asks for more only
    /// while the unread bytes are within its limit.
    ///
    /// # Errors
    /// What reading the source gives.
    pub fn fill(&mut self) -> io::Result<bool> {
        let seen = self.shown - self.start;
        while !self.at_eof && self.shown - self.start == seen {
            self.slide();
            if self.end == self.buffer.len() {
                let more = self.buffer.len().min(LARGEST_GROWTH);
                self.buffer.resize(self.buffer.len() + more, 0);
            }
            // What is found in one read is listed, so that one is bounded however large the buffer.
            let limit = self.buffer.len().min(self.end + WINDOW_SIZE);
            let room = self.buffer.get_mut(self.end..limit).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => self.at_eof = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.check();
        }
        Ok(self.shown - self.start > seen)
    }

    /// Makes sure that at least `count` unread bytes are there; `false` at the end of the source.
    ///
    /// # Errors
    /// What reading the source gives.
    #[inline]
    pub fn require(&mut self, count: usize) -> io::Result<bool> {
        while self.shown - self.start < count {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts out the line and column of an offset that is in the buffer still.
    ///
    /// That holds for everything since the last [`fill`](Self::fill), and for all unread bytes.
    pub fn mark(&self, offset: u64) -> Mark {
        debug_assert!(offset >= self.base.offset, "the offset is not in the buffer any more");
        let last = self.last.get();
        let from = if last.offset <= offset { last } else { self.base };
        let within = |offset: u64| {
            usize::try_from(offset.saturating_sub(self.base.offset))
                .unwrap_or(usize::MAX)
                .min(self.end)
        };
        let between = self.buffer.get(within(from.offset)..within(offset)).unwrap_or_default();
        let mark = from.after(between);
        self.last.set(mark);
        mark
    }

    /// The place of an offset that is in the buffer still, within these elements.
    pub fn place(&self, offset: u64, path: String) -> Place {
        self.mark(offset).place(path)
    }

    /// How much was taken: bytes, and the lines they are on.
    pub fn extent(&self) -> Extent {
        let bytes = self.offset();
        let end = self.mark(bytes);
        // A line feed at the end begins no further line.
        let is_at_start = bytes == end.line_start;
        Extent { bytes, lines: if is_at_start { end.line - 1 } else { end.line } }
    }

    /// The next illegal character before `offset`, each once and in order.
    #[inline]
    pub fn next_illegal(&mut self, offset: u64) -> Option<IllegalCharacter> {
        match self.illegal.last() {
            Some(illegal) if illegal.offset < offset => self.illegal.pop(),
            _ => None,
        }
    }

    /// How many illegal characters are in the buffer and were not asked for yet.
    pub const fn illegal_pending(&self) -> usize {
        self.illegal.len()
    }

    /// Drops the bytes that were taken, so that there is room behind the others.
    fn slide(&mut self) {
        if self.start == 0 {
            return;
        }
        self.base = self.mark(self.offset());
        self.buffer.copy_within(self.start..self.end, 0);
        self.shown -= self.start;
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < self.usual {
            self.buffer.resize(self.usual, 0);
        }
    }

    /// Checks what was read since the last time, and shows all whole characters of it.
    fn check(&mut self) {
        let fresh = self.buffer.get(self.shown..self.end).unwrap_or_default();
        let whole = if self.at_eof { fresh.len() } else { fresh.len() - partial_character(fresh) };
        let fresh = fresh.get(..whole).unwrap_or_default();
        let offset = self.base.offset + self.shown as u64;
        let is_legal = match self.charset {
            Charset::Unicode => from_utf8(fresh).is_ok(),
            Charset::Xml => from_utf8(fresh).is_ok() && !has_forbidden(fresh),
            Charset::Ascii => fresh.is_ascii() && !has_forbidden(fresh),
        };
        if !is_legal {
            let mut found = Vec::new();
            find_illegal(fresh, offset, self.charset, &mut found);
            found.reverse();
            found.append(&mut self.illegal);
            self.illegal = found;
        }
        self.shown += whole;
    }
}

/// How many bytes at the end begin a character that is not complete: 0 to 3.
fn partial_character(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

/// Whether there is a character that XML 1.0 forbids, in text that is UTF-8.
///
/// The loop over the control characters is written for the compiler to vectorise: no branch in it.
fn has_forbidden(bytes: &[u8]) -> bool {
    let control = |block: &[u8]| {
        block.iter().fold(0, |seen, &byte| {
            seen | u8::from((byte < 0x20) && (byte != b'\t') && (byte != b'\n') && (byte != b'\r'))
        }) != 0
    };
    bytes.chunks(4096).any(control) || memchr_iter(0xEF, bytes).any(|at| is_noncharacter(bytes, at))
}

/// Whether U+FFFE or U+FFFF is at this place.
fn is_noncharacter(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..at + 3), Some([0xEF, 0xBF, 0xBE | 0xBF]))
}

/// Lists every place without an allowed character; the slow path, taken when there is one.
fn find_illegal(bytes: &[u8], offset: u64, charset: Charset, found: &mut Vec<IllegalCharacter>) {
    let mut at = offset;
    for part in bytes.utf8_chunks() {
        if charset != Charset::Unicode {
            for (index, character) in part.valid().char_indices() {
                let offset = at + index as u64;
                if charset == Charset::Ascii && !character.is_ascii() {
                    found.push(IllegalCharacter { offset, kind: IllegalKind::NotAscii(character) });
                } else if !is_xml_character(character) {
                    found
                        .push(IllegalCharacter { offset, kind: IllegalKind::Forbidden(character) });
                }
            }
        }
        at += part.valid().len() as u64;
        for &byte in part.invalid() {
            found.push(IllegalCharacter { offset: at, kind: IllegalKind::NotUtf8(byte) });
            at += 1;
        }
    }
}

/// Whether XML 1.0 allows the character, production \[2\] `Char`.
#[must_use]
pub const fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives `step` bytes at a time.
    struct Steps<'a>(&'a [u8], usize);

    impl Read for Steps<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read_all(text: &[u8], step: usize, charset: Charset) -> (Vec<u8>, Vec<IllegalCharacter>) {
        let mut window = Window::with_size(Steps(text, step), charset, 8);
        let (mut seen, mut illegal) = (Vec::new(), Vec::new());
        while window.fill().unwrap() {
            let bytes = window.bytes().to_vec();
            seen.extend_from_slice(&bytes);
            window.take(bytes.len());
            while let Some(next) = window.next_illegal(u64::MAX) {
                illegal.push(next);
            }
        }
        (seen, illegal)
    }

    #[test]
    fn finds_the_same_at_every_step() {
        let text = "a\u{1b}é\u{fffe}😀\0z\u{ffff}".as_bytes();
        let mut broken = text.to_vec();
        broken.splice(2..2, [0xC3, 0x28, 0xFF]);
        broken.extend([0xF0, 0x9F]);
        for charset in [Charset::Unicode, Charset::Xml] {
            let whole = read_all(&broken, 1000, charset);
            assert_eq!(whole.0, broken);
            assert_eq!(whole.1.len(), if charset == Charset::Xml { 8 } else { 4 });
            for step in 1..12 {
                assert_eq!(read_all(&broken, step, charset), whole, "step {step}");
            }
        }
    }

    #[test]
    fn knows_lines_and_columns_after_sliding() {
        let text = b"one\ntwo\r\n\nfour";
        for step in 1..6 {
            let mut window = Window::with_size(Steps(text, step), Charset::Xml, 8);
            for offset in 0..text.len() as u64 {
                window.require(1).unwrap();
                let before = &text[..usize::try_from(offset).unwrap()];
                let line = 1 + memchr_iter(b'\n', before).count() as u64;
                let column = 1 + before.iter().rev().take_while(|&&b| b != b'\n').count() as u64;
                let place = window.place(offset, String::new());
                assert_eq!((place.line, place.column), (line, column), "offset {offset}");
                window.take(1);
            }
        }
    }

    #[test]
    fn allows_the_characters_of_xml_and_no_others() {
        for character in '\0'..=char::MAX {
            let expected = matches!(character as u32,
                0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x10000..=0x0010_FFFF);
            assert_eq!(is_xml_character(character), expected, "{character:?}");
            if character < '\u{20}' || character > '\u{FFF0}' && character < '\u{10010}' {
                let text = format!("ab{character}");
                assert_eq!(has_forbidden(text.as_bytes()), !expected, "{character:?}");
            }
        }
    }
}
