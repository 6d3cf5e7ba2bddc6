//! The command line: what was typed, and nothing of what it means.
//!
//! Environment variables are not read here: what stands beside a flag, [`crate::config`] resolves.
//! The help names them, so that a pipeline's author finds them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Parser, ValueEnum};

use crate::finding::Code;
use crate::format::Format;
use crate::plan::MAX_RESULTS;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const INPUT: &str = "Input";
const CHECKS: &str = "Checks";
const SERVICE: &str = "Service";
const RUN: &str = "Run (found in the CI's environment where not given)";
const DELIVERY: &str = "Delivery";
const OUTPUT: &str = "Output";

/// Exit codes as the help shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    everything was delivered (or, with --validate-only, is valid)
  1    an unexpected failure, such as a full disk
  2    a mistake in the command line or the environment
  10   findings reject the input: nothing was sent, or with --skip-invalid not all
  11   no input was found, or there is nothing to upload
  20   the service refused the token (401, 403)
  21   the service refused an upload (another 4xx, or a redirect)
  22   the service could not be reached, or kept failing
  23   some uploads were accepted and some were not
  24   the service skipped results, and --fail-on-skipped was given
  130  interrupted (128 + the signal's number; 143 when terminated)";

/// Upload test results to Buildkite Test Engine, validated before a byte is sent.
///
/// Takes JUnit XML, Test Engine JSON and the JSON of RSpec, Jest, Playwright and Cucumber, in files
/// of any size or from a pipe. Checks all of it first, says what is wrong and where, then delivers
/// it in constant memory, with retries.
#[derive(Debug, Clone, Parser)]
#[expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the docs are the help, for a terminal"
)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag that is typed or not")]
#[command(name = "bktec-upload", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Result files, folders with result files, globs in quotes, or - for standard input
    #[arg(value_name = "INPUT", required_unless_present_any = ["files_from", "explain"], help_heading = INPUT)]
    pub inputs: Vec<OsString>,

    /// File that lists inputs, one in a line or between NUL bytes; - for standard input
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub files_from: Option<OsString>,

    /// Leave out files that match, and folders with all that is in them; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = INPUT)]
    pub exclude: Vec<String>,

    /// Follow symbolic links below folders and in globs
    #[arg(long, help_heading = INPUT)]
    pub follow_symlinks: bool,

    /// Missing files, and folders and globs without a result file, are no error
    #[arg(long, help_heading = INPUT)]
    pub allow_missing: bool,

    /// Format of the inputs; told from name and content where not given
    /// [env: BUILDKITE_TEST_ENGINE_UPLOAD_FORMAT]
    #[arg(long, value_name = "FORMAT", help_heading = INPUT)]
    pub format: Option<Format>,

    /// Check and report, and send nothing: needs no token and no network
    #[arg(long, help_heading = CHECKS)]
    pub validate_only: bool,

    /// Reject files for warnings too
    #[arg(long, help_heading = CHECKS)]
    pub strict: bool,

    /// Reject files for these warnings too; may be repeated, or with commas
    #[arg(long, value_name = "CODE", value_delimiter = ',', hide_possible_values = true, help_heading = CHECKS)]
    pub deny: Vec<Code>,

    /// Pass over these warnings, also with --strict: they are counted and not listed; may be
    /// repeated, or with commas
    #[arg(long, value_name = "CODE", value_delimiter = ',', hide_possible_values = true, help_heading = CHECKS)]
    pub allow: Vec<Code>,

    /// Say what a finding means and how to fix it, and do nothing else
    #[arg(long, value_name = "CODE", hide_possible_values = true, help_heading = CHECKS,
          conflicts_with_all = ["inputs", "files_from"])]
    pub explain: Option<Code>,
    /// Send what can be saved of broken JUnit XML and Test Engine JSON, and say what was lost; such
    /// files count as valid
    #[arg(long, help_heading = CHECKS, conflicts_with = "strict")]
    pub salvage: bool,
    /// Warn of names that change from run to run: with timestamps, UUIDs, addresses, temporary paths
    #[arg(long, help_heading = CHECKS)]
    pub lint_names: bool,

    /// Send the valid files though others are rejected; the exit code says so all the same
    #[arg(long, help_heading = CHECKS, conflicts_with = "validate_only")]
    pub skip_invalid: bool,

    /// Suite token; better in the environment, where ps does not show it
    /// [env: BUILDKITE_ANALYTICS_TOKEN]
    #[arg(long, visible_alias = "token", value_name = "TOKEN", help_heading = SERVICE)]
    pub suite_token: Option<String>,

    /// File that holds the suite token
    #[arg(long, value_name = "FILE", help_heading = SERVICE, conflicts_with = "suite_token")]
    pub suite_token_file: Option<PathBuf>,

    /// Address to upload to
    /// [env: BUILDKITE_TEST_ENGINE_UPLOAD_URL]
    /// [default: https://analytics-api.buildkite.com/v1/uploads]
    #[arg(long, value_name = "URL", help_heading = SERVICE)]
    pub upload_url: Option<String>,

    /// Tag for all results of the run, up to 10 of them
    /// [env: BUILDKITE_TEST_ENGINE_TAGS, comma-separated]
    #[arg(long = "tag", value_name = "KEY=VALUE", help_heading = RUN)]
    pub tags: Vec<String>,

    /// Key that groups uploads into one run
    /// [env: BUILDKITE_ANALYTICS_KEY]
    #[arg(long, value_name = "ID", help_heading = RUN)]
    pub build_id: Option<String>,

    /// Link to the build
    /// [env: BUILDKITE_ANALYTICS_URL]
    #[arg(long, value_name = "URL", help_heading = RUN)]
    pub build_url: Option<String>,

    /// Number of the build
    /// [env: BUILDKITE_ANALYTICS_NUMBER]
    #[arg(long, value_name = "NUMBER", help_heading = RUN)]
    pub build_number: Option<String>,

    /// Branch that was tested
    /// [env: BUILDKITE_ANALYTICS_BRANCH]
    #[arg(long, value_name = "BRANCH", help_heading = RUN)]
    pub branch: Option<String>,

    /// Commit that was tested
    /// [env: BUILDKITE_ANALYTICS_SHA]
    #[arg(long, value_name = "SHA", help_heading = RUN)]
    pub commit: Option<String>,

    /// Job that ran the tests
    /// [env: BUILDKITE_ANALYTICS_JOB_ID]
    #[arg(long, value_name = "ID", help_heading = RUN)]
    pub job_id: Option<String>,

    /// Message of the build or commit
    /// [env: BUILDKITE_ANALYTICS_MESSAGE]
    #[arg(long, value_name = "TEXT", help_heading = RUN)]
    pub message: Option<String>,

    /// Any further field of the run's environment; wins over all else
    #[arg(long = "run-env", value_name = "KEY=VALUE", help_heading = RUN)]
    pub run_env: Vec<String>,

    /// Results in one upload at most; the service takes 5000
    #[arg(long, value_name = "N", default_value_t = MAX_RESULTS, help_heading = DELIVERY,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub max_results: u64,

    /// Size of one upload at most, such as 64MiB; a single result that is larger goes all the same
    #[arg(long, value_name = "SIZE", default_value = "256MiB", help_heading = DELIVERY, value_parser = size)]
    pub max_upload_size: u64,

    /// Send every file in uploads of its own, however small
    #[arg(long, help_heading = DELIVERY)]
    pub no_pack: bool,

    /// Exit with 24 when the service skipped results
    #[arg(long, help_heading = DELIVERY)]
    pub fail_on_skipped: bool,

    /// Write the uploads to files 0001.xml, 0002.xml… in this folder instead of sending them; needs
    /// no token
    #[arg(long, value_name = "DIR", help_heading = DELIVERY, conflicts_with = "validate_only")]
    pub write_uploads: Option<PathBuf>,

    /// Uploads in flight at once
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = DELIVERY,
          value_parser = clap::value_parser!(u8).range(1..=64))]
    pub concurrency: u8,

    /// Further attempts after a failed one, for each upload
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = DELIVERY,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retries: u32,

    /// Give up an attempt when no byte has moved for this long
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = DELIVERY, value_parser = duration)]
    pub stall_timeout: Duration,

    /// Give up connecting after this long
    #[arg(long, value_name = "TIME", default_value = "10s", help_heading = DELIVERY, value_parser = duration)]
    pub connect_timeout: Duration,

    /// Give up waiting for the answer to a whole upload after this long
    #[arg(long, value_name = "TIME", default_value = "2m", help_heading = DELIVERY, value_parser = duration)]
    pub answer_timeout: Duration,

    /// End the delivery after this long, whatever is in flight
    #[arg(long, value_name = "TIME", default_value = "1h", help_heading = DELIVERY, value_parser = duration)]
    pub deadline: Duration,

    /// What standard output carries
    #[arg(long, value_name = "KIND", default_value = "text", help_heading = OUTPUT)]
    pub report: ReportKind,

    /// Say more on standard error; twice for every attempt
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say nothing on standard error but errors
    #[arg(short, long, help_heading = OUTPUT)]
    pub quiet: bool,

    /// Colours: auto is by terminal and NO_COLOR
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = OUTPUT)]
    pub color: When,

    /// Progress: auto is a bar on a terminal, and a plain line now and then elsewhere
    #[arg(long, value_name = "KIND", default_value = "auto", help_heading = OUTPUT)]
    pub progress: ProgressKind,
}

