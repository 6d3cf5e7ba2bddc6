//! Checking the inputs: reading each into the spool, telling its format, scanning it.

use std::io::{self, Read};
use std::path::Path;

use crate::config::{Broken, Config, Mode};
use crate::finding::{Code, Finding, Findings, LISTED_PER_RUN, Severity};
use crate::format::{Format, HEAD};
use crate::input::{self, Input, ReadError};
use crate::progress::{Event, Observer, Phase};
use crate::salvage::{self, Account, Salvaged};
use crate::scan::cut::{Limits, Pieces};
use crate::scan::{self, Counts, Extent, Scan};
use crate::spool::{Region, Spool};

/// An input after the checks.
pub struct Checked {
    pub input: Input,
    pub format: Option<Format>,
    /// Where it is in the spool, if it could be read.
    pub region: Option<Region>,
    pub scan: Scan,
    /// If it is salvaged, region and scan are of what it became, but for the findings.
    pub salvage: Option<Account>,
}

/// Reads all inputs into a spool, then scans them.
pub fn check(config: &Config, observer: &dyn Observer) -> Result<Vec<Checked>, String> {
    let mut spool = Spool::create_in(&config.temp_folder)
        .map_err(|error| spool_failure(&config.temp_folder, &error))?;
    let inputs = config.inputs.expand(&mut |note| observer.event(&Event::Note(note)));
    let bytes = inputs.iter().map(Input::length_hint).sum();
    observer.event(&Event::Begin { phase: Phase::Reading, bytes });
    let mut files = Vec::with_capacity(inputs.len());
    for input in inputs {
        files.push(read(input, &mut spool, config, observer)?);
    }
    observer.event(&Event::End);
    let bytes = files.iter().filter_map(|file| file.region.as_ref()).map(Region::length).sum();
    observer.event(&Event::Begin { phase: Phase::Checking, bytes: Some(bytes) });
    let mut listed = 0;
    for file in &mut files {
        scan_file(file, config.limits, observer)
            .map_err(|error| spool_failure(&config.temp_folder, &error))?;
        if config.checks.broken == Broken::Salvaged {
            salvage_file(file, &mut spool, config.limits, observer)
                .map_err(|error| spool_failure(&config.temp_folder, &error))?;
        }
        if matches!(config.mode, Mode::Validate) {
            // Nothing is planned.
            file.scan.pieces = Pieces::default();
        }
        file.scan.findings.keep_listed(LISTED_PER_RUN - listed);
        listed += file.scan.findings.listed().len();
    }
    observer.event(&Event::End);
    Ok(files)
}

fn spool_failure(folder: &Path, error: &io::Error) -> String {
    format!(
        "failed to keep a copy of the input in {}: {error}; set TMPDIR to a folder with more room",
        folder.display()
    )
}

fn read(
    input: Input,
    spool: &mut Spool,
    config: &Config,
    observer: &dyn Observer,
) -> Result<Checked, String> {
    let read = input::read(&input, spool, |bytes| observer.event(&Event::Advance { bytes }));
    let mut findings = Findings::default();
    let mut format = None;
    let mut region = None;
    match read {
        Ok((read, changed)) => {
            if let Some(changed) = changed {
                findings.push(changed);
            }
            let length = usize::try_from(read.length()).unwrap_or(HEAD).min(HEAD);
            let mut head = Vec::with_capacity(length);
            read.reader()
                .take(HEAD as u64)
                .read_to_end(&mut head)
                .map_err(|error| spool_failure(&config.temp_folder, &error))?;
            format = config.format.or_else(|| Format::detect(input.content_name(), &head));
            match format {
                Some(format) => {
                    let name = input.name();
                    observer.event(&Event::Note(&format!("{name}: format {format}")));
                }
                None if head.is_empty() => {
                    findings.push(Finding::of_file(Code::InputEmpty, "the file is empty"));
                }
                None => {
                    let message = "neither the name nor the content tells the format";
                    findings.push(Finding::of_file(Code::InputUnknownFormat, message));
                }
            }
            region = Some(read);
        }
        Err(ReadError::Input(finding)) => findings.push(finding),
        Err(ReadError::Spool(error)) => return Err(spool_failure(&config.temp_folder, &error)),
    }
    let extent = Extent { bytes: region.as_ref().map_or(0, Region::length), lines: 0 };
    let scan = Scan { counts: Counts::default(), findings, extent, pieces: Pieces::default() };
    Ok(Checked { input, format, region, scan, salvage: None })
}

fn scan_file(file: &mut Checked, limits: Limits, observer: &dyn Observer) -> io::Result<()> {
    let (Some(format), Some(region)) = (file.format, &file.region) else { return Ok(()) };
    let source = Observed { reader: region.reader(), observer };
    let mut scan = scan::scan(format, source, limits)?;
    // What was found while it was read stands before what is in it.
    let mut findings = std::mem::take(&mut file.scan.findings);
    findings.append(std::mem::take(&mut scan.findings));
    for message in beyond(&scan, limits) {
        findings.push(Finding::of_file(Code::ResultsOverLimit, message));
    }
    file.scan = Scan { findings, ..scan };
    Ok(())
}

/// Saves what can be saved of a file that was scanned and is broken.
fn salvage_file(
    file: &mut Checked,
    spool: &mut Spool,
    limits: Limits,
    observer: &dyn Observer,
) -> io::Result<()> {
    let (Some(format), Some(region)) = (file.format, &file.region) else { return Ok(()) };
    let findings = &mut file.scan.findings;
    if findings.count(Severity::Error) == 0 {
        return Ok(());
    }
    match salvage::salvage(format, region, findings, spool, limits)? {
        Ok(Salvaged { region, scan, account }) => {
            file.scan = Scan { findings: std::mem::take(findings), ..scan };
            file.region = Some(region);
            file.salvage = Some(account);
        }
        Err(reason) => {
            let warning = format!("{} cannot be salvaged: {reason}", file.input.name());
            observer.event(&Event::Warning(&warning));
        }
    }
    Ok(())
}

/// What is said of parts of a file that cannot be cut to the limits.
fn beyond(scan: &Scan, limits: Limits) -> impl Iterator<Item = String> {
    let said = move |results: u64, bytes: u64, (first, last): (u64, u64)| {
        format!(
            "{results} results in {bytes} bytes that cannot be cut, in lines {first} to {last}: \
             an upload takes {} results and {} bytes",
            limits.results, limits.bytes
        )
    };
    let pieces = scan.pieces.list.iter().filter(move |piece| piece.is_uncuttable(limits));
    let whole = scan.counts.results > limits.results || scan.extent.bytes > limits.bytes;
    let whole = (whole && scan.pieces.list.is_empty())
        .then(|| said(scan.counts.results, scan.extent.bytes, (1, scan.extent.lines)));
    pieces.map(move |piece| said(piece.counts.results, piece.length(), piece.lines)).chain(whole)
}

/// Tells how far a reader is.
struct Observed<'a, R> {
    reader: R,
    observer: &'a dyn Observer,
}

impl<R: Read> Read for Observed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.observer.event(&Event::Advance { bytes: count as u64 });
        Ok(count)
    }
}
