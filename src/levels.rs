//! What a run makes of its findings: `--strict`, `--deny` and `--allow`.
//!
//! A code has a severity of its own. A run may take a warning for an error, or pass it over; an
//! error stays one whatever the run says, as the service could not read the file.

use std::collections::BTreeSet;

use crate::finding::{Code, Findings, Severity};

/// The severities of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    /// Every warning that is not allowed is denied.
    strict: bool,
    denied: BTreeSet<Code>,
    allowed: BTreeSet<Code>,
}

/// Levels that contradict themselves or the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLevel {
    #[error(
        "--allow {0}: that is an error, not a warning: the service cannot read such a file, and would lose its results"
    )]
    AllowedError(Code),
    #[error("--allow {0} and --deny {0} contradict each other: give one of them")]
    Both(Code),
}

impl Levels {
    /// Levels as the flags give them.
    ///
    /// # Errors
    /// The first code that cannot be allowed.
    pub fn new(strict: bool, denied: &[Code], allowed: &[Code]) -> Result<Self, InvalidLevel> {
        for &code in allowed {
            if code.severity() == Severity::Error {
                return Err(InvalidLevel::AllowedError(code));
            }
            if denied.contains(&code) {
                return Err(InvalidLevel::Both(code));
            }
        }
        let set = |codes: &[Code]| codes.iter().copied().collect();
        Ok(Self { strict, denied: set(denied), allowed: set(allowed) })
    }

    /// Whether the run passes it over: it is counted, and neither listed nor held against the file.
    #[must_use]
    pub fn is_allowed(&self, code: Code) -> bool {
        self.allowed.contains(&code)
    }

    /// The severity that a code has in this run: what rejects the file is an error.
    #[must_use]
    pub fn severity(&self, code: Code) -> Severity {
        let is_denied = self.denied.contains(&code) || self.strict && !self.is_allowed(code);
        if is_denied { Severity::Error } else { code.severity() }
    }

    /// Whether the findings reject their file.
    #[must_use]
    pub fn reject(&self, findings: &Findings) -> bool {
        findings.counts().keys().any(|&code| self.severity(code) == Severity::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;

    const WARNING: Code = Code::JunitMissingName;
    const OTHER: Code = Code::JunitOddTime;
    const ERROR: Code = Code::XmlTruncated;

    #[test]
    fn warnings_are_raised_and_passed_over_and_errors_stay() {
        type Case<'a> = (bool, &'a [Code], &'a [Code], [bool; 3]);
        let cases: [Case<'_>; 6] = [
            (false, &[], &[], [false, false, true]),
            (true, &[], &[], [true, true, true]),
            (false, &[WARNING], &[], [true, false, true]),
            (false, &[ERROR], &[OTHER], [false, false, true]),
            (true, &[], &[OTHER], [true, false, true]),
            (true, &[WARNING], &[OTHER], [true, false, true]),
        ];
        for (strict, denied, allowed, expected) in cases {
            let levels = Levels::new(strict, denied, allowed).unwrap();
            let rejects = [WARNING, OTHER, ERROR].map(|code| {
                let mut findings = Findings::default();
                findings.push(Finding::of_file(code, ""));
                levels.reject(&findings)
            });
            assert_eq!(rejects, expected, "{levels:?}");
        }
    }

    #[test]
    fn errors_cannot_be_allowed_nor_what_is_denied() {
        assert_eq!(Levels::new(false, &[], &[ERROR]), Err(InvalidLevel::AllowedError(ERROR)));
        assert_eq!(Levels::new(true, &[OTHER], &[OTHER]), Err(InvalidLevel::Both(OTHER)));
    }
}
