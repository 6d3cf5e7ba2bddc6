//! Each exit code, as the help documents it, and what a signal leaves behind.

use std::time::Duration;

use tokio::process::Child;

use crate::harness::{
    Options, finish, fixture, folder, junit, left_behind, receiver, scripted, tool, upload,
};
use crate::receiver::Step;

fn valid() -> std::path::PathBuf {
    fixture("junit/googletest.xml")
}

#[tokio::test]
async fn code_0_all_delivered_or_valid() {
    tool([valid()]).arg("--validate-only").run().await.expect(0);
    upload(&scripted([]).await, [valid()]).run().await.expect(0);
}

#[tokio::test]
async fn code_1_an_unexpected_failure() {
    let ran =
        tool([valid()]).arg("--validate-only").env("TMPDIR", "/nonexistent").run().await.expect(1);
    ran.says("failed to keep a copy of the input in /nonexistent").says("set TMPDIR");
}

#[tokio::test]
async fn code_2_a_mistake_in_the_arguments() {
    let none: [&str; 0] = [];
    tool(none).run().await.expect(2).tells("<INPUT>");
    tool([valid()]).run().await.expect(2).tells("no suite token: set BUILDKITE_ANALYTICS_TOKEN");
    let report = tool([valid()]).arg("--report=json").run().await.expect(2).report();
    assert_eq!(report["exit_code"], 2);
    assert!(report["error"].as_str().unwrap().starts_with("no suite token"));
    let ran = tool([valid()]).args(["--token", "t", "--build-id", " "]).run().await.expect(2);
    ran.tells("--build-id is empty");
    tool([valid()]).arg("--format=trx").run().await.expect(2).tells("possible values: junit, json");
    tool([valid()])
        .args(["--token", "t", "--tag", "1=2"])
        .run()
        .await
        .expect(2)
        .tells("must begin with a letter");
    tool([valid()])
        .args(["--token", "t", "--stall-timeout", "0"])
        .run()
        .await
        .expect(2)
        .tells("--stall-timeout");
    tool([valid()])
        .args(["--token", "t", "--upload-url", "http://example.com/"])
        .run()
        .await
        .expect(2)
        .tells("use https");
    let ran = tool([valid()]).args(["--suite-token-file", "/nonexistent"]).run().await.expect(2);
    ran.tells("failed to read the suite token from /nonexistent");
}

#[tokio::test]
async fn code_10_findings_reject_the_input() {
    tool([fixture("malformed/root-trx.xml")])
        .arg("--validate-only")
        .run()
        .await
        .expect(10)
        .says("TRX");
}

#[tokio::test]
async fn code_11_nothing_was_found() {
    tool(["a.xml", "b*.xml"])
        .arg("--validate-only")
        .run()
        .await
        .expect(11)
        .says("[input-not-found]");
}

#[tokio::test]
async fn code_20_the_token_is_refused() {
    let receiver = scripted([]).await;
    let ran = tool([valid()]).args(["--token", "wrong", "--upload-url", &receiver.url()]);
    ran.run().await.expect(20).says("the service answered 401");
}

#[tokio::test]
async fn code_21_an_upload_is_refused() {
    upload(&scripted([Step::Status(422)]).await, [valid()])
        .run()
        .await
        .expect(21)
        .says("refused: upload 1 of 1");
}

#[tokio::test]
async fn code_22_the_service_keeps_failing() {
    let receiver = receiver(Options { otherwise: Step::Status(503), ..Options::default() }).await;
    upload(&receiver, [valid()])
        .args(["--retries", "1"])
        .run()
        .await
        .expect(22)
        .says("after 2 attempts");
}

#[tokio::test]
async fn code_23_some_are_accepted_and_some_are_not() {
    let files = folder(&[("a.xml", junit(1).as_bytes()), ("b.xml", junit(2).as_bytes())]);
    let paths = ["a.xml", "b.xml"].map(|name| files.path().join(name));
    upload(&scripted([Step::Status(400)]).await, paths).arg("--no-pack").run().await.expect(23);
}

/// An upload that hangs, once the receiver has it.
async fn hanging(arguments: &[&str]) -> (Child, tempfile::TempDir, crate::harness::Receiver) {
    let receiver = scripted([Step::StallAnswer]).await;
    let (child, temp) = upload(&receiver, [valid()]).args(arguments).start();
    while !receiver.received().iter().any(|received| received.complete) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (child, temp, receiver)
}

fn kill(child: &Child, signal: &str) {
    let process = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill").args([signal, &process]).status().unwrap().success()
    );
}

#[tokio::test]
async fn codes_of_signals_with_a_report_all_the_same() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let (child, temp, _receiver) = hanging(&["--report=json"]).await;
        kill(&child, signal);
        let report = finish(child).await.expect(code).report();
        assert_eq!(report["exit_code"], code);
        assert_eq!(report["uploads"][0]["outcome"], "unknown");
        assert_eq!(report["uploads"][0]["error"], "interrupted");
        assert_eq!(left_behind(temp.path()), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test]
async fn a_signal_while_a_pipe_is_read() {
    let files = folder(&[]);
    let pipe = files.path().join("results.xml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (child, _temp) = tool([&pipe]).args(["--validate-only", "--report=json"]).start();
    // Opening for writing waits for the reader: after it, the tool is reading.
    let writer = tokio::task::spawn_blocking(move || {
        std::fs::File::options().write(true).open(pipe).unwrap()
    });
    let _writer = writer.await.unwrap();
    kill(&child, "-TERM");
    assert_eq!(finish(child).await.expect(143).report()["exit_code"], 143);
}

#[tokio::test]
async fn nothing_stays_behind_after_a_kill() {
    let (mut child, temp, _receiver) = hanging(&[]).await;
    kill(&child, "-KILL");
    assert_eq!(child.wait().await.unwrap().code(), None);
    assert_eq!(left_behind(temp.path()), Vec::<std::path::PathBuf>::new());
}
