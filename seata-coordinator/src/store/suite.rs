//! What every store has to do, as tests that anybody can run on a store of their own.
//!
//! Each case runs twice: in one go, and with the store closed and opened again between all steps.
//!
//! ```
//! use seata_coordinator::store::{MemoryStore, suite};
//!
//! struct InMemory;
//!
//! impl suite::Subject for InMemory {
//!     type Store = MemoryStore;
//!
//!     async fn create(&self) -> MemoryStore {
//!         MemoryStore::new("tc", 100)
//!     }
//!
//!     async fn reopen(&self, store: MemoryStore) -> MemoryStore {
//!         store.reopen()
//!     }
//! }
//!
//! # let mut run = std::pin::pin!(suite::run(&InMemory));
//! # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! # assert!(run.as_mut().poll(&mut context).is_ready());
//! // In a test with a runtime: suite::run(&InMemory).await;
//! ```

use std::{future::Future, sync::Arc};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, RowKey, RowLock, TransactionId};

use crate::{
    record::{Branch, LockSet, Snapshot, Transaction},
    session::Decision,
    store::{Conflict, ConflictReason, Decided, Found, LockFilter, Noted, Registered, Reported, Store},
};

/// Makes stores of the kind that is to be tested.
pub trait Subject {
    /// Their type.
    type Store: Store;

    /// An empty store.
    fn create(&self) -> impl Future<Output = Self::Store>;

    /// The same data again, after `store` has been closed.
    fn reopen(&self, store: Self::Store) -> impl Future<Output = Self::Store>;
}

/// Runs every case.
///
/// # Panics
/// When the store does not do what it has to.
pub async fn run<S: Subject>(subject: &S) {
    for reopens in [false, true] {
        let start = async || Case { subject, reopens, store: Some(subject.create().await) };
        numbers_are_never_given_twice(start().await).await;
        a_store_knows_who_it_is_and_counts_its_lives(start().await).await;
        a_branch_is_there_with_its_locks(start().await).await;
        a_conflict_names_row_and_holder_and_changes_nothing(start().await).await;
        a_transaction_never_conflicts_with_itself(start().await).await;
        branches_keep_the_order_of_their_registration(start().await).await;
        nothing_joins_what_is_decided_or_unknown(start().await).await;
        a_branch_too_many_changes_nothing(start().await).await;
        a_full_saga_is_still_compensated(start().await).await;
        a_commit_frees_all_locks_and_stands(start().await).await;
        a_rollback_keeps_locks_until_each_branch_is_done(start().await).await;
        a_row_of_two_branches_stays_locked_until_both_are_done(start().await).await;
        a_commit_that_comes_too_late_is_a_time_out(start().await).await;
        a_time_out_comes_not_too_early(start().await).await;
        a_transaction_without_work_ends_with_its_decision(start().await).await;
        a_failed_phase_one_frees_the_locks_of_its_branch(start().await).await;
        a_blank_report_keeps_the_application_data(start().await).await;
        parking_keeps_the_reason_and_the_locks(start().await).await;
        finishing_leaves_nothing(start().await).await;
        what_never_was_is_unknown(start().await).await;
        listings_are_ordered_and_limited(start().await).await;
        only_open_transactions_are_undecided(start().await).await;
        released_rows_are_free_for_good(start().await).await;
        a_commit_that_turned_never_holds_again_what_it_freed(start().await).await;
        a_note_stays_with_its_decision_to_the_end(start().await).await;
        a_report_changes_a_saga_and_nothing_else(start().await).await;
        outcomes_are_listed_from_the_last(start().await).await;
        locks_are_listed_in_pages(start().await).await;
    }
}

/// More branches than a transaction has in most cases.
const MAX_BRANCHES: usize = 1_000;

/// One store, and whether it is opened anew between the steps.
struct Case<'a, S: Subject> {
    subject: &'a S,
    reopens: bool,
    store: Option<S::Store>,
}

