//! The integration tests, in one binary: each module is a topic.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test ends with a panic where something is not as expected"
)]

#[path = "../../examples/support/generate.rs"]
mod generate;
#[path = "../../examples/support/receiver.rs"]
mod receiver;

mod harness;

mod cli;
mod corpus;
mod delivery;
mod encodings;
mod exit_codes;
mod faults;
mod findings;
mod fixtures;
mod generated;
mod hostile;
mod inputs;
mod multipart;
mod mutations;
mod output;
mod plan;
mod reports;
mod run_env;
mod salvage;
mod servers;
mod splitting;
