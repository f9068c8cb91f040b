//! One coordinator in one process: the life of a transaction, and what a restart keeps.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use seata_coordinator::{
    Coordinator, Participant,
    driver::{BranchAnswer, BranchTask, EventKind, RegisterError, ReportError},
    journal::OpenError,
    session::{Decision, Phase},
    settings::Settings,
};
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, ResourceId, Xid};

use crate::support::{DB, Recorder, assert_conflict, at, attach, begin, eventually, is_empty, row, tcc};

const LIMIT: Duration = Duration::from_secs(5);

fn impatient() -> Settings {
    let mut settings = Settings::default();
    settings.retry_period = Duration::from_millis(20);
    settings.timeout_check_period = Duration::from_millis(20);
    settings
}

#[tokio::test]
async fn a_commit_is_answered_at_once_and_cleaned_up_in_the_background() {
    let tc = Coordinator::in_memory();
    let db = attach(&tc, DB).await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let first = tc.register_branch(at(&xid, DB, &["1", "2"])).await.unwrap();
    let second = tc.register_branch(at(&xid, DB, &["2", "3"])).await.unwrap();
    assert_eq!(tc.locks().await.unwrap().len(), 3);

    assert_eq!(tc.commit(&xid).await, Ok(GlobalStatus::Committed));
    assert_eq!(tc.locks().await.unwrap(), []);
    eventually("the end", || is_empty(&tc)).await;
    let mut calls = db.calls();
    calls.sort_by_key(|(_, branch)| *branch);
    assert_eq!(calls, [(Phase::Commit, first), (Phase::Commit, second)]);
    assert_eq!(tc.commit(&xid).await, Ok(GlobalStatus::Committed), "a second commit tells the known outcome");
    assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::Committed), "and so does a late rollback");
}

#[tokio::test]
async fn a_rollback_undoes_branches_in_reverse_order_one_at_a_time() {
    let tc = Coordinator::in_memory();
    let db = Recorder::slow(Duration::from_millis(5));
    let (one, other) = (ResourceId::from(DB), ResourceId::from("sqlite:/srv/orders.db"));
    tc.attach(one, db.clone()).await;
    tc.attach(other.clone(), db.clone()).await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let mut branches = Vec::new();
    for (resource, key) in [(DB, "1"), (other.as_str(), "1"), (DB, "2")] {
        branches.push(tc.register_branch(at(&xid, resource, &[key])).await.unwrap());
    }
    assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::Rollbacked));
    let order: Vec<BranchId> = db.calls().into_iter().map(|(_, branch)| branch).collect();
    branches.reverse();
    assert_eq!(order, branches);
    assert!(is_empty(&tc).await);
}

#[tokio::test]
async fn a_locked_row_is_refused_with_its_key_and_its_holder() {
    let tc = Coordinator::in_memory();
    attach(&tc, DB).await;
    let holder = tc.begin(begin("first")).await.unwrap();
    let other = tc.begin(begin("second")).await.unwrap();
    tc.register_branch(at(&holder, DB, &["7"])).await.unwrap();

    let refused = tc.register_branch(at(&other, DB, &["6", "7"])).await;
    let text = refused.as_ref().unwrap_err().to_string();
    assert_eq!(text, format!("row stock:7 in {DB} is locked by global transaction {holder}"));
    assert_conflict(refused, &holder, "7");
    assert!(tc.query_locks(Some(&other), &[row(DB, "6")]).await.is_ok(), "nothing of it is held");
    assert!(tc.query_locks(Some(&other), &[row(DB, "7")]).await.is_err());
    assert!(tc.query_locks(Some(&holder), &[row(DB, "7")]).await.is_ok());
    assert!(tc.query_locks(None, &[row(DB, "7")]).await.is_err());

    tc.commit(&holder).await.unwrap();
    tc.register_branch(at(&other, DB, &["6", "7"])).await.unwrap();
}

#[tokio::test]
async fn a_tcc_commit_is_answered_when_it_is_done() {
    let tc = Coordinator::in_memory();
    let tcc_resource = Recorder::slow(Duration::from_millis(30));
    tc.attach("stock-action".into(), tcc_resource.clone()).await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let branch = tc.register_branch(tcc(&xid, "stock-action")).await.unwrap();
    assert_eq!(tc.commit(&xid).await, Ok(GlobalStatus::Committed));
    assert_eq!(tcc_resource.calls(), [(Phase::Commit, branch)]);
}

