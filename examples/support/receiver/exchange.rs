//! One request and its answer: what the script wants of it, and what the service would say.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::json;

use super::body::{Body, End};
use super::form::{self, Form};
use super::{Received, Shared, Step, UPLOADS_PATH, digest, lock};

/// Closes the connection without an answer.
#[derive(Debug)]
pub struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is dropped without an answer")
    }
}

impl std::error::Error for Dropped {}

/// Something the service refuses a request for.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The status it answers.
    pub status: u16,
    /// What it says.
    pub message: String,
}

impl Problem {
    /// A problem of this status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// The place of a request among those received.
#[derive(Clone)]
pub struct Record {
    shared: Arc<Shared>,
    index: usize,
}

impl Record {
    /// Notes something about the request.
    pub fn update(&self, change: impl FnOnce(&mut Received)) {
        if let Some(received) = lock(&self.shared.requests).get_mut(self.index) {
            change(received);
        }
    }

    /// Notes that the data part goes on with these bytes.
    pub fn data_bytes(&self, bytes: &[u8]) {
        self.update(|received| {
            if let Some(data) = &mut received.data {
                data.bytes += bytes.len() as u64;
                data.digest = super::digest_more(data.digest, bytes);
                if let Some(body) = &mut data.body {
                    body.extend_from_slice(bytes);
                }
            }
        });
    }

    /// Whether the bytes of the data part are to be kept.
    pub fn keep_bodies(&self) -> bool {
        self.shared.options.keep_bodies
    }

    fn begin(shared: Arc<Shared>, head: &Parts) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let received = Received {
            at: shared.started.elapsed(),
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            content_length: content_length(&head.headers),
            ..Received::default()
        };
        let index = {
            let mut requests = lock(&shared.requests);
            requests.push(received);
            requests.len() - 1
        };
        let now = shared.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most_in_flight.fetch_max(now, Ordering::Relaxed);
        Self { shared, index }
    }
}

/// Notes the end of a request, also where its connection was closed and the task is gone.
struct UnderWay(Record);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.update(|received| received.ended = true);
        self.0.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Handles a request as the next step of the script says.
pub async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, incoming) = request.into_parts();
    let step = shared.next_step();
    let record = Record::begin(Arc::clone(&shared), &head);
    let _under_way = UnderWay(record.clone());

    let limit = match &step {
        Step::Early { after_bytes: bytes, .. }
        | Step::DropAfter { body_bytes: bytes }
        | Step::StallReading { after_bytes: bytes } => Some(*bytes),
        _ => None,
    };
    let mut body = Body::new(incoming, record.clone(), limit, shared.options.rate);
    let form = match &step {
        Step::Discard => Form::default(),
        _ => examine(&head, &body, &record).await,
    };
    let end = body.drain().await;
    if end == End::CutOff {
        return Err(Dropped);
    }
    if end == End::Whole {
        note_verdict(&step, &form, &record);
    }

    match step {
        // The body is still owned here, as hyper would read on if it were dropped.
        Step::StallReading { .. } | Step::StallAnswer => std::future::pending().await,
        Step::DropAfter { .. } | Step::DropWithoutAnswer => Err(Dropped),
        step => {
            let delay = shared.options.delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let response = answer(step, &form, &record);
            record.update(|received| received.answered = Some(response.status().as_u16()));
            Ok(response)
        }
    }
}

/// Reads the body as an upload, as far as it is one.
async fn examine(head: &Parts, body: &Body, record: &Record) -> Form {
    let mut problems = head_problems(head, &record.shared.options.token);
    // What is no upload at all is only read.
    let elsewhere = problems.iter().any(|problem| matches!(problem.status, 404 | 405));
    let mut form = if elsewhere {
        Form::default()
    } else {
        let content_type = text_of(&head.headers, &header::CONTENT_TYPE);
        form::read(content_type, body.clone(), record).await
    };
    problems.append(&mut form.problems);
    if let (Some(max), Some(tally)) = (record.shared.options.max_results, &form.tally)
        && tally.results > max
    {
        let message = format!("the number of test results ({}) exceeds {max}", tally.results);
        problems.push(Problem::new(422, message));
    }
    form.problems = problems;
    form
}

