//! A strict stand-in for Test Engine's Upload API, on loopback.
//!
//! Tests, examples and benches send their uploads to it. It is responsible for three things: it
//! takes only what the documented service would take, it plays the faults a test asks for (see
//! [`Step`]), and it remembers every attempt it saw, also those it cut off or refused, so that a
//! test can compare the bytes of all of them.
//!
//! It shares no code with what it checks: HTTP is hyper's, multipart is multer's, XML is the `xml`
//! crate's and JSON is `serde_json`'s. Results are parsed while they arrive, so that an upload of
//! any size takes little memory, unless [`Options::keep_bodies`] asks to keep it. (What is held at
//! once is a text, a CDATA section or a record, and the whole of a runner's own JSON.)
//!
//! A [`Receiver`] runs as tasks of the current tokio runtime and ends when it is dropped.

#![allow(dead_code, reason = "each program that includes this module uses another part of it")]

#[path = "receiver/body.rs"]
mod body;
#[path = "receiver/exchange.rs"]
mod exchange;
#[path = "receiver/form.rs"]
mod form;
#[path = "receiver/results.rs"]
mod results;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

pub use results::Tally;

/// The only path that takes uploads.
pub const UPLOADS_PATH: &str = "/v1/uploads";

/// How a receiver behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one token that is accepted.
    pub token: String,
    /// More results than this in one upload are refused. `None` takes any number.
    pub max_results: Option<u64>,
    /// What happens to the first requests, one step for each.
    pub script: VecDeque<Step>,
    /// What happens to every request after the script.
    pub otherwise: Step,
    /// How long each answer is held back.
    pub delay: Duration,
    /// At most so many bytes of a body are read in a second, for each request on its own.
    pub rate: Option<u64>,
    /// The size of the kernel's receive buffer. It bounds what a client can send ahead of what is
    /// read here; without it that is some MB, or 64 KiB if there is a `rate`.
    pub receive_buffer: Option<u32>,
    /// How long a connection that is to be closed stays open, unread, after its last answer was
    /// sent. With none of it a client that is still sending is reset right after the answer.
    pub linger: Duration,
    /// Whether the bytes of `data` are kept, and not only counted and hashed.
    pub keep_bodies: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: "test-suite-token".to_owned(),
            max_results: Some(5000),
            script: VecDeque::new(),
            otherwise: Step::Accept,
            delay: Duration::ZERO,
            rate: None,
            receive_buffer: None,
            linger: Duration::ZERO,
            keep_bodies: false,
        }
    }
}

/// What happens to one request.
///
/// Steps that read the whole body check it too, so that [`Received::problems`] and
/// [`Received::tally`] are known whatever is answered. The byte counts are those of the body, with
/// all its multipart framing; hyper may have taken some more bytes off the socket by then.
#[derive(Clone, Debug)]
pub enum Step {
    /// Take what the service would take, refuse the rest.
    Accept,
    /// Read everything, then answer 202 with these counts, whatever was sent.
    AcceptWith {
        /// Results that were queued.
        queued: u64,
        /// Results that were skipped.
        skipped: u64,
        /// The errors, as text.
        errors: Vec<String>,
        /// The run's page; `null` where there is none.
        run_url: Option<String>,
    },
    /// Read everything, then answer 202 with this body as it is.
    Body(String),
    /// Read everything, then answer with this status.
    Status(u16),
    /// Read everything, then answer this.
    StatusWith {
        /// The status, of 200 to 999.
        status: u16,
        /// Names and values of headers.
        headers: Vec<(String, String)>,
        /// The body, as it is.
        body: String,
    },
    /// Answer after so many bytes of the body, never read the rest, close.
    Early {
        /// The status, of 200 to 999.
        status: u16,
        /// Names and values of headers.
        headers: Vec<(String, String)>,
        /// The body, as it is.
        body: String,
        /// How much is read before the answer.
        after_bytes: u64,
    },
    /// Close the connection without an answer after so many bytes of the body. As there is more to
    /// read the client sees a reset.
    DropAfter {
        /// How much is read before that.
        body_bytes: u64,
    },
    /// Read everything, take it if it is right, then close the connection without an answer.
    DropWithoutAnswer,
    /// Stop reading after so many bytes, and keep the connection open.
    StallReading {
        /// How much is read before that.
        after_bytes: u64,
    },
    /// Read everything, take it if it is right, then never answer.
    StallAnswer,
    /// Read everything without looking at it, then answer 202 with an empty object. For speed.
    Discard,
}

