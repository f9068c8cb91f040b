//! `kill -9` at any moment, and what the next start makes of it.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rand::Rng;
use seata_tests::{
    amount,
    bank::{self, Plan},
    books::Books,
    seed,
    wait::LIMIT,
};

/// What killed processes said about transfers before they died.
#[derive(Debug, Default)]
struct Said {
    committed: BTreeSet<String>,
    failed: BTreeSet<String>,
}

#[test]
fn a_killed_process_loses_no_acknowledged_transfer_and_leaves_nothing() {
    let kills = amount(20, 200);
    let seed = seed::seed();
    let mut numbers = seed::numbers(seed, 0);
    let directory = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    let mut defences = 0;
    for kill in 0..kills {
        let mut child =
            Process::start(&["run", path(&directory), &seed.wrapping_add(kill as u64).to_string()]);
        // One in four dies while it opens, when it also recovers from the one before it.
        let waits = if numbers.random_ratio(1, 4) { None } else { Some("open") };
        child.listen(waits, Duration::from_micros(numbers.random_range(0..400_000)), &mut said);

        let books = recover(&directory);
        let when = format!("after kill {kill}");
        books.assert_balanced(&when);
        let made = books.made();
        for id in &said.committed {
            assert!(made.contains(id.as_str()), "{when}: {id} was acknowledged and is not in the ledger");
        }
        for id in &said.failed {
            assert!(!made.contains(id.as_str()), "{when}: {id} was refused and is in the ledger");
        }
        defences = books.defences;
    }
    println!("{} acknowledged, {} refused, {defences} defence rows", said.committed.len(), said.failed.len());
    assert!(said.committed.len() >= kills, "the processes lived long enough to do something");
}

/// Lets another process finish what the killed ones left, then looks with eyes of our own.
fn recover(directory: &tempfile::TempDir) -> Books {
    let recovery = Process::start(&["recover", path(directory)]);
    recovery.succeeds();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let coordinator = bank::open_coordinator(directory.path()).await.unwrap();
        assert_eq!(coordinator.transactions().await.unwrap(), [], "open transactions");
        assert_eq!(coordinator.locks().await.unwrap(), [], "held locks");
        coordinator.shutdown(LIMIT).await.unwrap();
        let mut offices = Vec::new();
        for office in 0..Plan::default().offices {
            offices.push(bank::open_database(directory.path(), office).await.unwrap());
        }
        Books::read(&offices).await.unwrap()
    })
}

fn path(directory: &tempfile::TempDir) -> &str {
    Path::to_str(directory.path()).expect("temporary directories have plain names")
}

/// A bank in a process of its own, killed at the latest when this is dropped.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
        command.args(arguments).stdout(Stdio::piped());
        Self(command.spawn().expect("the bank was built with the tests"))
    }

    /// Kills the process so long after it said this line, or after its start, and takes down what it says
    /// until then.
    fn listen(&mut self, line: Option<&str>, life: Duration, said: &mut Said) {
        let output = BufReader::new(self.0.stdout.take().expect("it is piped"));
        let (lines, heard) = mpsc::channel();
        let listener = thread::spawn(move || {
            // A short line goes into a pipe as a whole: the kill cuts none.
            output.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)).ok();
        });
        if let Some(expected) = line {
            let heard = heard.recv_timeout(LIMIT);
            assert_eq!(heard.as_deref(), Ok(expected), "what the process says first");
        }
        thread::sleep(life);
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is ours");
        listener.join().expect("it only listens");
        for line in heard {
            match line.split_once(' ') {
                Some(("committed", id)) => said.committed.insert(id.to_owned()),
                Some(("failed", id)) => said.failed.insert(id.to_owned()),
                _ => continue,
            };
        }
    }

    /// Waits for the end, which has a limit of its own, and wants it good.
    fn succeeds(mut self) {
        let status = self.0.wait().expect("it is ours");
        assert!(status.success(), "{status}; see above for what it said");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
