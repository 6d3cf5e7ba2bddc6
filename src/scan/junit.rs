//! JUnit XML: what its elements mean, on top of a well-formed document.
//!
//! There is no one schema. What every producer shares, and the service reads: `<testcase>` elements
//! at any depth of `<testsuites>` and `<testsuite>`, each with at most one outcome among its
//! children (`error`, `failure`, `skipped`); without one it passed.

use std::io::{self, Read};
use std::time::Duration;

use super::cut::{CountAttribute, Limits, Merge, Pieces, Tally, XmlCutter};
use super::handler::{Context, Handler, MarkOf, StartTag, local_name};
use super::markup::shown;
use super::window::Mark;
use super::xml::Lexer;
use super::{Counts, Scan};
use crate::finding::{Code, Finding, Findings, Severity};
use crate::spool::ByteRange;

/// How deep suites may nest and be cut: each piece opens again all that are open.
const MAX_CONTAINERS: usize = 64;

/// The longest time that is one: thirty years. Sums of more could overflow.
const LONGEST_TIME: Duration = Duration::from_secs(1_000_000_000);

/// Attributes of a `<testsuites>` that say nothing about the suites in it: identity and sums.
const OF_ROOT_ALONE: [&[u8]; 12] = [
    b"assertions",
    b"disabled",
    b"duration",
    b"errors",
    b"failures",
    b"id",
    b"name",
    b"skipped",
    b"tests",
    b"time",
    b"timestamp",
    b"uuid",
];

/// Scans a JUnit XML document.
///
/// # Errors
/// What reading the source gives. What is wrong with the document is a finding.
pub fn scan(source: impl Read, limits: Limits) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut junit = Junit { cutter: XmlCutter::new(limits), open: Vec::new(), merge: Merge::Alone };
    let extent = Lexer::new(source, &mut junit, &mut findings).run()?;
    let counts = junit.cutter.tally().counts;
    if counts.results == 0 && findings.count(Severity::Error) == 0 {
        findings.push(Finding::of_file(Code::ResultsNone, "the file holds no <testcase>"));
    }
    findings.sort();
    // What a DOCTYPE names may be needed by what follows it.
    let has_doctype = findings.counts().contains_key(&Code::XmlDoctype);
    let merge = if has_doctype { Merge::Alone } else { junit.merge };
    let length = (!findings.break_off()).then_some(extent.bytes);
    let pieces = Pieces { merge, ..junit.cutter.finish(length) };
    Ok(Scan { counts, findings, extent, pieces })
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
        match name {
            b"testcase" => Self::Result,
            // Most are, and none has a prefix.
            b"property" => Self::Other,
            _ => Self::of_local(local_name(name)),
        }
    }

    fn of_local(name: &[u8]) -> Self {
        match name {
            b"testcase" => Self::Result,
            b"testsuite" | b"testsuites" => Self::Suite,
            b"error" => Self::Outcome(Outcome::Error),
            b"failure" => Self::Outcome(Outcome::Failure),
            b"skipped" => Self::Outcome(Outcome::Skipped),
            _ => Self::Other,
        }
    }
}

/// An element that is open, as far as its end needs it.
#[derive(Debug)]
struct Open {
    role: Role,
    kind: OpenKind,
}

/// What an element is to the cutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The root, and the suites in containers.
    Container,
    /// Any other child of a container.
    Unit,
    /// A container's properties, which begin here.
    Properties(u64),
    /// Whatever is deeper.
    Inside,
}

#[derive(Debug)]
enum OpenKind {
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

#[derive(Debug)]
struct Junit {
    cutter: XmlCutter,
    open: Vec<Open>,
    merge: Merge,
}

impl Handler for Junit {
    fn open(&mut self, tag: &StartTag<'_>, context: &mut dyn Context) {
        if tag.depth == 0 {
            check_root(tag, context);
            self.merge = merge_of(tag);
        }
        let element = Element::of(tag.name);
        let role = self.role(element, tag);
        // What the root says of all its suites must not be said of those of other files.
        if tag.depth == 1
            && self.merge == Merge::Inner
            && !matches!(element, Element::Suite | Element::Result)
        {
            self.merge = Merge::Alone;
        }
        match role {
            Role::Container => {
                let counts = tag.attributes().zip(tag.value_ranges());
                let counts = counts.filter_map(|((name, _), value)| {
                    CountAttribute::of(name).map(|attribute| (attribute, value))
                });
                let name_length = tag.name.len() as u64;
                self.cutter.open_container(tag.offset..tag.end, name_length, counts.collect());
            }
            Role::Unit => self.cutter.open_unit(tag.offset),
            Role::Properties(_) | Role::Inside => {}
        }
        let kind = match element {
            Element::Result => {
                self.result(tag, context);
                OpenKind::Result(Outcome::Passed)
            }
            Element::Suite => suite(tag, context),
            Element::Outcome(outcome) => {
                self.outcome(outcome, context.is_sound(tag.end));
                OpenKind::Other
            }
            Element::Other => OpenKind::Other,
        };
        self.open.push(Open { role, kind });
    }

    fn close(&mut self, end_tag: ByteRange, context: &mut dyn Context) {
        let Some(Open { role, kind }) = self.open.pop() else { return };
        let mark = |offset| context.mark(offset);
        match role {
            Role::Container => self.cutter.close_container(&end_tag, &mark),
            Role::Unit => self.cutter.close_unit(end_tag.end, &mark),
            Role::Properties(start) => self.cutter.properties(start..end_tag.end),
            Role::Inside => {}
        }
        if let OpenKind::Suite { mark, declared, own, all } = kind {
            if let Some((_, around)) = self.nearest_suite() {
                *around += all;
            }
            // Producers differ in whether a suite counts the results of the suites in it.
            if let Some(declared) = declared
                && declared != own
                && declared != all
            {
                context.report_at(Code::JunitCountsDisagree, mark, &|| {
                    format!("tests=\"{declared}\" in a suite that holds {all}")
                });
            }
        }
    }

