//! What must always hold for a plan, over generated documents, the fixtures and the corpus:
//! every result in exactly one upload, in order, its bytes unchanged; each upload a document that
//! the scan and other parsers take, within the limits, its counts its own; a plan of it is itself.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bktec_upload::finding::Severity;
use bktec_upload::format::{Format, HEAD};
use bktec_upload::plan::{self, Packing, PlannedFile, Upload};
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Scan};
use bktec_upload::spool::{Region, Spool};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::corpus;
use crate::harness::has_program;

pub const UNLIMITED: Limits = Limits { results: u64::MAX, bytes: u64::MAX };

/// Documents in a spool, scanned for these limits.
struct Scanned {
    format: Format,
    region: Region,
    scan: Scan,
}

fn scanned(documents: &[(Format, Vec<u8>)], limits: Limits) -> Vec<Scanned> {
    let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
    let documents = documents.iter().map(|(format, content)| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let region = spool.append(b"", Some(&file)).unwrap();
        let scan = scan::scan(*format, region.reader(), limits).unwrap();
        Scanned { format: *format, region, scan }
    });
    documents.collect()
}

fn planned(files: &[Scanned], limits: Limits, packing: Packing) -> Vec<Upload> {
    let files = files.iter().enumerate().map(|(index, file)| PlannedFile {
        index,
        file_name: format!("{index}.{}", file.format.extension()),
        format: file.format,
        region: &file.region,
        scan: &file.scan,
    });
    plan::plan(&files.collect::<Vec<_>>(), limits, packing)
}

pub fn content(upload: &Upload) -> Vec<u8> {
    let mut content = Vec::new();
    upload.write_to(&mut content).unwrap();
    assert_eq!(content.len() as u64, upload.length());
    content
}

/// The outermost results of a document, byte for byte, as another parser cuts them out.
pub fn results(format: Format, content: &[u8]) -> Vec<Vec<u8>> {
    if format != Format::Junit {
        return json_results(format, &serde_json::from_slice(content).unwrap());
    }
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let text = std::str::from_utf8(content).unwrap();
    let mut reader = Reader::from_str(text);
    let (mut results, mut depth, mut start) = (Vec::new(), 0, 0);
    loop {
        let before = usize::try_from(reader.buffer_position()).unwrap();
        let event = reader.read_event().unwrap();
        let after = usize::try_from(reader.buffer_position()).unwrap();
        let is_result = |name: quick_xml::name::QName<'_>| name.local_name().as_ref() == "testcase";
        match event {
            Event::Empty(tag) if is_result(tag.name()) && depth == 0 => {
                results.push(content[before..after].to_vec());
            }
            Event::Start(tag) if is_result(tag.name()) => {
                if depth == 0 {
                    start = before;
                }
                depth += 1;
            }
            Event::End(tag) if is_result(tag.name()) => {
                depth -= 1;
                if depth == 0 {
                    results.push(content[start..after].to_vec());
                }
            }
            Event::Eof => return results,
            _ => {}
        }
    }
}

fn json_results(format: Format, root: &serde_json::Value) -> Vec<Vec<u8>> {
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let results: Vec<serde_json::Value> = match format {
        Format::Json => list(root),
        Format::RspecJson => list(&root["examples"]),
        Format::JestJson => list(&root["testResults"])
            .iter()
            .flat_map(|file| list(&file["assertionResults"]))
            .collect(),
        Format::PlaywrightJson => list(&root["suites"]),
        Format::CucumberJson => {
            list(root).iter().flat_map(|file| list(&file["elements"])).collect()
        }
        Format::Junit => unreachable!(),
    };
    results.iter().map(|result| result.to_string().into_bytes()).collect()
}

/// Suite-level output, which must go exactly once.
fn outputs(content: &[u8]) -> usize {
    memchr::memmem::find_iter(content, b"<system-out").count()
}

