//! Validates test result files of any size in one streaming pass, and uploads them to Buildkite
//! Test Engine in constant memory.
//!
//! The way of the data, each part knowing only what is before it:
//! [`input`] → [`spool`] → [`scan`] (→ [`salvage`]) → [`plan`] → [`deliver`] → [`report`].
//! [`run`] goes the whole way. The library never prints and never exits: it returns values and
//! tells its progress to a [`progress::Observer`].

mod check;
pub mod cli;
pub mod config;
pub mod deliver;
mod excerpt;
pub mod explain;
pub mod finding;
pub mod format;
pub mod input;
pub mod levels;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod run_env;
pub mod salvage;
pub mod scan;
pub mod spool;
pub mod tags;
pub mod token;
