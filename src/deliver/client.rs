//! One attempt at one upload: the request, the watch over it, and its end.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Response, redirect};

use super::answer::MAX_ANSWER;
use super::body::{Content, Meter, Start};
use crate::config::Delivery;
use crate::plan::Upload;

/// How long the rest of an answer may take that came before the upload was whole.
const EARLY_ANSWER: Duration = Duration::from_secs(5);

/// Sends attempts over shared connections.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    authorization: HeaderValue,
    delivery: Delivery,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Attempted {
    pub end: End,
    /// Bytes of the upload's content that were handed to the connection.
    pub bytes_sent: u64,
    /// Whether that was all of them.
    pub is_complete: bool,
    pub elapsed: Duration,
}

impl Attempted {
    /// The answer's status.
    pub const fn status(&self) -> Option<u16> {
        match &self.end {
            End::Answered { status, .. } => Some(*status),
            End::Failed(_) => None,
        }
    }

    /// Whether there was not even a connection.
    pub fn is_unconnected(&self) -> bool {
        matches!(&self.end, End::Failed(failure) if failure.kind == FailureKind::Connect)
    }

    /// Whether the service may have taken the upload though it did not say so: it had all of it,
    /// and there was no answer, or only that of a gateway before it.
    pub fn may_have_arrived(&self) -> bool {
        self.is_complete && matches!(self.status(), None | Some(502 | 504))
    }
}

/// With an answer or without.
#[derive(Debug)]
pub enum End {
    Answered { status: u16, headers: HeaderMap, body: Vec<u8> },
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// What went wrong, as a lower-case fragment.
    pub message: String,
}

/// What kind of failure it was. All but the last may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection: the name, the network, the port, TLS.
    Connect,
    /// The connection broke.
    Broken,
    /// No byte moved for too long.
    Stalled,
    /// All was sent and no answer came.
    NoAnswer,
    /// Our own copy could not be read: no attempt can help.
    Spool,
}

/// The client cannot be set up, whatever the network does.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to set up the HTTP client: {0}; for https, install ca-certificates or set SSL_CERT_FILE"
)]
pub struct SetupError(String);

impl Client {
    /// A client for a delivery.
    ///
    /// # Errors
    /// When the platform's certificates or the settings cannot be used.
    pub fn new(delivery: &Delivery) -> Result<Self, SetupError> {
        let agent = format!(
            "{}/{} ({}/{})",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        let mut builder = reqwest::Client::builder()
            .user_agent(agent)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(delivery.connect_timeout)
            .pool_max_idle_per_host(delivery.concurrency);
        if delivery.url.scheme() == "http" {
            // Plain HTTP is for loopback only: a proxy elsewhere would see the token. Certificates are
            // not looked for either, as there may be none on the machine.
            builder = builder.no_proxy().tls_certs_only(std::iter::empty());
        }
        let http = builder.build().map_err(|error| SetupError(causes(&error)))?;
        let authorization =
            delivery.token.authorization().map_err(|error| SetupError(error.to_string()))?;
        Ok(Self { http, authorization, delivery: delivery.clone() })
    }

    /// Sends an upload once. `told` hears of every piece that is handed on, in bytes.
    pub async fn attempt(
        &self,
        upload: &Upload,
        start: Start,
        told: impl Fn(u64) + Send + Sync + 'static,
    ) -> Attempted {
        let started = Instant::now();
        let meter = Arc::new(Meter::new(upload.length()));
        let content = Content::open(upload, start, Arc::clone(&meter), told);
        let request = self
            .http
            .post(self.delivery.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .multipart(self.form(upload, content));
        let end = tokio::select! {
            sent = request.send() => match sent {
                Ok(response) => self.answer(response, &meter).await,
                Err(error) => End::Failed(failure(&error, &meter)),
            },
            failure = self.watch(&meter) => End::Failed(failure),
        };
        // An answer that came early needs no more of the upload; a failure neither.
        let is_complete = meter.is_complete();
        meter.stop();
        Attempted { end, bytes_sent: meter.handed_on(), is_complete, elapsed: started.elapsed() }
    }

    fn form(&self, upload: &Upload, content: Content) -> Form {
        // Brackets in names are what the service expects; they would be escaped otherwise. The
        // names hold nothing that needs it.
        let mut form = Form::new().percent_encode_noop().text("format", upload.format.as_str());
        for (key, value) in self.delivery.run_env.fields() {
            form = form.text(format!("run_env[{key}]"), value.clone());
        }
        for (key, value) in self.delivery.tags.iter() {
            form = form.text(format!("tags[{key}]"), value.to_owned());
        }
        let part = Part::stream_with_length(Body::wrap_stream(content), upload.length())
            .file_name(upload.file_name.clone());
        let mut headers = HeaderMap::new();
        headers.insert(
            reqwest::header::CONTENT_TYPE,
            HeaderValue::from_static(upload.format.media_type()),
        );
        form.part("data", part.headers(headers))
    }

    /// Reads the answer's body. A status without its body is an answer all the same.
    async fn answer(&self, mut response: Response, meter: &Meter) -> End {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let limit = if meter.is_complete() { self.delivery.answer_timeout } else { EARLY_ANSWER };
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(piece)) = response.chunk().await {
                let room = MAX_ANSWER.saturating_sub(body.len());
                body.extend_from_slice(piece.get(..piece.len().min(room)).unwrap_or_default());
                if body.len() == MAX_ANSWER {
                    break;
                }
            }
        };
        // What could not be read in time is left out: the status counts.
        let _ = tokio::time::timeout(limit, read).await;
        End::Answered { status, headers, body }
    }

