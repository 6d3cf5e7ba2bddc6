//! What is read, and what is said of what cannot be.

use crate::delivery::only;
use crate::harness::{fixture, folder, has_program, junit, scripted, tool, upload};

fn validate(arguments: &[&str]) -> crate::harness::Tool {
    tool(arguments).arg("--validate-only")
}

#[tokio::test]
async fn standard_input_needs_a_format_only_where_looking_does_not_tell() {
    let xml = std::fs::read(fixture("junit/gradle.xml")).unwrap();
    let json = std::fs::read(fixture("json/jest.json")).unwrap();
    validate(&["-"]).stdin(xml).run().await.expect(0).says("valid - (junit, ").says(" 5 results");
    validate(&["-"]).stdin(json.clone()).run().await.expect(0).says("(jest-json, ");
    validate(&["-"])
        .stdin("results")
        .run()
        .await
        .expect(10)
        .says("[input-unknown-format]")
        .says("--format");
    validate(&["-"]).stdin("").run().await.expect(10).says("the file is empty [input-empty]");
    let ran = validate(&["-", "--format", "json"]).stdin(json).run().await.expect(10);
    ran.says("-:1:1: error: an object where an array is expected [json-wrong-shape]");

    let receiver = scripted([]).await;
    upload(&receiver, ["-"]).stdin(junit(3)).run().await.expect(0);
    let received = only(&receiver);
    assert_eq!(received.data.unwrap().file_name.as_deref(), Some("stdin.xml"));
    assert_eq!(received.results, Some(3));
}

#[tokio::test]
async fn the_format_comes_from_the_flag_the_variable_the_name_or_the_content() {
    let xml = junit(1);
    let files = folder(&[
        ("a.xml", xml.as_bytes()),
        ("a.txt", xml.as_bytes()),
        ("odd.txt", b"odd"),
        ("odd.json", b"{}"),
    ]);
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    validate(&[&path("a.xml")]).run().await.expect(0).says("(junit");
    validate(&[&path("a.txt")]).run().await.expect(0).says("(junit");
    validate(&[&path("odd.txt")]).run().await.expect(10).says("[input-unknown-format]");
    validate(&[&path("odd.json")]).run().await.expect(10).says("[input-unknown-format]");
    validate(&[&path("odd.txt"), "--format=junit"])
        .run()
        .await
        .expect(10)
        .says("[xml-text-before-root]");
    let variable = "BUILDKITE_TEST_ENGINE_UPLOAD_FORMAT";
    let ran = validate(&[&path("a.xml")]).env(variable, "rspec-json").run().await.expect(10);
    ran.says("(rspec-json").says("[json-syntax]");
    let ran = validate(&[&path("a.xml")]).env(variable, "trx").run().await.expect(2);
    ran.tells("BUILDKITE_TEST_ENGINE_UPLOAD_FORMAT is \"trx\", which is no format: use one of junit, json");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_with_the_systems_reason() {
    let files = folder(&[("a.xml", junit(1).as_bytes())]);
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let ran = validate(&[&path("missing.xml")]).run().await.expect(11);
    ran.says("missing.xml: error: no such file or directory (os error 2) [input-not-found]");
    let ran = validate(&[&path("a.xml"), &path("missing.xml")]).run().await.expect(10);
    ran.says("valid ").says("[input-not-found]").says("1 of 2 files valid");
    let ran = validate(&[files.path().to_str().unwrap()]).run().await.expect(10);
    ran.says("is a directory [input-is-folder]").says("help: name the result files in the folder");
    // A socket can be opened by nobody, not even by root.
    let _socket = std::os::unix::net::UnixListener::bind(files.path().join("socket.xml")).unwrap();
    validate(&[&path("socket.xml")]).run().await.expect(10).says("(os error 6) [input-unreadable]");
    let ran = validate(&["/proc/self/mem", "--format=junit"]).run().await.expect(10);
    ran.says("/proc/self/mem: error: input/output error (os error 5) [input-unreadable]");
}

#[tokio::test]
async fn a_pipe_with_a_name_is_read_like_a_file() {
    if !has_program("mkfifo", &["--version"]) {
        return;
    }
    let files = folder(&[]);
    let pipe = files.path().join("results.xml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, junit(20_000)).unwrap())
    };
    validate(&[pipe.to_str().unwrap()]).run().await.expect(0).says(" 20,000 results");
    writer.join().unwrap();
}

#[tokio::test]
async fn truncated_files_are_rejected_with_line_and_column() {
    for (name, place) in [
        ("truncated-in-tag.xml", "7:50"),
        ("truncated-in-text.xml", "7:17"),
        ("truncated-in-cdata.xml", "7:28"),
        ("truncated-between-results.xml", "9:1"),
        ("truncated-in-comment.xml", "7:28"),
    ] {
        let path = fixture(&format!("malformed/{name}"));
        let ran = validate(&[path.to_str().unwrap()]).run().await.expect(10);
        ran.says(&format!("{name}:{place}: error: the document ends ")).says("[xml-truncated]");
    }
}

#[tokio::test]
async fn validation_needs_no_token_and_no_network() {
    let ran = validate(&[fixture("junit/phpunit.xml").to_str().unwrap()])
        .env("BUILDKITE_TEST_ENGINE_UPLOAD_URL", "http://127.0.0.1:1/")
        .env("HTTPS_PROXY", "http://127.0.0.1:1/")
        .run()
        .await
        .expect(0);
    assert!(!ran.stdout.contains("sent"), "{}", ran.stdout);
}
