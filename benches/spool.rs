//! Throughput of the way into the spool, beside copies that do nothing else.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

mod support;

use std::fs::File;
use std::io;

use bktec_upload::input::{self, Input, Way};
use criterion::{Criterion, criterion_group, criterion_main};
use support::baseline;
use support::generate::Shape;

/// One large file.
fn large(criterion: &mut Criterion) {
    let (path, bytes) = support::file(Shape::Junit);
    let open = || File::open(&path).expect("the file is there");
    let mut group = support::group(criterion, "spool", bytes);
    group.bench_function("in the kernel", |bencher| {
        bencher.iter(|| support::spool().append(b"", Some(&open())).expect("it is copied"));
    });
    group.bench_function("through a reader", |bencher| {
        bencher.iter(|| support::spool().append_from(&mut open()).expect("it is copied"));
    });
    group.bench_function("reference: io::copy between files", |bencher| {
        bencher.iter(|| {
            let mut out = tempfile::tempfile().expect("a file is made");
            io::copy(&mut open(), &mut out).expect("it is copied")
        });
    });
    group.bench_function("reference: read", |bencher| {
        bencher.iter(|| baseline::read(open()).expect("it is read"));
    });
    group.finish();
}

/// Thousands of small ones.
fn many(criterion: &mut Criterion) {
    let (_, paths, bytes) = support::many();
    let inputs: Vec<_> =
        paths.iter().map(|path| Input::File { path: path.clone(), length: None }).collect();
    let mut group = support::group(criterion, "spool, many files", bytes);
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut spool = support::spool();
            for input in &inputs {
                input::read(input, Way::Copied, &mut spool, |_| {}).expect("it is copied");
            }
        });
    });
    group.bench_function("reference: io::copy into one file", |bencher| {
        bencher.iter(|| {
            let mut out = tempfile::tempfile().expect("a file is made");
            for path in &paths {
                let mut file = File::open(path).expect("the file is there");
                io::copy(&mut file, &mut out).expect("it is copied");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, large, many);
criterion_main!(benches);
