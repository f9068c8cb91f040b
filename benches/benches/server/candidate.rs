//! The servers that are compared, each a process of its own.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use seata_benches::{cpu_time_of, resident_bytes_of};
use tempfile::TempDir;

/// How long a server of ours may take until it listens, also one that has a lot to read.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Names a server that was built already.
const BINARY: &str = "SEATA_SERVER";

/// What can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What only frames and answers.
    Responder,
    /// This server, which flushes before it answers.
    Journal,
    /// This server, which forgets.
    Memory,
    /// Java's in file mode, which flushes now and then.
    #[cfg(feature = "interop")]
    Java,
    /// Java's in file mode, which flushes each write.
    #[cfg(feature = "interop")]
    JavaSync,
}

impl Kind {
    /// All of them, those that others are compared with first.
    pub(crate) const ALL: &[Self] = &[
        #[cfg(feature = "interop")]
        Self::Java,
        #[cfg(feature = "interop")]
        Self::JavaSync,
        Self::Responder,
        Self::Memory,
        Self::Journal,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Responder => "responder",
            Self::Journal => "journal",
            Self::Memory => "memory",
            #[cfg(feature = "interop")]
            Self::Java => "Java, file",
            #[cfg(feature = "interop")]
            Self::JavaSync => "Java, file, sync",
        }
    }
}

/// A server that runs, until this is dropped.
pub(crate) struct Candidate {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// From its start until it listened.
    pub(crate) listens_after: Duration,
    /// From its start until it took requests: it listens while it reads its journal.
    pub(crate) ready_after: Duration,
    process: Process,
    /// Where its journal is.
    directory: Option<TempDir>,
}

enum Process {
    Ours(Child),
    #[cfg(feature = "interop")]
    Java(seata_tests::java::Server),
}

impl Candidate {
    pub(crate) fn start(kind: Kind) -> Self {
        match kind {
            Kind::Responder => responder(),
            Kind::Journal | Kind::Memory => {
                let directory = tempfile::tempdir().expect("a directory");
                ours(kind, free_address(), directory)
            }
            #[cfg(feature = "interop")]
            Kind::Java => java(kind, "async"),
            #[cfg(feature = "interop")]
            Kind::JavaSync => java(kind, "sync"),
        }
    }

    /// Kills it, and starts it again with what it left.
    pub(crate) fn restart(mut self) -> Self {
        self.process.kill();
        let directory = self.directory.take().expect("a server of ours");
        ours(self.kind, self.address, directory)
    }

    /// The CPU time that it has spent.
    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time_of(&self.process.id().to_string())
    }

    /// The memory that it occupies.
    pub(crate) fn resident_bytes(&self) -> u64 {
        resident_bytes_of(&self.process.id().to_string())
    }

    /// Where its journal is.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.as_ref().expect("a server of ours").path()
    }
}

impl Process {
    fn id(&self) -> u32 {
        match self {
            Self::Ours(child) => child.id(),
            #[cfg(feature = "interop")]
            Self::Java(server) => server.id(),
        }
    }

    fn has_ended(&mut self) -> bool {
        match self {
            Self::Ours(child) => child.try_wait().expect("it is ours").is_some(),
            #[cfg(feature = "interop")]
            Self::Java(_) => false,
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Ours(child) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
            }
            #[cfg(feature = "interop")]
            Self::Java(server) => server.kill(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn responder() -> Candidate {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_responder"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built with the benchmark");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("it says where it listens");
    let address = line.trim_end().parse().expect("an address");
    let after = start.elapsed();
    Candidate {
        kind: Kind::Responder,
        address,
        listens_after: after,
        ready_after: after,
        process: Process::Ours(child),
        directory: None,
    }
}

fn ours(kind: Kind, address: SocketAddr, directory: TempDir) -> Candidate {
    let binary = binary();
    let log = std::fs::File::options().create(true).append(true).open(directory.path().join("log"));
    let log = log.expect("a log file");
    let console = free_address();
    let start = Instant::now();
    let child = Command::new(binary)
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--console-port", &console.port().to_string()])
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .args(["--store", kind.name()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let mut process = Process::Ours(child);
    let mut wait_until = |reached: &dyn Fn() -> bool| {
        while !reached() {
            let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            assert!(!process.has_ended(), "the server has ended:\n{}", log());
            assert!(start.elapsed() < START_LIMIT, "no server after {START_LIMIT:?}:\n{}", log());
            std::thread::sleep(Duration::from_micros(200));
        }
        start.elapsed()
    };
    let listens_after = wait_until(&|| TcpStream::connect(address).is_ok());
    let ready_after = wait_until(&|| is_ready(console).unwrap_or(false));
    Candidate { kind, address, listens_after, ready_after, process, directory: Some(directory) }
}

/// Asks the console whether the server takes requests.
fn is_ready(console: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(console)?;
    connection.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// The server as it is in the workspace, built as this benchmark was.
fn binary() -> &'static Path {
    static BINARY_PATH: OnceLock<PathBuf> = OnceLock::new();
    BINARY_PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os(BINARY) {
            return path.into();
        }
        let profile = if cfg!(debug_assertions) { "dev" } else { "bench" };
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--package", "seata-server", "--profile", profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(build.is_ok_and(|status| status.success()), "seata-server cannot be built");
        // target/<profile>/deps/<this benchmark>
        let this = std::env::current_exe().expect("the place of this program");
        this.ancestors().nth(2).expect("a directory of cargo's").join("seata-server")
    })
}

#[cfg(feature = "interop")]
fn java(kind: Kind, flush: &str) -> Candidate {
    // What is built, is built before the time is taken.
    drop(seata_tests::java::jvm("server"));
    let runtime = seata_benches::runtime();
    let start = Instant::now();
    let flush = format!("-Dseata.store.file.flushDiskMode={flush}");
    let options = ["-Xmx1g", "-Dlogging.level.root=WARN", &flush];
    let server = runtime.block_on(seata_tests::java::Server::start_with(&options));
    let address = server.address().parse().expect("an address");
    let after = start.elapsed();
    Candidate {
        kind,
        address,
        listens_after: after,
        ready_after: after,
        process: Process::Java(server),
        directory: None,
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}
