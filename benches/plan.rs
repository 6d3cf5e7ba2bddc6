//! Throughput of planning: from what the scan found to uploads, without reading a byte again.

#![allow(clippy::expect_used, reason = "a bench ends where something does not work")]

mod support;

use std::fs::File;
use std::path::PathBuf;

use bktec_upload::format::Format;
use bktec_upload::plan::{self, Packing, PlannedFile};
use bktec_upload::scan::Scan;
use bktec_upload::spool::Region;
use criterion::{Criterion, criterion_group, criterion_main};
use support::generate::Shape;

/// Files with their scans, as the plan takes them.
fn planned(files: &[(Region, Scan)], format: Format) -> Vec<PlannedFile<'_>> {
    let file = |(index, (region, scan))| {
        let file_name = format!("results.{}", format.extension());
        PlannedFile { index, file_name, format, region, scan }
    };
    files.iter().map(|(region, scan)| (region, scan)).enumerate().map(file).collect()
}

/// The pieces of one large file, each an upload.
fn pieces(criterion: &mut Criterion) {
    for (shape, format) in [(Shape::Junit, Format::Junit), (Shape::TestEngineJson, Format::Json)] {
        let region = support::region(shape);
        let scan = support::scan(format, &region);
        let files = [(region, scan)];
        let files = planned(&files, format);
        let bytes = files.iter().map(|file| file.region.length()).sum();
        let mut group = support::group(criterion, &format!("plan, {}", shape.name()), bytes);
        group.bench_function("plan", |bencher| {
            bencher.iter(|| plan::plan(&files, support::LIMITS, Packing::On));
        });
        group.finish();
    }
}

/// 8,000 small files, packed; beside an upload for each.
fn packing(criterion: &mut Criterion) {
    let (_, paths, bytes) = support::many();
    let mut spool = support::spool();
    let scanned = |path: &PathBuf| {
        let file = File::open(path).expect("the file is there");
        let region = spool.append(b"", Some(&file)).expect("it is copied");
        let scan = support::scan(Format::Junit, &region);
        (region, scan)
    };
    let files: Vec<_> = paths.iter().map(scanned).collect();
    let files = planned(&files, Format::Junit);
    let mut group = support::group(criterion, "plan, many files", bytes);
    for (name, packing) in [("packed", Packing::On), ("reference: one by one", Packing::Off)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| plan::plan(&files, support::LIMITS, packing));
        });
    }
    group.finish();
}

criterion_group!(benches, pieces, packing);
criterion_main!(benches);
