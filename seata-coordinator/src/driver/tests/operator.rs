//! What operators do, in between whatever else happens to the transaction.

use std::{sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, Xid};
use tokio::task::JoinHandle;

use super::{HOUR, HandClock, NOON, Scripted, begin, branch, in_memory, settle, start};
use crate::{
    driver::{BranchAnswer, Clock, Driver, Known, OperatorError, Reached, Unavailable},
    journal::{JournalStore, tests::disk::Disk},
    session::Decision,
    settings::Settings,
    store::Store,
};

fn unreachable() -> Reached {
    Reached::Unreachable { reason: "no connection".into() }
}

fn answered(status: BranchStatus) -> Reached {
    Reached::Answered(BranchAnswer { status, reason: String::new() })
}

async fn with_branch<S: Store>(driver: &Driver<S, HandClock>, key: &str) -> (Xid, BranchId) {
    let xid = driver.begin(begin(false)).await.unwrap();
    let id = driver.register_branch(branch(&xid, BranchType::At, "db", &[key])).await.unwrap();
    (xid, id)
}

fn roll_back<S: Store>(
    driver: &Driver<S, HandClock>,
    xid: &Xid,
) -> JoinHandle<Result<GlobalStatus, Unavailable>> {
    let (driver, xid) = (driver.clone(), xid.clone());
    tokio::spawn(async move { driver.rollback(&xid).await })
}

async fn ended_reason<S: Store>(driver: &Driver<S, HandClock>, xid: &Xid) -> Option<Arc<str>> {
    match driver.find(xid).await.unwrap() {
        Some(Known::Ended(ended)) => ended.reason,
        other => panic!("expected one that ended, found {other:?}"),
    }
}

/// The outcome, and the branches that were left.
async fn given_up<S: Store>(
    driver: &Driver<S, HandClock>,
    xid: &Xid,
    reason: &str,
) -> Result<(GlobalStatus, Vec<BranchId>), OperatorError> {
    let given_up = driver.give_up(xid, reason.into()).await?;
    Ok((given_up.status, given_up.branches.iter().map(|branch| branch.id).collect()))
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, OperatorError>, at: GlobalStatus) {
    match result {
        Err(OperatorError::NotAllowed { status, .. }) => assert_eq!(status, at),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test]
async fn what_is_parked_during_its_back_off_is_left_alone_until_somebody_retries() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    participants.will(id, unreachable());
    driver.rollback(&xid).await.unwrap();
    assert_eq!(driver.park(&xid, "at night".into()).await, Ok(GlobalStatus::StopRollbackOrRollbackRetry));
    assert_refused(driver.park(&xid, "again".into()).await, GlobalStatus::StopRollbackOrRollbackRetry);
    assert_eq!(driver.stats().parked, 1);
    clock.advance(Duration::from_secs(5)).await;
    assert_eq!(participants.calls().len(), 1);
    let view = driver.transactions(1).await.unwrap().remove(0);
    assert_eq!(view.reason.as_deref(), Some("stopped by operator: at night"));
    assert!(driver.retry(&xid).await.is_ok());
    settle().await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(driver.stats().parked, 0);
}

#[tokio::test]
async fn the_reason_of_a_stop_outlives_an_answer_that_comes_late() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    let late = participants.hold(id);
    let _starter = roll_back(&driver, &xid);
    settle().await;
    driver.park(&xid, "at night".into()).await.unwrap();
    late.send(unreachable()).unwrap();
    settle().await;
    let view = driver.transactions(1).await.unwrap().remove(0);
    assert_eq!(view.reason.as_deref(), Some("stopped by operator: at night"));
    clock.advance(Duration::from_secs(5)).await;
    assert_eq!(participants.calls().len(), 1);
}