/// One request, as far as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// When its headers had arrived, counted from the start of the receiver.
    pub at: Duration,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// All headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The text parts in order.
    pub fields: Vec<(String, String)>,
    /// The first part that is named `data`.
    pub data: Option<DataPart>,
    /// What the header of that name says.
    pub content_length: Option<u64>,
    /// Bytes of the body that were read.
    pub body_bytes_read: u64,
    /// Whether the body was read to its end.
    pub complete: bool,
    /// Whether the receiver is done with it: it answered, dropped it, or lost the client.
    pub ended: bool,
    /// The status that was answered. `None` where there was no answer.
    pub answered: Option<u16>,
    /// Whether its results were taken, also where the client was never told.
    pub accepted: bool,
    /// How many results `data` holds. `None` where it was not parsed to its end.
    pub results: Option<u64>,
    /// What `data` holds in more detail.
    pub tally: Option<Tally>,
    /// Everything the service would have refused it for.
    pub problems: Vec<String>,
}

impl Received {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The first value of a text part, such as `run_env[key]`.
    pub fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The file of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataPart {
    /// The file name, as sent.
    pub file_name: Option<String>,
    /// The part's own content type, as sent.
    pub content_type: Option<String>,
    /// How many bytes of it arrived.
    pub bytes: u64,
    /// Their [`digest`].
    pub digest: u64,
    /// The bytes themselves, if [`Options::keep_bodies`] asks for them.
    pub body: Option<Vec<u8>>,
}

/// FNV-1a of 64 bits: what [`DataPart::digest`] is of the bytes that arrived.
pub fn digest(bytes: &[u8]) -> u64 {
    digest_more(DIGEST_START, bytes)
}

const DIGEST_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with a digest, as FNV-1a does not care how the bytes were cut.
fn digest_more(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Receiver {
    /// Binds a free port of 127.0.0.1 and serves it from tasks of the current runtime.
    ///
    /// # Errors
    /// Whatever making, binding or listening on a socket fails with.
    #[expect(clippy::unused_async, reason = "it has to be called within a runtime")]
    pub async fn start(options: Options) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let receive_buffer =
            options.receive_buffer.or_else(|| options.rate.map(|_| SLOW_RECEIVE_BUFFER));
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(1024)?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?,
            started: Instant::now(),
            script: Mutex::new(options.script.clone()),
            options,
            requests: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, accepting })
    }

    /// Where uploads go, such as `http://127.0.0.1:40123/v1/uploads`.
    pub fn url(&self) -> String {
        format!("http://{}{UPLOADS_PATH}", self.shared.address)
    }

    /// Every request so far, in the order in which their headers arrived.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.requests).clone()
    }

    /// How many requests there were so far.
    pub fn requests(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The largest number of requests that were under way at one time.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::Relaxed)
    }

    /// Adds steps to the end of the script.
    pub fn extend_script(&self, steps: impl IntoIterator<Item = Step>) {
        lock(&self.shared.script).extend(steps);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The accepting task owns those of the connections, which end with it.
        self.accepting.abort();
    }
}

/// A small buffer lets a client feel a slow reader soon, and in small steps.
const SLOW_RECEIVE_BUFFER: u32 = 64 * 1024;

/// What all connections of a receiver share.
#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    started: Instant,
    options: Options,
    script: Mutex<VecDeque<Step>>,
    requests: Mutex<Vec<Received>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    connections: AtomicUsize,
}

impl Shared {
    fn next_step(&self) -> Step {
        let step = lock(&self.script).pop_front();
        step.unwrap_or_else(|| self.options.otherwise.clone())
    }
}

/// What a panicking test leaves behind is still worth reading.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // Most likely there are too many open files: some may be closed soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection to its end. Nobody is there to tell of an error: what matters of it is in
/// the record of the request.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // A test that waits for an answer should not wait for Nagle's algorithm.
    let _ = stream.set_nodelay(true);
    let linger = shared.options.linger;
    let mut builder = http1::Builder::new();
    if shared.options.rate.is_some() {
        builder.max_buf_size(16 * 1024);
    }
    let service = service_fn(|request| exchange::handle(Arc::clone(&shared), request));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Ok(parts) = connection.without_shutdown().await {
        let mut stream = parts.io.into_inner();
        let _ = stream.shutdown().await;
        if !linger.is_zero() {
            tokio::time::sleep(linger).await;
        }
    }
}
