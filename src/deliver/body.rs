//! The content of an upload as a stream, read from the spool anew for every attempt.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use crate::plan::{Segment, Upload};
use crate::spool::RegionReader;

/// How much is read and handed on at once; measured best between 64 and 128 KiB.
const PIECE: usize = 64 * 1024;

/// After a connection broke, an attempt hands on this much and then listens.
const BEFORE_LISTENING: u64 = 64 * 1024;

/// How long it listens.
const LISTENING: Duration = Duration::from_millis(300);

/// What happens to the content of one attempt, told from its stream to those who watch it.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    length: u64,
    handed_on: AtomicU64,
    /// When the last piece was asked for, in milliseconds from the start.
    last_moved: AtomicU64,
    complete: CancellationToken,
    stop: CancellationToken,
    /// What reading the spool failed with: no fault of the network's.
    spool_error: OnceLock<String>,
}

impl Meter {
    /// A meter for content of this length.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self {
            started: Instant::now(),
            length,
            handed_on: AtomicU64::new(0),
            last_moved: AtomicU64::new(0),
            complete: CancellationToken::new(),
            stop: CancellationToken::new(),
            spool_error: OnceLock::new(),
        }
    }

    /// How many bytes were handed to the connection.
    #[must_use]
    pub fn handed_on(&self) -> u64 {
        self.handed_on.load(Ordering::Relaxed)
    }

    /// Whether all was handed to the connection.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.handed_on() >= self.length
    }

    /// Waits until all was handed to the connection.
    pub async fn completed(&self) {
        self.complete.cancelled().await;
    }

    /// How long ago the connection last took a piece, or was begun.
    #[must_use]
    pub fn idle(&self) -> Duration {
        let moved = Duration::from_millis(self.last_moved.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(moved)
    }

    /// Makes the stream end with an error, so that the rest is not sent.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// What reading the spool failed with, if it did.
    #[must_use]
    pub fn spool_error(&self) -> Option<&str> {
        self.spool_error.get().map(String::as_str)
    }

    fn moved(&self, bytes: u64) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_moved.store(now, Ordering::Relaxed);
        let before = self.handed_on.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= self.length {
            self.complete.cancel();
        }
    }
}

/// How an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// As fast as the connection takes it.
    AtOnce,
    /// With a pause after the first bytes, for an answer to come. A service that refuses an upload
    /// by its head alone may answer and close at once: who goes on writing then gets a broken pipe,
    /// and may lose the answer with it.
    Listening,
}

/// Room for a piece, which is used again once the connection has taken the piece: fresh room costs a
/// page fault for every 4 KiB, 18,000 for 500 MB. As many are kept as were in use at once.
struct Buffer {
    room: Vec<u8>,
    length: usize,
}

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Buffer {
    /// A buffer of this length, at most [`PIECE`].
    fn of_length(length: usize) -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { room: free.unwrap_or_else(|| vec![0; PIECE]), length }
    }

    fn as_mut(&mut self) -> &mut [u8] {
        self.room.get_mut(..self.length).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let room = std::mem::take(&mut self.room);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(room);
    }
}

/// The content of one attempt.
pub struct Content {
    segments: std::vec::IntoIter<Segment>,
    reader: Option<RegionReader>,
    meter: Arc<Meter>,
    told: Box<dyn Fn(u64) + Send + Sync>,
    stopped: BoxFuture<'static, ()>,
    listen: Option<BoxFuture<'static, ()>>,
}

impl Content {
    /// The content of `upload` from its start; `told` hears of every piece, in bytes.
    pub fn open(
        upload: &Upload,
        start: Start,
        meter: Arc<Meter>,
        told: impl Fn(u64) + Send + Sync + 'static,
    ) -> Self {
        let stopped = meter.stop.clone().cancelled_owned().boxed();
        // The clock of the pause starts when it is first polled.
        let listen = (start == Start::Listening)
            .then(|| async { tokio::time::sleep(LISTENING).await }.boxed());
        Self {
            segments: upload.segments.clone().into_iter(),
            reader: None,
            meter,
            told: Box::new(told),
            stopped,
            listen,
        }
    }

