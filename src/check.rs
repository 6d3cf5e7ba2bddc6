//! Checking the inputs: each is read, its format told, and it is scanned.
//!
//! Two threads share the work: one reads (into the spool, or no further than its head where
//! nothing is to be sent), the other scans what is there by then. Findings and plans are the same
//! as if one came after the other.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::config::{Broken, Config, Mode};
use crate::excerpt;
use crate::finding::{Code, Finding, Findings, LISTED_PER_RUN, Severity};
use crate::format::Format;
use crate::input::{self, Content, Input, Original, ReadError, Taken, Way};
use crate::progress::{Event, Observer, Phase};
use crate::salvage::{self, Account, Salvaged};
use crate::scan::cut::{Limits, Pieces};
use crate::scan::{self, Counts, Extent, Scan};
use crate::spool::{Region, Spool};

/// How many steps the reading may be ahead of the scanning; the content of some may be held.
const AHEAD: usize = 32;

/// An input after the checks.
pub struct Checked {
    pub input: Input,
    pub format: Option<Format>,
    /// Where it is in the spool, if it could be read and is to be sent.
    pub region: Option<Region>,
    /// What it was before, if it was transcoded.
    pub original: Option<Original>,
    /// How many bytes of content it has.
    pub bytes: u64,
    pub scan: Scan,
    /// If it is salvaged, region and scan are of what it became, but for the findings.
    pub salvage: Option<Account>,
}

/// What the reading thread tells the scanning one, in the order of the inputs.
enum Step {
    /// The content of an input can be read; what is in it has this name.
    Begin(Option<PathBuf>, Content),
    /// An input was read, or could not be.
    End(Input, Box<Result<Taken, ReadError>>),
}

/// Reads and scans all inputs.
///
/// # Errors
/// That no copy of an input could be kept, for people.
pub fn check(config: &Config, observer: &dyn Observer) -> Result<Vec<Checked>, String> {
    let mut spool = Spool::create_in(&config.temp_folder)
        .map_err(|error| spool_failure(&config.temp_folder, &error))?;
    let inputs = config.inputs.expand(&mut |note| observer.event(&Event::Note(note)));
    let bytes = inputs.iter().map(Input::length_hint).sum();
    let way = if matches!(config.mode, Mode::Validate) { Way::InPlace } else { Way::Copied };
    observer.event(&Event::Begin { phase: Phase::Checking, bytes });
    let mut files = Vec::with_capacity(inputs.len());
    let mut listed = 0;
    let (sender, steps) = sync_channel(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || read(inputs, way, &mut spool, &sender));
        let mut scanned = None;
        for step in steps {
            match step {
                Step::Begin(name, content) => {
                    scanned = Some(scan(name.as_deref(), content, config, observer));
                }
                Step::End(input, taken) => {
                    let mut file = checked(input, *taken, scanned.take(), config)
                        .map_err(|error| spool_failure(&config.temp_folder, &error))?;
                    let region = file.region.clone();
                    if config.checks.broken == Broken::Salvaged {
                        salvage_file(&mut file, config, observer)
                            .map_err(|error| spool_failure(&config.temp_folder, &error))?;
                    }
                    finish(&mut file, region.as_ref(), LISTED_PER_RUN - listed, config)
                        .map_err(|error| spool_failure(&config.temp_folder, &error))?;
                    listed += file.scan.findings.listed().len();
                    let name = file.input.name();
                    if let Some(encoding) = file.original.as_ref().map(Original::encoding) {
                        let note = format!("{name}: transcoded from {encoding}");
                        observer.event(&Event::Note(&note));
                    }
                    if let Some(format) = file.format {
                        observer.event(&Event::Note(&format!("{name}: format {format}")));
                    }
                    files.push(file);
                }
            }
        }
        Ok::<(), String>(())
    })?;
    observer.event(&Event::End);
    Ok(files)
}

fn spool_failure(folder: &Path, error: &io::Error) -> String {
    format!(
        "failed to keep a copy of the input in {}: {error}; set TMPDIR to a folder with more room",
        folder.display()
    )
}

