//! What goes to standard error while a run goes on: banner, progress, warnings, retries.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bktec_upload::cli::{ProgressKind, When};
use bktec_upload::config::{Config, Output, Talk};
use bktec_upload::progress::{Event, Observer, Phase};
use bktec_upload::report::text::{Palette, printable};
use indicatif::{
    HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

/// How often a plain line says how far a phase is: often enough for a CI to see that we live.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Says an error that ends the run before there is a report.
pub fn error(message: &str) {
    say(&format!("error: {message}"));
}

/// Writes a line to standard error. Where that fails there is nobody to tell.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The styles of what goes to standard output.
pub fn palette(output: Output) -> Palette {
    let is_coloured = match output.color {
        When::Always => true,
        When::Never => false,
        When::Auto => io::stdout().is_terminal() && !output.no_color,
    };
    if is_coloured { Palette::coloured() } else { Palette::default() }
}

/// How progress is shown, from the terminal, the CI and the flag.
fn progress_kind(flag: ProgressKind, talk: Talk, is_terminal: bool, ci: bool) -> ProgressKind {
    match (flag, talk) {
        (_, Talk::Quiet) => ProgressKind::None,
        (ProgressKind::Auto, _) if is_terminal && !ci => ProgressKind::Bar,
        (ProgressKind::Auto, _) => ProgressKind::Plain,
        (flag, _) => flag,
    }
}

/// Shows a run's events.
pub struct Display {
    talk: Talk,
    progress: Progress,
}

enum Progress {
    Bar(ProgressBar),
    Plain(Plain),
    None,
}

impl Display {
    /// For a run of this configuration.
    pub fn new(config: &Config) -> Self {
        let Output { talk, progress, ci, .. } = config.output;
        let is_terminal = io::stderr().is_terminal();
        let progress = match progress_kind(progress, talk, is_terminal, ci) {
            ProgressKind::Bar => {
                let target = ProgressDrawTarget::stderr_with_hz(10);
                let bar = ProgressBar::with_draw_target(None, target);
                // Before the first phase there is nothing to show.
                if let Ok(style) = ProgressStyle::with_template("{prefix}") {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(Duration::from_millis(200));
                Progress::Bar(bar)
            }
            ProgressKind::Plain => Progress::Plain(Plain::start(PLAIN_EVERY)),
            ProgressKind::Auto | ProgressKind::None => Progress::None,
        };
        Self { talk, progress }
    }

    /// The first line: who we are.
    pub fn banner(&self) {
        if self.talk >= Talk::Normal {
            self.line(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")));
        }
    }

    /// Takes the progress away.
    pub fn finish(&self) {
        match &self.progress {
            Progress::Bar(bar) => bar.finish_and_clear(),
            Progress::Plain(plain) => plain.stop(),
            Progress::None => {}
        }
    }

    fn line(&self, text: &str) {
        let text = printable(text);
        match &self.progress {
            Progress::Bar(bar) => bar.suspend(|| say(&text)),
            _ => say(&text),
        }
    }
}

impl Observer for Display {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Retry { upload, attempt, attempts, reason, wait }
                if self.talk >= Talk::Normal =>
            {
                self.line(&format!(
                    "retrying upload {} in {:.1} s (attempt {attempt} of {attempts}): {reason}",
                    upload + 1,
                    wait.as_secs_f64()
                ));
            }
            Event::Warning(text) if self.talk >= Talk::Normal => {
                self.line(&format!("warning: {text}"));
            }
            Event::Note(text) if self.talk >= Talk::Verbose => self.line(text),
            Event::Detail(text) if self.talk >= Talk::Debug => self.line(text),
            _ => {}
        }
        match &self.progress {
            Progress::Bar(bar) => move_bar(bar, event),
            Progress::Plain(plain) => plain.shared.event(event),
            Progress::None => {}
        }
    }
}

fn move_bar(bar: &ProgressBar, event: &Event<'_>) {
    match event {
        Event::Begin { phase, bytes } => {
            let template = match bytes {
                Some(_) => "{prefix:8} [{bar:30}] {bytes}/{total_bytes} {rate} {eta}",
                None => "{prefix:8} {spinner} {bytes} {rate}",
            };
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{}/s", HumanBytes(whole(state.per_sec())));
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
            }
            bar.reset();
            bar.unset_length();
            if let Some(bytes) = bytes {
                bar.set_length(*bytes);
            }
            bar.set_prefix(phase.as_str());
        }
        Event::Advance { bytes } => bar.inc(*bytes),
        Event::Rewind { bytes } => bar.dec(*bytes),
        _ => {}
    }
}