    /// Waits until nothing has moved for too long.
    async fn watch(&self, meter: &Meter) -> Failure {
        loop {
            let (limit, kind) = if meter.is_complete() {
                (self.delivery.answer_timeout, FailureKind::NoAnswer)
            } else {
                (self.delivery.stall_timeout, FailureKind::Stalled)
            };
            let idle = meter.idle();
            if idle >= limit {
                let message = match kind {
                    FailureKind::NoAnswer => format!("no answer within {limit:?} of the last byte"),
                    _ => format!("no byte moved for {limit:?}"),
                };
                return Failure { kind, message };
            }
            let rest = tokio::time::sleep(limit.saturating_sub(idle));
            if meter.is_complete() {
                rest.await;
            } else {
                // The last byte begins another wait.
                tokio::select! {
                    () = rest => {}
                    () = meter.completed() => {}
                }
            }
        }
    }
}

/// Where a redirect points, for a message: the host, as paths may hold secrets.
#[must_use]
pub fn redirect_host(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let url = reqwest::Url::parse(location).ok()?;
    Some(format!("{}://{}", url.scheme(), url.host_str()?))
}

fn failure(error: &reqwest::Error, meter: &Meter) -> Failure {
    if let Some(error) = meter.spool_error() {
        let message = format!("failed to read the copy of the input: {error}");
        return Failure { kind: FailureKind::Spool, message };
    }
    let kind = if error.is_connect() { FailureKind::Connect } else { FailureKind::Broken };
    let message = if error.is_connect() && error.is_timeout() {
        "failed to connect in time".to_owned()
    } else {
        causes(error)
    };
    Failure { kind, message }
}

/// The innermost cause that says something: the outer ones say "error sending request".
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = match inner.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionReset) => "connection reset by the server".to_owned(),
            Some(io::ErrorKind::BrokenPipe) => "connection closed by the server".to_owned(),
            _ => inner.to_string(),
        };
        // Some causes repeat what is in them.
        if texts.last().is_some_and(|last| last.contains(&text)) {
            texts.pop();
        }
        texts.push(text);
        cause = inner.source();
    }
    // The outermost is hyper's "client error (…)"; what is within it says more.
    let from = texts.len().saturating_sub(2);
    let text = texts.get(from..).unwrap_or_default().join(": ");
    if text.is_empty() { error.to_string() } else { text }
}
