//! What arrives, when all goes well.

use crate::harness::{Options, Receiver, fixture, folder, junit, receiver, scripted, upload};
use crate::receiver::{Step, digest};

/// The one request that a receiver saw.
pub fn only(receiver: &Receiver) -> crate::harness::Received {
    let received = receiver.received();
    assert_eq!(received.len(), 1, "{received:?}");
    received.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_file_arrives_byte_for_byte_with_its_form() {
    let receiver = receiver(Options { keep_bodies: true, ..Options::default() }).await;
    let path = fixture("junit/surefire.xml");
    let ran = upload(&receiver, [&path])
        .args(["--tag", "team=core", "--tag", "host.os=linux", "--run-env", "debug=1"])
        .env("BUILDKITE_BUILD_ID", "build-1")
        .env("BUILDKITE_MESSAGE", "Fix it\n\nwith \"quotes\" & ümlauts")
        .run()
        .await
        .expect(0)
        .says("accepted 1 of 1 uploads; the service queued 7 of 7 results")
        .says("run: http://127.0.0.1:");
    assert!(ran.stderr.starts_with("bktec-upload "), "{}", ran.stderr);

    let received = only(&receiver);
    assert_eq!(received.problems, Vec::<String>::new());
    let fields: Vec<_> = received.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("format", "junit"),
        ("run_env[CI]", "buildkite"),
        ("run_env[key]", "build-1"),
        ("run_env[message]", "Fix it\n\nwith \"quotes\" & ümlauts"),
        ("run_env[collector]", "bktec-upload"),
        ("run_env[version]", env!("CARGO_PKG_VERSION")),
        ("run_env[debug]", "1"),
        ("tags[team]", "core"),
        ("tags[host.os]", "linux"),
    ];
    assert_eq!(fields, expected);
    let data = received.data.as_ref().unwrap();
    assert_eq!(data.file_name.as_deref(), Some("surefire.xml"));
    assert_eq!(data.content_type.as_deref(), Some("application/xml"));
    assert!(data.body.as_deref() == Some(&std::fs::read(path).unwrap()));
    assert_eq!(received.content_length, Some(received.body_bytes_read));
    let agent = received.header("user-agent").unwrap();
    assert!(
        agent.starts_with(concat!("bktec-upload/", env!("CARGO_PKG_VERSION"), " (")),
        "{agent}"
    );
    assert_eq!(received.header("transfer-encoding"), None);
}

#[tokio::test]
async fn every_format_is_taken_by_a_strict_receiver() {
    let cases = [
        ("json/test-engine.json", "json", 6),
        ("json/rspec.json", "rspec-json", 4),
        ("json/jest.json", "jest-json", 6),
        ("json/playwright.json", "playwright-json", 4),
        ("json/cucumber.json", "cucumber-json", 4),
        ("junit/gotestsum.xml", "junit", 7),
    ];
    for (path, format, results) in cases {
        let receiver = scripted([]).await;
        upload(&receiver, [fixture(path)]).run().await.expect(0);
        let received = only(&receiver);
        assert_eq!(received.field("format"), Some(format), "{path}");
        assert_eq!(received.results, Some(results), "{path}");
        let media_type = received.data.and_then(|data| data.content_type);
        let expected = if format == "junit" { "application/xml" } else { "application/json" };
        assert_eq!(media_type.as_deref(), Some(expected), "{path}");
    }
}

#[tokio::test]
async fn several_files_go_as_several_uploads_of_one_run() {
    let receiver = scripted([]).await;
    let files = folder(&[("a.xml", junit(2).as_bytes()), ("b.xml", junit(3).as_bytes())]);
    let path = |name: &str| files.path().join(name);
    let ran = upload(&receiver, [path("a.xml"), path("b.xml"), path("./a.xml")])
        .args(["--report=json", "--no-pack"]);
    let report = ran.run().await.expect(0).report();
    let received = receiver.received();
    assert_eq!(received.len(), 2, "a file that is named twice goes once");
    assert_eq!(received[0].field("run_env[key]"), received[1].field("run_env[key]"));
    assert_eq!(report["totals"]["results"], 5);
    assert_eq!(report["totals"]["queued"], 5);
    assert_eq!(report["uploads"][1]["sources"][0]["file"], path("b.xml").to_str().unwrap());
}

