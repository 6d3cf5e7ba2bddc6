//! Real servers between the tool and the service: nginx with TLS and its limits, a proxy.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::delivery::only;
use crate::harness::{Receiver, TOKEN, folder, has_program, junit, scripted, tool};

/// A server from Debian's packages, ended when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that no receiver of another test takes: those are at 127.0.0.1.
const HOST: &str = "127.0.0.77";

fn free_port() -> u16 {
    TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().port()
}

fn start(command: &mut Command, port: u16) -> Server {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Server(child.unwrap());
    let started = Instant::now();
    while std::net::TcpStream::connect((HOST, port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "{command:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

fn openssl(folder: &Path, arguments: &str) {
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate authority of our own and a certificate for our address from it.
fn certificates(folder: &Path) {
    std::fs::write(
        folder.join("ext"),
        "subjectAltName=IP:127.0.0.77\nextendedKeyUsage=serverAuth\n",
    )
    .unwrap();
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca",
    );
    openssl(folder, "req -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem -subj /CN=service");
    openssl(
        folder,
        "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
    );
}

/// nginx with TLS before a receiver.
fn nginx(folder: &Path, receiver: &Receiver, settings: &str) -> (Server, u16) {
    certificates(folder);
    let port = free_port();
    let here = folder.display();
    let target = receiver.url().replace("/v1/uploads", "");
    let configuration = format!(
        "daemon off; pid {here}/pid; error_log {here}/error.log; worker_processes 1;
         events {{ worker_connections 64; }}
         http {{
           access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p;
           fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
           server {{
             listen {HOST}:{port} ssl; ssl_certificate {here}/cert.pem; ssl_certificate_key {here}/key.pem;
             {settings}
             location / {{ proxy_pass {target}; proxy_request_buffering off; proxy_http_version 1.1; }}
           }}
         }}"
    );
    std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("error.log"));
    (start(&mut command, port), port)
}

/// A folder with a file that is larger than the buffers between here and the service.
fn large() -> (tempfile::TempDir, u64) {
    let output = format!("<system-out>{}</system-out></testsuite>", "x".repeat(30_000_000));
    let content = junit(5000).replace("</testsuite>", &output);
    (folder(&[("a.xml", content.as_bytes())]), content.len() as u64)
}

fn has_nginx() -> bool {
    has_program("/usr/sbin/nginx", &["-v"]) && has_program("openssl", &["version"])
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_an_authority_of_ones_own() {
    if !has_nginx() {
        return;
    }
    let (folder, length) = large();
    let receiver = scripted([]).await;
    let (_nginx, port) = nginx(folder.path(), &receiver, "client_max_body_size 0;");
    let url = format!("https://{HOST}:{port}/v1/uploads");
    let run = || {
        tool([folder.path().join("a.xml")]).args([
            "--token",
            TOKEN,
            "--upload-url",
            &url,
            "--retries=0",
        ])
    };

    // An authority that nobody knows is not trusted.
    let ran = run().arg("--report=json").run().await.expect(22).report();
    let error = ran["uploads"][0]["error"].as_str().unwrap().to_lowercase();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(receiver.requests(), 0, "nothing was sent before that");

    run().env("SSL_CERT_FILE", folder.path().join("ca.pem")).run().await.expect(0);
    assert_eq!(only(&receiver).data.unwrap().bytes, length);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_takes_no_more_than_a_limit_is_heard() {
    if !has_nginx() {
        return;
    }
    let (folder, _) = large();
    let receiver = scripted([]).await;
    let (_nginx, port) = nginx(folder.path(), &receiver, "client_max_body_size 1m;");
    for _ in 0..5 {
        let ran = tool([folder.path().join("a.xml")])
            .args(["--token", TOKEN, "--upload-url", &format!("https://{HOST}:{port}/v1/uploads")])
            .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
            .run()
            .await
            .expect(21);
        ran.says("the service answered 413: <html>");
    }
    assert_eq!(receiver.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy() {
    if !has_nginx() || !has_program("tinyproxy", &["-v"]) {
        return;
    }
    let folder = folder(&[("a.xml", junit(5).as_bytes())]);
    let receiver = scripted([]).await;
    let (_nginx, port) = nginx(folder.path(), &receiver, "");
    let proxy_port = free_port();
    let log = folder.path().join("proxy.log");
    let configuration = format!(
        "Port {proxy_port}\nListen {HOST}\nLogFile \"{}\"\nLogLevel Connect\nTimeout 30\nMaxClients 8\nAllow 127.0.0.0/8\n",
        log.display()
    );
    std::fs::write(folder.path().join("proxy.conf"), configuration).unwrap();
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(folder.path().join("proxy.conf"));
    let _proxy = start(&mut command, proxy_port);
    tool([folder.path().join("a.xml")])
        .args(["--token", TOKEN, "--upload-url", &format!("https://{HOST}:{port}/v1/uploads")])
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .env("HTTPS_PROXY", format!("http://{HOST}:{proxy_port}"))
        .run()
        .await
        .expect(0);
    assert_eq!(only(&receiver).results, Some(5));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(&format!("CONNECT {HOST}:{port}")), "{log}");
    assert!(!log.contains(TOKEN));

    // Plain HTTP is for loopback, and goes through no proxy: it would see the token.
    let ran = tool([folder.path().join("a.xml")])
        .args(["--token", TOKEN, "--upload-url", &receiver.url()])
        .env("HTTP_PROXY", format!("http://{HOST}:{proxy_port}"))
        .env("http_proxy", format!("http://{HOST}:{proxy_port}"))
        .run()
        .await;
    ran.expect(0);
    assert!(!std::fs::read_to_string(folder.path().join("proxy.log")).unwrap().contains("POST"));
}
