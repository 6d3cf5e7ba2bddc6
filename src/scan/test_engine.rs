//! Test Engine's own JSON: an array of records, one a result.
//!
//! The rules are those of the service's page "Importing JSON": it validates record by record and
//! skips what it cannot take, so a record's faults are warnings.

use std::io::{self, Read};

use serde::de::{MapAccess, SeqAccess};

use super::cut::{JsonCutter, Merge};
use super::json::{Cursor, Parsed};
use super::results::{Outcome, end_of_scan, root_array, unit};
use super::shape::{Kind, Of, Shape, Word};
use super::{Options, Scan, names};
use crate::finding::{Code, Findings, Severity};
use crate::format::{Format, HEAD};

/// How many faults of one record are reported; a record may hold thousands of spans.
const FAULTS_PER_RECORD: usize = 8;

/// Scans an array of Test Engine records.
///
/// # Errors
/// What reading the source gives. What is wrong with the document is a finding.
pub fn scan(source: impl Read, options: Options) -> io::Result<Scan> {
    if options.lint_names {
        scan_records::<true>(source, options)
    } else {
        scan_records::<false>(source, options)
    }
}

/// The lint costs nothing where it is not wanted: it is compiled out.
fn scan_records<const LINT: bool>(source: impl Read, options: Options) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut cutter = JsonCutter::new(options.limits);
    let extent = Cursor::new(source, &mut findings).document(|cursor| {
        // Of objects, what collectors send alone is told to be of this format.
        if cursor.peek()? == Some(b'{')
            && Format::detect(None, cursor.ahead(HEAD)?) == Some(Format::Json)
        {
            return Err(cursor.wrong_shape(
                "what a collector sends, where its array of records is expected: give what is in \"data\" alone",
            ));
        }
        root_array(cursor, &mut cutter, |cursor, cutter| {
            unit(cursor, cutter, |cursor| {
                let Parsed { value: Of(record), offset } = cursor.value::<Of<Record<LINT>>>()?;
                let outcome = match record.result.text.as_str() {
                    "failed" => Outcome::Failed,
                    "skipped" => Outcome::Skipped,
                    _ => Outcome::Passed,
                };
                for fault in record.into_faults() {
                    cursor.report(fault.code, offset, &fault.field, &|| fault.message.clone());
                }
                Ok(outcome.count())
            })
        })
    })?;
    cutter.close_array();
    Ok(end_of_scan(findings, cutter, extent, Merge::Inner))
}

/// What is wrong with a record.
#[derive(Debug)]
struct Fault {
    code: Code,
    /// The field, as a path from the record.
    field: String,
    message: String,
}

/// Collects the faults of one record.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, code: Code, field: impl Into<String>, message: impl Into<String>) {
        // The first error is the one that matters most, however many warnings come before it.
        let is_first_error = || {
            code.severity() == Severity::Error
                && !self.0.iter().any(|fault| fault.code.severity() == Severity::Error)
        };
        if self.0.len() < FAULTS_PER_RECORD || is_first_error() {
            self.0.push(Fault { code, field: field.into(), message: message.into() });
        }
    }

    /// The key that `object` has twice, if any.
    fn refuse(&mut self, twice: Option<String>, object: &str) {
        let Some(key) = twice else { return };
        let field = if object.is_empty() { key.clone() } else { format!("{object}.{key}") };
        self.add(Code::JsonDuplicateKey, field, format!("the key {key:?} twice in an object"));
    }

    /// A field that must be there, with a value of one of these types.
    fn require(&mut self, kind: Kind, expected: Kind, field: &str, in_what: &str) {
        if kind == expected {
            return;
        }
        if matches!(kind, Kind::Missing | Kind::Null | Kind::EmptyText) {
            let message = format!("{in_what} without \"{}\"", last_key(field));
            self.add(Code::ResultsMissingField, field, message);
        } else {
            let message = format!("{} where {} is expected", kind.as_str(), expected.as_str());
            self.add(Code::ResultsWrongType, field, message);
        }
    }

    /// A field that may be left out.
    fn allow(&mut self, kind: Kind, expected: Kind, field: &str) {
        if !matches!(kind, Kind::Missing | Kind::Null | Kind::EmptyText) {
            self.require(kind, expected, field, "a record");
        }
    }
}

