//! The scan against 521 real result files, whose manifest says what independent parsers say.

use std::fs;
use std::path::{Path, PathBuf};

use bktec_upload::finding::{Code, Severity};
use bktec_upload::format::Format;
use bktec_upload::input::{self, Input};
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Scan};
use bktec_upload::spool::Spool;

const UNLIMITED: Limits = Limits { results: u64::MAX, bytes: u64::MAX };

/// One row of the manifest.
pub struct Row {
    pub path: String,
    pub format: String,
    pub wellformed: bool,
    pub results: u64,
}

pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if folder.join("manifest.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: there is no corpus at {}", folder.display());
    None
}

pub fn manifest(folder: &Path) -> Vec<Row> {
    let text = fs::read_to_string(folder.join("manifest.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        Row {
            path: fields[0].to_owned(),
            format: fields[1].to_owned(),
            wellformed: fields[3] == "1",
            results: fields[5].parse().unwrap(),
        }
    });
    rows.collect()
}

/// Whether a finding says that the document is no XML or JSON, rather than no result file.
pub fn breaks_grammar(code: Code) -> bool {
    let of_language = code.as_str().starts_with("xml-") || code.as_str().starts_with("json-");
    // These are well-formed, and refused for what they are.
    let is_policy = matches!(
        code,
        Code::XmlInternalSubset | Code::JsonWrongShape | Code::JsonDuplicateKey | Code::JsonTooDeep
    );
    of_language && code.severity() == Severity::Error && !is_policy || code == Code::InputEmpty
}

pub fn is_wellformed(scan: &Scan) -> bool {
    !scan.findings.counts().keys().any(|&code| breaks_grammar(code))
}

/// Reads a file as the tool does, and scans it.
pub fn scan_file(path: &Path, format: Format) -> Scan {
    let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
    let input = Input::File { path: path.to_owned(), length: None };
    let taken = input::read(&input, input::Way::Copied, &mut spool, |_| {}).unwrap();
    let mut scan = scan::scan(format, taken.region.reader(), UNLIMITED).unwrap();
    if let Some(original) = taken.original {
        original.locate(&mut scan.findings).unwrap();
    }
    scan
}

/// Compares every file of a format; there must be `expected` of them.
fn compare(format: Format, expected: usize) {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    let mut wrong = Vec::new();
    for row in manifest(&folder).iter().filter(|row| row.format == format.as_str()) {
        seen += 1;
        let scan = scan_file(&folder.join(&row.path), format);
        // Of JSON that is malformed the manifest says 0: its parser shows nothing of it.
        let results_agree = scan.counts.results == row.results
            || format != Format::Junit && !row.wellformed && row.results == 0;
        if is_wellformed(&scan) != row.wellformed || !results_agree {
            wrong.push(format!(
                "{}: expected {} {}; found {:?} {:?}",
                row.path, row.wellformed, row.results, scan.counts, scan.findings
            ));
        }
    }
    assert_eq!(seen, expected);
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_scan_of_junit_agrees_with_the_manifest() {
    compare(Format::Junit, 390);
}

#[test]
fn the_scan_of_runners_json_agrees_with_the_manifest() {
    compare(Format::RspecJson, 15);
    compare(Format::JestJson, 21);
    compare(Format::PlaywrightJson, 8);
    compare(Format::CucumberJson, 86);
}
