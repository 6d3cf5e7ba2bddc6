//! The run environment: which CI, which build, which commit. It goes with every upload.
//!
//! The service groups uploads into one run by `key`. The table of sources is the service's own
//! ("CI environments"); explicit settings win over `BUILDKITE_ANALYTICS_*`, which win over what the
//! CI system sets. What is unset or empty is not sent.

use uuid::Uuid;

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What was said explicitly, by flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    pub key: Option<String>,
    pub number: Option<String>,
    pub job_id: Option<String>,
    pub branch: Option<String>,
    pub commit_sha: Option<String>,
    pub message: Option<String>,
    pub url: Option<String>,
    /// Any keys, these and others; they win over all else.
    pub others: Vec<(String, String)>,
}

/// The fields `run_env[KEY]` of an upload, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnv {
    fields: Vec<(String, String)>,
}

impl RunEnv {
    /// The fields, `key` always among them, none empty.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The value of one field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// What groups the uploads of a run.
    #[must_use]
    pub fn key(&self) -> &str {
        self.get("key").unwrap_or_default()
    }

    /// Resolves the fields from what was said and what the environment says.
    #[must_use]
    pub fn resolve(overrides: Overrides, environment: &Environment<'_>) -> Self {
        let env = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let ci = CiFields::detect(&env);
        let mut run_env = Self { fields: Vec::new() };
        let mut field = |name: &str, said: Option<String>, variable: &str, ci: Option<String>| {
            if let Some(value) = said.filter(|v| !v.is_empty()).or_else(|| env(variable)).or(ci) {
                run_env.set(name, value);
            }
        };
        field("CI", None, "", Some(ci.name.to_owned()));
        let key = ci.key.or_else(|| Some(Uuid::now_v7().to_string()));
        field("key", overrides.key, "BUILDKITE_ANALYTICS_KEY", key);
        field("number", overrides.number, "BUILDKITE_ANALYTICS_NUMBER", ci.number);
        field("job_id", overrides.job_id, "BUILDKITE_ANALYTICS_JOB_ID", ci.job_id);
        field("branch", overrides.branch, "BUILDKITE_ANALYTICS_BRANCH", ci.branch);
        field("commit_sha", overrides.commit_sha, "BUILDKITE_ANALYTICS_SHA", ci.commit_sha);
        field("message", overrides.message, "BUILDKITE_ANALYTICS_MESSAGE", ci.message);
        field("url", overrides.url, "BUILDKITE_ANALYTICS_URL", ci.url);
        for (name, variable) in [
            ("execution_name_prefix", "BUILDKITE_ANALYTICS_EXECUTION_NAME_PREFIX"),
            ("execution_name_suffix", "BUILDKITE_ANALYTICS_EXECUTION_NAME_SUFFIX"),
        ] {
            field(name, None, variable, None);
        }
        field("collector", None, "", Some(env!("CARGO_PKG_NAME").to_owned()));
        field("version", None, "", Some(env!("CARGO_PKG_VERSION").to_owned()));
        for (name, value) in overrides.others {
            run_env.set(&name, value);
        }
        run_env
    }

    /// Sets a field; an empty value takes it out, except for `key`, which must be there.
    fn set(&mut self, name: &str, value: String) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) if !value.is_empty() => field.1 = value,
            Some(_) if name != "key" => self.fields.retain(|(known, _)| known != name),
            Some(_) => {}
            None if value.is_empty() => {}
            None => self.fields.push((name.to_owned(), value)),
        }
    }
}

/// What a CI system says of the build.
#[derive(Debug, Default)]
struct CiFields {
    name: &'static str,
    key: Option<String>,
    number: Option<String>,
    job_id: Option<String>,
    branch: Option<String>,
    commit_sha: Option<String>,
    message: Option<String>,
    url: Option<String>,
}

