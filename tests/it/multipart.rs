//! The body as parsers of other languages see it: Rack, Go, busboy.

use std::path::Path;
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{TOKEN, folder, has_program, tool};

/// Takes one request as it comes over the wire; gives its content type and body.
async fn capture(listener: TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let (head, length) = loop {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request is cut off");
        if let Some(end) = memchr::memmem::find(&request, b"\r\n\r\n") {
            let head = String::from_utf8(request[..end].to_vec()).unwrap();
            let length = header(&head, "content-length").parse().unwrap();
            break (head, end + 4 + std::convert::identity::<usize>(length));
        }
    };
    while request.len() < length {
        assert_ne!(
            stream.read_buf(&mut request).await.unwrap(),
            0,
            "the body is shorter than its length"
        );
    }
    assert_eq!(request.len(), length, "the body is longer than its length");
    stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    let body = request.split_off(head.len() + 4);
    (header(&head, "content-type"), body)
}

fn header(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).unwrap();
    value.trim().to_owned()
}

#[tokio::test]
async fn the_body_parses_in_rack_go_and_busboy_alike() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/uploads", listener.local_addr().unwrap());
    let captured = tokio::spawn(capture(listener));
    let content = "<testsuite name=\"--boundary\r\n\r\n\">\r\n\
                   <testcase name='ü' classname='c'/></testsuite>\r\n";
    let files = folder(&[("smoke tests_ü.xml", content.as_bytes())]);
    let message = "several\nlines, \"quotes\"; ümlauts = \u{1F600}";
    tool([files.path().join("smoke tests_ü.xml")])
        .args(["--token", TOKEN, "--upload-url", &url, "--tag", "host.os=linux"])
        .args(["--build-id", "k", "--message", message])
        .run()
        .await
        .expect(0);
    let (content_type, body) = captured.await.unwrap();
    let file = files.path().join("body");
    std::fs::write(&file, &body).unwrap();

    let md5 = |text: &str| format!("{:x}", md5::compute(text));
    let mut expected = vec![
        format!("data\tsmoke tests_ü.xml\tapplication/xml\t{}", md5(content)),
        format!("format\t-\t-\t{}", md5("junit")),
        format!("run_env[CI]\t-\t-\t{}", md5("generic")),
        format!("run_env[collector]\t-\t-\t{}", md5("bktec-upload")),
        format!("run_env[key]\t-\t-\t{}", md5("k")),
        format!("run_env[message]\t-\t-\t{}", md5(message)),
        format!("run_env[version]\t-\t-\t{}", md5(env!("CARGO_PKG_VERSION"))),
        format!("tags[host.os]\t-\t-\t{}", md5("linux")),
    ];
    expected.sort();
    let parsers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parsers");
    let run = |program: &str, arguments: &[&str], script: &str| {
        let mut command = Command::new(program);
        command.args(arguments).arg(parsers.join(script)).arg(&content_type).arg(&file);
        // Go wants a place for its build cache.
        command.env("GOCACHE", files.path().join("go")).env("NODE_PATH", "/usr/share/nodejs");
        let output = command.output().unwrap();
        let parsed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(parsed.lines().collect::<Vec<_>>(), expected, "{program}");
    };
    if has_program("ruby", &["-rrack", "-e", "1"]) {
        run("ruby", &["-Ku"], "rack.rb");
    }
    if has_program("go", &["version"]) {
        run("go", &["run"], "parse.go");
    }
    // Debian keeps its Node modules where another Node.js does not look.
    let busboy = [
        "-e",
        "process.env.NODE_PATH = '/usr/share/nodejs'; module.constructor._initPaths(); require('busboy')",
    ];
    if has_program("node", &busboy) {
        run("node", &[], "busboy.js");
    }
}
