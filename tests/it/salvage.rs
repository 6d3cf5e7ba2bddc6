//! What is saved of broken files: what must always hold of it, and how it is reported.

use std::fs;
use std::process::Command;

use bktec_upload::finding::Severity;
use bktec_upload::format::Format;
use bktec_upload::plan::{self, Packing, PlannedFile};
use bktec_upload::salvage::{Account, Salvaged, salvage};
use bktec_upload::scan::cut::Limits;
use bktec_upload::scan::{self, Options};
use bktec_upload::spool::Spool;
use proptest::prelude::*;

use crate::generate::{self, Shape};
use crate::harness::{fixture, folder, has_program, junit, left_behind, scripted, tool, upload};
use crate::plan::{UNLIMITED, check_counts, content, document, results};

const PAIRS: Limits = Limits { results: 2, bytes: u64::MAX };

/// All that there is in JUnit files, and a few results after each other.
const DOCUMENT: &str = "\u{feff}<?xml version='1.0'?>\n<!DOCTYPE testsuites SYSTEM 'a>b'>\n<!-- é -->\n\
    <testsuites tests='6' name='ü'>\n <testsuite name='a' tests=\"3\">\
    <properties><property name='p' value='1'/></properties>\n\
    <testcase name='1' classname='c' time='0.5'/>\n<testcase name='é>' classname='c'>\
    <failure message='&lt;'>t]]&gt;<!-- </testcase> --></failure>\n</testcase>\
    <system-out><![CDATA[<testcase/>]]></system-out>\
    <testsuite tests='1' failures = '0'><testcase name='3' classname='c'></testcase></testsuite>\
    </testsuite>\n<testsuite tests='0'/><testsuite name='b'><testsuite><?pi > ?>\n\
    <testcase name='4' classname='c'/><testcase name='5' classname='c'/>\n\
    <testcase name='6' classname='c'/></testsuite></testsuite>\n</testsuites>\n<!-- end -->\n";

/// As a JSON library writes records, so that they are the same bytes after it.
const RECORDS: &str = " [\n{\"history\":{\"duration\":2.5,\"start_at\":1},\"name\":\"a\"},\n\
    {\"history\":{\"duration\":2,\"start_at\":1},\"name\":\"é]}\",\"result\":\"failed\"} , \
    {\"history\":{\"duration\":2,\"start_at\":1},\"name\":\"\\\"\"}\n]\n";

/// The contents of the uploads, and the account.
type Saved = (Vec<Vec<u8>>, Account);

/// What is sent of a broken document and the account of it, or why nothing is; `None` if it is not
/// broken.
fn saved(format: Format, document: &[u8], limits: Limits) -> Option<Result<Saved, String>> {
    let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
    let region = spool.append_from(&mut &document[..]).unwrap();
    let options = Options { limits, lint_names: false };
    let scan = scan::scan(format, region.reader(), options).unwrap();
    if scan.findings.count(Severity::Error) == 0 {
        return None;
    }
    let salvaged =
        salvage(format, &region, &scan.findings, &std::env::temp_dir(), options).unwrap();
    Some(salvaged.map(|Salvaged { region, scan, account }| {
        let file_name = "a".to_owned();
        let file = PlannedFile { index: 0, file_name, format, region: &region, scan: &scan };
        let uploads = plan::plan(&[file], limits, Packing::On);
        let held: u64 = uploads.iter().map(|upload| upload.results).sum();
        assert_eq!((held, scan.counts.results), (account.results_kept, account.results_kept));
        let contents: Vec<_> = uploads.iter().map(content).collect();
        for (content, upload) in contents.iter().zip(&uploads) {
            let again = scan::scan(format, content.as_slice(), UNLIMITED).unwrap();
            let shown = String::from_utf8_lossy(content);
            assert_eq!(again.findings.count(Severity::Error), 0, "{:?}\n{shown}", again.findings);
            assert_eq!(again.counts.results, upload.results, "{shown}");
            assert!(upload.results > 0 && upload.results <= limits.results, "{shown}");
        }
        assert_eq!(account.bytes, document.len() as u64);
        let lost_from = account.lost_from.as_ref().map_or(account.bytes, |place| place.offset);
        assert_eq!(account.bytes_lost, account.bytes - lost_from);
        (contents, account)
    }))
}

