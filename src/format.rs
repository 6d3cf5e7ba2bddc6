//! The formats of result files, and telling them apart.

use std::fmt;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Serialize;

/// How many bytes from the start of a file are looked at to tell its format.
pub const HEAD: usize = 64 * 1024;

/// A format that the service takes, under the service's own name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// JUnit XML
    Junit,
    /// Test Engine JSON
    Json,
    /// RSpec's JSON formatter
    RspecJson,
    /// Jest with --json
    JestJson,
    /// Playwright's JSON reporter
    PlaywrightJson,
    /// Cucumber's JSON formatter
    CucumberJson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Junit,
        Self::Json,
        Self::RspecJson,
        Self::JestJson,
        Self::PlaywrightJson,
        Self::CucumberJson,
    ];

    /// The service's name for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Json => "json",
            Self::RspecJson => "rspec-json",
            Self::JestJson => "jest-json",
            Self::PlaywrightJson => "playwright-json",
            Self::CucumberJson => "cucumber-json",
        }
    }

    /// The media type of a file of this format.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Junit => "application/xml",
            _ => "application/json",
        }
    }

    /// The usual extension of a file of this format.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Junit => "xml",
            _ => "json",
        }
    }

    /// Tells the format of a file from its name and its first bytes, up to [`HEAD`] of them.
    ///
    /// The extension `.xml` says JUnit. `.json` says JSON, and the outline of the document says
    /// which. Without either, the content alone must tell. `None` where it does not.
    #[must_use]
    pub fn detect(path: Option<&Path>, head: &[u8]) -> Option<Self> {
        let extension = path.and_then(Path::extension).unwrap_or_default();
        if extension.eq_ignore_ascii_case("xml") {
            return Some(Self::Junit);
        }
        let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'[' | b'{') => json_kind(head),
            Some(b'<') if is_markup(head) => Some(Self::Junit),
            // What is wrong with it, the scan says.
            _ if extension.eq_ignore_ascii_case("json") => Some(Self::Json),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether it begins as an XML document: with a declaration, a comment, a DOCTYPE or an element.
fn is_markup(head: &[u8]) -> bool {
    let text = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_) | Event::Empty(_) | Event::Decl(_) | Event::DocType(_)) => {
                return true;
            }
            Ok(Event::Text(_) | Event::Comment(_) | Event::PI(_)) => {}
            // A first tag that goes on behind the head is an element too.
            Err(_) => return true,
            Ok(_) => return false,
        }
    }
}

/// Tells JSON formats apart by the keys of the first object, as far as the head shows them.
fn json_kind(head: &[u8]) -> Option<Format> {
    let mut is_array = None;
    let mut is_envelope = false;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = head.get(at) {
        match byte {
            b'[' | b'{' => {
                is_array.get_or_insert(byte == b'[');
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                let rest = head.get(at..)?;
                let mut strings = serde_json::Deserializer::from_slice(rest).into_iter::<String>();
                let Some(Ok(text)) = strings.next() else { break };
                at += strings.byte_offset();
                let behind = head.get(at..)?.iter().find(|byte| !byte.is_ascii_whitespace());
                if behind == Some(&b':') {
                    is_envelope |= is_array == Some(false)
                        && depth == 1
                        && matches!(text.as_str(), "data" | "run_env");
                    let kind = match (is_array == Some(true), depth, text.as_str()) {
                        (true, 2, "elements" | "keyword") => Some(Format::CucumberJson),
                        (true, 2, "history" | "failure_expanded" | "failure_reason") => {
                            Some(Format::Json)
                        }
                        (false, 1, "examples") => Some(Format::RspecJson),
                        (false, 1, "testResults" | "numTotalTests") => Some(Format::JestJson),
                        (false, 1, "suites" | "config") => Some(Format::PlaywrightJson),
                        _ => None,
                    };
                    if kind.is_some() {
                        return kind;
                    }
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    // An array of something is what Test Engine's own format is; an object might be anything, but
    // one with an array in `data` is what collectors send: its scan says to give the array alone.
    (is_array == Some(true) || is_envelope).then_some(Format::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_formats_by_name_and_content() {
        let cases: &[(&str, &str, Option<Format>)] = &[
            ("a.xml", "", Some(Format::Junit)),
            ("a.XML", "{", Some(Format::Junit)),
            ("", "<testsuites>", Some(Format::Junit)),
            ("", "\u{feff} \n<?xml version=\"1.0\"?><testsuite/>", Some(Format::Junit)),
            ("a.txt", "<!-- c --><testsuite name='a", Some(Format::Junit)),
            ("", "hello", None),
            ("", "", None),
            ("a.json", "", Some(Format::Json)),
            ("a.json", "[]", Some(Format::Json)),
            ("a.json", r#"[{"name":"a","history":{}}]"#, Some(Format::Json)),
            ("", r#"[{"scope":"elements","name":"keyword"}]"#, Some(Format::Json)),
            ("a.json", r#"[{"uri":"a","keyword":"Feature"}]"#, Some(Format::CucumberJson)),
            ("a.json", r#"{"version":"3","examples":[]}"#, Some(Format::RspecJson)),
            ("a.json", r#"{"numFailedTests":1,"testResults":[]}"#, Some(Format::JestJson)),
            ("a.json", r#"{"config":{"testResults":1},"suites":[]}"#, Some(Format::PlaywrightJson)),
            ("a.json", r#"{"format":"json","data":[]}"#, Some(Format::Json)),
            ("a.json", r#"{"data":1,"testResults":[]}"#, Some(Format::JestJson)),
            ("a.json", r#"{"format":"json","a":{"data":[]}}"#, None),
        ];
        for (name, head, expected) in cases {
            assert_eq!(
                Format::detect(Some(Path::new(name)), head.as_bytes()),
                *expected,
                "{name} {head}"
            );
        }
    }
}
