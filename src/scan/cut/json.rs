//! Cutting a JSON document between the elements of the arrays that hold its results.
//!
//! A *unit* is an element that is never cut. The arrays around it are *frames*: each begins with its
//! array's `[` and whatever stands before that in its object, and ends with the `]` and the rest of
//! the object. A piece opens its frames with their beginnings and closes them with their ends, so
//! the envelope is kept. The comma at a cut is left out.

use bytes::Bytes;

use super::{Budget, Limits, Part, Piece, Pieces};
use crate::scan::Counts;
use crate::scan::window::Mark;
use crate::spool::ByteRange;

/// A frame that is open.
#[derive(Debug, Clone)]
struct Frame {
    /// From the start of its object, or of the array if it has none, to behind the `[`.
    head: ByteRange,
    /// Where its end will be noted, once a piece needs it.
    tail: Option<usize>,
}

/// The unit at hand.
#[derive(Debug, Clone, Copy)]
struct Unit {
    /// Where the piece that begins with it begins, within how many frames.
    start: u64,
    depth: usize,
    line: u64,
}

/// The piece that is being made.
#[derive(Debug, Default)]
struct Current {
    heads: Vec<ByteRange>,
    start: u64,
    before: Counts,
    first_line: u64,
    /// How many units it has.
    units: u64,
}

/// A piece whose frames may not have ended yet.
#[derive(Debug)]
struct PendingPiece {
    heads: Vec<ByteRange>,
    inner: ByteRange,
    /// The frames that are open at its end, innermost first.
    tails: Vec<usize>,
    counts: Counts,
    lines: (u64, u64),
    units: u64,
}

/// Follows a document and cuts it; see the module.
#[derive(Debug)]
pub struct JsonCutter {
    limits: Limits,
    frames: Vec<Frame>,
    /// The ends of the frames that pieces need; the first is the root's.
    tails: Vec<Part>,
    counts: Counts,
    current: Current,
    unit: Option<Unit>,
    /// Where the last unit, or the last element around it, ends.
    last_end: u64,
    last_line: u64,
    /// Where the last unit ends.
    complete: Option<Mark>,
    /// Where the last piece ends, in a document that breaks off.
    broken_off: Option<Mark>,
    pieces: Vec<PendingPiece>,
    budget: Budget,
    /// All up to behind the `[` of the root's array.
    root: Option<ByteRange>,
}

