//! Phase two of Sagas, through the runner.

use std::{sync::Arc, time::Duration};

use BranchStatus::*;
use seata_protocol::{BranchStatus, BranchType, GlobalStatus, Xid};

use super::{HandClock, NOON, Scripted, begin, branch, in_memory, settle, start};
use crate::{
    driver::{BranchAnswer, Driver, Reached},
    journal::{JournalStore, tests::disk::Disk},
    session::SAGA_BRANCH,
    store::Store,
};

const RESOURCE: &str = "shop#default_tx_group";

async fn saga<S: Store>(driver: &Driver<S, HandClock>) -> Xid {
    let xid = driver.begin(begin(false)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::Saga, RESOURCE, &[])).await.unwrap();
    xid
}

fn answered(status: BranchStatus) -> Reached {
    Reached::Answered(BranchAnswer { status, reason: "because".into() })
}

#[tokio::test]
async fn each_answer_of_a_state_machine_takes_its_saga_where_the_table_says() {
    let commit = [
        (PhaseTwoCommitted, GlobalStatus::Committed),
        (PhaseTwoRollbacked, GlobalStatus::Rollbacked),
        (PhaseOneFailed, GlobalStatus::Finished),
        (PhaseTwoRollbackFailedRetryable, GlobalStatus::RollbackRetrying),
        (PhaseTwoCommitFailedRetryable, GlobalStatus::CommitRetrying),
        (PhaseTwoCommitFailedUnretryable, GlobalStatus::CommitFailed),
    ];
    let rollback = [
        (PhaseTwoRollbacked, GlobalStatus::Rollbacked),
        (PhaseTwoCommitFailedRetryable, GlobalStatus::CommitRetrying),
        (PhaseTwoRollbackFailedRetryable, GlobalStatus::RollbackRetrying),
        (PhaseTwoRollbackFailedUnretryable, GlobalStatus::RollbackFailed),
    ];
    let all = commit.map(|row| (true, row)).into_iter().chain(rollback.map(|row| (false, row)));
    for (commits, (answer, status)) in all {
        let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
        let (driver, _running) = in_memory(&participants, &clock).await;
        let xid = saga(&driver).await;
        participants.will(SAGA_BRANCH, answered(answer));
        let (told, asked) = if commits {
            (driver.commit(&xid).await.unwrap(), "Committing")
        } else {
            (driver.rollback(&xid).await.unwrap(), "Rollbacking")
        };
        settle().await;
        assert_eq!((told, driver.status(&xid).await.unwrap()), (status, status), "{answer}");
        assert_eq!(participants.data()[0].as_ref(), asked);
        assert_eq!(driver.stats().parked, usize::from(status.to_string().contains("Failed")), "{status}");
    }
}

#[tokio::test]
async fn a_saga_that_turns_is_asked_in_its_new_direction() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = saga(&driver).await;
    participants.will(SAGA_BRANCH, answered(PhaseTwoRollbackFailedRetryable));
    driver.commit(&xid).await.unwrap();
    clock.advance(Duration::from_secs(2)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
    let data: Vec<String> = participants.data().iter().map(|data| data.to_string()).collect();
    assert_eq!(data, ["Committing", "RollbackRetrying"]);
}

#[tokio::test]
async fn a_report_parks_and_another_takes_the_saga_on() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = saga(&driver).await;
    let failed = GlobalStatus::RollbackFailed;
    assert_eq!(driver.report(&xid, failed).await, Ok(failed));
    settle().await;
    assert_eq!(driver.stats().parked, 1);
    clock.advance(Duration::from_secs(5)).await;
    assert!(participants.calls().is_empty());
    let retrying = GlobalStatus::RollbackRetrying;
    assert_eq!(driver.report(&xid, retrying).await, Ok(retrying));
    settle().await;
    assert_eq!(driver.stats().parked, 0);
    clock.advance(Duration::from_secs(5)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
}

/// The store has taken the report; its caller is gone before it hears of that.
#[tokio::test]
async fn a_report_whose_caller_is_gone_leaves_nothing_behind() {
    let clock = HandClock::at(NOON);
    let (disk, participants) = (Disk::default(), Scripted::new());
    let store = JournalStore::open_on(disk.clone(), 100).unwrap();
    let (driver, _running) = start(store, Arc::clone(&participants), &clock).await;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let xid = loop {
        let xid = saga(&driver).await;
        driver.report(&xid, GlobalStatus::RollbackFailed).await.unwrap();
        let mut dropped = Box::pin(driver.report(&xid, GlobalStatus::Rollbacked));
        // The disk is quicker now and then.
        let is_pending = Future::poll(dropped.as_mut(), &mut context).is_pending();
        drop(dropped);
        if is_pending {
            break xid;
        }
    };
    for _ in 0..500 {
        if driver.stats().parked == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(driver.stats().parked, 0);
}

#[tokio::test]
async fn a_report_survives_a_crash() {
    let clock = HandClock::at(NOON);
    let (disk, participants) = (Disk::default(), Scripted::new());
    let store = JournalStore::open_on(disk.clone(), 100).unwrap();
    let (driver, running) = start(store, Arc::clone(&participants), &clock).await;
    let [failed, retrying, done] = [saga(&driver).await, saga(&driver).await, saga(&driver).await];
    driver.report(&failed, GlobalStatus::CommitFailed).await.unwrap();
    driver.report(&retrying, GlobalStatus::RollbackRetrying).await.unwrap();
    driver.report(&done, GlobalStatus::Finished).await.unwrap();
    running.abort();

    let store = JournalStore::open_on(disk.now().lost(), 100).unwrap();
    let (driver, _running) = start(store, Arc::clone(&participants), &clock).await;
    clock.advance(Duration::from_secs(5)).await;
    assert_eq!(driver.status(&failed).await, Ok(GlobalStatus::CommitFailed));
    assert_eq!(driver.status(&retrying).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(driver.status(&done).await, Ok(GlobalStatus::Finished));
    assert_eq!(driver.stats().parked, 1);
}
