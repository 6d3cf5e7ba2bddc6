//! Runners' native JSON: RSpec, Jest, Playwright and Cucumber, sent as the runner wrote it.
//!
//! Checked here: that it is JSON, that it has the outline of its runner, and how many results it
//! holds, by the service's own way of counting.

use std::io::{self, Read};

use serde::de::{MapAccess, SeqAccess};

use super::json::{Cursor, Step};
use super::shape::{Kind, Of, Shape, Word};
use super::{Counts, Scan};
use crate::finding::{Code, Finding, Findings, Severity};

/// How deep Playwright's suites may nest.
const MAX_SUITES: usize = 64;

/// Scans what `rspec --format json` writes: `examples[]`.
///
/// # Errors
/// What reading the source gives, as for each of these functions.
pub fn scan_rspec(source: impl Read) -> io::Result<Scan> {
    scan(source, |cursor, counts| {
        object_with(cursor, "examples", |cursor| {
            cursor.array(|cursor| {
                leaf(cursor, counts, |status| match status {
                    "failed" => Outcome::Failed,
                    "pending" => Outcome::Skipped,
                    _ => Outcome::Passed,
                })
            })
        })
    })
}

/// Scans what `jest --json` writes: `testResults[].assertionResults[]`.
///
/// # Errors
/// What reading the source gives.
pub fn scan_jest(source: impl Read) -> io::Result<Scan> {
    scan(source, |cursor, counts| {
        object_with(cursor, "testResults", |cursor| {
            cursor.array(|cursor| {
                cursor.object(|cursor, key| {
                    if key != "assertionResults" {
                        return cursor.skip();
                    }
                    cursor.array(|cursor| {
                        leaf(cursor, counts, |status| match status {
                            "failed" => Outcome::Failed,
                            "pending" | "skipped" | "todo" | "disabled" => Outcome::Skipped,
                            _ => Outcome::Passed,
                        })
                    })
                })
            })
        })
    })
}

/// Scans what Playwright's JSON reporter writes: `suites[]…specs[].tests[].results[]`.
///
/// # Errors
/// What reading the source gives.
pub fn scan_playwright(source: impl Read) -> io::Result<Scan> {
    scan(source, |cursor, counts| {
        object_with(cursor, "suites", |cursor| playwright_suites(cursor, counts, 0))
    })
}

fn playwright_suites<R: Read>(
    cursor: &mut Cursor<'_, R>,
    counts: &mut Counts,
    depth: usize,
) -> Step {
    cursor.array(|cursor| {
        cursor.object(|cursor, key| match key {
            "suites" if depth < MAX_SUITES => playwright_suites(cursor, counts, depth + 1),
            "specs" => cursor.array(|cursor| {
                cursor.object(|cursor, key| match key {
                    "tests" => cursor.array(|cursor| {
                        cursor.object(|cursor, key| match key {
                            "results" => {
                                cursor.array(|cursor| leaf(cursor, counts, playwright_outcome))
                            }
                            _ => cursor.skip(),
                        })
                    }),
                    _ => cursor.skip(),
                })
            }),
            _ => cursor.skip(),
        })
    })
}

fn playwright_outcome(status: &str) -> Outcome {
    match status {
        "failed" => Outcome::Failed,
        "timedOut" | "interrupted" => Outcome::Error,
        "skipped" => Outcome::Skipped,
        _ => Outcome::Passed,
    }
}

/// Scans what `cucumber --format json` writes: `[].elements[]` of type `scenario`.
///
/// # Errors
/// What reading the source gives.
pub fn scan_cucumber(source: impl Read) -> io::Result<Scan> {
    scan(source, |cursor, counts| {
        cursor.array(|cursor| {
            cursor.object(|cursor, key| {
                if key != "elements" {
                    return cursor.skip();
                }
                cursor.array(|cursor| {
                    let element = cursor.value::<Of<CucumberElement>>()?.value.0;
                    if element.kind.text == "scenario" {
                        count(cursor, counts, element.steps.worst);
                    }
                    Ok(())
                })
            })
        })
    })
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    #[default]
    Passed,
    Skipped,
    Failed,
    Error,
}

