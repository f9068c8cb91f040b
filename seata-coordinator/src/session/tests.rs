//! Each row of the tables in the module's documentation.

use BranchStatus::*;
use BranchType::{At, Tcc, Xa};
use GlobalStatus::*;
use seata_protocol::TransactionId;

use super::*;

const BEGUN: Millis = 1_000_000;
const TIMEOUT: Millis = 60_000;
const NOW: Millis = BEGUN + 10;
const LATE: Millis = BEGUN + TIMEOUT + 1;

fn transaction() -> Arc<Transaction> {
    Arc::new(Transaction {
        id: TransactionId(1),
        xid: "tc-1:0:1".parse().unwrap(),
        application: "shop".into(),
        group: "default_tx_group".into(),
        name: "buy".into(),
        begun_at: BEGUN,
        timeout: TIMEOUT,
        incarnation: None,
    })
}

fn branch(id: i64, branch_type: BranchType, resource: &str, status: BranchStatus) -> Arc<Branch> {
    Arc::new(Branch {
        id: BranchId(id),
        transaction: TransactionId(1),
        branch_type,
        resource: resource.into(),
        status,
        application_data: "".into(),
        client: "".into(),
        registered_at: 0,
        locks: Default::default(),
    })
}

fn session(status: GlobalStatus, branches: &[Arc<Branch>]) -> Session {
    let snapshot = Snapshot { transaction: transaction(), status, parked: None, branches: branches.to_vec() };
    Session::new(snapshot, RetryLimits::default())
}

fn feed(session: &mut Session, input: Input) -> Vec<Effect> {
    let mut out = Vec::new();
    session.handle(NOW, input, &mut out);
    out
}

fn answered(id: i64, status: BranchStatus) -> Input {
    Input::Answer { branch: BranchId(id), answer: Answer::Status { status, reason: "because".into() } }
}

fn commit(branch: &Arc<Branch>) -> Effect {
    Effect::Ask { phase: Phase::Commit, branch: branch.clone() }
}

fn rollback(branch: &Arc<Branch>) -> Effect {
    Effect::Ask { phase: Phase::Rollback, branch: branch.clone() }
}

fn backed_off(branch: &Arc<Branch>, failures: u32) -> Effect {
    Effect::BackOff { branch: branch.clone(), failures }
}

fn dropped(branch: &Arc<Branch>) -> Effect {
    Effect::DropBranch(branch.clone())
}

#[test]
fn a_decision_takes_an_open_transaction_where_the_table_says() {
    let (at, tcc) = (branch(1, At, "a", Registered), branch(2, Tcc, "b", Registered));
    let (failed, read) = (branch(3, At, "a", PhaseOneFailed), branch(4, Xa, "x", PhaseOneReadOnly));
    for (branches, decision, now, expected) in [
        (vec![&at], Decision::Commit, LATE, Some(TimeoutRollbacking)),
        (vec![], Decision::Commit, LATE, Some(TimeoutRollbacked)),
        (vec![&at], Decision::Timeout, NOW, None),
        (vec![], Decision::Commit, NOW, Some(Committed)),
        (vec![&failed, &read], Decision::Commit, NOW, Some(Committed)),
        (vec![&failed], Decision::Rollback, NOW, Some(Rollbacked)),
        (vec![&read], Decision::Rollback, NOW, Some(Rollbacking)),
        (vec![&at, &failed], Decision::Commit, NOW, Some(AsyncCommitting)),
        (vec![&at, &tcc], Decision::Commit, NOW, Some(Committing)),
        (vec![&at], Decision::Rollback, NOW, Some(Rollbacking)),
        (vec![&at], Decision::Rollback, LATE, Some(Rollbacking)),
        (vec![&at], Decision::Timeout, LATE, Some(TimeoutRollbacking)),
    ] {
        let found = decide(&transaction(), Begin, branches.iter().map(|branch| &***branch), decision, now);
        assert_eq!(found, expected, "{decision:?} of {branches:?} at {now}");
    }
}

#[test]
fn a_decision_stands() {
    for status in GlobalStatus::ALL.iter().filter(|status| **status != Begin) {
        for decision in [Decision::Commit, Decision::Rollback, Decision::Timeout] {
            assert_eq!(decide(&transaction(), *status, std::iter::empty(), decision, LATE), None, "{status}");
        }
    }
}

