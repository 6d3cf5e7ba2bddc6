//! What users see of findings: explanations and excerpts.

use bktec_upload::finding::Code;

use crate::harness::{Ran, folder, tool};

/// Checks a file of this content.
async fn check(content: &[u8], arguments: &[&str]) -> Ran {
    let files = folder(&[("a.xml", content)]);
    let tool = tool(["a.xml", "--validate-only"]).args(arguments).within(files.path());
    tool.run().await
}

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
