//! A yardstick for `benches/compare`: one file, and what a library does with it at best.
//!
//!     cargo run --release --example baseline -- quick-xml big.xml
//!
//! It says how long that took without the start of the process, and for `serde-ignored` without
//! reading the file into memory.

#![expect(clippy::print_stdout, reason = "a program says on stdout what it did")]

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Instant;

#[path = "support/baseline.rs"]
mod baseline;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(about = "Does with a file what a library does at best, and checks nothing")]
struct Cli {
    mode: Mode,
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Copy it to a temp file
    Copy,
    /// Look for every `<`
    Memchr,
    /// Read quick-xml's events
    QuickXml,
    /// Parse it with `serde_json`, whole in memory, into nothing
    SerdeIgnored,
}

fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let mut started = Instant::now();
    let mut file = File::open(&cli.file)?;
    match cli.mode {
        Mode::Copy => drop(std::io::copy(&mut file, &mut tempfile::tempfile()?)?),
        Mode::Memchr => drop(baseline::tags(file)?),
        Mode::QuickXml => drop(baseline::xml_events(file)?),
        Mode::SerdeIgnored => {
            let document = fs::read(&cli.file)?;
            started = Instant::now();
            baseline::json(&document)?;
        }
    }
    println!("{:.6}", started.elapsed().as_secs_f64());
    Ok(())
}
