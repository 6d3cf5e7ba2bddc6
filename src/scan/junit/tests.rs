//! What is said of elements, attributes and counts.

use super::*;
use crate::scan::cut::Limits;

const UNLIMITED: Options =
    Options { limits: Limits { results: u64::MAX, bytes: u64::MAX }, lint_names: false };

fn places(text: &str, code: Code) -> Vec<(u64, u64, String)> {
    let scan = scan(text.as_bytes(), UNLIMITED).unwrap();
    let found = scan.findings.listed().iter().filter(|finding| finding.code == code);
    found.filter_map(|f| f.place.clone()).map(|p| (p.line, p.column, p.path)).collect()
}

#[test]
fn a_suite_longer_than_the_window_is_named_where_it_begins() {
    let padding = "<system-out>x\n\n</system-out>".repeat(20_000);
    let case = "<testcase name='a' classname='b'/>";
    let text =
        format!("<testsuites>\n\n <testsuite tests='2'>{case}{padding}</testsuite></testsuites>");
    let expected = [(3, 2, "testsuites/testsuite[1]".to_owned())];
    assert_eq!(places(&text, Code::JunitCountsDisagree), expected);
}

#[test]
fn a_suite_may_count_its_own_results_or_those_of_its_suites_too() {
    let case = "<testcase name='a' classname='b'/>";
    for (outer, findings) in [("1", 0), ("2", 0), ("3", 1), ("", 0), ("x", 0)] {
        let text = format!(
            "<testsuite tests='{outer}'>{case}<testsuite tests='1'>{case}</testsuite></testsuite>"
        );
        assert_eq!(places(&text, Code::JunitCountsDisagree).len(), findings, "{outer}");
    }
}

/// Finds the messages of one code in a suite with these attributes and results.
fn said(code: Code, attributes: &str, results: &[&str]) -> Vec<String> {
    let results: Vec<_> = results
        .iter()
        .map(|inside| format!("<testcase name='n' classname='c'>{inside}</testcase>"))
        .collect();
    let text = format!("<testsuite {attributes}>{}</testsuite>", results.concat());
    let scan = scan(text.as_bytes(), UNLIMITED).unwrap();
    let found = scan.findings.listed().iter().filter(|finding| finding.code == code);
    found.map(|finding| finding.message.clone()).collect()
}

#[test]
fn counts_agree_in_any_reading_that_producers_have() {
    let (failure, error, skipped) = ("<failure/>", "<error/>", "<skipped/>");
    let retried = "<rerunError/><rerunError/><error/>";
    let usual: &[(&str, &[&str])] = &[
        ("tests='3' failures='1' errors='1' skipped='1'", &[failure, error, skipped]),
        ("tests='2' failures='2' errors='0'", &[failure, error]),
        ("tests='1' failures='2'", &["<failure/><failure/>"]),
        ("tests='0' errors='1'", &[error]),
        ("tests='1' errors='1'", &[retried]),
        ("tests='3' errors='3'", &[retried]),
        ("tests='1' failures='0' errors='1'", &["<failure/><error/>"]),
        // Nette's tester counts failures as errors, and nothing as failures.
        ("tests='1' errors='1'", &[failure]),
        ("failures='x' errors=''", &[failure, error]),
    ];
    for (attributes, results) in usual {
        assert_eq!(said(Code::JunitCountsDisagree, attributes, results), [""; 0], "{attributes}");
    }
    let message = "tests=\"5\" where it holds 4, failures=\"0\" where it holds 1, \
        errors=\"0\" where it holds 1, skipped=\"2\" where it holds 1";
    let attributes = "tests='5' failures='0' errors='0' skipped='2'";
    let found = said(Code::JunitCountsDisagree, attributes, &["", failure, error, skipped]);
    assert_eq!(found, [message]);
}

#[test]
fn a_root_without_results_of_its_own_means_those_of_its_suites() {
    let inner = "<testsuite><testcase name='n' classname='c'><failure/></testcase></testsuite>";
    for (failures, findings) in [("1", 0), ("0", 1)] {
        let text = format!("<testsuites failures='{failures}'>{inner}</testsuites>");
        assert_eq!(places(&text, Code::JunitCountsDisagree).len(), findings, "{failures}");
    }
}