#[test]
fn at_branches_are_committed_all_at_once_and_nobody_waits() {
    let branches = [branch(1, At, "a", Registered), branch(2, At, "a", Registered)];
    let mut session = session(AsyncCommitting, &branches);
    let out = feed(&mut session, Input::Resume);
    assert_eq!(out, [commit(&branches[0]), commit(&branches[1]), Effect::Tell(Committed)]);
    assert_eq!(feed(&mut session, answered(2, PhaseTwoCommitted)), [dropped(&branches[1])]);
    assert_eq!(
        feed(&mut session, answered(1, PhaseTwoCommitted)),
        [dropped(&branches[0]), Effect::Finish(Committed)]
    );
}

#[test]
fn tcc_branches_of_one_resource_are_committed_in_their_order_and_resources_at_the_same_time() {
    let branches =
        [branch(1, Tcc, "a", Registered), branch(2, Tcc, "a", Registered), branch(3, Tcc, "b", Registered)];
    let mut session = session(Committing, &branches);
    assert_eq!(feed(&mut session, Input::Resume), [commit(&branches[0]), commit(&branches[2])]);
    assert_eq!(
        feed(&mut session, answered(1, PhaseTwoCommitted)),
        [dropped(&branches[0]), commit(&branches[1])]
    );
    assert_eq!(feed(&mut session, answered(2, PhaseTwoCommitted)), [dropped(&branches[1])]);
    let out = feed(&mut session, answered(3, PhaseTwoCommitted));
    assert_eq!(out, [dropped(&branches[2]), Effect::Finish(Committed)]);
}

#[test]
fn a_mixed_commit_is_told_when_only_at_branches_are_left() {
    let branches = [branch(1, At, "a", Registered), branch(2, Tcc, "b", Registered)];
    let mut session = session(Committing, &branches);
    assert_eq!(feed(&mut session, Input::Resume), [commit(&branches[1])], "the undo log is for later");
    let out = feed(&mut session, answered(2, PhaseTwoCommitted));
    let [set, tell] = [Effect::SetStatus(AsyncCommitting), Effect::Tell(Committed)];
    assert_eq!(out, [dropped(&branches[1]), set, commit(&branches[0]), tell]);
}

#[test]
fn rollback_asks_the_youngest_first_and_the_next_when_it_is_done() {
    let branches = [branch(1, At, "a", Registered), branch(2, Tcc, "b", Registered)];
    let mut session = session(Rollbacking, &branches);
    assert_eq!(feed(&mut session, Input::Resume), [rollback(&branches[1])]);
    assert_eq!(
        feed(&mut session, answered(2, PhaseTwoRollbacked)),
        [dropped(&branches[1]), rollback(&branches[0])]
    );
    let out = feed(&mut session, answered(1, PhaseTwoRollbacked));
    assert_eq!(out, [dropped(&branches[0]), Effect::Finish(Rollbacked)]);
}

#[test]
fn branches_without_work_are_dropped_unasked() {
    let branches = [branch(1, At, "a", Registered), branch(2, At, "a", PhaseOneFailed)];
    let mut rolling_back = session(TimeoutRollbacking, &branches);
    assert_eq!(feed(&mut rolling_back, Input::Resume), [dropped(&branches[1]), rollback(&branches[0])]);
    let read_only = [branch(1, Xa, "a", PhaseOneReadOnly)];
    let out = feed(&mut session(Committing, &read_only), Input::Resume);
    assert_eq!(out, [dropped(&read_only[0]), Effect::Finish(Committed)]);
    assert_eq!(feed(&mut session(Rollbacking, &read_only), Input::Resume), [rollback(&read_only[0])]);
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let branches = [branch(1, At, "a", Registered), branch(2, At, "a", Registered)];
    let mut session = session(Rollbacking, &branches);
    feed(&mut session, Input::Resume);
    assert_eq!(feed(&mut session, answered(1, PhaseTwoRollbacked)), []);
    assert_eq!(feed(&mut session, answered(7, PhaseTwoRollbacked)), []);
}

