//! Validates test result files of any size in one streaming pass, and uploads them to Buildkite
//! Test Engine in constant memory. See `docs/architecture.md` for the map.

pub mod finding;
pub mod format;
pub mod scan;