fn scan<S: Read>(
    source: S,
    walk: impl FnOnce(&mut Cursor<'_, S>, &mut Counts) -> Step,
) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut counts = Counts::default();
    let extent = Cursor::new(source, &mut findings).document(|cursor| walk(cursor, &mut counts))?;
    if counts.results == 0 && findings.count(Severity::Error) == 0 {
        findings
            .push(Finding::of_file(Code::ResultsNone, "the file holds no result of its format"));
    }
    findings.sort();
    Ok(Scan { counts, findings, extent })
}

/// Walks an object for the value of one key, which must be there.
fn object_with<R: Read>(
    cursor: &mut Cursor<'_, R>,
    wanted: &str,
    mut value: impl FnMut(&mut Cursor<'_, R>) -> Step,
) -> Step {
    let mut seen = false;
    cursor.object(|cursor, key| {
        if key != wanted {
            return cursor.skip();
        }
        seen = true;
        value(cursor)
    })?;
    if !seen {
        cursor.report(Code::JsonWrongShape, 0, "", &|| format!("there is no \"{wanted}\""));
    }
    Ok(())
}

/// Takes one result with its `status`.
fn leaf<R: Read>(
    cursor: &mut Cursor<'_, R>,
    counts: &mut Counts,
    outcome: fn(&str) -> Outcome,
) -> Step {
    let result = cursor.value::<Of<Leaf>>()?;
    let Of(Leaf { kind, status }) = result.value;
    if kind != Kind::Object {
        cursor.report(Code::ResultsWrongType, result.offset, "", &|| {
            format!("{} where a result is expected", kind.as_str())
        });
    }
    count(cursor, counts, outcome(&status.text));
    Ok(())
}

fn count<R: Read>(cursor: &Cursor<'_, R>, counts: &mut Counts, outcome: Outcome) {
    if !cursor.is_sound() {
        return;
    }
    counts.results += 1;
    match outcome {
        Outcome::Passed => {}
        Outcome::Skipped => counts.skipped += 1,
        Outcome::Failed => counts.failures += 1,
        Outcome::Error => counts.errors += 1,
    }
}

#[derive(Debug, Default)]
struct Leaf {
    kind: Kind,
    status: Word,
}

impl Shape for Leaf {
    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "status" => self.status = object.next_value::<Of<_>>()?.0,
            _ => drop(object.next_value::<serde::de::IgnoredAny>()?),
        }
        Ok(())
    }
}

/// A scenario or a background; its outcome is the worst of its steps'.
#[derive(Debug, Default)]
struct CucumberElement {
    kind: Word,
    steps: CucumberSteps,
}

impl Shape for CucumberElement {
    fn kind(&mut self, _: Kind) {}

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = object.next_value::<Of<_>>()?.0,
            "steps" => self.steps = object.next_value::<Of<_>>()?.0,
            _ => drop(object.next_value::<serde::de::IgnoredAny>()?),
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct CucumberSteps {
    worst: Outcome,
}

impl Shape for CucumberSteps {
    fn kind(&mut self, _: Kind) {}

    fn elements<'de, A: SeqAccess<'de>>(&mut self, array: &mut A) -> Result<(), A::Error> {
        while let Some(Of(step)) = array.next_element::<Of<CucumberStep>>()? {
            let outcome = match step.result.status.text.as_str() {
                "failed" | "ambiguous" => Outcome::Failed,
                "skipped" | "pending" | "undefined" => Outcome::Skipped,
                _ => Outcome::Passed,
            };
            self.worst = self.worst.max(outcome);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct CucumberStep {
    result: Leaf,
}

impl Shape for CucumberStep {
    fn kind(&mut self, _: Kind) {}

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "result" => self.result = object.next_value::<Of<_>>()?.0,
            _ => drop(object.next_value::<serde::de::IgnoredAny>()?),
        }
        Ok(())
    }
}