    /// The next piece, by a plain read in place: the spool was written a moment ago and is in the
    /// page cache, where a read takes less than handing the work to another thread.
    fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(reader) = &mut self.reader {
                let wanted = usize::try_from(reader.remaining()).unwrap_or(usize::MAX).min(PIECE);
                if wanted > 0 {
                    let mut buffer = Buffer::of_length(wanted);
                    buffer.length = reader.read(buffer.as_mut())?;
                    return Ok(Some(Bytes::from_owner(buffer)));
                }
            }
            match self.segments.next() {
                Some(Segment::Region(region)) => self.reader = Some(region.reader()),
                Some(Segment::Literal(bytes)) => {
                    self.reader = None;
                    return Ok(Some(bytes));
                }
                None => return Ok(None),
            }
        }
    }
}

impl Stream for Content {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.stopped.poll_unpin(context).is_ready() {
            return Poll::Ready(Some(Err(io::Error::other("the rest is not sent"))));
        }
        if this.meter.handed_on() >= BEFORE_LISTENING
            && let Some(listen) = &mut this.listen
        {
            futures::ready!(listen.poll_unpin(context));
            this.listen = None;
        }
        let piece = this.next_piece().transpose();
        match &piece {
            Some(Ok(piece)) => {
                this.meter.moved(piece.len() as u64);
                (this.told)(piece.len() as u64);
            }
            Some(Err(error)) => drop(this.meter.spool_error.set(error.to_string())),
            None => {}
        }
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::spool::Spool;
    use futures::TryStreamExt;
    use std::io::{Seek, Write};

    fn upload(content: &[u8]) -> Upload {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        let region = spool.append(b"", Some(&file)).unwrap();
        let segments = vec![
            Segment::Literal(Bytes::from_static(b"<a>")),
            Segment::Region(region.part(0..100_000)),
            Segment::Region(region.part(5..5)),
            Segment::Region(region.part(100_000..u64::MAX)),
            Segment::Literal(Bytes::from_static(b"</a>")),
        ];
        let file_name = "a.xml".to_owned();
        Upload {
            index: 0,
            format: Format::Junit,
            file_name,
            segments,
            results: 1,
            sources: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_attempt_reads_the_same_from_the_start() {
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
        let upload = upload(&content);
        let whole = [b"<a>".as_slice(), &content, b"</a>"].concat();
        assert_eq!(upload.length(), whole.len() as u64);
        for start in [Start::AtOnce, Start::Listening] {
            let meter = Arc::new(Meter::new(upload.length()));
            let told = Arc::new(AtomicU64::new(0));
            let sum = Arc::clone(&told);
            let add = move |bytes| {
                sum.fetch_add(bytes, Ordering::Relaxed);
            };
            let mut stream = Content::open(&upload, start, Arc::clone(&meter), add);
            let mut read = Vec::new();
            while let Some(piece) = stream.try_next().await.unwrap() {
                assert!(piece.len() <= PIECE);
                read.extend_from_slice(&piece);
            }
            assert!(read == whole && meter.is_complete());
            assert_eq!(told.load(Ordering::Relaxed), whole.len() as u64);
        }
    }

    #[tokio::test]
    async fn stops_with_an_error_when_it_is_told_to() {
        let upload = upload(&vec![b'x'; 1_000_000]);
        let meter = Arc::new(Meter::new(upload.length()));
        let mut stream = Content::open(&upload, Start::AtOnce, Arc::clone(&meter), |_| {});
        stream.try_next().await.unwrap();
        meter.stop();
        assert!(stream.try_next().await.is_err());
        assert!(!meter.is_complete());
    }
}