/// Checks all that must hold for a plan of these documents; gives the uploads' contents.
fn check(
    documents: &[(Format, Vec<u8>)],
    limits: Limits,
    packing: Packing,
) -> Vec<(Format, Vec<u8>)> {
    let files = scanned(documents, limits);
    let uploads = planned(&files, limits, packing);
    let contents: Vec<_> = uploads.iter().map(|upload| (upload.format, content(upload))).collect();
    for format in Format::ALL {
        let of_format = |list: &[(Format, Vec<u8>)]| -> Vec<Vec<u8>> {
            list.iter().filter(|(f, _)| *f == format).flat_map(|(f, c)| results(*f, c)).collect()
        };
        let (given, sent) = (of_format(documents), of_format(&contents));
        assert!(given == sent, "{format}: the results differ");
    }
    let all = |list: &[(Format, Vec<u8>)]| list.iter().map(|(_, c)| outputs(c)).sum::<usize>();
    assert_eq!(all(documents), all(&contents), "output goes exactly once");

    for (upload, (format, content)) in uploads.iter().zip(&contents) {
        let shown = String::from_utf8_lossy(content);
        let scan = scan::scan(*format, content.as_slice(), UNLIMITED).unwrap();
        assert_eq!(scan.findings.count(Severity::Error), 0, "{:?}\n{shown}", scan.findings);
        assert_eq!(scan.counts.results, upload.results, "{shown}");
        assert!(scan.counts.results > 0, "an upload without results\n{shown}");
        let held: u64 = upload.sources.iter().map(|source| source.results).sum();
        assert_eq!(held, upload.results);
        // What cannot be cut may be beyond the limits; two results can be cut.
        let holds_results = |unit: &&Vec<u8>| {
            // One of Playwright's suites may hold none.
            *format != Format::PlaywrightJson || memchr::memmem::find(unit, b"\"status\"").is_some()
        };
        let units = results(*format, content).iter().filter(holds_results).count();
        if scan.counts.results > limits.results {
            assert!(units == 1, "{units} results in an upload of {limits:?}\n{shown}");
        }
    }
    // The same again is the same, and the uploads are planned as themselves.
    let again = planned(&scanned(documents, limits), limits, packing);
    assert!(again.iter().map(content_of).eq(contents.iter().map(|(_, c)| c.clone())));
    // What stands between results (comments, white space) is not looked ahead for, so it may make
    // an upload longer than the limit in bytes; as a file of its own it would then be cut.
    if contents.iter().any(|(_, content)| content.len() as u64 > limits.bytes) {
        return contents;
    }
    let uploads_again = planned(&scanned(&contents, limits), limits, packing);
    let same = uploads_again.iter().map(content_of).eq(contents.iter().map(|(_, c)| c.clone()));
    assert!(
        same,
        "a plan of the uploads is another: {} of {}",
        uploads_again.len(),
        contents.len()
    );
    contents
}

fn content_of(upload: &Upload) -> Vec<u8> {
    content(upload)
}

/// Counts a result for every suite around it.
fn add_one(open: &mut [(Option<u64>, u64)]) {
    for (_, count) in open {
        *count += 1;
    }
}

/// Each count of a suite is that of the results in it, as another parser sees them.
pub fn check_counts(content: &[u8]) {
    let text = std::str::from_utf8(content).unwrap();
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(Option<u64>, u64)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                if tag.name().as_ref() == "testcase" {
                    add_one(&mut open);
                }
                let tests = tag.try_get_attribute("tests").unwrap();
                open.push((tests.map(|tests| tests.value.parse().unwrap()), 0));
            }
            Event::Empty(tag) if tag.name().as_ref() == "testcase" => add_one(&mut open),
            Event::End(_) => {
                let (declared, count) = open.pop().unwrap();
                assert!(
                    declared.is_none_or(|declared| declared == count),
                    "{declared:?} {count}\n{text}"
                );
            }
            Event::Eof => return,
            _ => {}
        }
    }
}

