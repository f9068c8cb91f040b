//! Registrations that wait for rows.

use std::{pin::Pin, task::Poll};

use super::*;
use crate::{
    driver::{LocksError, RegisterError, Unavailable},
    store::ConflictReason,
};

type Pending<'a> = Pin<Box<dyn Future<Output = Result<BranchId, RegisterError>> + Send + 'a>>;
type Tc = Driver<MemoryStore, HandClock>;

fn waiting(xid: &Xid, keys: &[&str]) -> BranchRequest {
    BranchRequest { lock_wait: Duration::from_secs(1), ..branch(xid, BranchType::At, "db", keys) }
}

/// Starts a registration that is to wait.
async fn waits<'a>(driver: &'a Tc, xid: &Xid, keys: &[&str]) -> Pending<'a> {
    let mut pending: Pending = Box::pin(driver.register_branch(waiting(xid, keys)));
    assert!(is_pending(&mut pending).await);
    pending
}

async fn is_pending(pending: &mut Pending<'_>) -> bool {
    poll(pending).await.is_pending()
}

async fn poll(pending: &mut Pending<'_>) -> Poll<Result<BranchId, RegisterError>> {
    settle().await;
    let poll = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    settle().await;
    poll
}

#[track_caller]
fn reason(refused: Poll<Result<BranchId, RegisterError>>) -> ConflictReason {
    match refused {
        Poll::Ready(Err(RegisterError::LockConflict(conflict))) => conflict.reason,
        other => panic!("expected a conflict, found {other:?}"),
    }
}

async fn holding(driver: &Tc, keys: &[&str]) -> Xid {
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", keys)).await.unwrap();
    xid
}

async fn three(driver: &Tc) -> (Xid, Xid, Xid) {
    let (a, b) = (driver.begin(begin(true)).await.unwrap(), driver.begin(begin(true)).await.unwrap());
    (holding(driver, &["1"]).await, a, b)
}

#[tokio::test]
async fn rows_pass_in_the_order_in_which_they_were_asked_for() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (holder, a, b) = three(&driver).await;
    let mut first = waits(&driver, &a, &["1"]).await;
    let mut second = waits(&driver, &b, &["1"]).await;
    assert_eq!(driver.stats().waiting, 2);
    let seen: Vec<_> = driver.waiters(9).into_iter().map(|waiter| (waiter.xid, waiter.holder)).collect();
    assert_eq!(seen, [(a.clone(), holder.clone()), (b.clone(), a.clone())]);
    let row = |key: &str| branch(&a, BranchType::At, "db", &[key]).locks.remove(0);
    let wanting = |key, limit| driver.waiters_for(&row(key), limit).into_iter().map(|waiter| waiter.xid);
    assert!(wanting("1", 9).eq([a.clone(), b.clone()]) && wanting("1", 1).eq([a.clone()]));
    assert_eq!(wanting("2", 9).next(), None);
    driver.commit(&holder).await.unwrap();
    assert!(is_pending(&mut second).await, "it was not its turn");
    let late = driver.begin(begin(true)).await.unwrap();
    let late = driver.register_branch(branch(&late, BranchType::At, "db", &["1"])).await;
    match late {
        Err(RegisterError::LockConflict(conflict)) => {
            assert_eq!((conflict.holder, conflict.reason), (a.clone(), ConflictReason::Promised));
        }
        other => panic!("a free row that somebody waits for was given away: {other:?}"),
    }
    assert!(matches!(poll(&mut first).await, Poll::Ready(Ok(_))));
    assert!(is_pending(&mut second).await);
    driver.commit(&a).await.unwrap();
    assert!(matches!(poll(&mut second).await, Poll::Ready(Ok(_))));
    assert_eq!(driver.stats().waiting, 0);
}

