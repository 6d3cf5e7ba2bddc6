//! Documents made to break a parser: each ends with what is expected, in bounded memory.
//!
//! `benches/hostile` does the same with a gigabyte of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use bktec_upload::format::Format;
use bktec_upload::scan::{self, cut::Limits};

use crate::generate::hostile::{self, Hostile};
use crate::harness::tool_after;

/// What a run may take, in KiB: the system gives it no more heap and stacks. The peak that it tells of
/// a child is no smaller than the peak of the process that started it, which is that of all tests.
const LIMIT: &str = "ulimit -d 32768";

/// A document, and the codes found in it at the smaller and at the larger size.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

/// What passes through, however long.
const ENDLESS: &[Case] = &[
    ("text", &[], &["xml-huge"]),
    ("cdata", &[], &["xml-huge"]),
    ("comment", &[], &["xml-huge"]),
    ("gzip-zeros", ZEROS, ZEROS),
    ("zstd-zeros", ZEROS, ZEROS),
    ("json-white-space-between", &[], &[]),
];

/// What is held as a whole, up to a limit.
const HELD: &[Case] = &[
    ("instruction", &[], TAG_TOO_LARGE),
    ("attribute", &[], TAG_TOO_LARGE),
    ("odd-time", &["junit-odd-time"], &["junit-odd-time"]),
    ("tag-name", TAG_TOO_LARGE, TAG_TOO_LARGE),
    ("attributes", TAG_TOO_LARGE, TAG_TOO_LARGE),
    ("doctype", &["junit-wrong-root", "xml-internal-subset"], TAG_TOO_LARGE),
    ("reference-long", &["xml-bare-ampersand"], &["xml-bare-ampersand", "xml-huge"]),
    ("elements-open", TOO_DEEP, TOO_DEEP),
    ("elements-closed", TOO_DEEP, TOO_DEEP),
    ("elements-mismatched", &["xml-mismatched-tag"], &["xml-mismatched-tag"]),
    ("json-string", MISSING, VALUE_TOO_LARGE),
    ("json-escapes", MISSING, VALUE_TOO_LARGE),
    ("json-key", MISSING, VALUE_TOO_LARGE),
    ("json-key-escaped", MISSING, VALUE_TOO_LARGE),
    ("json-keys", MISSING, VALUE_TOO_LARGE),
    ("json-nesting", &["json-too-deep"], &["json-too-deep"]),
    ("json-number", WRONG_TYPE, VALUE_TOO_LARGE),
    ("json-number-large", WRONG_TYPE, VALUE_TOO_LARGE),
    ("json-white-space", WRONG_TYPE, VALUE_TOO_LARGE),
    (
        "json-key-twice",
        &["json-duplicate-key", "results-missing-field"],
        &["json-duplicate-key", "results-missing-field"],
    ),
];

/// What is there a million times.
const MANY: &[Case] = &[
    ("comment-hyphens", &["xml-malformed-comment"], &["xml-malformed-comment"]),
    ("attributes-spread", &[], &[]),
    ("results-deep", &["xml-huge"], &["results-over-limit", "xml-huge"]),
    ("results-nested", NESTED, NESTED),
    ("results-tiny", NAMELESS, NAMELESS),
    ("results-line", &["xml-undefined-entity"], &["xml-undefined-entity"]),
    ("suites", &[], &[]),
    ("suites-deep", NAMELESS, NAMELESS),
    ("counts-many", &["xml-duplicate-attribute"], &["xml-duplicate-attribute"]),
    ("properties-many", &[], &[]),
    ("properties-long", &[], &[]),
    ("references", &[], &[]),
    ("entities", &["xml-undefined-entity"], &["xml-undefined-entity"]),
    ("ampersands", &["xml-bare-ampersand"], &["xml-bare-ampersand"]),
    ("ampersands-in-attribute", &["xml-bare-ampersand"], &["xml-bare-ampersand"]),
    ("brackets", &[], &[]),
    ("illegal-characters", &["xml-illegal-character"], &["xml-illegal-character"]),
    ("invalid-bytes", &["xml-invalid-utf8"], &["xml-invalid-utf8"]),
    ("utf-16", &["xml-illegal-character"], &["xml-illegal-character"]),
    ("gzip", &[], &[]),
    ("billion-laughs", &["xml-internal-subset"], &["xml-internal-subset"]),
    ("json-children", MISSING, MISSING),
    ("json-invalid-bytes", NOT_UTF8, NOT_UTF8),
    ("json-records-empty", MISSING, MISSING),
    ("json-records-digits", &["results-wrong-type"], &["results-wrong-type"]),
    ("json-records-line", LINE, LINE),
    ("json-records-odd", ODD, ODD),
    ("json-envelope-deep", &["json-wrong-shape"], &["json-wrong-shape"]),
    ("json-envelope-long", &[], &[]),
];

