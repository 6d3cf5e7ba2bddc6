//! What the JSON formats share: outcomes, and walking the arrays that hold results.

use std::io::Read;

use super::cut::{JsonCutter, Merge, Pieces};
use super::json::{Cursor, Step};
use super::{Counts, Extent, Scan};
use crate::finding::{Code, Finding, Findings, Severity};

/// How a result ended; ordered by weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    #[default]
    Passed,
    Skipped,
    Failed,
    Error,
}

impl Outcome {
    /// The counts of one result that ended so.
    pub fn count(self) -> Counts {
        Counts {
            results: 1,
            failures: u64::from(self == Self::Failed),
            errors: u64::from(self == Self::Error),
            skipped: u64::from(self == Self::Skipped),
        }
    }
}

/// Walks the root's array of results.
pub fn root_array<R: Read>(
    cursor: &mut Cursor<'_, R>,
    cutter: &mut JsonCutter,
    mut element: impl FnMut(&mut Cursor<'_, R>, &mut JsonCutter) -> Step,
) -> Step {
    cursor.peek()?;
    cutter.open_root(0..cursor.offset() + 1);
    cursor.array(|cursor| {
        element(cursor, cutter)?;
        cutter.end_element(cursor.offset());
        Ok(())
    })?;
    cutter.close_root(cursor.offset() - 1);
    Ok(())
}

/// Walks an element whose results are in the array of one of its keys.
pub fn nested_array<R: Read>(
    cursor: &mut Cursor<'_, R>,
    cutter: &mut JsonCutter,
    wanted: &str,
    mut element: impl FnMut(&mut Cursor<'_, R>, &mut JsonCutter) -> Step,
) -> Step {
    let start = cursor.offset();
    let mut bracket = None;
    cursor.object(&[wanted], |cursor, key| {
        if key != wanted {
            return cursor.skip();
        }
        cursor.peek()?;
        cutter.open_frame(start..cursor.offset() + 1);
        cursor.array(|cursor| element(cursor, cutter))?;
        bracket = Some(cursor.offset() - 1);
        Ok(())
    })?;
    if let Some(bracket) = bracket {
        cutter.close_frame(bracket..cursor.offset());
    }
    Ok(())
}

/// Takes a unit: an element that is never cut, with the results in it.
pub fn unit<R: Read>(
    cursor: &mut Cursor<'_, R>,
    cutter: &mut JsonCutter,
    take: impl FnOnce(&mut Cursor<'_, R>) -> Step<Counts>,
) -> Step {
    let start = cursor.offset();
    cutter.open_unit(start, cursor.mark(start).line());
    let held = take(cursor)?;
    let end = cursor.offset();
    // What stands behind an error of the grammar, the service's parser never sees.
    let held = if cursor.is_sound() { held } else { Counts::default() };
    cutter.close_unit(cursor.mark(end), held);
    Ok(())
}

/// The outcome of a scan whose document was walked.
pub fn end_of_scan(
    mut findings: Findings,
    cutter: JsonCutter,
    extent: Extent,
    merge: Merge,
) -> Scan {
    let counts = cutter.counts();
    if counts.results == 0 && findings.count(Severity::Error) == 0 {
        findings
            .push(Finding::of_file(Code::ResultsNone, "the file holds no result of its format"));
    }
    findings.sort();
    Scan { counts, findings, extent, pieces: Pieces { merge, ..cutter.finish(extent.bytes) } }
}
