//! A run, from its configuration to its report.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::{Config, Delivery, Mode};
use crate::deliver::{self, Delivered, Outcome};
use crate::finding::{Code, Finding, Findings, LISTED_PER_RUN, Severity};
use crate::format::{Format, HEAD};
use crate::input::{self, Input, ReadError};
use crate::plan::{self, PlannedFile, Upload};
use crate::progress::{Event, Observer, Phase};
use crate::report::{FileReport, Report, RunReport, UploadEnd, UploadReport};
use crate::scan::cut::{Limits, Pieces};
use crate::scan::{self, Counts, Extent, Scan};
use crate::spool::{Region, Spool};

/// An input after the checks.
struct Checked {
    input: Input,
    format: Option<Format>,
    /// Where it is in the spool, if it could be read.
    region: Option<Region>,
    scan: Scan,
}

/// Goes the whole way: reads and checks all inputs, then sends them if all is well.
///
/// Whatever happens is in the report, and the exit code follows from it. `interrupted` ends the
/// run early; the report then says what was done by then.
pub async fn run(
    config: &Config,
    observer: Arc<dyn Observer>,
    interrupted: CancellationToken,
) -> Report {
    let mut report = Report::new(config);
    let checking = {
        let (config, observer) = (config.clone(), Arc::clone(&observer));
        tokio::task::spawn_blocking(move || check(&config, &*observer))
    };
    let checked = tokio::select! {
        checked = checking => checked,
        () = interrupted.cancelled() => return report,
    };
    let mut checked = match checked {
        Ok(Ok(checked)) => checked,
        Ok(Err(error)) => {
            report.failure = Some(error);
            return report;
        }
        Err(error) => {
            report.failure = Some(format!("the checks broke off: {error}"));
            return report;
        }
    };
    report.files = checked.iter_mut().map(|file| file_report(file, config)).collect();
    if matches!(config.mode, Mode::Validate) || !report.may_send() {
        return report;
    }
    let Some(uploads) = planned(&checked, config, &mut report) else { return report };
    // The uploads and the report hold all that is needed from here on.
    drop(checked);
    match &config.mode {
        Mode::Validate => {}
        Mode::Write(folder) => write(folder, uploads, &mut report, interrupted).await,
        Mode::Upload(delivery) => {
            send(delivery, uploads, &mut report, observer, interrupted).await;
        }
    }
    report
}

