//! Throughput of the way from the disk through the scan, beside what its libraries do at best.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

mod support;

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, Read};

use bktec_upload::format::Format;
use bktec_upload::plan::{MAX_RESULTS, MAX_UPLOAD_SIZE};
use bktec_upload::scan;
use bktec_upload::scan::cut::Limits;
use bktec_upload::spool::Spool;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quick_xml::events::Event;
use serde::de::IgnoredAny;
use support::generate::Shape;

const LIMITS: Limits = Limits { results: MAX_RESULTS, bytes: MAX_UPLOAD_SIZE };

/// Copying into the spool, beside reading alone.
fn spool(criterion: &mut Criterion) {
    let (path, bytes) = support::file(Shape::Junit);
    let mut group = criterion.benchmark_group("spool");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            let mut spool = Spool::create_in(&std::env::temp_dir()).expect("a spool is made");
            spool
                .append(b"", Some(&File::open(&path).expect("the file is there")))
                .expect("it is copied")
        });
    });
    group.bench_function("reference: read", |bencher| {
        let mut buffer = vec![0; 64 * 1024];
        bencher.iter(|| {
            let mut file = File::open(&path).expect("the file is there");
            while file.read(&mut buffer).expect("it is read") > 0 {}
        });
    });
    group.finish();
}

/// Scanning JUnit files of each shape, beside bare quick-xml events.
fn junit(criterion: &mut Criterion) {
    for shape in
        [Shape::Junit, Shape::JunitTextHeavy, Shape::JunitCdataHeavy, Shape::JunitAttributeHeavy]
    {
        let (region, bytes) = support::region(shape);
        let mut group = criterion.benchmark_group(shape.name());
        group.throughput(Throughput::Bytes(bytes)).sample_size(10);
        group.bench_function("scan", |bencher| {
            bencher
                .iter(|| scan::scan(Format::Junit, region.reader(), LIMITS).expect("it is read"));
        });
        group.bench_function("reference: quick-xml events", |bencher| {
            bencher.iter(|| {
                let source = BufReader::with_capacity(64 * 1024, region.reader());
                let mut reader = quick_xml::Reader::from_reader(source);
                let mut buffer = Vec::new();
                while !matches!(reader.read_event_into(&mut buffer), Ok(Event::Eof) | Err(_)) {
                    buffer.clear();
                }
            });
        });
        group.finish();
    }
}

/// Scanning Test Engine JSON, beside `serde_json` over the whole in memory.
fn json(criterion: &mut Criterion) {
    let (region, bytes) = support::region(Shape::TestEngineJson);
    let mut group = criterion.benchmark_group("test-engine-json");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group.bench_function("scan", |bencher| {
        bencher.iter(|| scan::scan(Format::Json, region.reader(), LIMITS).expect("it is read"));
    });
    let mut whole = Vec::new();
    region.reader().read_to_end(&mut whole).expect("it is read");
    group.bench_function("reference: serde_json from_slice, IgnoredAny", |bencher| {
        bencher
            .iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&whole)).expect("it is JSON"));
    });
    group.finish();
}

criterion_group!(benches, spool, junit, json);
criterion_main!(benches);