impl CiFields {
    fn detect(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let joined = |names: &[&str]| {
            let values: Vec<_> = names.iter().map(|name| env(name).unwrap_or_default()).collect();
            Some(values.join("-"))
        };
        if env("BUILDKITE_BUILD_ID").is_some() {
            Self {
                name: "buildkite",
                key: env("BUILDKITE_BUILD_ID"),
                number: env("BUILDKITE_BUILD_NUMBER"),
                job_id: env("BUILDKITE_JOB_ID"),
                branch: env("BUILDKITE_BRANCH"),
                commit_sha: env("BUILDKITE_COMMIT"),
                message: env("BUILDKITE_MESSAGE"),
                url: env("BUILDKITE_BUILD_URL"),
            }
        } else if env("CIRCLE_BUILD_NUM").is_some() {
            Self {
                name: "circleci",
                key: joined(&["CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_NUM"]),
                number: env("CIRCLE_BUILD_NUM"),
                branch: env("CIRCLE_BRANCH"),
                commit_sha: env("CIRCLE_SHA1"),
                url: env("CIRCLE_BUILD_URL"),
                ..Self::default()
            }
        } else if env("GITHUB_RUN_NUMBER").is_some() {
            let url = env("GITHUB_REPOSITORY").zip(env("GITHUB_RUN_ID"));
            Self {
                name: "github_actions",
                key: joined(&["GITHUB_ACTION", "GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT"]),
                number: env("GITHUB_RUN_NUMBER"),
                branch: env("GITHUB_REF_NAME"),
                commit_sha: env("GITHUB_SHA"),
                url: url.map(|(repository, run)| {
                    format!("https://github.com/{repository}/actions/runs/{run}")
                }),
                ..Self::default()
            }
        } else if env("CI_NAME").as_deref() == Some("codeship") {
            Self {
                name: "codeship",
                key: env("CI_BUILD_ID"),
                branch: env("CI_BRANCH"),
                commit_sha: env("CI_COMMIT_ID"),
                message: env("CI_COMMIT_MESSAGE"),
                url: env("CI_PULL_REQUEST"),
                ..Self::default()
            }
        } else {
            Self { name: "generic", ..Self::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], overrides: Overrides) -> Vec<(String, String)> {
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned())
        };
        let run_env = RunEnv::resolve(overrides, &environment);
        let own = ["collector", "version"];
        assert_eq!(run_env.get("collector"), Some("bktec-upload"));
        assert_eq!(run_env.get("version"), Some(env!("CARGO_PKG_VERSION")));
        run_env.fields.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
    }

    fn expect(variables: &[(&str, &str)], expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(resolve(variables, Overrides::default()), expected);
    }

    #[test]
    fn every_ci_system_by_the_services_table() {
        expect(
            &[
                ("BUILDKITE_BUILD_ID", "id"),
                ("BUILDKITE_BUILD_NUMBER", "7"),
                ("BUILDKITE_JOB_ID", "job"),
                ("BUILDKITE_BRANCH", "main"),
                ("BUILDKITE_COMMIT", "abc"),
                ("BUILDKITE_MESSAGE", "Fix it"),
                ("BUILDKITE_BUILD_URL", "https://b/7"),
                ("GITHUB_RUN_NUMBER", "99"),
            ],
            &[
                ("CI", "buildkite"),
                ("key", "id"),
                ("number", "7"),
                ("job_id", "job"),
                ("branch", "main"),
                ("commit_sha", "abc"),
                ("message", "Fix it"),
                ("url", "https://b/7"),
            ],
        );
        expect(
            &[
                ("CIRCLE_BUILD_NUM", "8"),
                ("CIRCLE_WORKFLOW_ID", "wf"),
                ("CIRCLE_BRANCH", "dev"),
                ("CIRCLE_SHA1", "def"),
                ("CIRCLE_BUILD_URL", "https://c/8"),
            ],
            &[
                ("CI", "circleci"),
                ("key", "wf-8"),
                ("number", "8"),
                ("branch", "dev"),
                ("commit_sha", "def"),
                ("url", "https://c/8"),
            ],
        );
        expect(
            &[
                ("GITHUB_ACTION", "run"),
                ("GITHUB_RUN_NUMBER", "9"),
                ("GITHUB_RUN_ATTEMPT", "2"),
                ("GITHUB_REF_NAME", "feature"),
                ("GITHUB_SHA", "fed"),
                ("GITHUB_REPOSITORY", "o/r"),
                ("GITHUB_RUN_ID", "123"),
            ],
            &[
                ("CI", "github_actions"),
                ("key", "run-9-2"),
                ("number", "9"),
                ("branch", "feature"),
                ("commit_sha", "fed"),
                ("url", "https://github.com/o/r/actions/runs/123"),
            ],
        );
        expect(
            &[
                ("CI_NAME", "codeship"),
                ("CI_BUILD_ID", "10"),
                ("CI_BRANCH", "x"),
                ("CI_COMMIT_ID", "aaa"),
                ("CI_COMMIT_MESSAGE", "m"),
                ("CI_PULL_REQUEST", "https://p"),
            ],
            &[
                ("CI", "codeship"),
                ("key", "10"),
                ("branch", "x"),
                ("commit_sha", "aaa"),
                ("message", "m"),
                ("url", "https://p"),
            ],
        );
    }

    #[test]
    fn anywhere_else_the_key_is_a_fresh_uuid_of_version_7() {
        let keys: Vec<String> = (0..2)
            .map(|_| {
                let fields = resolve(&[("CI_NAME", "other")], Overrides::default());
                assert_eq!(fields[0], ("CI".to_owned(), "generic".to_owned()));
                assert_eq!((fields.len(), fields[1].0.as_str()), (2, "key"));
                fields[1].1.clone()
            })
            .collect();
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| Uuid::parse_str(key).unwrap().get_version_num() == 7));
    }

    #[test]
    fn flags_win_over_overrides_which_win_over_the_ci_system() {
        let variables = [
            ("BUILDKITE_BUILD_ID", "id"),
            ("BUILDKITE_BRANCH", "main"),
            ("BUILDKITE_COMMIT", "abc"),
            ("BUILDKITE_MESSAGE", "  "),
            ("BUILDKITE_ANALYTICS_BRANCH", "override"),
            ("BUILDKITE_ANALYTICS_KEY", "k"),
            ("BUILDKITE_ANALYTICS_SHA", ""),
            ("BUILDKITE_ANALYTICS_EXECUTION_NAME_PREFIX", "p"),
        ];
        let overrides = Overrides {
            key: Some("flag".to_owned()),
            others: vec![
                ("debug".to_owned(), "1".to_owned()),
                ("CI".to_owned(), String::new()),
                ("key".to_owned(), String::new()),
            ],
            ..Overrides::default()
        };
        let fields = resolve(&variables, overrides);
        let expected = [
            ("key", "flag"),
            ("branch", "override"),
            ("commit_sha", "abc"),
            ("execution_name_prefix", "p"),
            ("debug", "1"),
        ];
        let fields: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(fields, expected);
    }
}
