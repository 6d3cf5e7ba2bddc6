//! Test Engine's own JSON: an array of records, one a result.
//!
//! The rules are those of the service's page "Importing JSON": it validates record by record and
//! skips what it cannot take, so a record's faults are warnings.

use std::borrow::Cow;
use std::io::{self, Read};

use super::ahead::Ahead;
use super::cut::{JsonCutter, Merge};
use super::json::{Cursor, Parsed};
use super::markup::shown;
use super::results::{Outcome, end_of_scan, root_array, unit};
use super::value::{Kind, Reader, Text};
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
        scan_records::<true>(source, options, Ahead::new())
    } else {
        scan_records::<false>(source, options, Ahead::new())
    }
}

/// The lint costs nothing where it is not wanted: it is compiled out.
fn scan_records<const LINT: bool>(
    source: impl Read,
    options: Options,
    mut ahead: Ahead<(Outcome, Faults)>,
) -> io::Result<Scan> {
    let mut findings = Findings::default();
    let mut cutter = JsonCutter::new(options.limits);
    let extent = Cursor::new(source, &mut findings).document(|cursor| {
        // Of objects, what collectors send alone is told to be of this format.
        cursor.require(HEAD)?;
        if cursor.peek()? == Some(b'{')
            && Format::detect(None, cursor.unread()) == Some(Format::Json)
        {
            return Err(cursor.wrong_shape(
                "what a collector sends, where its array of records is expected: give what is in \"data\" alone",
            ));
        }
        root_array(cursor, &mut cutter, |cursor, cutter| {
            unit(cursor, cutter, |cursor| {
                let Parsed { value: (outcome, faults), offset } =
                    ahead.value(cursor, record::<LINT>)?;
                for fault in faults.0 {
                    cursor.report(fault.code, offset, &fault.field, &|| fault.message());
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
    field: Cow<'static, str>,
    what: What,
}

/// What a fault is, put into words only where it is listed: a million records may have the same.
#[derive(Debug)]
enum What {
    /// This has no such field.
    Without(&'static str),
    Instead {
        found: Kind,
        expected: Kind,
    },
    Other(String),
}

impl Fault {
    fn message(&self) -> String {
        match &self.what {
            What::Without(whole) => format!("{whole} without \"{}\"", last_key(&self.field)),
            What::Instead { found, expected } => {
                format!("{} where {} is expected", found.as_str(), expected.as_str())
            }
            What::Other(message) => message.clone(),
        }
    }
}

/// Collects the faults of one record.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, code: Code, field: impl Into<Cow<'static, str>>, message: String) {
        self.push(Fault { code, field: field.into(), what: What::Other(message) });
    }

    fn push(&mut self, fault: Fault) {
        // The first error is the one that matters most, however many warnings come before it.
        let is_first_error = || {
            fault.code.severity() == Severity::Error
                && !self.0.iter().any(|fault| fault.code.severity() == Severity::Error)
        };
        if self.0.len() < FAULTS_PER_RECORD || is_first_error() {
            self.0.push(fault);
        }
    }

    /// Adds those of a part of the record.
    fn append(&mut self, more: Self) {
        for fault in more.0 {
            self.push(fault);
        }
    }

    /// The key that `object` has twice, if any.
    fn refuse(&mut self, twice: Option<String>, object: &str) {
        let Some(key) = twice else { return };
        let field = if object.is_empty() { key.clone() } else { format!("{object}.{key}") };
        self.add(Code::JsonDuplicateKey, field, format!("the key {key:?} twice in an object"));
    }

    /// A field of `whole` that must be there, with a value of this type.
    fn require(
        &mut self,
        found: Kind,
        expected: Kind,
        field: impl Into<Cow<'static, str>>,
        whole: &'static str,
    ) {
        if found == expected {
            return;
        }
        let (code, what) = match found {
            Kind::Missing | Kind::Null | Kind::EmptyText => {
                (Code::ResultsMissingField, What::Without(whole))
            }
            _ => (Code::ResultsWrongType, What::Instead { found, expected }),
        };
        self.push(Fault { code, field: field.into(), what });
    }

    /// A field that may be left out.
    fn allow(&mut self, found: Kind, expected: Kind, field: &'static str) {
        if !matches!(found, Kind::Missing | Kind::Null | Kind::EmptyText) {
            self.require(found, expected, field, "a record");
        }
    }
}

fn last_key(field: &str) -> &str {
    field.rsplit_once('.').map_or(field, |(_, key)| key)
}

/// Reads a record: how it ended, and what is wrong with it.
fn record<const LINT: bool>(reader: &mut Reader<'_>) -> (Outcome, Faults) {
    let mut faults = Faults::default();
    let mut record = Record::default();
    let mut unstable = Faults::default();
    let mut lint = |field, value: &Text<'_>| {
        if LINT && let Some(part) = names::unstable(&value.bytes) {
            unstable.add(Code::ResultsUnstableName, field, format!("the {field} holds {part}"));
        }
    };
    let (kind, twice) = reader.object_of_unique(number_in_record, |key, value| match key {
        b"name" => {
            let name = value.text();
            lint("name", &name);
            record.name = name.kind;
        }
        b"scope" if LINT => lint("scope", &value.text()),
        b"location" if LINT => lint("location", &value.text()),
        b"result" => record.result = value.text(),
        b"history" => record.history = history(value),
        b"failure_expanded" => record.failure_expanded = value.kind(),
        b"tags" => record.tags = value.kind(),
        _ => value.skip(),
    });
    if kind != Kind::Object {
        let message = format!("{} where a record is expected", kind.as_str());
        faults.add(Code::ResultsWrongType, "", message);
        return (Outcome::Passed, faults);
    }
    let Record { name, result, history, failure_expanded, tags } = record;
    faults.refuse(twice, "");
    faults.refuse(history.twice, "history");
    faults.require(name, Kind::Text, "name", "a record");
    faults.allow(result.kind, Kind::Text, "result");
    faults.allow(failure_expanded, Kind::Array, "failure_expanded");
    faults.allow(tags, Kind::Object, "tags");
    let outcome = match &*result.bytes {
        b"failed" => Outcome::Failed,
        b"skipped" => Outcome::Skipped,
        b"" | b"passed" | b"unknown" => Outcome::Passed,
        other => {
            let message = format!("result is \"{}\"", shown(other));
            faults.add(Code::ResultsUnknownOutcome, "result", message);
            Outcome::Passed
        }
    };
    faults.require(history.kind, Kind::Object, "history", "a record");
    if history.kind == Kind::Object {
        faults.require(history.start_at, Kind::Number, "history.start_at", "a history");
        faults.require(history.duration, Kind::Number, "history.duration", "a history");
        faults.allow(history.children, Kind::Array, "history.children");
    }
    faults.append(history.of_spans);
    faults.append(unstable);
    (outcome, faults)
}

/// What is of interest in a record.
#[derive(Debug, Default)]
struct Record<'a> {
    name: Kind,
    result: Text<'a>,
    history: History,
    failure_expanded: Kind,
    tags: Kind,
}

/// Keys that records usually have.
fn number_in_record(key: &[u8]) -> Option<u8> {
    match key {
        b"id" => Some(0),
        b"scope" => Some(1),
        b"name" => Some(2),
        b"location" => Some(3),
        b"file_name" => Some(4),
        b"result" => Some(5),
        b"failure_reason" => Some(6),
        b"failure_expanded" => Some(7),
        b"history" => Some(8),
        b"tags" => Some(9),
        b"identifier" => Some(10),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct History {
    kind: Kind,
    start_at: Kind,
    duration: Kind,
    children: Kind,
    twice: Option<String>,
    /// What is wrong with its spans.
    of_spans: Faults,
}

fn history(reader: &mut Reader<'_>) -> History {
    let mut history = History::default();
    (history.kind, history.twice) =
        reader.object_of_unique(number_in_history, |key, value| match key {
            b"start_at" => history.start_at = value.kind(),
            b"duration" => history.duration = value.kind(),
            b"children" => {
                let mut index = 0_u64;
                history.children = value.array(|value| {
                    span(value, index, &mut history.of_spans);
                    index += 1;
                });
            }
            _ => value.skip(),
        });
    history
}

/// Keys that histories and their spans usually have.
fn number_in_history(key: &[u8]) -> Option<u8> {
    match key {
        b"section" => Some(0),
        b"start_at" => Some(1),
        b"end_at" => Some(2),
        b"duration" => Some(3),
        b"detail" => Some(4),
        b"children" => Some(5),
        _ => None,
    }
}

/// Checks the span with this index in its history.
fn span(reader: &mut Reader<'_>, index: u64, faults: &mut Faults) {
    let mut section = Text::default();
    let mut duration = Kind::Missing;
    let mut detail = Detail::default();
    let (kind, twice) = reader.object_of_unique(number_in_history, |key, value| match key {
        b"section" => section = value.text(),
        b"duration" => duration = value.kind(),
        b"detail" => detail = Detail::read(value),
        _ => value.skip(),
    });
    let required: &[(&str, Kind)] = match &*section.bytes {
        b"http" => &[("method", detail.method), ("url", detail.url), ("lib", detail.lib)],
        b"sql" => &[("query", detail.query)],
        b"annotation" => &[("content", detail.content)],
        _ => &[],
    };
    let is_text = |kind| matches!(kind, Kind::Text | Kind::EmptyText);
    let is_known = matches!(&*section.bytes, b"http" | b"sql" | b"sleep" | b"annotation");
    let is_unique = twice.is_none() && detail.twice.is_none();
    let is_complete = required.iter().all(|(_, kind)| is_text(*kind));
    if is_unique && is_known && is_complete && duration == Kind::Number {
        return;
    }
    let path = format!("history.children[{index}]");
    if kind != Kind::Object {
        let message = format!("{} where a span is expected", kind.as_str());
        faults.add(Code::ResultsWrongType, path, message);
        return;
    }
    faults.refuse(twice, &path);
    faults.refuse(detail.twice, &format!("{path}.detail"));
    if section.kind == Kind::Text && !is_known {
        let message =
            format!("section \"{}\" is not http, sql, sleep or annotation", shown(&section.bytes));
        faults.add(Code::ResultsWrongType, format!("{path}.section"), message);
    } else {
        faults.require(section.kind, Kind::Text, format!("{path}.section"), "a span");
    }
    faults.require(duration, Kind::Number, format!("{path}.duration"), "a span");
    for (key, kind) in required.iter().filter(|(_, kind)| *kind != Kind::EmptyText) {
        faults.require(*kind, Kind::Text, format!("{path}.detail.{key}"), "a span's detail");
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

impl Detail {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut detail = Self::default();
        (_, detail.twice) = reader.object_of_unique(Self::number, |key, value| match key {
            b"method" => detail.method = value.kind(),
            b"url" => detail.url = value.kind(),
            b"lib" => detail.lib = value.kind(),
            b"query" => detail.query = value.kind(),
            b"content" => detail.content = value.kind(),
            _ => value.skip(),
        });
        detail
    }

    fn number(key: &[u8]) -> Option<u8> {
        match key {
            b"method" => Some(0),
            b"url" => Some(1),
            b"lib" => Some(2),
            b"query" => Some(3),
            b"content" => Some(4),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// What comes out of a document, read ahead in blocks of this size.
    fn scan_ahead(text: &[u8], limits: Limits, block: usize) -> Scan {
        let options = Options { limits, ..UNLIMITED };
        scan_records::<false>(text, options, Ahead::of_block(block)).unwrap()
    }

    /// Records, some with records in them, with faults, or in other words than the first.
    fn any_document() -> impl Strategy<Value = String> {
        let history = r#""history":{"start_at":1,"duration":1"#;
        let record = move |text: String, children: Vec<String>| {
            let children = children.join(", ");
            format!(r#"{{"name":"{text}",{history},"children":[{children}]}}}}"#)
        };
        let text = r#"(a|é|,\\"|\}, \{\\"name\\":|\\ud83d|\\\\){0,4}"#;
        let leaf = prop_oneof![
            Just(r#"{"name":"b"}"#.to_owned()),
            Just("[1, {}]".to_owned()),
            Just(r#"{ "name" : 1 }"#.to_owned()),
            (text).prop_map(move |text| record(text, Vec::new())),
        ];
        let value = leaf.prop_recursive(3, 24, 4, move |inner| {
            (text, prop::collection::vec(inner, 0..4))
                .prop_map(move |(text, children)| record(text, children))
        });
        let between = prop::sample::select(vec![",", ", ", "\n,\n  ", " ,"]);
        (prop::collection::vec(value, 0..40), between)
            .prop_map(|(records, between)| format!("[{}]\n", records.join(between)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_is_read_ahead_is_what_is_read_one_by_one(
            text in any_document(),
            cut in prop::option::of(any::<prop::sample::Index>()),
            broken in prop::option::of(any::<prop::sample::Index>()),
            block in 1_usize..600,
            results in 1_u64..20,
        ) {
            let mut text = text.into_bytes();
            if let Some(at) = broken {
                let at = at.index(text.len());
                text[at] = b'}';
            }
            text.truncate(cut.map_or(text.len(), |at| at.index(text.len())));
            let limits = Limits { results, bytes: 2000 };
            let shown = String::from_utf8_lossy(&text);
            prop_assert_eq!(
                scan_ahead(&text, limits, block), scan_ahead(&text, limits, 0), "{}", shown
            );
        }
    }
}
