//! A run, from its configuration to its report.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::check::{Checked, check};
use crate::config::{Config, Delivery, Mode};
use crate::deliver::{self, Delivered, Outcome};
use crate::format::Format;
use crate::input::Original;
use crate::plan::{self, PlannedFile, Upload};
use crate::progress::{Event, Observer, Phase};
use crate::report::text;
use crate::report::{FileReport, Report, RunReport, UploadEnd, UploadReport};

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
    for (file, salvage) in
        report.files.iter().filter_map(|file| Some((file, file.salvage.as_ref()?)))
    {
        let kept = text::counted(salvage.results_kept, "result");
        let warning = format!("salvaged {}: kept {kept}; {}", file.path, text::losses(salvage));
        observer.event(&Event::Warning(&warning));
    }
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

/// What is reported of a file; its findings move there.
fn file_report(file: &mut Checked, config: &Config) -> FileReport {
    let findings = std::mem::take(&mut file.scan.findings);
    let salvage = file.salvage.take();
    FileReport {
        path: file.input.name(),
        format: file.format,
        encoding: file.original.as_ref().map(Original::encoding),
        bytes: salvage.as_ref().map_or(file.bytes, |salvage| salvage.bytes),
        counts: file.scan.counts,
        is_valid: salvage.is_some() || !config.checks.levels.reject(&findings),
        findings,
        salvage,
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
