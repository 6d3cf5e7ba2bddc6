//! The report for programs: one JSON document, of a versioned schema.
//!
//! Names are fixed for a version of the schema; more may be added to it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::{FileReport, Report, RunMode, RunReport, Totals, UploadEnd, UploadReport};
use crate::deliver::answer::Answer;
use crate::deliver::{Attempt, Outcome};
use crate::finding::{Code, Excerpt, Finding, Place, Severity};
use crate::format::Format;
use crate::levels::Levels;
use crate::salvage::Account;
use crate::scan::Counts;
use crate::scan::mend::{Fault, Replaced};

/// The version of the document's schema.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes the report.
///
/// # Errors
/// What writing gives.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document::of(report))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    tool: Tool,
    mode: RunMode,
    exit_code: u8,
    /// What failed unexpectedly.
    error: Option<&'a str>,
    totals: Totals,
    files: Vec<File<'a>>,
    uploads: Vec<Upload<'a>>,
    run: Option<&'a RunReport>,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    format: Option<Format>,
    /// What it was transcoded from.
    encoding: Option<&'static str>,
    bytes: u64,
    #[serde(flatten)]
    counts: Counts,
    valid: bool,
    finding_counts: &'a BTreeMap<Code, u64>,
    findings: Vec<FileFinding<'a>>,
    salvage: Option<Salvage<'a>>,
}

#[derive(Serialize)]
struct FileFinding<'a> {
    code: Code,
    severity: Severity,
    message: &'a str,
    advice: &'static str,
    offset: Option<u64>,
    line: Option<u64>,
    column: Option<u64>,
    path: Option<&'a str>,
    excerpt: Option<&'a Excerpt>,
}

/// What was lost and changed of a file, with `--salvage`.
#[derive(Serialize)]
struct Salvage<'a> {
    results_kept: u64,
    results_lost: u64,
    bytes_lost: u64,
    lost_from: Option<Spot>,
    replaced: Replacements<'a>,
}

#[derive(Serialize)]
struct Replacements<'a> {
    #[serde(flatten)]
    counts: &'a Replaced,
    listed: Vec<Replacement>,
}

#[derive(Serialize)]
struct Replacement {
    what: Fault,
    #[serde(flatten)]
    spot: Spot,
}

/// A place where no path is known.
#[derive(Serialize)]
struct Spot {
    offset: u64,
    line: u64,
    column: u64,
}

#[derive(Serialize)]
struct Upload<'a> {
    index: usize,
    format: Format,
    results: u64,
    bytes: u64,
    sources: Vec<Source<'a>>,
    outcome: Outcome,
    /// Where it was written, with `--write-uploads`.
    written: Option<&'a str>,
    error: Option<&'a str>,
    warnings: &'a [String],
    attempts: Vec<UploadAttempt<'a>>,
    response: Option<&'a Answer>,
}

#[derive(Serialize)]
struct Source<'a> {
    file: &'a str,
    first_line: u64,
    last_line: u64,
    results: u64,
}

#[derive(Serialize)]
struct UploadAttempt<'a> {
    status: Option<u16>,
    error: Option<&'a str>,
    seconds: f64,
    bytes_sent: u64,
}

impl<'a> Document<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            mode: report.mode,
            exit_code: report.exit_code(),
            error: report.failure.as_deref(),
            totals: report.totals(),
            files: report.files.iter().map(|file| File::of(file, &report.checks.levels)).collect(),
            uploads: report.uploads.iter().map(|upload| Upload::of(upload, report)).collect(),
            run: report.run.as_ref(),
        }
    }
}

impl<'a> File<'a> {
    fn of(file: &'a FileReport, levels: &Levels) -> Self {
        let findings = file.findings.listed().iter();
        Self {
            path: &file.path,
            format: file.format,
            encoding: file.encoding,
            bytes: file.bytes,
            counts: file.counts,
            valid: file.is_valid,
            finding_counts: file.findings.counts(),
            findings: findings.map(|finding| FileFinding::of(finding, levels)).collect(),
            salvage: file.salvage.as_ref().map(Salvage::of),
        }
    }
}

impl<'a> Salvage<'a> {
    fn of(account: &'a Account) -> Self {
        let replaced = &account.replaced;
        let listed = replaced.listed.iter();
        Self {
            results_kept: account.results_kept,
            results_lost: account.results_lost,
            bytes_lost: account.bytes_lost,
            lost_from: account.lost_from.as_ref().map(Spot::of),
            replaced: Replacements {
                counts: replaced,
                listed: listed
                    .map(|(what, place)| Replacement { what: *what, spot: Spot::of(place) })
                    .collect(),
            },
        }
    }
}

impl Spot {
    const fn of(place: &Place) -> Self {
        Self { offset: place.offset, line: place.line, column: place.column }
    }
}

impl<'a> FileFinding<'a> {
    fn of(finding: &'a Finding, levels: &Levels) -> Self {
        let place = finding.place.as_ref();
        Self {
            code: finding.code,
            severity: levels.severity(finding.code),
            message: &finding.message,
            advice: finding.code.advice(),
            offset: place.map(|place| place.offset),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            path: place.map(|place| place.path.as_str()),
            excerpt: finding.excerpt.as_ref(),
        }
    }
}

impl<'a> Upload<'a> {
    fn of(report: &'a UploadReport, run: &'a Report) -> Self {
        let UploadReport { upload, end, warnings, .. } = report;
        let delivered = report.delivered();
        let written = match end {
            UploadEnd::Written(path) => Some(path.as_str()),
            UploadEnd::Delivered(_) => None,
        };
        let attempts = delivered.map(|delivered| delivered.attempts.as_slice()).unwrap_or_default();
        let sources = upload.sources.iter().map(|source| Source {
            file: run.files.get(source.file).map_or("", |file| file.path.as_str()),
            first_line: source.lines.0,
            last_line: source.lines.1,
            results: source.results,
        });
        Self {
            index: upload.index,
            format: upload.format,
            results: upload.results,
            bytes: report.bytes,
            sources: sources.collect(),
            outcome: delivered.map_or(Outcome::NotSent, |delivered| delivered.outcome),
            written,
            error: delivered.and_then(|delivered| delivered.reason.as_deref()),
            warnings,
            attempts: attempts.iter().map(UploadAttempt::of).collect(),
            response: delivered.and_then(|delivered| delivered.answer.as_ref()),
        }
    }
}

impl<'a> UploadAttempt<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            status: attempt.status,
            error: attempt.error.as_deref(),
            seconds: attempt.elapsed.as_secs_f64(),
            bytes_sent: attempt.bytes_sent,
        }
    }
}
