//! Makes large result files of realistic shape, the same bytes for the same seed.
//!
//! Benches, examples and tests need files far too large to keep in the repository. This module
//! writes them: `JUnit` XML, Test Engine JSON and the JSON of runners, with the counts of what was
//! written, so that a test can compare them with what a scan says. It is responsible for well-formed files whose
//! declared counts are true; `hostile` makes the others.
//!
//! One suite is held in a reused buffer, because its
//! counts stand before its results; everything else is written as it is made.

#![allow(clippy::indexing_slicing, reason = "a digit is always within its table")]
#![allow(dead_code, reason = "each program that includes this module uses another part of it")]

#[path = "generate/hostile.rs"]
pub mod hostile;
#[path = "generate/json.rs"]
mod json;
#[path = "generate/junit.rs"]
mod junit;
#[path = "generate/runner.rs"]
mod runner;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Changes whenever the same shape, size and seed give other bytes, so that a file kept by
/// [`cached`] is never taken for one of another generator.
const GENERATOR_VERSION: u32 = 1;

/// The seed of every file made by [`cached`].
const CACHED_SEED: u64 = 0x5eed;

/// The size of the files of [`cached_many`]: five results fit.
pub const SMALL_FILE: u64 = 2_500;

/// What kind of file to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A monorepo's `JUnit` file: about 300 results a suite, 445 bytes a result, 3% failures.
    Junit,
    /// Nearly all bytes are escaped character data: stack traces and output, dense in entities.
    JunitTextHeavy,
    /// Nearly all bytes are in CDATA sections of some KB to some MB, dense in markup characters.
    JunitCdataHeavy,
    /// Nearly all bytes are in attributes: long names, properties, quotes, entities, references.
    JunitAttributeHeavy,
    /// Few results, each with some 40 KB of output: 200 MB hold fewer than 5,000 results.
    JunitFewLarge,
    /// Test Engine's own JSON: an array of records of about 825 bytes, with spans.
    TestEngineJson,
    /// What `rspec --format json` writes, in one line: examples of about 400 bytes.
    RspecJson,
    /// What `jest --json` writes, in one line: files of some 30 results of about 325 bytes.
    JestJson,
    /// What Playwright's JSON reporter writes, indented: suites of some 15 specs of about 1 KB.
    PlaywrightJson,
    /// What Cucumber's JSON formatter writes, indented: scenarios of about 3 KB, with backgrounds
    /// and now and then a screenshot.
    CucumberJson,
}

impl Shape {
    /// Every shape, for tests and benches that go through them all.
    pub const ALL: [Self; 10] = [
        Self::Junit,
        Self::JunitTextHeavy,
        Self::JunitCdataHeavy,
        Self::JunitAttributeHeavy,
        Self::JunitFewLarge,
        Self::TestEngineJson,
        Self::RspecJson,
        Self::JestJson,
        Self::PlaywrightJson,
        Self::CucumberJson,
    ];

    /// A short name, fit for file names and for the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::JunitTextHeavy => "junit-text-heavy",
            Self::JunitCdataHeavy => "junit-cdata-heavy",
            Self::JunitAttributeHeavy => "junit-attribute-heavy",
            Self::JunitFewLarge => "junit-few-large",
            Self::TestEngineJson => "test-engine-json",
            Self::RspecJson => "rspec-json",
            Self::JestJson => "jest-json",
            Self::PlaywrightJson => "playwright-json",
            Self::CucumberJson => "cucumber-json",
        }
    }

    fn is_json(self) -> bool {
        matches!(
            self,
            Self::TestEngineJson
                | Self::RspecJson
                | Self::JestJson
                | Self::PlaywrightJson
                | Self::CucumberJson
        )
    }

    /// The extension of such a file, without the dot.
    pub fn extension(self) -> &'static str {
        if self.is_json() { "json" } else { "xml" }
    }
}

/// What a generated file holds. Every result is counted once: it passed, or it is in exactly one
/// of `failures`, `errors` and `skipped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// The size of the file.
    pub bytes: u64,
    /// `<testcase>` elements, records, or what else a runner calls a result.
    pub results: u64,
    /// Results with a `<failure>`, or those of JSON that failed.
    pub failures: u64,
    /// Results with an `<error>`. JSON has none.
    pub errors: u64,
    /// Results with a `<skipped/>`, or those of JSON that are skipped or pending.
    pub skipped: u64,
}

impl Generated {
    fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.results += more.results;
        self.failures += more.failures;
        self.errors += more.errors;
        self.skipped += more.skipped;
    }
}