/// Nested suites, output, properties, CDATA, comments, odd quotes and namespaces.
fn suite(depth: u32) -> BoxedStrategy<(u64, String)> {
    let case = prop_oneof![
        Just("<testcase name='a' classname=\"b\"/>".to_owned()),
        Just("<testcase classname='>' name='x'><failure message='&lt;'>t]]&gt;</failure></testcase>".to_owned()),
        Just("<testcase name='é' classname='c' time='0.25'>\n<skipped/><!-- </testcase> -->\n</testcase>".to_owned()),
        Just("<testcase name='o' classname='c'><system-err><![CDATA[<testcase>]]></system-err></testcase>".to_owned()),
    ]
    .prop_map(|text| (1, text));
    let other = prop_oneof![
        Just("<!-- <testsuite> -->".to_owned()),
        Just("\n  ".to_owned()),
        Just("<system-out><![CDATA[</testsuite>]]></system-out>".to_owned()),
        Just("<system-out>".to_owned() + &"y".repeat(300) + "</system-out>"),
        Just("<?pi >?>".to_owned()),
        Just("<properties><property name='p' value='v'/></properties>".to_owned()),
    ]
    .prop_map(|text| (0, text));
    let child = if depth == 0 {
        prop_oneof![3 => case, 2 => other].boxed()
    } else {
        prop_oneof![3 => case, 2 => other, 2 => suite(depth - 1)].boxed()
    };
    (prop::collection::vec(child, 0..7), 0..3_u8)
        .prop_map(|(children, attributes)| {
            let count: u64 = children.iter().map(|(count, _)| count).sum();
            let inner: String = children.into_iter().map(|(_, text)| text).collect();
            let attributes = match attributes {
                0 => String::new(),
                1 => format!(" name=\"s\" tests='{count}' time=\"1\"\n"),
                _ => format!(" time = '0.5' tests = \"{count}\" xmlns:x='urn:x' x:name='n'"),
            };
            (count, format!("<testsuite{attributes}>{inner}</testsuite>"))
        })
        .boxed()
}

pub fn document() -> impl Strategy<Value = (Format, Vec<u8>)> {
    (prop::collection::vec(suite(2), 1..4), 0..6_u8).prop_map(|(suites, root)| {
        let count: u64 = suites.iter().map(|(count, _)| count).sum();
        let inner: String = suites.iter().map(|(_, text)| text.as_str()).collect();
        let text = match root {
            0 => suites[0].1.clone(),
            1 => format!("<?xml version=\"1.0\"?>\n<testsuites tests=\"{count}\">{inner}</testsuites>\n<!-- end -->\n"),
            2 => format!("<testsuites xmlns:y='urn:y' tests='{count}'>\n{inner}\n</testsuites>"),
            3 => format!(
                "<?xml version='1.0'?><!DOCTYPE testsuites SYSTEM 'a'><testsuites tests='{count}'>{inner}</testsuites>"
            ),
            4 => format!(
                "<testsuites><properties><property name='r' value='v'/></properties>{inner}</testsuites>"
            ),
            _ => format!("\u{feff}<testsuites>{inner}</testsuites>"),
        };
        (Format::Junit, text.into_bytes())
    })
}

fn has_results((format, content): &(Format, Vec<u8>)) -> bool {
    scan::scan(*format, content.as_slice(), UNLIMITED).unwrap().counts.results > 0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_of_generated_documents_hold(
        documents in prop::collection::vec(document(), 1..4),
        max_results in 1..9_u64,
        max_bytes in prop_oneof![Just(u64::MAX), 200..2_000_u64],
        packing in prop_oneof![Just(Packing::On), Just(Packing::Off)],
    ) {
        let documents: Vec<_> = documents.into_iter().filter(has_results).collect();
        let limits = Limits { results: max_results, bytes: max_bytes };
        for (_, content) in check(&documents, limits, packing) {
            check_counts(&content);
        }
    }
}

#[test]
fn plans_of_the_fixtures_hold() {
    let mut documents = Vec::new();
    for folder in ["junit", "json"] {
        for entry in fs::read_dir(crate::fixtures::folder().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let content = fs::read(&path).unwrap();
            let format = Format::detect(Some(&path), &content[..content.len().min(HEAD)]).unwrap();
            documents.push((format, content));
        }
    }
    documents.sort_by(|one, other| one.1.cmp(&other.1));
    for results in [1, 2, 3, 4, 5, 7, 20, 5000] {
        for packing in [Packing::On, Packing::Off] {
            check(&documents, Limits { results, bytes: u64::MAX }, packing);
        }
    }
}

