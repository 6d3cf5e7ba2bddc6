//! The scan: one streaming pass over a result file that says what is wrong and counts.
//!
//! Constant memory: neither the size of the file nor the number of results grows it. Each format
//! is a file here; `xml` and `json` are the layers below them, over one `window`.

mod json;
mod junit;
mod markup;
mod runner;
mod shape;
mod test_engine;
mod window;
mod xml;

use std::io::{self, Read};

use crate::finding::Findings;
use crate::format::Format;
pub use window::Extent;

/// How many results a file holds, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// All results. In a document that breaks off or is not well-formed: those before the error.
    pub results: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that broke off with an error.
    pub errors: u64,
    /// Those that did not run.
    pub skipped: u64,
}

/// What a pass over one result file yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub counts: Counts,
    /// What is wrong, in the order of the file.
    pub findings: Findings,
    /// How much was read.
    pub extent: Extent,
}

/// Scans a result file, given as UTF-8 from its start.
///
/// # Errors
/// What reading the source gives. What is wrong with the file is a finding.
pub fn scan(format: Format, source: impl Read) -> io::Result<Scan> {
    match format {
        Format::Junit => junit::scan(source),
        Format::Json => test_engine::scan(source),
        Format::RspecJson => runner::scan_rspec(source),
        Format::JestJson => runner::scan_jest(source),
        Format::PlaywrightJson => runner::scan_playwright(source),
        Format::CucumberJson => runner::scan_cucumber(source),
    }
}
