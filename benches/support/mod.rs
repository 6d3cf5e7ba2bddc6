//! The files that the benches work on, made once, kept under `target`, the same every time; and what
//! the benches share.

#![allow(dead_code, reason = "each bench uses another part of it")]

use std::fs::File;
use std::path::{Path, PathBuf};

use bktec_upload::format::Format;
use bktec_upload::plan::{MAX_RESULTS, MAX_UPLOAD_SIZE};
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Scan};
use bktec_upload::spool::{Region, Spool};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

#[path = "../../examples/support/baseline.rs"]
pub mod baseline;
#[path = "../../examples/support/generate.rs"]
pub mod generate;
#[path = "../../examples/support/size.rs"]
mod size;

use generate::Shape;

/// The service's, as by default.
pub const LIMITS: Limits = Limits { results: MAX_RESULTS, bytes: MAX_UPLOAD_SIZE };

/// How large each file is: several hundred megabytes, or what `BENCH_SIZE` says, such as `5MB`.
fn size() -> u64 {
    let wanted = std::env::var("BENCH_SIZE").ok();
    wanted.map_or(300_000_000, |size| size::parse(&size).expect("BENCH_SIZE is a size"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-files")
}

/// A file of this shape, and how many bytes it has.
pub fn file(shape: Shape) -> (PathBuf, u64) {
    let (path, made) = generate::cached(&folder(), shape, size()).expect("a file is generated");
    (path, made.bytes)
}

/// 8,000 files of five results, or as many as fit into `BENCH_SIZE`: the folder that they are in,
/// their paths, and how many bytes they have.
pub fn many() -> (PathBuf, Vec<PathBuf>, u64) {
    let count = (size() / generate::SMALL_FILE).min(8_000);
    let (folder, made) = generate::cached_many(&folder(), count).expect("files are generated");
    let list = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("the folder is there");
        entries.map(|entry| entry.expect("it is read").path())
    };
    let paths = list(&folder).flat_map(|package| list(&package)).collect();
    (folder, paths, made.bytes)
}

/// An empty spool, where the tool would have it.
pub fn spool() -> Spool {
    Spool::create_in(&std::env::temp_dir()).expect("a spool is made")
}

/// A file in a spool of its own.
pub fn region(shape: Shape) -> Region {
    let file = File::open(file(shape).0).expect("the file is there");
    spool().append(b"", Some(&file)).expect("the file is copied")
}

/// Scans as the tool does.
pub fn scan(format: Format, region: &Region) -> Scan {
    scan::scan(format, region.reader(), LIMITS).expect("it is read")
}

/// A group of benches of the same work on so many bytes. Ten samples show what matters here, and
/// all benches together take minutes.
pub fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    bytes: u64,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group
}
