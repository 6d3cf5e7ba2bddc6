//! A local stand-in for the Upload API, to send uploads to by hand:
//!
//!     cargo run --release --example receiver
//!     BUILDKITE_ANALYTICS_TOKEN=test-suite-token bktec-upload --upload-url URL results.xml

#![expect(clippy::print_stdout, reason = "a program says on stdout what it did")]

use std::time::Duration;

#[path = "support/receiver.rs"]
mod receiver;

use clap::Parser;
use receiver::{Options, Receiver, Step};

#[derive(Parser)]
#[command(about = "A local stand-in for Test Engine's Upload API")]
struct Cli {
    /// The token that is accepted
    #[arg(long, default_value = "test-suite-token")]
    token: String,
    /// How many results an upload may have; 0 for any number
    #[arg(long, default_value_t = 5000)]
    max_results: u64,
    /// Read everything, check nothing, answer {}
    #[arg(long)]
    discard: bool,
    /// Hold each answer back for so many milliseconds
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Answer every upload with this status
    #[arg(long)]
    status: Option<u16>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let cli = Cli::parse();
    let otherwise = match (cli.status, cli.discard) {
        (Some(status), _) => Step::Status(status),
        (None, true) => Step::Discard,
        (None, false) => Step::Accept,
    };
    let receiver = Receiver::start(Options {
        token: cli.token,
        max_results: Some(cli.max_results).filter(|limit| *limit > 0),
        delay: Duration::from_millis(cli.delay),
        otherwise,
        ..Options::default()
    })
    .await?;
    println!("{}", receiver.url());
    let mut shown = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for received in receiver.received().iter().skip(shown).take_while(|r| r.ended) {
            shown += 1;
            let data = received.data.as_ref();
            println!(
                "upload {shown}: {} bytes of {:?} as {}, {:?} results, answered {:?} {}",
                data.map_or(0, |data| data.bytes),
                data.and_then(|data| data.file_name.as_deref()).unwrap_or("nothing"),
                received.field("format").unwrap_or("no format"),
                received.results,
                received.answered,
                received.problems.join("; "),
            );
        }
    }
}
