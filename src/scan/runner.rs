//! Runners' native JSON: RSpec, Jest, Playwright and Cucumber, sent as the runner wrote it.
//!
//! Checked here: that it is JSON, that it has the outline of its runner, and how many results it
//! holds, by the service's own way of counting.

use std::io::{self, Read};

use super::ahead::Ahead;
use super::cut::{JsonCutter, Limits, Merge};
use super::json::{Cursor, Parsed, Step};
use super::results::{Outcome, end_of_scan, nested_array, root_array, unit};
use super::value::{Kind, Reader};
use super::{Counts, Scan};
use crate::finding::{Code, Findings};

/// Scans what `rspec --format json` writes: `examples[]`.
///
/// # Errors
/// What reading the source gives, as for each of these functions.
pub fn scan_rspec(source: impl Read, limits: Limits) -> io::Result<Scan> {
    let mut ahead = Ahead::new();
    scan(source, limits, |cursor, cutter| {
        object_with(cursor, cutter, "examples", |cursor, cutter| {
            unit(cursor, cutter, |cursor| {
                let result = ahead.value(cursor, |result| {
                    status(result, |status| match status {
                        b"failed" => Outcome::Failed,
                        b"pending" => Outcome::Skipped,
                        _ => Outcome::Passed,
                    })
                })?;
                Ok(counted(cursor, &result))
            })
        })
    })
}

/// Scans what `jest --json` writes: `testResults[].assertionResults[]`.
///
/// # Errors
/// What reading the source gives.
pub fn scan_jest(source: impl Read, limits: Limits) -> io::Result<Scan> {
    scan(source, limits, |cursor, cutter| {
        object_with(cursor, cutter, "testResults", |cursor, cutter| {
            nested_array(cursor, cutter, "assertionResults", |cursor, cutter| {
                unit(cursor, cutter, |cursor| {
                    leaf(cursor, |status| match status {
                        b"failed" => Outcome::Failed,
                        b"pending" | b"skipped" | b"todo" | b"disabled" => Outcome::Skipped,
                        _ => Outcome::Passed,
                    })
                })
            })
        })
    })
}

/// Scans what Playwright's JSON reporter writes: `suites[]…specs[].tests[].results[]`.
///
/// It is cut between the root's suites only: a suite has two arrays with results in them.
///
/// # Errors
/// What reading the source gives.
pub fn scan_playwright(source: impl Read, limits: Limits) -> io::Result<Scan> {
    scan(source, limits, |cursor, cutter| {
        object_with(cursor, cutter, "suites", |cursor, cutter| {
            unit(cursor, cutter, |cursor| {
                let mut counts = Counts::default();
                playwright_suite(cursor, &mut counts)?;
                Ok(counts)
            })
        })
    })
}

fn playwright_suite<R: Read>(cursor: &mut Cursor<'_, R>, counts: &mut Counts) -> Step {
    cursor.object(&["suites", "specs"], |cursor, key| match key {
        "suites" => cursor.array(|cursor| playwright_suite(cursor, counts)),
        "specs" => in_arrays(cursor, &["tests", "results"], &mut |cursor| {
            *counts = counts.plus(leaf(cursor, |status| match status {
                b"failed" => Outcome::Failed,
                b"timedOut" | b"interrupted" => Outcome::Error,
                b"skipped" => Outcome::Skipped,
                _ => Outcome::Passed,
            })?);
            Ok(())
        }),
        _ => cursor.skip(),
    })
}

