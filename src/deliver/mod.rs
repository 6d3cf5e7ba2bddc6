//! Delivery: every upload of a plan to the service, and an account of each.
//!
//! Several at once, over reused connections and at one pace. Each is tried again from a fresh
//! reader while that may help. When one fails for good the others still go, except where the token
//! was refused: then none can go.

pub mod answer;
mod body;
mod client;
mod pace;
mod retry;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Delivery;
use crate::plan::Upload;
use crate::progress::{Event, Observer};
use answer::Answer;
use body::Start;
pub use client::SetupError;
use client::{Attempted, Client, End, FailureKind};
use pace::Pace;
use retry::Verdict;

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
    /// An attempt before the last one may have been taken too: results may be doubled.
    pub may_be_doubled: bool,
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
    let run = Run {
        client: Client::new(delivery)?,
        delivery,
        deadline: Instant::now() + delivery.deadline,
        pace: Pace::default(),
        observer,
        interrupted,
        token_refused: CancellationToken::new(),
    };
    let mut delivered: Vec<(usize, Delivered)> = futures::stream::iter(uploads.iter().enumerate())
        .map(|(index, upload)| {
            let run = &run;
            async move { (index, run.upload(upload).await) }
        })
        .buffer_unordered(delivery.concurrency.max(1))
        .collect()
        .await;
    delivered.sort_by_key(|(index, _)| *index);
    Ok(delivered.into_iter().map(|(_, delivered)| delivered).collect())
}

/// What the uploads of a run share.
struct Run<'a> {
    client: Client,
    delivery: &'a Delivery,
    deadline: Instant,
    pace: Pace,
    observer: Arc<dyn Observer>,
    interrupted: CancellationToken,
    token_refused: CancellationToken,
}

/// What to do after an attempt.
enum Next {
    Done { outcome: Outcome, cause: Option<Cause>, reason: Option<String>, answer: Option<Answer> },
    Again { reason: String, wait: Duration, start: Start },
}

