//! The server's process.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use seata_tests::wait::LIMIT;

/// A server with a journal, killed at the latest when this is dropped.
pub(super) struct Process {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Process {
    pub(super) fn start(directory: &Path) -> Self {
        let address = free_address();
        let child = launch(address, directory);
        let mut process = Self { child, address, directory: directory.to_owned() };
        process.wait_until_it_listens();
        process
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As `kill -9` does.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// In the same place, with what is left.
    pub(super) fn start_again(&mut self) {
        self.child = launch(self.address, &self.directory);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().expect("it is ours");
            assert_eq!(ended, None, "the server has ended:\n{}", self.log());
            assert!(start.elapsed() < LIMIT, "the server does not listen:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn launch(address: SocketAddr, directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    Command::new(env!("CARGO_BIN_EXE_tc"))
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--console-port", &free_address().port().to_string()])
        .arg("--data-dir")
        .arg(directory.join("data"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("it was built with the tests")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}