#[test]
fn a_branch_that_cannot_now_is_asked_again_after_a_back_off() {
    let branches = [branch(1, At, "a", Registered), branch(2, At, "a", Registered)];
    let mut session = session(Rollbacking, &branches);
    feed(&mut session, Input::Resume);
    let out = feed(&mut session, answered(2, PhaseTwoRollbackFailedRetryable));
    let [set, arm, tell] =
        [Effect::SetStatus(RollbackRetrying), backed_off(&branches[1], 1), Effect::Tell(RollbackRetrying)];
    assert_eq!(out, [set, arm, tell]);
    assert_eq!(feed(&mut session, Input::Timer(Timer::Retry)), [rollback(&branches[1])]);
    let unreachable = Answer::Unreachable { reason: "connection refused".into() };
    let out = feed(&mut session, Input::Answer { branch: BranchId(2), answer: unreachable });
    assert_eq!(out, [backed_off(&branches[1], 2)]);
    assert_eq!(session.reason().map(|reason| &**reason), Some("branch 2 on a: connection refused"));
}

#[test]
fn a_branch_whose_resource_is_back_is_asked_at_once_and_alone() {
    let branches = [branch(1, Tcc, "a", Registered), branch(2, Tcc, "b", Registered)];
    let mut session = session(Committing, &branches);
    feed(&mut session, Input::Resume);
    assert_eq!(feed(&mut session, Input::Available(BranchId(1))), [], "it is asked already");
    feed(&mut session, answered(1, PhaseTwoCommitFailedRetryable));
    feed(&mut session, answered(2, PhaseTwoCommitFailedRetryable));
    assert_eq!(feed(&mut session, Input::Available(BranchId(1))), [commit(&branches[0])]);
    assert_eq!(feed(&mut session, Input::Available(BranchId(7))), []);
    feed(&mut session, Input::Park { reason: "maintenance".into() });
    assert_eq!(feed(&mut session, Input::Available(BranchId(2))), []);
}

#[test]
fn a_tcc_commit_that_cannot_now_is_told_as_retrying_and_at_commits_stay_committed() {
    let tcc = [branch(1, Tcc, "a", Registered)];
    let mut waiting = session(Committing, &tcc);
    feed(&mut waiting, Input::Resume);
    let out = feed(&mut waiting, answered(1, PhaseTwoCommitFailedRetryable));
    let expected = [Effect::SetStatus(CommitRetrying), backed_off(&tcc[0], 1), Effect::Tell(CommitRetrying)];
    assert_eq!(out, expected);

    let at = [branch(1, At, "a", Registered)];
    let mut told = session(AsyncCommitting, &at);
    feed(&mut told, Input::Resume);
    assert_eq!(feed(&mut told, answered(1, PhaseTwoCommitFailedRetryable)), [backed_off(&at[0], 1)]);
}

#[test]
fn a_branch_that_never_will_parks_the_transaction_until_an_operator_retries() {
    for (status, parked, retried, ended) in [
        (Rollbacking, RollbackFailed, RollbackRetrying, Rollbacked),
        (TimeoutRollbacking, TimeoutRollbackFailed, TimeoutRollbacking, TimeoutRollbacked),
    ] {
        let branches = [branch(1, At, "a", Registered), branch(2, At, "a", Registered)];
        let mut session = session(status, &branches);
        feed(&mut session, Input::Resume);
        let out = feed(&mut session, answered(2, PhaseTwoRollbackFailedUnretryable));
        let reason = "branch 2 on a: because".into();
        assert_eq!(out, [Effect::Park { status: parked, reason }, Effect::Tell(parked)]);
        assert_eq!(feed(&mut session, Input::Timer(Timer::Retry)), []);
        assert_eq!(feed(&mut session, Input::Retry), [Effect::Unpark(retried), rollback(&branches[1])]);
        assert_eq!(feed(&mut session, Input::Retry), [], "all is under way");
        feed(&mut session, answered(2, PhaseTwoRollbacked));
        assert_eq!(
            feed(&mut session, answered(1, PhaseTwoRollbacked)),
            [dropped(&branches[0]), Effect::Finish(ended)]
        );
    }
}