impl Run<'_> {
    /// Tries an upload until it is accepted, refused or given up.
    async fn upload(&self, upload: &Upload) -> Delivered {
        let mut attempts = Vec::new();
        let mut start = Start::AtOnce;
        let mut may_have_arrived = false;
        loop {
            if let Some((cause, reason)) = self.turn().await {
                return give_up(attempts, may_have_arrived, cause, &reason);
            }
            let sent = Arc::new(AtomicU64::new(0));
            let attempted = self.attempt(upload, start, &sent).await;
            let attempted = match attempted {
                Ok(attempted) => attempted,
                Err((cause, reason)) => {
                    let bytes_sent = sent.load(Ordering::Relaxed);
                    may_have_arrived |= bytes_sent >= upload.length();
                    attempts.push(Attempt {
                        status: None,
                        error: Some(reason.clone()),
                        elapsed: Duration::ZERO,
                        bytes_sent,
                    });
                    return give_up(attempts, may_have_arrived, cause, &reason);
                }
            };
            let number = u32::try_from(attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
            let next = self.judge(&attempted, number);
            let arrived_unanswered =
                matches!(attempted.end, End::Failed(_)) && attempted.is_complete;
            attempts.push(account(&attempted, &next));
            self.tell(upload, attempts.last(), number);
            match next {
                Next::Done { outcome, cause, reason, answer } => {
                    return Delivered {
                        outcome,
                        cause,
                        reason,
                        attempts,
                        answer,
                        may_be_doubled: may_have_arrived,
                    };
                }
                Next::Again { reason, wait, start: next_start } => {
                    may_have_arrived |= arrived_unanswered;
                    self.observer.event(&Event::Rewind { bytes: attempted.bytes_sent });
                    if number >= self.delivery.attempts {
                        let tries = if number == 1 {
                            "1 attempt".into()
                        } else {
                            format!("{number} attempts")
                        };
                        let elapsed: Duration =
                            attempts.iter().map(|attempt| attempt.elapsed).sum();
                        let reason =
                            format!("{reason}, after {tries} in {:.1} s", elapsed.as_secs_f64());
                        let answered = matches!(attempted.end, End::Answered { .. });
                        let mut delivered =
                            give_up(attempts, may_have_arrived, Cause::Service, &reason);
                        if answered && !may_have_arrived {
                            delivered.outcome = Outcome::Refused;
                        }
                        return delivered;
                    }
                    self.observer.event(&Event::Retry {
                        upload: upload.index,
                        attempt: number + 1,
                        attempts: self.delivery.attempts,
                        reason: &reason,
                        wait,
                    });
                    start = next_start;
                    if let Some((cause, reason)) = self.pause(wait).await {
                        return give_up(attempts, may_have_arrived, cause, &reason);
                    }
                }
            }
        }
    }

    /// One attempt, unless the run ends before it does.
    async fn attempt(
        &self,
        upload: &Upload,
        start: Start,
        sent: &Arc<AtomicU64>,
    ) -> Result<Attempted, (Cause, String)> {
        let (observer, counter) = (Arc::clone(&self.observer), Arc::clone(sent));
        let told = move |bytes| {
            counter.fetch_add(bytes, Ordering::Relaxed);
            observer.event(&Event::Advance { bytes });
        };
        tokio::select! {
            attempted = self.client.attempt(upload, start, told) => Ok(attempted),
            ended = self.ended() => Err(ended),
        }
    }

    /// Tells the very verbose of an attempt.
    fn tell(&self, upload: &Upload, attempt: Option<&Attempt>, number: u32) {
        let Some(attempt) = attempt else { return };
        let end = match (attempt.status, &attempt.error) {
            (_, Some(error)) => error.clone(),
            (Some(status), None) => format!("the service answered {status}"),
            (None, None) => String::new(),
        };
        self.observer.event(&Event::Detail(&format!(
            "upload {}, attempt {number}: {} of {} bytes in {:.3} s: {end}",
            upload.index + 1,
            attempt.bytes_sent,
            upload.length(),
            attempt.elapsed.as_secs_f64()
        )));
    }

    /// Waits for the upload's turn to send; why not, if the run ends first.
    async fn turn(&self) -> Option<(Cause, String)> {
        if self.token_refused.is_cancelled() {
            let reason = "not tried, as the service refused the token".to_owned();
            return Some((Cause::Token, reason));
        }
        tokio::select! {
            ended = self.ended() => Some(ended),
            () = self.pace.turn() => None,
        }
    }

    /// Waits between two attempts; why not, if the run ends first.
    async fn pause(&self, wait: Duration) -> Option<(Cause, String)> {
        let until = Instant::now().checked_add(wait);
        if until.is_none_or(|until| until >= self.deadline) {
            let reason = format!(
                "the wait of {wait:?} before the next attempt is beyond the deadline of {:?}",
                self.delivery.deadline
            );
            return Some((Cause::Service, reason));
        }
        tokio::select! {
            ended = self.ended() => Some(ended),
            () = tokio::time::sleep(wait) => None,
        }
    }

    /// Why the run ends, when it does.
    async fn ended(&self) -> (Cause, String) {
        tokio::select! {
            biased;
            () = self.interrupted.cancelled() => (Cause::Interrupted, "interrupted".to_owned()),
            () = tokio::time::sleep_until(self.deadline) => {
                (Cause::Service, format!("the deadline of {:?} has passed", self.delivery.deadline))
            }
        }
    }

    /// Decides what follows from an attempt, number `number` from 1.
    fn judge(&self, attempted: &Attempted, number: u32) -> Next {
        let (status, headers, body) = match &attempted.end {
            End::Answered { status, headers, body } => (*status, headers, body),
            End::Failed(failure) => {
                // A connection that broke in the middle may have had an answer in it.
                let start = match failure.kind {
                    FailureKind::Broken if !attempted.is_complete => Start::Listening,
                    _ => Start::AtOnce,
                };
                let wait = retry::backoff(number, fastrand::f64());
                return Next::Again { reason: failure.message.clone(), wait, start };
            }
        };
        let said = answer::refusal(body, &self.delivery.token);
        let reason = match said {
            Some(said) => format!("the service answered {status}: {said}"),
            None => format!("the service answered {status}"),
        };
        let refused = |cause, reason| Next::Done {
            outcome: Outcome::Refused,
            cause: Some(cause),
            reason: Some(reason),
            answer: None,
        };
        match retry::verdict(status) {
            Verdict::Accepted => {
                let answer = Answer::parse(body, &self.delivery.token);
                Next::Done { outcome: Outcome::Accepted, cause: None, reason: None, answer }
            }
            Verdict::TokenRefused => {
                self.token_refused.cancel();
                refused(Cause::Token, reason)
            }
            Verdict::Refused => refused(Cause::Upload, reason),
            Verdict::Redirected => {
                let to = client::redirect_host(headers)
                    .map_or_else(String::new, |host| format!(" to {host}"));
                refused(
                    Cause::Upload,
                    format!(
                        "the service answered {status}, a redirect{to}, which is not followed: check --upload-url"
                    ),
                )
            }
            Verdict::Retry => {
                let backoff = retry::backoff(number, fastrand::f64());
                let asked = retry::asked_wait(headers, SystemTime::now());
                let wait = asked.unwrap_or(backoff);
                if asked.is_some() || status == 429 {
                    self.pace.pause(wait);
                }
                Next::Again { reason, wait, start: Start::AtOnce }
            }
        }
    }
}

fn account(attempted: &Attempted, next: &Next) -> Attempt {
    let status = match &attempted.end {
        End::Answered { status, .. } => Some(*status),
        End::Failed(_) => None,
    };
    let error = match next {
        Next::Done { reason, .. } => reason.clone(),
        Next::Again { reason, .. } => Some(reason.clone()),
    };
    Attempt { status, error, elapsed: attempted.elapsed, bytes_sent: attempted.bytes_sent }
}

fn give_up(
    attempts: Vec<Attempt>,
    may_have_arrived: bool,
    cause: Cause,
    reason: &str,
) -> Delivered {
    Delivered {
        outcome: if may_have_arrived { Outcome::Unknown } else { Outcome::NotSent },
        cause: Some(cause),
        reason: Some(reason.to_owned()),
        attempts,
        answer: None,
        may_be_doubled: false,
    }
}