impl<S: Subject> Case<'_, S> {
    /// The store for the next step.
    async fn next(&mut self) -> &S::Store {
        if self.reopens {
            let store = self.store.take().expect("it was put back");
            store.close().await.expect("a store in order closes");
            self.store = Some(self.subject.reopen(store).await);
        }
        self.store.as_ref().expect("it was put back")
    }

    async fn begin(&mut self, id: i64) {
        self.next().await.begin(transaction(id)).await.expect("begin");
    }

    async fn register(&mut self, id: i64, of: i64, keys: &[&str]) -> Registered {
        self.next().await.register(branch(id, of, keys), MAX_BRANCHES).await.expect("register")
    }

    async fn decide(&mut self, id: i64, decision: Decision, now: u64) -> Decided {
        self.next().await.decide(TransactionId(id), decision, None, now).await.expect("decide")
    }

    async fn snapshot(&mut self, id: i64) -> Snapshot {
        let store = self.next().await;
        match store.find(TransactionId(id)).await.expect("find") {
            Found::Open(snapshot) => {
                assert_eq!(store.status(TransactionId(id)).await, Ok(Some(snapshot.status)));
                snapshot
            }
            other => panic!("transaction {id} is open, found {other:?}"),
        }
    }

    /// Who holds the row, as transaction `except` sees it.
    async fn holder(&mut self, except: Option<i64>, key: &str) -> Option<i64> {
        let locks = [row(key)];
        let conflict = self.next().await.conflict(except.map(TransactionId), &locks).await.expect("conflict");
        conflict.map(|conflict| conflict.holder.transaction_id().0)
    }

    async fn lock_count(&mut self) -> usize {
        self.next().await.locks(usize::MAX).await.expect("locks").len()
    }
}

const BEGUN: u64 = 1_000;
const NOW: u64 = 1_010;
const LATE: u64 = 70_000;

async fn numbers_are_never_given_twice<S: Subject>(mut case: Case<'_, S>) {
    let mut end = i64::MIN;
    for count in [1, 100, 1] {
        let block = case.next().await.reserve_ids(count).await.expect("reserve_ids");
        assert_eq!(block.end - block.start, i64::from(count));
        assert!(block.start > 0 && block.start >= end, "{block:?} after {end}");
        end = block.end;
    }
}

async fn a_store_knows_who_it_is_and_counts_its_lives<S: Subject>(mut case: Case<'_, S>) {
    let first = case.next().await;
    let (identity, life) = (first.identity().to_owned(), first.incarnation());
    assert!(!identity.is_empty());
    let reopens = case.reopens;
    let second = case.next().await;
    assert_eq!(second.identity(), identity);
    assert_eq!(second.incarnation() > life, reopens);
}

async fn a_branch_is_there_with_its_locks<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.begin(1).await;
    assert_eq!(case.register(11, 1, &["a", "b"]).await, Registered::Done(transaction(1)));
    assert_eq!(case.register(11, 1, &["a", "b"]).await, Registered::Done(transaction(1)), "again");
    let snapshot = case.snapshot(1).await;
    assert_eq!(snapshot.transaction, transaction(1));
    assert_eq!(snapshot.status, GlobalStatus::Begin);
    assert_eq!(snapshot.branches, [Arc::new(branch(11, 1, &["a", "b"]))]);
    let mut held = case.next().await.locks(usize::MAX).await.expect("locks");
    held.sort_by(|one, other| one.lock.cmp(&other.lock));
    assert_eq!(held.iter().map(|held| held.lock.clone()).collect::<Vec<_>>(), [row("a"), row("b")]);
    assert!(held.iter().all(|held| held.branch == BranchId(11) && held.holder == transaction(1).xid));
}

async fn a_conflict_names_row_and_holder_and_changes_nothing<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.begin(2).await;
    case.register(11, 1, &["a"]).await;
    let conflict = Conflict {
        lock: row("a"),
        holder: transaction(1).xid.clone(),
        holder_is_rolling_back: false,
        reason: ConflictReason::Held,
    };
    assert_eq!(case.register(21, 2, &["b", "a"]).await, Registered::Conflict(conflict.clone()));
    assert_eq!(case.holder(None, "b").await, None);
    assert!(case.snapshot(2).await.branches.is_empty());
    case.decide(1, Decision::Rollback, NOW).await;
    let rolling_back = Conflict { holder_is_rolling_back: true, ..conflict };
    assert_eq!(case.register(22, 2, &["a"]).await, Registered::Conflict(rolling_back));
}

