//! JUnit XML: what its elements mean, on top of a well-formed document.
//!
//! There is no one schema. What every producer shares, and the service reads: `<testcase>` elements
//! at any depth of `<testsuites>` and `<testsuite>`, each with at most one outcome among its
//! children (`error`, `failure`, `skipped`); without one it passed.

use std::io::{self, Read};

use super::cut::{CountAttribute, Merge, Pieces, Tally, XmlCutter};
use super::handler::{Context, Handler, MarkOf, StartTag, local_name};
use super::markup::shown;
use super::roots::check_root;
use super::suite::{Declared, Held, Suite};
use super::xml::Lexer;
use super::{Counts, Options, Scan, names, times};
use crate::finding::{Code, Finding, Findings, Severity};
use crate::spool::ByteRange;

/// How deep suites may nest and be cut: each piece opens again all that are open.
const MAX_CONTAINERS: usize = 64;

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
pub fn scan(source: impl Read, options: Options) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut junit = Junit {
        cutter: XmlCutter::new(options.limits),
        open: Vec::new(),
        suites: Vec::new(),
        open_results: 0,
        merge: Merge::Alone,
        lint_names: options.lint_names,
    };
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
    /// An earlier attempt of a result, as Surefire and nextest write it.
    Rerun,
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
            b"flakyFailure" | b"flakyError" | b"rerunFailure" | b"rerunError" => Self::Rerun,
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
    Suite,
    Result(Ended),
    Other,
}

/// How a result ended, as far as it was seen, and what was said of it already.
#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    has_several: bool,
    has_reruns: bool,
}

