//! Parses the data of an upload while it arrives, and counts what it holds.

#![allow(
    clippy::indexing_slicing,
    reason = "a missing field of a JSON value is null, and the buffer is as long as asked"
)]

use std::fmt;
use std::io::{self, BufReader, Read};

use bytes::{Buf as _, Bytes};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use xml::attribute::OwnedAttribute;
use xml::reader::{EventReader, ParserConfig, XmlEvent};

/// The documented formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `JUnit` XML.
    Junit,
    /// Test Engine's own JSON.
    Json,
    /// What `RSpec` writes.
    Rspec,
    /// What Jest writes.
    Jest,
    /// What Playwright writes.
    Playwright,
    /// What Cucumber writes.
    Cucumber,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "junit" => Self::Junit,
            "json" => Self::Json,
            "rspec-json" => Self::Rspec,
            "jest-json" => Self::Jest,
            "playwright-json" => Self::Playwright,
            "cucumber-json" => Self::Cucumber,
            _ => return None,
        })
    }
}

/// What the data of an upload holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All results.
    pub results: u64,
    /// Results that failed and did not end in error. Runner-native formats: always 0.
    pub failures: u64,
    /// Results that ended in error. `JUnit` only.
    pub errors: u64,
    /// Results that were not run, and neither failed nor ended in error. Runner-native formats:
    /// always 0.
    pub skipped: u64,
    /// Results that lack what the service needs, and are skipped by it.
    pub incomplete: u64,
    /// `<testsuite>` and `<testsuites>` elements.
    pub suites: u64,
    /// Those of them whose `tests`, `failures`, `errors` or `skipped` is there, and is not the
    /// count of what they hold, nested suites included.
    pub miscounted_suites: u64,
}

/// A parser at work on a thread of its own, fed with what arrives.
pub struct Parsing {
    pieces: mpsc::Sender<Bytes>,
    outcome: JoinHandle<Result<Tally, String>>,
}

impl Parsing {
    /// Starts a parser. It ends when it is finished or dropped.
    pub fn start(format: Format) -> Self {
        let (pieces, arriving) = mpsc::channel(4);
        let outcome = tokio::task::spawn_blocking(move || {
            let source = Pieces { arriving, current: Bytes::new() };
            parse(format, BufReader::with_capacity(64 * 1024, source))
        });
        Self { pieces, outcome }
    }

    /// Hands over the next bytes, once there is room for them.
    pub async fn feed(&mut self, piece: Bytes) {
        // A parser that found a fault does not listen any more. The fault is told at the end.
        let _ = self.pieces.send(piece).await;
    }

    /// Ends the data, and says what it was.
    pub async fn finish(self) -> Result<Tally, String> {
        drop(self.pieces);
        self.outcome.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

/// Reads what is sent from the task that reads the request.
struct Pieces {
    arriving: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.arriving.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn parse(format: Format, source: impl Read) -> Result<Tally, String> {
    match format {
        Format::Junit => junit(source),
        Format::Json => json::<Records>(source).map(|records| records.0),
        Format::Rspec | Format::Jest | Format::Playwright | Format::Cucumber => {
            let report = json::<Value>(source)?;
            let results = native_results(format, &report)
                .ok_or_else(|| format!("this is no report of format {format:?}"))?;
            Ok(Tally { results, ..Tally::default() })
        }
    }
}

/// One document, and nothing after it.
fn json<T: for<'de> Deserialize<'de>>(source: impl Read) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_reader(source);
    let document = T::deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(document)
}

/// Refuses what libxml2 refuses, and one thing more: a prefix of a namespace that is not bound.
fn junit(source: impl Read) -> Result<Tally, String> {
    let config = ParserConfig::new().coalesce_characters(false).allow_multiple_root_elements(false);
    let mut report = Junit::default();
    for event in EventReader::new_with_config(source, config) {
        match event.map_err(|error| error.to_string())? {
            XmlEvent::StartElement { name, attributes, .. } => {
                report.open(&name.local_name, &attributes)?;
            }
            XmlEvent::EndElement { name } => report.close(&name.local_name),
            _ => {}
        }
    }
    Ok(report.tally)
}

/// `tests`, `failures`, `errors` and `skipped`.
type Counts = [u64; 4];

#[derive(Default)]
struct Junit {
    tally: Tally,
    depth: u64,
    /// The open suites, from the root on: what they declare, and what was found in them.
    suites: Vec<([Option<u64>; 4], Counts)>,
    /// The open result: its depth, and what it is found to be.
    result: Option<(u64, Fate)>,
}

/// In the order of their weight: a result with a failure and an error ended in error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Passed,
    Skipped,
    Failed,
    Error,
}

impl Junit {
    fn open(&mut self, name: &str, attributes: &[OwnedAttribute]) -> Result<(), String> {
        let value = |name: &str| {
            let attribute =
                attributes.iter().find(|attribute| attribute.name.local_name == name)?;
            Some(attribute.value.as_str())
        };
        self.depth += 1;
        if self.depth == 1 && !matches!(name, "testsuites" | "testsuite") {
            return Err(format!("the root is <{name}>, not <testsuites> or <testsuite>"));
        }
        let fate = match name {
            "testsuites" | "testsuite" => {
                let declared = ["tests", "failures", "errors", "skipped"]
                    .map(|name| value(name).and_then(|count| count.trim().parse().ok()));
                self.suites.push((declared, Counts::default()));
                self.tally.suites += 1;
                return Ok(());
            }
            "testcase" => {
                let blank = |name| value(name).is_none_or(|value| value.trim().is_empty());
                self.tally.incomplete += u64::from(blank("name") || blank("classname"));
                self.tally.results += 1;
                self.result = Some((self.depth, Fate::Passed));
                return Ok(());
            }
            "skipped" => Fate::Skipped,
            "failure" => Fate::Failed,
            "error" => Fate::Error,
            _ => return Ok(()),
        };
        if let Some((depth, known)) = &mut self.result
            && self.depth == *depth + 1
        {
            *known = fate.max(*known);
        }
        Ok(())
    }

    fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        match name {
            "testcase" => {
                let Some((_, fate)) = self.result.take() else {
                    return;
                };
                let [failures, errors, skipped] =
                    [Fate::Failed, Fate::Error, Fate::Skipped].map(|this| u64::from(fate == this));
                self.tally.failures += failures;
                self.tally.errors += errors;
                self.tally.skipped += skipped;
                self.add([1, failures, errors, skipped]);
            }
            "testsuites" | "testsuite" => {
                let Some((declared, found)) = self.suites.pop() else {
                    return;
                };
                let wrong = declared
                    .iter()
                    .zip(found)
                    .any(|(declared, found)| declared.is_some_and(|declared| declared != found));
                self.tally.miscounted_suites += u64::from(wrong);
                self.add(found);
            }
            _ => {}
        }
    }

    fn add(&mut self, more: Counts) {
        if let Some((_, found)) = self.suites.last_mut() {
            for (found, more) in found.iter_mut().zip(more) {
                *found += more;
            }
        }
    }
}

/// Test Engine's own JSON, counted one record at a time.
struct Records(Tally);

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;

        impl<'de> Visitor<'de> for Counting {
            type Value = Records;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of test results")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<Records, A::Error> {
                let mut tally = Tally::default();
                while let Some(record) = records.next_element::<Value>()? {
                    tally.results += 1;
                    tally.incomplete += u64::from(!is_record(&record));
                    match record["result"].as_str() {
                        Some("failed") => tally.failures += 1,
                        Some("skipped") => tally.skipped += 1,
                        _ => {}
                    }
                }
                Ok(Records(tally))
            }
        }

        deserializer.deserialize_seq(Counting)
    }
}

/// Whether a record has what the service needs.
fn is_record(record: &Value) -> bool {
    let history = &record["history"];
    let spans = match &history["children"] {
        Value::Null => true,
        Value::Array(spans) => spans.iter().all(is_span),
        _ => false,
    };
    record["name"].is_string()
        && history["start_at"].is_number()
        && history["duration"].is_number()
        && spans
}

fn is_span(span: &Value) -> bool {
    let details: &[&str] = match span["section"].as_str() {
        Some("http") => &["method", "url", "lib"],
        Some("sql") => &["query"],
        Some("annotation") => &["content"],
        Some("sleep") => &[],
        _ => return false,
    };
    span["duration"].is_number() && details.iter().all(|name| span["detail"][*name].is_string())
}

/// The results of a runner's own report, or `None` where it is not of the shape of its format.
fn native_results(format: Format, report: &Value) -> Option<u64> {
    match format {
        Format::Rspec => length(&report["examples"]),
        Format::Jest => {
            let files = report["testResults"].as_array()?.iter();
            files.map(|file| length(&file["assertionResults"])).sum()
        }
        Format::Playwright => playwright_results(&report["suites"]),
        Format::Cucumber => {
            let features = report.as_array()?.iter();
            features.map(|feature| scenarios(&feature["elements"])).sum()
        }
        Format::Junit | Format::Json => None,
    }
}

fn length(results: &Value) -> Option<u64> {
    Some(results.as_array()?.len() as u64)
}

/// The results of these suites, those of the suites in them included.
fn playwright_results(suites: &Value) -> Option<u64> {
    let mut results = 0;
    for suite in suites.as_array()? {
        if !suite["suites"].is_null() {
            results += playwright_results(&suite["suites"])?;
        }
        let specs = suite["specs"].as_array().into_iter().flatten();
        for test in specs.filter_map(|spec| spec["tests"].as_array()).flatten() {
            results += length(&test["results"])?;
        }
    }
    Some(results)
}

fn scenarios(elements: &Value) -> Option<u64> {
    if elements.is_null() {
        return Some(0);
    }
    let elements = elements.as_array()?.iter();
    Some(elements.filter(|element| element["type"] == "scenario").count() as u64)
}