async fn a_transaction_never_conflicts_with_itself<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    assert_eq!(case.register(12, 1, &["a", "b"]).await, Registered::Done(transaction(1)));
    assert_eq!(case.holder(Some(1), "a").await, None);
    assert_eq!(case.holder(Some(2), "a").await, Some(1));
    assert_eq!(case.lock_count().await, 2);
}

async fn branches_keep_the_order_of_their_registration<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    for id in [11, 12, 13, 99, 100, 101] {
        case.register(id, 1, &[&id.to_string()]).await;
    }
    let ids: Vec<i64> = case.snapshot(1).await.branches.iter().map(|branch| branch.id.0).collect();
    assert_eq!(ids, [11, 12, 13, 99, 100, 101]);
}

async fn nothing_joins_what_is_decided_or_unknown<S: Subject>(mut case: Case<'_, S>) {
    assert_eq!(case.register(11, 1, &["a"]).await, Registered::Unknown);
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    case.decide(1, Decision::Commit, NOW).await;
    let refused = Registered::NotActive(GlobalStatus::AsyncCommitting);
    assert_eq!(case.register(12, 1, &["b"]).await, refused);
    assert_eq!(case.lock_count().await, 0);
    assert_eq!(case.snapshot(1).await.branches.len(), 1);
}

async fn a_branch_too_many_changes_nothing<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    let store = case.next().await;
    assert_eq!(store.register(branch(12, 1, &["b"]), 1).await, Ok(Registered::Full));
    assert_eq!(store.register(branch(11, 1, &["a"]), 1).await, Ok(Registered::Done(transaction(1))), "again");
    assert_eq!(case.holder(None, "b").await, None);
    assert!(matches!(case.register(12, 1, &["b"]).await, Registered::Done(_)));
}

async fn a_full_saga_is_still_compensated<S: Subject>(mut case: Case<'_, S>) {
    let saga = |id| Branch { branch_type: BranchType::Saga, ..branch(id, 1, &[]) };
    case.begin(1).await;
    assert!(matches!(case.next().await.register(saga(11), 1).await, Ok(Registered::Done(_))));
    assert_eq!(case.next().await.register(saga(12), 1).await, Ok(Registered::Full));
    case.decide(1, Decision::Rollback, NOW).await;
    assert!(matches!(case.next().await.register(saga(12), 1).await, Ok(Registered::Done(_))));
    assert_eq!(case.snapshot(1).await.branches.len(), 2);
}

async fn a_commit_frees_all_locks_and_stands<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.begin(2).await;
    case.register(11, 1, &["a"]).await;
    case.register(12, 1, &["b"]).await;
    let Decided::Now(snapshot) = case.decide(1, Decision::Commit, NOW).await else { panic!("it was open") };
    assert_eq!((snapshot.status, snapshot.branches.len()), (GlobalStatus::AsyncCommitting, 2));
    assert_eq!(case.register(21, 2, &["a", "b"]).await, Registered::Done(transaction(2)));
    for decision in [Decision::Commit, Decision::Rollback, Decision::Timeout] {
        let unchanged = Decided::Unchanged(GlobalStatus::AsyncCommitting);
        assert_eq!(case.decide(1, decision, LATE).await, unchanged);
    }
    assert_eq!(case.holder(None, "a").await, Some(2));
    case.next().await.drop_branch(TransactionId(1), BranchId(11)).await.expect("drop_branch");
    assert_eq!(case.holder(None, "a").await, Some(2), "the new holder's lock is its own");
}

async fn a_rollback_keeps_locks_until_each_branch_is_done<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    case.register(12, 1, &["b"]).await;
    let Decided::Now(snapshot) = case.decide(1, Decision::Rollback, NOW).await else { panic!("it was open") };
    assert_eq!(snapshot.status, GlobalStatus::Rollbacking);
    assert_eq!(case.lock_count().await, 2);
    for _ in 0..2 {
        case.next().await.drop_branch(TransactionId(1), BranchId(12)).await.expect("drop_branch");
        assert_eq!(case.holder(None, "a").await, Some(1));
        assert_eq!(case.holder(None, "b").await, None);
    }
    assert_eq!(case.snapshot(1).await.branches.len(), 1);
}

