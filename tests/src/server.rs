//! The server under test: Java's, or ours.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{
    java::{SMALL, jvm, workspace},
    port::free_port,
    process::{self, Process},
};

/// How often another port is tried: between choosing it and binding it, somebody else may take it.
const TRIES: usize = 5;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// `io.seata:seata-server`, with its file store.
    Java,
    /// Our `seata-server`, with its journal.
    Ours,
}

impl Make {
    /// What a test has that is written for both: ours with `SEATA_TEST_SERVER=ours`, else Java's.
    pub fn chosen() -> Self {
        match std::env::var("SEATA_TEST_SERVER").as_deref() {
            Ok("ours") => Self::Ours,
            _ => Self::Java,
        }
    }
}

/// A running server, with a store of its own. Killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    make: Make,
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
        Self::make(Make::chosen()).await
    }

    /// As [`start`](Self::start), of this make.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn make(make: Make) -> Self {
        let [collector, compiler] = SMALL;
        match make {
            Make::Java => Self::start_as(make, &["-Xmx256m", collector, compiler]).await,
            Make::Ours => Self::start_as(make, &[]).await,
        }
    }

    /// Java's, with options for the JVM: heap, system properties.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_as(Make::Java, options).await
    }

    async fn start_as(make: Make, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut log = String::new();
        for _ in 0..TRIES {
            let directory = tempfile::tempdir().expect("a directory");
            let port = free_port();
            let process = launch(make, port, &options, directory.path());
            let mut server = Self { make, process, port, options: options.clone(), directory };
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

    /// Which one it is.
    pub fn made_as(&self) -> Make {
        self.make
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
        self.process = launch(self.make, self.port, &self.options, self.directory.path());
        assert!(self.listens().await, "the server does not start again:\n{}", self.log());
    }

    /// Whether it comes so far; `false` when it ends before.
    async fn listens(&mut self) -> bool {
        let port = self.port;
        let is_listening = |_: &Path| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        self.process.ready(is_listening).await.is_some()
    }
}

fn launch(make: Make, port: u16, options: &[String], directory: &Path) -> Process {
    match make {
        Make::Java => launch_java(port, options, directory),
        Make::Ours => launch_ours(port, directory),
    }
}

fn launch_ours(port: u16, directory: &Path) -> Process {
    let mut command = process::owned(ours());
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--console-port", "0"])
        .arg("--data-dir")
        .arg(directory.join("store"));
    Process::start("server", &mut command, directory.join("server.log"))
}

/// Our server, which is built when it has to be, as this test was.
fn ours() -> &'static Path {
    static OURS: OnceLock<PathBuf> = OnceLock::new();
    OURS.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "-p", "seata-server", "--bin", "seata-server"]);
        let built = build.current_dir(workspace()).status().expect("cargo can be run");
        assert!(built.success(), "seata-server cannot be built");
        let test = std::env::current_exe().expect("this test has a path");
        // From TARGET/PROFILE/deps/test to TARGET/PROFILE.
        test.ancestors().nth(2).expect("tests are in a directory").join("seata-server")
    })
}

fn launch_java(port: u16, options: &[String], directory: &Path) -> Process {
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
