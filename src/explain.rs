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
    fn every_code_has_its_section_in_its_family_and_every_section_a_code() {
        let mut headings: Vec<&str> = sections().map(|section| heading(section.text)).collect();
        headings.sort_unstable();
        let mut codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        assert_eq!(headings, codes, "docs/findings.md has a section `### code` for each code");
    }

    #[test]
    fn a_section_says_the_severity_and_more_than_the_advice() {
        for &code in Code::ALL {
            let section = section(code);
            let severity = match code.severity() {
                Severity::Error => "Error. ",
                Severity::Warning => "Warning. ",
            };
            assert!(section.body.starts_with(severity), "{code} begins with {severity:?}");
            assert!(section.body.contains("\n\n"), "{code} says what and how to fix it");
            assert!(!section.summary().is_empty() && !section.summary().contains('\n'), "{code}");
            assert!(!section.text.contains("```") && !section.text.contains("]("), "{code}");
            assert!(section.text.lines().all(|line| line.chars().count() <= 100), "{code}");
        }
    }

    #[test]
    fn the_index_has_every_code() {
        for code in Code::ALL {
            assert!(PAGE.contains(&format!("[`{code}`](#{code})")), "{code} is not in the index");
        }
    }
}