fn note_verdict(step: &Step, form: &Form, record: &Record) {
    let accepted = match step {
        Step::Accept | Step::DropWithoutAnswer | Step::StallAnswer => form.problems.is_empty(),
        Step::AcceptWith { .. } | Step::Body(_) | Step::Discard => true,
        Step::Status(status) | Step::StatusWith { status, .. } => (200..300).contains(status),
        Step::Early { .. } | Step::DropAfter { .. } | Step::StallReading { .. } => false,
    };
    record.update(|received| {
        received.accepted = accepted;
        received.results = form.tally.as_ref().map(|tally| tally.results);
        received.tally.clone_from(&form.tally);
        received.problems = form.problems.iter().map(|problem| problem.message.clone()).collect();
    });
}

/// What is wrong before the body is looked at, the gravest first.
fn head_problems(head: &Parts, token: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if head.uri.path_and_query().is_none_or(|path| path.as_str() != UPLOADS_PATH) {
        problems.push(Problem::new(404, format!("there is no {}", head.uri)));
    }
    if head.method != Method::POST {
        problems.push(Problem::new(405, format!("{} is not POST", head.method)));
    }
    let mut tokens = head.headers.get_all(header::AUTHORIZATION).iter();
    let expected = format!("Token token=\"{token}\"");
    if tokens.next().is_none_or(|given| given.as_bytes() != expected.as_bytes())
        || tokens.next().is_some()
    {
        problems.push(Problem::new(401, "the suite token is missing or wrong"));
    }
    if content_length(&head.headers).is_none() {
        problems.push(Problem::new(411, "Content-Length is missing"));
    }
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        problems.push(Problem::new(415, "Content-Encoding is not documented for multipart"));
    }
    problems
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, &header::CONTENT_LENGTH)?.parse().ok()
}

fn text_of<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn answer(step: Step, form: &Form, record: &Record) -> Response<Full<Bytes>> {
    match step {
        Step::AcceptWith { queued, skipped, errors, run_url } => {
            let run_url = run_url.as_deref();
            let body = accepted_body(form, record, queued, skipped, &errors, run_url);
            respond(202, &[], body)
        }
        Step::Body(body) => respond(202, &[], body),
        Step::Discard => respond(202, &[], "{}".to_owned()),
        Step::Status(status) => {
            let body = json!({ "message": format!("scripted {status}") });
            respond(status, &[], body.to_string())
        }
        Step::StatusWith { status, headers, body } => respond(status, &headers, body),
        Step::Early { status, mut headers, body, .. } => {
            headers.push(("connection".to_owned(), "close".to_owned()));
            respond(status, &headers, body)
        }
        // The others never get here, as they have no answer.
        _ => match form.problems.first() {
            Some(problem) => {
                let body = json!({ "message": problem.message });
                respond(problem.status, &[], body.to_string())
            }
            None => accept(form, record),
        },
    }
}

fn accept(form: &Form, record: &Record) -> Response<Full<Bytes>> {
    let (results, skipped) =
        form.tally.as_ref().map_or((0, 0), |tally| (tally.results, tally.incomplete));
    // The service does not say which results it skipped.
    let errors = if skipped > 0 {
        vec!["some test results were skipped, as required fields are missing".to_owned()]
    } else {
        Vec::new()
    };
    let key = form.run_key.as_deref().unwrap_or_default();
    let run_url = format!("http://{}/runs/{key}", record.shared.address);
    respond(
        202,
        &[],
        accepted_body(form, record, results - skipped, skipped, &errors, Some(&run_url)),
    )
}

fn accepted_body(
    form: &Form,
    record: &Record,
    queued: u64,
    skipped: u64,
    errors: &[String],
    run_url: Option<&str>,
) -> String {
    let key = form.run_key.as_deref().unwrap_or_default();
    // All uploads of one run share its id, those of another have another.
    let run_id = format!("01900000-0000-7000-9000-{:012x}", digest(key.as_bytes()) >> 16);
    let id = format!("01900000-0000-7000-8000-{:012x}", record.index + 1);
    json!({
        "upload_url": format!("http://{}{UPLOADS_PATH}/{id}", record.shared.address),
        "id": id,
        "run_id": run_id,
        "queued": queued,
        "skipped": skipped,
        "errors": errors,
        "run_url": run_url,
    })
    .to_string()
}

/// A response, of JSON unless the headers say otherwise. A script that cannot be answered gets a
/// 500 that says so.
fn respond(status: u16, headers: &[(String, String)], body: String) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(status);
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::from(body)).unwrap_or_else(|error| {
        let mut response = Response::new(Full::from(format!("unusable script: {error}")));
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