/// Reads all inputs, until the spool fails or nobody listens any more.
fn read(inputs: Vec<Input>, way: Way, spool: &mut Spool, steps: &SyncSender<Step>) {
    for input in inputs {
        let name = input.content_name().map(Path::to_owned);
        let taken = input::read(&input, way, spool, |content| {
            // If nobody listens, the next step ends the reading.
            let _ = steps.send(Step::Begin(name, content));
        });
        let is_last = matches!(taken, Err(ReadError::Spool(_)));
        if steps.send(Step::End(input, Box::new(taken))).is_err() || is_last {
            return;
        }
    }
}

/// Tells the format of a content and scans it; `None` where the format cannot be told.
fn scan(
    name: Option<&Path>,
    mut content: Content,
    config: &Config,
    observer: &dyn Observer,
) -> io::Result<Option<(Format, Scan)>> {
    let head = content.head()?;
    let Some(format) = config.format.or_else(|| Format::detect(name, head)) else {
        return Ok(None);
    };
    let source = Observed { reader: content.reader(), observer };
    Ok(Some((format, scan::scan(format, source, config.scan_options())?)))
}

/// Puts together what reading and scanning an input came to.
fn checked(
    input: Input,
    taken: Result<Taken, ReadError>,
    scanned: Option<io::Result<Option<(Format, Scan)>>>,
    config: &Config,
) -> io::Result<Checked> {
    let mut file = Checked {
        input,
        format: None,
        region: None,
        original: None,
        bytes: 0,
        scan: Scan {
            counts: Counts::default(),
            findings: Findings::default(),
            extent: Extent { bytes: 0, lines: 0 },
            pieces: Pieces::default(),
        },
        salvage: None,
    };
    // What was found while it was read stands before what is in it.
    let findings = &mut file.scan.findings;
    let taken = match taken {
        Ok(taken) => taken,
        Err(ReadError::Input(finding)) => {
            findings.push(finding);
            return Ok(file);
        }
        Err(ReadError::Spool(error)) => return Err(error),
    };
    if let Some(change) = taken.change() {
        findings.push(change);
    }
    file.bytes = taken.region.length();
    let scanned = match scanned.transpose().map_err(|error| taken.blame(error)) {
        Ok(scanned) => scanned.flatten(),
        Err(ReadError::Input(finding)) => {
            findings.push(finding);
            return Ok(file);
        }
        Err(ReadError::Spool(error)) => return Err(error),
    };
    match scanned {
        Some((format, mut scan)) => {
            findings.append(std::mem::take(&mut scan.findings));
            for message in beyond(&scan, config.limits) {
                findings.push(Finding::of_file(Code::ResultsOverLimit, message));
            }
            file.format = Some(format);
            let findings = std::mem::take(findings);
            file.scan = Scan { findings, ..scan };
        }
        None if file.bytes == 0 => {
            findings.push(Finding::of_file(Code::InputEmpty, "the file is empty"));
        }
        None => {
            let message = "neither the name nor the content tells the format";
            findings.push(Finding::of_file(Code::InputUnknownFormat, message));
        }
    }
    file.original = taken.original;
    file.region = Some(taken.region);
    Ok(file)
}

/// Makes ready for the report what was found in a file, listing so many findings at most.
///
/// `region` is what was scanned, before anything was salvaged.
fn finish(
    file: &mut Checked,
    region: Option<&Region>,
    most: usize,
    config: &Config,
) -> io::Result<()> {
    let findings = &mut file.scan.findings;
    findings.unlist(|code| config.checks.levels.is_allowed(code));
    findings.keep_listed(most);
    if let Some(region) = region {
        // The places are those of the scan still.
        excerpt::take_all(findings, region)?;
    }
    if let Some(original) = &file.original {
        original.locate(findings)?;
    }
    if matches!(config.mode, Mode::Validate) {
        // Nothing is planned, and thousands of files must not stay open.
        file.scan.pieces = Pieces::default();
        file.region = None;
    }
    Ok(())
}

/// Saves what can be saved of a file that was scanned and is broken.
fn salvage_file(file: &mut Checked, config: &Config, observer: &dyn Observer) -> io::Result<()> {
    let (Some(format), Some(region)) = (file.format, &file.region) else { return Ok(()) };
    let findings = &mut file.scan.findings;
    if findings.count(Severity::Error) == 0 {
        return Ok(());
    }
    match salvage::salvage(format, region, findings, &config.temp_folder, config.scan_options())? {
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