#[test]
fn a_commit_that_one_branch_refuses_goes_on_with_the_others() {
    let branches = [branch(1, Tcc, "a", Registered), branch(2, Tcc, "b", Registered)];
    let mut session = session(Committing, &branches);
    feed(&mut session, Input::Resume);
    let out = feed(&mut session, answered(1, PhaseTwoCommitFailedUnretryable));
    let reason = "branch 1 on a: because".into();
    assert_eq!(out, [Effect::Park { status: CommitFailed, reason }, Effect::Tell(CommitFailed)]);
    assert_eq!(feed(&mut session, answered(2, PhaseTwoCommitted)), [dropped(&branches[1])]);
    assert_eq!(feed(&mut session, Input::Retry), [Effect::Unpark(CommitRetrying), commit(&branches[0])]);
}

#[test]
fn past_the_retry_limit_a_transaction_is_parked() {
    let branches = [branch(1, At, "a", Registered)];
    let snapshot = Snapshot {
        transaction: transaction(),
        status: Rollbacking,
        parked: None,
        branches: branches.to_vec(),
    };
    let limits = RetryLimits { rollback: Some(Duration::from_millis(5)), ..RetryLimits::default() };
    let mut session = Session::new(snapshot, limits);
    feed(&mut session, Input::Resume);
    let out = feed(&mut session, answered(1, PhaseTwoRollbackFailedRetryable));
    let reason = "branch 1 on a: because".into();
    assert_eq!(
        out,
        [Effect::Park { status: RollbackRetryTimeout, reason }, Effect::Tell(RollbackRetryTimeout)]
    );
}

#[test]
fn a_parked_transaction_stays_parked_after_a_restart() {
    let branches = [branch(1, At, "a", Registered)];
    let snapshot = Snapshot {
        transaction: transaction(),
        status: RollbackFailed,
        parked: Some("dirty".into()),
        branches: branches.to_vec(),
    };
    let mut session = Session::new(snapshot, RetryLimits::default());
    assert_eq!(feed(&mut session, Input::Resume), []);
    assert_eq!(feed(&mut session, Input::Retry), [Effect::Unpark(RollbackRetrying), rollback(&branches[0])]);
}

#[test]
fn an_xa_branch_that_its_database_does_not_know_is_done_when_it_is_long_over() {
    let branches = [branch(1, Xa, "a", Registered)];
    let mut session = session(Committing, &branches);
    feed(&mut session, Input::Resume);
    let nota = || answered(1, PhaseTwoCommitFailedXaerNotaRetryable);
    assert_eq!(feed(&mut session, nota())[0], Effect::SetStatus(CommitRetrying));
    feed(&mut session, Input::Timer(Timer::Retry));
    let mut out = Vec::new();
    session.handle(BEGUN + TIMEOUT + 60_001, nota(), &mut out);
    assert_eq!(out, [dropped(&branches[0]), Effect::Finish(Committed)]);
}

/// A status that parks without a reason of its own, as a Saga starter may have set it.
#[test]
fn a_status_that_parks_is_enough_to_ask_nobody() {
    let branches = [branch(1, Tcc, "a", Registered)];
    let mut session = session(RollbackFailed, &branches);
    assert_eq!(feed(&mut session, Input::Resume), []);
    let out = feed(&mut session, Input::Retry);
    assert_eq!(out, [Effect::Unpark(RollbackRetrying), rollback(&branches[0])]);
}

#[test]
fn a_branch_waits_for_no_undo_log_of_its_resource() {
    let branches = [branch(1, At, "a", Registered), branch(2, Tcc, "a", Registered)];
    let mut session = session(Committing, &branches);
    assert_eq!(feed(&mut session, Input::Resume), [commit(&branches[1])]);
    let out = feed(&mut session, answered(2, PhaseTwoCommitFailedRetryable));
    let [set, arm] = [Effect::SetStatus(CommitRetrying), backed_off(&branches[1], 1)];
    assert_eq!(out, [set, arm, commit(&branches[0])], "a retry asks all");
}

