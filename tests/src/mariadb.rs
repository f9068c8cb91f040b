//! A MariaDB on a directory that is thrown away.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use crate::{
    process::{self, Process},
    server::free_port,
};

/// A running MariaDB. Killed when it is dropped.
#[derive(Debug)]
pub struct MariaDb {
    _process: Process,
    port: u16,
    directory: TempDir,
}

impl MariaDb {
    /// Starts one on a free loopback port. Needs MariaDB's server, of the package `mariadb-server`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        finish(install.args(user()).arg(format!("--datadir={}", data.display())));

        let port = free_port();
        let mut command = process::owned("mariadbd");
        command
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .arg("--no-defaults")
            .args(user())
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", socket(directory.path())))
            .arg(format!("--port={port}"))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=1000"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"]);
        let mut process = Process::start("MariaDB", &mut command, directory.path().join("mariadb.log"));
        let is_listening = |_: &Path| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        assert!(process.ready(is_listening).await.is_some(), "MariaDB does not start:\n{}", process.log());
        Self { _process: process, port, directory }
    }

    /// Makes a database of this name with these statements.
    ///
    /// # Panics
    /// When it cannot.
    pub fn create(&self, name: &str, statements: &str) {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--default-character-set=utf8mb4"]);
        client.arg(format!("--socket={}", socket(self.directory.path())));
        finish(client.args(["--execute", &format!("CREATE DATABASE {name}; USE {name}; {statements}")]));
    }

    /// How JDBC reaches a database.
    pub fn jdbc(&self, name: &str) -> String {
        format!("jdbc:mysql://127.0.0.1:{}/{name}?user=root", self.port)
    }
}

fn socket(directory: &Path) -> String {
    directory.join("socket").display().to_string()
}

/// Root has to say that it means it.
fn user() -> Option<&'static str> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    is_root.then_some("--user=root")
}

fn finish(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}); is the package mariadb-server installed?")
    });
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{said}{errors}");
}
