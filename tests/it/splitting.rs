//! Splitting and packing as the service sees them.

use crate::generate::{self, Shape};
use crate::harness::{
    Options, Step, fixture, folder, junit, left_behind, receiver, scripted, tool, upload,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_file_goes_in_uploads_that_a_strict_service_takes() {
    for shape in [Shape::Junit, Shape::TestEngineJson] {
        let mut content = Vec::new();
        let made = generate::write(shape, 12_000_000, 3, &mut content).unwrap();
        let name = format!("big.{}", shape.extension());
        let files = folder(&[(&name, &content)]);
        let receiver = scripted([]).await;
        let ran = upload(&receiver, [files.path().join(&name)]).arg("--report=json");
        let report = ran.run().await.expect(0).report();
        let received = receiver.received();
        assert_eq!(received.len() as u64, made.results.div_ceil(5000), "{shape:?}");
        let key = received[0].field("run_env[key]");
        let mut sum = [0; 4];
        for one in &received {
            assert_eq!(
                (one.answered, one.field("run_env[key]")),
                (Some(202), key),
                "{:?}",
                one.problems
            );
            let tally = one.tally.as_ref().unwrap();
            assert_eq!(tally.miscounted_suites, 0);
            let counts = [tally.results, tally.failures, tally.errors, tally.skipped];
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        assert_eq!(sum, [made.results, made.failures, made.errors, made.skipped], "{shape:?}");
        assert_eq!(report["totals"]["queued"], made.results);
        // The lines of the sources follow each other.
        let mut before = 0;
        for upload in report["uploads"].as_array().unwrap() {
            let source = &upload["sources"][0];
            let (first, last) =
                (source["first_line"].as_u64().unwrap(), source["last_line"].as_u64().unwrap());
            assert!(first >= before && last >= first, "{source}");
            before = last;
        }
    }
}

#[tokio::test]
async fn many_small_files_share_an_upload() {
    let list: Vec<_> = (0..300).map(|n| (format!("{n:03}.xml"), junit(5))).collect();
    let list: Vec<_> = list.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let files = folder(&list);
    let paths: Vec<_> = list.iter().map(|(name, _)| files.path().join(name)).collect();
    let receiver = scripted([]).await;
    let ran = upload(&receiver, &paths).args(["--max-results=1000", "--report=json"]);
    let report = ran.run().await.expect(0).report();
    assert_eq!(receiver.requests(), 2);
    let first = &report["uploads"][0];
    assert_eq!(
        (&first["results"], first["sources"].as_array().unwrap().len()),
        (&1000.into(), 200)
    );
    assert_eq!(first["sources"][199]["file"], paths[199].to_str().unwrap());
    let tally = receiver.received()[0].tally.clone().unwrap();
    assert_eq!((tally.results, tally.miscounted_suites), (1000, 0));

    let receiver = scripted([]).await;
    upload(&receiver, &paths[..30]).arg("--no-pack").run().await.expect(0);
    assert_eq!(receiver.requests(), 30);
}

#[tokio::test]
async fn a_result_that_cannot_be_cut_to_the_limits_is_said_before_it_is_sent() {
    let path = fixture("json/playwright.json");
    let ran = tool([&path]).args(["--validate-only", "--max-results=1"]).run().await.expect(0);
    ran.says("results-over-limit").says("that cannot be cut, in lines ");
    let path = fixture("junit/rspec.xml");
    let ran =
        tool([&path]).args(["--validate-only", "--max-upload-size=300B", "--strict"]).run().await;
    ran.expect(10).says("results-over-limit");
}

#[tokio::test]
async fn partial_delivery_names_what_did_not_arrive_by_its_lines() {
    let files = folder(&[("a.xml", junit(10).as_bytes())]);
    let receiver = receiver(Options {
        script: [Step::Accept, Step::Status(422)].into(),
        ..Options::default()
    })
    .await;
    let ran = upload(&receiver, [files.path().join("a.xml")])
        .args(["--max-results=4", "--concurrency=1"]);
    let ran = ran.run().await.expect(23);
    ran.says("refused: upload 2 of 3 (").says("a.xml lines 6-9): the service answered 422");
}

#[tokio::test]
async fn uploads_are_written_as_files_and_never_over_others() {
    let files = folder(&[("a.xml", junit(10).as_bytes())]);
    let out = files.path().join("uploads");
    let run = async |code| {
        tool([files.path().join("a.xml"), fixture("json/test-engine.json")])
            .args(["--max-results=4", "--report=json", "--write-uploads"])
            .arg(&out)
            .run()
            .await
            .expect(code)
            .report()
    };
    let report = run(0).await;
    assert_eq!(report["mode"], "write");
    let mut written = left_behind(&out);
    written.sort();
    let names: Vec<_> =
        written.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["0001.xml", "0002.xml", "0003.xml", "0004.json", "0005.json"]);
    assert_eq!(report["uploads"][2]["written"], written[2].to_str().unwrap());
    // They are result files like others, and are sent as they are.
    tool(&written).args(["--validate-only", "--strict"]).run().await.expect(0).says("16 results");

    let error = run(1).await["error"].as_str().unwrap().to_owned();
    assert!(error.contains("0001.xml: entity already exists"), "{error}");
}