async fn a_row_of_two_branches_stays_locked_until_both_are_done<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    case.register(12, 1, &["a"]).await;
    case.decide(1, Decision::Rollback, NOW).await;
    case.next().await.drop_branch(TransactionId(1), BranchId(11)).await.expect("drop_branch");
    assert_eq!(case.holder(None, "a").await, Some(1));
    case.next().await.drop_branch(TransactionId(1), BranchId(12)).await.expect("drop_branch");
    assert_eq!(case.holder(None, "a").await, None);
}

async fn a_commit_that_comes_too_late_is_a_time_out<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    let Decided::Now(snapshot) = case.decide(1, Decision::Commit, LATE).await else { panic!("it was open") };
    assert_eq!(snapshot.status, GlobalStatus::TimeoutRollbacking);
    assert_eq!(case.holder(None, "a").await, Some(1));
}

async fn a_time_out_comes_not_too_early<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    let unchanged = Decided::Unchanged(GlobalStatus::Begin);
    assert_eq!(case.decide(1, Decision::Timeout, NOW).await, unchanged);
    assert_eq!(case.register(11, 1, &["a"]).await, Registered::Done(transaction(1)));
}

async fn a_transaction_without_work_ends_with_its_decision<S: Subject>(mut case: Case<'_, S>) {
    for (id, decision, status) in [
        (1, Decision::Commit, GlobalStatus::Committed),
        (2, Decision::Rollback, GlobalStatus::Rollbacked),
        (3, Decision::Timeout, GlobalStatus::TimeoutRollbacked),
    ] {
        case.begin(id).await;
        let Decided::Now(snapshot) = case.decide(id, decision, LATE * u64::from(id == 3) + NOW).await else {
            panic!("it was open")
        };
        assert_eq!(snapshot.status, status);
        match case.next().await.find(TransactionId(id)).await.expect("find") {
            Found::Ended(ended) => assert_eq!(ended.status, status),
            Found::Unknown => assert!(case.reopens, "an outcome is kept for a while"),
            Found::Open(snapshot) => panic!("{snapshot:?} ended"),
        }
    }
    assert_eq!(case.next().await.page(None, 10).await.expect("page"), []);
}

async fn a_failed_phase_one_frees_the_locks_of_its_branch<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a", "b"]).await;
    case.register(12, 1, &["b", "c"]).await;
    for _ in 0..2 {
        let (id, branch) = (TransactionId(1), BranchId(11));
        let reported = case.next().await.report(id, branch, BranchStatus::PhaseOneFailed, None).await;
        assert_eq!(reported, Ok(Reported::Done));
    }
    assert_eq!(case.holder(None, "a").await, None);
    assert_eq!(case.holder(None, "b").await, Some(1), "the other branch changed it too");
    assert_eq!(case.holder(None, "c").await, Some(1));
    assert_eq!(case.snapshot(1).await.branches[0].status, BranchStatus::PhaseOneFailed);
}

async fn a_blank_report_keeps_the_application_data<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &[]).await;
    for (data, expected) in [(None, "data"), (Some(" "), "data"), (Some("new"), "new"), (None, "new")] {
        let store = case.next().await;
        let done = BranchStatus::PhaseOneDone;
        let reported = store.report(TransactionId(1), BranchId(11), done, data.map(Into::into)).await;
        assert_eq!(reported, Ok(Reported::Done));
        assert_eq!(&*case.snapshot(1).await.branches[0].application_data, expected);
    }
}

async fn parking_keeps_the_reason_and_the_locks<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    case.decide(1, Decision::Rollback, NOW).await;
    let store = case.next().await;
    store.park(TransactionId(1), GlobalStatus::RollbackFailed, "dirty".into()).await.expect("park");
    let snapshot = case.snapshot(1).await;
    assert_eq!(snapshot.status, GlobalStatus::RollbackFailed);
    assert_eq!(snapshot.parked.as_deref(), Some("dirty"));
    assert_eq!(case.holder(None, "a").await, Some(1));
    let store = case.next().await;
    store.set_status(TransactionId(1), GlobalStatus::RollbackRetrying).await.expect("set_status");
    let snapshot = case.snapshot(1).await;
    assert_eq!((snapshot.status, snapshot.parked), (GlobalStatus::RollbackRetrying, None));
}