const ZEROS: &[&str] = &["xml-illegal-character", "xml-text-before-root"];
const TAG_TOO_LARGE: &[&str] = &["xml-tag-too-large"];
const TOO_DEEP: &[&str] = &["xml-huge", "xml-too-deep"];
const NAMELESS: &[&str] = &["junit-missing-classname", "junit-missing-name"];
const NESTED: &[&str] = &[
    "junit-missing-classname",
    "junit-missing-name",
    "junit-nested-testcase",
    "results-over-limit",
    "xml-huge",
];
const MISSING: &[&str] = &["results-missing-field"];
const WRONG_TYPE: &[&str] = &["results-missing-field", "results-wrong-type"];
const VALUE_TOO_LARGE: &[&str] = &["json-value-too-large"];
const NOT_UTF8: &[&str] = &["json-invalid-utf8", "results-missing-field"];
const LINE: &[&str] = &["json-syntax", "results-missing-field"];
const ODD: &[&str] = &["json-lone-surrogate", "results-missing-field", "results-unknown-outcome"];

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_through_takes_no_memory_however_long() {
    check(ENDLESS, [1_000_000, 40_000_000]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_held_up_to_a_limit() {
    check(HELD, [1_000_000, 12_000_000]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_a_million_times_takes_no_memory_each_time() {
    check(MANY, [100_000, 1_000_000]).await;
}

#[test]
fn every_document_is_tried() {
    let tried = [ENDLESS, HELD, MANY].concat();
    let mut tried: Vec<_> = tried.iter().map(|(name, ..)| *name).collect();
    let mut all: Vec<_> = hostile::ALL.iter().map(|hostile| hostile.name).collect();
    tried.sort_unstable();
    all.sort_unstable();
    assert_eq!(tried, all);
}

async fn check(cases: &[Case], sizes: [u64; 2]) {
    let folder = tempfile::tempdir().unwrap();
    for (name, small, large) in cases {
        let hostile = Hostile::named(name).unwrap();
        for (size, expected) in sizes.into_iter().zip([small, large]) {
            let path = folder.path().join(name);
            hostile.write(size, BufWriter::new(File::create(&path).unwrap())).unwrap();
            let arguments = ["--validate-only", "--report=json", "--format", hostile.format, name];
            let ran = tool_after(LIMIT, arguments).within(folder.path()).run().await;
            assert!(ran.code.is_some(), "{name}, {size} bytes: {}", ran.stderr);
            let file = &ran.report()["files"][0];
            let counts = file["finding_counts"].as_object().unwrap();
            let found: Vec<_> = counts.keys().map(String::as_str).collect();
            assert_eq!(found, **expected, "{name}, {size} bytes");
            let listed = file["findings"].as_array().unwrap();
            let is_valid = listed.iter().all(|finding| finding["severity"] == "warning");
            assert_eq!(file["valid"], is_valid, "{name}, {size} bytes");
            ran.expect(if is_valid { 0 } else { 10 });
        }
    }
}

/// The results of each piece of a `JUnit` document.
fn pieces(document: &str, limits: Limits) -> Vec<u64> {
    let scan = scan::scan(Format::Junit, document.as_bytes(), limits).unwrap();
    assert_eq!(scan.findings.counts(), &BTreeMap::new());
    scan.pieces.list.iter().map(|piece| piece.counts.results).collect()
}

const RESULT: &str = "<testcase name='t' classname='c'/>";

#[test]
fn a_document_is_cut_into_no_more_pieces_than_memory_has_room_for() {
    let (open, close) = ("<testsuite tests='3000'>".repeat(60), "</testsuite>".repeat(60));
    let document = format!("{open}{}{close}", RESULT.repeat(3000));
    let pieces = pieces(&document, Limits { results: 1, bytes: u64::MAX });
    let (last, before) = pieces.split_last().unwrap();
    assert!((500..1500).contains(&before.len()), "{}", before.len());
    assert!(before.iter().all(|results| *results == 1));
    assert_eq!(*last, 3000 - before.len() as u64);
}

#[test]
fn what_is_repeated_leaves_room_for_results_in_each_piece() {
    let properties = format!("<properties>{}</properties>", " ".repeat(20_000));
    let document = format!("<testsuite>{properties}{}</testsuite>", RESULT.repeat(1000));
    let pieces = pieces(&document, Limits { results: u64::MAX, bytes: 16_000 });
    // A sixteenth of 16,000 bytes holds 29 of them.
    assert_eq!(pieces.iter().sum::<u64>(), 1000);
    assert!(pieces.iter().all(|results| *results <= 29), "{pieces:?}");
    assert!(pieces.len() < 40, "{}", pieces.len());
}

#[test]
fn only_so_many_properties_are_repeated() {
    let document =
        format!("<testsuite>{}{}</testsuite>", "<properties/>".repeat(1000), RESULT.repeat(3));
    let limits = Limits { results: 1, bytes: u64::MAX };
    let scan = scan::scan(Format::Junit, document.as_bytes(), limits).unwrap();
    let parts: Vec<_> = scan.pieces.list.iter().map(|piece| piece.parts().count()).collect();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|parts| *parts < 40), "{parts:?}");
}