/// Writes a file of at least `target_bytes` to `out`: it ends with the first suite (or the first
/// element of the JSON array) that reaches the target. The last suite is made to fit, so a file is rarely more than
/// some KB larger than asked for.
///
/// # Errors
/// Whatever `out` fails with.
pub fn write(
    shape: Shape,
    target_bytes: u64,
    seed: u64,
    out: &mut impl Write,
) -> io::Result<Generated> {
    if shape.is_json() {
        json::write(shape, target_bytes, seed, out)
    } else {
        junit::write(shape, target_bytes, seed, out)
    }
}

/// Makes the file once under `dir`, and gives its path and counts. A second call, also of another
/// process, finds it there. The counts lie beside it in a small text file.
///
/// # Errors
/// Whatever creating, writing or renaming a file under `dir` fails with.
pub fn cached(dir: &Path, shape: Shape, target_bytes: u64) -> io::Result<(PathBuf, Generated)> {
    static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

    let stem = format!("{}-{target_bytes}-v{GENERATOR_VERSION}", shape.name());
    let path = dir.join(format!("{stem}.{}", shape.extension()));
    let sidecar = dir.join(format!("{stem}.counts"));
    if let Some(generated) = read_sidecar(&sidecar)
        && fs::metadata(&path).is_ok_and(|meta| meta.len() == generated.bytes)
    {
        return Ok((path, generated));
    }

    fs::create_dir_all(dir)?;
    // Two programs, or two threads, may make the same file at once: each has its own temporary
    // name, and as both write the same bytes it does not matter whose rename is the last.
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!("{stem}.{}-{attempt}.partial", std::process::id()));
    let made = (|| {
        let mut out = BufWriter::with_capacity(1 << 17, fs::File::create(&temporary)?);
        let generated = write(shape, target_bytes, CACHED_SEED, &mut out)?;
        out.flush()?;
        drop(out);
        fs::rename(&temporary, &path)?;
        fs::write(&temporary, sidecar_text(generated))?;
        fs::rename(&temporary, &sidecar)?;
        Ok(generated)
    })();
    match made {
        Ok(generated) => Ok((path, generated)),
        Err(error) => {
            // The first error is the one to tell; the leftover may not even exist.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// Makes small `JUnit` files of about five results once under `dir`, a hundred in a folder, and
/// gives the folder of all, with the counts of all together.
///
/// # Errors
/// Whatever creating or writing a file under `dir` fails with.
pub fn cached_many(dir: &Path, files: u64) -> io::Result<(PathBuf, Generated)> {
    let stem = format!("{}-{files}-files-v{GENERATOR_VERSION}", Shape::Junit.name());
    let (folder, sidecar) = (dir.join(&stem), dir.join(format!("{stem}.counts")));
    // It is written last: with it, all are there.
    if let Some(total) = read_sidecar(&sidecar) {
        return Ok((folder, total));
    }
    let mut total = Generated::default();
    for number in 0..files {
        let package = folder.join(format!("package-{:03}", number / 100));
        fs::create_dir_all(&package)?;
        let mut content = Vec::new();
        total.add(write(Shape::Junit, SMALL_FILE, CACHED_SEED + number, &mut content)?);
        fs::write(package.join(format!("test-{:02}.xml", number % 100)), content)?;
    }
    fs::write(sidecar, sidecar_text(total))?;
    Ok((folder, total))
}

fn sidecar_text(generated: Generated) -> String {
    let Generated { bytes, results, failures, errors, skipped } = generated;
    format!(
        "bytes {bytes}\nresults {results}\nfailures {failures}\nerrors {errors}\nskipped {skipped}\n"
    )
}

/// A sidecar that is missing, or that somebody edited, only means that the file is made anew.
fn read_sidecar(path: &Path) -> Option<Generated> {
    let text = fs::read_to_string(path).ok()?;
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .find_map(|(key, value)| if key == name { value.parse().ok() } else { None })
    };
    Some(Generated {
        bytes: field("bytes")?,
        results: field("results")?,
        failures: field("failures")?,
        errors: field("errors")?,
        skipped: field("skipped")?,
    })
}

/// `SplitMix64`: small, fast, and the same on every machine.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `low..high`; `low` where the range is empty.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        // The modulo favours small numbers by less than one in 2^32, which nobody will notice.
        low + self.next() % high.saturating_sub(low).max(1)
    }

    /// True `share` times of a thousand.
    fn per_mille(&mut self, share: u64) -> bool {
        self.between(0, 1000) < share
    }

    fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let index = self.between(0, choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index))
            .copied()
            .unwrap_or_default()
    }
}

