//! What users see of findings and decide about them: explanations, excerpts, levels.

use bktec_upload::finding::Code;

use crate::harness::{Ran, fixture, folder, junit, receiver, tool, upload};

/// Checks a file of this content.
async fn check(content: &[u8], arguments: &[&str]) -> Ran {
    let files = folder(&[("a.xml", content)]);
    let tool = tool(["a.xml", "--validate-only"]).args(arguments).within(files.path());
    tool.run().await
}

/// One result without a classname, and one with an odd time.
const WARNED: &[u8] = b"<testsuite>\n<testcase name=\"a\"/>\n\
    <testcase name=\"b\" classname=\"c\" time=\"1,2\"/>\n</testsuite>";

#[tokio::test]
async fn explain_prints_the_section_of_a_code_and_needs_nothing() {
    for code in [Code::InputNotFound, Code::XmlTruncated, Code::ResultsOverLimit] {
        let ran = tool(["--explain", code.as_str()]).run().await.expect(0);
        assert!(ran.stdout.starts_with(&format!("{code}\n\n")), "{}", ran.stdout);
        assert!(ran.stdout.contains("To fix it") && !ran.stdout.contains('#'), "{}", ran.stdout);
        assert_eq!(
            ran.stdout.matches("Error. ").count() + ran.stdout.matches("Warning. ").count(),
            1
        );
        assert!(ran.stderr.is_empty());
    }
}

#[tokio::test]
async fn unknown_codes_are_mistakes_that_name_the_nearest() {
    let ran = tool(["--explain", "xml-trunkated"]).run().await.expect(2);
    ran.tells("a similar value exists: 'xml-truncated'");
    for flag in ["--deny", "--allow"] {
        let ran = tool(["a.xml", flag, "junit-odd-times"]).run().await.expect(2);
        ran.tells("a similar value exists: 'junit-odd-time'");
    }
    tool(["a.xml", "--explain", "xml-truncated"])
        .run()
        .await
        .expect(2)
        .tells("cannot be used with");
}

#[tokio::test]
async fn excerpts_are_shown_with_a_caret() {
    let ran = check(b"<a>\n\t<b>\x1b[31mred &amp; caf\xc3\xa9 & tea</b></a>", &[]).await.expect(10);
    let ran = ran.says("      2 |  <b>␛[31mred &amp; café & tea</b></a>\n        |     ^\n");
    ran.says("\n        |                         ^\n");
}

#[tokio::test]
async fn excerpts_of_long_lines_and_of_bytes_that_are_no_text() {
    // One line of 32 MB, with something wrong at its start, in its middle and at its end.
    let filler = b"<!-- 0123456789012345678901234567890123456789 -->".repeat(330_000);
    let mut content = b"<testsuite><testcase name=\"caf\xE9\"/>".to_vec();
    content.extend_from_slice(&filler);
    content.extend_from_slice("é\0é".as_bytes());
    content.extend_from_slice(&filler);
    content.extend_from_slice(b"<testcase classname=\"x\" name=\"\"/></testsuite>");
    let report = check(&content, &["--report=json"]).await.expect(10).report();
    let findings = report["files"][0]["findings"].as_array().unwrap();
    let excerpt = |code: &str| {
        let finding = findings.iter().find(|finding| finding["code"] == code).unwrap();
        let excerpt = &finding["excerpt"];
        let column = usize::try_from(excerpt["column"].as_u64().unwrap()).unwrap();
        let text = excerpt["text"].as_str().unwrap();
        (text.to_owned(), text.chars().skip(column - 1).collect::<String>())
    };
    let (text, at) = excerpt("xml-invalid-utf8");
    assert!(text.starts_with("<testsuite>") && text.ends_with('…'), "{text}");
    assert!(at.starts_with("\\xE9\"/>"), "{at}");
    let (text, at) = excerpt("xml-illegal-character");
    assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
    assert!(at.starts_with("␀é<!--"), "{at}");
    let (text, at) = excerpt("junit-missing-name");
    assert!(text.starts_with('…'), "{text}");
    assert_eq!(at, "<testcase classname=\"x\" name=\"\"/></tests…");
}

#[tokio::test]
async fn what_is_denied_rejects_and_is_shown_as_an_error() {
    check(WARNED, &[]).await.expect(0).says("2:1: warning: a testcase without a classname");
    let ran = check(WARNED, &["--deny", "junit-missing-classname"]).await.expect(10);
    ran.says("rejected a.xml").says("2:1: error: a testcase without").says("3:1: warning: time=");
    let ran = check(WARNED, &["--deny=junit-odd-time", "--report=json"]).await.expect(10);
    let report = ran.report();
    let severities = report["files"][0]["findings"].as_array().unwrap().iter();
    let severities: Vec<_> = severities.map(|finding| finding["severity"].clone()).collect();
    assert_eq!(severities, ["warning", "error"]);
    // What is not found rejects nothing.
    check(WARNED, &["--deny=xml-doctype,junit-missing-name"]).await.expect(0);
}

#[tokio::test]
async fn what_is_allowed_is_counted_and_not_heard_of() {
    let codes = "--allow=junit-missing-classname,junit-odd-time";
    let ran = check(WARNED, &["--strict", codes]).await.expect(0);
    assert_eq!(ran.stdout, "valid a.xml (junit, 91 B) 2 results\n");
    let ran = check(WARNED, &["--strict", "--allow=junit-odd-time"]).await.expect(10);
    assert!(!ran.stdout.contains("junit-odd-time"), "{}", ran.stdout);
    let ran = ran.says("2:1: error: a testcase without a classname");
    ran.says("more about a finding: bktec-upload --explain junit-missing-classname");
    for kind in ["github", "sarif"] {
        let ran = check(WARNED, &[codes, "--report", kind]).await.expect(0);
        assert!(!ran.stdout.contains("junit-"), "{}", ran.stdout);
    }
    let report = check(WARNED, &[codes, "--report=json"]).await.expect(0).report();
    assert_eq!(report["files"][0]["finding_counts"]["junit-odd-time"], 1);
    assert_eq!(report["files"][0]["findings"].as_array().unwrap().len(), 0);

    // Also where there are more than are listed.
    let many = junit(1000).replace(" classname=\"c\"", "");
    let ran = check(many.as_bytes(), &["--allow=junit-missing-classname"]).await.expect(0);
    assert!(!ran.stdout.contains("more"), "{}", ran.stdout);
}

#[tokio::test]
async fn errors_cannot_be_allowed_and_levels_must_not_contradict() {
    let ran = check(WARNED, &["--allow=junit-odd-time,xml-truncated"]).await.expect(2);
    ran.tells("--allow xml-truncated: that is an error").tells("would lose its results");
    let flags = ["--allow=junit-odd-time", "--deny=junit-odd-time", "--report=json"];
    let ran = check(WARNED, &flags).await.expect(2).tells("contradict each other");
    assert_eq!(ran.report()["exit_code"], 2);
}

#[tokio::test]
async fn nothing_denied_is_sent() {
    let receiver = receiver(crate::harness::Options::default()).await;
    let path = fixture("junit/surefire.xml");
    upload(&receiver, [&path]).arg("--deny=junit-odd-time").run().await.expect(10);
    assert!(receiver.received().is_empty());
    let allowed = "--allow=junit-odd-time,junit-rerun";
    upload(&receiver, [&path]).args(["--strict", allowed]).run().await.expect(0);
}