#[test]
fn an_operator_stops_and_resumes_a_transaction() {
    for (status, stopped, retried) in [
        (Rollbacking, StopRollbackOrRollbackRetry, RollbackRetrying),
        (TimeoutRollbacking, StopRollbackOrRollbackRetry, RollbackRetrying),
        (Committing, StopCommitOrCommitRetry, CommitRetrying),
    ] {
        let branches = [branch(1, Tcc, "a", Registered), branch(2, Tcc, "a", Registered)];
        let mut session = session(status, &branches);
        let asked = feed(&mut session, Input::Resume);
        let reason: Arc<str> = "stopped by operator: maintenance".into();
        let out = feed(&mut session, Input::Park { reason: "maintenance".into() });
        let park = Effect::Park { status: stopped, reason: Arc::clone(&reason) };
        assert_eq!(out, [Effect::Withdraw, park, Effect::Tell(answer_for(stopped))]);
        assert_eq!(feed(&mut session, Input::Park { reason }), [], "it is stopped already");
        assert_eq!(feed(&mut session, Input::Timer(Timer::Retry)), []);
        let Effect::Ask { branch, .. } = &asked[0] else { panic!("{asked:?}") };
        session.take_back(branch.id);
        assert_eq!(feed(&mut session, Input::Retry), [vec![Effect::Unpark(retried)], asked].concat());
    }
}

#[test]
fn a_stopped_transaction_takes_answers_and_asks_nobody() {
    let branches = [branch(1, At, "a", Registered), branch(2, At, "a", Registered)];
    let mut stopped = session(Rollbacking, &branches);
    feed(&mut stopped, Input::Resume);
    feed(&mut stopped, Input::Park { reason: "maintenance".into() });
    assert_eq!(feed(&mut stopped, answered(2, PhaseTwoRollbacked)), [dropped(&branches[1])]);
    assert_eq!(feed(&mut session(StopRollbackOrRollbackRetry, &branches), Input::Resume), []);
}

#[test]
fn what_an_operator_gives_up_is_finished_unasked() {
    for (status, ended) in [(RollbackFailed, Rollbacked), (CommitRetrying, Committed)] {
        let mut session = session(status, &[branch(1, At, "a", Registered)]);
        let out = feed(&mut session, Input::GiveUp { reason: "by hand".into() });
        assert_eq!(out, [Effect::Withdraw, Effect::Finish(ended)]);
        let expected = "given up by operator: by hand; not done: branch 1 on a";
        assert_eq!(session.note().map(|note| &**note), Some(expected));
    }
    let many: Vec<_> = (1..=12).map(|id| branch(id, Tcc, "a", Registered)).collect();
    let mut session = session(RollbackFailed, &many);
    feed(&mut session, Input::GiveUp { reason: "by hand".into() });
    let note = session.note().unwrap();
    assert!(note.ends_with("branch 7 on a, branch 8 on a and 4 more"), "{note}");
}

#[test]
fn locks_are_freed_when_rolling_back_is_given_up_if_so_set() {
    let limits = RetryLimits {
        rollback: Some(Duration::from_millis(5)),
        unlock_rollback: true,
        unlock_failed: true,
        ..RetryLimits::default()
    };
    for answer in [PhaseTwoRollbackFailedRetryable, PhaseTwoRollbackFailedUnretryable] {
        let branches = vec![branch(1, At, "a", Registered)];
        let snapshot = Snapshot { transaction: transaction(), status: Rollbacking, parked: None, branches };
        let mut session = Session::new(snapshot, limits);
        feed(&mut session, Input::Resume);
        assert_eq!(feed(&mut session, answered(1, answer))[1], Effect::Release);
    }
}

#[test]
fn an_asynchronous_commit_has_no_retry_limit() {
    let branches = vec![branch(1, At, "a", Registered)];
    let snapshot = Snapshot {
        transaction: transaction(),
        status: AsyncCommitting,
        parked: None,
        branches: branches.clone(),
    };
    let limits = RetryLimits { commit: Some(Duration::from_millis(5)), ..RetryLimits::default() };
    let mut session = Session::new(snapshot, limits);
    feed(&mut session, Input::Resume);
    assert_eq!(feed(&mut session, answered(1, PhaseTwoCommitFailedRetryable)), [backed_off(&branches[0], 1)]);
}

fn saga(status: GlobalStatus) -> Session {
    session(
        status,
        &[branch(1, BranchType::Saga, "m#s", Registered), branch(2, BranchType::Saga, "m#t", Registered)],
    )
}

#[test]
fn a_saga_is_one_call_that_names_its_status() {
    let out = feed(&mut saga(TimeoutRollbacking), Input::Resume);
    let [Effect::Ask { phase: Phase::Rollback, branch }] = &out[..] else { panic!("{out:?}") };
    assert_eq!((branch.id, branch.resource.as_str()), (SAGA_BRANCH, "shop#default_tx_group"));
    assert_eq!(&*branch.application_data, "TimeoutRollbacking");
}

