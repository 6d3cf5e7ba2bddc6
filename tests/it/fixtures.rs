//! The scan against this project's own fixtures: verdict, counts, and the place of each defect.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bktec_upload::format::{Format, HEAD};
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Counts, Scan};

use crate::corpus::is_wellformed;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

struct Row {
    path: String,
    wellformed: bool,
    counts: Option<Counts>,
    place: Option<(u64, u64)>,
}

fn expected() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("expected.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        let numbers: Vec<Option<u64>> = fields[2..8].iter().map(|n| n.parse().ok()).collect();
        let counts = numbers[0].map(|results| Counts {
            results,
            failures: numbers[1].unwrap(),
            errors: numbers[2].unwrap(),
            skipped: numbers[3].unwrap(),
        });
        Row {
            path: fields[0].to_owned(),
            wellformed: fields[1] == "1",
            counts,
            place: numbers[4].zip(numbers[5]),
        }
    });
    rows.collect()
}

fn scan(path: &str) -> Scan {
    let path = folder().join(path);
    let head = fs::read(&path).unwrap();
    let limits = Limits { results: 5000, bytes: u64::MAX };
    let format = Format::detect(Some(&path), &head[..head.len().min(HEAD)]);
    scan::scan(format.unwrap_or(Format::Json), File::open(path).unwrap(), limits).unwrap()
}

/// All fixtures, relative to their folder.
pub fn paths() -> Vec<String> {
    expected().into_iter().map(|row| row.path).collect()
}

#[test]
fn every_file_is_expected() {
    let mut files = Vec::new();
    for folder_name in ["junit", "json", "malformed"] {
        for entry in fs::read_dir(folder().join(folder_name)).unwrap() {
            files.push(format!("{folder_name}/{}", entry.unwrap().file_name().display()));
        }
    }
    files.sort();
    let mut rows: Vec<_> = expected().into_iter().map(|row| row.path).collect();
    rows.sort();
    assert_eq!(rows, files);
}

#[test]
fn verdicts_counts_and_places_are_as_expected() {
    let mut wrong = Vec::new();
    for row in expected() {
        let scan = scan(&row.path);
        let places: Vec<_> = scan
            .findings
            .listed()
            .iter()
            .map(|finding| finding.place.as_ref().map(|place| (place.line, place.column)))
            .collect();
        let verdict = is_wellformed(&scan) == row.wellformed;
        let counts = row.counts.is_none_or(|counts| counts == scan.counts);
        let place = row.place.is_none_or(|place| places.contains(&Some(place)));
        let found = row.place.is_none() || !scan.findings.is_empty();
        if !(verdict && counts && place && found) {
            wrong.push(format!(
                "{} {:?} {:?}: {:?} {:?}",
                row.path,
                row.wellformed,
                row.place,
                scan.counts,
                scan.findings.listed()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