#[test]
fn outcomes_of_several_kinds_are_named_once_for_each_result() {
    for (inside, expected) in [
        ("<failure/><failure/>", None),
        (
            "<skipped/><failure/><error/>",
            Some("failure beside skipped: the result counts as failure"),
        ),
        ("<failure/><x/><skipped/>", Some("skipped beside failure: the result counts as failure")),
        ("<failure><skipped/></failure>", None),
    ] {
        let found = said(Code::JunitSeveralOutcomes, "", &[inside]);
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{inside}");
    }
}

#[test]
fn earlier_attempts_are_named_once_for_each_result() {
    let results = ["<flakyFailure/><flakyError/>", "<failure/><rerunFailure/>", "<failure/>"];
    assert_eq!(
        said(Code::JunitRerun, "", &results),
        [
            "flakyFailure is an earlier attempt: the result counts once, as it ended",
            "rerunFailure is an earlier attempt: the result counts once, as it ended",
        ]
    );
}

#[test]
fn a_result_within_a_result_is_named() {
    let case = "<testcase name='n' classname='c'/>";
    let around = |inside: &str| format!("<testcase name='n' classname='c'>{inside}</testcase>");
    for (inside, findings) in [
        (case.to_owned(), 0),
        (around(case), 1),
        (around(&format!("<x>{case}</x>")), 1),
        (format!("<x>{case}</x>"), 0),
    ] {
        let text = format!("<testsuite>{inside}</testsuite>");
        assert_eq!(places(&text, Code::JunitNestedTestcase).len(), findings, "{inside}");
    }
}

#[test]
fn odd_times_and_timestamps_are_named() {
    let said = |attributes: &str, code| said(code, attributes, &[]);
    assert_eq!(
        said("time='1,204.31'", Code::JunitOddTime),
        ["time=\"1,204.31\" is not a number of seconds: probably 1204.31 was meant"]
    );
    assert_eq!(
        said("time='12ms'", Code::JunitOddTime),
        ["time=\"12ms\" is not a number of seconds"]
    );
    assert_eq!(
        said("timestamp='yesterday'", Code::JunitOddTimestamp),
        ["timestamp=\"yesterday\" is no date and time of ISO 8601"]
    );
    assert_eq!(said("time=' ' timestamp=''", Code::JunitOddTimestamp), [""; 0]);
}

#[test]
fn names_are_looked_at_when_that_is_asked_for() {
    let text = "<testsuite><testcase name='at 0x7f8a1c2d3e40' classname='/tmp/a'/></testsuite>";
    let lint = Options { lint_names: true, ..UNLIMITED };
    let count = |options| {
        let findings = scan(text.as_bytes(), options).unwrap().findings;
        findings.counts().get(&Code::ResultsUnstableName).copied()
    };
    assert_eq!((count(UNLIMITED), count(lint)), (None, Some(2)));
}

#[test]
fn another_root_is_named_with_the_way_to_junit() {
    for (root, expected) in [
        ("<TestRun/>", "dotnet test --logger junit"),
        ("<coverage line-rate='1'/>", "(Cobertura); it holds no test results"),
        ("<coverage generated='1'/>", "(Clover)"),
        ("<Site/>", "ctest --output-junit"),
        ("<a:robot xmlns:a='b'/>", "--xunit"),
        ("<other/>", "the root element is <other>"),
    ] {
        let scan = scan(root.as_bytes(), UNLIMITED).unwrap();
        let listed = scan.findings.listed();
        let found = listed.iter().find(|finding| finding.code == Code::JunitWrongRoot);
        let message = &found.unwrap().message;
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_result_counts_as_its_heaviest_outcome_and_only_by_its_own_children() {
    let text = "<testsuite>\
        <testcase name='1' classname='c'><skipped/><failure/><error/><failure/></testcase>\
        <testcase name='2' classname='c'><failure/><skipped/></testcase>\
        <testcase name='3' classname='c'><x><failure/></x></testcase>\
        <testcase name='4' classname='c'><skipped/></testcase>\
        <testcase name='5' classname='c'><testcase name='6' classname='c'><failure/></testcase></testcase>\
        <error/></testsuite>";
    let counts = scan(text.as_bytes(), UNLIMITED).unwrap().counts;
    assert_eq!(counts, Counts { results: 6, failures: 2, errors: 1, skipped: 1 });
}
