//! JUnit XML: what its elements mean, on top of a well-formed document.
//!
//! There is no one schema. What every producer shares, and the service reads: `<testcase>` elements
//! at any depth of `<testsuites>` and `<testsuite>`, each with at most one outcome among its
//! children (`error`, `failure`, `skipped`); without one it passed.

use std::io::{self, Read};

use super::markup::shown;
use super::window::Mark;
use super::xml::{Context, Handler, Lexer, StartTag, local_name};
use super::{Counts, Scan};
use crate::finding::{Code, Finding, Findings, Severity};

/// Scans a JUnit XML document.
///
/// # Errors
/// What reading the source gives. What is wrong with the document is a finding.
pub fn scan(source: impl Read) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut junit = Junit::default();
    let extent = Lexer::new(source, &mut findings).run(&mut junit)?;
    if junit.counts.results == 0 && findings.count(Severity::Error) == 0 {
        findings.push(Finding::of_file(Code::ResultsNone, "the file holds no <testcase>"));
    }
    findings.sort();
    Ok(Scan { counts: junit.counts, findings, extent })
}

/// What an element means for the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Suite,
    Result,
    Outcome(Outcome),
    Other,
}

/// Ordered by weight: a result with several outcomes counts as the heaviest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Passed,
    Skipped,
    Failure,
    Error,
}

impl Element {
    fn of(name: &[u8]) -> Self {
        match local_name(name) {
            b"testcase" => Self::Result,
            b"testsuite" => Self::Suite,
            b"error" => Self::Outcome(Outcome::Error),
            b"failure" => Self::Outcome(Outcome::Failure),
            b"skipped" => Self::Outcome(Outcome::Skipped),
            _ => Self::Other,
        }
    }
}

/// An element that is open, as far as its end needs it.
#[derive(Debug)]
enum Open {
    Suite {
        /// Where its tag is, and how many results it says it has.
        mark: Mark,
        declared: Option<u64>,
        /// How many it has of its own, and with the suites in it.
        own: u64,
        all: u64,
    },
    Result(Outcome),
    Other,
}

#[derive(Debug, Default)]
struct Junit {
    counts: Counts,
    open: Vec<Open>,
}

impl Handler for Junit {
    fn open(&mut self, tag: &StartTag<'_>, context: &mut dyn Context) {
        if tag.depth == 0 {
            check_root(tag, context);
        }
        let opened = match Element::of(tag.name) {
            Element::Result => {
                self.result(tag, context);
                Open::Result(Outcome::Passed)
            }
            Element::Suite => suite(tag, context),
            Element::Outcome(outcome) => {
                self.outcome(outcome, context);
                Open::Other
            }
            Element::Other => Open::Other,
        };
        self.open.push(opened);
    }

    fn close(&mut self, _end: u64, context: &mut dyn Context) {
        if let Some(Open::Suite { mark, declared, own, all }) = self.open.pop() {
            if let Some(Open::Suite { all: around, .. }) = self.open.last_mut() {
                *around += all;
            }
            // Producers differ in whether a suite counts the results of the suites in it.
            if let Some(declared) = declared
                && declared != own
                && declared != all
            {
                context.report_at(Code::JunitCountsDisagree, mark, &|| {
                    format!("tests=\"{declared}\" in a testsuite that holds {all}")
                });
            }
        }
    }
}

impl Junit {
    fn result(&mut self, tag: &StartTag<'_>, context: &mut dyn Context) {
        // What stands behind an error of well-formedness, the service's parser never sees.
        if context.is_sound() {
            self.counts.results += 1;
        }
        if let Some(Open::Suite { own, all, .. }) = self.open.last_mut() {
            *own += 1;
            *all += 1;
        }
        let (mut name, mut classname) = (false, false);
        for (key, value) in tag.attributes() {
            match key {
                b"name" => name = !value.trim_ascii().is_empty(),
                b"classname" => classname = !value.trim_ascii().is_empty(),
                b"time" => check_time(tag, value, context),
                _ => {}
            }
        }
        if !name {
            let message = || "a testcase without a name".to_owned();
            context.report(Code::JunitMissingName, tag.offset, &message);
        }
        if !classname {
            let message = || "a testcase without a classname".to_owned();
            context.report(Code::JunitMissingClassname, tag.offset, &message);
        }
    }

