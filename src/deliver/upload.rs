//! One upload, from its first attempt to the end of its account.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer};
use super::body::Start;
use super::client::{self, Attempted, Client, End, FailureKind, SetupError};
use super::pace::Pace;
use super::retry::{self, Verdict};
use super::{Attempt, Cause, Delivered, Outcome};
use crate::config::Delivery;
use crate::plan::Upload;
use crate::progress::{Event, Observer};

/// What the uploads of a run share.
pub(super) struct Run<'a> {
    client: Client,
    delivery: &'a Delivery,
    deadline: Instant,
    pace: Pace,
    observer: Arc<dyn Observer>,
    interrupted: CancellationToken,
    /// Why no upload can fare better than one did; set once, and then told.
    hopeless: OnceLock<Ended>,
    is_hopeless: CancellationToken,
}

/// Why an upload is not tried, or not tried again.
#[derive(Debug, Clone)]
struct Ended {
    cause: Cause,
    reason: String,
}

impl Ended {
    fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }
}

/// What follows from an attempt.
enum Next {
    Accepted(Option<Answer>),
    /// It will be so again.
    Failed(Ended),
    Again {
        reason: String,
        wait: Duration,
        start: Start,
    },
}

/// The attempts of an upload, as far as there were any.
#[derive(Debug, Default)]
struct Account {
    attempts: Vec<Attempt>,
    may_have_arrived: bool,
    /// Whether a connection came about in any of them.
    has_connected: bool,
}

