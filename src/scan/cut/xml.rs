//! Cutting an XML document between the children of its containers.
//!
//! Containers are the elements around the results: suites and the root. Their other children are
//! *units*, which are never cut: mostly a result, else a suite's output. A cut is made just before
//! the unit that would go beyond the limits, or, if containers were opened for that unit alone,
//! before the outermost of them.
//!
//! Every container that is open at a cut is closed in the piece before it and opened again in the
//! one behind it: with its attributes as they stand, except for the counts and times, which become
//! those of the piece, and with the properties repeated that stand before the cut. So is the
//! document's prolog: what follows may need its DOCTYPE.
//!
//! Where a document breaks off, it is cut behind the last child of a container that is complete. So
//! its pieces are whole all the same; containers that were opened behind that are left out.

use bytes::Bytes;

use super::{Budget, Limits, Part, Piece, Pieces, Tally};
use crate::scan::handler::MarkOf;
use crate::scan::window::Mark;
use crate::spool::ByteRange;

/// By how much a count or time may be longer than the one that it replaces, in bytes.
const GROWTH: u64 = 20;

/// How many `<properties>` of a suite are repeated: one is usual.
const MAX_PROPERTIES: usize = 16;

/// An attribute that says something about all results in its element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountAttribute {
    Tests,
    Failures,
    Errors,
    Skipped,
    Time,
}

impl CountAttribute {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// The attribute of this name.
    pub fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"tests" => Some(Self::Tests),
            b"failures" => Some(Self::Failures),
            b"errors" => Some(Self::Errors),
            b"skipped" => Some(Self::Skipped),
            b"time" => Some(Self::Time),
            _ => None,
        }
    }

    fn value(self, tally: &Tally) -> String {
        let counts = &tally.counts;
        match self {
            Self::Tests => counts.results.to_string(),
            Self::Failures => counts.failures.to_string(),
            Self::Errors => counts.errors.to_string(),
            Self::Skipped => counts.skipped.to_string(),
            Self::Time => format!("{}.{:06}", tally.time / 1_000_000, tally.time % 1_000_000),
        }
    }
}

/// Where a container's start tag is, and what in it is to be rewritten.
#[derive(Debug, Clone)]
struct Tag {
    range: ByteRange,
    name_length: u64,
    /// In the order in which they stand, and so few that each may be there once.
    counts: Vec<(CountAttribute, ByteRange)>,
    properties: Vec<ByteRange>,
}

impl Tag {
    /// The tag with the counts of a tally.
    fn rewritten(&self, tally: &Tally, parts: &mut Vec<Part>) {
        let mut at = self.range.start;
        for (attribute, value) in &self.counts {
            parts.push(Part::Range(at..value.start));
            parts.push(Part::Literal(Bytes::from(attribute.value(tally))));
            at = value.end;
        }
        parts.push(Part::Range(at..self.range.end));
    }

    /// The end tag for it.
    fn closed(&self, parts: &mut Vec<Part>) {
        let name = self.range.start + 1;
        parts.push(Part::Literal(Bytes::from_static(b"</")));
        parts.push(Part::Range(name..name + self.name_length));
        parts.push(Part::Literal(Bytes::from_static(b">")));
    }

    /// How many bytes its end tag has.
    const fn close_length(&self) -> u64 {
        self.name_length + 3
    }

    /// How many bytes rewriting may add to it.
    const fn growth(&self) -> u64 {
        self.counts.len() as u64 * GROWTH
    }

    /// How many bytes it takes at most to open it again.
    fn reopen_length(&self) -> u64 {
        let properties: u64 = self.properties.iter().map(|range| range.end - range.start).sum();
        self.range.end - self.range.start + self.growth() + properties
    }
}

/// A container that is open.
#[derive(Debug)]
struct Frame {
    tag: Tag,
    /// What was counted before it.
    before: Tally,
}

/// A container that the piece opens again.
#[derive(Debug, Clone)]
struct Reopened {
    tag: Tag,
    /// What was counted when it closed, if it closed in this piece.
    until: Option<Tally>,
}

