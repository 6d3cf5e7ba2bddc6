//! What is said, where, and what is never said.

use crate::harness::{
    Options, Ran, TOKEN, fixture, folder, junit, receiver, scripted, tool, upload,
};
use crate::receiver::Step;

/// Puts fixed words where a run has its own: times, ports, keys, folders.
fn normalised(ran: &Ran, folder: &std::path::Path) -> String {
    let mut report = ran.report();
    for upload in report["uploads"].as_array_mut().unwrap() {
        for attempt in upload["attempts"].as_array_mut().unwrap() {
            assert!(attempt["seconds"].as_f64().unwrap() > 0.0);
            attempt["seconds"] = "SECONDS".into();
        }
        if let Some(response) = upload["response"].as_object_mut() {
            for name in ["id", "run_id", "run_url", "upload_url"] {
                assert!(response[name].is_string(), "{response:?}");
                response.insert(name.to_owned(), "FROM THE SERVICE".into());
            }
        }
    }
    if report["run"]["url"].is_string() {
        report["run"]["url"] = "FROM THE SERVICE".into();
    }
    report["tool"]["version"] = "VERSION".into();
    let text = serde_json::to_string_pretty(&report).unwrap();
    text.replace(folder.to_str().unwrap(), "FOLDER")
}

#[tokio::test]
async fn the_json_report_of_an_upload() {
    let receiver = scripted([Step::Status(503)]).await;
    let warned = "<testsuite tests=\"3\">\n<testcase name=\"a\" classname=\"b\"/>\n<testcase name=\"c\" time=\"1,234.5\">\n<failure/></testcase>\n</testsuite>";
    let files = folder(&[
        ("a.xml", warned.as_bytes()),
        ("b.json", b"[{\"name\":\"x\",\"history\":{\"start_at\":1,\"duration\":2}}]"),
    ]);
    let paths = ["a.xml", "b.json"].map(|name| files.path().join(name));
    let ran = upload(&receiver, paths)
        .args(["--report=json", "--build-id=key-1", "--concurrency=1"])
        .run()
        .await
        .expect(0);
    insta::assert_snapshot!("report_of_an_upload", normalised(&ran, files.path()));
}

#[tokio::test]
async fn the_json_report_of_a_rejected_file() {
    let folder = crate::fixtures::folder();
    let paths = ["malformed/control-character.xml", "malformed/two-documents.json", "missing.xml"];
    let ran = tool(paths.map(|path| folder.join(path))).args(["--validate-only", "--report=json"]);
    let ran = ran.run().await.expect(10);
    insta::assert_snapshot!("report_of_a_rejected_file", normalised(&ran, &folder));
}

