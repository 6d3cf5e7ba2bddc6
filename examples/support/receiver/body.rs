//! The body of a request as a stream that counts, stops early, and reads no faster than it may.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, Sleep};

use super::exchange::Record;
use super::lock;

/// How reading a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did not end yet.
    Open,
    /// All of it was read.
    Whole,
    /// As much was read as the script wants.
    Stopped,
    /// The client went away.
    CutOff,
}

/// Why the stream gives no more.
#[derive(Debug)]
pub struct Ended(End);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            End::CutOff => f.write_str("the client went away"),
            _ => f.write_str("the script stopped reading"),
        }
    }
}

impl std::error::Error for Ended {}

/// The body of a request. Clones read the same body: one is given to the multipart parser, another
/// stays behind to read what the parser leaves, and to say how it ended.
#[derive(Clone)]
pub struct Body(Arc<Mutex<State>>);

struct State {
    incoming: Incoming,
    record: Record,
    read: u64,
    limit: Option<u64>,
    end: End,
    /// Whether the last poll gave bytes.
    gave: bool,
    pace: Option<Pace>,
}

struct Pace {
    bytes_per_second: u64,
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl Body {
    /// A body that ends with [`End::Stopped`] once `limit` bytes were read.
    pub fn new(incoming: Incoming, record: Record, limit: Option<u64>, rate: Option<u64>) -> Self {
        let now = Instant::now();
        let pace = rate.map(|bytes_per_second| Pace {
            bytes_per_second: bytes_per_second.max(1),
            since: now,
            pause: Box::pin(tokio::time::sleep_until(now)),
        });
        Self(Arc::new(Mutex::new(State {
            incoming,
            record,
            read: 0,
            limit,
            end: End::Open,
            gave: false,
            pace,
        })))
    }

    /// Reads, and forgets, what is left. Says how the body ended.
    pub async fn drain(&mut self) -> End {
        while let Some(Ok(_)) = self.next().await {}
        lock(&self.0).end
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Ended>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.0).poll(cx)
    }
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Ended>>> {
        match self.end {
            End::Open => {}
            End::Whole => return Poll::Ready(None),
            end @ (End::Stopped | End::CutOff) => return Poll::Ready(Some(Err(Ended(end)))),
        }
        // multer polls until nothing is ready before it hands out what it has: without a pause
        // after each frame it would hold all that a fast client sends, and would lose what came
        // before an error.
        if std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.limit.is_some_and(|limit| self.read >= limit) {
            self.end = End::Stopped;
            return Poll::Ready(Some(Err(Ended(self.end))));
        }
        if let Some(pace) = &mut self.pace
            && pace.pause.as_mut().poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        loop {
            let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            match frame {
                None => {
                    self.end = End::Whole;
                    self.record.update(|received| received.complete = true);
                    return Poll::Ready(None);
                }
                Some(Err(_)) => {
                    self.end = End::CutOff;
                    return Poll::Ready(Some(Err(Ended(self.end))));
                }
                Some(Ok(frame)) => {
                    // Trailers are of no interest.
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(self.give(bytes))));
                    }
                }
            }
        }
    }

    fn give(&mut self, mut bytes: Bytes) -> Bytes {
        if let Some(limit) = self.limit {
            let room = usize::try_from(limit - self.read).unwrap_or(usize::MAX);
            bytes.truncate(room);
        }
        self.read += bytes.len() as u64;
        self.gave = true;
        self.record.update(|received| received.body_bytes_read = self.read);
        if let Some(pace) = &mut self.pace {
            let micros = self.read.saturating_mul(1_000_000) / pace.bytes_per_second;
            pace.pause.as_mut().reset(pace.since + Duration::from_micros(micros));
        }
        bytes
    }
}
