//! What the arguments and the environment mean together, resolved once.
//!
//! No other module reads the environment. A flag wins over its variable; a variable that is empty
//! counts as unset.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use reqwest::Url;

use crate::cli::{Cli, ProgressKind, ReportKind, When};
use crate::format::Format;
use crate::input::{self, Links, Missing, Selection};
use crate::levels::{InvalidLevel, Levels};
use crate::plan::Packing;
use crate::run_env::{Environment, Overrides, RunEnv};
use crate::scan::Options;
use crate::scan::cut::Limits;
use crate::tags::{InvalidTag, Tags};
use crate::token::{InvalidToken, SuiteToken};

/// Where the service takes uploads.
pub const DEFAULT_URL: &str = "https://analytics-api.buildkite.com/v1/uploads";

const TOKEN_VARIABLE: &str = "BUILDKITE_ANALYTICS_TOKEN";
const URL_VARIABLE: &str = "BUILDKITE_TEST_ENGINE_UPLOAD_URL";
const FORMAT_VARIABLE: &str = "BUILDKITE_TEST_ENGINE_UPLOAD_FORMAT";
const TAGS_VARIABLE: &str = "BUILDKITE_TEST_ENGINE_TAGS";

/// A token file is a line; more than this is something else.
const MAX_TOKEN_FILE: usize = 64 * 1024;

/// All that a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    pub inputs: Selection,
    /// The inputs' format; `None` to tell it for each.
    pub format: Option<Format>,
    pub checks: Checks,
    /// Names that change from run to run are warnings.
    pub lint_names: bool,
    pub mode: Mode,
    /// What one upload may hold.
    pub limits: Limits,
    pub packing: Packing,
    /// Where the spool is made.
    pub temp_folder: PathBuf,
    pub output: Output,
}

/// What rejects a file, and what a rejected file means for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// Which findings reject, and which are passed over.
    pub levels: Levels,
    /// The valid files are sent though others are rejected.
    pub skip_invalid: bool,
    /// Results that the service skips have an exit code of their own.
    pub fail_on_skipped: bool,
    /// Whether a run without any input is well.
    pub missing: Missing,
    pub broken: Broken,
}

/// What becomes of a file that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Rejected,
    /// What can be saved of it is sent.
    Salvaged,
}

/// What a run does.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Checks and reports.
    Validate,
    /// Writes the uploads as files into this folder.
    Write(PathBuf),
    /// Sends the uploads.
    Upload(Box<Delivery>),
}

/// Where uploads go, with what, and how hard to try.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub url: Url,
    pub token: SuiteToken,
    pub run_env: RunEnv,
    pub tags: Tags,
    /// Uploads in flight at once.
    pub concurrency: usize,
    /// How often an upload is tried at most, the first time included.
    pub attempts: u32,
    /// No byte moved for this long: the attempt is given up.
    pub stall_timeout: Duration,
    pub connect_timeout: Duration,
    /// From the last byte to the answer.
    pub answer_timeout: Duration,
    /// From the start of the delivery to its end.
    pub deadline: Duration,
}

/// How a run talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    pub report: ReportKind,
    pub talk: Talk,
    pub color: When,
    pub progress: ProgressKind,
    /// `NO_COLOR` is set.
    pub no_color: bool,
    /// A CI system runs us.
    pub ci: bool,
}

/// How much goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Errors only.
    Quiet,
    Normal,
    /// Also what was found out and decided.
    Verbose,
    /// Also every attempt.
    Debug,
}