async fn finishing_leaves_nothing<S: Subject>(mut case: Case<'_, S>) {
    case.begin(1).await;
    case.register(11, 1, &["a"]).await;
    case.decide(1, Decision::Rollback, NOW).await;
    for _ in 0..2 {
        let store = case.next().await;
        store.finish(TransactionId(1), GlobalStatus::Rollbacked, None, NOW).await.expect("finish");
        assert_eq!(case.lock_count().await, 0);
        assert_eq!(case.next().await.page(None, 10).await.expect("page"), []);
    }
    if !case.reopens {
        assert_eq!(case.register(12, 1, &["a"]).await, Registered::NotActive(GlobalStatus::Rollbacked));
    }
}

async fn what_never_was_is_unknown<S: Subject>(mut case: Case<'_, S>) {
    let id = TransactionId(7);
    assert_eq!(case.decide(7, Decision::Commit, NOW).await, Decided::Unknown);
    assert_eq!(case.next().await.find(id).await, Ok(Found::Unknown));
    assert_eq!(case.next().await.status(id).await, Ok(None));
    let done = BranchStatus::PhaseOneDone;
    assert_eq!(case.next().await.report(id, BranchId(1), done, None).await, Ok(Reported::Unknown));
    case.begin(7).await;
    assert_eq!(case.next().await.report(id, BranchId(1), done, None).await, Ok(Reported::UnknownBranch));
    case.next().await.drop_branch(id, BranchId(1)).await.expect("drop_branch");
    case.next().await.finish(TransactionId(8), GlobalStatus::Committed, None, NOW).await.expect("finish");
    assert_eq!(case.next().await.find(TransactionId(8)).await, Ok(Found::Unknown));
}

async fn listings_are_ordered_and_limited<S: Subject>(mut case: Case<'_, S>) {
    for id in [3, 1, 2] {
        case.begin(id).await;
        case.register(10 + id, id, &[&id.to_string()]).await;
    }
    let ids = |page: Vec<Snapshot>| page.iter().map(|snapshot| snapshot.transaction.id.0).collect::<Vec<_>>();
    assert_eq!(ids(case.next().await.page(None, 2).await.expect("page")), [1, 2]);
    assert_eq!(ids(case.next().await.page(Some(TransactionId(2)), 2).await.expect("page")), [3]);
    assert_eq!(case.next().await.locks(2).await.expect("locks").len(), 2);
}

async fn only_open_transactions_are_undecided<S: Subject>(mut case: Case<'_, S>) {
    for id in 1..=3 {
        case.begin(id).await;
        case.register(10 + id, id, &[]).await;
    }
    case.decide(2, Decision::Rollback, NOW).await;
    let asked = [1, 2, 3, 4].map(TransactionId).to_vec();
    let undecided = case.next().await.undecided(asked).await.expect("undecided");
    assert_eq!(undecided, [TransactionId(1), TransactionId(3)]);
}

async fn released_rows_are_free_for_good<S: Subject>(mut case: Case<'_, S>) {
    for id in [1, 2] {
        case.begin(id).await;
    }
    case.register(11, 1, &["a", "b"]).await;
    case.register(12, 1, &["b", "c"]).await;
    case.decide(1, Decision::Rollback, NOW).await;
    let stopped = GlobalStatus::StopRollbackOrRollbackRetry;
    case.next().await.park(TransactionId(1), stopped, "by hand".into()).await.expect("park");
    assert_eq!(case.next().await.release(TransactionId(1)).await, Ok(3));
    assert_eq!(case.lock_count().await, 0);
    assert_eq!(case.next().await.release(TransactionId(1)).await, Ok(0));
    assert_eq!(case.next().await.release(TransactionId(9)).await, Ok(0));
    let snapshot = case.snapshot(1).await;
    assert_eq!((snapshot.status, snapshot.branches.len()), (stopped, 2));
    assert!(matches!(case.register(13, 2, &["b"]).await, Registered::Done(_)));
    case.next().await.drop_branch(TransactionId(1), BranchId(12)).await.expect("drop_branch");
    let store = case.next().await;
    store.finish(TransactionId(1), GlobalStatus::Rollbacked, None, NOW).await.expect("finish");
    assert_eq!(case.holder(None, "b").await, Some(2));
}

