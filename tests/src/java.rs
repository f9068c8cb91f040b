//! The Java side of the interoperability suite: its server, a peer on its client, and their processes.

mod peer;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock, Weak},
};

use tokio::sync::Mutex;

pub use crate::server::{Make, Server};
pub use peer::{Ended, Holdings, Loaded, Mode, Peer, PeerProcess, Refused, Release};

/// For a JVM that starts soon and stays small.
pub(crate) const SMALL: [&str; 2] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// What is running on the Java side for one test. When the test fails, its logs are shown.
#[derive(Debug)]
pub struct Java {
    /// The way to the peer.
    pub peer: Peer,
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    // The peer ends first.
    peer: PeerProcess,
    server: Server,
}

impl Java {
    /// A server and a peer that all tests share that run at the same time: theirs are the names of
    /// accounts, databases and resources, not more.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn shared() -> Self {
        static SHARED: Mutex<Weak<Running>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        let running = match shared.upgrade() {
            Some(running) => running,
            None => {
                let server = Server::start().await;
                let running = Arc::new(Running { peer: PeerProcess::start(&server.address()).await, server });
                *shared = Arc::downgrade(&running);
                running
            }
        };
        Self { peer: Peer::new(&running.peer), running }
    }

    /// Where the server listens.
    pub fn server(&self) -> String {
        self.running.server.address()
    }

    /// Whether the server is of this make.
    pub fn server_is(&self, make: Make) -> bool {
        self.running.server.made_as() == make
    }

    /// Whether a line that the server said holds all these texts.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub fn server_said(&self, texts: &[&str]) -> bool {
        self.running.server.said(texts)
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // The last one's processes do it themselves.
        if std::thread::panicking() && Arc::strong_count(&self.running) > 1 {
            eprintln!("{}\n{}", self.running.server.log(), self.running.peer.log());
        }
    }
}

/// The workspace's directory.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of a workspace")
}

/// A JVM with the class path of a Maven module of `tests/interop/java`, which is built when it has to be.
///
/// # Panics
/// When it cannot be built.
pub fn jvm(module: &str) -> Command {
    let built = built().join(module);
    let class_path = format!("{0}/classes:{0}/lib/*", built.display());
    let mut command = Command::new("java");
    command.args(["-Djava.net.preferIPv4Stack=true", "-cp", &class_path]);
    command
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let prepare = workspace().join("tests/interop/prepare");
        let output = Command::new(&prepare).output().expect("the script can be run");
        assert!(
            output.status.success(),
            "{} needs a JDK (17 or later) and Maven:\n{}{}",
            prepare.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        workspace().join("target/interop")
    })
}
