//! The report for GitHub Actions: workflow commands, which it shows as annotations of the files.
//!
//! It shows ten errors and ten warnings of a step. So what failed comes first, then the first
//! finding of each code, then the second of each. All stay readable in the step's log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::notices::notices;
use super::text::write_summary;
use super::{FileReport, Report};
use crate::finding::{Code, Finding, Severity};

/// Writes the report.
///
/// # Errors
/// What writing gives.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let notices = notices(report);
    let findings = in_turn(report);
    for wanted in [Severity::Error, Severity::Warning] {
        let command = wanted.as_str();
        for notice in notices.iter().filter(|notice| notice.severity == wanted) {
            let (title, text) = (property(notice.title), data(&notice.text));
            writeln!(out, "::{command} title={title}::{text}")?;
        }
        for (file, finding) in &findings {
            if report.checks.levels.severity(finding.code) == wanted {
                writeln!(
                    out,
                    "::{command} {}::{}",
                    properties(file, finding),
                    text(file, finding)
                )?;
            }
        }
    }
    for file in &report.files {
        for (code, more) in file.unlisted(&report.checks.levels) {
            // A path may look like a command, so it does not begin the line.
            writeln!(out, "… and {more} more [{code}] in {}", data(&file.path))?;
        }
    }
    write_summary(report, out)
}

/// All listed findings: the first of each code, then the second of each, and so on.
fn in_turn(report: &Report) -> Vec<(&FileReport, &Finding)> {
    let mut turns: BTreeMap<Code, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in &report.files {
        for finding in file.findings.listed() {
            let turn = turns.entry(finding.code).or_default();
            *turn += 1;
            findings.push((*turn, file, finding));
        }
    }
    findings.sort_by_key(|(turn, ..)| *turn);
    findings.into_iter().map(|(_, file, finding)| (file, finding)).collect()
}

fn properties(file: &FileReport, finding: &Finding) -> String {
    let mut text = format!("file={}", property(&file.path));
    if let Some(place) = &finding.place {
        // Writing to a string does not fail.
        let _ = write!(text, ",line={},col={}", place.line, place.column);
    }
    let _ = write!(text, ",title={}", finding.code);
    text
}

/// What is said of a finding, with its place: the log shows nothing else of it.
fn text(file: &FileReport, finding: &Finding) -> String {
    let mut text = file.path.clone();
    if let Some(place) = &finding.place {
        let _ = write!(text, ":{}:{}", place.line, place.column);
    }
    let _ = write!(text, ": {}", finding.message);
    if let Some(place) = finding.place.as_ref().filter(|place| !place.path.is_empty()) {
        let _ = write!(text, ", in {}", place.path);
    }
    let _ = write!(text, "\nhelp: {}", finding.code.advice());
    data(&text)
}

/// Escapes what follows a command's second `::`.
fn data(text: &str) -> String {
    escaped(text, &[])
}

/// Escapes the value of a command's property.
fn property(text: &str) -> String {
    escaped(text, &[':', ','])
}

/// Writes line ends, `%` and `others` as GitHub reads them; other control characters are not obeyed.
fn escaped(text: &str, others: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '\r' | '\n') || others.contains(&character) {
            let _ = write!(escaped, "%{:02X}", u32::from(character));
        } else {
            escaped.push(if character.is_control() { '\u{FFFD}' } else { character });
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        let text = "100%: a,b\r\n::error::\u{1b}[31mü";
        assert_eq!(data(text), "100%25: a,b%0D%0A::error::\u{FFFD}[31mü");
        assert_eq!(property(text), "100%25%3A a%2Cb%0D%0A%3A%3Aerror%3A%3A\u{FFFD}[31mü");
    }
}
