//! What each finding means, at length: the sections of `docs/findings.md`.
//!
//! The page is the one source. It is written so that a section can be read as plain text too: code
//! is indented rather than fenced, and there are no links.

use crate::finding::Code;

const PAGE: &str = include_str!("../docs/findings.md");

/// What the page says about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its heading and its body, as plain text.
    pub text: &'static str,
    /// Its body, as Markdown.
    pub body: &'static str,
}

impl Section {
    /// What is wrong, in one paragraph.
    #[must_use]
    pub fn summary(&self) -> String {
        let paragraph = self.body.split("\n\n").next().unwrap_or_default();
        let sentences = paragraph.split_once(' ').map_or(paragraph, |(_severity, rest)| rest);
        sentences.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The section of a code.
#[must_use]
pub fn section(code: Code) -> Section {
    let found = sections().find(|section| heading(section.text) == code.as_str());
    found.unwrap_or(Section { text: code.as_str(), body: code.advice() })
}

/// All sections of the page.
fn sections() -> impl Iterator<Item = Section> {
    PAGE.split("\n### ").skip(1).map(|text| {
        // What follows is the next family's.
        let text = text.split("\n## ").next().unwrap_or(text).trim_end();
        let body = text.split_once('\n').map_or("", |(_, body)| body.trim_start());
        Section { text, body }
    })
}

fn heading(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn every_code_has_one_section_and_every_section_a_code() {
        let headings: Vec<&str> = sections().map(|section| heading(section.text)).collect();
        for code in Code::ALL.iter().map(|code| code.as_str()) {
            let count = headings.iter().filter(|heading| **heading == code).count();
            assert_eq!(count, 1, "docs/findings.md needs one section `### {code}`");
        }
        for heading in headings {
            let is_code = Code::ALL.iter().any(|code| code.as_str() == heading);
            assert!(is_code, "docs/findings.md has a section `### {heading}`, which is no code");
        }
    }

    #[test]
    fn a_section_says_the_severity_and_more_than_the_advice() {
        for &code in Code::ALL {
            let section = section(code);
            let severity = match code.severity() {
                Severity::Error => "Error. ",
                Severity::Warning => "Warning. ",
            };
            assert!(section.body.starts_with(severity), "{code} must begin with {severity:?}");
            assert!(section.body.contains("To fix it"), "{code} must say how: \"To fix it, …\"");
            assert!(!section.summary().is_empty() && !section.summary().contains('\n'), "{code}");
            let is_plain = !section.text.contains("```") && !section.text.contains("](");
            assert!(is_plain, "{code} must indent its code, and have no links");
            let is_narrow = section.text.lines().all(|line| line.chars().count() <= 100);
            assert!(is_narrow, "{code} must have lines of at most 100 characters");
        }
    }

    #[test]
    fn the_index_has_every_code() {
        for code in Code::ALL {
            assert!(PAGE.contains(&format!("[`{code}`](#{code})")), "{code} is not in the index");
        }
    }
}
