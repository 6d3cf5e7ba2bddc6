//! Throughput of the delivery and of the whole way, to a receiver that reads and discards.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

mod support;

#[path = "../examples/support/receiver.rs"]
mod receiver;

use std::sync::Arc;

use bktec_upload::cli::Cli;
use bktec_upload::config::Config;
use bktec_upload::progress::Silent;
use bktec_upload::run::run;
use clap::Parser;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use receiver::{Options, Receiver, Step};
use support::generate::Shape;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Reading, checking and sending one file; the receiver has a thread of its own.
fn whole_way(criterion: &mut Criterion) {
    let server = Runtime::new().expect("a runtime is made");
    let options = Options { otherwise: Step::Discard, max_results: None, ..Options::default() };
    let receiver = server.block_on(Receiver::start(options)).expect("the receiver listens");
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = client.expect("a runtime is made");
    for shape in [Shape::Junit, Shape::TestEngineJson] {
        let (path, bytes) = support::file(shape);
        let path = path.to_str().expect("the path is text");
        let url = receiver.url();
        let arguments = ["bktec-upload", path, "--token", "test-suite-token", "--upload-url", &url];
        let cli = Cli::try_parse_from(arguments).expect("the arguments are right");
        let config = Config::resolve(cli, &|_| None).expect("the arguments are right");
        let mut group = criterion.benchmark_group(format!("whole way, {}", shape.name()));
        group.throughput(Throughput::Bytes(bytes)).sample_size(10);
        group.bench_function("run", |bencher| {
            bencher.iter(|| {
                let report =
                    client.block_on(run(&config, Arc::new(Silent), CancellationToken::new()));
                assert_eq!(report.exit_code(), 0);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, whole_way);
criterion_main!(benches);