#[tokio::test]
async fn the_text_report_of_a_rejected_file() {
    let folder = crate::fixtures::folder();
    let paths =
        ["malformed/control-character.xml", "junit/surefire.xml", "malformed/root-nunit.xml"];
    let ran =
        tool(paths.map(|path| folder.join(path))).arg("--validate-only").run().await.expect(10);
    let text = ran.stdout.replace(folder.to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!("text_of_a_rejected_file", text);
}

#[tokio::test]
async fn many_findings_of_one_code_are_counted_and_the_first_listed() {
    let text = junit(1000).replace(" classname=\"c\"", "");
    let files = folder(&[("a.xml", text.as_bytes())]);
    let path = files.path().join("a.xml");
    let ran = tool([&path]).arg("--validate-only").run().await.expect(0);
    assert_eq!(ran.stdout.matches("warning: a testcase without a classname").count(), 20);
    let ran = ran.says("a.xml: … and 980 more [junit-missing-classname]");
    assert_eq!(ran.stdout.matches("help: ").count(), 1, "advice is given once");
    let report = tool([&path]).args(["--validate-only", "--report=json"]).run().await.report();
    assert_eq!(report["files"][0]["finding_counts"]["junit-missing-classname"], 1000);
}

#[tokio::test]
async fn the_token_is_in_no_output_at_any_verbosity() {
    // The harness looks for it in the output of every run.
    let repeat = format!(
        "{{\"message\":\"bad {TOKEN}\",\"errors\":[\"{TOKEN}\"],\"run_url\":\"https://x/{TOKEN}\"}}"
    );
    let steps = || {
        [
            Step::StatusWith { status: 503, headers: vec![], body: repeat.clone() },
            Step::StatusWith { status: 202, headers: vec![], body: repeat.clone() },
        ]
    };
    let files = folder(&[("token", format!("{TOKEN}\n").as_bytes())]);
    for verbosity in [&["-q"] as &[&str], &[], &["-v"], &["-vv"], &["-vv", "--report=json"]] {
        let receiver = scripted(steps()).await;
        upload(&receiver, [fixture("junit/bazel.xml")]).args(verbosity).run().await.expect(0);
        let receiver = scripted(steps()).await;
        let ran = tool([fixture("junit/bazel.xml")])
            .args(verbosity)
            .args(["--upload-url", &receiver.url()]);
        ran.arg("--suite-token-file").arg(files.path().join("token")).run().await.expect(0);
    }
    let help = tool(["--help"]).env("BUILDKITE_ANALYTICS_TOKEN", TOKEN).run().await.expect(0);
    assert!(help.stdout.contains("BUILDKITE_ANALYTICS_TOKEN"));
    // Mistakes that involve it.
    tool(["a.xml", "--token", &format!("{TOKEN} x")]).run().await.expect(2);
    tool(["a.xml", "--token", TOKEN, "--token", TOKEN]).run().await.expect(2);
    tool(["a.xml", "--token", TOKEN, "--upload-url", &format!("https://u:{TOKEN}@h/")])
        .run()
        .await
        .expect(2);
    tool(["a.xml", "--token", TOKEN, "--upload-url", &format!("ftp://h/?{TOKEN}")])
        .run()
        .await
        .expect(2);
}

#[tokio::test]
async fn stdout_carries_the_report_and_stderr_the_rest() {
    let receiver = scripted([Step::Status(500)]).await;
    let path = fixture("junit/ctest.xml");
    let ran = upload(&receiver, [&path]).arg("-vv").run().await.expect(0);
    assert!(ran.stdout.starts_with("valid ") && !ran.stdout.contains("retrying"), "{}", ran.stdout);
    let ran = ran
        .tells("bktec-upload ")
        .tells("format junit")
        .tells("with run key ")
        .tells("retrying upload 1");
    ran.tells("attempt 2: ").tells("the service answered 202");

    let receiver = scripted([Step::Status(500)]).await;
    let ran = upload(&receiver, [&path]).arg("-q").run().await.expect(0);
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn colours_are_by_flag_and_variable() {
    let run = async |arguments: &[&str]| {
        tool([fixture("junit/ctest.xml")])
            .arg("--validate-only")
            .args(arguments)
            .run()
            .await
            .expect(0)
            .stdout
    };
    assert!(!run(&[]).await.contains('\u{1b}'), "not a terminal");
    assert!(run(&["--color=always"]).await.contains("\u{1b}[32mvalid"));
    assert!(!run(&["--color=never"]).await.contains('\u{1b}'));
}

#[tokio::test]
async fn control_characters_from_outside_are_not_obeyed() {
    let receiver = scripted([Step::StatusWith {
        status: 422,
        headers: vec![],
        body: "{\"message\":\"\\u001b[2Jgone\"}".to_owned(),
    }])
    .await;
    let files = folder(&[("\u{1b}[31m.xml", junit(1).as_bytes())]);
    let path = files.path().join("\u{1b}[31m.xml");
    let ran = upload(&receiver, [&path]).run().await.expect(21);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains('\u{1b}'), "{ran:?}");
}

#[tokio::test]
async fn in_ci_a_plain_line_says_now_and_then_that_it_goes_on() {
    let receiver =
        receiver(Options { delay: std::time::Duration::from_secs(6), ..Options::default() }).await;
    let path = fixture("junit/ctest.xml");
    let ran = upload(&receiver, [&path]).env("CI", "true").run().await.expect(0);
    ran.tells("sending: ").tells("(100%)");
}
