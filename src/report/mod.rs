//! The report: what was found, planned, sent and accepted. The exit code follows from it, and from
//! nothing else.

pub mod github;
pub mod json;
mod notices;
pub mod sarif;
pub mod text;

use std::collections::BTreeMap;

use crate::config::{Broken, Checks, Config, Mode};
use crate::deliver::{Cause, Delivered, Outcome};
use crate::finding::{Code, Findings};
use crate::format::Format;
use crate::input::Missing;
use crate::levels::Levels;
use crate::plan::Upload;
use crate::salvage::Account;
use crate::scan::Counts;

/// What a run was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunMode {
    Validate,
    Write,
    Upload,
}

/// The account of a run.
#[derive(Debug)]
pub struct Report {
    pub mode: RunMode,
    pub checks: Checks,
    /// One for each input, in their order.
    pub files: Vec<FileReport>,
    /// One for each planned upload, in the plan's order.
    pub uploads: Vec<UploadReport>,
    pub run: Option<RunReport>,
    /// What failed unexpectedly, if something did.
    pub failure: Option<String>,
    /// Whether that is a mistake in the arguments or the environment.
    pub is_usage: bool,
    /// The signal that ended the run.
    pub signal: Option<u8>,
}

/// The account of one input.
#[derive(Debug)]
pub struct FileReport {
    /// As it was given.
    pub path: String,
    pub format: Option<Format>,
    /// The encoding it was in, if it was transcoded.
    pub encoding: Option<&'static str>,
    pub bytes: u64,
    pub counts: Counts,
    /// Whether it may be sent.
    pub is_valid: bool,
    pub findings: Findings,
    /// What was lost and changed, if it is broken and what could be saved of it is sent.
    pub salvage: Option<Account>,
}

impl FileReport {
    /// How many findings of each code are not listed; those that the run passes over are left out.
    #[must_use]
    pub fn unlisted(&self, levels: &Levels) -> BTreeMap<Code, u64> {
        let mut counts = self.findings.unlisted();
        counts.retain(|&code, _| !levels.is_allowed(code));
        counts
    }
}

/// The account of one upload.
#[derive(Debug)]
pub struct UploadReport {
    /// The upload, without its segments, which are not needed any more.
    pub upload: Upload,
    /// How many bytes of content it had.
    pub bytes: u64,
    pub end: UploadEnd,
    pub warnings: Vec<String>,
}

/// What became of an upload.
#[derive(Debug)]
pub enum UploadEnd {
    /// It was written to a file of this path.
    Written(String),
    /// It was sent, or should have been.
    Delivered(Delivered),
}

impl UploadReport {
    /// The account of an upload that was dealt with.
    #[must_use]
    pub fn new(mut upload: Upload, end: UploadEnd, warnings: Vec<String>) -> Self {
        let bytes = upload.length();
        upload.segments = Vec::new();
        Self { upload, bytes, end, warnings }
    }

    /// The account of its delivery, if it was to be delivered.
    #[must_use]
    pub const fn delivered(&self) -> Option<&Delivered> {
        match &self.end {
            UploadEnd::Written(_) => None,
            UploadEnd::Delivered(delivered) => Some(delivered),
        }
    }

    /// What became of it, and why, if the service did not take it.
    #[must_use]
    pub fn trouble(&self) -> Option<(&'static str, &str)> {
        let delivered = self.delivered()?;
        let outcome = match delivered.outcome {
            Outcome::Accepted => return None,
            Outcome::Refused => "refused",
            Outcome::NotSent => "not sent",
            Outcome::Unknown => "sent, but not answered: it may have arrived",
        };
        Some((outcome, delivered.reason.as_deref().unwrap_or_default()))
    }

    /// Whether the service took fewer results than it was sent, by its own account.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let answer = self.delivered().and_then(|delivered| delivered.answer.as_ref());
        answer.is_some_and(|answer| {
            answer.skipped.is_some_and(|skipped| skipped > 0)
                || answer.queued.is_some_and(|queued| queued < self.upload.results)
        })
    }

    /// Whether the service took it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.delivered().is_some_and(|delivered| delivered.outcome == Outcome::Accepted)
    }
}

