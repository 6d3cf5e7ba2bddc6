//! What is done when the service or the network fails.

use std::time::{Duration, Instant};

use crate::delivery::only;
use crate::harness::{
    Options, Ran, Receiver, TOKEN, Tool, folder, junit, receiver, scripted, upload,
};
use crate::receiver::{Step, digest};

/// More than the kernel's buffers hold, so that a connection breaks in the middle.
const RESULTS: usize = 5000;

/// A large upload, in a folder that lives as long as the run.
struct Upload {
    folder: tempfile::TempDir,
    content: String,
}

impl Upload {
    fn new() -> Self {
        let padding = "x".repeat(20_000_000);
        let content = junit(RESULTS)
            .replace("</testsuite>", &format!("<system-out>{padding}</system-out></testsuite>"));
        Self { folder: folder(&[("a.xml", content.as_bytes())]), content }
    }

    fn to(&self, receiver: &Receiver) -> Tool {
        upload(receiver, [self.folder.path().join("a.xml")]).arg("--report=json")
    }

    fn arrived_whole(&self, received: &crate::harness::Received) -> bool {
        received.data.as_ref().is_some_and(|data| {
            data.bytes == self.content.len() as u64
                && data.digest == digest(self.content.as_bytes())
        })
    }
}

fn small(receiver: &Receiver) -> (Tool, tempfile::TempDir) {
    let folder = folder(&[("a.xml", junit(3).as_bytes())]);
    (upload(receiver, [folder.path().join("a.xml")]).arg("--report=json"), folder)
}

async fn run_small(receiver: &Receiver, arguments: &[&str]) -> Ran {
    let (tool, _folder) = small(receiver);
    tool.args(arguments).run().await
}

fn early(status: u16, body: &str, after_bytes: u64) -> Step {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Step::Early { status, headers, body: body.to_owned(), after_bytes }
}

