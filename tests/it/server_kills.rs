//! `kill -9` of the server under load. What it acknowledged stands in the ledger of those who asked.

mod ledger;
mod link;
mod process;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use rand::{Rng as _, rngs::StdRng};
use seata::GlobalStatus;
use seata_protocol::TransactionExceptionCode;
use seata_tests::{amount, seed, wait};

use self::{
    ledger::{Decision, Ledger},
    link::{Link, Lost},
    process::Process,
};

/// Applications, each with a TM and an RM connection.
const APPLICATIONS: usize = 2;
/// Transactions at a time for each application.
const WORKERS: usize = 8;
/// How many transactions are left undecided from one life of the server to the next.
const LEFT_OPEN: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_it_acknowledged_and_invents_nothing() {
    let kills = amount(10, 200);
    let seed = seed::seed();
    let mut numbers = seed::numbers(seed, 0);
    let office = Office { ledger: Arc::default(), rows: Arc::new(AtomicU64::new(1)) };
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path());
    for kill in 0..kills {
        let links = office.connect(server.address()).await;
        let life = Duration::from_millis(numbers.random_range(5..120));
        let workers = (0..APPLICATIONS * WORKERS).map(|worker| {
            let numbers = seed::numbers(seed, (1 + kill * APPLICATIONS * WORKERS + worker) as u64);
            tokio::spawn(office.clone().work(links[worker % APPLICATIONS].clone(), numbers))
        });
        let workers: Vec<_> = workers.collect();
        tokio::time::sleep(life).await;
        server.kill();
        for worker in workers {
            worker.await.unwrap();
        }
        server.start_again();

        let links = office.connect(server.address()).await;
        let when = format!("after kill {kill}");
        office.check_undecided(&links[0], &when).await;
        office.check_decided(&links[0], &when).await;
        let left = if kill + 1 < kills { LEFT_OPEN } else { 0 };
        office.decide_all_but(left, &links, &mut numbers).await;
        office.ledger.assert_clean(&when);
    }

    // Phase two that waits for its retry needs somebody to hear it.
    let links = office.connect(server.address()).await;
    wait::until("phase two of everything that was decided", || async {
        match office.ledger.waiting() {
            0 => Ok(()),
            waiting => Err(format!("{waiting} branches wait")),
        }
    })
    .await;
    office.check_nothing_is_locked(&links[0]).await;
    office.ledger.assert_clean("at the end");
    let (branches, decisions) = office.ledger.acknowledged();
    println!("{kills} kills: {branches} branches and {decisions} decisions were acknowledged");
    assert!(decisions > kills, "the server lived long enough to do something");
}

/// All that happens in this test.
#[derive(Clone)]
struct Office {
    ledger: Arc<Ledger>,
    /// The next row that nobody has locked.
    rows: Arc<AtomicU64>,
}

impl Office {
    async fn connect(&self, server: SocketAddr) -> Vec<Link> {
        let links = (0..APPLICATIONS).map(|number| Link::connect(server, number, Arc::clone(&self.ledger)));
        join_all(links).await
    }

    /// One transaction after the other, until the server is gone.
    async fn work(self, link: Link, mut numbers: StdRng) {
        while self.transaction(&link, &mut numbers).await.is_ok() {}
    }

    async fn transaction(&self, link: &Link, numbers: &mut StdRng) -> Result<(), Lost> {
        let xid = link.begin().await?;
        self.ledger.begun(&xid);
        for _ in 0..numbers.random_range(0..3) {
            let rows = self.fresh_rows(numbers.random_range(1..4));
            self.ledger.asks_for_branch(&xid, &rows);
            match link.register(&xid, &rows).await? {
                Ok(branch) => self.ledger.branch(&xid, branch, rows),
                Err(code) => self.ledger.complain(format!("{xid}: fresh rows were refused with {code}")),
            }
        }
        match numbers.random_range(0..10) {
            0..5 => self.decide(link, &xid, Decision::Commit).await,
            5..9 => self.decide(link, &xid, Decision::Rollback).await,
            _ => Ok(()),
        }
    }

    async fn decide(&self, link: &Link, xid: &str, decision: Decision) -> Result<(), Lost> {
        self.ledger.asks(xid, decision);
        let status = link.decide(xid, decision).await?;
        self.ledger.told(xid, status);
        Ok(())
    }

    fn fresh_rows(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.rows.fetch_add(1, Ordering::Relaxed).to_string()).collect()
    }

    /// Branches and locks that were acknowledged are there while nobody has asked for a decision.
    async fn check_undecided(&self, link: &Link, when: &str) {
        let undecided = self.ledger.undecided();
        let checks = undecided.iter().map(|(xid, entry)| async move {
            let status = link.status(xid).await.expect("the server lives");
            if status != GlobalStatus::Begin {
                self.ledger
                    .complain(format!("{when}: {xid} has branches and is {status}, not open: {entry:?}"));
            }
        });
        join_all(checks).await;

        let rows = undecided.iter().flat_map(|(_, entry)| entry.rows());
        let probe = link.begin().await.expect("the server lives");
        let probes = rows.map(|row| {
            let probe = &probe;
            async move {
                let refused = Err(TransactionExceptionCode::LockKeyConflict);
                let answer = link.register(probe, std::slice::from_ref(row)).await.expect("the server lives");
                if answer != refused {
                    self.ledger.complain(format!("{when}: row {row} is locked no more: {answer:?}"));
                }
            }
        });
        join_all(probes).await;
        link.decide(&probe, Decision::Rollback).await.expect("the server lives");
    }

    /// Decisions that were acknowledged stand.
    async fn check_decided(&self, link: &Link, when: &str) {
        let decided = self.ledger.take_decided();
        let checks = decided.iter().map(|(xid, decision)| async move {
            let status = link.status(xid).await.expect("the server lives");
            if status != GlobalStatus::Finished && Decision::of(status) != Some(*decision) {
                self.ledger.complain(format!("{when}: {xid} was told {decision:?} and is {status}"));
            }
        });
        join_all(checks).await;
    }

    /// Decides what has no decision that is known, sometimes another way than was asked for before.
    async fn decide_all_but(&self, left: usize, links: &[Link], numbers: &mut StdRng) {
        let mut unknown = self.ledger.unknown();
        unknown.retain(|(_, entry)| left == 0 || !entry.is_asked() || numbers.random_ratio(9, 10));
        let mut undecided = self.ledger.undecided();
        undecided.truncate(undecided.len().saturating_sub(left));
        for (index, (xid, _)) in unknown.into_iter().chain(undecided).enumerate() {
            let decision = if numbers.random() { Decision::Commit } else { Decision::Rollback };
            let link = &links[index % links.len()];
            self.decide(link, &xid, decision).await.expect("the server lives");
        }
    }

    async fn check_nothing_is_locked(&self, link: &Link) {
        let xid = link.begin().await.expect("the server lives");
        let all: Vec<String> = (1..self.rows.load(Ordering::Relaxed)).map(|row| row.to_string()).collect();
        for rows in all.chunks(1000) {
            let answer = link.register(&xid, rows).await.expect("the server lives");
            if let Err(code) = answer {
                self.ledger.complain(format!("rows of {}.. are still locked: {code}", rows[0]));
            }
        }
    }
}
