//! A MariaDB on a directory that is thrown away.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{
    port::free_port,
    process::{Process, finish},
    sweep::Sweeper,
    wait,
};

const PACKAGE: &str = "mariadb-server";
/// How often another port is tried: between choosing it and binding it, somebody else may take it.
const TRIES: usize = 5;

/// A running MariaDB, which loses nothing when it is killed. Killed when it is dropped, or this process ends.
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    port: u16,
    options: Vec<String>,
    directory: TempDir,
    _sweeper: Sweeper,
}

impl MariaDb {
    /// Starts one on a free loopback port. Needs MariaDB's server, of the package `mariadb-server`. It never
    /// flushes to the disk.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with options of the server that win: `--innodb-flush-log-at-trx-commit=1` to
    /// flush each commit.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sweeper = Sweeper::new("KILL", &directory.path().join("pid"), directory.path());
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.args(user()).arg(format!("--datadir={}", data(directory.path())));
        fs_err::create_dir(scratch(directory.path())).expect("a new directory");
        install.arg(format!("--tmpdir={}", scratch(directory.path())));
        finish(&mut install, PACKAGE);

        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut log = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            let mut process = launch(port, &options, directory.path());
            if listens(&mut process, port).await {
                return Self { process, port, options, directory, _sweeper: sweeper };
            }
            log = process.log();
        }
        panic!("MariaDB does not start:\n{log}");
    }

    /// The one that all tests of this process share.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(|| wait::blocking(Self::start))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after it was killed, on the same port with the same data.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.port, &self.options, self.directory.path());
        let listens = listens(&mut self.process, self.port).await;
        assert!(listens, "MariaDB does not start again:\n{}", self.process.log());
    }

    /// Makes a database of this name with these statements.
    ///
    /// # Panics
    /// When it cannot.
    pub fn create(&self, name: &str, statements: &str) {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--default-character-set=utf8mb4"]);
        client.arg(format!("--socket={}", socket(self.directory.path())));
        client.args(["--execute", &format!("CREATE DATABASE {name}; USE {name}; {statements}")]);
        finish(&mut client, PACKAGE);
    }

    /// Where its data and its log are, for as long as it runs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// How JDBC reaches a database.
    pub fn jdbc(&self, name: &str) -> String {
        format!("jdbc:mysql://127.0.0.1:{}/{name}?user=root", self.port)
    }

    /// How sqlx reaches a database.
    pub fn url(&self, name: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{name}", self.port)
    }

    /// How sqlx reaches a database without the network. Over that, its statements wait for each other: it does not set
    /// `TCP_NODELAY`, and forgetting a prepared statement has no answer.
    pub fn socket_url(&self, name: &str) -> String {
        format!("{}?socket={}", self.url(name), socket(self.directory.path()))
    }
}

fn launch(port: u16, options: &[String], directory: &Path) -> Process {
    let mut command = Command::new("mariadbd");
    command
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .arg("--no-defaults")
        .args(user())
        .arg(format!("--datadir={}", data(directory)))
        .arg(format!("--tmpdir={}", scratch(directory)))
        .arg(format!("--socket={}", socket(directory)))
        .arg(format!("--pid-file={}", directory.join("pid").display()))
        .arg(format!("--port={port}"))
        .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=1000"])
        // A commit is with the operating system, which is not killed.
        .args(["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--sync-frm=0"])
        .arg("--innodb-buffer-pool-size=64M")
        .args(options);
    Process::start("MariaDB", &mut command, directory.join("mariadb.log"))
}

/// Whether it comes so far; `false` when it ends before.
async fn listens(process: &mut Process, port: u16) -> bool {
    let is_listening = |_: &Path| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
    process.ready(is_listening).await.is_some()
}

fn data(directory: &Path) -> String {
    directory.join("data").display().to_string()
}

/// For its temporary tables. A server that starts removes all of those in its directory, and one that loses them while it
/// runs dies of it.
fn scratch(directory: &Path) -> String {
    directory.join("scratch").display().to_string()
}

fn socket(directory: &Path) -> String {
    directory.join("socket").display().to_string()
}

/// Root has to say that it means it.
fn user() -> Option<&'static str> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    is_root.then_some("--user=root")
}
