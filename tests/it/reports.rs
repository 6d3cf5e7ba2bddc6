//! The reports for GitHub and for code scanning, of every outcome.

use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use crate::harness::{Options, Ran, Tool, folder, junit, receiver, scripted, tool, upload};
use crate::receiver::Step;

/// The part of SARIF's schema that concerns what we write; nothing else may be in it.
static SARIF: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("sarif.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
});

/// The document of `--report sarif`, checked for all that must hold of each.
fn sarif(ran: &Ran) -> Value {
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let errors: Vec<_> = SARIF.iter_errors(&log).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}: {log:#}");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let code = run["invocations"][0]["exitCode"].as_i64().unwrap();
    assert_eq!(Some(code), ran.code.map(i64::from));
    assert_eq!(run["invocations"][0]["executionSuccessful"], matches!(code, 0 | 10));
    log
}

/// The workflow commands of `--report github`, and the other lines.
fn github(ran: &Ran) -> (Vec<&str>, Vec<&str>) {
    ran.stdout.lines().partition(|line| line.starts_with("::"))
}

/// Runs it with each of the two reports.
async fn both(code: i32, run: impl AsyncFn() -> Tool) -> (Ran, Ran) {
    let github = run().await.args(["--report", "github"]).run().await.expect(code);
    let sarif = run().await.args(["--report", "sarif"]).run().await.expect(code);
    (github, sarif)
}

#[tokio::test]
async fn findings_are_annotations_the_first_of_each_code_first() {
    let case = "<testcase name=\"50%: a,b\" classname=\"\"/>\n".repeat(30);
    let content = format!("<testsuite>\n{case}<testcase time=\"x:\"/>\n</testsuite>");
    let files =
        folder(&[("a,b: 1%.xml", content.as_bytes()), ("b.xml", b"<testsuite>\n<testcase")]);
    let ran = tool(["a,b: 1%.xml", "b.xml", "--validate-only", "--report=github"]);
    let ran = ran.within(files.path()).run().await.expect(10);
    let (commands, others) = github(&ran);
    assert_eq!(
        commands[0],
        "::error file=b.xml,line=2,col=10,title=xml-truncated::b.xml:2:10: the document ends within a \
         tag that began at byte 12, in testsuite%0Ahelp: the runner died or the disk was full while it \
         wrote the file: look at the end of its log"
    );
    let place =
        "file=a%2Cb%3A 1%25.xml,line=2,col=1,title=junit-missing-classname::a,b: 1%25.xml:2:1: ";
    assert!(commands[1].starts_with(&format!("::warning {place}")), "{}", commands[1]);
    let titles = commands[1..4].iter().map(|line| line.split("::").nth(1).unwrap());
    let mut titles: Vec<_> = titles.map(|line| line.rsplit('=').next().unwrap()).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["junit-missing-classname", "junit-missing-name", "junit-odd-time"]);
    assert_eq!(commands.len(), 1 + 22);
    assert_eq!(others[0], "… and 11 more [junit-missing-classname] in a,b: 1%25.xml");
    assert_eq!(others[1], "1 of 2 files valid: 31 results in 1.27 KiB");
    assert_eq!(others.len(), 2);
}

#[tokio::test]
async fn findings_are_results_of_code_scanning() {
    let files = folder(&[
        ("a b.xml", "<testsuite>\n<testcase name=\"ü\"/>\n</testsuite>".as_bytes()),
        ("c.xml", b"{}"),
    ]);
    let paths = ["a b.xml", "c.xml", "missing.xml"];
    let ran = tool(paths).args(["--validate-only", "--report=sarif"]).within(files.path());
    let log = sarif(&ran.run().await.expect(10));
    let run = &log["runs"][0];
    let rule = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<_> = rule.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["input-not-found", "xml-text-before-root", "junit-missing-classname"]);
    let result = &run["results"][0];
    assert_eq!(result["level"], "warning");
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b.xml");
    let region = serde_json::json!({"startLine": 2, "startColumn": 1, "byteOffset": 12});
    assert_eq!(location["region"], region);
    assert_eq!(location["contextRegion"]["snippet"]["text"], "<testcase name=\"ü\"/>");
    assert!(run["results"][2]["locations"][0]["physicalLocation"].get("region").is_none());
    let denied = tool(paths).args(["--validate-only", "--report=sarif", "--strict"]);
    let log = sarif(&denied.within(files.path()).run().await.expect(10));
    assert_eq!(log["runs"][0]["results"][0]["level"], "error");
}

#[tokio::test]
async fn what_is_not_listed_is_told_of() {
    let files = folder(&[("a.xml", junit(1000).replace(" classname=\"c\"", "").as_bytes())]);
    let ran = tool(["a.xml", "--validate-only", "--report=sarif"]).within(files.path());
    let log = sarif(&ran.run().await.expect(0));
    let notification = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(notification["level"], "note");
    assert_eq!(notification["message"]["text"], "a.xml: … and 980 more junit-missing-classname");
}