async fn a_commit_that_turned_never_holds_again_what_it_freed<S: Subject>(mut case: Case<'_, S>) {
    for id in [1, 2, 3] {
        case.begin(id).await;
    }
    let saga = |id, keys| Branch { branch_type: BranchType::Saga, ..branch(id, 1, keys) };
    case.next().await.register(saga(11, &["a", "b"]), MAX_BRANCHES).await.expect("register");
    case.decide(1, Decision::Commit, NOW).await;
    assert!(matches!(case.register(21, 2, &["a"]).await, Registered::Done(_)));
    // Its rows are free for good, those of a branch that joins now too.
    let late = case.next().await.register(saga(12, &["a", "c"]), MAX_BRANCHES).await.expect("register");
    assert!(matches!(late, Registered::Done(_)));
    for status in
        [GlobalStatus::RollbackRetrying, GlobalStatus::CommitRetrying, GlobalStatus::RollbackRetrying]
    {
        case.next().await.set_status(TransactionId(1), status).await.expect("set_status");
        let holders =
            [case.holder(None, "a").await, case.holder(None, "b").await, case.holder(None, "c").await];
        assert_eq!(holders, [Some(2), None, None], "{status}");
    }
    assert!(matches!(case.register(31, 3, &["b", "c"]).await, Registered::Done(_)));
    case.next().await.drop_branch(TransactionId(1), BranchId(11)).await.expect("drop_branch");
    let store = case.next().await;
    store.finish(TransactionId(1), GlobalStatus::Rollbacked, None, NOW).await.expect("finish");
    let holders = [case.holder(None, "a").await, case.holder(None, "b").await, case.holder(None, "c").await];
    assert_eq!(holders, [Some(2), Some(3), Some(3)]);
    assert_eq!(case.lock_count().await, 3);
}

async fn a_note_stays_with_its_decision_to_the_end<S: Subject>(mut case: Case<'_, S>) {
    for id in [1, 2, 3] {
        case.begin(id).await;
    }
    case.register(11, 1, &["a"]).await;
    let note = || Some("by hand".into());
    case.next().await.decide(TransactionId(1), Decision::Rollback, note(), NOW).await.expect("decide");
    case.next().await.set_status(TransactionId(1), GlobalStatus::RollbackRetrying).await.expect("set_status");
    assert_eq!(case.snapshot(1).await.parked.as_deref(), Some("by hand"));
    case.next().await.decide(TransactionId(2), Decision::Rollback, note(), NOW).await.expect("decide");
    case.next().await.decide(TransactionId(3), Decision::Commit, note(), LATE).await.expect("decide");
    for (id, status, reason) in
        [(2, GlobalStatus::Rollbacked, note()), (3, GlobalStatus::TimeoutRollbacked, None::<Arc<str>>)]
    {
        let Ok(Found::Ended(ended)) = case.next().await.find(TransactionId(id)).await else {
            panic!("{id} has ended")
        };
        assert_eq!((ended.status, ended.reason), (status, reason));
    }
}

