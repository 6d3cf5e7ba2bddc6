//! What is read, and what is said of what cannot be.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::delivery::only;
use crate::harness::{
    Ran, fixture, folder, has_program, junit, scripted, tool, tool_after, upload,
};

fn validate(arguments: &[&str]) -> crate::harness::Tool {
    tool(arguments).arg("--validate-only")
}

#[tokio::test]
async fn standard_input_needs_a_format_only_where_looking_does_not_tell() {
    let xml = std::fs::read(fixture("junit/gradle.xml")).unwrap();
    let json = std::fs::read(fixture("json/jest.json")).unwrap();
    validate(&["-"]).stdin(xml).run().await.expect(0).says("valid - (junit, ").says(" 5 results");
    validate(&["-"]).stdin(json.clone()).run().await.expect(0).says("(jest-json, ");
    validate(&["-"])
        .stdin("results")
        .run()
        .await
        .expect(10)
        .says("[input-unknown-format]")
        .says("--format");
    validate(&["-"]).stdin("").run().await.expect(10).says("the file is empty [input-empty]");
    let ran = validate(&["-", "--format", "json"]).stdin(json).run().await.expect(10);
    ran.says("-:1:1: error: an object where an array is expected [json-wrong-shape]");

    let receiver = scripted([]).await;
    upload(&receiver, ["-"]).stdin(junit(3)).run().await.expect(0);
    let received = only(&receiver);
    assert_eq!(received.data.unwrap().file_name.as_deref(), Some("stdin.xml"));
    assert_eq!(received.results, Some(3));
}

