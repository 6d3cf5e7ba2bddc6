//! Delivery: every upload of a plan to the service, and an account of each.
//!
//! Several at once, over reused connections and at one pace. Each is tried again from a fresh
//! reader while that may help. When one fails for good the others still go, except where none can
//! fare better: the token was refused, or no connection came about in all attempts.

pub mod answer;
pub mod body;
mod client;
mod pace;
mod retry;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::config::Delivery;
use crate::plan::Upload;
use crate::progress::Observer;
use answer::Answer;
pub use client::SetupError;
use upload::Run;

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The service took it.
    Accepted,
    /// The service answered that it does not take it.
    Refused,
    /// The service never had all of it.
    NotSent,
    /// The service had all of it and did not answer: it may have taken it.
    Unknown,
}

/// Why an upload was not accepted, as far as the exit code needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// 401 or 403.
    Token,
    /// Another 4xx, or a redirect.
    Upload,
    /// The service could not be reached, or kept failing.
    Service,
    /// Our own copy of the input could not be read.
    Spool,
    /// The run was ended from outside.
    Interrupted,
}

/// One attempt at an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The answer's status, if one came.
    pub status: Option<u16>,
    /// What went wrong, if something did.
    pub error: Option<String>,
    pub elapsed: Duration,
    /// Bytes of content handed to the connection.
    pub bytes_sent: u64,
}

/// The account of one upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    pub outcome: Outcome,
    /// Why not, unless it was accepted.
    pub cause: Option<Cause>,
    /// The same in words.
    pub reason: Option<String>,
    pub attempts: Vec<Attempt>,
    /// What the service said, where it accepted.
    pub answer: Option<Answer>,
    /// An attempt was sent whole and not answered: the service may have taken it, whatever it said
    /// of a later one.
    pub may_have_arrived: bool,
}

/// Delivers all uploads; the accounts are in their order.
///
/// `interrupted` ends it early: what is in flight is broken off.
///
/// # Errors
/// When no upload can be tried at all.
pub async fn deliver(
    delivery: &Delivery,
    uploads: &[Upload],
    observer: Arc<dyn Observer>,
    interrupted: CancellationToken,
) -> Result<Vec<Delivered>, SetupError> {
    let run = Run::new(delivery, observer, interrupted)?;
    let run = &run;
    let mut delivered: Vec<(usize, Delivered)> = futures::stream::iter(uploads.iter().enumerate())
        .map(|(index, upload)| async move { (index, run.upload(upload).await) })
        .buffer_unordered(delivery.concurrency.max(1))
        .collect()
        .await;
    delivered.sort_by_key(|(index, _)| *index);
    Ok(delivered.into_iter().map(|(_, delivered)| delivered).collect())
}