const AREAS: &[&str] = &[
    "billing",
    "checkout",
    "search",
    "identity",
    "catalog",
    "shipping",
    "ledger",
    "notifications",
    "reporting",
    "inventory",
];
const PARTS: &[&str] = &["api", "core", "storage", "web", "jobs", "client", "export"];

fn push_all(to: &mut String, parts: &[&str]) {
    for part in parts {
        to.push_str(part);
    }
}

/// Decimal digits, without the machinery of `format!`: this is done some times for every result.
fn push_number(to: &mut String, number: u64) {
    if number >= 10 {
        push_number(to, number / 10);
    }
    to.push(digit(number));
}

/// Three digits: the milliseconds of a time.
fn push_millis(to: &mut String, millis: u64) {
    for part in [millis / 100, millis / 10, millis] {
        to.push(digit(part));
    }
}

/// The last decimal digit.
fn digit(number: u64) -> char {
    char::from(b"0123456789"[(number % 10) as usize])
}

/// The lowest `digits` hexadecimal digits, the last of them first.
fn push_hex(to: &mut String, mut number: u64, digits: usize) {
    for _ in 0..digits {
        to.push(char::from(b"0123456789abcdef"[(number & 15) as usize]));
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(shape: Shape, target: u64, seed: u64) -> (Vec<u8>, Generated) {
        let mut out = Vec::new();
        let generated = write(shape, target, seed, &mut out).expect("a Vec takes everything");
        (out, generated)
    }

    #[test]
    fn same_seed_same_bytes() {
        for shape in Shape::ALL {
            assert_eq!(bytes(shape, 300_000, 7), bytes(shape, 300_000, 7), "{shape:?}");
            assert_ne!(bytes(shape, 300_000, 7).0, bytes(shape, 300_000, 8).0, "{shape:?}");
        }
    }

    #[test]
    fn counts_are_those_of_the_file() {
        for shape in Shape::ALL {
            for target in [0, 1_000, 2_000_000] {
                let (out, generated) = bytes(shape, target, 3);
                let text = String::from_utf8(out).expect("UTF-8");
                assert_eq!(text.len() as u64, generated.bytes, "{shape:?}");
                assert!(generated.bytes >= target, "{shape:?}");
                let (result, failure) = match shape {
                    Shape::TestEngineJson => ("{\"id\":\"", "\"result\":\"failed\""),
                    Shape::RspecJson => ("{\"id\":\"", "\"status\":\"failed\""),
                    Shape::JestJson => ("\"title\":", "\"failed\",\"title\":"),
                    Shape::PlaywrightJson => ("\"workerIndex\": ", "\"status\": \"failed\""),
                    Shape::CucumberJson => ("\"scenario\"", "\"status\": \"failed\""),
                    _ => ("<testcase ", "<failure "),
                };
                assert_eq!(text.matches(result).count() as u64, generated.results, "{shape:?}");
                assert_eq!(text.matches(failure).count() as u64, generated.failures, "{shape:?}");
            }
        }
    }

    #[test]
    fn a_few_large_results_stay_few() {
        let (_, generated) = bytes(Shape::JunitFewLarge, 20_000_000, 1);
        assert!(generated.results < 500, "{generated:?}");
    }

    #[test]
    fn a_cached_file_is_made_once() {
        let dir = std::env::temp_dir().join(format!("generate-test-{}", std::process::id()));
        let (path, first) = cached(&dir, Shape::Junit, 50_000).expect("made");
        let made = fs::metadata(&path).and_then(|meta| meta.modified()).expect("there");
        let (again, second) = cached(&dir, Shape::Junit, 50_000).expect("found");
        assert_eq!((&path, first), (&again, second));
        assert_eq!(fs::metadata(&again).and_then(|meta| meta.modified()).expect("there"), made);
        assert_eq!(fs::read_dir(&dir).expect("there").count(), 2);
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn small_files_have_five_results() {
        let dir = std::env::temp_dir().join(format!("generate-many-{}", std::process::id()));
        let (folder, total) = cached_many(&dir, 200).expect("made");
        assert_eq!(cached_many(&dir, 200).expect("found"), (folder.clone(), total));
        assert_eq!(fs::read_dir(&folder).expect("there").count(), 2);
        assert!((900..1_100).contains(&total.results), "{total:?}");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