fn last_key(field: &str) -> &str {
    field.rsplit_once('.').map_or(field, |(_, key)| key)
}

#[derive(Debug, Default)]
struct Record<const LINT: bool> {
    kind: Kind,
    name: Name<LINT>,
    scope: Name<LINT>,
    location: Name<LINT>,
    result: Word,
    history: History,
    failure_expanded: Kind,
    tags: Kind,
    twice: Option<String>,
}

impl<const LINT: bool> Shape for Record<LINT> {
    const IS_UNIQUE: bool = true;

    fn number(key: &str) -> Option<u8> {
        match key {
            "id" => Some(0),
            "scope" => Some(1),
            "name" => Some(2),
            "location" => Some(3),
            "file_name" => Some(4),
            "result" => Some(5),
            "failure_reason" => Some(6),
            "failure_expanded" => Some(7),
            "history" => Some(8),
            "tags" => Some(9),
            "identifier" => Some(10),
            _ => None,
        }
    }

    fn twice(&mut self, key: &str) {
        self.twice.get_or_insert_with(|| key.to_owned());
    }

    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = object.next_value::<Of<_>>()?.0,
            "scope" if LINT => self.scope = object.next_value::<Of<_>>()?.0,
            "location" if LINT => self.location = object.next_value::<Of<_>>()?.0,
            "result" => self.result = object.next_value::<Of<_>>()?.0,
            "history" => self.history = object.next_value::<Of<_>>()?.0,
            "failure_expanded" => self.failure_expanded = object.next_value::<Of<_>>()?.0,
            "tags" => self.tags = object.next_value::<Of<_>>()?.0,
            _ => drop(object.next_value::<serde::de::IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<const LINT: bool> Record<LINT> {
    fn into_faults(self) -> Vec<Fault> {
        let mut faults = Faults::default();
        if self.kind != Kind::Object {
            let message = format!("{} where a record is expected", self.kind.as_str());
            faults.add(Code::ResultsWrongType, "", message);
            return faults.0;
        }
        faults.refuse(self.twice, "");
        faults.refuse(self.history.twice, "history");
        faults.require(self.name.kind, Kind::Text, "name", "a record");
        faults.allow(self.result.kind, Kind::Text, "result");
        faults.allow(self.failure_expanded, Kind::Array, "failure_expanded");
        faults.allow(self.tags, Kind::Object, "tags");
        let result = self.result.text;
        if !matches!(result.as_str(), "" | "passed" | "failed" | "skipped" | "unknown") {
            faults.add(Code::ResultsUnknownOutcome, "result", format!("result is {result:?}"));
        }
        faults.require(self.history.kind, Kind::Object, "history", "a record");
        if self.history.kind == Kind::Object {
            faults.require(self.history.start_at, Kind::Number, "history.start_at", "a history");
            faults.require(self.history.duration, Kind::Number, "history.duration", "a history");
            faults.allow(self.history.children.kind, Kind::Array, "history.children");
            for Fault { code, field, message } in self.history.children.faults.0 {
                faults.add(code, field, message);
            }
        }
        let names = [("name", self.name), ("scope", self.scope), ("location", self.location)];
        for (field, name) in names {
            if let Some(part) = name.unstable {
                faults.add(Code::ResultsUnstableName, field, format!("the {field} holds {part}"));
            }
        }
        faults.0
    }
}

/// A text that tells a test from others.
#[derive(Debug, Default)]
struct Name<const LINT: bool> {
    kind: Kind,
    /// What in it changes from run to run.
    unstable: Option<String>,
}

impl<const LINT: bool> Shape for Name<LINT> {
    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn text(&mut self, text: &str) {
        if LINT {
            self.unstable = names::unstable(text.as_bytes());
        }
    }
}

#[derive(Debug, Default)]
struct History {
    kind: Kind,
    start_at: Kind,
    duration: Kind,
    children: Spans,
    twice: Option<String>,
}

impl Shape for History {
    const IS_UNIQUE: bool = true;

    fn number(key: &str) -> Option<u8> {
        match key {
            "section" => Some(0),
            "start_at" => Some(1),
            "end_at" => Some(2),
            "duration" => Some(3),
            "detail" => Some(4),
            "children" => Some(5),
            _ => None,
        }
    }

    fn twice(&mut self, key: &str) {
        self.twice.get_or_insert_with(|| key.to_owned());
    }

    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "start_at" => self.start_at = object.next_value::<Of<_>>()?.0,
            "duration" => self.duration = object.next_value::<Of<_>>()?.0,
            "children" => self.children = object.next_value::<Of<_>>()?.0,
            _ => drop(object.next_value::<serde::de::IgnoredAny>()?),
        }
        Ok(())
    }
}

