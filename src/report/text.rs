//! The report for people: findings in the way of compilers, then what was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use indicatif::{HumanBytes, HumanCount};

use super::{FileReport, Report, RunMode, Totals, UploadReport};
use crate::deliver::Outcome;
use crate::finding::{Excerpt, Finding, Place, Severity};
use crate::levels::Levels;
use crate::salvage::Account;

/// How many valid files are listed one by one; of more, only the sum is shown.
const LISTED_FILES: usize = 20;

/// The styles of a report; all plain where colours are off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    pub good: Style,
    pub bad: Style,
    pub warning: Style,
    pub strong: Style,
    pub dim: Style,
}

impl Palette {
    /// Colours as compilers use them.
    #[must_use]
    pub const fn coloured() -> Self {
        Self {
            good: AnsiColor::Green.on_default(),
            bad: AnsiColor::Red.on_default().bold(),
            warning: AnsiColor::Yellow.on_default().bold(),
            strong: Style::new().bold(),
            dim: Style::new().dimmed(),
        }
    }
}

/// Writes the report.
///
/// # Errors
/// What writing gives.
pub fn write(report: &Report, palette: Palette, out: &mut impl Write) -> io::Result<()> {
    Writer { palette, levels: &report.checks.levels, out }.report(report)
}

/// Writes what the report ends with: the sums, and what became of the uploads.
///
/// # Errors
/// What writing gives.
pub fn write_summary(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut writer = Writer { palette: Palette::default(), levels: &report.checks.levels, out };
    let totals = report.totals();
    if !report.files.is_empty() {
        writer.files(report, &totals)?;
    }
    writer.summary(report, &totals)
}

struct Writer<'a, W> {
    palette: Palette,
    levels: &'a Levels,
    out: &'a mut W,
}

