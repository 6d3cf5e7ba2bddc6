//! Packing: small documents of one format together in one upload, up to the limits.
//!
//! Documents are taken in their order, and a pack is closed by the first one that does not fit.
//! So the pieces of a plan, given as files, are packed as they are.

use bytes::Bytes;

use super::{Member, PlannedFile, Segments, Upload};
use crate::format::Format;
use crate::scan::Counts;
use crate::scan::cut::{Limits, Merge, Part};

/// What is taken for a member beside its content: more than the cuts of a file guess too much, so
/// that two pieces, given as files, do not fit together after all.
const SLACK: u64 = 4096;

/// What the common root of a pack takes at most, in bytes.
const ENVELOPE: u64 = 256;

/// Documents that go together.
#[derive(Debug)]
pub(super) struct Pack<'a> {
    format: Format,
    members: Vec<Member<'a>>,
    results: u64,
    bytes: u64,
    is_closed: bool,
}

impl<'a> Pack<'a> {
    pub(super) fn into_members(self) -> Vec<Member<'a>> {
        self.members
    }

    fn takes(&self, member: &Member<'_>, limits: Limits) -> bool {
        // A file that was cut is not put together again.
        let is_of_another =
            self.members.last().is_none_or(|last| last.file.index != member.file.index);
        is_of_another
            && self.results.saturating_add(member.piece.counts.results) <= limits.results
            && self.bytes.saturating_add(length(member)).saturating_add(ENVELOPE) <= limits.bytes
    }
}

/// Whether a file may share an upload.
pub(super) fn can_share(file: &PlannedFile<'_>) -> bool {
    file.scan.pieces.merge != Merge::Alone
}

/// Adds a piece to the open pack of its format, or to a new one.
pub(super) fn add<'a>(packs: &mut Vec<Pack<'a>>, member: Member<'a>, limits: Limits) {
    let format = member.file.format;
    let open = packs.iter_mut().rev().find(|pack| pack.format == format && !pack.is_closed);
    match open {
        Some(pack) if pack.takes(&member, limits) => {
            pack.results += member.piece.counts.results;
            pack.bytes += length(&member);
            pack.members.push(member);
        }
        open => {
            if let Some(pack) = open {
                pack.is_closed = true;
            }
            let (results, bytes) = (member.piece.counts.results, length(&member));
            packs.push(Pack { format, members: vec![member], results, bytes, is_closed: false });
        }
    }
}

/// Closes the open pack of a format: what follows it must not go before it.
pub(super) fn close(packs: &mut [Pack<'_>], format: Format) {
    for pack in packs.iter_mut().rev().filter(|pack| pack.format == format).take(1) {
        pack.is_closed = true;
    }
}

/// What a member takes within a pack at most.
fn length(member: &Member<'_>) -> u64 {
    parts(member).map(Part::length).sum::<u64>() + SLACK
}

/// What of a member goes into the common root.
fn parts<'p>(member: &Member<'p>) -> Box<dyn Iterator<Item = &'p Part> + 'p> {
    match member.file.scan.pieces.merge {
        Merge::Inner => Box::new(member.piece.inner.iter()),
        Merge::Root | Merge::Alone => Box::new(member.piece.root()),
    }
}

/// Several documents as one upload.
pub(super) fn merged(members: &[Member<'_>]) -> Upload {
    let counts =
        members.iter().fold(Counts::default(), |sum, member| sum.plus(member.piece.counts));
    let format = members.first().map_or(Format::Junit, |member| member.file.format);
    let (open, separator, close) = envelope(format, counts);
    let mut segments = Segments::default();
    segments.literal(Bytes::from(open));
    for (number, member) in members.iter().enumerate() {
        if number > 0 {
            segments.literal(Bytes::from_static(separator));
        }
        segments.add(member.file.region, parts(member));
    }
    segments.literal(Bytes::from_static(close));
    Upload {
        index: 0,
        format,
        file_name: format!("packed-{}-files.{}", members.len(), format.extension()),
        segments: segments.list,
        results: counts.results,
        sources: members.iter().map(Member::source).collect(),
    }
}

/// The common root: what opens it, stands between two documents, and closes it.
fn envelope(format: Format, counts: Counts) -> (String, &'static [u8], &'static [u8]) {
    let Counts { results, failures, errors, skipped } = counts;
    match format {
        Format::Junit => (
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{results}\" \
                 failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n"
            ),
            b"\n",
            b"\n</testsuites>\n",
        ),
        _ => ("[".to_owned(), b",", b"]\n"),
    }
}