/// A thread that prints a plain line now and then, also while nothing moves.
struct Plain {
    shared: Arc<Shared>,
    thread: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    phase: Mutex<Option<(Phase, Option<u64>, Instant)>>,
}

impl Plain {
    fn start(every: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = channel();
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("progress".to_owned())
                .spawn(move || shared.run(every, &receiver))
        };
        Self { shared, thread: Mutex::new(thread.ok().map(|thread| (sender, thread))) }
    }

    fn stop(&self) {
        if let Some((sender, thread)) =
            self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            drop(sender);
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, every: Duration, stop: &Receiver<()>) {
        while stop.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((phase, bytes, started)) = phase {
                say(&plain_line(
                    phase,
                    self.done.load(Ordering::Relaxed),
                    bytes,
                    started.elapsed(),
                ));
            }
        }
    }

    fn event(&self, event: &Event<'_>) {
        let set = |phase| *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        match event {
            Event::Begin { phase, bytes } => {
                self.done.store(0, Ordering::Relaxed);
                set(Some((*phase, *bytes, Instant::now())));
            }
            Event::Advance { bytes } => drop(self.done.fetch_add(*bytes, Ordering::Relaxed)),
            Event::Rewind { bytes } => drop(self.done.fetch_sub(*bytes, Ordering::Relaxed)),
            Event::End => set(None),
            _ => {}
        }
    }
}

/// `sending: 120.00 MiB of 500.00 MiB (24%), 12.00 MiB/s, 31 seconds left`
#[expect(clippy::cast_precision_loss, reason = "a rate and a rest for people to read")]
fn plain_line(phase: Phase, done: u64, bytes: Option<u64>, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let mut line = format!("{}: {}", phase.as_str(), HumanBytes(done));
    if let Some(bytes) = bytes {
        let percent = (done.saturating_mul(100)).checked_div(bytes).unwrap_or(100);
        line += &format!(" of {} ({percent}%)", HumanBytes(bytes));
    }
    line += &format!(", {}/s", HumanBytes(whole(rate)));
    if let Some(bytes) = bytes.filter(|_| rate >= 1.0) {
        let rest = Duration::from_secs_f64(bytes.saturating_sub(done) as f64 / rate);
        line += &format!(", {} left", HumanDuration(rest));
    }
    line
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is no less than 0, and the cast saturates"
)]
const fn whole(rate: f64) -> u64 {
    rate as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_chosen_by_terminal_ci_and_flag() {
        use ProgressKind::{Auto, Bar, None, Plain};
        let cases = [
            (Auto, Talk::Normal, true, false, Bar),
            (Auto, Talk::Normal, true, true, Plain),
            (Auto, Talk::Normal, false, false, Plain),
            (Auto, Talk::Quiet, true, false, None),
            (Bar, Talk::Normal, false, true, Bar),
            (Plain, Talk::Verbose, true, false, Plain),
            (None, Talk::Debug, true, false, None),
            (Bar, Talk::Quiet, true, false, None),
        ];
        for (flag, talk, is_terminal, ci, expected) in cases {
            assert_eq!(
                progress_kind(flag, talk, is_terminal, ci),
                expected,
                "{flag:?} {talk:?} {is_terminal} {ci}"
            );
        }
    }

    #[test]
    fn a_plain_line_says_how_far_and_how_long() {
        let second = Duration::from_secs(1);
        let line = plain_line(Phase::Sending, 50 << 20, Some(200 << 20), 5 * second);
        assert_eq!(line, "sending: 50.00 MiB of 200.00 MiB (25%), 10.00 MiB/s, 15 seconds left");
        assert_eq!(
            plain_line(Phase::Checking, 1024, None, second),
            "checking: 1.00 KiB, 1.00 KiB/s"
        );
        assert_eq!(
            plain_line(Phase::Sending, 0, Some(0), second),
            "sending: 0 B of 0 B (100%), 0 B/s"
        );
    }
}
