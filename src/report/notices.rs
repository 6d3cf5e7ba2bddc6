//! What is to be said of a run beside its findings: what failed, and what became of its uploads.

use std::collections::BTreeMap;

use super::text::upload_name;
use super::{Report, UploadReport};
use crate::finding::Severity;

/// One thing to be said of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// What kind of thing, in a few words.
    pub title: &'static str,
    pub text: String,
}

/// All that is to be said, the most important first.
///
/// Uploads that fared alike are one notice: when a service is down, hundreds do.
pub fn notices(report: &Report) -> Vec<Notice> {
    let error = |title, text| Notice { severity: Severity::Error, title, text };
    let mut notices = Vec::new();
    if let Some(failure) = &report.failure {
        let title = if report.is_usage { "usage" } else { "failed" };
        notices.push(error(title, failure.clone()));
    }
    if let Some(signal) = report.signal {
        notices.push(error("interrupted", format!("signal {signal} ended the run early")));
    }
    let mut alike: BTreeMap<(&'static str, &str), (&UploadReport, usize)> = BTreeMap::new();
    for upload in &report.uploads {
        if let Some(trouble) = upload.trouble() {
            alike.entry(trouble).or_insert((upload, 0)).1 += 1;
        }
    }
    for ((title, reason), (first, count)) in alike {
        let name = upload_name(first, report);
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        notices.push(error(title, format!("{name}{more}: {reason}")));
    }
    for upload in &report.uploads {
        let is_error = report.checks.fail_on_skipped && upload.is_short();
        let severity = if is_error { Severity::Error } else { Severity::Warning };
        notices.extend(upload.warnings.iter().map(|warning| Notice {
            severity,
            title: "upload",
            text: format!("{}: {warning}", upload_name(upload, report)),
        }));
    }
    notices
}
