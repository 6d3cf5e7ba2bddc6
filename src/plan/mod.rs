//! The plan: from scanned files and the limits of an upload to uploads. A pure function.
//!
//! An upload is a list of [`Segment`]s: ranges of the spool, and a few literal bytes where an
//! envelope is opened or closed. A file within the limits that goes alone is one range: byte for
//! byte what was given. A larger one goes in the pieces that the scan cut it into. Small documents
//! whose envelopes can be merged share an upload.

mod pack;

use std::io::{self, Write};

use bytes::Bytes;

use crate::format::Format;
use crate::scan::Scan;
use crate::scan::cut::{Limits, Part, Piece};
use crate::spool::{ByteRange, Region};

/// How many results the service takes in one upload.
pub const MAX_RESULTS: u64 = 5_000;

/// How large an upload may be, by our own choice: one larger body is slow to fail.
pub const MAX_UPLOAD_SIZE: u64 = 256 * 1024 * 1024;

/// A file that passed the scan, as the plan sees it.
#[derive(Debug)]
pub struct PlannedFile<'a> {
    /// Its number among the inputs.
    pub index: usize,
    /// The name without its folders that it is sent under.
    pub file_name: String,
    pub format: Format,
    pub region: &'a Region,
    pub scan: &'a Scan,
}

/// Whether small documents share uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    On,
    Off,
}

/// A part of an upload's content.
#[derive(Debug, Clone)]
pub enum Segment {
    /// Bytes of the spool.
    Region(Region),
    /// Bytes of our own.
    Literal(Bytes),
}

impl Segment {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Region(region) => region.length(),
            Self::Literal(bytes) => bytes.len() as u64,
        }
    }
}

/// Which results of which input an upload holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSource {
    /// The input's number.
    pub file: usize,
    /// The lines of its first and last result, from 1.
    pub lines: (u64, u64),
    pub results: u64,
}

/// One POST to the service.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its number in the plan, from 0.
    pub index: usize,
    pub format: Format,
    /// The name that the content is sent under, without folders.
    pub file_name: String,
    pub segments: Vec<Segment>,
    pub results: u64,
    pub sources: Vec<UploadSource>,
}

impl Upload {
    /// How many bytes of content it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.segments.iter().map(Segment::length).sum()
    }

    /// Writes its content.
    ///
    /// # Errors
    /// What reading the spool or writing gives.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        for segment in &self.segments {
            match segment {
                Segment::Region(region) => drop(io::copy(&mut region.reader(), out)?),
                Segment::Literal(bytes) => out.write_all(bytes)?,
            }
        }
        out.flush()
    }
}

/// A piece of a file: what uploads are made of.
#[derive(Debug, Clone, Copy)]
struct Member<'a> {
    file: &'a PlannedFile<'a>,
    piece: &'a Piece,
    /// Its number among the file's pieces, from 0.
    number: usize,
}

/// Plans the uploads for a run. The same files and limits give the same plan.
#[must_use]
pub fn plan(files: &[PlannedFile<'_>], limits: Limits, packing: Packing) -> Vec<Upload> {
    let mut packs = Vec::new();
    let mut uploads = Vec::new();
    for file in files {
        let pieces = &file.scan.pieces.list;
        if pieces.is_empty() {
            uploads.push((file.index, 0, whole(file)));
        }
        for (number, piece) in pieces.iter().enumerate() {
            let member = Member { file, piece, number };
            if packing == Packing::On && pack::can_share(file) {
                pack::add(&mut packs, member, limits);
            } else {
                // Documents of one format keep their order.
                pack::close(&mut packs, file.format);
                uploads.push((file.index, number, alone(member)));
            }
        }
    }
    for members in packs.into_iter().map(pack::Pack::into_members) {
        match members.as_slice() {
            [] => {}
            [member] => uploads.push((member.file.index, member.number, alone(*member))),
            [first, ..] => uploads.push((first.file.index, first.number, pack::merged(&members))),
        }
    }
    uploads.sort_by_key(|(file, number, _)| (*file, *number));
    let uploads = uploads.into_iter().enumerate();
    uploads.map(|(index, (.., upload))| Upload { index, ..upload }).collect()
}

/// A file that cannot be cut, as it is.
fn whole(file: &PlannedFile<'_>) -> Upload {
    let results = file.scan.counts.results;
    let lines = (1, file.scan.extent.lines);
    Upload {
        index: 0,
        format: file.format,
        file_name: file.file_name.clone(),
        segments: vec![Segment::Region(file.region.clone())],
        results,
        sources: vec![UploadSource { file: file.index, lines, results }],
    }
}

/// A piece as an upload of its own.
fn alone(member: Member<'_>) -> Upload {
    let Member { file, piece, number } = member;
    let is_cut = file.scan.pieces.list.len() > 1;
    let name = &file.file_name;
    let mut segments = Segments::default();
    segments.add(file.region, piece.parts());
    Upload {
        index: 0,
        format: file.format,
        file_name: if is_cut { numbered(name, number) } else { name.clone() },
        segments: segments.list,
        results: piece.counts.results,
        sources: vec![member.source()],
    }
}

/// `results.xml` with its number: `results-0001.xml`.
fn numbered(name: &str, number: usize) -> String {
    let number = number + 1;
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}-{number:04}.{extension}"),
        None => format!("{name}-{number:04}"),
    }
}

impl Member<'_> {
    const fn source(&self) -> UploadSource {
        let Piece { lines, counts, .. } = self.piece;
        UploadSource { file: self.file.index, lines: *lines, results: counts.results }
    }
}

/// Segments from parts: neighbouring ranges become one.
#[derive(Debug, Default)]
struct Segments {
    list: Vec<Segment>,
}

impl Segments {
    fn add<'p>(&mut self, region: &Region, parts: impl Iterator<Item = &'p Part>) {
        let mut pending: Option<ByteRange> = None;
        for part in parts.filter(|part| part.length() > 0) {
            match (part, &mut pending) {
                (Part::Range(range), Some(before)) if before.end == range.start => {
                    before.end = range.end;
                }
                (Part::Range(range), _) => {
                    self.flush(region, pending.replace(range.clone()));
                }
                (Part::Literal(bytes), _) => {
                    self.flush(region, pending.take());
                    self.literal(bytes.clone());
                }
            }
        }
        self.flush(region, pending);
    }

    fn literal(&mut self, bytes: Bytes) {
        self.list.push(Segment::Literal(bytes));
    }

    fn flush(&mut self, region: &Region, range: Option<ByteRange>) {
        self.list.extend(range.map(|range| Segment::Region(region.part(range))));
    }
}