/// Walks an array of objects for the arrays of objects of these keys, one within the other.
fn in_arrays<R: Read>(
    cursor: &mut Cursor<'_, R>,
    keys: &[&str],
    element: &mut dyn FnMut(&mut Cursor<'_, R>) -> Step,
) -> Step {
    cursor.array(|cursor| match keys.split_first() {
        None => element(cursor),
        Some((wanted, keys)) => cursor.object(&[wanted], |cursor, key| {
            if key == *wanted { in_arrays(cursor, keys, element) } else { cursor.skip() }
        }),
    })
}

/// Scans what `cucumber --format json` writes: `[].elements[]` of type `scenario`.
///
/// # Errors
/// What reading the source gives.
pub fn scan_cucumber(source: impl Read, limits: Limits) -> io::Result<Scan> {
    scan(source, limits, |cursor, cutter| {
        root_array(cursor, cutter, |cursor, cutter| {
            nested_array(cursor, cutter, "elements", |cursor, cutter| {
                unit(cursor, cutter, |cursor| Ok(cursor.value(cucumber_element)?.value))
            })
        })
    })
}

fn scan<S: Read>(
    source: S,
    limits: Limits,
    walk: impl FnOnce(&mut Cursor<'_, S>, &mut JsonCutter) -> Step,
) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut cutter = JsonCutter::new(limits);
    let extent = Cursor::new(source, &mut findings).document(|cursor| walk(cursor, &mut cutter))?;
    Ok(end_of_scan(findings, cutter, extent, Merge::Alone))
}

/// Walks the root for the array of one key, which must be there.
fn object_with<R: Read>(
    cursor: &mut Cursor<'_, R>,
    cutter: &mut JsonCutter,
    wanted: &str,
    mut element: impl FnMut(&mut Cursor<'_, R>, &mut JsonCutter) -> Step,
) -> Step {
    let mut seen = false;
    cursor.object(&[wanted], |cursor, key| {
        if key != wanted {
            return cursor.skip();
        }
        seen = true;
        root_array(cursor, cutter, &mut element)
    })?;
    if !seen {
        let end = cursor.offset();
        cursor.report(Code::JsonWrongShape, end, "", &|| format!("there is no \"{wanted}\""));
    }
    Ok(())
}

/// Takes one result with its `status`.
fn leaf<R: Read>(cursor: &mut Cursor<'_, R>, outcome: fn(&[u8]) -> Outcome) -> Step<Counts> {
    let result = cursor.value(|result| status(result, outcome))?;
    Ok(counted(cursor, &result))
}

/// The counts of one result; reports what is none.
fn counted<R: Read>(cursor: &mut Cursor<'_, R>, result: &Parsed<(Kind, Outcome)>) -> Counts {
    let (kind, outcome) = result.value;
    if kind != Kind::Object {
        cursor.report(Code::ResultsWrongType, result.offset, "", &|| {
            format!("{} where a result is expected", kind.as_str())
        });
    }
    outcome.count()
}

/// Reads an object for its `status`.
fn status(result: &mut Reader<'_>, outcome: fn(&[u8]) -> Outcome) -> (Kind, Outcome) {
    let mut ended = outcome(b"");
    let kind = result.object(|key, value| match key {
        b"status" => ended = outcome(&value.text().bytes),
        _ => value.skip(),
    });
    (kind, ended)
}

/// Reads a scenario, or a background, which is no result; its outcome is the worst of its steps'.
fn cucumber_element(element: &mut Reader<'_>) -> Counts {
    let (mut is_scenario, mut worst) = (false, Outcome::default());
    element.object(|key, value| match key {
        b"type" => is_scenario = &*value.text().bytes == b"scenario",
        b"steps" => {
            value.array(|step| {
                step.object(|key, value| match key {
                    b"result" => {
                        let ended = status(value, |status| match status {
                            b"failed" | b"ambiguous" => Outcome::Failed,
                            b"skipped" | b"pending" | b"undefined" => Outcome::Skipped,
                            _ => Outcome::Passed,
                        });
                        worst = worst.max(ended.1);
                    }
                    _ => value.skip(),
                });
            });
        }
        _ => value.skip(),
    });
    if is_scenario { worst.count() } else { Counts::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: Limits = Limits { results: u64::MAX, bytes: u64::MAX };

    #[test]
    fn results_twice_under_one_key_are_an_error() {
        type Scanner = fn(&'static [u8], Limits) -> io::Result<Scan>;
        let cases: &[(Scanner, &str, u64)] = &[
            (scan_rspec, r#"{"examples":[],"examples":[]}"#, 15),
            (scan_jest, r#"{"testResults":[{"assertionResults":[{}],"assertionResults":[]}]}"#, 41),
            (scan_playwright, r#"{"suites":[{"specs":[],"suites":[],"specs":[]}]}"#, 35),
            (
                scan_playwright,
                r#"{"suites":[{"specs":[{"tests":[{"results":[],"results":[]}]}]}]}"#,
                45,
            ),
            (scan_cucumber, r#"[{"elements":[],"elements":[]}]"#, 16),
        ];
        for (scan, text, offset) in cases {
            let scan = scan(text.as_bytes(), UNLIMITED).unwrap();
            let found = scan.findings.listed().iter();
            let found: Vec<_> =
                found.map(|f| (f.code, f.place.as_ref().map(|place| place.offset))).collect();
            assert_eq!(found, [(Code::JsonDuplicateKey, Some(*offset))], "{text}");
        }
    }
}
