//! A process that ends with its owner, and what it said.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, mpsc},
    time::{Duration, Instant},
};

/// How long a start may take on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long an ordered end may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// How much of a log is shown.
const SHOWN_LINES: usize = 80;

/// A command whose process the kernel kills when this process ends: for those that do not watch their standard input.
pub fn owned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be run, naming the package that has it, or fails, with what it said.
pub fn finish(command: &mut Command, package: &str) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}); is the package {package} installed?")
    });
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{said}{errors}");
}

/// A process that is killed when this is dropped, and then shows its log if a test fails. Its standard input stays open until then: ours end when
/// it closes, so that nothing is left behind when the owner itself is killed.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, with its output at the end of the file `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Self {
        let file = fs_err::File::options().create(true).append(true).open(&log).expect("a log file");
        let errors = file.try_clone().expect("a second handle");
        let (output, _) = file.into_parts();
        let (errors, _) = errors.into_parts();
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let child = spawn(std::mem::replace(command, Command::new(name)))
            .unwrap_or_else(|error| panic!("the {name} cannot be started: {error}"));
        Self { name, child, log }
    }

    /// Asks until it is ready, or has ended, which gives `None`. What is asked is told where the log is.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn ready<T>(&mut self, mut is_ready: impl FnMut(&Path) -> Option<T>) -> Option<T> {
        let began = Instant::now();
        loop {
            if let Some(ready) = is_ready(&self.log) {
                return Some(ready);
            }
            if self.child.try_wait().expect("it is ours").is_some() {
                return None;
            }
            assert!(
                began.elapsed() < START_LIMIT,
                "the {} is not ready after {START_LIMIT:?}:\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The numbers of the processes that it has started.
    pub fn children(&self) -> Vec<u32> {
        let id = self.id();
        let children = fs_err::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        let log = fs_err::read(&self.log).unwrap_or_else(|error| error.to_string().into_bytes());
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(SHOWN_LINES);
        format!("---- the end of the log of the {} ----\n{}", self.name, lines[from..].join("\n"))
    }

    /// Whether a line that it said holds all these texts.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub fn said(&self, texts: &[&str]) -> bool {
        let log = String::from_utf8_lossy(&fs_err::read(&self.log).expect("its log is there")).into_owned();
        log.lines().any(|line| texts.iter().all(|text| line.contains(text)))
    }

    /// Sends it a signal that ends it, and waits until it is gone. After some seconds it is killed.
    pub fn stop(&mut self, signal: &str) {
        // It may have ended already.
        let _ = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status();
        let began = Instant::now();
        while began.elapsed() < STOP_LIMIT && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(PAUSE);
        }
        self.kill();
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it from a thread that lives as long as this process: an [`owned`] one ends with its thread, and the test
/// that starts what others share may be the first to end.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                // Who ordered it waits.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    orders.lock().expect("nobody panics with it").send((command, answer)).expect("the thread never ends");
    child.recv().expect("the thread never ends")
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
