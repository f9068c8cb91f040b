use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use seata_context::{
    Client, Failure, FailureHandler, OnError, Propagation, RootContext, TransactionError, TransactionHook,
    TransactionOptions, Watch, run,
};
use seata_protocol::{GlobalStatus, Xid};

use crate::coordinator::{Answer, Coordinator, Failed, named, unreachable};

async fn commit_answered(answers: impl IntoIterator<Item = Answer>) -> (Result<(), Failed>, Vec<String>) {
    let coordinator = Coordinator::new();
    coordinator.answer_commits(answers);
    let client = coordinator.running_client();
    let result = run(named("pay", &client), |_| OnError::Rollback, async { Ok(()) }).await;
    (result, coordinator.calls())
}

#[tokio::test]
async fn every_answer_to_a_commit_has_its_meaning() {
    use GlobalStatus::*;
    type Is = fn(&TransactionError) -> bool;
    let rolled_back: Is = |e| matches!(e, TransactionError::RolledBack { .. });
    let timed_out: Is = |e| matches!(e, TransactionError::TimedOut { .. });
    let failed: Is = |e| matches!(e, TransactionError::CommitFailed { .. });
    let unknown: Is = |e| matches!(e, TransactionError::Unknown { .. });
    let odd: Is = |e| matches!(e, TransactionError::UnexpectedStatus { .. });
    for &status in GlobalStatus::ALL {
        let expected = match status {
            Committed | Committing | CommitRetrying | AsyncCommitting => None,
            CommitFailed | CommitRetryTimeout | StopCommitOrCommitRetry => Some(failed),
            Rollbacking
            | RollbackRetrying
            | Rollbacked
            | RollbackFailed
            | RollbackRetryTimeout
            | StopRollbackOrRollbackRetry => Some(rolled_back),
            TimeoutRollbacking | TimeoutRollbackRetrying | TimeoutRollbacked | TimeoutRollbackFailed => {
                Some(timed_out)
            }
            Finished => Some(unknown),
            _ => Some(odd),
        };
        match (commit_answered([Ok(status)]).await.0, expected) {
            (Ok(()), None) => {}
            (Err(Failed::Transaction(error)), Some(is)) => assert!(is(&error), "{status}: {error:?}"),
            (result, _) => panic!("{status} gave {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_asked_again_and_then_driven_on_in_the_background() {
    let (result, calls) = commit_answered([Err(unreachable()), Err(unreachable())]).await;
    assert_eq!((result, calls.len()), (Ok(()), 4));

    let coordinator = Coordinator::new();
    coordinator.answer_commits((0..7).map(|_| Err(unreachable())));
    let client = coordinator.running_client();
    let result = run(named("pay", &client), |_: &Failed| OnError::Rollback, async { Ok(()) }).await;
    assert!(
        matches!(&result, Err(Failed::Transaction(TransactionError::CommitUnanswered { attempts: 5, .. }))),
        "{result:?}"
    );
    let calls = coordinator.settled(9).await;
    assert_eq!(calls[1..], ["commit 1"; 8], "five by the caller, three in the background");
}

#[tokio::test]
async fn rules_decide_what_an_error_does() {
    for (rule, expected) in [(OnError::Rollback, "rollback 1"), (OnError::Commit, "commit 1")] {
        let coordinator = Coordinator::new();
        let client = coordinator.running_client();
        let result: Result<(), _> =
            run(named("pay", &client), |_| rule, async { Err(Failed::Business("no stock")) }).await;
        assert_eq!(result, Err(Failed::Business("no stock")), "the caller sees its own error");
        assert_eq!(coordinator.calls(), ["begin pay 1", expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_success_is_rolled_back_and_named() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let options = named("pay", &client).timeout(Duration::from_secs(2));
    let result: Result<(), _> = run(options, |_| OnError::Rollback, async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    })
    .await;
    let Err(Failed::Transaction(error @ TransactionError::TimedOut { .. })) = result else {
        panic!("{result:?}")
    };
    assert!(error.to_string().contains("pay") && error.to_string().contains("2s"), "{error}");
    assert_eq!(coordinator.calls(), ["begin pay 1", "rollback 1"]);
}

/// Java's server forgets a transaction once it has rolled it back at its time-out.
#[tokio::test(start_paused = true)]
async fn a_late_end_of_a_transaction_that_the_coordinator_has_forgotten_is_a_rollback() {
    for (succeeds, seconds, expected) in [
        (true, 3, "after_rollback"),
        (false, 3, "after_rollback"),
        // Before the time-out nobody can tell why it is gone.
        (false, 1, "rollback failed"),
    ] {
        let coordinator = Coordinator::new();
        coordinator.answer_rollbacks([Ok(GlobalStatus::Finished)]);
        let steps = Steps::default();
        let (client, _finisher) = Client::builder("test", coordinator.clone(), coordinator.clone())
            .failure_handler(steps.clone())
            .build();
        let options = named("pay", &client).timeout(Duration::from_secs(2)).hook(steps.clone());
        let result: Result<(), _> = run(options, |_| OnError::Rollback, async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if succeeds { Ok(()) } else { Err(Failed::Business("no stock")) }
        })
        .await;
        match result {
            Err(Failed::Transaction(TransactionError::TimedOut { .. })) if succeeds => {}
            Err(Failed::Business(_)) if !succeeds => {}
            result => panic!("{result:?}"),
        }
        assert_eq!(
            steps.seen(),
            ["before_begin pay", "after_begin", "before_rollback", expected, "after_completion true"]
        );
    }
}

#[tokio::test]
async fn bad_options_are_refused_before_anything_is_begun() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let long = "n".repeat(200);
    for (options, part) in [
        (named("", &client), "0 bytes"),
        (TransactionOptions::new(long).client(client.clone()), "200 bytes"),
        (named("zero", &client).timeout(Duration::ZERO), "0ns"),
        (named("long", &client).timeout(Duration::from_secs(1 << 33)), "24 days"),
    ] {
        let Err(error) = run(options, |_| OnError::Rollback, async { Ok::<_, TransactionError>(()) }).await
        else {
            panic!("accepted")
        };
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(coordinator.calls().is_empty());
}

#[tokio::test]
async fn without_a_client_the_error_says_how_to_name_one() {
    let result: Result<(), Failed> =
        run(TransactionOptions::new("pay"), |_| OnError::Rollback, async { Ok(()) }).await;
    let Err(Failed::Transaction(error @ TransactionError::NoClient(_))) = result else {
        panic!("{result:?}")
    };
    assert!(error.to_string().contains("install"));
}

#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<String>>>);

impl Steps {
    fn add(&self, step: impl Into<String>) {
        self.0.lock().unwrap().push(step.into());
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl TransactionHook for Steps {
    fn before_begin(&self, name: &str) {
        self.add(format!("before_begin {name}"));
    }
    fn after_begin(&self, _: &Xid) {
        self.add("after_begin");
    }
    fn before_commit(&self, _: &Xid) {
        self.add("before_commit");
    }
    fn after_commit(&self, _: &Xid) {
        self.add("after_commit");
    }
    fn before_rollback(&self, _: &Xid) {
        self.add("before_rollback");
    }
    fn after_rollback(&self, _: &Xid) {
        self.add("after_rollback");
    }
    fn after_completion(&self, xid: Option<&Xid>) {
        self.add(format!("after_completion {}", xid.is_some()));
    }
}

impl FailureHandler for Steps {
    fn handle(&self, failure: &Failure<'_>) -> Option<Watch> {
        self.add(match failure {
            Failure::Begin { name, .. } => format!("begin of {name} failed"),
            Failure::Commit { .. } => "commit failed".into(),
            Failure::Rollback { .. } => "rollback failed".into(),
            Failure::Rollbacking { status, .. } => format!("still {status}"),
            _ => "something new".into(),
        });
        None
    }
}

#[tokio::test]
async fn hooks_are_called_at_each_step_and_a_panic_in_one_changes_nothing() {
    struct Panics;
    impl TransactionHook for Panics {
        fn before_commit(&self, _: &Xid) {
            panic!("on purpose");
        }
    }
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let steps = Steps::default();
    let options = named("pay", &client).hook(Panics).hook(steps.clone());
    run(options, |_: &Failed| OnError::Rollback, async { Ok(()) }).await.unwrap();
    assert_eq!(
        steps.seen(),
        ["before_begin pay", "after_begin", "before_commit", "after_commit", "after_completion true"]
    );

    let failing = async { Err::<(), _>(Failed::Business("no")) };
    run(named("pay", &client).hook(steps.clone()), |_| OnError::Rollback, failing).await.unwrap_err();
    assert_eq!(
        steps.seen(),
        ["before_begin pay", "after_begin", "before_rollback", "after_rollback", "after_completion true"]
    );
}

#[tokio::test]
async fn a_joined_function_can_add_a_hook_and_a_new_transaction_does_not_fire_the_outer_ones() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let steps = Steps::default();
    let outer = async {
        run(named("joined", &client), |_: &Failed| OnError::Rollback, async {
            RootContext::register_hook(steps.clone()).unwrap();
            Ok(())
        })
        .await?;
        let inner = named("inner", &client).propagation(Propagation::RequiresNew);
        run(inner, |_: &Failed| OnError::Rollback, async { Ok(()) }).await?;
        assert_eq!(steps.seen(), [""; 0], "the inner transaction is not the outer one");
        Ok::<_, Failed>(())
    };
    run(named("outer", &client), |_| OnError::Rollback, outer).await.unwrap();
    assert_eq!(steps.seen(), ["before_commit", "after_commit", "after_completion true"]);
    assert!(RootContext::register_hook(steps).is_err());
}

#[tokio::test]
async fn the_failure_handler_is_told_of_each_bad_end() {
    let coordinator = Coordinator::new();
    let steps = Steps::default();
    let (client, finisher) = Client::builder("test", coordinator.clone(), coordinator.clone())
        .failure_handler(steps.clone())
        .rollback_attempts(1)
        .build();
    tokio::spawn(finisher.run());
    let fail = || async { Err::<(), _>(Failed::Business("no")) };

    coordinator.answer_commits([Ok(GlobalStatus::CommitFailed)]);
    run(named("a", &client), |_: &Failed| OnError::Rollback, async { Ok(()) }).await.unwrap_err();
    coordinator.answer_rollbacks([
        Ok(GlobalStatus::RollbackFailed),
        Err(unreachable()),
        Ok(GlobalStatus::RollbackRetrying),
    ]);
    for _ in 0..2 {
        run(named("b", &client), |_| OnError::Rollback, fail()).await.unwrap_err();
    }
    assert_eq!(steps.seen(), ["commit failed", "rollback failed", "rollback failed"]);
    coordinator.settled(7).await;
    coordinator.answer_rollbacks([Ok(GlobalStatus::RollbackRetrying)]);
    run(named("c", &client), |_| OnError::Rollback, fail()).await.unwrap_err();
    assert_eq!(steps.seen(), ["still RollbackRetrying"]);

    coordinator.refuse_begin(unreachable());
    run(named("d", &client), |_| OnError::Rollback, fail()).await.unwrap_err();
    assert_eq!(steps.seen(), ["begin of d failed"]);
}
