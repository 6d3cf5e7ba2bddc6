//! The command: parses, runs, renders, exits.

mod display;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use bktec_upload::cli::{Cli, ReportKind};
use bktec_upload::config::Config;
use bktec_upload::explain;
use bktec_upload::report::text::{self, Palette};
use bktec_upload::report::{Report, github, json, sarif};
use bktec_upload::run::run;
use clap::Parser;
use display::Display;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(code) = cli.explain {
        let written = writeln!(io::stdout(), "{}", explain::section(code).text);
        return ExitCode::from(end(written, 0));
    }
    let kind = cli.report;
    let environment = |name: &str| std::env::var(name).ok();
    let config = match Config::resolve(cli, &environment) {
        Ok(config) => config,
        Err(error) => {
            display::error(&error.to_string());
            let report = Report::of_mistake(error.to_string());
            // Programs get their document all the same; people have read it already.
            let written = match kind {
                ReportKind::Text => Ok(()),
                _ => render(&report, kind, Palette::default()),
            };
            return ExitCode::from(end(written, report.exit_code()));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            display::error(&format!("failed to start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let display = Arc::new(Display::new(&config));
        display.banner();
        let report = interruptible(&config, &display).await;
        display.finish();
        // Whoever reads the report may not do so: a signal ends the wait.
        let rendered = tokio::task::spawn_blocking(move || {
            let palette = display::palette(config.output);
            end(render(&report, config.output.report, palette), report.exit_code())
        });
        tokio::select! {
            code = rendered => code.unwrap_or(1),
            signal = signal() => signal.saturating_add(128),
        }
    });
    // A thread that still reads from a pipe, or writes to one, is not waited for.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// The exit code after the last was written to standard output, or was not.
fn end(written: io::Result<()>, code: u8) -> u8 {
    match written {
        Ok(()) => code,
        // Who reads only the beginning does not change what happened.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            display::error(&format!("failed to write the report: {error}"));
            1
        }
    }
}

/// Runs until the end or a signal; a signal breaks off what is in flight, and is reported.
async fn interruptible(config: &Config, display: &Arc<Display>) -> Report {
    let interrupted = CancellationToken::new();
    let running = run(config, Arc::clone(display) as _, interrupted.clone());
    tokio::pin!(running);
    tokio::select! {
        report = &mut running => report,
        signal = signal() => {
            interrupted.cancel();
            let mut report = running.await;
            report.signal = Some(signal);
            report
        }
    }
}

/// Waits for a signal to end, and gives its number.
#[cfg(unix)]
async fn signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind: SignalKind, number: u8| {
        if let Ok(mut signals) = signal(kind)
            && signals.recv().await.is_some()
        {
            return number;
        }
        std::future::pending().await
    };
    tokio::select! {
        number = wait(SignalKind::hangup(), 1) => number,
        number = wait(SignalKind::interrupt(), 2) => number,
        number = wait(SignalKind::terminate(), 15) => number,
    }
}

#[cfg(not(unix))]
async fn signal() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 2,
        Err(_) => std::future::pending().await,
    }
}

fn render(report: &Report, kind: ReportKind, palette: Palette) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match kind {
        ReportKind::Text => text::write(report, palette, &mut out)?,
        ReportKind::Json => json::write(report, &mut out)?,
        ReportKind::Github => github::write(report, &mut out)?,
        ReportKind::Sarif => sarif::write(report, &mut out)?,
    }
    out.flush()
}