fn with_header(status: u16, name: &str, value: &str) -> Step {
    let headers = vec![(name.to_owned(), value.to_owned())];
    Step::StatusWith { status, headers, body: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_sends_the_same_bytes() {
    let upload = Upload::new();
    let steps = [
        Step::Status(503),
        Step::DropAfter { body_bytes: 3_000_000 },
        Step::Status(500),
        Step::DropAfter { body_bytes: 0 },
    ];
    let receiver = scripted(steps).await;
    let report = upload.to(&receiver).run().await.expect(0).report();
    let received = receiver.received();
    assert_eq!(received.len(), 5);
    let whole: Vec<_> = received.iter().map(|attempt| upload.arrived_whole(attempt)).collect();
    assert_eq!(whole, [true, false, true, false, true]);
    let cut = received[1].data.as_ref().unwrap();
    let sent = &upload.content.as_bytes()[..usize::try_from(cut.bytes).unwrap()];
    assert_eq!(cut.digest, digest(sent), "an attempt that is cut off sent the same bytes too");
    let attempts = report["uploads"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 5);
    assert_eq!(attempts[0]["status"], 503);
    assert_eq!(attempts[1]["status"], serde_json::Value::Null);
    assert_eq!(attempts[4]["status"], 202);
    assert_eq!(attempts[4]["bytes_sent"], upload.content.len());
}

#[tokio::test]
async fn retries_have_an_end_and_the_error_says_how_many_there_were() {
    let receiver = receiver(Options { otherwise: Step::Status(502), ..Options::default() }).await;
    let ran = run_small(&receiver, &["--retries", "2"]).await.expect(22);
    assert_eq!(receiver.requests(), 3);
    let error = ran.report()["uploads"][0]["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("the service answered 502") && error.contains(", after 3 attempts in "),
        "{error}"
    );
    // A gateway may have passed the upload on.
    assert_eq!(ran.report()["uploads"][0]["outcome"], "unknown");
    ran.tells("retrying upload 1 in ").tells("(attempt 2 of 3): the service answered 502");
}

#[tokio::test]
async fn what_will_not_get_better_is_not_tried_again() {
    for (status, code) in
        [(400, 21), (401, 20), (403, 20), (404, 21), (413, 21), (415, 21), (422, 21)]
    {
        let receiver = scripted([Step::StatusWith {
            status,
            headers: Vec::new(),
            body: format!("{{\"message\":\"no, {TOKEN}!\"}}"),
        }])
        .await;
        let ran = run_small(&receiver, &["-vv"]).await.expect(code);
        assert_eq!(receiver.requests(), 1, "{status}");
        let upload = &ran.report()["uploads"][0];
        assert_eq!(upload["outcome"], "refused");
        let error = format!("the service answered {status}: no, [token]!");
        assert_eq!(upload["error"], error, "what the service repeats of the token is blotted out");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_goes_nowhere_else() {
    let other = scripted([]).await;
    let receiver = scripted([with_header(307, "location", &other.url())]).await;
    let ran = run_small(&receiver, &[]).await.expect(21);
    assert_eq!((receiver.requests(), other.requests()), (1, 0));
    let error = ran.report()["uploads"][0]["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("a redirect to http://127.0.0.1, which is not followed: check --upload-url"),
        "{error}"
    );
}

#[tokio::test]
async fn the_service_sets_the_pace_for_all_uploads() {
    let files: Vec<_> = (0..4).map(|n| (format!("{n}.xml"), junit(n + 1))).collect();
    let list: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let folder = folder(&list);
    for (name, value) in [("retry-after", "1"), ("ratelimit-reset", "1")] {
        let receiver = scripted([with_header(429, name, value)]).await;
        let paths = files.iter().map(|(name, _)| folder.path().join(name));
        upload(&receiver, paths)
            .args(["--concurrency", "1", "--no-pack"])
            .run()
            .await
            .expect(0)
            .tells("in 1.0 s");
        let received = receiver.received();
        assert_eq!(received.len(), 5);
        let waited = received[1].at.saturating_sub(received[0].at);
        assert!(waited >= Duration::from_secs(1), "{waited:?} after {name}");
    }
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let receiver = scripted([with_header(503, "retry-after", "3600")]).await;
    let started = Instant::now();
    let ran = run_small(&receiver, &["--deadline", "20s"]).await.expect(22);
    assert!(started.elapsed() < Duration::from_secs(20));
    let error = ran.report()["uploads"][0]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("the service answered 503; the wait of 3600s"), "{error}");
    assert_eq!(ran.report()["uploads"][0]["outcome"], "refused");
    assert!(!ran.stderr.contains("retrying"), "{}", ran.stderr);
    assert_eq!(receiver.requests(), 1);
}

#[tokio::test]
async fn the_deadline_ends_what_is_in_flight() {
    let receiver = scripted([Step::StallAnswer]).await;
    let ran = run_small(&receiver, &["--deadline", "2s"]).await.expect(22);
    let upload = &ran.report()["uploads"][0];
    assert_eq!(upload["outcome"], "unknown");
    assert_eq!(upload["error"], "the deadline of 2s has passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_early_is_reported_as_that() {
    let upload = Upload::new();
    for (status, code) in [(413, 21), (401, 20)] {
        // The receiver resets the connection right after its answer, which a writer may see first.
        for after_bytes in [0, 1_000_000] {
            let receiver = receiver(Options {
                otherwise: early(status, "{\"message\":\"early\"}", after_bytes),
                ..Options::default()
            })
            .await;
            let ran = upload.to(&receiver).run().await.expect(code);
            let report = ran.report();
            assert_eq!(
                report["uploads"][0]["error"],
                format!("the service answered {status}: early")
            );
            let attempts = report["uploads"][0]["attempts"].as_array().unwrap();
            let sent = attempts.last().unwrap()["bytes_sent"].as_u64().unwrap();
            assert!(sent < upload.content.len() as u64, "the rest is not sent");
        }
    }
}

#[tokio::test]
async fn where_the_token_is_refused_no_further_upload_is_tried() {
    let files: Vec<_> = (0..20).map(|n| (format!("{n}.xml"), junit(n + 1))).collect();
    let list: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let folder = folder(&list);
    let receiver = receiver(Options { otherwise: Step::Status(403), ..Options::default() }).await;
    let paths = files.iter().map(|(name, _)| folder.path().join(name));
    let ran = upload(&receiver, paths).args(["--concurrency", "2", "--report=json", "--no-pack"]);
    let report = ran.run().await.expect(20).report();
    assert!(receiver.requests() <= 3, "{}", receiver.requests());
    let last = &report["uploads"][19];
    assert_eq!(last["outcome"], "not_sent");
    assert_eq!(last["error"], "not tried, as the service refused the token");
}

#[tokio::test]
async fn an_upload_that_fails_does_not_keep_the_others_from_going() {
    let receiver = scripted([Step::Status(422)]).await;
    let folder = folder(&[("a.xml", junit(1).as_bytes()), ("b.xml", junit(2).as_bytes())]);
    let paths = ["a.xml", "b.xml"].map(|name| folder.path().join(name));
    let ran =
        upload(&receiver, paths).args(["--concurrency", "1", "--no-pack"]).run().await.expect(23);
    ran.says("refused: upload 1 of 2 (")
        .says("accepted 1 of 2 uploads; the service queued 2 of 3 results");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_given_up_and_tried_again() {
    let upload = Upload::new();
    let receiver = receiver(Options {
        script: [Step::StallReading { after_bytes: 100_000 }].into(),
        receive_buffer: Some(64 * 1024),
        ..Options::default()
    })
    .await;
    let ran = upload.to(&receiver).args(["--stall-timeout", "3s"]).run().await.expect(0);
    let attempts = ran.report()["uploads"][0]["attempts"].clone();
    assert_eq!(attempts[0]["error"], "no byte moved for 3s");
    assert_eq!(attempts[1]["status"], 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_is_no_error() {
    let receiver = receiver(Options { rate: Some(400_000), ..Options::default() }).await;
    let content = junit(RESULTS).replace(
        "</testsuite>",
        &format!("<system-out>{}</system-out></testsuite>", "x".repeat(600_000)),
    );
    let folder = folder(&[("a.xml", content.as_bytes())]);
    let run = upload(&receiver, [folder.path().join("a.xml")]).args([
        "--stall-timeout",
        "1s",
        "--retries",
        "0",
    ]);
    run.run().await.expect(0);
    assert!(only(&receiver).complete);
}

#[tokio::test]
async fn sent_without_an_answer_is_neither_a_success_nor_a_failure() {
    let receiver = receiver(Options { otherwise: Step::StallAnswer, ..Options::default() }).await;
    let arguments = ["--answer-timeout", "1s", "--retries", "1"];
    let ran = run_small(&receiver, &arguments).await.expect(22);
    let upload = &ran.report()["uploads"][0];
    assert_eq!(upload["outcome"], "unknown");
    assert!(
        upload["error"]
            .as_str()
            .unwrap()
            .starts_with("no answer within 1s of the last byte, after 2 attempts")
    );
    assert!(receiver.received().iter().all(|received| received.accepted), "it had arrived");
}

#[tokio::test]
async fn a_retry_of_what_may_have_arrived_says_so() {
    let receiver = scripted([Step::DropWithoutAnswer]).await;
    let ran =
        run_small(&receiver, &[]).await.expect(0).tells("may hold these results from that one");
    assert_eq!(receiver.requests(), 2);
    let upload = &ran.report()["uploads"][0];
    assert_eq!(upload["outcome"], "accepted");
    assert!(upload["warnings"][0].as_str().unwrap().contains("from that one"));
}

#[tokio::test]
async fn nobody_there() {
    let files = folder(&[("a.xml", junit(1).as_bytes())]);
    let ran = crate::harness::tool([files.path().join("a.xml")])
        .args(["--retries", "1", "--report=json", "--token", TOKEN, "--upload-url", &nowhere()])
        .run()
        .await
        .expect(22);
    let upload = &ran.report()["uploads"][0];
    assert_eq!(upload["outcome"], "not_sent");
    let error = upload["error"].as_str().unwrap();
    assert!(error.to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_waited_for_by_none() {
    let receiver = receiver(Options {
        otherwise: with_header(503, "retry-after", "3600"),
        ..Options::default()
    })
    .await;
    let folder = folder(&[("a.xml", junit(1).as_bytes()), ("b.xml", junit(2).as_bytes())]);
    let paths = ["a.xml", "b.xml"].map(|name| folder.path().join(name));
    let started = Instant::now();
    let arguments = ["--no-pack", "--concurrency=1", "--deadline=30s", "--report=json"];
    let report = upload(&receiver, paths).args(arguments).run().await.expect(22).report();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(
        report["uploads"][1]["error"],
        "the service asked to wait beyond the deadline of 30s"
    );
    assert_eq!(report["uploads"][1]["outcome"], "not_sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_before_the_upload_is_whole_is_no_yes() {
    let upload = Upload::new();
    let receiver = receiver(Options {
        otherwise: early(200, "{\"queued\":5000}", 100_000),
        linger: Duration::from_millis(300),
        ..Options::default()
    })
    .await;
    let report = upload.to(&receiver).args(["--retries=1"]).run().await.expect(22).report();
    let error = report["uploads"][0]["error"].as_str().unwrap();
    assert!(
        error.starts_with("200 was answered before the upload was whole, after 2 attempts"),
        "{error}"
    );
}

#[tokio::test]
async fn a_gateway_that_gives_up_may_have_passed_the_upload_on() {
    let receiver = scripted([Step::Status(504)]).await;
    let ran = run_small(&receiver, &[]).await.expect(0);
    ran.tells("may hold these results from that one");
    let receiver = scripted([Step::DropWithoutAnswer, Step::Status(409)]).await;
    let ran = run_small(&receiver, &[]).await.expect(21);
    assert_eq!(ran.report()["uploads"][0]["outcome"], "refused");
    ran.tells("may hold these results from that one");
}

#[tokio::test]
async fn where_nobody_is_there_no_further_upload_is_tried() {
    let files: Vec<_> = (0..20).map(|n| (format!("{n}.xml"), junit(n + 1))).collect();
    let list: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let folder = folder(&list);
    let paths = files.iter().map(|(name, _)| folder.path().join(name));
    let ran = crate::harness::tool(paths)
        .args(["--no-pack", "--concurrency=1", "--retries=1", "--report=json", "--token", TOKEN])
        .args(["--upload-url", &nowhere()])
        .run()
        .await
        .expect(22);
    assert_eq!(ran.stderr.matches("retrying").count(), 1);
    let error = ran.report()["uploads"][19]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("not tried, as the service could not be reached: "), "{error}");
}

/// Nobody listens there: the receivers of the tests are at another address.
fn nowhere() -> String {
    let address = std::net::TcpListener::bind("127.0.0.77:0").unwrap().local_addr().unwrap();
    format!("http://{address}/v1/uploads")
}
