//! The plan: from scanned files and the service's limits to uploads. A pure function.
//!
//! An upload is a list of [`Segment`]s: ranges of the spool, and a few literal bytes where an
//! envelope is opened or closed. A file that fits goes as one range: byte for byte what was given.

use bytes::Bytes;

use crate::format::Format;
use crate::scan::Scan;
use crate::spool::Region;

/// How many results the service takes in one upload.
pub const MAX_RESULTS: u64 = 5_000;

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
    /// The lines of it, from 1, first and last.
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
}

/// Plans the uploads for a run.
#[must_use]
pub fn plan(files: &[PlannedFile<'_>]) -> Vec<Upload> {
    let uploads = files.iter().enumerate().map(|(index, file)| {
        let results = file.scan.counts.results;
        Upload {
            index,
            format: file.format,
            file_name: file.file_name.clone(),
            segments: vec![Segment::Region(file.region.clone())],
            results,
            sources: vec![UploadSource {
                file: file.index,
                lines: (1, file.scan.extent.lines),
                results,
            }],
        }
    });
    uploads.collect()
}
