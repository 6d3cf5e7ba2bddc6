//! The scan: one streaming pass over a result file that says what is wrong and counts.
//!
//! Constant memory: neither the size of the file nor the number of results grows it. Each format
//! is a file here; `xml` and `json` are the layers below them, over one `window`.

mod ahead;
pub mod cut;
mod elements;
mod handler;
mod json;
mod junit;
mod keys;
mod markup;
pub mod mend;
mod names;
mod results;
mod roots;
mod runner;
mod suite;
mod test_engine;
mod times;
mod value;
mod window;
mod xml;

use std::io::{self, Read};

use crate::finding::Findings;
use crate::format::Format;
use cut::{Limits, Pieces};
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

impl Counts {
    /// The sum of both.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            results: self.results + more.results,
            failures: self.failures + more.failures,
            errors: self.errors + more.errors,
            skipped: self.skipped + more.skipped,
        }
    }

    /// What came since `before`.
    #[must_use]
    pub const fn since(self, before: &Self) -> Self {
        Self {
            results: self.results.saturating_sub(before.results),
            failures: self.failures.saturating_sub(before.failures),
            errors: self.errors.saturating_sub(before.errors),
            skipped: self.skipped.saturating_sub(before.skipped),
        }
    }
}

/// What a scan is told beside the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What one upload may hold.
    pub limits: Limits,
    /// Names that change from run to run are findings.
    pub lint_names: bool,
}

impl From<Limits> for Options {
    fn from(limits: Limits) -> Self {
        Self { limits, lint_names: false }
    }
}

/// What a pass over one result file yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub counts: Counts,
    /// What is wrong, in the order of the file.
    pub findings: Findings,
    /// How much was read.
    pub extent: Extent,
    /// Where it is to be cut.
    pub pieces: Pieces,
}

/// Scans a result file, given as UTF-8 from its start, and cuts it where one upload is full.
///
/// # Errors
/// What reading the source gives. What is wrong with the file is a finding.
pub fn scan(format: Format, source: impl Read, options: impl Into<Options>) -> io::Result<Scan> {
    let options = options.into();
    let limits = options.limits;
    match format {
        Format::Junit => junit::scan(source, options),
        Format::Json => test_engine::scan(source, options),
        Format::RspecJson => runner::scan_rspec(source, limits),
        Format::JestJson => runner::scan_jest(source, limits),
        Format::PlaywrightJson => runner::scan_playwright(source, limits),
        Format::CucumberJson => runner::scan_cucumber(source, limits),
    }
}