/// What a SARIF document says of the run itself.
fn notified(log: &Value, kind: &str) -> Vec<String> {
    let notifications = log["runs"][0]["invocations"][0][kind].as_array().unwrap().iter();
    notifications
        .map(|one| {
            format!(
                "{} {}",
                one["level"].as_str().unwrap(),
                one["message"]["text"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn a_run_without_anything_to_say() {
    let files = folder(&[("a.xml", junit(3).as_bytes())]);
    let path = files.path().join("a.xml");
    let (github_ran, sarif_ran) = both(0, async || tool([&path]).arg("--validate-only")).await;
    let (commands, others) = github(&github_ran);
    assert_eq!((commands.len(), others), (0, vec!["1 of 1 files valid: 3 results in 152 B"]));
    let log = sarif(&sarif_ran);
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
    let receiver = scripted([]).await;
    let (github_ran, sarif_ran) = both(0, async || upload(&receiver, [&path])).await;
    assert!(github_ran.stdout.contains("accepted 1 of 1 uploads"), "{}", github_ran.stdout);
    sarif(&sarif_ran);
}

#[tokio::test]
async fn mistakes_and_failures_are_errors() {
    let (github_ran, sarif_ran) = both(2, async || tool(["a.xml"])).await;
    let (commands, others) = github(&github_ran);
    assert!(commands[0].starts_with("::error title=usage::no suite token: set "), "{commands:?}");
    assert_eq!((commands.len(), others.len()), (1, 1));
    let said = notified(&sarif(&sarif_ran), "toolConfigurationNotifications");
    assert!(said[0].starts_with("error usage: no suite token: set "), "{said:?}");

    let broken = async || tool(["a.xml"]).arg("--validate-only").env("TMPDIR", "/nonexistent");
    let (github_ran, sarif_ran) = both(1, broken).await;
    assert!(github(&github_ran).0[0].starts_with("::error title=failed::failed to keep a copy"));
    let said = notified(&sarif(&sarif_ran), "toolExecutionNotifications");
    assert!(said[0].starts_with("error failed: failed to keep a copy"), "{said:?}");

    let (github_ran, sarif_ran) = both(11, async || tool(["a.xml"]).arg("--validate-only")).await;
    let expected = "::error file=a.xml,title=input-not-found::a.xml: ";
    assert!(github(&github_ran).0[0].starts_with(expected), "{github_ran:?}");
    assert_eq!(sarif(&sarif_ran)["runs"][0]["results"][0]["ruleId"], "input-not-found");
}

#[tokio::test]
async fn uploads_that_fail_are_errors_and_those_that_fare_alike_are_one() {
    let files = folder(&[("a.xml", junit(30).as_bytes())]);
    let path = files.path().join("a.xml");
    let flags = ["--max-results=3", "--retries=0"];

    let refusing = receiver(Options { otherwise: Step::Status(422), ..Options::default() }).await;
    let run = async || upload(&refusing, [&path]).args(flags);
    let (github_ran, sarif_ran) = both(21, run).await;
    let (commands, others) = github(&github_ran);
    assert_eq!(commands.len(), 1, "{commands:?}");
    let expected = format!(
        "::error title=refused::upload 1 of 10 ({} lines 2-4) and 9 more: ",
        path.display()
    );
    assert!(commands[0].starts_with(&expected), "{commands:?}");
    assert!(others.iter().any(|line| line.starts_with("accepted 0 of 10 uploads")), "{others:?}");
    let said = notified(&sarif(&sarif_ran), "toolExecutionNotifications");
    assert!(said.len() == 1 && said[0].starts_with("error refused: upload 1 of 10 "), "{said:?}");

    for (code, flags) in [(0, &[] as &[&str]), (24, &["--fail-on-skipped"])] {
        let severity = if code == 0 { "warning" } else { "error" };
        let body = "{\"queued\": 29, \"skipped\": 1}".to_owned();
        let step = Step::StatusWith { status: 202, headers: vec![], body };
        let short = receiver(Options { otherwise: step, ..Options::default() }).await;
        let (github_ran, sarif_ran) =
            both(code, async || upload(&short, [&path]).args(flags)).await;
        let (commands, _) = github(&github_ran);
        assert!(commands[0].starts_with(&format!("::{severity} title=upload::upload 1 of 1 (")));
        let said = notified(&sarif(&sarif_ran), "toolExecutionNotifications");
        assert!(said[0].starts_with(severity) && said[0].contains("skipped 1 of 30"), "{said:?}");
    }
}

/// A run that is interrupted while it waits for its input.
async fn interrupted(folder: &Path, kind: &str) -> Ran {
    let pipe = folder.join(format!("{kind}.xml"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (child, _temp) = tool([&pipe]).args(["--validate-only", "--report", kind]).start();
    let writer =
        tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(pipe));
    let _writer = writer.await.unwrap().unwrap();
    let process = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill").args(["-TERM", &process]).status().unwrap().success()
    );
    crate::harness::finish(child).await.expect(143)
}

#[tokio::test]
async fn a_signal_is_told_of() {
    let files = folder(&[]);
    let ran = interrupted(files.path(), "github").await;
    assert_eq!(github(&ran).0, ["::error title=interrupted::signal 15 ended the run early"]);
    let log = sarif(&interrupted(files.path(), "sarif").await);
    assert_eq!(log["runs"][0]["invocations"][0]["exitSignalNumber"], 15);
}