/// A place whose line is counted out only if it is wanted, or before it is out of reach.
#[derive(Debug, Clone, Copy)]
enum Line {
    OfOffset(u64),
    Counted(u64),
}

impl Default for Line {
    fn default() -> Self {
        Self::Counted(0)
    }
}

impl Line {
    fn counted(self, mark: MarkOf<'_>) -> u64 {
        match self {
            Self::OfOffset(offset) => mark(offset).line(),
            Self::Counted(line) => line,
        }
    }

    fn settle(&mut self, mark: MarkOf<'_>) {
        *self = Self::Counted(self.counted(mark));
    }
}

/// The piece that is being made.
#[derive(Debug, Clone, Default)]
struct Current {
    start: u64,
    reopened: Vec<Reopened>,
    /// How many bytes opening them takes at most.
    reopen_length: u64,
    /// What was counted before it.
    before: Tally,
    first_line: Line,
    /// How many units it has.
    units: u64,
}

/// The unit at hand.
#[derive(Debug, Clone, Copy)]
struct Unit {
    /// Where to cut if it does not fit any more, within how many containers.
    cut: u64,
    cut_depth: usize,
    before: Tally,
    line: Line,
}

/// Where the last child of a container that is complete ends.
#[derive(Debug, Clone, Copy)]
struct Complete {
    end: u64,
    /// The same, once it was counted out.
    mark: Option<Mark>,
    /// Within how many containers.
    depth: usize,
    /// What was counted up to there.
    tally: Tally,
}

/// Follows a document and cuts it; see the module.
#[derive(Debug)]
pub struct XmlCutter {
    limits: Limits,
    frames: Vec<Frame>,
    /// Sums over the open containers: of their end tags, and of what rewriting may add.
    close_length: u64,
    growth: u64,
    tally: Tally,
    current: Current,
    /// The piece before, while the current one holds no result: it may stay the last one.
    spare: Option<Current>,
    unit: Option<Unit>,
    /// Where the last unit ends, and on which line.
    last_end: u64,
    last_line: Line,
    complete: Option<Complete>,
    pieces: Vec<Piece>,
    budget: Budget,
    /// The root's tag and end tag, once it has ended.
    root: Option<(ByteRange, ByteRange)>,
}