#[tokio::test]
async fn a_tcc_commit_that_fails_is_retried_until_it_succeeds() {
    let tc = Coordinator::in_memory_with(impatient());
    let action = attach(&tc, "stock-action").await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let branch = tc.register_branch(tcc(&xid, "stock-action")).await.unwrap();
    for _ in 0..3 {
        action.will_answer(branch, BranchStatus::PhaseTwoCommitFailedRetryable, "busy");
    }
    assert_eq!(tc.commit(&xid).await, Ok(GlobalStatus::CommitRetrying));
    eventually("the end", || is_empty(&tc)).await;
    assert_eq!(action.calls().len(), 4);
    assert_eq!(tc.status(&xid).await, Ok(GlobalStatus::Committed));
}

#[tokio::test]
async fn a_branch_that_cannot_be_undone_parks_its_transaction_with_its_locks() {
    let tc = Coordinator::in_memory_with(impatient());
    let db = attach(&tc, DB).await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let first = tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
    let dirty = tc.register_branch(at(&xid, DB, &["2"])).await.unwrap();
    db.will_answer(dirty, BranchStatus::PhaseTwoRollbackFailedUnretryable, "row stock:2 was changed since");
    assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::RollbackFailed));

    let parked = tc.parked().await.unwrap();
    let [view] = &parked[..] else { panic!("one is parked: {parked:?}") };
    assert!(view.reason.as_ref().unwrap().contains("row stock:2 was changed since"), "{view:?}");
    assert_eq!(tc.locks().await.unwrap().len(), 2, "it keeps its locks");
    assert_eq!(db.calls(), [(Phase::Rollback, dirty)], "the branch before it is not touched");

    assert_eq!(tc.retry(&xid).await, Ok(true));
    eventually("the end", || is_empty(&tc)).await;
    assert_eq!(db.calls()[1..], [(Phase::Rollback, dirty), (Phase::Rollback, first)]);
    assert_eq!(tc.retry(&xid).await, Ok(false));
}

#[tokio::test]
async fn a_transaction_that_nobody_decides_times_out() {
    let tc = Coordinator::in_memory_with(impatient());
    let db = attach(&tc, DB).await;
    let mut request = begin("slow");
    request.timeout = Duration::from_millis(60);
    let xid = tc.begin(request).await.unwrap();
    let branch = tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
    eventually("the time-out", || is_empty(&tc)).await;
    assert_eq!(db.calls(), [(Phase::Rollback, branch)]);
    assert_eq!(tc.commit(&xid).await, Ok(GlobalStatus::TimeoutRollbacked));
}

#[tokio::test]
async fn an_unknown_transaction_is_named_and_changes_nothing() {
    let tc = Coordinator::in_memory();
    let never: Xid = format!("{}:999", tc.address()).parse().unwrap();
    let foreign: Xid = "10.0.0.7:8091:1".parse().unwrap();
    for xid in [&never, &foreign] {
        assert_eq!(tc.commit(xid).await, Ok(GlobalStatus::Finished));
        assert_eq!(tc.rollback(xid).await, Ok(GlobalStatus::Finished));
        assert_eq!(tc.status(xid).await, Ok(GlobalStatus::Finished));
        let refused = tc.register_branch(at(xid, DB, &["1"])).await;
        assert_eq!(refused, Err(RegisterError::UnknownTransaction { xid: xid.clone() }));
        let refused = tc.report_branch(xid, BranchId(1), BranchStatus::PhaseOneDone, None).await;
        assert_eq!(refused, Err(ReportError::UnknownTransaction { xid: xid.clone() }));
    }
    assert!(tc.knows(&never) && !tc.knows(&foreign));
    assert!(is_empty(&tc).await);
}

#[tokio::test]
async fn a_late_registration_is_refused_and_holds_nothing() {
    let tc = Coordinator::in_memory();
    let xid = tc.begin(begin("buy")).await.unwrap();
    tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
    tc.commit(&xid).await.unwrap();
    let refused = tc.register_branch(at(&xid, DB, &["2"])).await;
    let status = GlobalStatus::AsyncCommitting;
    assert_eq!(refused, Err(RegisterError::NotActive { xid, status }));
    assert_eq!(tc.locks().await.unwrap(), []);
}

#[tokio::test]
async fn a_branch_whose_phase_one_failed_is_dropped_unasked_and_frees_its_rows() {
    let tc = Coordinator::in_memory();
    let db = attach(&tc, DB).await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let failed = tc.register_branch(at(&xid, DB, &["1", "2"])).await.unwrap();
    let kept = tc.register_branch(at(&xid, DB, &["2", "3"])).await.unwrap();
    tc.report_branch(&xid, failed, BranchStatus::PhaseOneFailed, None).await.unwrap();
    let mut keys: Vec<String> =
        tc.locks().await.unwrap().iter().map(|held| held.lock.key.to_string()).collect();
    keys.sort();
    assert_eq!(keys, ["2", "3"], "a row that both had changed stays with the other");
    assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(db.calls(), [(Phase::Rollback, kept)]);
}

