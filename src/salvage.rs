//! Salvage: what can be saved of a broken file, and the account of what is lost.
//!
//! Opt-in, and never silent. Two things are done about a file whose document is broken:
//!
//! - **Cutting off**: it ends before the first fault that breaks its structure, behind the last
//!   result that is complete. The scan's own pieces are that document already.
//! - **Mending**: characters that must not be there are replaced, in a second copy in the spool.
//!
//! Then what is left is scanned again, and that scan's verdict counts: what was validated is what is
//! sent. Places are those of the file as it was given.

use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::finding::{Code, Findings, Place, Severity};
use crate::format::Format;
use crate::scan::mend::{Mender, Replaced, Rules};
use crate::scan::{self, Counts, Options, Scan};
use crate::spool::{Region, Spool};

/// What a file became.
#[derive(Debug)]
pub struct Salvaged {
    /// Where the mended document is in the spool; its pieces may leave out the end.
    pub region: Region,
    /// The scan of that, which counts what is kept.
    pub scan: Scan,
    pub account: Account,
}

/// What was lost and changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// How many bytes the file had.
    pub bytes: u64,
    pub results_kept: u64,
    /// Those that begin in what was lost, as far as can be told.
    pub results_lost: u64,
    pub bytes_lost: u64,
    /// Where what was lost begins, if anything was: all from there on.
    pub lost_from: Option<Place>,
    pub replaced: Replaced,
}

/// What can be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Mend,
    CutOff,
}

impl Remedy {
    fn of(code: Code) -> Option<Self> {
        match code {
            _ if code.severity() != Severity::Error => None,
            Code::XmlInvalidUtf8
            | Code::XmlIllegalCharacter
            | Code::XmlIllegalReference
            | Code::XmlUndefinedEntity
            | Code::XmlBareAmpersand
            | Code::JsonInvalidUtf8 => Some(Self::Mend),
            Code::JsonTruncated => Some(Self::CutOff),
            _ if code.as_str().starts_with("xml-") => Some(Self::CutOff),
            _ => None,
        }
    }
}

/// What is to be done about a file.
#[derive(Debug, Default)]
struct Treatment {
    /// The first fault in its structure: it ends before that from now on.
    cut_off: Option<Place>,
    is_mended: bool,
}

impl Treatment {
    /// What the findings of a document of `length` bytes call for, or why they call for none.
    fn of(findings: &Findings, length: u64) -> Result<Self, String> {
        let mut errors = findings.counts().keys().filter(|code| code.severity() == Severity::Error);
        if let Some(code) = errors.find(|code| Remedy::of(**code).is_none()) {
            return Err(format!("{code} cannot be mended"));
        }
        let mut treatment = Self::default();
        // They are in the order of the file.
        for finding in findings.listed() {
            match (Remedy::of(finding.code), &finding.place) {
                // Nearer to the end, what is no character is a part of one that was cut off.
                (Some(Remedy::Mend), Some(place)) if place.offset + 3 < length => {
                    treatment.is_mended = true;
                }
                (Some(_), Some(place)) => {
                    treatment.cut_off = Some(place.clone());
                    break;
                }
                _ => {}
            }
        }
        Ok(treatment)
    }

    fn end(&self, length: u64) -> u64 {
        self.cut_off.as_ref().map_or(length, |place| place.offset)
    }
}

/// Saves what can be saved of a broken file with these findings, or says why nothing can.
///
/// # Errors
/// What reading or writing the spool gives.
pub fn salvage(
    format: Format,
    file: &Region,
    findings: &Findings,
    temp_folder: &Path,
    options: Options,
) -> io::Result<Result<Salvaged, String>> {
    if !matches!(format, Format::Junit | Format::Json) {
        return Ok(Err("salvage is for JUnit XML and Test Engine JSON".to_owned()));
    }
    let treatment = match Treatment::of(findings, file.length()) {
        Ok(treatment) => treatment,
        Err(reason) => return Ok(Err(reason)),
    };
    let document = file.part(0..treatment.end(file.length()));
    let rules = Rules::of(format, findings);
    let region = if treatment.is_mended {
        // The inputs' own spool is still being written.
        let mut spool = Spool::create_in(temp_folder)?;
        spool.append_from(&mut Mender::new(document.reader(), rules, u64::MAX))?
    } else {
        document.clone()
    };
    let scan = scan::scan(format, region.reader(), options)?;
    let is_left = |code: &&Code| {
        code.severity() == Severity::Error
            && !matches!(code, Code::XmlTruncated | Code::JsonTruncated | Code::ResultsNone)
    };
    if let Some(code) = scan.findings.counts().keys().find(is_left) {
        return Ok(Err(format!("{code} cannot be mended")));
    }
    let pieces = scan.pieces.list.iter();
    let counts = pieces.fold(Counts::default(), |sum, piece| sum.plus(piece.counts));
    if counts.results == 0 {
        return Ok(Err("no result is complete".to_owned()));
    }
    let broken_off = scan.pieces.broken_off.clone();
    let (replaced, lost_from) = if treatment.is_mended {
        // What was replaced in the part that is lost is of no account.
        let until = broken_off.as_ref().map_or(u64::MAX, |place| place.offset);
        let mut mender = Mender::new(document.reader(), rules, until);
        io::copy(&mut mender, &mut io::sink())?;
        mender.into_account()
    } else {
        (Replaced::default(), broken_off)
    };
    let lost_from = lost_from.or(treatment.cut_off);
    let lost = file.part(lost_from.as_ref().map_or(u64::MAX, |place| place.offset)..u64::MAX);
    let account = Account {
        bytes: file.length(),
        results_kept: counts.results,
        results_lost: results_begun(format, lost.reader())?,
        bytes_lost: lost.length(),
        lost_from,
        replaced,
    };
    Ok(Ok(Salvaged { region, scan: Scan { counts, ..scan }, account }))
}

/// How many results begin in the rest of a document.
fn results_begun(format: Format, rest: impl Read) -> io::Result<u64> {
    const TAG: &[u8] = b"<testcase";
    let mut bytes = BufReader::new(rest).bytes();
    if format != Format::Junit {
        // JSON is lost where it ends too early: there is the beginning of one record, if any.
        let is_content = |byte: u8| !byte.is_ascii_whitespace() && byte != b',';
        let content = bytes.find(|byte| byte.as_ref().map_or(true, |byte| is_content(*byte)));
        return content.transpose().map(|content| u64::from(content.is_some()));
    }
    let (mut count, mut matched) = (0, 0);
    for byte in bytes {
        let byte = byte?;
        let ends_name = byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
        count += u64::from(matched == TAG.len() && ends_name);
        let is_next = TAG.get(matched) == Some(&byte);
        matched = if is_next { matched + 1 } else { usize::from(byte == b'<') };
    }
    Ok(count + u64::from(matched == TAG.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_begin_in_what_is_lost_are_counted() {
        for (rest, junit, json) in [
            ("", 0, 0),
            (" ,\n", 0, 0),
            ("<testcas", 0, 1),
            ("<testcase", 1, 1),
            ("<testcase/><testcases><<testcase\n><testcase name=\"", 3, 1),
            (",{\"name\":\"x\"", 0, 1),
        ] {
            assert_eq!(results_begun(Format::Junit, rest.as_bytes()).unwrap(), junit, "{rest}");
            assert_eq!(results_begun(Format::Json, rest.as_bytes()).unwrap(), json, "{rest}");
        }
    }
}