impl JsonCutter {
    /// A cutter at the start of a document.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            frames: Vec::new(),
            tails: Vec::new(),
            counts: Counts::default(),
            current: Current::default(),
            unit: None,
            last_end: 0,
            last_line: 0,
            complete: None,
            broken_off: None,
            pieces: Vec::new(),
            budget: Budget::default(),
            root: None,
        }
    }

    /// What is counted so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The root's array of results opens; `head` is all up to behind its `[`.
    pub fn open_root(&mut self, head: ByteRange) {
        self.root = Some(head.clone());
        self.current.start = head.end;
        self.current.heads = vec![head.clone()];
        self.tails.push(Part::Range(0..0));
        self.frames.push(Frame { head, tail: Some(0) });
    }

    /// The root's array of results closes, with its `]` here: all results are seen.
    pub fn close_root(&mut self, bracket: u64) {
        self.frames.truncate(1);
        self.end_piece(bracket, self.counts);
        self.frames.clear();
        // How far it goes is known at the end of the document.
        if let Some(root) = self.tails.first_mut() {
            *root = Part::Range(bracket..u64::MAX);
        }
    }

    /// The document is over. A root that has not closed, and is an array and nothing else, is closed
    /// behind the last unit.
    pub fn close_array(&mut self) {
        if self.frames.len() == 1
            && let Some(end) = self.complete
            && let Some(root) = self.tails.first_mut()
        {
            *root = Part::Literal(Bytes::from_static(b"]"));
            self.end_piece(end.offset(), self.counts);
            self.broken_off = Some(end);
        }
    }

    /// An element of a frame opens an array of results of its own.
    pub fn open_frame(&mut self, head: ByteRange) {
        self.frames.push(Frame { head, tail: None });
    }

    /// The element of the innermost frame ends, from its array's `]` to behind its `}`.
    pub fn close_frame(&mut self, tail: ByteRange) {
        if let Some(frame) = self.frames.pop()
            && let Some(noted) = frame.tail.and_then(|slot| self.tails.get_mut(slot))
        {
            *noted = Part::Range(tail);
        }
    }

    /// An element of a frame ends, whatever it held.
    pub const fn end_element(&mut self, end: u64) {
        self.last_end = end;
    }

    /// A unit begins.
    pub fn open_unit(&mut self, offset: u64, line: u64) {
        let opened_for_it = self.frames.iter().rev();
        let opened_for_it = opened_for_it.take_while(|frame| frame.head.start >= self.last_end);
        let (count, outermost) =
            opened_for_it.fold((0, None), |(count, _), frame| (count + 1, Some(frame)));
        let start = outermost.map_or(offset, |frame| frame.head.start);
        self.unit = Some(Unit { start, depth: self.frames.len() - count, line });
    }

    /// The unit ends, and held these results.
    pub fn close_unit(&mut self, mark: Mark, held: Counts) {
        let Some(unit) = self.unit.take() else { return };
        let end = mark.offset();
        let before = self.counts;
        self.counts = before.plus(held);
        let is_first = before.results == self.current.before.results;
        // What holds no result makes no piece of its own.
        let may_cut = !is_first && held.results > 0 && unit.depth > 0;
        if may_cut && self.is_beyond(end) && !self.budget.is_spent() {
            self.cut(unit, before);
        }
        if held.results > 0 {
            if before.results == self.current.before.results {
                self.current.first_line = unit.line;
            }
            self.last_line = mark.line();
        }
        self.current.units += 1;
        self.last_end = end;
        self.complete = Some(mark);
    }

    fn is_beyond(&self, end: u64) -> bool {
        let current = &self.current;
        let heads: u64 = current.heads.iter().map(|head| head.end - head.start).sum();
        // The ends of the open frames are not known yet; mostly they are a bracket or two.
        let around = heads + 2 * self.frames.len() as u64;
        let results = self.counts.results - current.before.results;
        self.limits.are_exceeded(results, end - current.start, around)
    }

    /// Ends the current piece where the last unit ended, and begins another one with this unit.
    fn cut(&mut self, unit: Unit, before: Counts) {
        let inner = self.frames.split_off(unit.depth);
        self.end_piece(self.last_end, before);
        let heads = self.frames.iter().map(|frame| frame.head.clone()).collect();
        self.frames.extend(inner);
        self.current =
            Current { heads, start: unit.start, before, first_line: unit.line, units: 0 };
    }

    /// Ends the current piece; the frames that are open at its end are all there are now.
    fn end_piece(&mut self, end: u64, counts: Counts) {
        let tails = &mut self.tails;
        let mut slot = |frame: &mut Frame| {
            *frame.tail.get_or_insert_with(|| {
                tails.push(Part::Range(0..0));
                tails.len() - 1
            })
        };
        self.budget.spend(2 * self.frames.len() + 1);
        self.pieces.push(PendingPiece {
            tails: self.frames.iter_mut().rev().map(&mut slot).collect(),
            heads: std::mem::take(&mut self.current.heads),
            inner: self.current.start..end,
            counts: counts.since(&self.current.before),
            lines: (self.current.first_line, self.last_line),
            units: self.current.units,
        });
    }

    /// The pieces of a document of `length` bytes; none if it cannot be cut.
    pub fn finish(self, length: u64) -> Pieces {
        let tail = |slot: usize| match self.tails.get(slot) {
            Some(Part::Range(range)) => Part::Range(range.start..range.end.min(length)),
            Some(literal) => literal.clone(),
            None => Part::Range(0..0),
        };
        let is_within = self.counts.results <= self.limits.results && length <= self.limits.bytes;
        let pieces = self.pieces.into_iter().map(|pending| Piece {
            open: pending.heads.into_iter().map(Part::Range).collect(),
            inner: vec![Part::Range(pending.inner)],
            close: pending.tails.into_iter().map(tail).collect(),
            counts: pending.counts,
            lines: pending.lines,
            units: pending.units,
            ..Piece::default()
        });
        let pieces: Vec<_> = pieces.collect();
        let list = match (self.root, self.tails.first()) {
            (Some(root), Some(Part::Range(tail))) if is_within && pieces.len() > 1 => {
                vec![Piece::whole(&root, &(tail.start..length), length, &pieces)]
            }
            _ => pieces,
        };
        let broken_off = self.broken_off.map(|end| end.place(String::new()));
        Pieces { list, broken_off, ..Pieces::default() }
    }
}