#[tokio::test]
async fn uploads_go_side_by_side_over_connections_that_are_kept() {
    let files: Vec<_> = (0..12).map(|n| (format!("{n}.xml"), junit(n + 1))).collect();
    let list: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let folder = folder(&list);
    let paths = files.iter().map(|(name, _)| folder.path().join(name));
    let receiver =
        receiver(Options { delay: std::time::Duration::from_millis(50), ..Options::default() })
            .await;
    let ran =
        upload(&receiver, paths).args(["--concurrency", "3", "--report", "json", "--no-pack"]);
    let report = ran.run().await.expect(0).report();
    assert_eq!(receiver.requests(), 12);
    assert_eq!(receiver.most_in_flight(), 3);
    assert!(receiver.connections() <= 3, "{} connections", receiver.connections());
    for (index, upload) in report["uploads"].as_array().unwrap().iter().enumerate() {
        assert_eq!(upload["results"], index + 1, "the report is in the order of the inputs");
    }
}

#[tokio::test]
async fn what_the_service_leaves_out_is_said_aloud() {
    let file = folder(&[("a.xml", junit(110).as_bytes())]);
    let path = file.path().join("a.xml");
    let accept = |queued, skipped, errors: &[&str]| Step::AcceptWith {
        queued,
        skipped,
        errors: errors.iter().map(|&error| error.to_owned()).collect(),
        run_url: None,
    };
    let cases = [
        (
            accept(100, 10, &["missing name"]),
            "the service skipped 10 of 110 results: missing name",
            "queued 100 of 110 results",
            24,
        ),
        (
            accept(90, 0, &[]),
            "the service accounts for 90 of 110 results: 90 queued, 0 skipped",
            "queued 90 of 110 results",
            24,
        ),
        (
            Step::Body("{}".into()),
            "the service did not say how many results it queued",
            "queued an unknown number of 110 results",
            0,
        ),
        (
            Step::Body("<html>".into()),
            "an answer that is not JSON",
            "queued an unknown number of 110 results",
            0,
        ),
    ];
    for (step, expected, summary, strict_code) in cases {
        let receiver = scripted([step.clone(), step]).await;
        let ran = upload(&receiver, [&path]).run().await.expect(0);
        ran.says(expected).tells(expected).says(summary).says("run key: ");
        upload(&receiver, [&path]).arg("--fail-on-skipped").run().await.expect(strict_code);
    }
    let receiver = scripted([accept(110, 0, &[])]).await;
    let ran = upload(&receiver, [&path]).run().await.expect(0);
    assert!(!ran.stdout.contains("warning"), "{}", ran.stdout);
}

#[tokio::test]
async fn what_is_sent_is_what_was_validated_whatever_happens_to_the_file() {
    let content = junit(4000);
    let file = folder(&[("a.xml", content.as_bytes())]);
    let path = file.path().join("a.xml");
    let receiver = receiver(Options { rate: Some(200_000), ..Options::default() }).await;
    let (child, _temp) = upload(&receiver, [&path]).start();
    while receiver.requests() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    std::fs::write(&path, "<other/>").unwrap();
    std::fs::remove_file(&path).unwrap();
    crate::harness::finish(child).await.expect(0);
    let data = only(&receiver).data.unwrap();
    assert_eq!((data.bytes, data.digest), (content.len() as u64, digest(content.as_bytes())));
}

#[tokio::test]
async fn nothing_is_sent_when_anything_is_wrong() {
    let receiver = scripted([]).await;
    let paths = [fixture("junit/pytest.xml"), fixture("malformed/two-roots.xml")];
    let ran = upload(&receiver, &paths).run().await.expect(10);
    ran.says("nothing was sent")
        .says("two-roots.xml:5:1: error: a second root element [xml-content-after-root]");
    assert_eq!(receiver.requests(), 0);

    // Unless that is what was asked for.
    upload(&receiver, &paths).arg("--skip-invalid").run().await.expect(10).says("accepted 1 of 1");
    assert_eq!(only(&receiver).results, Some(7));

    // Warnings reject with --strict only.
    let warned = fixture("malformed/missing-name.json");
    upload(&receiver, [&warned])
        .arg("--strict")
        .run()
        .await
        .expect(10)
        .says("results-missing-field");
    assert_eq!(receiver.requests(), 1);
    upload(&receiver, [&warned])
        .run()
        .await
        .expect(0)
        .says("results-missing-field")
        .says("skipped 1 of");
}

#[tokio::test]
async fn without_tls_no_certificates_are_needed() {
    let none = |tool: crate::harness::Tool| {
        tool.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent")
    };
    let receiver = scripted([]).await;
    none(upload(&receiver, [fixture("junit/rspec.xml")])).run().await.expect(0);
    let url = "https://127.0.0.77:1/v1/uploads";
    let over_tls =
        crate::harness::tool([fixture("junit/rspec.xml")]).args(["--token=t", "--upload-url", url]);
    none(over_tls)
        .run()
        .await
        .expect(1)
        .says("for https, install ca-certificates or set SSL_CERT_FILE");
}