#[tokio::test]
async fn several_rows_are_had_together_and_none_is_held_before() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (one, two) = (holding(&driver, &["1"]).await, holding(&driver, &["2"]).await);
    let xid = driver.begin(begin(true)).await.unwrap();
    let mut both = waits(&driver, &xid, &["1", "2"]).await;
    driver.commit(&one).await.unwrap();
    assert!(is_pending(&mut both).await);
    let held: Vec<_> = driver.locks(9).await.unwrap().into_iter().map(|held| held.holder).collect();
    assert_eq!(held, std::slice::from_ref(&two));
    driver.commit(&two).await.unwrap();
    assert!(matches!(poll(&mut both).await, Poll::Ready(Ok(_))));
    assert_eq!(driver.locks(9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn it_ends_at_once_when_a_holder_rolls_back() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (_one, two) = (holding(&driver, &["1"]).await, holding(&driver, &["2"]).await);
    let xid = driver.begin(begin(true)).await.unwrap();
    let mut both = waits(&driver, &xid, &["1", "2"]).await;
    participants.lose_resource("db");
    driver.rollback(&two).await.unwrap();
    assert_eq!(reason(poll(&mut both).await), ConflictReason::HolderRollsBack);
    let late = driver.register_branch(waiting(&xid, &["2"])).await;
    assert_eq!(reason(Poll::Ready(late)), ConflictReason::HolderRollsBack);
}

#[tokio::test]
async fn a_branch_that_failed_frees_its_rows_for_the_next() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let holder = driver.begin(begin(true)).await.unwrap();
    let id = driver.register_branch(branch(&holder, BranchType::At, "db", &["1"])).await.unwrap();
    let xid = driver.begin(begin(true)).await.unwrap();
    let mut next = waits(&driver, &xid, &["1"]).await;
    driver.report_branch(&holder, id, BranchStatus::PhaseOneFailed, None).await.unwrap();
    assert!(matches!(poll(&mut next).await, Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_dead_lock_is_refused_and_its_cycle_told() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let one = holding(&driver, &["1"]).await;
    let two = holding(&driver, &["2"]).await;
    let three = holding(&driver, &["3"]).await;
    let mut first = waits(&driver, &one, &["2"]).await;
    let _second = waits(&driver, &two, &["3"]).await;
    match driver.register_branch(waiting(&three, &["4", "1"])).await {
        Err(RegisterError::LockConflict(conflict)) => {
            let cycle = vec![three.clone(), one.clone(), two.clone(), three.clone()];
            assert_eq!(conflict.reason, ConflictReason::DeadLock { cycle });
            let text = format!("{three} waits for {one} waits for {two} waits for {three}");
            assert!(conflict.to_string().ends_with(&text), "{conflict}");
        }
        other => panic!("expected a dead lock, found {other:?}"),
    }
    assert!(is_pending(&mut first).await, "only the one that closes the circle is refused");
}

/// The earlier one cannot go on before the holder is done: letting the holder wait behind it would be a dead lock.
#[tokio::test]
async fn those_who_wait_for_the_asker_are_passed() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (holder, a, b) = three(&driver).await;
    let mut first = waits(&driver, &a, &["1", "2"]).await;
    let mut second = waits(&driver, &b, &["2"]).await;
    driver.register_branch(branch(&holder, BranchType::At, "db", &["1", "2"])).await.unwrap();
    driver.commit(&holder).await.unwrap();
    assert!(matches!(poll(&mut first).await, Poll::Ready(Ok(_))));
    assert!(is_pending(&mut second).await);
}

#[tokio::test]
async fn one_that_was_dropped_gets_nothing_and_the_next_one_does() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (holder, a, b) = three(&driver).await;
    let first = waits(&driver, &a, &["1"]).await;
    let mut second = waits(&driver, &b, &["1"]).await;
    driver.commit(&holder).await.unwrap();
    // It is woken, and dropped before it looks.
    drop(first);
    assert!(matches!(poll(&mut second).await, Poll::Ready(Ok(_))));
    let locks = driver.locks(9).await.unwrap();
    assert!(locks.iter().all(|held| held.holder == b), "{locks:?}");
}