#[tokio::test]
async fn a_call_that_finds_no_resource_is_not_repeated_for_what_was_parked_or_given_up_meanwhile() {
    for gives_up in [false, true] {
        let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
        let (driver, _running) = in_memory(&participants, &clock).await;
        let (xid, id) = with_branch(&driver, "1").await;
        let late = participants.hold(id);
        let starter = roll_back(&driver, &xid);
        settle().await;
        if gives_up {
            assert_eq!(given_up(&driver, &xid, "lost").await, Ok((GlobalStatus::Rollbacked, vec![id])));
        } else {
            driver.park(&xid, "at night".into()).await.unwrap();
        }
        late.send(Reached::NoSuchResource).unwrap();
        settle().await;
        assert!(starter.is_finished());
        assert_eq!(driver.stats().phase_two_queued, 0);
        driver.resource_available(&"db".into());
        settle().await;
        assert_eq!(participants.calls().len(), 1, "gives up: {gives_up}");
        if !gives_up {
            assert!(driver.retry(&xid).await.is_ok());
            settle().await;
            assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
        }
    }
}

#[tokio::test]
async fn an_answer_after_a_give_up_changes_nothing_and_its_rows_are_free() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    let late = participants.hold(id);
    let _starter = roll_back(&driver, &xid);
    settle().await;
    let outcome = given_up(&driver, &xid, "db is gone").await;
    assert_eq!(outcome, Ok((GlobalStatus::Rollbacked, vec![id])));
    let (next, _) = with_branch(&driver, "1").await;
    late.send(answered(BranchStatus::PhaseTwoRollbackFailedUnretryable)).unwrap();
    settle().await;
    let expected = format!("given up by operator: db is gone; not done: branch {id} on db");
    assert_eq!(ended_reason(&driver, &xid).await.as_deref(), Some(&*expected));
    assert_eq!(driver.locks(9).await.unwrap()[0].holder, next);
    assert_eq!(driver.stats().parked, 0);
    let ended = OperatorError::Ended { xid: xid.clone(), status: GlobalStatus::Rollbacked };
    assert_eq!(given_up(&driver, &xid, "again").await, Err(ended.clone()));
    assert_eq!(driver.force(&xid, Decision::Rollback, "again".into()).await, Err(ended));
}

#[tokio::test]
async fn a_force_that_is_repeated_gives_nothing_up() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    assert_refused(given_up(&driver, &xid, "too early").await, GlobalStatus::Begin);
    participants.will(id, unreachable());
    for status in [GlobalStatus::Rollbacking, GlobalStatus::RollbackRetrying, GlobalStatus::RollbackRetrying]
    {
        let forced = driver.force(&xid, Decision::Rollback, "stuck".into()).await;
        assert_eq!(forced, Ok(status));
        settle().await;
    }
    let refused = driver.force(&xid, Decision::Commit, "no".into()).await;
    assert_refused(refused, GlobalStatus::RollbackRetrying);
    assert_eq!(driver.locks(9).await.unwrap().len(), 1, "its rows are not restored yet");
    clock.advance(Duration::from_secs(2)).await;
    assert_eq!(participants.calls().len(), 2);
    assert_eq!(ended_reason(&driver, &xid).await.as_deref(), Some("forced by operator: stuck"));
}

#[tokio::test]
async fn an_undecided_transaction_is_forced_either_way_and_the_reason_is_kept() {
    for (decision, status) in
        [(Decision::Commit, GlobalStatus::Committed), (Decision::Rollback, GlobalStatus::Rollbacked)]
    {
        let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
        let (driver, _running) = in_memory(&participants, &clock).await;
        let (busy, _) = with_branch(&driver, "1").await;
        let idle = driver.begin(begin(false)).await.unwrap();
        for xid in [busy, idle] {
            // It does not wait for the branch; of an AT commit everybody is told that it is done.
            let forced = driver.force(&xid, decision, "stuck".into()).await;
            let at_once = [status, GlobalStatus::Rollbacking];
            assert!(at_once.contains(&forced.unwrap()));
            settle().await;
            assert_eq!(driver.status(&xid).await, Ok(status));
            let reason = ended_reason(&driver, &xid).await;
            assert_eq!(reason.as_deref(), Some("forced by operator: stuck"), "{status}");
        }
        assert_eq!(participants.calls().len(), 1);
    }
}