/// What standard output carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportKind {
    /// For people
    Text,
    /// One JSON document for programs
    Json,
    /// Workflow commands, which GitHub Actions shows as annotations
    Github,
    /// One SARIF 2.1.0 document, for code scanning
    Sarif,
}

impl ValueEnum for Code {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

/// Whether to do something that depends on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    Auto,
    /// A bar with rate and time left
    Bar,
    /// A line every few seconds
    Plain,
    None,
}

/// A length of time: `30s`, `2m 30s`, `500ms`, or seconds as a plain number.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return positive(Duration::from_secs(u64::from(seconds)));
    }
    positive(
        humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write 30s, 2m or 500ms"))?,
    )
}

/// A size in bytes: `64MiB`, `200MB`, or bytes as a plain number.
fn size(text: &str) -> Result<u64, String> {
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        Ok(_) => Err("a size must be more than nothing".to_owned()),
        Err(error) => Err(format!("{error}; write 64MiB or 200MB")),
    }
}

fn positive(duration: Duration) -> Result<Duration, String> {
    let longest = Duration::from_secs(365 * 24 * 3600);
    if duration.is_zero() || duration > longest {
        return Err("a time must be longer than nothing and shorter than a year".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1m 500ms"), Ok(Duration::from_millis(60_500)));
        for text in ["", "0", "0s", "-1", "1x", "5000000000s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
