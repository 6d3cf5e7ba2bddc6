//! The main job, shown on this machine: a result file of real size goes from disk to a local
//! stand-in for the service.
//!
//!     cargo run --release --example demo
//!
//! It writes a JUnit file of 200 MB, starts the receiver, runs the release binary as a user would,
//! and says what arrived, how long it took, and how much memory the tool took at most.

#![expect(clippy::print_stdout, reason = "a program says on stdout what it did")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "support/generate.rs"]
mod generate;
#[path = "support/receiver.rs"]
mod receiver;
#[path = "support/size.rs"]
mod size;

use clap::Parser;
use generate::Shape;
use indicatif::HumanBytes;
use receiver::{Options, Received, Receiver, Tally};
use wait4::Wait4;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(about = "Generates a large JUnit file and uploads it to a local receiver")]
struct Cli {
    /// Size of the file, such as 200MB
    #[arg(long, default_value = "200MB", value_parser = size::parse)]
    size: u64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Outcome<()> {
    let cli = Cli::parse();
    let tool = build()?;
    let folder = tempfile::tempdir()?;
    let (file, made) = generate::cached(folder.path(), Shape::Junit, cli.size)?;
    println!("generated  {} bytes of JUnit XML with {} results", made.bytes, made.results);
    let receiver = Receiver::start(Options::default()).await?;
    println!("receiver   {} (strict: token, form, limits, content)", receiver.url());
    println!("running    bktec-upload {}\n", file.display());

    let ran = upload(&tool, &file, &receiver.url()).await?;

    println!();
    show(&receiver.received());
    let rate = made.bytes * 1000 / u64::try_from(ran.elapsed.as_millis())?.max(1);
    let rate = format!("{}/s", HumanBytes(rate));
    println!("took       {:.2?}, {rate}, the receiver's own checks included", ran.elapsed);
    println!("peak       {} of memory", HumanBytes(ran.peak));
    let arrived: u64 = receiver.received().iter().filter_map(|received| received.results).sum();
    if arrived != made.results || !ran.success {
        return Err(format!("{arrived} of {} results arrived", made.results).into());
    }
    println!("all {arrived} results arrived");
    Ok(())
}

/// Builds the release binary, which an example's own build leaves out.
fn build() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--quiet", "--bin", "bktec-upload"];
    let status =
        Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    if !status.success() {
        return Err("the tool does not build".into());
    }
    // This program is target/release/examples/demo.
    let own = std::env::current_exe()?;
    let release = own.parent().and_then(Path::parent).ok_or("no build folder")?;
    let tool = release.join("bktec-upload").with_extension(std::env::consts::EXE_EXTENSION);
    if !tool.is_file() {
        return Err("run it with --release".into());
    }
    Ok(tool)
}

struct Ran {
    success: bool,
    elapsed: Duration,
    /// In bytes.
    peak: u64,
}

/// Runs the tool in a process of its own, so that its memory is its own too.
async fn upload(tool: &Path, file: &Path, url: &str) -> Outcome<Ran> {
    let mut command = Command::new(tool);
    command.arg(file).args(["--upload-url", url]).stdin(Stdio::null());
    command.env("BUILDKITE_ANALYTICS_TOKEN", Options::default().token);
    let waited = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let used = command.spawn()?.wait4()?;
        Ok::<_, std::io::Error>((used, started.elapsed()))
    });
    let (used, elapsed) = waited.await??;
    Ok(Ran { success: used.status.success(), elapsed, peak: used.rusage.maxrss })
}

/// Says what the receiver took, all uploads together.
fn show(received: &[Received]) {
    let accepted = received.iter().filter(|received| received.accepted);
    let mut sum = Tally::default();
    let (mut uploads, mut bytes) = (0, 0);
    for upload in accepted {
        uploads += 1;
        bytes += upload.data.as_ref().map_or(0, |data| data.bytes);
        let tally = upload.tally.clone().unwrap_or_default();
        sum.results += tally.results;
        sum.failures += tally.failures;
        sum.errors += tally.errors;
        sum.skipped += tally.skipped;
    }
    let key = received.first().and_then(|upload| upload.field("run_env[key]")).unwrap_or("-");
    println!("received   {uploads} uploads of {bytes} bytes, run key {key}");
    println!(
        "           {} results: {} failed, {} errors, {} skipped",
        sum.results, sum.failures, sum.errors, sum.skipped
    );
}
