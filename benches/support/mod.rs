//! The files that the benches work on: made once, kept under `target`, the same every time.

use std::fs::File;
use std::path::{Path, PathBuf};

use bktec_upload::spool::{Region, Spool};

#[path = "../../examples/support/generate.rs"]
pub mod generate;
#[path = "../../examples/support/size.rs"]
mod size;

use generate::Shape;

/// How large each file is: several hundred megabytes, or what `BENCH_SIZE` says, such as `5MB`.
fn bytes() -> u64 {
    let wanted = std::env::var("BENCH_SIZE").ok();
    wanted.map_or(300_000_000, |size| size::parse(&size).expect("BENCH_SIZE is a size"))
}

/// A file of this shape, and how many bytes it has.
pub fn file(shape: Shape) -> (PathBuf, u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-files");
    let (path, made) = generate::cached(&folder, shape, bytes()).expect("a file is generated");
    (path, made.bytes)
}

/// A file in a spool of its own, and how many bytes it has.
#[allow(dead_code, reason = "not every bench needs it")]
pub fn region(shape: Shape) -> (Region, u64) {
    let (path, bytes) = file(shape);
    let mut spool = Spool::create_in(&std::env::temp_dir()).expect("a spool is made");
    let file = File::open(path).expect("the file is there");
    (spool.append(b"", Some(&file)).expect("the file is copied"), bytes)
}
