//! Where deliveries go: the receiver of the tests, which reads and discards, and a bare socket.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;

use bktec_upload::cli::Cli;
use bktec_upload::config::Config;
use clap::Parser;
use tokio::runtime::Runtime;

use super::support::baseline;

#[path = "../../examples/support/receiver.rs"]
mod receiver;

use receiver::{Options, Receiver, Step};

/// A receiver on threads of its own.
pub struct Sink {
    receiver: Receiver,
    _server: Runtime,
}

impl Sink {
    pub fn start() -> Self {
        let server = Runtime::new().expect("a runtime is made");
        let options = Options { otherwise: Step::Discard, max_results: None, ..Options::default() };
        let receiver = server.block_on(Receiver::start(options)).expect("the receiver listens");
        Self { receiver, _server: server }
    }

    /// The arguments that send a file or a folder here.
    pub fn config(&self, path: &Path) -> Config {
        let path = path.to_str().expect("the path is text");
        let url = self.receiver.url();
        let arguments = ["bktec-upload", path, "--token", "test-suite-token", "--upload-url", &url];
        let cli = Cli::try_parse_from(arguments).expect("the arguments are right");
        Config::resolve(cli, &|_| None).expect("the arguments are right")
    }
}

/// The runtime that the tool has: one thread.
pub fn client() -> Runtime {
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build();
    client.expect("a runtime is made")
}

/// A listener that reads connections to their ends, on a thread that ends with the bench.
pub struct Socket(TcpListener);

impl Socket {
    pub fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let accepting = listener.try_clone().expect("the listener is cloned");
        std::thread::spawn(move || {
            for connection in accepting.incoming() {
                baseline::read(connection.expect("a connection comes")).expect("it is read");
            }
        });
        Self(listener)
    }

    /// Copies a file to the other side, in the kernel, and waits until it was read.
    pub fn send(&self, path: &Path) {
        let mut file = File::open(path).expect("the file is there");
        let address = self.0.local_addr().expect("it has an address");
        let mut stream = TcpStream::connect(address).expect("it connects");
        io::copy(&mut file, &mut stream).expect("it is sent");
        stream.shutdown(Shutdown::Write).expect("it is ended");
        assert_eq!(stream.read(&mut [0]).expect("the other side closes"), 0);
    }
}
