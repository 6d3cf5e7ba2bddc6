//! Reading the elements of a JSON array on two threads.
//!
//! A value is the same wherever it stands. So elements can be read before the walk arrives at them:
//! of what is in the window, one thread reads the first half and another the second, from where an
//! element is guessed to begin. The walk takes what was read where it arrives at just the byte at
//! which that began, and reads for itself elsewhere. Nothing but the time depends on the guess.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use memchr::{memchr, memmem};

use super::json::{Cursor, Parsed, Step};
use super::value::{Extent, Reader};

/// How much is read ahead at once, in bytes. Starting a thread takes as long as reading some 30 KB.
const BLOCK: usize = 1024 * 1024;

/// How many elements one thread reads at once, as each takes room however short it is.
const MOST: usize = 4096;

/// The longest beginning of an element by which others are looked for: up to its first colon.
const LONGEST_BEGINNING: usize = 64;

/// Whether there is but one processor. The answer takes reading several files: it is asked for once.
static IS_ALONE: LazyLock<bool> =
    LazyLock::new(|| thread::available_parallelism().is_ok_and(|count| count.get() == 1));

/// The elements of one array that were read ahead; see the module.
#[derive(Debug)]
pub struct Ahead<T> {
    /// How much is read ahead at once, in bytes; nothing if it is 0.
    block: usize,
    elements: VecDeque<Element<T>>,
    /// From where more is to be read ahead.
    next: u64,
}

/// An element that was read.
#[derive(Debug)]
struct Element<T> {
    offset: u64,
    extent: Extent,
    value: T,
}

impl<T: Send> Ahead<T> {
    /// Reads ahead if there are processors for it.
    pub fn new() -> Self {
        Self::of_block(if *IS_ALONE { 0 } else { BLOCK })
    }

    /// Reads so much ahead at once.
    pub const fn of_block(block: usize) -> Self {
        Self { block, elements: VecDeque::new(), next: 0 }
    }

    /// Takes the next element, as [`Cursor::value`] does.
    ///
    /// # Errors
    /// [`Stop`](super::json::Stop), as every step.
    pub fn value<R: Read>(
        &mut self,
        cursor: &mut Cursor<'_, R>,
        read: impl Fn(&mut Reader<'_>) -> T + Sync,
    ) -> Step<Parsed<T>> {
        cursor.peek()?;
        let offset = cursor.offset();
        while self.elements.front().is_some_and(|element| element.offset < offset) {
            self.elements.pop_front();
        }
        if self.elements.is_empty() && offset >= self.next && self.block > 0 {
            cursor.require(self.block)?;
            self.look(offset, cursor.unread(), cursor.levels(), &read);
        }
        if self.elements.front().is_some_and(|element| element.offset == offset)
            && let Some(Element { extent, value, .. }) = self.elements.pop_front()
        {
            cursor.take(extent);
            return Ok(Parsed { value, offset });
        }
        cursor.value(read)
    }

    /// Reads elements that are in `bytes`, which begin with one at this offset.
    fn look(
        &mut self,
        offset: u64,
        bytes: &[u8],
        levels: usize,
        read: &(impl Fn(&mut Reader<'_>) -> T + Sync),
    ) {
        // The end of a file is not worth a thread.
        if let Some(middle) = likely_start(bytes).filter(|_| bytes.len() >= self.block) {
            // Where the other processor is busy, the second thread may not have come far.
            let is_time = AtomicBool::new(false);
            let read_second = || {
                let goes_on = || !is_time.load(Ordering::Relaxed);
                elements(offset, bytes, middle..bytes.len(), levels, read, goes_on)
            };
            thread::scope(|scope| {
                let second = thread::Builder::new().spawn_scoped(scope, read_second);
                self.elements.extend(elements(offset, bytes, 0..middle, levels, read, || true));
                is_time.store(true, Ordering::Relaxed);
                let second = second.ok().and_then(|thread| thread.join().ok());
                self.elements.extend(second.unwrap_or_default());
            });
        }
        let end = self.elements.back().map(|last| last.offset + last.extent.length as u64);
        self.next = end.unwrap_or(offset + bytes.len() as u64);
    }
}

/// Where behind the middle an element may begin: one that begins as the first does.
fn likely_start(bytes: &[u8]) -> Option<usize> {
    let beginning = bytes.get(..LONGEST_BEGINNING)?;
    let beginning = beginning.get(..=memchr(b':', beginning)?)?;
    let middle = bytes.len() / 2;
    Some(middle + memmem::find(bytes.get(middle..)?, beginning)?)
}

/// Reads elements with commas between them, of which the first begins at the range's start and the
/// last before its end, while `goes_on` says so. `offset` is that of the first byte.
fn elements<T>(
    offset: u64,
    bytes: &[u8],
    range: Range<usize>,
    levels: usize,
    read: impl Fn(&mut Reader<'_>) -> T,
    goes_on: impl Fn() -> bool,
) -> Vec<Element<T>> {
    let mut elements = Vec::new();
    let mut at = range.start;
    while at < range.end && elements.len() < MOST && goes_on() {
        let rest = bytes.get(at..).unwrap_or_default();
        let mut reader = Reader::new(rest, levels);
        let value = read(&mut reader);
        // What goes to the end of the bytes may go on behind it.
        let Some(extent) = reader.end().ok().filter(|extent| extent.length < rest.len()) else {
            break;
        };
        elements.push(Element { offset: offset + at as u64, extent, value });
        at += extent.length;
        let mut between = bytes.get(at..).unwrap_or_default().iter().enumerate();
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let mut comma = between.by_ref().skip_while(|(_, byte)| is_space(**byte));
        if comma.next().is_none_or(|(_, byte)| *byte != b',') {
            break;
        }
        match between.find(|(_, byte)| !is_space(**byte)) {
            Some((length, _)) => at += length,
            None => break,
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_by_both() {
        let text = r#"{"name":[{"name":1}]}, "#.repeat(10);
        let mut ahead = Ahead::of_block(100);
        ahead.look(5, text.as_bytes(), 100, &|reader: &mut Reader<'_>| {
            reader.skip();
            thread::current().id()
        });
        let offsets: Vec<_> = ahead.elements.iter().map(|element| element.offset).collect();
        let threads: Vec<_> = ahead.elements.iter().map(|element| element.value).collect();
        assert!(offsets.iter().zip(0..).all(|(offset, index)| *offset == 5 + 23 * index));
        let (first, second) = threads.split_at(5);
        assert!(first.iter().all(|id| *id == thread::current().id()));
        assert!(second.iter().all(|id| *id != thread::current().id() && *id == second[0]));
        assert_eq!(ahead.next, offsets.last().unwrap() + 21);
    }

    #[test]
    fn a_guess_may_be_wrong() {
        let inner = r#"{"name":1},"#.repeat(20);
        let text = format!(r#"{{"name":[{inner}1]}}, {{"name":2}}, "#);
        assert!(likely_start(text.as_bytes()).is_some_and(|start| start < inner.len()));
        let mut ahead = Ahead::of_block(100);
        ahead.look(0, text.as_bytes(), 100, &|reader: &mut Reader<'_>| reader.skip());
        let first = ahead.elements.front().map(|element| element.extent.length);
        assert_eq!(first, Some(inner.len() + 12));
    }
}