#[tokio::test]
async fn no_force_commits_what_has_timed_out() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, _) = with_branch(&driver, "1").await;
    clock.now.send_modify(|now| *now += HOUR);
    let forced = driver.force(&xid, Decision::Commit, "stuck".into()).await;
    assert_refused(forced, GlobalStatus::TimeoutRollbacking);
    settle().await;
    assert_eq!(ended_reason(&driver, &xid).await, None, "nobody forced it");
    let (xid, _) = with_branch(&driver, "2").await;
    assert_refused(driver.force(&xid, Decision::Timeout, "no".into()).await, GlobalStatus::Begin);
}

#[tokio::test]
async fn retries_by_an_operator_do_not_multiply_the_tries_to_come() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    (0..100).for_each(|_| participants.will(id, unreachable()));
    driver.rollback(&xid).await.unwrap();
    for _ in 0..10 {
        driver.retry(&xid).await.unwrap();
        settle().await;
    }
    clock.advance(Duration::from_secs(70)).await;
    let before = participants.calls().len();
    clock.advance(Duration::from_secs(120)).await;
    assert!(participants.calls().len() - before <= 3, "one try a minute");
}

#[tokio::test]
async fn released_rows_are_anybodys_and_stay_theirs_when_the_transaction_ends() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    participants.will(id, answered(BranchStatus::PhaseTwoRollbackFailedUnretryable));
    assert_refused(driver.release(&xid, "now".into()).await, GlobalStatus::Begin);
    assert_eq!(driver.rollback(&xid).await, Ok(GlobalStatus::RollbackFailed));
    assert_eq!(driver.release(&xid, "mended by hand".into()).await, Ok(1));
    assert_eq!(driver.release(&xid, "again".into()).await, Ok(0));
    let (next, _) = with_branch(&driver, "1").await;
    assert!(driver.retry(&xid).await.is_ok());
    settle().await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(participants.calls().len(), 2);
    assert_eq!(driver.locks(9).await.unwrap()[0].holder, next);
}

/// The first action is being kept when the others come; each is judged when its turn has come.
#[tokio::test]
async fn actions_at_the_same_time_are_each_answered() {
    for _ in 0..50 {
        let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
        let (driver, _running) = in_memory(&participants, &clock).await;
        let (xid, id) = with_branch(&driver, "1").await;
        participants.will(id, unreachable());
        driver.rollback(&xid).await.unwrap();
        let (parked, released, forced, late) = tokio::join!(
            driver.park(&xid, "at night".into()),
            driver.release(&xid, "now".into()),
            given_up(&driver, &xid, "lost"),
            driver.park(&xid, "too late".into()),
        );
        assert_eq!(parked, Ok(GlobalStatus::StopRollbackOrRollbackRetry));
        assert_eq!(released, Ok(1));
        assert_eq!(forced, Ok((GlobalStatus::Rollbacked, vec![id])));
        let status = GlobalStatus::Rollbacked;
        assert_eq!(late, Err(OperatorError::Ended { xid: xid.clone(), status }));
        settle().await;
        assert_eq!(driver.stats().parked, 0);
        assert!(driver.shared.store.locks(9).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_transaction_of_another_coordinator_is_unknown_to_every_action() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (own, _) = with_branch(&driver, "1").await;
    let xid: Xid = format!("elsewhere:8091:{}", own.transaction_id()).parse().unwrap();
    let unknown = OperatorError::Unknown { xid: xid.clone() };
    assert_eq!(driver.retry(&xid).await, Err(unknown.clone()));
    assert_eq!(driver.park(&xid, "".into()).await, Err(unknown.clone()));
    assert_eq!(driver.force(&xid, Decision::Commit, "".into()).await, Err(unknown.clone()));
    assert_eq!(given_up(&driver, &xid, "").await, Err(unknown.clone()));
    assert_eq!(driver.release(&xid, "".into()).await, Err(unknown));
    assert_eq!(driver.find(&xid).await, Ok(None));
    assert_eq!(driver.report(&xid, GlobalStatus::Committed).await, Ok(GlobalStatus::Committed));
    assert_eq!(driver.status(&own).await, Ok(GlobalStatus::Begin));
    assert_refused(driver.retry(&own).await, GlobalStatus::Begin);
}

#[tokio::test]
async fn new_retry_limits_reach_what_is_being_tried() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (xid, id) = with_branch(&driver, "1").await;
    (0..100).for_each(|_| participants.will(id, unreachable()));
    driver.rollback(&xid).await.unwrap();
    let mut settings = Settings::default();
    settings.retry_limits.rollback = Some(Duration::from_secs(10));
    settings.retry_limits.unlock_rollback = true;
    driver.reconfigure(settings);
    clock.advance(Duration::from_secs(20)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::RollbackRetryTimeout));
    assert!(driver.locks(9).await.unwrap().is_empty());
}