/// The run that the service groups the uploads into.
#[derive(Debug, serde::Serialize)]
pub struct RunReport {
    pub key: String,
    pub url: Option<String>,
}

/// Sums over a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    pub files: u64,
    #[serde(flatten)]
    pub counts: Counts,
    pub bytes: u64,
    pub uploads: u64,
    pub accepted: u64,
    pub queued: u64,
    pub service_skipped: u64,
}

impl Report {
    /// An empty report of a run.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mode = match config.mode {
            Mode::Validate => RunMode::Validate,
            Mode::Write(_) => RunMode::Write,
            Mode::Upload(_) => RunMode::Upload,
        };
        Self {
            mode,
            checks: config.checks.clone(),
            files: Vec::new(),
            uploads: Vec::new(),
            run: None,
            failure: None,
            is_usage: false,
            signal: None,
        }
    }

    /// The report of a run that did not begin, for a mistake in the arguments or the environment.
    #[must_use]
    pub fn of_mistake(mistake: String) -> Self {
        Self {
            mode: RunMode::Upload,
            checks: Checks {
                levels: Levels::default(),
                skip_invalid: false,
                fail_on_skipped: false,
                missing: Missing::Refused,
                broken: Broken::Rejected,
            },
            files: Vec::new(),
            uploads: Vec::new(),
            run: None,
            failure: Some(mistake),
            is_usage: true,
            signal: None,
        }
    }

    /// Whether the checks let anything be sent.
    #[must_use]
    pub fn may_send(&self) -> bool {
        if self.files.is_empty() {
            return false;
        }
        let mut valid = self.files.iter().map(|file| file.is_valid);
        if self.checks.skip_invalid { valid.any(|valid| valid) } else { valid.all(|valid| valid) }
    }

    /// The sums.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            files: self.files.len() as u64,
            uploads: self.uploads.len() as u64,
            ..Totals::default()
        };
        for file in &self.files {
            totals.counts.results += file.counts.results;
            totals.counts.failures += file.counts.failures;
            totals.counts.errors += file.counts.errors;
            totals.counts.skipped += file.counts.skipped;
            totals.bytes += file.bytes;
        }
        for upload in &self.uploads {
            totals.accepted += u64::from(upload.is_accepted());
            if let Some(answer) = upload.delivered().and_then(|delivered| delivered.answer.as_ref())
            {
                totals.queued += answer.queued.unwrap_or(0);
                totals.service_skipped += answer.skipped.unwrap_or(0);
            }
        }
        totals
    }

    /// The exit code, as the help documents it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if let Some(signal) = self.signal {
            return signal.saturating_add(128);
        }
        if self.failure.is_some() {
            return if self.is_usage { 2 } else { 1 };
        }
        let is_missing = |file: &FileReport| {
            let counts = file.findings.counts();
            [Code::InputNotFound, Code::InputNoMatch].iter().any(|code| counts.contains_key(code))
        };
        if self.files.iter().all(is_missing) {
            // Without --allow-missing, what is missing is in the list.
            return if self.files.is_empty() && self.checks.missing == Missing::Allowed {
                0
            } else {
                11
            };
        }
        let rejected = self.files.iter().any(|file| !file.is_valid);
        let checked = if rejected { 10 } else { 0 };
        if self.uploads.is_empty() {
            return checked;
        }
        let causes: Vec<Cause> =
            self.uploads.iter().filter_map(|upload| upload.delivered()?.cause).collect();
        if causes.is_empty() {
            let is_short =
                self.checks.fail_on_skipped && self.uploads.iter().any(UploadReport::is_short);
            if checked == 0 && is_short { 24 } else { checked }
        } else if causes.contains(&Cause::Spool) {
            1
        } else if causes.len() < self.uploads.len() {
            23
        } else if causes.contains(&Cause::Token) {
            20
        } else if causes.contains(&Cause::Upload) {
            21
        } else {
            22
        }
    }
}
