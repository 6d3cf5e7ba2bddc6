//! Writes a large result file of realistic shape, to try the tool with:
//!
//!     cargo run --release --example generate -- junit 500MB big.xml
//!
//! Without the name of a file it is made once under `target/bench-files`, where the benches have
//! theirs. `--files 8000` makes a folder there of so many files of five results.
//!
//! `hostile` makes documents that are meant to break a parser, and without a name lists them:
//!
//!     cargo run --release --example generate -- hostile cdata 1GB cdata.xml

#![expect(clippy::print_stdout, reason = "a program says on stdout what it did")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

#[path = "support/generate.rs"]
mod generate;
#[path = "support/size.rs"]
mod size;

use clap::{Parser, Subcommand};
use generate::Shape;
use generate::hostile::{self, Hostile};

#[derive(Parser)]
#[command(about = "Writes a large result file of realistic shape")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Shape of the content
    #[arg(value_parser = shape, required_unless_present = "files")]
    shape: Option<Shape>,
    /// Size, such as 500MB or 2GB
    #[arg(value_parser = size::parse, required_unless_present = "files")]
    size: Option<u64>,
    /// File to write; without it, one under target/bench-files, made once
    file: Option<PathBuf>,
    /// Another seed gives another file
    #[arg(long, default_value_t = 1, requires = "file")]
    seed: u64,
    /// So many files of five results, in a folder under target/bench-files, made once
    #[arg(long, value_name = "N", conflicts_with = "shape")]
    files: Option<u64>,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a document that is meant to break a parser, or lists them with their formats
    Hostile {
        #[arg(value_parser = hostile, requires = "size")]
        name: Option<Hostile>,
        /// Size before compression
        #[arg(value_parser = size::parse, requires = "file")]
        size: Option<u64>,
        file: Option<PathBuf>,
    },
}

fn hostile(text: &str) -> Result<Hostile, String> {
    Hostile::named(text).ok_or_else(|| "none of the list".to_owned())
}

fn shape(text: &str) -> Result<Shape, String> {
    let names = Shape::ALL.map(Shape::name).join(", ");
    let shape = Shape::ALL.into_iter().find(|shape| shape.name() == text);
    shape.ok_or_else(|| format!("one of {names} is expected"))
}

fn main() -> std::io::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Hostile { name: Some(hostile), size: Some(size), file: Some(file) }) => {
            return hostile.write(size, File::create(file)?);
        }
        Some(Command::Hostile { .. }) => {
            for Hostile { name, format, .. } in hostile::ALL {
                println!("{name} {format}");
            }
            return Ok(());
        }
        None => {}
    }
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-files");
    let (path, made) = match (cli.files, cli.shape, cli.size, cli.file) {
        (None, Some(shape), Some(size), Some(file)) => {
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&file)?);
            let made = generate::write(shape, size, cli.seed, &mut out)?;
            out.flush()?;
            (file, made)
        }
        (None, Some(shape), Some(size), None) => generate::cached(&cache, shape, size)?,
        (files, ..) => generate::cached_many(&cache, files.unwrap_or_default())?,
    };
    println!("{}: {made:?}", path.display());
    Ok(())
}
