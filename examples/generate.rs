//! Writes a large result file of realistic shape, to try the tool with:
//!
//!     cargo run --release --example generate -- junit 500MB big.xml

#![expect(clippy::print_stdout, reason = "a program says on stdout what it did")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

#[path = "support/generate.rs"]
mod generate;
#[path = "support/size.rs"]
mod size;

use clap::Parser;
use generate::Shape;

#[derive(Parser)]
#[command(about = "Writes a large result file of realistic shape")]
struct Cli {
    /// Shape of the content
    #[arg(value_parser = shape)]
    shape: Shape,
    /// Size, such as 500MB or 2GB
    #[arg(value_parser = size::parse)]
    size: u64,
    /// File to write
    file: PathBuf,
    /// Another seed gives another file
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn shape(text: &str) -> Result<Shape, String> {
    let names = Shape::ALL.map(Shape::name).join(", ");
    let shape = Shape::ALL.into_iter().find(|shape| shape.name() == text);
    shape.ok_or_else(|| format!("one of {names} is expected"))
}

fn main() -> std::io::Result<()> {
    let cli = Cli::parse();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&cli.file)?);
    let made = generate::write(cli.shape, cli.size, cli.seed, &mut out)?;
    out.flush()?;
    println!("{}: {made:?}", cli.file.display());
    Ok(())
}