/// What an action was told to have done is so after a loss of power.
#[tokio::test]
async fn every_action_survives_a_crash() {
    let clock = HandClock::at(NOON);
    let (disk, participants) = (Disk::default(), Scripted::new());
    let store = JournalStore::open_on(disk.clone(), 100).unwrap();
    let (driver, running) = start(store, Arc::clone(&participants), &clock).await;
    let mut all = Vec::new();
    for key in ["1", "2", "3", "4", "5"] {
        let (xid, id) = with_branch(&driver, key).await;
        (0..9).for_each(|_| participants.will(id, unreachable()));
        all.push(xid);
    }
    let idle = driver.begin(begin(false)).await.unwrap();
    let [stopped, given_up, released, retried, forced] = &all[..] else { unreachable!() };
    for xid in &all[..4] {
        driver.rollback(xid).await.unwrap();
    }
    for xid in [stopped, released, retried] {
        driver.park(xid, "at night".into()).await.unwrap();
    }
    driver.give_up(given_up, "lost".into()).await.unwrap();
    driver.release(released, "mended".into()).await.unwrap();
    driver.retry(retried).await.unwrap();
    driver.force(forced, Decision::Rollback, "stuck".into()).await.unwrap();
    driver.force(&idle, Decision::Commit, "stuck".into()).await.unwrap();
    running.abort();

    let store = JournalStore::open_on(disk.now().lost(), 100).unwrap();
    participants.lose_resource("db");
    let (driver, _running) = start(store, Arc::clone(&participants), &clock).await;
    let stop = GlobalStatus::StopRollbackOrRollbackRetry;
    assert_eq!(driver.status(stopped).await, Ok(stop));
    assert_eq!(driver.status(released).await, Ok(stop));
    assert_eq!(driver.status(given_up).await, Ok(GlobalStatus::Rollbacked));
    let reason = ended_reason(&driver, given_up).await.unwrap();
    assert!(reason.starts_with("given up by operator: lost; not done: branch "), "{reason}");
    assert_eq!(ended_reason(&driver, &idle).await.as_deref(), Some("forced by operator: stuck"));
    assert!(!driver.status(retried).await.unwrap().is_complete());
    assert_ne!(driver.status(retried).await, Ok(stop));
    let holders: Vec<Xid> = driver.locks(9).await.unwrap().into_iter().map(|held| held.holder).collect();
    for (xid, holds) in [(stopped, true), (given_up, false), (released, false), (retried, true)] {
        assert_eq!(holders.contains(xid), holds, "{xid}");
    }
    participants.find_resource("db");
    driver.resource_available(&"db".into());
    for _ in 0..30 {
        clock.advance(Duration::from_secs(60)).await;
    }
    assert_eq!(driver.status(stopped).await, Ok(stop), "nobody asked for a try");
    assert_eq!(ended_reason(&driver, forced).await.as_deref(), Some("forced by operator: stuck"));
    let view = driver.transactions(9).await.unwrap();
    assert_eq!(view.len(), 2, "{view:?}");
    assert_eq!(view[0].reason.as_deref(), Some("stopped by operator: at night"));
    assert!(clock.now() > NOON);
}
