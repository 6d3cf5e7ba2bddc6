//! The run environment as it arrives, for every CI system.

use crate::delivery::only;
use crate::harness::{fixture, scripted, upload};

async fn fields(variables: &[(&str, &str)], arguments: &[&str]) -> Vec<(String, String)> {
    let receiver = scripted([]).await;
    let mut tool = upload(&receiver, [fixture("junit/nextest.xml")]).args(arguments);
    for (name, value) in variables {
        tool = tool.env(name, value);
    }
    tool.run().await.expect(0);
    let own = ["format", "run_env[collector]", "run_env[version]"];
    only(&receiver).fields.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
}

fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn buildkite() {
    let variables = [
        ("CI", "true"),
        ("BUILDKITE_BUILD_ID", "id"),
        ("BUILDKITE_BUILD_NUMBER", "7"),
        ("BUILDKITE_JOB_ID", "job"),
        ("BUILDKITE_BRANCH", "main"),
        ("BUILDKITE_COMMIT", "abc"),
        ("BUILDKITE_MESSAGE", "m"),
        ("BUILDKITE_BUILD_URL", "https://buildkite.com/o/p/builds/7"),
    ];
    let expected = [
        ("run_env[CI]", "buildkite"),
        ("run_env[key]", "id"),
        ("run_env[number]", "7"),
        ("run_env[job_id]", "job"),
        ("run_env[branch]", "main"),
        ("run_env[commit_sha]", "abc"),
        ("run_env[message]", "m"),
        ("run_env[url]", "https://buildkite.com/o/p/builds/7"),
    ];
    assert_eq!(pairs(&fields(&variables, &[]).await), expected);

    // Flags win over BUILDKITE_ANALYTICS_*, which win over the CI's.
    let more = [("BUILDKITE_ANALYTICS_BRANCH", "b"), ("BUILDKITE_ANALYTICS_SHA", "s")];
    let fields =
        fields(&[&variables[..], &more].concat(), &["--commit", "c", "--run-env", "url=u"]).await;
    let expected = [
        ("run_env[CI]", "buildkite"),
        ("run_env[key]", "id"),
        ("run_env[number]", "7"),
        ("run_env[job_id]", "job"),
        ("run_env[branch]", "b"),
        ("run_env[commit_sha]", "c"),
        ("run_env[message]", "m"),
        ("run_env[url]", "u"),
    ];
    assert_eq!(pairs(&fields), expected);
}

#[tokio::test]
async fn circleci() {
    let variables = [
        ("CIRCLE_BUILD_NUM", "8"),
        ("CIRCLE_WORKFLOW_ID", "w"),
        ("CIRCLE_BRANCH", "b"),
        ("CIRCLE_SHA1", "s"),
    ];
    let expected = [
        ("run_env[CI]", "circleci"),
        ("run_env[key]", "w-8"),
        ("run_env[number]", "8"),
        ("run_env[branch]", "b"),
        ("run_env[commit_sha]", "s"),
    ];
    assert_eq!(pairs(&fields(&variables, &[]).await), expected);
}

#[tokio::test]
async fn github_actions() {
    let variables = [
        ("GITHUB_ACTION", "run"),
        ("GITHUB_RUN_NUMBER", "9"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_RUN_ID", "5"),
    ];
    let expected = [
        ("run_env[CI]", "github_actions"),
        ("run_env[key]", "run-9-1"),
        ("run_env[number]", "9"),
        ("run_env[url]", "https://github.com/o/r/actions/runs/5"),
    ];
    assert_eq!(pairs(&fields(&variables, &[]).await), expected);
}

#[tokio::test]
async fn codeship() {
    let variables = [("CI_NAME", "codeship"), ("CI_BUILD_ID", "b"), ("CI_COMMIT_MESSAGE", "m")];
    let expected = [("run_env[CI]", "codeship"), ("run_env[key]", "b"), ("run_env[message]", "m")];
    assert_eq!(pairs(&fields(&variables, &[]).await), expected);
}

#[tokio::test]
async fn anywhere_else() {
    let fields =
        fields(&[], &["--build-number", "12", "--job-id", "j", "--build-url", "https://b"]).await;
    let key = uuid::Uuid::parse_str(&fields[1].1).unwrap();
    assert_eq!(key.get_version_num(), 7);
    let expected = [
        ("run_env[CI]", "generic"),
        ("run_env[key]", &fields[1].1),
        ("run_env[number]", "12"),
        ("run_env[job_id]", "j"),
        ("run_env[url]", "https://b"),
    ];
    assert_eq!(pairs(&fields), expected);
}
