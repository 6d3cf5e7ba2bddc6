//! What the tests share: the built binary in a clean environment, and a receiver to send to.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

pub use crate::receiver::{Options, Received, Receiver, Step};

/// The token of [`Options::default`]; it must show up in no output.
pub const TOKEN: &str = "test-suite-token";

/// The schema of the report for programs.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("../../docs/report.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
});

/// No run of the tool takes longer in a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run of the tool that is to be started.
pub struct Tool {
    command: Command,
    stdin: Vec<u8>,
    /// The tool's temp folder, which must be empty when it ends.
    temp: TempDir,
}

/// What a run of the tool left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The report of `--report json`, which keeps its schema.
    pub fn report(&self) -> Value {
        let report =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let errors: Vec<_> = SCHEMA.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {report:#}");
        report
    }

    /// Panics with all that was said unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless stdout holds the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "no {text:?} in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Panics unless stderr holds the text.
    #[track_caller]
    pub fn tells(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "no {text:?} in stderr:\n{}\nstdout:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }
}

/// The tool with these arguments, in an environment of nothing but a temp folder.
pub fn tool<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Tool {
    with_command(Command::new(env!("CARGO_BIN_EXE_bktec-upload")), arguments)
}

/// Like [`tool`], in a shell that ran a command before, such as `ulimit`.
pub fn tool_after<I: IntoIterator<Item: AsRef<OsStr>>>(setup: &str, arguments: I) -> Tool {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("{setup} && exec \"$0\" \"$@\""));
    shell.arg(env!("CARGO_BIN_EXE_bktec-upload"));
    with_command(shell, arguments)
}

fn with_command<I: IntoIterator<Item: AsRef<OsStr>>>(mut command: Command, arguments: I) -> Tool {
    let temp = tempfile::tempdir().unwrap();
    command.env_clear().env("TMPDIR", temp.path()).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Tool { command, stdin: Vec::new(), temp }
}

/// The tool with a token and this receiver to upload to; waits between attempts are short.
pub fn upload<I: IntoIterator<Item: AsRef<OsStr>>>(receiver: &Receiver, arguments: I) -> Tool {
    tool(arguments).env("BUILDKITE_ANALYTICS_TOKEN", TOKEN).arg("--upload-url").arg(receiver.url())
}

impl Tool {
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in a folder, so that paths can be short.
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = content.into();
        self
    }

    /// Starts it, for tests that meddle while it runs; its standard input is closed.
    pub fn start(mut self) -> (Child, TempDir) {
        (self.command.stdin(Stdio::null()).spawn().unwrap(), self.temp)
    }

    /// Runs it to its end, and checks what must hold after every run.
    pub async fn run(mut self) -> Ran {
        let mut child = self.command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let feed = async {
            // Who needs no input does not read it.
            let _ = input.write_all(&self.stdin).await;
            drop(input);
        };
        let ended = async { tokio::join!(feed, finish(child)).1 };
        let ran = tokio::time::timeout(PATIENCE, ended).await.expect("the tool does not end");
        assert_eq!(left_behind(self.temp.path()), Vec::<PathBuf>::new(), "left in the temp folder");
        ran
    }
}

/// Waits for the end of a started run.
pub async fn finish(child: Child) -> Ran {
    let output = child.wait_with_output().await.unwrap();
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!format!("{ran:?}").contains(TOKEN), "the token is shown: {ran:?}");
    ran
}

/// What is in a folder.
pub fn left_behind(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A receiver.
pub async fn receiver(options: Options) -> Receiver {
    Receiver::start(options).await.unwrap()
}

/// A receiver that plays these steps, then accepts.
pub async fn scripted(steps: impl IntoIterator<Item = Step>) -> Receiver {
    receiver(Options { script: steps.into_iter().collect(), ..Options::default() }).await
}

/// A folder with files in it, gone when it is dropped.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

/// A small JUnit file with so many results, all passed.
pub fn junit(results: usize) -> String {
    let mut text = format!("<testsuite name=\"s\" tests=\"{results}\">\n");
    for number in 0..results {
        text.push_str(&format!("<testcase name=\"t{number}\" classname=\"c\"/>\n"));
    }
    text + "</testsuite>\n"
}

/// A fixture of this project.
pub fn fixture(path: &str) -> PathBuf {
    crate::fixtures::folder().join(path)
}

/// Whether a program is there. In CI it must be, as `.ci/run` installs it.
pub fn has_program(program: &str, arguments: &[&str]) -> bool {
    let found = std::process::Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(found || !in_ci, "{program} {arguments:?} fails, which CI installs");
    if !found {
        eprintln!("skipped: {program} {arguments:?} does not run here");
    }
    found
}