#[test]
fn every_junit_file_of_the_corpus_cut_at_every_limit_is_taken_by_libxml2_and_expat() {
    let Some(folder) = corpus::folder() else { return };
    let xmllint = has_program("xmllint", &["--version"]);
    let xmlwf = has_program("xmlwf", &["-v"]);
    let out = tempfile::tempdir().unwrap();
    let mut pieces = 0;
    for row in
        corpus::manifest(&folder).iter().filter(|row| row.format == "junit" && row.wellformed)
    {
        let document = (Format::Junit, fs::read(folder.join(&row.path)).unwrap());
        let scan = scan::scan(Format::Junit, document.1.as_slice(), UNLIMITED).unwrap();
        if scan.findings.count(Severity::Error) > 0 {
            continue;
        }
        for results in 1..=7 {
            let contents = check(
                std::slice::from_ref(&document),
                Limits { results, bytes: u64::MAX },
                Packing::Off,
            );
            for (_, content) in contents {
                pieces += 1;
                fs::write(out.path().join(format!("{pieces}.xml")), content).unwrap();
            }
        }
    }
    assert!(pieces > 10_000, "{pieces}");
    if xmllint {
        take_all(out.path(), "xmllint", &["--noout", "--nonet"]);
    }
    if xmlwf {
        take_all(out.path(), "xmlwf", &[]);
    }
}

/// A program takes every file of a folder, and says nothing of any.
fn take_all(folder: &Path, program: &str, arguments: &[&str]) {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for some in files.chunks(1000) {
        let mut command = Command::new(program);
        let output = command.args(arguments).args(some).stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said: String = String::from_utf8_lossy(&said).chars().take(2000).collect();
        assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    }
}

#[test]
fn a_file_within_the_limits_is_one_range() {
    let path = crate::fixtures::folder().join("junit/rspec.xml");
    let document = (Format::Junit, fs::read(&path).unwrap());
    let files = scanned(std::slice::from_ref(&document), Limits { results: 5, bytes: 1 << 20 });
    let uploads = planned(&files, Limits { results: 5, bytes: 1 << 20 }, Packing::On);
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].segments.len(), 1);
    assert!(content(&uploads[0]) == document.1);
}

#[test]
fn what_a_cut_repeats_and_recounts() {
    let text = "<?xml version='1.0'?><!-- c --><testsuites tests='4' name='all' time='9'>\n\
        <testsuite name='A' errors='0' tests='3' failures='1' skipped='0' time=\"7\"><properties><property name='k' value='v'/></properties>\
        <testcase name='1' classname='c' time='1.5'/><testcase name='2' classname='c'><failure/></testcase>\
        <testcase name='3' classname='c' time='0.000001'/><system-out>once</system-out></testsuite>\n\
        <testsuite name='B' tests='1'><testcase name='4' classname='c'/></testsuite></testsuites>";
    let limits = Limits { results: 2, bytes: u64::MAX };
    let contents = check(&[(Format::Junit, text.as_bytes().to_vec())], limits, Packing::Off);
    let texts: Vec<_> =
        contents.iter().map(|(_, content)| String::from_utf8_lossy(content)).collect();
    insta::assert_snapshot!("what_a_cut_repeats_and_recounts", texts.join("\n======\n"));
}

fn texts(documents: &[(Format, &str)], limits: Limits, packing: Packing) -> Vec<String> {
    let documents: Vec<_> =
        documents.iter().map(|(format, text)| (*format, text.as_bytes().to_vec())).collect();
    let contents = check(&documents, limits, packing).into_iter();
    contents.map(|(_, content)| String::from_utf8(content).unwrap()).collect()
}

#[test]
fn what_a_root_says_of_its_suites_is_not_said_of_those_of_other_files() {
    let with =
        |child: &str| format!("<testsuites>{child}<testcase name='x' classname='c'/></testsuites>");
    let plain = with("");
    let limits = Limits { results: 100, bytes: u64::MAX };
    for (child, uploads) in [
        ("", 1),
        ("<!-- c -->", 1),
        ("<properties><property name='env' value='prod'/></properties>", 2),
        ("<system-out>A</system-out>", 2),
        ("<other/>", 2),
    ] {
        let one = with(child);
        let documents = [(Format::Junit, one.as_str()), (Format::Junit, plain.as_str())];
        assert_eq!(texts(&documents, limits, Packing::On).len(), uploads, "{child}");
    }
}