#[tokio::test]
async fn the_format_comes_from_the_flag_the_variable_the_name_or_the_content() {
    let xml = junit(1);
    let files = folder(&[
        ("a.xml", xml.as_bytes()),
        ("a.txt", xml.as_bytes()),
        ("odd.txt", b"odd"),
        ("odd.json", b"{}"),
    ]);
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    validate(&[&path("a.xml")]).run().await.expect(0).says("(junit");
    validate(&[&path("a.txt")]).run().await.expect(0).says("(junit");
    validate(&[&path("odd.txt")]).run().await.expect(10).says("[input-unknown-format]");
    validate(&[&path("odd.json")]).run().await.expect(10).says("[input-unknown-format]");
    validate(&[&path("odd.txt"), "--format=junit"])
        .run()
        .await
        .expect(10)
        .says("[xml-text-before-root]");
    let variable = "BUILDKITE_TEST_ENGINE_UPLOAD_FORMAT";
    let ran = validate(&[&path("a.xml")]).env(variable, "rspec-json").run().await.expect(10);
    ran.says("(rspec-json").says("[json-syntax]");
    let ran = validate(&[&path("a.xml")]).env(variable, "trx").run().await.expect(2);
    ran.tells("BUILDKITE_TEST_ENGINE_UPLOAD_FORMAT is \"trx\", which is no format: use one of junit, json");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_with_the_systems_reason() {
    let files = folder(&[("a.xml", junit(1).as_bytes())]);
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let ran = validate(&[&path("missing.xml")]).run().await.expect(11);
    ran.says("missing.xml: error: no such file or directory (os error 2) [input-not-found]");
    let ran = validate(&[&path("a.xml"), &path("missing.xml")]).run().await.expect(10);
    ran.says("valid ").says("[input-not-found]").says("1 of 2 files valid");
    let ran = tool_after(&format!("exec <{}", files.path().display()), ["-", "--validate-only"]);
    ran.run().await.expect(10).says("is a directory [input-is-folder]");
    // A socket can be opened by nobody, not even by root.
    let _socket = std::os::unix::net::UnixListener::bind(files.path().join("socket.xml")).unwrap();
    validate(&[&path("socket.xml")]).run().await.expect(10).says("(os error 6) [input-unreadable]");
    let ran = validate(&["/proc/self/mem", "--format=junit"]).run().await.expect(10);
    ran.says("/proc/self/mem: error: input/output error (os error 5) [input-unreadable]");
}

#[tokio::test]
async fn a_pipe_with_a_name_is_read_like_a_file() {
    if !has_program("mkfifo", &["--version"]) {
        return;
    }
    let files = folder(&[]);
    let pipe = files.path().join("results.xml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, junit(20_000)).unwrap())
    };
    validate(&[pipe.to_str().unwrap()]).run().await.expect(0).says(" 20,000 results");
    writer.join().unwrap();
}

#[tokio::test]
async fn truncated_files_are_rejected_with_line_and_column() {
    for (name, place) in [
        ("truncated-in-tag.xml", "7:50"),
        ("truncated-in-text.xml", "7:17"),
        ("truncated-in-cdata.xml", "7:28"),
        ("truncated-between-results.xml", "9:1"),
        ("truncated-in-comment.xml", "7:28"),
    ] {
        let path = fixture(&format!("malformed/{name}"));
        let ran = validate(&[path.to_str().unwrap()]).run().await.expect(10);
        ran.says(&format!("{name}:{place}: error: the document ends ")).says("[xml-truncated]");
    }
}

#[tokio::test]
async fn validation_needs_no_token_and_no_network() {
    let ran = validate(&[fixture("junit/phpunit.xml").to_str().unwrap()])
        .env("BUILDKITE_TEST_ENGINE_UPLOAD_URL", "http://127.0.0.1:1/")
        .env("HTTPS_PROXY", "http://127.0.0.1:1/")
        .run()
        .await
        .expect(0);
    assert!(!ran.stdout.contains("sent"), "{}", ran.stdout);
}

/// The files of a report, each with the first code that it was rejected for.
fn files(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let report = ran.report();
    let files = report["files"].as_array().unwrap();
    files.iter().map(|file| (text(&file["path"]), text(&file["findings"][0]["code"]))).collect()
}

/// Validates in a folder, and gives the exit code and the names of what was found valid, followed
/// by a code where it was not.
async fn found(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let ran = validate(arguments).arg("--report=json").within(folder).run().await;
    let names = files(&ran).into_iter().map(|(path, code)| match code.as_str() {
        "" => path,
        _ => format!("{path}[{code}]"),
    });
    (ran.code.unwrap(), names.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn folders_and_globs_are_expanded_in_a_stable_order() {
    let xml = junit(1);
    let xml = xml.as_bytes();
    let json = std::fs::read(fixture("json/jest.json")).unwrap();
    let tree = folder(&[
        ("r/b/test.xml", xml),
        ("r/b-c/test.xml", xml),
        ("r/a.xml", xml),
        ("r/a.json", &json),
        ("r/a.log", xml),
        ("r/.hidden.xml", xml),
        ("r/.git/a.xml", xml),
        ("z.xml", xml),
        ("[z].xml", xml),
    ]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["r"], 0, "r/a.json r/a.xml r/b-c/test.xml r/b/test.xml"),
        (&["./r/", "z.xml"], 0, "./r/a.json ./r/a.xml ./r/b-c/test.xml ./r/b/test.xml z.xml"),
        (&["z.xml", "r/**/test.xml"], 0, "z.xml r/b-c/test.xml r/b/test.xml"),
        (&["r/b*", "r/a.log"], 0, "r/b-c/test.xml r/b/test.xml r/a.log"),
        (&["r/*.{log,xml}", "r/.*.xml"], 0, "r/a.log r/a.xml r/.hidden.xml"),
        (&["**/a.*", "r/a.xml", "r"], 0, "r/a.json r/a.log r/a.xml r/b-c/test.xml r/b/test.xml"),
        (&["[z].xml", "[yz].xml"], 0, "[z].xml z.xml"),
        (&["r", "--exclude=b", "--exclude", "*.json"], 0, "r/a.xml r/b-c/test.xml"),
        (&["z.xml", "r", "--exclude=**/r/**"], 10, "z.xml r[input-no-match]"),
        (&["r/*.txt"], 11, "r/*.txt[input-no-match]"),
        (&["r/.git/x", "r/.git"], 10, "r/.git/x[input-not-found] r/.git/a.xml"),
        (&["r/*.txt", "z.xml"], 10, "r/*.txt[input-no-match] z.xml"),
        (&["z[.xml"], 11, "z[.xml[input-not-found]"),
    ];
    for (arguments, code, names) in cases {
        let (ended, found) = found(tree.path(), arguments).await;
        assert_eq!((ended, found.as_str()), (*code, *names), "{arguments:?}");
    }
}

#[tokio::test]
async fn what_matched_nothing_is_said_with_what_was_left_out() {
    let tree = folder(&[("r/a.xml", b""), ("s/a.txt", b"")]);
    symlink("../r/a.xml", tree.path().join("s/link.xml")).unwrap();
    let ran = validate(&["r", "s", "--exclude=a.xml"]).within(tree.path()).run().await.expect(11);
    ran.says("or below; 1 excluded [input-no-match]")
        .says("or below; 1 symbolic link not followed without --follow-symlinks [input-no-match]")
        .says("--allow-missing")
        .says("0 of 2 files valid");
    let ran = validate(&["r/a.xml", "--exclude=r/*"]).within(tree.path()).run().await.expect(11);
    ran.says("no input was found");
    let ran = validate(&["r", "--exclude={a"]).within(tree.path()).run().await.expect(2);
    ran.tells("--exclude \"{a\" is no glob: unclosed alternate group");
}

#[tokio::test]
async fn what_is_missing_can_be_allowed() {
    let tree = folder(&[("a.xml", junit(1).as_bytes()), ("none/a.txt", b"")]);
    let missing = ["b.xml", "*.json", "none", "--files-from=list", "--allow-missing"];
    let ran = validate(&missing).arg("a.xml").within(tree.path()).run().await.expect(0);
    ran.says("valid a.xml");
    let (code, names) = found(tree.path(), &missing).await;
    assert_eq!((code, names.as_str()), (0, ""));
    let receiver = scripted([]).await;
    let ran = upload(&receiver, missing).arg("-v").within(tree.path()).run().await.expect(0);
    ran.says("no input was found")
        .tells("b.xml: no such file or directory (os error 2), which is allowed")
        .tells("*.json: no file matches this glob, which is allowed")
        .tells("list: no such file or directory (os error 2), which is allowed");
    assert!(receiver.received().is_empty());
    // What is there must be sound all the same.
    let (code, names) = found(tree.path(), &["none/a.txt", "--allow-missing"]).await;
    assert_eq!((code, names.as_str()), (10, "none/a.txt[input-empty]"));
}

#[tokio::test]
async fn inputs_can_be_listed_in_a_file() {
    let xml = junit(1);
    let xml = xml.as_bytes();
    let tree = folder(&[
        ("a.xml", xml),
        ("b c.xml", xml),
        ("d/e.xml", xml),
        ("lines", b"b c.xml\r\n\nd\n*.xml"),
        ("nul", b"b c.xml\0a.xml\0d/e.xml\0"),
        ("empty", b"\n"),
    ]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--files-from=lines"], 0, "b c.xml d/e.xml a.xml"),
        (&["a.xml", "--files-from=nul", "--exclude=d/**"], 0, "a.xml b c.xml"),
        (&["--files-from=empty"], 11, "empty[input-no-match]"),
        (&["--files-from=none"], 11, "none[input-not-found]"),
        (&["--files-from=d", "a.xml"], 10, "a.xml d[input-is-folder]"),
    ];
    for (arguments, code, names) in cases {
        let (ended, found) = found(tree.path(), arguments).await;
        assert_eq!((ended, found.as_str()), (*code, *names), "{arguments:?}");
    }
    let listed = |arguments| validate(arguments).within(tree.path()).stdin("a.xml\nd/e.xml");
    listed(&["--files-from", "-"]).run().await.expect(0).says("2 of 2 files valid");
    let ran = listed(&["--files-from", "-", "-"]).run().await.expect(10);
    ran.says("-: error: standard input is the list of inputs already");
}

#[tokio::test]
async fn a_file_is_taken_once_and_links_only_when_asked() {
    let tree = folder(&[("a/x.xml", junit(1).as_bytes()), ("b/y.xml", junit(2).as_bytes())]);
    for (target, link) in [("..", "a/up"), ("../a", "b/a"), ("../a/x.xml", "b/x.xml"), ("b", "c")] {
        symlink(target, tree.path().join(link)).unwrap();
    }
    std::fs::hard_link(tree.path().join("a/x.xml"), tree.path().join("b/z.xml")).unwrap();
    symlink("nowhere", tree.path().join("b/gone.xml")).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["."], 0, "./a/x.xml ./b/y.xml"),
        (&["b"], 0, "b/y.xml b/z.xml"),
        (&["b/x.xml", "a", "b/z.xml"], 0, "b/x.xml"),
        (&["c", "b"], 0, "c/y.xml c/z.xml"),
        (&["b/a/*"], 0, "b/a/x.xml"),
        (&["*/a/*.xml"], 11, "*/a/*.xml[input-no-match]"),
        (&["*/a/*.xml", "--follow-symlinks"], 0, "b/a/x.xml"),
        (&["a", "--follow-symlinks"], 10, "a/up/b/y.xml a/x.xml a/up/b/gone.xml[input-not-found]"),
        (&["a", "--follow-symlinks", "--exclude=gone.xml"], 0, "a/up/b/y.xml a/x.xml"),
        (&["b/gone.xml"], 11, "b/gone.xml[input-not-found]"),
    ];
    for (arguments, code, names) in cases {
        let (ended, found) = found(tree.path(), arguments).await;
        assert_eq!((ended, found.as_str()), (*code, *names), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_an_error() {
    // Permissions do not hold root back, but a path can be too long for anyone.
    let tree = folder(&[("r/a.xml", junit(1).as_bytes())]);
    let name = "x".repeat(250);
    for _ in 0..20 {
        let path = tree.path();
        std::fs::create_dir(path.join("next")).unwrap();
        std::fs::rename(path.join("r"), path.join("next").join(&name)).unwrap();
        std::fs::rename(path.join("next"), path.join("r")).unwrap();
    }
    std::fs::write(tree.path().join("r/b.xml"), junit(1)).unwrap();
    let ran = validate(&["r"]).within(tree.path()).run().await.expect(10);
    ran.says("valid r/b.xml").says("error: file name too long (os error 36) [input-unreadable]");
}

#[tokio::test]
async fn ten_thousand_files_are_read_with_few_descriptors() {
    let tree = folder(&[]);
    for number in 0..10_000 {
        let path = tree.path().join(format!("{}/{number}.xml", number / 100));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, junit(1)).unwrap();
    }
    let ran = tool_after("ulimit -n 64", ["**/*.xml", "--validate-only"]).within(tree.path());
    ran.run().await.expect(0).says("10,000 of 10,000 files valid: 10,000 results");
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// `<testsuite name="s"><testcase name="t" classname="c"/></testsuite>`, as `zstd -19` writes it.
const ZSTD: &[u8] = &[
    0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x68, 0x95, 0x01, 0x00, 0x62, 0xC2, 0x08, 0x0F, 0xD0, 0xB5, 0x01,
    0xD6, 0x12, 0xA5, 0x72, 0x07, 0x6D, 0x64, 0x98, 0x91, 0x41, 0xC1, 0x01, 0x46, 0x65, 0x54, 0xB4,
    0x4F, 0xE0, 0xF4, 0x3E, 0xB4, 0xBA, 0x20, 0xC7, 0x91, 0xC9, 0x87, 0xE2, 0x3B, 0x5F, 0x01, 0x04,
    0x00, 0x5A, 0x95, 0x12, 0x73, 0x70, 0x9B, 0x34, 0xDC, 0x35, 0x99, 0xA1, 0xDF, 0xF5, 0x13,
];

#[tokio::test]
async fn compressed_files_are_sent_as_what_is_in_them() {
    let xml = junit(2_000);
    let (first, second) = xml.split_at(30_000);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let jest = std::fs::read(fixture("json/jest.json")).unwrap();
    let tree = folder(&[
        ("r/a.xml.gz", &members),
        ("r/b.json.gz", &gzip(&jest)),
        ("r/c.xml.zst", ZSTD),
        ("r/d.xml", &gzip(junit(3).as_bytes())),
        ("r/e.xml.gz", junit(4).as_bytes()),
        ("f.zst", ZSTD),
    ]);
    let receiver = scripted([]).await;
    let ran =
        upload(&receiver, ["r", "f.zst", "-", "--no-pack", "--report=json"]).within(tree.path());
    let ran = ran.stdin(gzip(junit(6).as_bytes())).run().await.expect(0);
    let report = ran.report();
    assert_eq!(report["files"][0]["path"], "r/a.xml.gz");
    assert_eq!(report["files"][0]["bytes"], xml.len());
    assert_eq!(report["files"][1]["format"], "jest-json");
    let received = receiver.received();
    let sent: BTreeMap<_, _> = received
        .iter()
        .map(|received| {
            let data = received.data.as_ref().unwrap();
            (data.file_name.clone().unwrap(), received.results.unwrap())
        })
        .collect();
    let expected = [
        ("a.xml", 2_000),
        ("b.json", 6),
        ("c.xml", 1),
        ("d.xml", 3),
        ("e.xml", 4),
        ("f", 1),
        ("stdin.xml", 6),
    ];
    assert_eq!(sent, expected.map(|(name, results)| (name.to_owned(), results)).into());
}

#[tokio::test]
async fn compressed_data_that_is_cut_off_or_damaged_is_an_error() {
    let mut truncated = gzip(junit(500).as_bytes());
    truncated.truncate(truncated.len() - 9);
    let mut corrupt = ZSTD.to_vec();
    corrupt[20] ^= 0xFF;
    let tree = folder(&[
        ("a.xml.gz", &truncated),
        ("b.xml.zst", &corrupt),
        ("c.xml.zst", &ZSTD[..30]),
        ("d.xml", junit(1).as_bytes()),
    ]);
    let ran = validate(&["."]).within(tree.path()).run().await.expect(10);
    ran.says("./a.xml.gz: error: the gzip data ends too early, after ")
        .says("./b.xml.zst: error: the zstd data is corrupt, after 0 bytes of content [input-corrupt]")
        .says("./c.xml.zst: error: the zstd data ends too early, after 0 bytes of content")
        .says("help: the file was cut off or damaged after it was compressed")
        .says("1 of 4 files valid");
}