#[derive(Debug)]
struct Junit {
    cutter: XmlCutter,
    open: Vec<Open>,
    /// The suites among what is open; thousands of other elements may be open within them.
    suites: Vec<Suite>,
    open_results: usize,
    merge: Merge,
    lint_names: bool,
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
                // One that is there twice is an error; a tag may have it thousands of times.
                let counts = counts.take(CountAttribute::COUNT).collect();
                self.cutter.open_container(tag.offset..tag.end, name_length, counts);
            }
            Role::Unit => self.cutter.open_unit(tag.offset),
            Role::Properties(_) | Role::Inside => {}
        }
        let kind = match element {
            Element::Result => {
                if role == Role::Inside {
                    self.check_nesting(tag, context);
                }
                self.result(tag, context);
                self.open_results += 1;
                let outcome = Outcome::Passed;
                OpenKind::Result(Ended { outcome, has_several: false, has_reruns: false })
            }
            Element::Suite => {
                self.suites.push(suite(tag, context));
                OpenKind::Suite
            }
            Element::Outcome(outcome) => {
                self.outcome(outcome, tag, context);
                OpenKind::Other
            }
            Element::Rerun => {
                self.rerun(tag, context);
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
        match kind {
            OpenKind::Suite => self.close_suite(context),
            OpenKind::Result(_) => self.open_results -= 1,
            OpenKind::Other => {}
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

    /// Compares what the innermost suite declares with what it held, and adds that to the one around.
    fn close_suite(&mut self, context: &mut dyn Context) {
        let Some(suite) = self.suites.pop() else { return };
        if let Some(around) = self.suites.last_mut() {
            around.nested = around.nested.plus(suite.own).plus(suite.nested);
        }
        if let Some(message) = suite.disagreement() {
            context.report_at(Code::JunitCountsDisagree, suite.mark, &|| message.clone());
        }
    }

    /// What the innermost suite holds of its own; without one, nobody asks.
    fn held(&mut self, change: impl FnOnce(&mut Held)) {
        if let Some(suite) = self.suites.last_mut() {
            change(&mut suite.own);
        }
    }

    fn check_nesting(&self, tag: &StartTag<'_>, context: &mut dyn Context) {
        if self.open_results > 0 {
            let message = || "a testcase within a testcase".to_owned();
            context.report(Code::JunitNestedTestcase, tag.offset, &message);
        }
    }

    fn result(&mut self, tag: &StartTag<'_>, context: &mut dyn Context) {
        let is_sound = context.is_sound(tag.end);
        self.held(|held| held.counts.results += 1);
        let (mut name, mut classname) = (false, false);
        for (key, value) in tag.attributes() {
            match key {
                b"name" | b"classname" => {
                    let is_there = !value.trim_ascii().is_empty();
                    *(if key == b"name" { &mut name } else { &mut classname }) = is_there;
                    if self.lint_names {
                        lint_name(tag, key, value, context);
                    }
                }
                b"timestamp" => check_timestamp(tag, value, context),
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
    fn outcome(&mut self, outcome: Outcome, tag: &StartTag<'_>, context: &mut dyn Context) {
        let Some(Open { kind: OpenKind::Result(ended), .. }) = self.open.last_mut() else {
            return;
        };
        let before = ended.outcome;
        let heaviest = before.max(outcome);
        ended.outcome = heaviest;
        let is_other = before != Outcome::Passed && before != outcome;
        if is_other && !std::mem::replace(&mut ended.has_several, true) {
            context.report(Code::JunitSeveralOutcomes, tag.offset, &|| {
                format!(
                    "{} beside {}: the result counts as {}",
                    outcome.as_str(),
                    before.as_str(),
                    heaviest.as_str()
                )
            });
        }
        self.held(|held| {
            recount(&mut held.elements, Outcome::Passed, outcome);
            recount(&mut held.counts, before, heaviest);
        });
        if context.is_sound(tag.end) {
            let Tally { counts, .. } = self.cutter.tally_mut();
            recount(counts, before, heaviest);
        }
    }

    /// An earlier attempt of a result: the result is one for the service, and ended as its last.
    fn rerun(&mut self, tag: &StartTag<'_>, context: &mut dyn Context) {
        let Some(Open { kind: OpenKind::Result(ended), .. }) = self.open.last_mut() else {
            return;
        };
        // A result may have as many as it was retried: what is said of it is said once.
        if !std::mem::replace(&mut ended.has_reruns, true) {
            context.report(Code::JunitRerun, tag.offset, &|| {
                let attempt = shown(local_name(tag.name));
                format!("{attempt} is an earlier attempt: the result counts once, as it ended")
            });
        }
        self.held(|held| held.reruns += 1);
    }
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// A result of these counts has another outcome than before.
fn recount(counts: &mut Counts, before: Outcome, now: Outcome) {
    if let Some(count) = outcome_count(counts, before) {
        *count = count.saturating_sub(1);
    }
    if let Some(count) = outcome_count(counts, now) {
        *count += 1;
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

fn suite(tag: &StartTag<'_>, context: &mut dyn Context) -> Suite {
    let mut declared = Declared::default();
    for (key, value) in tag.attributes() {
        match key {
            b"time" => {
                check_time(tag, value, context);
            }
            b"timestamp" => check_timestamp(tag, value, context),
            _ => declared.read(key, value),
        }
    }
    let mark = context.mark(tag.offset);
    Suite { mark, declared, own: Held::default(), nested: Held::default() }
}

fn lint_name(tag: &StartTag<'_>, key: &[u8], value: &[u8], context: &mut dyn Context) {
    if let Some(part) = names::unstable(value) {
        context.report(Code::ResultsUnstableName, tag.offset, &|| {
            format!("the {} holds {part}", shown(key))
        });
    }
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
    if let Some(time) = times::microseconds(value) {
        return time;
    }
    context.report(Code::JunitOddTime, tag.offset, &|| {
        let odd = format!("time=\"{}\" is not a number of seconds", shown(value));
        match times::meant(value) {
            Some(meant) => format!("{odd}: probably {meant} was meant"),
            None => odd,
        }
    });
    0
}

fn check_timestamp(tag: &StartTag<'_>, value: &[u8], context: &mut dyn Context) {
    let value = value.trim_ascii();
    if !value.is_empty() && !times::is_timestamp(value) {
        context.report(Code::JunitOddTimestamp, tag.offset, &|| {
            format!("timestamp=\"{}\" is no date and time of ISO 8601", shown(value))
        });
    }
}

#[cfg(test)]
mod tests;