/// A mistake in the arguments or the environment. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "no suite token: set {TOKEN_VARIABLE}, or give --suite-token-file or --suite-token; --validate-only needs none"
    )]
    NoToken,
    #[error("the suite token from {from} cannot be used: {error}")]
    Token { from: String, error: InvalidToken },
    #[error("failed to read the suite token from {path}: {error}", path = path.display())]
    TokenFile { path: PathBuf, error: std::io::Error },
    #[error("the upload URL {url:?} cannot be used: {reason}")]
    Url { url: String, reason: String },
    #[error("{variable} is {value:?}, which is no format: use one of {known}", known = formats())]
    Format { variable: &'static str, value: String },
    #[error("--exclude {glob:?} is no glob: {reason}")]
    Exclude { glob: String, reason: String },
    #[error("{0}")]
    Level(#[from] InvalidLevel),
    #[error("{0}")]
    Tag(#[from] InvalidTag),
    #[error("{variable}: {error}")]
    TagVariable { variable: &'static str, error: InvalidTag },
    #[error(
        "{0} is empty: uploads with different keys are different runs; leave it out to have the CI's"
    )]
    EmptyKey(&'static str),
    #[error("--run-env {0:?} is not KEY=VALUE with a key of letters, digits, _, - and .")]
    RunEnv(String),
}

fn formats() -> String {
    Format::ALL.map(Format::as_str).join(", ")
}

impl Config {
    /// What a scan is told.
    #[must_use]
    pub const fn scan_options(&self) -> Options {
        Options { limits: self.limits, lint_names: self.lint_names }
    }

    /// Resolves the arguments with the environment.
    ///
    /// # Errors
    /// The first mistake. With `--validate-only` nothing that only an upload needs is looked at.
    pub fn resolve(cli: Cli, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        let env = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let format = match (cli.format, env(FORMAT_VARIABLE)) {
            (Some(format), _) => Some(format),
            (None, Some(value)) => Some(Format::from_str(value.trim(), true).map_err(|_| {
                ConfigError::Format { variable: FORMAT_VARIABLE, value: value.clone() }
            })?),
            (None, None) => None,
        };
        let output = Output {
            report: cli.report,
            talk: match (cli.quiet, cli.verbose) {
                (true, _) => Talk::Quiet,
                (false, 0) => Talk::Normal,
                (false, 1) => Talk::Verbose,
                (false, _) => Talk::Debug,
            },
            color: cli.color,
            progress: cli.progress,
            no_color: env("NO_COLOR").is_some(),
            ci: env("CI").is_some_and(|value| value != "false"),
        };
        let checks = Checks {
            levels: Levels::new(cli.strict, &cli.deny, &cli.allow)?,
            skip_invalid: cli.skip_invalid,
            fail_on_skipped: cli.fail_on_skipped,
            missing: missing(&cli),
            broken: if cli.salvage { Broken::Salvaged } else { Broken::Rejected },
        };
        let limits = Limits { results: cli.max_results, bytes: cli.max_upload_size };
        let packing = if cli.no_pack { Packing::Off } else { Packing::On };
        let inputs = selection(&cli)?;
        let lint_names = cli.lint_names;
        let mode = if cli.validate_only {
            Mode::Validate
        } else if let Some(folder) = cli.write_uploads {
            Mode::Write(folder)
        } else {
            Mode::Upload(Box::new(delivery(cli, &env)?))
        };
        let temp_folder = std::env::temp_dir();
        Ok(Self { inputs, format, checks, lint_names, mode, limits, packing, temp_folder, output })
    }
}

fn selection(cli: &Cli) -> Result<Selection, ConfigError> {
    let excluded = input::exclusions(&cli.exclude)
        .map_err(|(glob, reason)| ConfigError::Exclude { glob, reason })?;
    Ok(Selection {
        arguments: cli.inputs.clone(),
        list: cli.files_from.clone(),
        excluded,
        links: if cli.follow_symlinks { Links::Followed } else { Links::Skipped },
        missing: missing(cli),
    })
}

const fn missing(cli: &Cli) -> Missing {
    if cli.allow_missing { Missing::Allowed } else { Missing::Refused }
}

fn delivery(cli: Cli, env: &Environment<'_>) -> Result<Delivery, ConfigError> {
    let url = upload_url(
        &cli.upload_url.or_else(|| env(URL_VARIABLE)).unwrap_or_else(|| DEFAULT_URL.to_owned()),
    )?;
    let tags = if cli.tags.is_empty() {
        let written = env(TAGS_VARIABLE).unwrap_or_default();
        let written = written.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        Tags::parse(written)
            .map_err(|error| ConfigError::TagVariable { variable: TAGS_VARIABLE, error })?
    } else {
        Tags::parse(cli.tags.iter().map(String::as_str))?
    };
    if cli.build_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
        return Err(ConfigError::EmptyKey("--build-id"));
    }
    let overrides = Overrides {
        key: cli.build_id,
        number: cli.build_number,
        job_id: cli.job_id,
        branch: cli.branch,
        commit_sha: cli.commit,
        message: cli.message,
        url: cli.build_url,
        others: run_env_fields(&cli.run_env)?,
    };
    let token = token(cli.suite_token, cli.suite_token_file.as_deref(), env)?;
    Ok(Delivery {
        url,
        token,
        run_env: RunEnv::resolve(overrides, env),
        tags,
        concurrency: usize::from(cli.concurrency),
        attempts: cli.retries.saturating_add(1),
        stall_timeout: cli.stall_timeout,
        connect_timeout: cli.connect_timeout,
        answer_timeout: cli.answer_timeout,
        deadline: cli.deadline,
    })
}

/// Checks that the token would go to the host that was meant, and only over TLS or loopback.
fn upload_url(text: &str) -> Result<Url, ConfigError> {
    let refuse = |reason: &str| {
        // What stands before an @ may be a password, and a query may hold a token.
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit_once('@').map_or(shown, |(_, host)| host);
        ConfigError::Url { url: shown.to_owned(), reason: reason.to_owned() }
    };
    let url = Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds a user name or password: the suite token alone authorises"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(refuse("plain http would show the token to the network: use https")),
        _ => Err(refuse("it does not begin with https://")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn token(
    flag: Option<String>,
    file: Option<&Path>,
    env: &Environment<'_>,
) -> Result<SuiteToken, ConfigError> {
    let (text, from) = if let Some(text) = flag {
        (text, "--suite-token".to_owned())
    } else if let Some(path) = file {
        (read_token(path)?, path.display().to_string())
    } else {
        (env(TOKEN_VARIABLE).ok_or(ConfigError::NoToken)?, TOKEN_VARIABLE.to_owned())
    };
    SuiteToken::new(&text).map_err(|error| ConfigError::Token { from, error })
}

fn read_token(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let mut text = String::new();
    let limit = MAX_TOKEN_FILE as u64;
    let read =
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
    read.map_err(|error| ConfigError::TokenFile { path: path.to_owned(), error })?;
    Ok(text)
}

/// Keys go into the names of form fields, so they hold nothing that would need escaping.
fn run_env_fields(written: &[String]) -> Result<Vec<(String, String)>, ConfigError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let fields = written.iter().map(|text| {
        let (key, value) = text.split_once('=')?;
        (!key.is_empty() && key.bytes().all(is_allowed)).then(|| (key.to_owned(), value.to_owned()))
    });
    let fields = fields
        .zip(written)
        .map(|(field, text)| field.ok_or_else(|| ConfigError::RunEnv(text.clone())));
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn resolve(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from(["bktec-upload", "a.xml"].iter().chain(arguments)).unwrap();
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned())
        };
        Config::resolve(cli, &environment)
    }

    fn delivery(arguments: &[&str], variables: &[(&str, &str)]) -> Delivery {
        match resolve(arguments, variables).unwrap().mode {
            Mode::Upload(delivery) => *delivery,
            mode => panic!("an upload is expected: {mode:?}"),
        }
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let variables = [
            (TOKEN_VARIABLE, "env"),
            (URL_VARIABLE, "https://env.example/u"),
            (TAGS_VARIABLE, "a=1, b=2,"),
            (FORMAT_VARIABLE, "jest-json"),
        ];
        let by_env = delivery(&[], &variables);
        assert_eq!(by_env.token, SuiteToken::new("env").unwrap());
        assert_eq!(by_env.url.as_str(), "https://env.example/u");
        assert_eq!(by_env.tags.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(resolve(&[], &variables).unwrap().format, Some(Format::JestJson));

        let flags = [
            "--token",
            "flag",
            "--upload-url",
            "http://127.0.0.1:1/u",
            "--tag",
            "c=3",
            "--format",
            "junit",
        ];
        let by_flag = delivery(&flags, &variables);
        assert_eq!(by_flag.token, SuiteToken::new("flag").unwrap());
        assert_eq!(by_flag.url.as_str(), "http://127.0.0.1:1/u");
        assert_eq!(by_flag.tags.iter().collect::<Vec<_>>(), [("c", "3")]);
        assert_eq!(resolve(&flags, &variables).unwrap().format, Some(Format::Junit));
        assert_eq!(by_flag.attempts, 5);
    }

    #[test]
    fn the_token_goes_over_tls_or_loopback_only() {
        let refused = |url: &str| {
            let error =
                resolve(&["--token", "t", "--upload-url", url], &[]).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        };
        for url in [
            "http://example.com",
            "http://127.evil.example",
            "ftp://localhost/",
            "x",
            "https://u:secret@h/",
        ] {
            refused(url);
        }
        for url in [
            "https://example.com",
            "http://localhost:8080/a",
            "http://127.0.0.2",
            "http://[::1]:1/",
        ] {
            assert!(resolve(&["--token", "t", "--upload-url", url], &[]).is_ok(), "{url}");
        }
    }

    #[test]
    fn validation_needs_no_token_and_ignores_a_broken_one() {
        let config = resolve(&["--validate-only"], &[(TOKEN_VARIABLE, "a b"), (URL_VARIABLE, "x")]);
        assert!(matches!(config.unwrap().mode, Mode::Validate));
        assert!(matches!(resolve(&[], &[(TOKEN_VARIABLE, "  ")]), Err(ConfigError::NoToken)));
    }

    #[test]
    fn mistakes_are_named_without_the_secret() {
        let error = resolve(&["--token", "my secret"], &[]).unwrap_err().to_string();
        assert!(error.contains("--suite-token") && !error.contains("secret"), "{error}");
        let error = resolve(&[], &[(TOKEN_VARIABLE, "t"), (FORMAT_VARIABLE, "trx")]).unwrap_err();
        assert!(error.to_string().contains("rspec-json"), "{error}");
        for written in ["x", "=1", "a b=1", "a\"=1"] {
            let error = resolve(&["--token", "t", "--run-env", written], &[]).unwrap_err();
            assert!(matches!(error, ConfigError::RunEnv(_)), "{written}");
        }
    }
}