#[tokio::test]
async fn its_time_passes_and_it_is_told_so() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (holder, a, b) = three(&driver).await;
    let mut first = waits(&driver, &a, &["1"]).await;
    clock.advance(Duration::from_millis(500)).await;
    let mut second = waits(&driver, &b, &["1"]).await;
    clock.advance(Duration::from_millis(500)).await;
    match poll(&mut first).await {
        Poll::Ready(Err(RegisterError::LockConflict(conflict))) => {
            assert_eq!(conflict.holder, holder);
            assert_eq!(conflict.reason, ConflictReason::WaitedFor(Duration::from_secs(1)));
        }
        other => panic!("expected a conflict, found {other:?}"),
    }
    drop(first);
    assert!(is_pending(&mut second).await);
    driver.commit(&holder).await.unwrap();
    assert!(matches!(poll(&mut second).await, Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn it_ends_with_its_own_transaction() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (_holder, a, b) = three(&driver).await;
    let mut first = waits(&driver, &a, &["1"]).await;
    let mut second = waits(&driver, &b, &["1"]).await;
    for (xid, pending) in [(&b, &mut second), (&a, &mut first)] {
        driver.rollback(xid).await.unwrap();
        let expected = RegisterError::NotActive { xid: xid.clone(), status: GlobalStatus::Rollbacked };
        assert_eq!(poll(pending).await, Poll::Ready(Err(expected)));
    }
}

#[tokio::test]
async fn it_ends_with_the_coordinator() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, running) = in_memory(&participants, &clock).await;
    let (_holder, a, b) = three(&driver).await;
    let mut first = waits(&driver, &a, &["1"]).await;
    running.abort();
    let stopping = || RegisterError::Unavailable(Unavailable::Stopping);
    assert_eq!(poll(&mut first).await, Poll::Ready(Err(stopping())));
    drop(first);
    let late = driver.register_branch(waiting(&b, &["1"])).await;
    assert_eq!(late, Err(stopping()));
}

#[tokio::test]
async fn only_so_many_wait() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    driver.reconfigure(Settings { max_waiters: 1, ..Settings::default() });
    let (_holder, a, b) = three(&driver).await;
    let _first = waits(&driver, &a, &["1"]).await;
    let second = driver.register_branch(waiting(&b, &["1"])).await;
    assert_eq!(reason(Poll::Ready(second)), ConflictReason::TooManyWait);
}

/// Branches are undone in the reverse order of their numbers.
#[tokio::test]
async fn a_branch_that_waited_is_undone_before_those_that_did_not() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let (holder, a, _) = three(&driver).await;
    let mut waited = waits(&driver, &a, &["1"]).await;
    let other = driver.register_branch(branch(&a, BranchType::At, "db", &["5"])).await.unwrap();
    driver.commit(&holder).await.unwrap();
    let Poll::Ready(Ok(waited)) = poll(&mut waited).await else { panic!("it is its turn") };
    assert!(waited > other);
}

#[tokio::test]
async fn many_rows_are_asked_for_in_parts_and_no_more_than_a_branch_may_lock() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    driver.reconfigure(Settings { max_locks: 5_000, ..Settings::default() });
    let holder = holding(&driver, &["4999"]).await;
    let keys: Vec<String> = (0..5_001).map(|key| key.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
    let rows = branch(&holder, BranchType::At, "db", &keys).locks;
    assert_eq!(
        driver.query_locks(None, &rows).await,
        Err(LocksError::TooMany { count: 5_001, limit: 5_000 })
    );
    match driver.query_locks(None, &rows[..5_000]).await {
        Err(LocksError::Conflict(conflict)) => {
            assert_eq!((conflict.lock, conflict.holder), (rows[4_999].clone(), holder.clone()))
        }
        other => panic!("the last row is held, found {other:?}"),
    }
    assert_eq!(driver.query_locks(Some(&holder), &rows[..5_000]).await, Ok(()));
    assert_eq!(driver.query_locks(None, &rows[..4_999]).await, Ok(()));
}

#[tokio::test]
async fn a_row_of_too_long_a_name_is_refused() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    for (table, key, limit) in [(512, 4_096, None), (513, 1, Some("512")), (1, 4_097, Some("4096"))] {
        let mut request = branch(&xid, BranchType::At, "db", &["1", &"k".repeat(key)]);
        request.locks[1].table = "t".repeat(table).into();
        let refused = driver.register_branch(request).await.err().map(|error| error.to_string());
        match limit {
            None => assert_eq!(refused, None),
            Some(limit) => {
                let text = refused.expect("it is too long");
                assert!(text.contains(&format!("at most {limit} are allowed")), "{text}");
                assert!(text.len() < 200, "{} bytes", text.len());
            }
        }
    }
    assert_eq!(driver.locks(9).await.unwrap().len(), 2);
}
