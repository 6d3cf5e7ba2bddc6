//! Throughput of the scan, beside what libraries do at best with the same bytes.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

mod support;

use std::hint::black_box;
use std::io::Read;

use bktec_upload::format::Format;
use criterion::{Criterion, criterion_group, criterion_main};
use support::baseline;
use support::generate::Shape;

/// JUnit files, heavy in each of the parts of XML, beside bare quick-xml events.
fn junit(criterion: &mut Criterion) {
    for shape in
        [Shape::Junit, Shape::JunitAttributeHeavy, Shape::JunitTextHeavy, Shape::JunitCdataHeavy]
    {
        let region = support::region(shape);
        let mut group =
            support::group(criterion, &format!("scan, {}", shape.name()), region.length());
        group.bench_function("scan", |bencher| {
            bencher.iter(|| support::scan(Format::Junit, &region));
        });
        group.bench_function("reference: quick-xml events", |bencher| {
            bencher.iter(|| baseline::xml_events(region.reader()).expect("it is XML"));
        });
        group.bench_function("reference: memchr for every <", |bencher| {
            bencher.iter(|| baseline::tags(region.reader()).expect("it is read"));
        });
        group.finish();
    }
}

/// All JSON formats, beside `serde_json` over the whole in memory.
fn json(criterion: &mut Criterion) {
    for (shape, format) in [
        (Shape::TestEngineJson, Format::Json),
        (Shape::RspecJson, Format::RspecJson),
        (Shape::JestJson, Format::JestJson),
        (Shape::PlaywrightJson, Format::PlaywrightJson),
        (Shape::CucumberJson, Format::CucumberJson),
    ] {
        let region = support::region(shape);
        let mut group =
            support::group(criterion, &format!("scan, {}", shape.name()), region.length());
        group.bench_function("scan", |bencher| bencher.iter(|| support::scan(format, &region)));
        let mut whole = Vec::new();
        region.reader().read_to_end(&mut whole).expect("it is read");
        group.bench_function("reference: serde_json from_slice, IgnoredAny", |bencher| {
            bencher.iter(|| baseline::json(black_box(&whole)).expect("it is JSON"));
        });
        group.finish();
    }
}

criterion_group!(benches, junit, json);
criterion_main!(benches);