    /// Counts the outcome that a child of a result gives it.
    fn outcome(&mut self, outcome: Outcome, context: &dyn Context) {
        let Some(Open::Result(before)) = self.open.last_mut() else { return };
        if outcome <= *before || !context.is_sound() {
            return;
        }
        let counts = &mut self.counts;
        match *before {
            Outcome::Passed => {}
            Outcome::Skipped => counts.skipped -= 1,
            Outcome::Failure => counts.failures -= 1,
            Outcome::Error => counts.errors -= 1,
        }
        match outcome {
            Outcome::Passed => {}
            Outcome::Skipped => counts.skipped += 1,
            Outcome::Failure => counts.failures += 1,
            Outcome::Error => counts.errors += 1,
        }
        *before = outcome;
    }
}

fn suite(tag: &StartTag<'_>, context: &mut dyn Context) -> Open {
    let mut declared = None;
    for (key, value) in tag.attributes() {
        match key {
            b"tests" => {
                declared =
                    std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
            }
            b"time" => check_time(tag, value, context),
            _ => {}
        }
    }
    Open::Suite { mark: context.mark(tag.offset), declared, own: 0, all: 0 }
}

/// A time is a number of seconds; nothing at all is common, and harmless.
fn check_time(tag: &StartTag<'_>, value: &[u8], context: &mut dyn Context) {
    let value = value.trim_ascii();
    let number = std::str::from_utf8(value).ok().and_then(|value| value.parse::<f64>().ok());
    if !value.is_empty() && number.is_none_or(|number| !number.is_finite() || number < 0.0) {
        context.report(Code::JunitOddTime, tag.offset, &|| {
            format!("time=\"{}\" is not a number of seconds", shown(value))
        });
    }
}

fn check_root(tag: &StartTag<'_>, context: &mut dyn Context) {
    let name = local_name(tag.name);
    if matches!(name, b"testsuites" | b"testsuite") {
        return;
    }
    let kind = match name {
        b"TestRun" => "TRX (Visual Studio)",
        b"test-run" => "NUnit 3",
        b"test-results" => "NUnit 2",
        b"assemblies" | b"assembly" => "xUnit.net",
        b"testng-results" => "TestNG",
        b"coverage" => "a coverage report (Cobertura or Clover)",
        b"report" => "a coverage report (JaCoCo)",
        b"checkstyle" => "Checkstyle",
        b"failsafe-summary" => "Failsafe's summary, not its reports",
        b"html" => "an HTML page",
        b"testcase" => "a single result without its suite",
        _ => "",
    };
    context.report(Code::JunitWrongRoot, tag.offset, &|| {
        let root = format!("the root element is <{}>", shown(tag.name));
        if kind.is_empty() { root } else { format!("{root}: this looks like {kind}") }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, code: Code) -> Vec<(u64, u64, String)> {
        let scan = scan(text.as_bytes()).unwrap();
        let found = scan.findings.listed().iter().filter(|finding| finding.code == code);
        found.filter_map(|f| f.place.clone()).map(|p| (p.line, p.column, p.path)).collect()
    }

    #[test]
    fn a_suite_longer_than_the_window_is_named_where_it_begins() {
        let padding = "<system-out>x\n\n</system-out>".repeat(20_000);
        let case = "<testcase name='a' classname='b'/>";
        let text = format!(
            "<testsuites>\n\n <testsuite tests='2'>{case}{padding}</testsuite></testsuites>"
        );
        let expected = [(3, 2, "testsuites/testsuite[1]".to_owned())];
        assert_eq!(places(&text, Code::JunitCountsDisagree), expected);
    }

    #[test]
    fn a_suite_may_count_its_own_results_or_those_of_its_suites_too() {
        let case = "<testcase name='a' classname='b'/>";
        for (outer, findings) in [("1", 0), ("2", 0), ("3", 1), ("", 0), ("x", 0)] {
            let text = format!(
                "<testsuite tests='{outer}'>{case}<testsuite tests='1'>{case}</testsuite></testsuite>"
            );
            assert_eq!(places(&text, Code::JunitCountsDisagree).len(), findings, "{outer}");
        }
    }

    #[test]
    fn a_result_counts_as_its_heaviest_outcome_and_only_by_its_own_children() {
        let text = "<testsuite>\
            <testcase name='1' classname='c'><skipped/><failure/><error/><failure/></testcase>\
            <testcase name='2' classname='c'><failure/><skipped/></testcase>\
            <testcase name='3' classname='c'><x><failure/></x></testcase>\
            <testcase name='4' classname='c'><skipped/></testcase>\
            <testcase name='5' classname='c'><testcase name='6' classname='c'><failure/></testcase></testcase>\
            <error/></testsuite>";
        let counts = scan(text.as_bytes()).unwrap().counts;
        assert_eq!(counts, Counts { results: 6, failures: 2, errors: 1, skipped: 1 });
    }
}
