//! What users see of findings: explanations.

use bktec_upload::finding::Code;

use crate::harness::tool;

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
