//! The scan against 521 real result files, whose manifest says what independent parsers say.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bktec_upload::finding::{Code, Severity};
use bktec_upload::format::Format;
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Scan};

const UNLIMITED: Limits = Limits { results: u64::MAX, bytes: u64::MAX };

/// Files on which the scan and the manifest differ, with the reason.
const DIFFERENT: &[(&str, &str)] = &[(
    "junit/JetBrains__teamcity-xml-tests-reporting/tests__testData__junit__emptyStatus.xml",
    "ISO-8859-1 is not transcoded yet",
)];

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
    // These two are well-formed, and refused for what they are.
    let is_policy = matches!(code, Code::XmlInternalSubset | Code::JsonWrongShape);
    of_language && code.severity() == Severity::Error && !is_policy || code == Code::InputEmpty
}

pub fn is_wellformed(scan: &Scan) -> bool {
    !scan.findings.counts().keys().any(|&code| breaks_grammar(code))
}

/// Compares every file of a format; there must be `expected` of them.
fn compare(format: Format, expected: usize) {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    let mut wrong = Vec::new();
    for row in manifest(&folder).iter().filter(|row| row.format == format.as_str()) {
        seen += 1;
        let scan =
            scan::scan(format, File::open(folder.join(&row.path)).unwrap(), UNLIMITED).unwrap();
        // Of JSON that is malformed the manifest says 0: its parser shows nothing of it.
        let results_agree = scan.counts.results == row.results
            || format != Format::Junit && !row.wellformed && row.results == 0;
        let agrees = is_wellformed(&scan) == row.wellformed && results_agree;
        let known = DIFFERENT.iter().any(|(path, _)| *path == row.path);
        if agrees == known {
            wrong.push(format!(
                "{}: expected {} {}, known to differ: {known}; found {:?} {:?}",
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