#[tokio::test]
async fn phase_two_waits_for_its_resource_in_sight_of_everybody() {
    let tc = Coordinator::in_memory();
    let mut events = tc.events();
    let xid = tc.begin(begin("buy")).await.unwrap();
    let branch = tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
    assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::Rollbacking));
    let view = tc.transactions().await.unwrap().remove(0);
    assert_eq!(view.waits_for, [ResourceId::from(DB)]);

    let db = attach(&tc, DB).await;
    eventually("the end", || is_empty(&tc)).await;
    assert_eq!(db.calls(), [(Phase::Rollback, branch)]);

    let mut kinds = Vec::new();
    while let Ok(event) = events.try_recv() {
        assert_eq!((event.xid, &*event.application), (xid.clone(), "shop"));
        kinds.push(event.kind);
    }
    assert!(
        matches!(
            &kinds[..],
            [
                EventKind::Begun { .. },
                EventKind::BranchRegistered { .. },
                EventKind::Decided { decision: Decision::Rollback, .. },
                EventKind::Waiting { .. },
                EventKind::BranchFinished { .. },
                EventKind::Finished { status: GlobalStatus::Rollbacked },
            ]
        ),
        "{kinds:#?}"
    );
}

#[tokio::test]
async fn a_dropped_commit_is_carried_out() {
    let directory = tempfile::tempdir().unwrap();
    let tc = Coordinator::open(directory.path()).await.unwrap();
    let db = attach(&tc, DB).await;
    for polls in 0..6 {
        let xid = tc.begin(begin("buy")).await.unwrap();
        tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
        let mut commit = Box::pin(tc.commit(&xid));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..polls {
            if commit.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        drop(commit);
        if polls == 0 {
            tc.rollback(&xid).await.unwrap();
        }
        eventually("the end", || is_empty(&tc)).await;
        let expected = if polls == 0 { GlobalStatus::Rollbacked } else { GlobalStatus::Committed };
        assert_eq!(tc.status(&xid).await, Ok(expected), "after {polls} polls");
    }
    assert_eq!(db.calls().len(), 6);
}

#[tokio::test]
async fn a_restart_keeps_decisions_and_rolls_back_what_its_dead_process_left_open() {
    let directory = tempfile::tempdir().unwrap();
    let tc = Coordinator::open(directory.path()).await.unwrap();
    let identity = tc.identity().to_owned();
    let committed = tc.begin(begin("committed")).await.unwrap();
    tc.register_branch(at(&committed, DB, &["1"])).await.unwrap();
    tc.commit(&committed).await.unwrap();
    let open = tc.begin(begin("open")).await.unwrap();
    let branches = [
        tc.register_branch(at(&open, DB, &["2"])).await.unwrap(),
        tc.register_branch(at(&open, DB, &["3"])).await.unwrap(),
    ];
    let mut remote = begin("remote");
    remote.is_local = false;
    let remote = tc.begin(remote).await.unwrap();
    tc.register_branch(at(&remote, DB, &["4"])).await.unwrap();
    drop(tc);

    let tc = Coordinator::open(directory.path()).await.unwrap();
    assert_eq!(tc.identity(), identity);
    assert!(tc.knows(&committed));
    eventually("the decision", || async { tc.status(&open).await == Ok(GlobalStatus::Rollbacking) }).await;
    let db = attach(&tc, DB).await;
    eventually("the end", || async { tc.transactions().await.unwrap().len() == 1 }).await;
    let rollbacks: Vec<_> = db.calls().into_iter().filter(|(phase, _)| *phase == Phase::Rollback).collect();
    assert_eq!(rollbacks, [(Phase::Rollback, branches[1]), (Phase::Rollback, branches[0])]);
    assert_eq!(tc.status(&committed).await, Ok(GlobalStatus::Committed));
    assert_eq!(tc.status(&open).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(tc.status(&remote).await, Ok(GlobalStatus::Begin), "its starter may still be there");
    assert_eq!(tc.locks().await.unwrap().len(), 1);
    tc.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_parked_transaction_is_still_parked_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let tc = Coordinator::open(directory.path()).await.unwrap();
    let db = attach(&tc, DB).await;
    let xid = tc.begin(begin("buy")).await.unwrap();
    let branch = tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
    db.will_answer(branch, BranchStatus::PhaseTwoRollbackFailedUnretryable, "dirty");
    assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::RollbackFailed));
    tc.shutdown(LIMIT).await.unwrap();
    drop(tc);

    let tc = Coordinator::open(directory.path()).await.unwrap();
    let db = attach(&tc, DB).await;
    let view = tc.parked().await.unwrap().remove(0);
    assert!(view.reason.as_ref().unwrap().contains("dirty"), "{view:?}");
    assert_eq!(tc.locks().await.unwrap().len(), 1);
    assert_eq!(db.calls(), []);
    assert_eq!(tc.retry(&xid).await, Ok(true));
    eventually("the end", || is_empty(&tc)).await;
}

