//! The report for code scanning: one SARIF 2.1.0 document.
//!
//! Findings are its results, with a rule for each code that was found. What failed, and what became
//! of the uploads, are notifications of its invocation. Columns count bytes, as everywhere here: the
//! byte offset beside them leaves no doubt.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use super::notices::{Notice, notices};
use super::{FileReport, Report};
use crate::explain;
use crate::finding::{Code, Finding, Place, Severity};

/// Writes the report.
///
/// # Errors
/// What writing gives.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Log::of(report))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
struct Run<'a> {
    tool: Tool,
    invocations: [Invocation; 1],
    results: Vec<FoundResult<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    information_uri: &'static str,
    rules: Vec<Rule>,
}

/// A code; SARIF calls it a reporting descriptor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: Code,
    short_description: Text<String>,
    help: Help,
    help_uri: &'static str,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Text<T> {
    text: T,
}

#[derive(Serialize)]
struct Help {
    text: &'static str,
    markdown: &'static str,
}

#[derive(Serialize)]
struct Configuration {
    level: Severity,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_signal_number: Option<u8>,
    tool_execution_notifications: Vec<Notification>,
    tool_configuration_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Text<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundResult<'a> {
    rule_id: Code,
    rule_index: usize,
    level: Severity,
    message: Text<&'a str>,
    locations: [Location<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    physical_location: PhysicalLocation<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logical_locations: Option<[LogicalLocation<'a>; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation<'a> {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_region: Option<ContextRegion<'a>>,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u64,
    start_column: u64,
    byte_offset: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextRegion<'a> {
    start_line: u64,
    snippet: Text<&'a str>,
}

/// The element or key that a finding is in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation<'a> {
    fully_qualified_name: &'a str,
}

impl<'a> Log<'a> {
    fn of(report: &'a Report) -> Self {
        let counts = report.files.iter().flat_map(|file| file.findings.counts().keys());
        let codes = counts.copied().filter(|&code| !report.checks.levels.is_allowed(code));
        let codes: Vec<Code> = codes.collect::<BTreeSet<_>>().into_iter().collect();
        let mut results = Vec::new();
        for file in &report.files {
            let findings = file.findings.listed().iter();
            results.extend(findings.map(|finding| FoundResult {
                rule_id: finding.code,
                rule_index: codes.partition_point(|&code| code < finding.code),
                level: report.checks.levels.severity(finding.code),
                message: Text { text: &finding.message },
                locations: [Location::of(file, finding)],
            }));
        }
        let driver = Driver {
            name: env!("CARGO_PKG_NAME"),
            semantic_version: env!("CARGO_PKG_VERSION"),
            information_uri: SERVICE_PAGE,
            rules: codes.into_iter().map(Rule::of).collect(),
        };
        Self {
            schema: "https://json.schemastore.org/sarif-2.1.0.json",
            version: "2.1.0",
            runs: [Run { tool: Tool { driver }, invocations: [Invocation::of(report)], results }],
        }
    }
}

/// The service's own pages, as there is one for each kind of input.
const SERVICE_PAGE: &str = "https://buildkite.com/docs/test-engine";
const JUNIT_PAGE: &str = "https://buildkite.com/docs/test-engine/importing-junit-xml";
const JSON_PAGE: &str = "https://buildkite.com/docs/test-engine/importing-json";

impl Rule {
    fn of(code: Code) -> Self {
        let section = explain::section(code);
        let help_uri = match code.as_str().split('-').next() {
            Some("xml" | "junit") => JUNIT_PAGE,
            Some("json" | "results") => JSON_PAGE,
            _ => SERVICE_PAGE,
        };
        Self {
            id: code,
            short_description: Text { text: section.summary() },
            help: Help { text: section.text, markdown: section.body },
            help_uri,
            default_configuration: Configuration { level: code.severity() },
        }
    }
}

impl Invocation {
    fn of(report: &Report) -> Self {
        let exit_code = report.exit_code();
        let mut said: Vec<Notification> = notices(report).iter().map(Notification::of).collect();
        for file in &report.files {
            let unlisted = file.unlisted(&report.checks.levels).into_iter();
            said.extend(unlisted.map(|(code, more)| Notification {
                level: "note",
                message: Text { text: format!("{}: … and {more} more {code}", file.path) },
            }));
        }
        let (configuration, execution) =
            if report.is_usage { (said, Vec::new()) } else { (Vec::new(), said) };
        Self {
            // Findings are results of a run that did its work.
            execution_successful: matches!(exit_code, 0 | 10),
            exit_code,
            exit_signal_number: report.signal,
            tool_execution_notifications: execution,
            tool_configuration_notifications: configuration,
        }
    }
}

impl Notification {
    fn of(notice: &Notice) -> Self {
        let text = format!("{}: {}", notice.title, notice.text);
        Self { level: notice.severity.as_str(), message: Text { text } }
    }
}

impl<'a> Location<'a> {
    fn of(file: &'a FileReport, finding: &'a Finding) -> Self {
        let place = finding.place.as_ref();
        let context_region = place.zip(finding.excerpt.as_ref()).map(|(place, excerpt)| {
            ContextRegion { start_line: place.line, snippet: Text { text: &excerpt.text } }
        });
        let region = place.map(|&Place { offset, line, column, .. }| Region {
            start_line: line,
            start_column: column,
            byte_offset: offset,
        });
        let path = place.map(|place| place.path.as_str()).filter(|path| !path.is_empty());
        Self {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation { uri: uri(&file.path) },
                region,
                context_region,
            },
            logical_locations: path.map(|path| [LogicalLocation { fully_qualified_name: path }]),
        }
    }
}

/// A path as a URI, relative to where the run was started if the path is.
fn uri(path: &str) -> String {
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a/b c%:ü.xml"), "a/b%20c%25%3A%C3%BC.xml");
        assert_eq!(uri("/tmp/a.xml"), "file:///tmp/a.xml");
        assert_eq!(uri("-"), "-");
    }
}
