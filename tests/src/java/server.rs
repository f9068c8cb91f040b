//! Java's server.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
};

use tempfile::TempDir;

use super::{SMALL, jvm};
use crate::process::Process;

/// How often another port is tried: between choosing it and binding it, somebody else may take it.
const TRIES: usize = 5;

/// A running `io.seata:seata-server`, with a file store of its own. Killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
    options: Vec<String>,
    directory: TempDir,
}

impl Server {
    /// Starts one on a free loopback port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let [collector, compiler] = SMALL;
        Self::start_with(&["-Xmx256m", collector, compiler]).await
    }

    /// As [`start`](Self::start), with options for the JVM: heap, system properties.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut log = String::new();
        for _ in 0..TRIES {
            let directory = tempfile::tempdir().expect("a directory");
            let port = free_port();
            let process = launch(port, &options, directory.path());
            let mut server = Self { process, port, options: options.clone(), directory };
            if server.listens().await {
                return server;
            }
            log = server.log();
        }
        panic!("the server does not start:\n{log}");
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Whether a line that it said holds all these texts.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub fn said(&self, texts: &[&str]) -> bool {
        self.process.said(texts)
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port and the same store.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.port, &self.options, self.directory.path());
        assert!(self.listens().await, "the server does not start again:\n{}", self.log());
    }

    /// Whether it comes so far; `false` when it ends before.
    async fn listens(&mut self) -> bool {
        let port = self.port;
        let is_listening = |_: &Path| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        self.process.ready(is_listening).await.is_some()
    }
}

fn launch(port: u16, options: &[String], directory: &Path) -> Process {
    let mut command = jvm("server");
    command
        .args(options)
        // The console is of no use here: any port.
        .args(["-Dserver.port=0", "-Dserver.address=127.0.0.1"])
        .arg(format!("-Dseata.store.file.dir={}", directory.join("store").display()))
        // Where it writes its own log files.
        .arg(format!("-Duser.home={}", directory.display()))
        .args(["interop.Server", "-h", "127.0.0.1", "-p", &port.to_string(), "-m", "file"]);
    Process::start("Java server", &mut command, directory.join("server.log"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
