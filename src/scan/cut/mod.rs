//! Where a document is cut so that every piece is a document of its own, within the limits.
//!
//! The scan meets every place where a document could be cut; of a million of them only those are
//! kept where it has to be. So memory grows with the number of pieces, not of results. A piece is
//! a list of [`Part`]s: ranges of the document, and a few literal bytes where the elements around
//! the results are opened again and closed.

mod json;
mod xml;

use bytes::Bytes;

use super::Counts;
use crate::finding::Place;
use crate::spool::ByteRange;

pub(super) use json::JsonCutter;
pub(super) use xml::{CountAttribute, XmlCutter};

/// What one upload may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub results: u64,
    /// Bytes of content. Of our own choosing: the service documents no such limit.
    pub bytes: u64,
}

impl Limits {
    /// Whether a piece with so many results, and so many bytes of the document within so many that
    /// are repeated in every piece, is beyond the limits.
    ///
    /// However much is repeated, a sixteenth of the limit is for the document's own bytes: else there
    /// would be a piece for each result.
    const fn are_exceeded(&self, results: u64, own: u64, around: u64) -> bool {
        let most = self.bytes - self.bytes / 16;
        let around = if around < most { around } else { most };
        results > self.results || own.saturating_add(around) > self.bytes
    }
}

/// What the pieces of one document may take in memory: beyond it, the document is not cut any more.
#[derive(Debug, Default)]
struct Budget {
    spent: usize,
}

impl Budget {
    /// In parts, of 40 bytes: some 16,000 pieces of an XML document.
    const PARTS: usize = 1 << 18;

    /// What a piece takes beside its parts.
    const PIECE: usize = 8;

    /// Takes account of a piece of so many parts.
    const fn spend(&mut self, parts: usize) {
        self.spent += parts + Self::PIECE;
    }

    const fn is_spent(&self) -> bool {
        self.spent >= Self::PARTS
    }
}

/// A part of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the document, counted from its start.
    Range(ByteRange),
    /// Bytes that are not in the document.
    Literal(Bytes),
}

impl Part {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Range(range) => range.end.saturating_sub(range.start),
            Self::Literal(bytes) => bytes.len() as u64,
        }
    }
}

/// A part of a document that is a document of its own; all parts together are the whole piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// What stands before the root: XML's declaration, comments.
    pub before: Vec<Part>,
    /// The opening of the root.
    pub open: Vec<Part>,
    /// What the root holds.
    pub inner: Vec<Part>,
    /// The end of the root.
    pub close: Vec<Part>,
    /// What stands after it.
    pub after: Vec<Part>,
    pub counts: Counts,
    /// The lines of its first and last result, from 1.
    pub lines: (u64, u64),
    /// How many parts it has that are never cut.
    pub units: u64,
}

impl Piece {
    /// All its parts in their order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.before.iter().chain(self.root()).chain(&self.after)
    }

    /// The root with what it holds.
    pub fn root(&self) -> impl Iterator<Item = &Part> {
        self.open.iter().chain(&self.inner).chain(&self.close)
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts().map(Part::length).sum()
    }

    /// A whole document as one piece, from the place of its root's opening and end.
    ///
    /// While a document is read its length is not known, and what a cut adds is guessed
    /// generously: one that is within the limits after all is not cut.
    fn whole(root: &ByteRange, end: &ByteRange, length: u64, cut: &[Self]) -> Self {
        let range = |range: ByteRange| vec![Part::Range(range)];
        let counts = cut.iter().fold(Counts::default(), |sum, piece| sum.plus(piece.counts));
        let lines = cut.first().zip(cut.last()).map(|(first, last)| (first.lines.0, last.lines.1));
        Self {
            before: range(0..root.start),
            open: range(root.clone()),
            inner: range(root.end..end.start),
            close: range(end.clone()),
            after: range(end.end..length),
            counts,
            lines: lines.unwrap_or((1, 1)),
            units: cut.iter().map(|piece| piece.units).sum(),
        }
    }

    /// Whether it is beyond the limits as what it holds cannot be cut.
    ///
    /// The limit in bytes is soft: what stands between the units, and the ends of JSON's envelopes,
    /// may make a piece of several units longer.
    #[must_use]
    pub fn is_uncuttable(&self, limits: Limits) -> bool {
        self.counts.results > limits.results || self.units <= 1 && self.length() > limits.bytes
    }
}

/// How the pieces of a document can stand together with those of others in one document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Merge {
    /// Not at all, without changing what they mean.
    #[default]
    Alone,
    /// The root as a whole goes into a common root.
    Root,
    /// What the root holds goes into a common root.
    Inner,
}

/// The pieces of a document: one, if it is within the limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    pub list: Vec<Piece>,
    pub merge: Merge,
    /// Where the last piece ends, in a document that breaks off: behind what is complete.
    pub broken_off: Option<Place>,
}

/// The results of a part of a document, and the sum of their times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub counts: Counts,
    /// In microseconds.
    pub time: u64,
}

impl Tally {
    /// What came since `before`.
    fn since(&self, before: &Self) -> Self {
        let counts = self.counts.since(&before.counts);
        Self { counts, time: self.time.saturating_sub(before.time) }
    }
}