async fn a_report_changes_a_saga_and_nothing_else<S: Subject>(mut case: Case<'_, S>) {
    use GlobalStatus::*;
    for id in [1, 2, 3] {
        case.begin(id).await;
    }
    case.register(11, 1, &["a"]).await;
    let note = async |case: &mut Case<'_, S>, id: i64, report| {
        case.next().await.note(TransactionId(id), report, NOW).await.expect("note")
    };
    assert_eq!(note(&mut case, 1, Committed).await, Noted::Unchanged(Begin));
    assert_eq!(note(&mut case, 9, Committed).await, Noted::Unknown);
    for id in [2, 3] {
        let saga = Branch { branch_type: BranchType::Saga, ..branch(20 + id, id, &[]) };
        case.next().await.register(saga, MAX_BRANCHES).await.expect("register");
    }
    assert!(matches!(note(&mut case, 2, RollbackFailed).await, Noted::Now(_)));
    let snapshot = case.snapshot(2).await;
    assert_eq!((snapshot.status, snapshot.parked.is_some()), (RollbackFailed, true));
    assert_eq!(note(&mut case, 2, CommitRetrying).await, Noted::Unchanged(RollbackFailed));
    assert!(matches!(note(&mut case, 2, RollbackRetrying).await, Noted::Now(_)));
    let snapshot = case.snapshot(2).await;
    assert_eq!((snapshot.status, snapshot.parked), (RollbackRetrying, None));
    let Noted::Now(snapshot) = note(&mut case, 3, Finished).await else { panic!("it ends") };
    assert_eq!((snapshot.status, snapshot.branches.len()), (Finished, 0));
    let Noted::Ended(ended) = note(&mut case, 3, Committed).await else { panic!("it has ended") };
    assert_eq!((ended.status, ended.at, ended.reason.is_some()), (Finished, NOW, true));
}

async fn outcomes_are_listed_from_the_last<S: Subject>(mut case: Case<'_, S>) {
    for id in [1, 2, 3] {
        case.begin(id).await;
    }
    for id in [3, 1, 2] {
        let reason = (id == 1).then(|| "forced".into());
        let store = case.next().await;
        store.finish(TransactionId(id), GlobalStatus::Rollbacked, reason, NOW).await.expect("finish");
    }
    let all = case.next().await.ended(None, 9).await.expect("ended");
    let seen: Vec<i64> = all.iter().map(|ended| ended.transaction.id.0).collect();
    assert_eq!(seen, [2, 1, 3]);
    assert_eq!(*all[1].transaction, *transaction(1));
    assert_eq!(all[1].reason.as_deref(), Some("forced"));
    assert_eq!(case.next().await.ended(Some(TransactionId(2)), 1).await.expect("ended"), all[1..2]);
    assert_eq!(case.next().await.ended(Some(TransactionId(9)), 9).await, Ok(Vec::new()));
}

async fn locks_are_listed_in_pages<S: Subject>(mut case: Case<'_, S>) {
    for id in [1, 2, 3] {
        case.begin(id).await;
        let keys = [format!("{id}a"), format!("{id}b")];
        case.register(10 + id, id, &[&keys[0], &keys[1]]).await;
    }
    case.decide(2, Decision::Commit, NOW).await;
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = case.next().await.locks_after(after, LockFilter::default(), 1).await.expect("locks_after");
        assert!(page.locks.len() <= 1);
        keys.extend(page.locks.into_iter().map(|held| held.lock.key.as_str().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["1a", "1b", "3a", "3b"]);
    let filter =
        LockFilter { transaction: Some(TransactionId(3)), key: Some("3b".into()), ..Default::default() };
    let page = case.next().await.locks_after(None, filter, 9).await.expect("locks_after");
    assert_eq!((page.locks.len(), page.locks[0].branch), (1, BranchId(13)));
}

fn transaction(id: i64) -> Arc<Transaction> {
    Arc::new(Transaction {
        id: TransactionId(id),
        xid: format!("tc-suite:0:{id}").parse().expect("an XID"),
        application: "shop".into(),
        group: "default_tx_group".into(),
        name: "buy".into(),
        begun_at: BEGUN,
        timeout: 60_000,
        incarnation: (id % 2 == 0).then_some(1),
    })
}

fn branch(id: i64, of: i64, keys: &[&str]) -> Branch {
    let locks: Vec<RowLock> = keys.iter().map(|key| row(key)).collect();
    Branch {
        id: BranchId(id),
        transaction: TransactionId(of),
        branch_type: BranchType::At,
        resource: "db".into(),
        status: BranchStatus::Registered,
        application_data: "data".into(),
        client: "".into(),
        registered_at: 0,
        locks: LockSet::new(&locks),
    }
}

fn row(key: &str) -> RowLock {
    RowLock {
        resource: "db".into(),
        table: "stock".into(),
        key: RowKey::from_text(key).expect("a key is not empty"),
    }
}
