//! Throughput of the delivery, of uploads that are planned already: the body alone, and to a receiver
//! on loopback that reads and discards.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

#[path = "support/sink.rs"]
mod sink;
mod support;

use std::sync::Arc;

use bktec_upload::config::Mode;
use bktec_upload::deliver::body::{Content, Meter, Start};
use bktec_upload::deliver::{self, Outcome};
use bktec_upload::format::Format;
use bktec_upload::plan::{self, Packing, PlannedFile, Upload};
use bktec_upload::progress::Silent;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use futures::{Stream, StreamExt};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use sink::{Sink, Socket};
use support::baseline;
use support::generate::Shape;
use tokio_util::sync::CancellationToken;

/// A large JUnit file in the uploads that it is cut into.
fn uploads() -> Vec<Upload> {
    let region = support::region(Shape::Junit);
    let scan = support::scan(Format::Junit, &region);
    let (file_name, format) = ("junit.xml".to_owned(), Format::Junit);
    let file = PlannedFile { index: 0, file_name, format, region: &region, scan: &scan };
    plan::plan(&[file], support::LIMITS, Packing::On)
}

fn content(upload: &Upload) -> Content {
    Content::open(upload, Start::AtOnce, Arc::new(Meter::new(upload.length())), |_| {})
}

/// Takes a stream to its end.
async fn drain<E: std::fmt::Debug>(stream: impl Stream<Item = Result<Bytes, E>>) {
    let mut stream = std::pin::pin!(stream);
    while let Some(piece) = stream.next().await {
        piece.expect("it is read");
    }
}

/// The bodies alone, read and dropped.
fn body(criterion: &mut Criterion) {
    let uploads = uploads();
    let region = support::region(Shape::Junit);
    let client = sink::client();
    let bytes = uploads.iter().map(Upload::length).sum();
    let mut group = support::group(criterion, "body", bytes);
    group.bench_function("content", |bencher| {
        bencher.iter(|| {
            for upload in &uploads {
                client.block_on(drain(content(upload)));
            }
        });
    });
    group.bench_function("content in a form", |bencher| {
        bencher.iter(|| {
            for upload in &uploads {
                let body = Body::wrap_stream(content(upload));
                let part = Part::stream_with_length(body, upload.length());
                client.block_on(drain(Form::new().part("data", part).into_stream()));
            }
        });
    });
    group.bench_function("reference: read", |bencher| {
        bencher.iter(|| baseline::read(region.reader()).expect("it is read"));
    });
    group.finish();
}

/// The delivery, beside a copy of the same file to a socket.
fn loopback(criterion: &mut Criterion) {
    let uploads = uploads();
    let (sink, socket, client) = (Sink::start(), Socket::open(), sink::client());
    let (path, bytes) = support::file(Shape::Junit);
    let Mode::Upload(delivery) = sink.config(&path).mode else { unreachable!("it is an upload") };
    let mut group = support::group(criterion, "deliver", bytes);
    group.bench_function("deliver", |bencher| {
        bencher.iter(|| {
            let (observer, never) = (Arc::new(Silent), CancellationToken::new());
            let delivered = client.block_on(deliver::deliver(&delivery, &uploads, observer, never));
            let delivered = delivered.expect("the client is set up");
            assert!(delivered.iter().all(|upload| upload.outcome == Outcome::Accepted));
        });
    });
    group.bench_function("reference: io::copy to a socket", |bencher| {
        bencher.iter(|| socket.send(&path));
    });
    group.finish();
}

criterion_group!(benches, body, loopback);
criterion_main!(benches);
