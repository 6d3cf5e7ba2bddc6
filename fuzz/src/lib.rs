//! What must hold for any document, shared by the targets. Each check panics where it does not.

use std::io::{self, Read};

use bktec_upload::finding::Severity;
use bktec_upload::format::Format;
use bktec_upload::plan::{self, Packing, PlannedFile};
use bktec_upload::salvage;
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Options, Scan};
use bktec_upload::spool::{Region, Spool};

/// Bytes that are read so many at a time.
struct Steps<'a>(&'a [u8], usize);

impl Read for Steps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

/// Limits of the size of such documents, others for others.
pub fn limits(document: &[u8]) -> Limits {
    let sum: u64 = document.iter().map(|&byte| u64::from(byte)).sum();
    Limits { results: 1 + sum % 5, bytes: 100 + sum % 2000 }
}

/// Scans a document, and checks that a scan in small steps finds the same and that places are in it.
pub fn scanned(format: Format, document: &[u8]) -> Scan {
    let options = Options { limits: limits(document), lint_names: true };
    let mut whole = scan::scan(format, document, options).unwrap();
    drop_paths(format, &mut whole);
    for step in [1, 7, 64] {
        let mut stepped = scan::scan(format, Steps(document, step), options).unwrap();
        drop_paths(format, &mut stepped);
        // How much was taken of a document that breaks off depends on what was read.
        if has_errors(&whole) {
            stepped.extent = whole.extent;
        }
        assert_eq!(stepped, whole, "step {step}");
    }
    assert!(whole.extent.bytes <= document.len() as u64);
    for place in whole.findings.listed().iter().filter_map(|finding| finding.place.as_ref()) {
        let at = usize::try_from(place.offset).unwrap();
        let before = &document[..at];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let expected = (line as u64, (at - line_start) as u64 + 1);
        assert_eq!((place.line, place.column), expected, "{place:?}");
    }
    whole
}

/// Within a JSON value that is passed over, how deep the path goes depends on what was read.
fn drop_paths(format: Format, scan: &mut Scan) {
    if format == Format::Junit {
        return;
    }
    for place in scan.findings.listed_mut().iter_mut().filter_map(|found| found.place.as_mut()) {
        place.path.clear();
    }
}

fn has_errors(scan: &Scan) -> bool {
    scan.findings.count(Severity::Error) > 0
}

/// Salvages a document with errors: if that can be done, what is kept is valid and counted.
pub fn check_salvage(format: Format, document: &[u8], scan: &Scan) {
    if !has_errors(scan) {
        return;
    }
    let folder = std::env::temp_dir();
    let file = Spool::create_in(&folder).unwrap().append(document, None).unwrap();
    let options = limits(document).into();
    let salvaged = salvage::salvage(format, &file, &scan.findings, &folder, options).unwrap();
    if let Ok(salvaged) = salvaged {
        let kept = check_plan(format, &[(salvaged.region, salvaged.scan)], limits(document));
        assert_eq!(kept, salvaged.account.results_kept);
        assert!(salvaged.account.bytes_lost <= document.len() as u64);
    }
}

/// Plans the uploads of a document and of itself once more: each is valid, and all together hold
/// what the documents hold.
pub fn check_uploads(format: Format, document: &[u8], scan: &Scan) {
    if has_errors(scan) {
        return;
    }
    let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
    let mut file = || (spool.append(document, None).unwrap(), scan.clone());
    let sent = check_plan(format, &[file(), file()], limits(document));
    assert_eq!(sent, 2 * scan.counts.results);
}

/// Gives the number of results in all uploads.
fn check_plan(format: Format, files: &[(Region, Scan)], limits: Limits) -> u64 {
    let planned = files.iter().enumerate().map(|(index, (region, scan))| PlannedFile {
        index,
        file_name: index.to_string(),
        format,
        region,
        scan,
    });
    let uploads = plan::plan(&planned.collect::<Vec<_>>(), limits, Packing::On);
    let unlimited = Limits { results: u64::MAX, bytes: u64::MAX };
    for (index, upload) in uploads.iter().enumerate() {
        let mut content = Vec::new();
        upload.write_to(&mut content).unwrap();
        assert_eq!((upload.index, upload.length()), (index, content.len() as u64));
        let scan = scan::scan(format, content.as_slice(), unlimited).unwrap();
        let shown = String::from_utf8_lossy(&content);
        assert!(!has_errors(&scan), "{:?}\n{shown}", scan.findings);
        assert_eq!(scan.counts.results, upload.results, "{shown}");
        let sources: u64 = upload.sources.iter().map(|source| source.results).sum();
        assert_eq!(sources, upload.results, "{shown}");
    }
    uploads.iter().map(|upload| upload.results).sum()
}
