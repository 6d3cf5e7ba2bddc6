//! Throughput of the whole way: a run as the tool makes it, from its arguments to its report.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

#[path = "support/sink.rs"]
mod sink;
mod support;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bktec_upload::config::{Config, Mode};
use bktec_upload::progress::Silent;
use bktec_upload::run::run;
use criterion::{Criterion, criterion_group, criterion_main};
use sink::{Sink, Socket};
use support::baseline;
use support::generate::Shape;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

fn go(client: &Runtime, config: &Config) {
    let report = client.block_on(run(config, Arc::new(Silent), CancellationToken::new()));
    assert_eq!(report.exit_code(), 0);
}

/// One large file, beside a copy of it, bare events of it and a copy to a socket, one by one.
fn large(criterion: &mut Criterion) {
    let (sink, socket, client) = (Sink::start(), Socket::open(), sink::client());
    for shape in [Shape::Junit, Shape::TestEngineJson] {
        let (path, bytes) = support::file(shape);
        let config = sink.config(&path);
        let checking = Config { mode: Mode::Validate, ..config.clone() };
        let mut group = support::group(criterion, &format!("whole, {}", shape.name()), bytes);
        group.bench_function("run", |bencher| bencher.iter(|| go(&client, &config)));
        group.bench_function("run, validate only", |bencher| {
            bencher.iter(|| go(&client, &checking));
        });
        group.bench_function("reference: copy, parse, copy to a socket", |bencher| {
            bencher.iter(|| {
                copy(&path);
                parse(shape, &path);
                socket.send(&path);
            });
        });
        group.finish();
    }
}

fn copy(path: &Path) {
    let mut file = File::open(path).expect("the file is there");
    let mut out = tempfile::tempfile().expect("a file is made");
    io::copy(&mut file, &mut out).expect("it is copied");
}

fn parse(shape: Shape, path: &Path) {
    if shape == Shape::Junit {
        let file = File::open(path).expect("the file is there");
        baseline::xml_events(file).expect("it is XML");
    } else {
        baseline::json(&fs::read(path).expect("it is read")).expect("it is JSON");
    }
}

/// Thousands of small files, beside reading them.
fn many(criterion: &mut Criterion) {
    let (sink, client) = (Sink::start(), sink::client());
    let (folder, paths, bytes) = support::many();
    let config = sink.config(&folder);
    let checking = Config { mode: Mode::Validate, ..config.clone() };
    let mut group = support::group(criterion, "whole, many files", bytes);
    group.bench_function("run", |bencher| bencher.iter(|| go(&client, &config)));
    group.bench_function("run, validate only", |bencher| bencher.iter(|| go(&client, &checking)));
    group.bench_function("reference: read", |bencher| {
        bencher.iter(|| {
            for path in &paths {
                fs::read(path).expect("it is read");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, large, many);
criterion_main!(benches);