impl<W: Write> Writer<'_, W> {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        let bad = self.palette.bad;
        let is_quiet = |file: &FileReport| file.is_valid && file.findings.listed().is_empty();
        let quiet_files = report.files.iter().filter(|file| is_quiet(file)).count();
        for file in &report.files {
            if !is_quiet(file) || quiet_files <= LISTED_FILES {
                self.file(file)?;
            }
        }
        let totals = report.totals();
        if report.files.len() > 1 {
            self.files(report, &totals)?;
        }
        let listed = report.files.iter().flat_map(|file| file.findings.listed());
        let gravest = listed.min_by_key(|finding| self.levels.severity(finding.code));
        if let Some(Finding { code, .. }) = gravest {
            let dim = self.palette.dim;
            writeln!(self.out, "{dim}more about a finding: bktec-upload --explain {code}{dim:#}")?;
        }
        let (shown, more) = report.uploads.split_at(report.uploads.len().min(LISTED_FILES));
        for upload in shown {
            self.upload(upload, report)?;
        }
        // What failed alike is said once more with its number.
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for upload in more {
            match upload.delivered().filter(|delivered| delivered.outcome != Outcome::Accepted) {
                Some(delivered) if upload.warnings.is_empty() => {
                    *reasons.entry(delivered.reason.as_deref().unwrap_or_default()).or_default() +=
                        1;
                }
                _ => self.upload(upload, report)?,
            }
        }
        for (reason, uploads) in reasons {
            let uploads = count(uploads);
            writeln!(
                self.out,
                "{bad}not accepted{bad:#}: {uploads} more uploads: {}",
                printable(reason)
            )?;
        }
        self.summary(report, &totals)
    }

    fn files(&mut self, report: &Report, totals: &Totals) -> io::Result<()> {
        let valid = report.files.iter().filter(|file| file.is_valid).count();
        let (valid, files) = (count(valid as u64), count(totals.files));
        let salvaged = report.files.iter().filter(|file| file.salvage.is_some()).count();
        let salvaged =
            if salvaged > 0 { format!(", {salvaged} of them salvaged") } else { String::new() };
        writeln!(self.out, "{valid} of {files} files valid{salvaged}: {}", results(totals))
    }

    fn file(&mut self, file: &FileReport) -> io::Result<()> {
        let Palette { good, bad, warning, strong, dim } = self.palette;
        let (style, verdict) = match (&file.salvage, file.is_valid) {
            (Some(_), _) => (warning, "salvaged"),
            (None, true) => (good, "valid"),
            (None, false) => (bad, "rejected"),
        };
        write!(self.out, "{style}{verdict}{style:#} {strong}{}{strong:#}", printable(&file.path))?;
        if let Some(format) = file.format {
            let counts = &file.counts;
            let from = file.encoding.map(|encoding| format!(" from {encoding}"));
            write!(
                self.out,
                " {dim}({format}{}, {}){dim:#} {}{}",
                from.unwrap_or_default(),
                HumanBytes(file.bytes),
                if file.salvage.is_some() { "kept " } else { "" },
                counted(counts.results, "result")
            )?;
            let kinds = [
                (counts.failures, "failed"),
                (counts.errors, "errors"),
                (counts.skipped, "skipped"),
            ];
            let kinds: Vec<_> = kinds
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, kind)| format!("{} {kind}", count(*n)))
                .collect();
            if !kinds.is_empty() {
                write!(self.out, ", {}", kinds.join(", "))?;
            }
            if let Some(salvage) = &file.salvage {
                write!(self.out, "; {}", losses(salvage))?;
            } else if file.findings.break_off() {
                write!(self.out, " before the first error")?;
            }
        }
        writeln!(self.out)?;
        let mut explained = BTreeSet::new();
        for finding in file.findings.listed() {
            self.finding(file, finding, explained.insert(finding.code))?;
        }
        for (code, more) in file.unlisted(self.levels) {
            let (path, more) = (printable(&file.path), count(more));
            writeln!(self.out, "  {path}: … and {more} more [{code}]")?;
        }
        Ok(())
    }

    fn finding(
        &mut self,
        file: &FileReport,
        finding: &Finding,
        with_advice: bool,
    ) -> io::Result<()> {
        let Palette { bad, warning, dim, strong, .. } = self.palette;
        let severity = self.levels.severity(finding.code);
        let style = match severity {
            Severity::Error => bad,
            Severity::Warning => warning,
        };
        write!(self.out, "  {strong}{}", printable(&file.path))?;
        if let Some(place) = &finding.place {
            write!(self.out, ":{}:{}", place.line, place.column)?;
        }
        let word = severity.as_str();
        let message = printable(&finding.message);
        writeln!(
            self.out,
            ":{strong:#} {style}{word}{style:#}: {message} {dim}[{}]{dim:#}",
            finding.code
        )?;
        if let Some(place) = &finding.place {
            self.excerpt(finding, place, style)?;
            let path = if place.path.is_empty() {
                String::new()
            } else {
                format!(", in {}", printable(&place.path))
            };
            writeln!(self.out, "      {dim}at byte {}{path}{dim:#}", place.offset)?;
        }
        if with_advice {
            writeln!(self.out, "      help: {}", finding.code.advice())?;
        }
        Ok(())
    }

    /// The line that a finding is in, and a caret below its place.
    fn excerpt(&mut self, finding: &Finding, place: &Place, caret: Style) -> io::Result<()> {
        let Some(Excerpt { text, column }) = &finding.excerpt else { return Ok(()) };
        let dim = self.palette.dim;
        let line = place.line.to_string();
        let margin = line.len();
        writeln!(self.out, "      {dim}{line} |{dim:#} {text}")?;
        writeln!(self.out, "      {dim}{:margin$} |{dim:#} {caret}{:>column$}{caret:#}", "", "^")
    }

    /// An upload that is worth a word of its own.
    fn upload(&mut self, report: &UploadReport, run: &Report) -> io::Result<()> {
        let Palette { bad, warning, .. } = self.palette;
        let name = upload_name(report, run);
        if let Some((outcome, reason)) = report.trouble() {
            writeln!(self.out, "{bad}{outcome}{bad:#}: {name}: {}", printable(reason))?;
        }
        for text in &report.warnings {
            writeln!(self.out, "{warning}warning{warning:#}: {name}: {}", printable(text))?;
        }
        Ok(())
    }

    fn summary(&mut self, report: &Report, totals: &Totals) -> io::Result<()> {
        let Palette { good, bad, strong, .. } = self.palette;
        if let Some(failure) = &report.failure {
            return writeln!(self.out, "{bad}failed{bad:#}: {}", printable(failure));
        }
        if report.signal.is_some() {
            writeln!(self.out, "{bad}interrupted{bad:#}")?;
        }
        if report.files.is_empty() && report.signal.is_none() {
            writeln!(self.out, "no input was found")?;
        }
        if report.uploads.is_empty() {
            if report.mode != RunMode::Validate && report.signal.is_none() {
                writeln!(self.out, "{bad}nothing was sent{bad:#}")?;
            }
            return Ok(());
        }
        if report.mode == RunMode::Write {
            let results = report.uploads.iter().map(|upload| upload.upload.results).sum();
            let uploads = counted(totals.uploads, "upload");
            let results = counted(results, "result");
            return writeln!(self.out, "{good}wrote{good:#} {uploads}, {results}");
        }
        let style = if totals.accepted == totals.uploads { good } else { bad };
        writeln!(
            self.out,
            "{style}accepted{style:#} {} of {} uploads; the service queued {} of {} results",
            count(totals.accepted),
            count(totals.uploads),
            queued(report),
            count(report.uploads.iter().map(|upload| upload.upload.results).sum()),
        )?;
        if let Some(run) = &report.run {
            match &run.url {
                Some(url) => writeln!(self.out, "run: {strong}{}{strong:#}", printable(url))?,
                None => writeln!(self.out, "run key: {}", printable(&run.key))?,
            }
        }
        Ok(())
    }
}