#[test]
fn every_piece_has_the_prolog_and_all_properties_before_it() {
    let text = "<?xml version='1.0'?>\n<!DOCTYPE testsuite SYSTEM \"a.dtd\">\n<testsuite name='s'>\
        <properties><property name='p' value='1'/></properties>\
        <properties><property name='q' value='&foo;'/></properties>\
        <testcase name='x&foo;' classname='c'/><testcase name='y&foo;' classname='c'/></testsuite>";
    let limits = Limits { results: 1, bytes: u64::MAX };
    let pieces = texts(&[(Format::Junit, text)], limits, Packing::On);
    assert_eq!(pieces.len(), 2);
    for piece in &pieces {
        assert!(
            piece.starts_with(
                "<?xml version='1.0'?>\n<!DOCTYPE testsuite SYSTEM \"a.dtd\">\n<testsuite name='s'>"
            ),
            "{piece}"
        );
        assert!(piece.contains("name='p'") && piece.contains("name='q'"), "{piece}");
    }
}

#[test]
fn json_without_results_makes_no_upload_of_its_own() {
    let passed = "{\"status\":\"passed\"}";
    let text = format!(
        "{{\"config\":{{}},\"suites\":[\n\
         {{\"title\":\"a\",\"specs\":[{{\"tests\":[{{\"results\":[{passed},{passed},{passed}]}}]}}]}},\n\
         {{\"title\":\"b\",\"specs\":[]}},\n\
         {{\"title\":\"c\",\"specs\":[{{\"tests\":[{{\"results\":[{passed}]}}]}}]}}\n]}}"
    );
    let limits = Limits { results: 2, bytes: u64::MAX };
    let pieces = texts(&[(Format::PlaywrightJson, &text)], limits, Packing::On);
    assert_eq!(pieces.len(), 2);
    assert!(pieces[0].contains("\"b\"") && pieces[1].contains("\"config\""), "{pieces:?}");
}

#[test]
fn the_lines_of_a_source_are_those_of_its_results() {
    let text = "<testsuite name='s'>\n<testcase name='a' classname='c'/>\n<system-out>x</system-out>\n\
                <testcase name='b' classname='c'>\n</testcase>\n</testsuite>\n";
    let limits = Limits { results: 1, bytes: u64::MAX };
    let files = scanned(&[(Format::Junit, text.as_bytes().to_vec())], limits);
    let uploads = planned(&files, limits, Packing::On);
    let lines: Vec<_> = uploads.iter().map(|upload| upload.sources[0].lines).collect();
    assert_eq!(lines, [(2, 2), (4, 5)]);
}

#[test]
fn the_pieces_of_a_file_are_not_put_together_again() {
    let suite = |n: usize| {
        format!(
            "<testsuite name='s{n}' tests='3'>{}</testsuite>",
            "<testcase name='t' classname='c'/>".repeat(3)
        )
    };
    let suites: String = (0..10).map(suite).collect::<Vec<_>>().concat();
    let text = format!("<testsuites name='R' time='1' tests='30'>{suites}</testsuites>");
    let limits = Limits { results: u64::MAX, bytes: 560 };
    let pieces = texts(&[(Format::Junit, &text)], limits, Packing::On);
    assert!(
        pieces.len() > 3 && pieces.iter().all(|piece| piece.contains("name='R'")),
        "{pieces:?}"
    );
}

#[test]
fn every_json_file_of_the_corpus_cut_at_every_limit_keeps_its_results() {
    let Some(folder) = corpus::folder() else { return };
    let mut files = 0;
    for row in corpus::manifest(&folder).iter().filter(|row| row.wellformed) {
        let Some(format) = Format::ALL.into_iter().find(|format| format.as_str() == row.format)
        else {
            continue;
        };
        let document = (format, fs::read(folder.join(&row.path)).unwrap());
        let scan = scan::scan(format, document.1.as_slice(), UNLIMITED).unwrap();
        if format == Format::Junit || scan.findings.count(Severity::Error) > 0 {
            continue;
        }
        files += 1;
        for results in 1..=7 {
            let limits = Limits { results, bytes: u64::MAX };
            check(std::slice::from_ref(&document), limits, Packing::On);
        }
    }
    assert!(files > 80, "{files}");
}