#[test]
fn a_saga_ends_or_turns_as_its_state_machine_answers() {
    for (status, answer, expected) in [
        (Committing, PhaseTwoCommitted, Effect::Finish(Committed)),
        (Committing, PhaseTwoRollbacked, Effect::Finish(Rollbacked)),
        (Committing, PhaseOneFailed, Effect::Finish(Finished)),
        (Committing, PhaseTwoRollbackFailedRetryable, Effect::SetStatus(RollbackRetrying)),
        (Committing, PhaseTwoCommitFailedRetryable, Effect::SetStatus(CommitRetrying)),
        (Rollbacking, PhaseTwoRollbacked, Effect::Finish(Rollbacked)),
        (TimeoutRollbacking, PhaseTwoRollbacked, Effect::Finish(TimeoutRollbacked)),
        (TimeoutRollbacking, PhaseTwoCommitFailedRetryable, Effect::SetStatus(CommitRetrying)),
        (Rollbacking, PhaseTwoRollbackFailedRetryable, Effect::SetStatus(RollbackRetrying)),
    ] {
        let mut session = saga(status);
        feed(&mut session, Input::Resume);
        assert_eq!(feed(&mut session, answered(-1, answer))[0], expected, "{answer} in {status}");
    }
}

#[test]
fn a_report_takes_a_saga_where_the_table_says() {
    for (status, report, expected) in [
        (Begin, Committed, Some(Committed)),
        (Begin, CommitRetrying, Some(CommitRetrying)),
        (Begin, GlobalStatus::Unknown, Some(RollbackRetrying)),
        (Rollbacking, TimeoutRollbackRetrying, Some(TimeoutRollbacking)),
        (Begin, CommitFailed, Some(CommitFailed)),
        (CommitRetrying, Finished, Some(Finished)),
        (CommitRetrying, CommitRetrying, None),
        (CommitRetrying, Rollbacked, None),
        (Begin, Deleting, None),
    ] {
        assert_eq!(reported(status, report), expected, "{report} of one in {status}");
    }
}

/// As many as one transaction may have; each answer must not look at all of them.
#[test]
fn ten_thousand_branches_are_asked_in_their_order_and_each_once() {
    for (status, reverse) in [(Committing, false), (Rollbacking, true)] {
        let resource = |id| ["a", "b", "c"][id as usize % 3];
        let branches: Vec<_> = (1..=10_000).map(|id| branch(id, Tcc, resource(id), Registered)).collect();
        let mut session = session(status, &branches);
        let (mut asked, mut out) = (Vec::new(), feed(&mut session, Input::Resume));
        let mut answered_up_to = 0;
        loop {
            let ask = |effect: &Effect| match effect {
                Effect::Ask { branch, .. } => Some(branch.clone()),
                _ => None,
            };
            asked.extend(out.iter().filter_map(ask));
            let Some(next) = asked.get(answered_up_to) else { break };
            answered_up_to += 1;
            let done = if reverse { PhaseTwoRollbacked } else { PhaseTwoCommitted };
            out = feed(&mut session, answered(next.id.0, done));
        }
        assert_eq!(asked.len(), 10_000);
        assert_eq!(out.last(), Some(&Effect::Finish(if reverse { Rollbacked } else { Committed })));
        for each in ["a", "b", "c"] {
            let ids = asked.iter().filter(|branch| branch.resource.as_str() == each).map(|branch| branch.id);
            assert!(if reverse { ids.is_sorted_by(|a, b| a > b) } else { ids.is_sorted() });
        }
    }
}

#[test]
fn a_branch_behind_one_without_work_is_asked_at_once() {
    let branches = [branch(1, Tcc, "a", PhaseOneFailed), branch(2, Tcc, "a", Registered)];
    let out = feed(&mut session(Committing, &branches), Input::Resume);
    assert_eq!(out, [dropped(&branches[0]), commit(&branches[1])]);
}

#[test]
fn a_resource_of_many_branches_is_named_once() {
    let branches: Vec<_> =
        (1..=9).map(|id| branch(id, Tcc, if id % 2 == 0 { "a" } else { "b" }, Registered)).collect();
    let session = session(Committing, &branches);
    assert!(session.resources().into_iter().map(ResourceId::as_str).eq(["a", "b"]));
}