impl XmlCutter {
    /// A cutter at the start of a document.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            frames: Vec::new(),
            close_length: 0,
            growth: 0,
            tally: Tally::default(),
            current: Current::default(),
            spare: None,
            unit: None,
            last_end: 0,
            last_line: Line::default(),
            complete: None,
            pieces: Vec::new(),
            budget: Budget::default(),
            root: None,
        }
    }

    /// What is counted so far; the caller counts.
    pub const fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// What is counted so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A container opens, with its tag here and these attributes to be rewritten.
    pub fn open_container(
        &mut self,
        range: ByteRange,
        name_length: u64,
        counts: Vec<(CountAttribute, ByteRange)>,
    ) {
        let tag = Tag { range, name_length, counts, properties: Vec::new() };
        self.close_length += tag.close_length();
        self.growth += tag.growth();
        self.frames.push(Frame { tag, before: self.tally });
    }

    /// Counts out the lines that may be wanted, before they are out of reach.
    pub fn settle(&mut self, mark: MarkOf<'_>) {
        self.current.first_line.settle(mark);
        self.last_line.settle(mark);
        if let Some(unit) = &mut self.unit {
            unit.line.settle(mark);
        }
        if let Some(complete) = &mut self.complete {
            complete.mark.get_or_insert_with(|| mark(complete.end));
        }
    }

    /// The innermost container closes: its end tag is here. The root's end ends the document.
    ///
    /// Here and elsewhere, `mark` counts out an offset that was not settled.
    pub fn close_container(&mut self, end_tag: &ByteRange, mark: MarkOf<'_>) {
        if self.frames.len() == 1 {
            self.end_of_root(end_tag, mark);
        }
        let Some(frame) = self.frames.pop() else { return };
        self.close_length -= frame.tag.close_length();
        self.growth -= frame.tag.growth();
        if let Some(reopened) = self.current.reopened.get_mut(self.frames.len()) {
            // A later sibling at the same depth is none that was opened again.
            reopened.until.get_or_insert(self.tally);
        }
        self.completed(end_tag.end);
    }

    /// A child of the innermost container is complete.
    const fn completed(&mut self, end: u64) {
        self.complete =
            Some(Complete { end, mark: None, depth: self.frames.len(), tally: self.tally });
    }

    /// Properties of the innermost container are here. Those beyond the usual number go once.
    pub fn properties(&mut self, range: ByteRange) {
        if let Some(frame) = self.frames.last_mut()
            && frame.tag.properties.len() < MAX_PROPERTIES
        {
            frame.tag.properties.push(range);
        }
    }

    /// A unit begins.
    pub fn open_unit(&mut self, offset: u64) {
        let opened_for_it = self.frames.iter().rev();
        let opened_for_it =
            opened_for_it.take_while(|frame| frame.tag.range.start >= self.last_end);
        let (count, outermost) =
            opened_for_it.fold((0, None), |(count, _), frame| (count + 1, Some(frame)));
        self.unit = Some(Unit {
            cut: outermost.map_or(offset, |frame| frame.tag.range.start),
            cut_depth: self.frames.len() - count,
            before: self.tally,
            line: Line::OfOffset(offset),
        });
    }

    /// The unit ends; all in it is counted.
    pub fn close_unit(&mut self, end: u64, mark: MarkOf<'_>) {
        let Some(unit) = self.unit.take() else { return };
        let is_first = unit.before.counts.results == self.current.before.counts.results;
        if is_first && self.has_results(&self.current) {
            self.current.first_line = unit.line;
        }
        // What is beyond the limits by itself is not made smaller by a cut before it.
        if !is_first && unit.cut_depth > 0 && self.is_beyond(end) && !self.budget.is_spent() {
            self.cut(unit, mark);
        }
        if self.has_results(&self.current) {
            self.spare = None;
        }
        if self.tally.counts.results > unit.before.counts.results {
            self.last_line = Line::OfOffset(end.saturating_sub(1));
        }
        self.current.units += 1;
        self.last_end = end;
        self.completed(end);
    }

    fn has_results(&self, piece: &Current) -> bool {
        self.tally.counts.results > piece.before.counts.results
    }

    /// Whether the current piece is beyond the limits if it goes on to `end`.
    fn is_beyond(&self, end: u64) -> bool {
        let current = &self.current;
        let results = self.tally.counts.results - current.before.counts.results;
        let around = current.reopen_length + self.close_length + self.growth;
        self.limits.are_exceeded(results, end - current.start, around)
    }

    /// Ends the current piece before the unit and begins another one with it.
    fn cut(&mut self, unit: Unit, mark: MarkOf<'_>) {
        let piece = self.piece(unit.cut, unit.cut_depth, &unit.before, None, mark);
        // Should the piece become the last one after all, its first line is out of reach by then.
        self.current.first_line.settle(mark);
        self.budget.spend(piece.parts().count());
        self.pieces.push(piece);
        let frames = self.frames.get(..unit.cut_depth).unwrap_or_default();
        let reopened: Vec<_> =
            frames.iter().map(|frame| Reopened { tag: frame.tag.clone(), until: None }).collect();
        let reopen_length = reopened.iter().map(|frame| frame.tag.reopen_length()).sum::<u64>();
        let current = Current {
            start: unit.cut,
            reopened,
            reopen_length: reopen_length
                + self.frames.first().map_or(0, |root| root.tag.range.start),
            units: 0,
            before: unit.before,
            first_line: unit.line,
        };
        let mut before = std::mem::replace(&mut self.current, current);
        // Should this be the document's last cut and be taken back, all is counted by now.
        for reopened in &mut before.reopened {
            reopened.until.get_or_insert(unit.before);
        }
        self.spare = Some(before);
    }

    /// The current piece, up to `end`, where the first `depth` containers are open.
    fn piece(
        &self,
        end: u64,
        depth: usize,
        tally: &Tally,
        root_end: Option<&ByteRange>,
        mark: MarkOf<'_>,
    ) -> Piece {
        let current = &self.current;
        let mut piece = Piece {
            counts: tally.since(&current.before).counts,
            lines: (current.first_line.counted(mark), self.last_line.counted(mark)),
            units: current.units,
            ..Piece::default()
        };
        if let Some(root) = current.reopened.first() {
            piece.before.push(Part::Range(0..root.tag.range.start));
        }
        for (level, reopened) in current.reopened.iter().enumerate() {
            let held = reopened.until.as_ref().unwrap_or(tally).since(&current.before);
            let opening = if level == 0 { &mut piece.open } else { &mut piece.inner };
            reopened.tag.rewritten(&held, opening);
            piece.inner.extend(reopened.tag.properties.iter().cloned().map(Part::Range));
        }
        // What is opened in this piece and cut at its end has its tag rewritten too.
        let open = self.frames.get(..depth).unwrap_or_default();
        let mut at = current.start;
        for (level, frame) in open.iter().enumerate() {
            let tag = &frame.tag;
            if tag.range.start < current.start {
                continue;
            }
            let held = tally.since(&frame.before);
            if level == 0 {
                piece.before.push(Part::Range(at..tag.range.start));
                // A root that is not cut stays as it is.
                if root_end.is_some() {
                    piece.open.push(Part::Range(tag.range.clone()));
                } else {
                    tag.rewritten(&held, &mut piece.open);
                }
            } else {
                piece.inner.push(Part::Range(at..tag.range.start));
                tag.rewritten(&held, &mut piece.inner);
            }
            at = tag.range.end;
        }
        piece.inner.push(Part::Range(at..end));
        for frame in open.iter().skip(1).rev() {
            frame.tag.closed(&mut piece.inner);
        }
        match (root_end, open.first()) {
            (Some(root_end), _) => piece.close.push(Part::Range(root_end.clone())),
            (None, Some(root)) => root.tag.closed(&mut piece.close),
            (None, None) => {}
        }
        piece
    }

    /// Ends the last piece with the root.
    fn end_of_root(&mut self, end_tag: &ByteRange, mark: MarkOf<'_>) {
        self.root = self.frames.first().map(|root| (root.tag.range.clone(), end_tag.clone()));
        self.end_of_results(end_tag.start, Some(end_tag), mark);
    }

    /// Ends the last piece behind what is complete, as if all that is open ended there.
    fn break_off(&mut self) -> Option<Mark> {
        let Complete { mark, depth, tally, .. } = self.complete?;
        let end = mark?;
        if self.root.is_none() {
            self.frames.truncate(depth);
            self.tally = tally;
            self.end_of_results(end.offset(), None, &|_| end);
        }
        Some(end)
    }

    /// Ends the last piece with the containers that are open.
    fn end_of_results(&mut self, end: u64, root_end: Option<&ByteRange>, mark: MarkOf<'_>) {
        if !self.has_results(&self.current)
            && let Some(spare) = self.spare.take()
        {
            // What came behind the last cut holds no result: it stays with what was before.
            self.pieces.pop();
            self.current = spare;
        }
        let piece = self.piece(end, self.frames.len(), &self.tally, root_end, mark);
        self.pieces.push(piece);
    }

    /// The pieces of a document of `length` bytes, or of one that breaks off.
    pub fn finish(mut self, length: Option<u64>) -> Pieces {
        let Some(length) = length else {
            let broken_off = self.break_off().map(|end| end.place(String::new()));
            return Pieces { list: self.pieces, broken_off, ..Pieces::default() };
        };
        if self.pieces.len() > 1
            && self.tally.counts.results <= self.limits.results
            && length <= self.limits.bytes
            && let Some((root, end)) = &self.root
        {
            let list = vec![Piece::whole(root, end, length, &self.pieces)];
            return Pieces { list, ..Pieces::default() };
        }
        if let Some(last) = self.pieces.last_mut()
            && let Some(Part::Range(root_end)) = last.close.last()
            && root_end.end < length
        {
            last.after.push(Part::Range(root_end.end..length));
        }
        Pieces { list: self.pieces, ..Pieces::default() }
    }
}
