//! Progress: what a run tells while it goes on, to whoever wants to show it.

use std::time::Duration;

/// A part of a run that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the inputs and scanning them.
    Checking,
    /// Uploading.
    Sending,
}

impl Phase {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Sending => "sending",
        }
    }
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A phase begins; `bytes` is its length, where it is known.
    Begin { phase: Phase, bytes: Option<u64> },
    /// So many bytes more are done.
    Advance { bytes: u64 },
    /// So many bytes are to be done again: an attempt failed.
    Rewind { bytes: u64 },
    /// The phase is over.
    End,
    /// An upload is tried again, after a wait.
    Retry { upload: usize, attempt: u32, attempts: u32, reason: &'a str, wait: Duration },
    /// Something that the user should know and that fails nothing.
    Warning(&'a str),
    /// Something that was found out or decided; for the verbose.
    Note(&'a str),
    /// A detail; for the very verbose.
    Detail(&'a str),
}

/// Hears of events, from any thread.
pub trait Observer: Send + Sync {
    /// Something happened. Must return soon: the run waits for it.
    fn event(&self, event: &Event<'_>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}