#[tokio::test]
async fn a_second_open_is_refused_with_the_holder_and_works_once_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let first = Coordinator::open(directory.path()).await.unwrap();
    match Coordinator::open(directory.path()).await {
        Err(OpenError::InUse { holder, .. }) => assert_eq!(holder, "this process"),
        other => panic!("expected a refusal, found {other:?}"),
    }
    first.shutdown(LIMIT).await.unwrap();
    Coordinator::open(directory.path()).await.unwrap();
}

struct Panicking;

impl Participant for Panicking {
    fn commit(&self, _: BranchTask) -> Pin<Box<dyn Future<Output = BranchAnswer> + Send + '_>> {
        panic!("confirm is broken")
    }

    fn rollback(&self, _: BranchTask) -> Pin<Box<dyn Future<Output = BranchAnswer> + Send + '_>> {
        Box::pin(async { panic!("cancel is broken") })
    }
}

#[tokio::test]
async fn a_resource_that_panics_harms_only_its_own_transactions() {
    let tc = Coordinator::in_memory_with(impatient());
    tc.attach("broken".into(), Arc::new(Panicking)).await;
    for commits in [true, false] {
        let xid = tc.begin(begin("buy")).await.unwrap();
        tc.register_branch(tcc(&xid, "broken")).await.unwrap();
        let (status, retrying) = match commits {
            true => (tc.commit(&xid).await, GlobalStatus::CommitRetrying),
            false => (tc.rollback(&xid).await, GlobalStatus::RollbackRetrying),
        };
        assert_eq!(status, Ok(retrying));
    }
    let view = tc.transactions().await.unwrap().remove(0);
    assert!(view.reason.as_ref().unwrap().ends_with("panicked: confirm is broken"), "{view:?}");
    attach(&tc, "broken").await;
    eventually("the end", || is_empty(&tc)).await;
}

#[tokio::test]
async fn requests_after_shutdown_are_refused() {
    let tc = Coordinator::in_memory();
    let xid = tc.begin(begin("buy")).await.unwrap();
    tc.shutdown(LIMIT).await.unwrap();
    assert_eq!(tc.begin(begin("late")).await.unwrap_err().to_string(), "the coordinator is shutting down");
    assert!(tc.commit(&xid).await.is_err());
    tc.shutdown(LIMIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_are_free_to_one_who_was_told_that_all_is_undone() {
    let tc = Coordinator::in_memory();
    attach(&tc, DB).await;
    for _ in 0..2_000 {
        let xid = tc.begin(begin("buy")).await.unwrap();
        tc.register_branch(at(&xid, DB, &["1"])).await.unwrap();
        assert_eq!(tc.rollback(&xid).await, Ok(GlobalStatus::Rollbacked));
        assert_eq!(tc.query_locks(None, &[row(DB, "1")]).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_row_ever_has_two_holders() {
    let directory = tempfile::tempdir().unwrap();
    let tc = Coordinator::open(directory.path()).await.unwrap();
    attach(&tc, DB).await;
    let held: Arc<[AtomicBool; 4]> = Arc::default();
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let (tc, held) = (tc.clone(), Arc::clone(&held));
        workers.spawn(async move {
            let mut conflicts = 0;
            for round in 0..30 {
                let row = (worker + round) % held.len();
                let xid = tc.begin(begin("contended")).await.unwrap();
                match tc.register_branch(at(&xid, DB, &[&row.to_string()])).await {
                    Ok(_) => {
                        assert!(!held[row].swap(true, Ordering::SeqCst), "row {row} has two holders");
                        tokio::task::yield_now().await;
                        held[row].store(false, Ordering::SeqCst);
                    }
                    Err(RegisterError::LockConflict(_)) => conflicts += 1,
                    Err(error) => panic!("{error}"),
                }
                let status =
                    if round % 3 == 0 { tc.rollback(&xid).await } else { tc.commit(&xid).await }.unwrap();
                assert!(status.is_complete(), "{status}");
            }
            conflicts
        });
    }
    let conflicts: usize = workers.join_all().await.into_iter().sum();
    assert!(conflicts > 0, "the test is to contend");
    eventually("the end", || is_empty(&tc)).await;
    tc.shutdown(LIMIT).await.unwrap();
}