    fn settle(&mut self, mark: MarkOf<'_>) {
        self.cutter.settle(mark);
    }
}

impl Junit {
    fn role(&self, element: Element, tag: &StartTag<'_>) -> Role {
        match self.open.last().map(|around| around.role) {
            None => Role::Container,
            Some(Role::Container) if element == Element::Suite && tag.depth < MAX_CONTAINERS => {
                Role::Container
            }
            Some(Role::Container) if local_name(tag.name) == b"properties" => {
                Role::Properties(tag.offset)
            }
            Some(Role::Container) => Role::Unit,
            Some(_) => Role::Inside,
        }
    }

    /// What the innermost open suite holds: of its own, and in all.
    fn nearest_suite(&mut self) -> Option<(&mut u64, &mut u64)> {
        self.open.iter_mut().rev().find_map(|open| match &mut open.kind {
            OpenKind::Suite { own, all, .. } => Some((own, all)),
            _ => None,
        })
    }

    fn result(&mut self, tag: &StartTag<'_>, context: &mut dyn Context) {
        let is_sound = context.is_sound(tag.end);
        if let Some((own, all)) = self.nearest_suite() {
            *own += 1;
            *all += 1;
        }
        let (mut name, mut classname) = (false, false);
        for (key, value) in tag.attributes() {
            match key {
                b"name" => name = !value.trim_ascii().is_empty(),
                b"classname" => classname = !value.trim_ascii().is_empty(),
                b"time" => {
                    let time = check_time(tag, value, context);
                    let tally = self.cutter.tally_mut();
                    tally.time = tally.time.saturating_add(time);
                }
                _ => {}
            }
        }
        // What stands behind an error of well-formedness, the service's parser never sees.
        if is_sound {
            self.cutter.tally_mut().counts.results += 1;
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
    fn outcome(&mut self, outcome: Outcome, is_sound: bool) {
        let Some(Open { kind: OpenKind::Result(before), .. }) = self.open.last_mut() else {
            return;
        };
        if outcome <= *before || !is_sound {
            return;
        }
        let Tally { counts, .. } = self.cutter.tally_mut();
        if let Some(count) = outcome_count(counts, *before) {
            *count -= 1;
        }
        if let Some(count) = outcome_count(counts, outcome) {
            *count += 1;
        }
        *before = outcome;
    }
}

fn outcome_count(counts: &mut Counts, outcome: Outcome) -> Option<&mut u64> {
    match outcome {
        Outcome::Passed => None,
        Outcome::Skipped => Some(&mut counts.skipped),
        Outcome::Failure => Some(&mut counts.failures),
        Outcome::Error => Some(&mut counts.errors),
    }
}

fn suite(tag: &StartTag<'_>, context: &mut dyn Context) -> OpenKind {
    let mut declared = None;
    for (key, value) in tag.attributes() {
        match key {
            b"tests" => {
                let value = std::str::from_utf8(value).ok();
                declared = value.and_then(|value| value.trim().parse().ok());
            }
            b"time" => {
                check_time(tag, value, context);
            }
            _ => {}
        }
    }
    OpenKind::Suite { mark: context.mark(tag.offset), declared, own: 0, all: 0 }
}

/// How a document with this root can stand together with others.
fn merge_of(root: &StartTag<'_>) -> Merge {
    match root.name {
        b"testsuite" => Merge::Root,
        b"testsuites" if root.attributes().all(|(name, _)| OF_ROOT_ALONE.contains(&name)) => {
            Merge::Inner
        }
        _ => Merge::Alone,
    }
}

/// A time is a number of seconds; nothing at all is common, and harmless.
///
/// Returns it in microseconds.
fn check_time(tag: &StartTag<'_>, value: &[u8], context: &mut dyn Context) -> u64 {
    let value = value.trim_ascii();
    if value.is_empty() {
        return 0;
    }
    if let Some(time) = plain_time(value) {
        return time;
    }
    let number = std::str::from_utf8(value).ok().and_then(|value| value.parse::<f64>().ok());
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    let duration = duration.filter(|duration| *duration <= LONGEST_TIME);
    let Some(duration) = duration else {
        context.report(Code::JunitOddTime, tag.offset, &|| {
            format!("time=\"{}\" is not a number of seconds", shown(value))
        });
        return 0;
    };
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The microseconds of a plain decimal number of seconds, such as `0.005`: as most are written.
fn plain_time(value: &[u8]) -> Option<u64> {
    let mut digits = value.splitn(2, |&byte| byte == b'.');
    let (seconds, fraction) = (digits.next()?, digits.next().unwrap_or(b"0"));
    if seconds.is_empty() || seconds.len() > 8 || fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
        })
    };
    let scale = fraction.iter().fold(1_000_000, |scale, _| scale / 10);
    Some(number(seconds)? * 1_000_000 + number(fraction)? * scale)
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

    const UNLIMITED: Limits = Limits { results: u64::MAX, bytes: u64::MAX };

    fn places(text: &str, code: Code) -> Vec<(u64, u64, String)> {
        let scan = scan(text.as_bytes(), UNLIMITED).unwrap();
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
        let counts = scan(text.as_bytes(), UNLIMITED).unwrap().counts;
        assert_eq!(counts, Counts { results: 6, failures: 2, errors: 1, skipped: 1 });
    }
}