impl Account {
    /// The number of the attempt that is next, from 1.
    fn next_number(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Ends the account of an upload that was not accepted.
    fn ended(self, ended: Ended) -> Delivered {
        let was_answered = self.attempts.last().is_some_and(|attempt| attempt.status.is_some());
        let outcome = match ended.cause {
            // The answer to this attempt is clear, whatever became of one before it.
            Cause::Token | Cause::Upload if was_answered => Outcome::Refused,
            _ if self.may_have_arrived => Outcome::Unknown,
            _ if was_answered => Outcome::Refused,
            _ => Outcome::NotSent,
        };
        Delivered {
            outcome,
            cause: Some(ended.cause),
            reason: Some(ended.reason),
            attempts: self.attempts,
            answer: None,
            may_have_arrived: self.may_have_arrived,
        }
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        delivery: &'a Delivery,
        observer: Arc<dyn Observer>,
        interrupted: CancellationToken,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(delivery)?,
            delivery,
            deadline: Instant::now() + delivery.deadline,
            pace: Pace::default(),
            observer,
            interrupted,
            hopeless: OnceLock::new(),
            is_hopeless: CancellationToken::new(),
        })
    }

    /// Tries an upload until it is accepted, refused or given up.
    pub(super) async fn upload(&self, upload: &Upload) -> Delivered {
        let mut account = Account::default();
        let mut start = Start::AtOnce;
        loop {
            if let Err(ended) = self.turn().await {
                return account.ended(ended);
            }
            let number = account.next_number();
            let attempted = match self.attempt(upload, start).await {
                Ok(attempted) => attempted,
                Err((ended, attempt)) => {
                    account.may_have_arrived |= attempt.bytes_sent >= upload.length();
                    account.attempts.push(attempt);
                    return account.ended(ended);
                }
            };
            let next = self.judge(&attempted, number);
            let attempt = attempt_of(&attempted, &next);
            self.tell(upload, &attempt, number);
            account.attempts.push(attempt);
            account.has_connected |= !attempted.is_unconnected();
            let (reason, wait) = match next {
                Next::Accepted(answer) => {
                    return Delivered {
                        outcome: Outcome::Accepted,
                        cause: None,
                        reason: None,
                        attempts: account.attempts,
                        answer,
                        may_have_arrived: account.may_have_arrived,
                    };
                }
                Next::Failed(ended) => return account.ended(ended),
                Next::Again { reason, wait, start: next_start } => {
                    start = next_start;
                    (reason, wait)
                }
            };
            account.may_have_arrived |= attempted.may_have_arrived();
            self.observer.event(&Event::Rewind { bytes: attempted.bytes_sent });
            if let Err(ended) = self.wait(upload, &account, reason, wait).await {
                return account.ended(ended);
            }
        }
    }

    /// Waits before the next attempt, if there is to be one.
    async fn wait(
        &self,
        upload: &Upload,
        account: &Account,
        reason: String,
        wait: Duration,
    ) -> Result<(), Ended> {
        let number = account.next_number();
        if number > self.delivery.attempts {
            let elapsed: Duration = account.attempts.iter().map(|attempt| attempt.elapsed).sum();
            let tries = match account.attempts.len() {
                1 => "1 attempt".to_owned(),
                tries => format!("{tries} attempts"),
            };
            if !account.has_connected {
                let ended = Ended::new(
                    Cause::Service,
                    format!("not tried, as the service could not be reached: {reason}"),
                );
                self.give_up_on_all(ended);
            }
            let reason = format!("{reason}, after {tries} in {:.1} s", elapsed.as_secs_f64());
            return Err(Ended::new(Cause::Service, reason));
        }
        let until = Instant::now().checked_add(wait);
        if until.is_none_or(|until| until >= self.deadline) {
            let deadline = self.delivery.deadline;
            let reason = format!(
                "{reason}; the wait of {wait:?} that follows is beyond the deadline of {deadline:?}"
            );
            return Err(Ended::new(Cause::Service, reason));
        }
        self.observer.event(&Event::Retry {
            upload: upload.index,
            attempt: number,
            attempts: self.delivery.attempts,
            reason: &reason,
            wait,
        });
        tokio::select! {
            ended = self.no_further() => Err(ended),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Waits for the upload's turn to send.
    async fn turn(&self) -> Result<(), Ended> {
        if let Some(ended) = self.hopeless.get() {
            return Err(ended.clone());
        }
        if self.pace.pending().is_some_and(|until| until >= self.deadline) {
            let reason = format!(
                "the service asked to wait beyond the deadline of {:?}",
                self.delivery.deadline
            );
            return Err(Ended::new(Cause::Service, reason));
        }
        tokio::select! {
            ended = self.no_further() => Err(ended),
            () = self.pace.turn() => Ok(()),
        }
    }

    /// One attempt, unless the run ends before it does: then as far as it came.
    async fn attempt(&self, upload: &Upload, start: Start) -> Result<Attempted, (Ended, Attempt)> {
        let (observer, sent) = (Arc::clone(&self.observer), Arc::new(AtomicU64::new(0)));
        let (counter, started) = (Arc::clone(&sent), Instant::now());
        let told = move |bytes| {
            counter.fetch_add(bytes, Ordering::Relaxed);
            observer.event(&Event::Advance { bytes });
        };
        tokio::select! {
            attempted = self.client.attempt(upload, start, told) => Ok(attempted),
            ended = self.ended() => {
                let attempt = Attempt {
                    status: None,
                    error: Some(ended.reason.clone()),
                    elapsed: started.elapsed(),
                    bytes_sent: sent.load(Ordering::Relaxed),
                };
                Err((ended, attempt))
            }
        }
    }

    /// Tells the very verbose of an attempt.
    fn tell(&self, upload: &Upload, attempt: &Attempt, number: u32) {
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

    /// Waits until no attempt may begin any more, and says why.
    async fn no_further(&self) -> Ended {
        tokio::select! {
            ended = self.ended() => ended,
            () = self.is_hopeless.cancelled() => {
                self.hopeless.get().cloned().unwrap_or_else(|| Ended::new(Cause::Service, "not tried"))
            }
        }
    }

    /// Waits until the run ends, with what is in flight, and says why.
    async fn ended(&self) -> Ended {
        tokio::select! {
            biased;
            () = self.interrupted.cancelled() => Ended::new(Cause::Interrupted, "interrupted"),
            () = tokio::time::sleep_until(self.deadline) => {
                let reason = format!("the deadline of {:?} has passed", self.delivery.deadline);
                Ended::new(Cause::Service, reason)
            }
        }
    }

    /// No upload can fare better: none is tried any more.
    fn give_up_on_all(&self, ended: Ended) {
        // The first reason stands.
        let _ = self.hopeless.set(ended);
        self.is_hopeless.cancel();
    }

    /// Decides what follows from an attempt, number `number` from 1.
    fn judge(&self, attempted: &Attempted, number: u32) -> Next {
        let backoff = retry::backoff(number, fastrand::f64());
        let (status, headers, body) = match &attempted.end {
            End::Answered { status, headers, body } => (*status, headers, body),
            End::Failed(failure) if failure.kind == FailureKind::Spool => {
                return Next::Failed(Ended::new(Cause::Spool, failure.message.clone()));
            }
            End::Failed(failure) => {
                // A connection that broke in the middle may have had an answer in it.
                let start = match failure.kind {
                    FailureKind::Broken if !attempted.is_complete => Start::Listening,
                    _ => Start::AtOnce,
                };
                return Next::Again { reason: failure.message.clone(), wait: backoff, start };
            }
        };
        let reason = match answer::refusal(body, &self.delivery.token) {
            Some(said) => format!("the service answered {status}: {said}"),
            None => format!("the service answered {status}"),
        };
        match retry::verdict(status) {
            Verdict::Accepted if attempted.is_complete => {
                Next::Accepted(Answer::parse(body, &self.delivery.token))
            }
            Verdict::Accepted => {
                let reason = format!("{status} was answered before the upload was whole");
                Next::Again { reason, wait: backoff, start: Start::AtOnce }
            }
            Verdict::TokenRefused => {
                let told = Ended::new(Cause::Token, "not tried, as the service refused the token");
                self.give_up_on_all(told);
                Next::Failed(Ended::new(Cause::Token, reason))
            }
            Verdict::Refused => Next::Failed(Ended::new(Cause::Upload, reason)),
            Verdict::Redirected => {
                let to = client::redirect_host(headers);
                let to = to.map_or_else(String::new, |host| format!(" to {host}"));
                let reason = format!(
                    "the service answered {status}, a redirect{to}, which is not followed: check --upload-url"
                );
                Next::Failed(Ended::new(Cause::Upload, reason))
            }
            Verdict::Retry => {
                let asked = retry::asked_wait(status, headers, SystemTime::now());
                // Who asks for no wait at all gets ours: a clock may be wrong.
                let wait = asked.unwrap_or_default().max(backoff);
                if asked.is_some() || status == 429 {
                    self.pace.pause(wait);
                }
                Next::Again { reason, wait, start: Start::AtOnce }
            }
        }
    }
}

fn attempt_of(attempted: &Attempted, next: &Next) -> Attempt {
    let error = match next {
        Next::Accepted(_) => None,
        Next::Failed(ended) => Some(ended.reason.clone()),
        Next::Again { reason, .. } => Some(reason.clone()),
    };
    Attempt {
        status: attempted.status(),
        error,
        elapsed: attempted.elapsed,
        bytes_sent: attempted.bytes_sent,
    }
}