/// The results of a document, and where each ends.
fn results_with_ends(format: Format, document: &[u8]) -> Vec<(Vec<u8>, usize)> {
    let mut at = 0;
    let ends = results(format, document).into_iter().map(|result| {
        at += memchr::memmem::find(&document[at..], &result).unwrap() + result.len();
        (result, at)
    });
    ends.collect()
}

/// libxml2 takes all of these documents.
fn check_with_xmllint(documents: &[Vec<u8>]) {
    if !has_program("xmllint", &["--version"]) {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let paths: Vec<_> = documents
        .iter()
        .enumerate()
        .map(|(number, document)| {
            let path = files.path().join(format!("{number}.xml"));
            fs::write(&path, document).unwrap();
            path
        })
        .collect();
    for paths in paths.chunks(500) {
        let checked = Command::new("xmllint").args(["--noout", "--nonet"]).args(paths).output();
        let checked = checked.unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn a_document_cut_off_anywhere_keeps_the_results_that_were_complete() {
    let mut documents = Vec::new();
    for (format, document) in [(Format::Junit, DOCUMENT), (Format::Json, RECORDS)] {
        let document = document.as_bytes();
        let whole = results_with_ends(format, document);
        assert_eq!(whole.len(), if format == Format::Junit { 6 } else { 3 });
        for limits in [UNLIMITED, PAIRS] {
            for cut in 0..document.len() {
                let expected: Vec<_> = whole.iter().filter(|(_, end)| *end <= cut).collect();
                match saved(format, &document[..cut], limits) {
                    None => assert!(document[cut..].trim_ascii().len() <= 13, "{cut}"),
                    Some(Err(_)) => assert_eq!(expected.len(), 0, "{format} cut at {cut}"),
                    Some(Ok((contents, account))) => {
                        let kept = contents.iter().flat_map(|content| results(format, content));
                        assert!(
                            kept.eq(expected.iter().map(|(result, _)| result.clone())),
                            "{format} cut at {cut}"
                        );
                        assert_eq!(account.replaced.total(), 0, "{format} cut at {cut}");
                        assert!(
                            account.lost_from.unwrap().offset
                                >= expected[expected.len() - 1].1 as u64
                        );
                        assert!(account.results_lost <= 1, "{format} cut at {cut}");
                        if format == Format::Junit {
                            for content in &contents {
                                check_counts(content);
                            }
                            documents.extend(contents);
                        }
                    }
                }
            }
        }
    }
    assert!(documents.len() > 1000);
    check_with_xmllint(&documents);
}

#[test]
fn places_are_those_of_the_broken_file_though_what_is_before_them_grew() {
    let json = b"[{\"name\":\"\xff\xff\",\"history\":{\"start_at\":1,\"duration\":1}},\n{\"name\":\"\xff\xc3";
    let xml = b"<testsuite>\n<testcase name='\x01&' classname='c'/> <testcase name='&#1;\xff\xc3";
    let cases = [(Format::Json, &json[..], &b"}}"[..], 1), (Format::Junit, xml, b"/>", 2)];
    for (format, document, end, line) in cases {
        let (_, account) = saved(format, document, UNLIMITED).unwrap().unwrap();
        let offset = memchr::memmem::find(document, end).unwrap() + end.len();
        let line_start = memchr::memrchr(b'\n', &document[..offset]).map_or(0, |at| at + 1);
        let place = account.lost_from.unwrap();
        assert_eq!((place.offset, place.line), (offset as u64, line));
        assert_eq!(place.column, (offset - line_start) as u64 + 1);
        assert_eq!((account.results_lost, account.replaced.total()), (1, 2));
    }
}

/// Something that must not be in a document, as it is written in text, an attribute or a comment.
fn illegal() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b"\x1b[31m"[..],
        b"\0",
        b"\x0b",
        b"\xff",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xef\xbf\xbf",
        b"&#27;",
        b"&#x0;",
        b"&#xFFFF;",
        b"&",
        b" & ",
        b"&nbsp;",
        b"&#;",
        b"&a b;",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn illegal_characters_cost_no_result(
        illegal in prop::collection::vec(illegal(), 1..12),
        cut in prop_oneof![Just(None), (0..400_usize).prop_map(Some)],
    ) {
        let mut document = b"<testsuites><!-- ".to_vec();
        let mut whole = 0;
        for (number, illegal) in illegal.iter().enumerate() {
            document.extend(*illegal);
            // An `&` begins no reference in these.
            let (before, after): (&[u8], &[u8]) = match number % 4 {
                0 => (b" --><testcase name='", b"' classname='&amp;c'>text "),
                1 => (b"</testcase>\n<testcase name='t' classname='c'><system-out><![CDATA[", b" "),
                2 => (b" ]]></system-out></testcase><testcase name=\"", b"\" classname='c'/><!--"),
                _ => (b" ", b""),
            };
            document.extend(before);
            document.extend(*illegal);
            document.extend(after);
        }
        let last = illegal.len() % 4;
        document.extend(match last {
            1 => &b"</testcase>"[..],
            2 => b"]]></system-out></testcase>",
            3 => b"-->",
            _ => b" --><testcase name='z' classname='c'/>",
        });
        document.extend(b"</testsuites>");
        if let Some(cut) = cut {
            document.truncate(cut);
        } else {
            whole = memchr::memmem::find_iter(&document, b"<testcase").count();
        }
        if let Some(Ok((contents, account))) = saved(Format::Junit, &document, UNLIMITED) {
            prop_assert!(account.results_kept >= whole as u64);
            check_with_xmllint(&contents);
        } else {
            prop_assert!(whole == 0, "{}", String::from_utf8_lossy(&document));
        }
    }

    #[test]
    fn what_is_saved_of_anything_is_sound(
        (_, mut document) in document(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        for (at, byte, kind) in changes {
            let at = at.index(document.len());
            match kind {
                0 => document[at] = byte,
                1 => document.insert(at, byte),
                _ => drop(document.remove(at)),
            }
        }
        if let Some(Ok((contents, _))) = saved(Format::Junit, &document, PAIRS) {
            check_with_xmllint(&contents);
        }
    }
}

/// A file that breaks off in its third result, with a character and a reference in what is before.
const BROKEN: &str = "<testsuites tests=\"3\">\n<testsuite name=\"s\" tests=\"3\" failures=\"2\">\n\
    <testcase name=\"a\" classname=\"c\"/><testcase name=\"&#27;[1m\" classname=\"c\">\n\
    <failure>\u{1b}[31mé &nbsp;\u{1b}</failure></testcase>\n<!-- \u{1} -->\n\
    <testcase name=\"b\u{1}\" classname=\"c\"><fail";

#[tokio::test]
async fn what_was_lost_and_replaced_is_in_both_reports_and_on_standard_error() {
    let files = folder(&[("a.xml", BROKEN.as_bytes()), ("b.xml", junit(2).as_bytes())]);
    let paths = ["a.xml", "b.xml"].map(|name| files.path().join(name));
    let words = "dropped 1 result, 51 bytes after line 4; replaced 4 characters";
    let ran = tool(&paths).args(["--salvage", "--validate-only"]).run().await.expect(0);
    let ran =
        ran.says(&format!("a.xml (junit, {} B) kept 2 results, 1 failed; {words}", BROKEN.len()));
    ran.says("2 of 2 files valid, 1 of them salvaged: 4 results")
        .says("[xml-truncated]")
        .tells(&format!("warning: salvaged {}: kept 2 results; {words}", paths[0].display()));

    let receiver = scripted([]).await;
    let report = upload(&receiver, &paths)
        .args(["--salvage", "--report=json"])
        .run()
        .await
        .expect(0)
        .report();
    let file = &report["files"][0];
    assert_eq!(
        (&file["valid"], &file["results"], &file["bytes"]),
        (&true.into(), &2.into(), &BROKEN.len().into())
    );
    assert_eq!(file["finding_counts"]["xml-illegal-character"], 4);
    assert_eq!(report["files"][1]["salvage"], serde_json::Value::Null);
    let text = serde_json::to_string_pretty(&file["salvage"]).unwrap();
    insta::assert_snapshot!("account_of_a_salvaged_file", text);
    // It shares an upload with the sound one.
    assert_eq!(receiver.requests(), 1);
    let received = &receiver.received()[0];
    assert_eq!(received.answered, Some(202), "{:?}", received.problems);
    let tally = received.tally.as_ref().unwrap();
    assert_eq!((tally.results, tally.failures, tally.miscounted_suites), (4, 1, 0));
}

#[tokio::test]
async fn a_broken_file_is_rejected_unless_it_is_asked_for() {
    let files = folder(&[("a.xml", BROKEN.as_bytes())]);
    let path = files.path().join("a.xml");
    tool([&path]).arg("--validate-only").run().await.expect(10).says("rejected ");
    let ran =
        tool([&path]).args(["--validate-only", "--salvage", "--strict"]).run().await.expect(2);
    ran.tells("cannot be used with");
}

#[tokio::test]
async fn what_cannot_be_salvaged_is_rejected_with_a_word_why() {
    let cut = |path: &str, length: usize| fs::read(fixture(path)).unwrap()[..length].to_vec();
    let rspec = cut("json/rspec.json", 900);
    let files: [(&str, &[u8], &str); 6] = [
        ("none.xml", b"<testsuite><testcase name='a' classname='c'", "no result is complete"),
        ("empty.xml", b"", "input-empty cannot be mended"),
        ("root.xml", b"<TestRun><testcase/>", "junit-wrong-root cannot be mended"),
        ("rspec.json", &rspec, "salvage is for JUnit XML and Test Engine JSON"),
        ("syntax.json", b"[{\"name\":\"a\",\"history\":{\"start_at\":1,\"duration\":1}},,", "json-syntax cannot be mended"),
        ("ascii.xml", b"<?xml version='1.0' encoding='us-ascii'?><testsuite><testcase name='\xc3\xa9' classname='c'/></testsuite>", "xml-invalid-utf8 cannot be mended"),
    ];
    for (name, content, reason) in files {
        let files = folder(&[(name, content)]);
        let path = files.path().join(name);
        let ran = tool([&path]).args(["--validate-only", "--salvage"]).run().await.expect(10);
        ran.says("rejected ").tells(&format!("{name} cannot be salvaged: {reason}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_service_takes_all_that_is_left_of_a_large_file() {
    for shape in [Shape::Junit, Shape::TestEngineJson] {
        let mut content = Vec::new();
        generate::write(shape, 8_000_000, 5, &mut content).unwrap();
        content.truncate(7_654_321);
        if shape == Shape::Junit {
            for at in memchr::memmem::find_iter(&content.clone(), b"</testcase>").step_by(97) {
                // The text before is none of the structure.
                if !matches!(content[at - 1], b'>' | b'\n') {
                    content[at - 1] = 0x1B;
                }
            }
        }
        let name = format!("big.{}", shape.extension());
        let files = folder(&[(&name, &content)]);
        let receiver = scripted([]).await;
        let ran =
            upload(&receiver, [files.path().join(&name)]).args(["--salvage", "--report=json"]);
        let report = ran.run().await.expect(0).report();
        let salvage = &report["files"][0]["salvage"];
        let kept = salvage["results_kept"].as_u64().unwrap();
        assert!(kept > 9_000 && salvage["results_lost"].as_u64().unwrap() <= 1, "{salvage}");
        let received = receiver.received();
        assert_eq!(received.len() as u64, kept.div_ceil(5000));
        let tallies = received.iter().map(|one| {
            assert_eq!(one.answered, Some(202), "{:?}", one.problems);
            let tally = one.tally.as_ref().unwrap();
            assert_eq!(tally.miscounted_suites, 0);
            tally.results
        });
        assert_eq!(tallies.sum::<u64>(), kept);
        assert_eq!(report["totals"]["queued"], kept);
    }
}

#[tokio::test]
async fn what_follows_a_break_in_the_middle_is_lost_and_counted() {
    let text = junit(10).replacen("<testcase name=\"t6\"", "<testcase name=t6", 1);
    let files = folder(&[("a.xml", text.as_bytes())]);
    let out = files.path().join("out");
    let ran = tool([files.path().join("a.xml")]).args(["--salvage", "--write-uploads"]).arg(&out);
    let ran = ran.run().await.expect(0).says("kept 6 results; dropped 4 results, ");
    ran.says("[xml-malformed-attribute]");
    let written = left_behind(&out);
    assert_eq!(written.len(), 1);
    let sent = fs::read_to_string(&written[0]).unwrap();
    assert_eq!(sent, junit(6).trim_end().replace("\n</testsuite>", "</testsuite>"));

    // Nothing but the end tag is missing.
    let text = junit(3).replace("\n</testsuite>\n", "");
    let files = folder(&[("a.xml", text.as_bytes())]);
    let ran = tool([files.path().join("a.xml")]).args(["--salvage", "--validate-only"]);
    ran.run().await.expect(0).says("kept 3 results; closed after line 4\n");

    // Two documents in one file: the first is kept.
    let files = folder(&[("a.xml", junit(3).repeat(2).as_bytes())]);
    let ran = tool([files.path().join("a.xml")]).args(["--salvage", "--validate-only"]);
    ran.run().await.expect(0).says("kept 3 results; dropped 3 results, ");
}
