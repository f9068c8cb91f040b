//! A PostgreSQL on a directory that is thrown away.

use std::{
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
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

const PACKAGE: &str = "postgresql";
/// Where Debian puts the programs, in a directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// `nobody`: the server refuses to run as root.
const UNPRIVILEGED: u32 = 65534;
/// Ends it at once, and leaves no shared memory behind. Its data is as after a crash.
const IMMEDIATE: &str = "QUIT";
/// How often another port is tried: between choosing it and binding it, somebody else may take it.
const TRIES: usize = 5;

/// A running PostgreSQL, which loses nothing when it is killed. Ended when it is dropped, or this process ends.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    options: Vec<String>,
    directory: TempDir,
    _sweeper: Sweeper,
}

impl Postgres {
    /// Starts one on a free loopback port. Needs PostgreSQL's server, of the package `postgresql`. It never
    /// flushes to the disk.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with settings of the server that win: `fsync=on` to flush each commit.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let pid_file = directory.path().join("data/postmaster.pid");
        let sweeper = Sweeper::new(IMMEDIATE, &pid_file, directory.path());
        let mut init = command("initdb", directory.path());
        init.args(["-D", "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        finish(init.args(["--no-sync", "--no-instructions"]), PACKAGE);

        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut log = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            let mut process = launch(port, &options, directory.path());
            if serves(&mut process, port).await {
                return Self { process, port, options, directory, _sweeper: sweeper };
            }
            log = process.log();
        }
        panic!("PostgreSQL does not start:\n{log}");
    }

    /// The one that all tests of this process share.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| wait::blocking(Self::start))
    }

    /// Ends it as a crash would, with all the processes that serve its connections: they would go on for a while.
    pub fn kill(&mut self) {
        let served = self.process.children();
        self.process.kill();
        let mut kill = Command::new("kill");
        kill.args(["-s", "KILL"]).args(served.iter().map(u32::to_string)).stderr(std::process::Stdio::null());
        // Some have gone by themselves.
        let _ = kill.status();
    }

    /// Starts it again after it was killed, on the same port with the same data.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.process.kill();
        // Those who served its connections see its end, and go; only then will another one start.
        self.process = wait::until("PostgreSQL's start after a crash", || async {
            let mut process = launch(self.port, &self.options, self.directory.path());
            let serves = serves(&mut process, self.port).await;
            if serves { Ok(process) } else { Err(process.log()) }
        })
        .await;
    }

    /// Makes a database of this name with these statements.
    ///
    /// # Panics
    /// When it cannot.
    pub fn create(&self, name: &str, statements: &str) {
        for (database, statements) in [("postgres", &*format!("CREATE DATABASE {name}")), (name, statements)]
        {
            let mut client = command("psql", self.directory.path());
            client.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statements, &self.url(database)]);
            finish(&mut client, PACKAGE);
        }
    }

    /// Where its data and its log are, for as long as it runs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// How JDBC reaches a database.
    pub fn jdbc(&self, name: &str) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/{name}?user=postgres", self.port)
    }

    /// How sqlx reaches a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.stop(IMMEDIATE);
    }
}

fn launch(port: u16, options: &[String], directory: &Path) -> Process {
    let mut server = command("postgres", directory);
    server.args(["-D", "data", "-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
    // A commit is with the operating system, which is not killed.
    let settings = ["fsync=off", "full_page_writes=off", "max_connections=500", "timezone=UTC"];
    for setting in settings.into_iter().chain(options.iter().map(String::as_str)) {
        server.args(["-c", setting]);
    }
    Process::start("PostgreSQL", &mut server, directory.join("postgres.log"))
}

/// Whether it comes so far; `false` when it ends before.
async fn serves(process: &mut Process, port: u16) -> bool {
    let is_serving = |log: &Path| {
        let mut ask = command("pg_isready", log.parent().expect("it is in a directory"));
        let answer = ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status();
        answer.expect("pg_isready can be run").success().then_some(())
    };
    process.ready(is_serving).await.is_some()
}

/// One of PostgreSQL's programs, run in this directory, which becomes that of who may run it.
fn command(program: &str, directory: &Path) -> Command {
    let programs = programs();
    let mut command = Command::new(programs.join(program));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    command.env_clear().env("PATH", path).env("LC_ALL", "C").env("TZ", "UTC").current_dir(directory);
    let owner = fs_err::metadata(directory).expect("it is there").uid();
    if owner == 0 {
        chown(directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("root may");
    }
    if owner == 0 || owner == UNPRIVILEGED {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// Where the newest version is; else where the PATH leads.
fn programs() -> PathBuf {
    let versions = fs_err::read_dir(VERSIONS).into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(version);
    newest.map_or_else(PathBuf::new, |newest| newest.join("bin"))
}