/// The spans of a history: checked one by one and not kept.
#[derive(Debug, Default)]
struct Spans {
    kind: Kind,
    faults: Faults,
}

impl Shape for Spans {
    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn elements<'de, A: SeqAccess<'de>>(&mut self, array: &mut A) -> Result<(), A::Error> {
        let mut index = 0_u64;
        while let Some(Of(span)) = array.next_element::<Of<Span>>()? {
            span.check(index, &mut self.faults);
            index += 1;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Span {
    kind: Kind,
    section: Word,
    duration: Kind,
    detail: Detail,
    twice: Option<String>,
}

impl Shape for Span {
    const IS_UNIQUE: bool = true;

    fn number(key: &str) -> Option<u8> {
        History::number(key)
    }

    fn twice(&mut self, key: &str) {
        self.twice.get_or_insert_with(|| key.to_owned());
    }

    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "section" => self.section = object.next_value::<Of<_>>()?.0,
            "duration" => self.duration = object.next_value::<Of<_>>()?.0,
            "detail" => self.detail = object.next_value::<Of<_>>()?.0,
            _ => drop(object.next_value::<serde::de::IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Span {
    fn check(mut self, index: u64, faults: &mut Faults) {
        if self.twice.is_some() || self.detail.twice.is_some() {
            let path = format!("history.children[{index}]");
            faults.refuse(self.twice.take(), &path);
            faults.refuse(self.detail.twice.take(), &format!("{path}.detail"));
        }
        let detail = &self.detail;
        let required: &[(&str, Kind)] = match self.section.text.as_str() {
            "http" => &[("method", detail.method), ("url", detail.url), ("lib", detail.lib)],
            "sql" => &[("query", detail.query)],
            "annotation" => &[("content", detail.content)],
            _ => &[],
        };
        let is_known =
            matches!(self.section.text.as_str(), "http" | "sql" | "sleep" | "annotation");
        let is_complete =
            required.iter().all(|(_, kind)| matches!(kind, Kind::Text | Kind::EmptyText));
        if is_known && is_complete && self.duration == Kind::Number {
            return;
        }
        let path = format!("history.children[{index}]");
        if self.kind != Kind::Object {
            let message = format!("{} where a span is expected", self.kind.as_str());
            faults.add(Code::ResultsWrongType, path, message);
            return;
        }
        if self.section.kind == Kind::Text && !is_known {
            let message =
                format!("section {:?} is not http, sql, sleep or annotation", self.section.text);
            faults.add(Code::ResultsWrongType, format!("{path}.section"), message);
        } else {
            faults.require(self.section.kind, Kind::Text, &format!("{path}.section"), "a span");
        }
        faults.require(self.duration, Kind::Number, &format!("{path}.duration"), "a span");
        for (key, kind) in required {
            if *kind != Kind::EmptyText {
                faults.require(
                    *kind,
                    Kind::Text,
                    &format!("{path}.detail.{key}"),
                    "a span's detail",
                );
            }
        }
    }
}

#[derive(Debug, Default)]
struct Detail {
    method: Kind,
    url: Kind,
    lib: Kind,
    query: Kind,
    content: Kind,
    twice: Option<String>,
}

impl Shape for Detail {
    const IS_UNIQUE: bool = true;

    fn number(key: &str) -> Option<u8> {
        match key {
            "method" => Some(0),
            "url" => Some(1),
            "lib" => Some(2),
            "query" => Some(3),
            "content" => Some(4),
            _ => None,
        }
    }

    fn twice(&mut self, key: &str) {
        self.twice.get_or_insert_with(|| key.to_owned());
    }

    fn kind(&mut self, _: Kind) {}

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        let kind = object.next_value::<Of<Kind>>()?.0;
        match key {
            "method" => self.method = kind,
            "url" => self.url = kind,
            "lib" => self.lib = kind,
            "query" => self.query = kind,
            "content" => self.content = kind,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Counts;
    use crate::scan::cut::Limits;

    const UNLIMITED: Options =
        Options { limits: Limits { results: u64::MAX, bytes: u64::MAX }, lint_names: false };

    fn findings(text: &str) -> Vec<(Code, String)> {
        let scan = scan(text.as_bytes(), UNLIMITED).unwrap();
        let listed = scan.findings.listed().iter();
        listed
            .map(|f| (f.code, f.place.as_ref().map_or_else(String::new, |p| p.path.clone())))
            .collect()
    }

    /// A source that gives a byte at a time.
    struct ByteByByte<'a>(&'a [u8]);

    impl Read for ByteByByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_how_much_is_read_at_once() {
        for (document, code) in [
            (&b"{\"format\":\"json\",\"data\":[]}"[..], Code::JsonWrongShape),
            (b"[x \xFF]", Code::JsonInvalidUtf8),
        ] {
            let whole = scan(document, UNLIMITED).unwrap();
            assert!(whole.findings.counts().contains_key(&code), "{:?}", whole.findings);
            let stepped = scan(ByteByByte(document), UNLIMITED).unwrap();
            assert_eq!(stepped.findings, whole.findings);
        }
    }

    #[test]
    fn takes_a_record_with_all_its_fields() {
        let text = r#"[{"id":"1","scope":"a","name":"b","location":"c:1","file_name":"c","result":"failed",
            "failure_reason":"r","failure_expanded":[{"expanded":["x"],"backtrace":["y"]}],"tags":{"a":"b"},
            "history":{"start_at":1.5,"end_at":2,"duration":0.5,"children":[
              {"section":"http","duration":1,"detail":{"method":"GET","url":"/","lib":"l"}},
              {"section":"sql","duration":1,"detail":{"query":"q"}},
              {"section":"sleep","duration":1},
              {"section":"annotation","duration":1,"detail":{"content":""}}]}}]"#;
        assert_eq!(findings(text), []);
        let counts = scan(text.as_bytes(), UNLIMITED).unwrap().counts;
        assert_eq!(counts, Counts { results: 1, failures: 1, errors: 0, skipped: 0 });
    }

    #[test]
    fn a_key_twice_in_what_the_service_reads_is_an_error() {
        let record = |fields: &str| format!(r#"[{{"name":"a",{fields}}}]"#);
        let history =
            |fields: &str| record(&format!(r#""history":{{"start_at":1,"duration":1,{fields}}}"#));
        let span = r#"{"section":"sql","duration":1,"detail":{"query":"q","query":"r"}}"#;
        let cases = [
            (record(r#""n\u0061me":"b","history":{"start_at":1,"duration":1}"#), "[0].name"),
            (record(r#""x":1,"history":{"start_at":1,"duration":1},"x":2"#), "[0].x"),
            (history(r#""end_at":1,"end_at":1"#), "[0].history.end_at"),
            (
                history(r#""children":[{"section":"sleep","duration":1,"duration":2}]"#),
                "[0].history.children[0].duration",
            ),
            (history(&format!(r#""children":[{span}]"#)), "[0].history.children[0].detail.query"),
        ];
        for (text, path) in cases {
            assert_eq!(findings(&text), [(Code::JsonDuplicateKey, path.to_owned())], "{text}");
        }
        // The parsers take the last one, and so may the service.
        let text =
            r#""tags":{"a":"b","a":"c"},"x":[{"a":1,"a":2}],"history":{"start_at":1,"duration":1}"#;
        assert_eq!(findings(&record(text)), []);
    }

    #[test]
    fn an_error_is_not_lost_among_a_records_warnings() {
        let spans = r#"{"section":"x"},"#.repeat(100);
        let history =
            format!(r#"{{"start_at":1,"duration":1,"children":[{spans}{{"a":1,"a":2}}]}}"#);
        let found = findings(&format!(r#"[{{"name":"a","history":{history}}}]"#));
        assert_eq!(found.iter().filter(|(code, _)| *code == Code::JsonDuplicateKey).count(), 1);
    }

    #[test]
    fn a_record_with_half_a_million_keys_takes_linear_time() {
        let fields: Vec<_> = (0..500_000).map(|key| format!(r#""{key}":1,"#)).collect();
        let fields = fields.concat();
        let text = format!(r#"[{{{fields}"name":"a","history":{{"start_at":1,"duration":1}}}}]"#);
        assert_eq!(findings(&text), []);
        let text = text.replace(r#""499999""#, r#""0""#);
        assert_eq!(findings(&text), [(Code::JsonDuplicateKey, "[0].0".to_owned())]);
    }

    #[test]
    fn names_are_looked_at_when_that_is_asked_for() {
        let history = r#""history":{"start_at":1,"duration":1}"#;
        let text = format!(
            r#"[{{"name":"at 0x7f8a1c2d3e40","scope":"/tmp/a","location":"a.rb:1",{history}}}]"#
        );
        assert_eq!(findings(&text), []);
        let lint = Options { lint_names: true, ..UNLIMITED };
        let scan = scan(text.as_bytes(), lint).unwrap();
        let found: Vec<_> = scan.findings.listed().iter().map(|f| f.message.as_str()).collect();
        let expected = [
            "the name holds an address (0x7f8a1c2d3e40)",
            "the scope holds the path of a temporary file (/tmp/a)",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_envelope_is_named() {
        let text = r#"{"format":"json","data":[]}"#;
        assert_eq!(findings(text), [(Code::JsonWrongShape, String::new())]);
    }

    #[test]
    fn names_what_the_service_would_skip_a_record_for() {
        use Code::*;
        let cases: &[(&str, &[(Code, &str)])] = &[
            ("{}", &[(ResultsMissingField, "[0].name"), (ResultsMissingField, "[0].history")]),
            ("1", &[(ResultsWrongType, "[0]")]),
            (
                r#"{"name":1,"history":{"start_at":1,"duration":1}}"#,
                &[(ResultsWrongType, "[0].name")],
            ),
            (
                r#"{"name":"","history":{"start_at":1,"duration":1}}"#,
                &[(ResultsMissingField, "[0].name")],
            ),
            (r#"{"name":"a","history":[]}"#, &[(ResultsWrongType, "[0].history")]),
            (
                r#"{"name":"a","history":{"start_at":"1"}}"#,
                &[
                    (ResultsWrongType, "[0].history.start_at"),
                    (ResultsMissingField, "[0].history.duration"),
                ],
            ),
            (
                r#"{"name":"a","result":"success","history":{"start_at":1,"duration":1}}"#,
                &[(ResultsUnknownOutcome, "[0].result")],
            ),
            (
                r#"{"name":"a","history":{"start_at":1,"duration":1,"children":[{"section":"sql","duration":1}]}}"#,
                &[(ResultsMissingField, "[0].history.children[0].detail.query")],
            ),
            (
                r#"{"name":"a","history":{"start_at":1,"duration":1,"children":[{"section":"gql","duration":1}]}}"#,
                &[(ResultsWrongType, "[0].history.children[0].section")],
            ),
        ];
        for (record, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(code, path)| (*code, (*path).to_owned())).collect();
            assert_eq!(findings(&format!("[{record}]")), expected, "{record}");
        }
    }
}