/// Which upload it is, and what it holds: `upload 2 of 3 (a.xml lines 5-9)`.
pub(super) fn upload_name(report: &UploadReport, run: &Report) -> String {
    let upload = &report.upload;
    let shown = upload.sources.iter().take(3).map(|source| {
        let file = run.files.get(source.file).map_or("", |file| file.path.as_str());
        let (first, last) = source.lines;
        format!("{} lines {first}-{last}", printable(file))
    });
    let mut sources: Vec<_> = shown.collect();
    if upload.sources.len() > sources.len() {
        sources.push(format!("{} more", upload.sources.len() - sources.len()));
    }
    let (number, sources) = (upload.index + 1, sources.join(", "));
    format!("upload {number} of {} ({sources})", run.uploads.len())
}

/// What a file that was salvaged lost, and what was replaced in it.
#[must_use]
pub fn losses(account: &Account) -> String {
    let Account { results_lost, bytes_lost, lost_from, replaced, .. } = account;
    let lost = lost_from.as_ref().map(|place| {
        let bytes = counted(*bytes_lost, "byte");
        let what = match (*results_lost, *bytes_lost) {
            (_, 0) => "closed".to_owned(),
            (0, _) => format!("dropped {bytes}"),
            (results, _) => format!("dropped {}, {bytes}", counted(results, "result")),
        };
        format!("{what} after line {}", place.line)
    });
    let total = replaced.total();
    let replaced = (total > 0).then(|| format!("replaced {}", counted(total, "character")));
    lost.into_iter().chain(replaced).collect::<Vec<_>>().join("; ")
}

/// How many results the service says it took; unknown where it does not say.
fn queued(report: &Report) -> String {
    let accepted = report.uploads.iter().filter(|upload| upload.is_accepted());
    let counts = accepted.map(|upload| upload.delivered()?.answer.as_ref()?.queued);
    match counts.sum::<Option<u64>>() {
        Some(sum) => count(sum).to_string(),
        None => "an unknown number".to_owned(),
    }
}

fn results(totals: &Totals) -> String {
    format!("{} results in {}", count(totals.counts.results), HumanBytes(totals.bytes))
}

/// `1 result`, `1,000 results`
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

fn count(number: u64) -> HumanCount {
    HumanCount(number)
}

/// Text from outside for a terminal: control characters are made visible, not obeyed.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