/// Reads all inputs into a spool, then scans them.
fn check(config: &Config, observer: &dyn Observer) -> Result<Vec<Checked>, String> {
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
    Ok(Checked { input, format, region, scan })
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

/// What is reported of a file; its findings move there.
fn file_report(file: &mut Checked, config: &Config) -> FileReport {
    let findings = std::mem::take(&mut file.scan.findings);
    let rejects = if config.checks.strict {
        !findings.is_empty()
    } else {
        findings.count(Severity::Error) > 0
    };
    FileReport {
        path: file.input.name(),
        format: file.format,
        bytes: file.region.as_ref().map_or(0, Region::length),
        counts: file.scan.counts,
        is_valid: !rejects,
        findings,
    }
}

/// Plans the uploads of the files that are valid.
///
/// `None` where the plan does not hold what was found: then nothing may be sent.
fn planned(checked: &[Checked], config: &Config, report: &mut Report) -> Option<Vec<Upload>> {
    let valid =
        checked.iter().zip(&report.files).enumerate().filter(|(_, (_, file))| file.is_valid);
    let files = valid.filter_map(|(index, (file, _))| {
        let (format, region) = (file.format?, file.region.as_ref()?);
        let file_name = sent_name(file.input.content_name(), format);
        Some(PlannedFile { index, file_name, format, region, scan: &file.scan })
    });
    let files: Vec<PlannedFile<'_>> = files.collect();
    let uploads = plan::plan(&files, config.limits, config.packing);
    let found: u64 = files.iter().map(|file| file.scan.counts.results).sum();
    let planned: u64 = uploads.iter().map(|upload| upload.results).sum();
    if found != planned {
        let message =
            format!("{found} results were found and {planned} planned: please report this");
        report.failure = Some(message);
        return None;
    }
    Some(uploads)
}

/// Writes the uploads as files: `0001.xml`, `0002.xml`… in the plan's order, over none that is there.
async fn write(
    folder: &Path,
    uploads: Vec<Upload>,
    report: &mut Report,
    interrupted: CancellationToken,
) {
    let folder = folder.to_owned();
    let writing = tokio::task::spawn_blocking(move || write_all(&folder, uploads, &interrupted));
    match writing.await {
        Ok((written, failure)) => {
            report.uploads = written;
            report.failure = failure;
        }
        Err(error) => report.failure = Some(format!("writing broke off: {error}")),
    }
}

/// Writes until the end, a failure or an interruption; gives what was written, and the failure.
fn write_all(
    folder: &Path,
    uploads: Vec<Upload>,
    interrupted: &CancellationToken,
) -> (Vec<UploadReport>, Option<String>) {
    // As many digits as sort by name.
    let digits = uploads.len().to_string().len().max(4);
    let path = |upload: &Upload| {
        let (number, extension) = (upload.index + 1, upload.format.extension());
        folder.join(format!("{number:0digits$}.{extension}"))
    };
    let failure = |path: &Path, error: &io::Error| {
        Some(format!("failed to write {}: {error}", path.display()))
    };
    let mut written = Vec::new();
    if let Err(error) = std::fs::create_dir_all(folder) {
        return (written, failure(folder, &error));
    }
    // All are looked at before the first is written.
    if let Some(path) = uploads.iter().map(path).find(|path| path.exists()) {
        return (written, failure(&path, &io::ErrorKind::AlreadyExists.into()));
    }
    for upload in uploads {
        if interrupted.is_cancelled() {
            break;
        }
        let path = path(&upload);
        let outcome = std::fs::File::create_new(&path)
            .and_then(|file| upload.write_to(&mut io::BufWriter::with_capacity(1 << 16, file)));
        if let Err(error) = outcome {
            return (written, failure(&path, &error));
        }
        let end = UploadEnd::Written(path.display().to_string());
        written.push(UploadReport::new(upload, end, Vec::new()));
    }
    (written, None)
}

async fn send(
    delivery: &Delivery,
    uploads: Vec<Upload>,
    report: &mut Report,
    observer: Arc<dyn Observer>,
    interrupted: CancellationToken,
) {
    report.run = Some(RunReport { key: delivery.run_env.key().to_owned(), url: None });
    let host = delivery.url.host_str().unwrap_or_default();
    let note = format!("uploading to {host} with run key {}", delivery.run_env.key());
    observer.event(&Event::Note(&note));
    let bytes = uploads.iter().map(Upload::length).sum();
    observer.event(&Event::Begin { phase: Phase::Sending, bytes: Some(bytes) });
    let delivered = deliver::deliver(delivery, &uploads, Arc::clone(&observer), interrupted).await;
    observer.event(&Event::End);
    let delivered = match delivered {
        Ok(delivered) => delivered,
        Err(error) => {
            report.failure = Some(error.to_string());
            return;
        }
    };
    for (upload, delivered) in uploads.into_iter().zip(delivered) {
        let warnings = warnings(&upload, &delivered);
        for warning in &warnings {
            observer.event(&Event::Warning(&format!("upload {}: {warning}", upload.index + 1)));
        }
        let end = UploadEnd::Delivered(delivered);
        report.uploads.push(UploadReport::new(upload, end, warnings));
    }
    let run_url = report
        .uploads
        .iter()
        .find_map(|upload| upload.delivered()?.answer.as_ref()?.run_url.clone());
    if let Some(run) = &mut report.run {
        run.url = run_url;
    }
}

/// The name that a file is sent under: without its folders, and without what a header cannot hold.
fn sent_name(path: Option<&Path>, format: Format) -> String {
    let name = path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| format!("stdin.{}", format.extension()));
    let is_harmless = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '/');
    name.chars().map(|c| if is_harmless(c) { c } else { '_' }).collect()
}

/// What the account of an accepted upload leaves to be said.
fn warnings(upload: &Upload, delivered: &Delivered) -> Vec<String> {
    let mut warnings = Vec::new();
    if delivered.may_have_arrived
        && matches!(delivered.outcome, Outcome::Accepted | Outcome::Refused)
    {
        warnings.push(
            "an earlier attempt was sent whole and not answered: the service may hold these results \
             from that one"
                .to_owned(),
        );
    }
    if delivered.outcome != Outcome::Accepted {
        return warnings;
    }
    let sent = upload.results;
    match &delivered.answer {
        None => warnings.push("the service accepted the upload with an answer that is not JSON: its counts are unknown".to_owned()),
        Some(answer) => {
            let (queued, skipped) = (answer.queued, answer.skipped.unwrap_or(0));
            if skipped > 0 {
                let why = if answer.errors.is_empty() { String::new() } else { format!(": {}", answer.errors.join("; ")) };
                warnings.push(format!("the service skipped {skipped} of {sent} results{why}"));
            }
            match queued {
                None => warnings.push("the service did not say how many results it queued".to_owned()),
                Some(queued) if queued.saturating_add(skipped) != sent => warnings.push(format!(
                    "the service accounts for {} of {sent} results: {queued} queued, {skipped} skipped",
                    queued.saturating_add(skipped)
                )),
                Some(_) => {}
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_the_upload_has_no_folders_and_breaks_no_header() {
        let name = |path: &str| sent_name(Some(Path::new(path)), Format::Junit);
        assert_eq!(name("/a/b/c.xml"), "c.xml");
        assert_eq!(name("ü \"x\"\r\n\\.xml"), "ü _x____.xml");
        assert_eq!(sent_name(None, Format::JestJson), "stdin.json");
        assert_eq!(sent_name(Some(Path::new("..")), Format::Junit), "stdin.xml");
    }
}
