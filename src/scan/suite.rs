//! What a suite says that it holds, against what it holds.
//!
//! Producers count in many ways: a suite's own results or those of its suites too; failed results or
//! their elements; errors apart or as failures; earlier attempts too or the last ones alone. So it
//! is said that counts disagree only where none of these readings fits.

use super::Counts;
use super::window::Mark;

/// An open suite.
#[derive(Debug)]
pub struct Suite {
    /// Where its tag is.
    pub mark: Mark,
    pub declared: Declared,
    /// What it has of its own, and what the suites in it have.
    pub own: Held,
    pub nested: Held,
}

/// The counts in a suite's attributes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Declared {
    tests: Option<u64>,
    failures: Option<u64>,
    errors: Option<u64>,
    skipped: Option<u64>,
}

/// What was seen in a suite.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    pub counts: Counts,
    /// How many elements there are of each outcome; a result may have several.
    pub elements: Counts,
    /// How many earlier attempts.
    pub reruns: u64,
}

impl Held {
    /// The sum of both.
    pub const fn plus(self, more: Self) -> Self {
        Self {
            counts: self.counts.plus(more.counts),
            elements: self.elements.plus(more.elements),
            reruns: self.reruns + more.reruns,
        }
    }
}

impl Suite {
    /// What is said of counts that disagree.
    pub fn disagreement(&self) -> Option<String> {
        // A root that holds suites alone means theirs.
        let may_mean_own = self.own.counts.results > 0 || self.declared.tests == Some(0);
        if may_mean_own && self.declared.fits(&self.own) {
            return None;
        }
        let all = self.own.plus(self.nested);
        (!self.declared.fits(&all)).then(|| self.declared.misfits(&all))
    }
}

impl Declared {
    /// Takes an attribute of the suite's tag.
    pub fn read(&mut self, name: &[u8], value: &[u8]) {
        let count = match name {
            b"tests" => &mut self.tests,
            b"failures" => &mut self.failures,
            b"errors" => &mut self.errors,
            b"skipped" => &mut self.skipped,
            _ => return,
        };
        *count = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
    }

    fn fits(&self, held: &Held) -> bool {
        self.compared(held).iter().all(|count| count.fits)
    }

    fn misfits(&self, held: &Held) -> String {
        let misfits = self.compared(held).into_iter().filter(|count| !count.fits);
        let said: Vec<_> = misfits
            .map(|Compared { name, declared, held, .. }| {
                format!("{name}=\"{}\" where it holds {held}", declared.unwrap_or_default())
            })
            .collect();
        said.join(", ")
    }

    fn compared(&self, held: &Held) -> [Compared; 4] {
        let Held { counts, elements, reruns } = *held;
        // As many as count as failures without being any.
        let as_failures =
            self.failures.map_or(0, |failures| failures.saturating_sub(counts.failures));
        let compared = |name, declared: Option<u64>, held, least, most| {
            let fits = declared.is_none_or(|declared| (least..=most).contains(&declared));
            Compared { name, declared, held, fits }
        };
        let mut tests =
            compared("tests", self.tests, counts.results, counts.results, counts.results + reruns);
        // jest-junit writes a result for a suite that did not run, and does not count it.
        tests.fits |= self.tests == Some(counts.results.saturating_sub(counts.errors));
        let failed = elements.failures + elements.errors + reruns;
        [
            tests,
            compared("failures", self.failures, counts.failures, counts.failures, failed),
            compared(
                "errors",
                self.errors,
                counts.errors,
                counts.errors.saturating_sub(as_failures),
                // Alone it stands for both.
                if self.failures.is_some() { elements.errors + reruns } else { failed },
            ),
            compared("skipped", self.skipped, counts.skipped, counts.skipped, elements.skipped),
        ]
    }
}

/// One count, as it is declared and as it is.
struct Compared {
    name: &'static str,
    declared: Option<u64>,
    held: u64,
    fits: bool,
}
