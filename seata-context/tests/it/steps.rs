//! Begin, commit and rollback by hand, in whatever order a user may call them.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use seata_context::{
    Client, CoordinationError, GlobalTransaction, Presence, RootContext, Snapshot, TransactionError,
    TransactionHook,
};
use seata_protocol::{GlobalStatus, Xid};

use crate::coordinator::{Coordinator, named, unreachable};

fn tx(id: u32) -> Xid {
    format!("tc:0:{id}").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_sent_is_asked_for_again_and_never_taken_back() {
    let coordinator = Coordinator::new();
    coordinator.answer_commits((0..5).map(|_| Err(unreachable())));
    let client = coordinator.running_client();
    let options = named("pay", &client).timeout(Duration::from_secs(2));
    client
        .scope(async {
            let mut transaction = GlobalTransaction::begin(options).await.unwrap();
            let unanswered = transaction.commit().await;
            assert!(matches!(unanswered, Err(TransactionError::CommitUnanswered { .. })), "{unanswered:?}");
            assert_eq!(transaction.rollback().await, Err(TransactionError::CommitSent { xid: tx(1) }));
            // The time-out is no reason either: the coordinator may have decided in time.
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(transaction.commit().await, Ok(GlobalStatus::Committed));
        })
        .await;
    assert_eq!(coordinator.calls()[1..], ["commit 1"; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_dropped_half_way_cannot_be_followed_by_a_rollback() {
    let coordinator = Coordinator::new();
    let (client, finisher) = coordinator.client();
    let finisher = tokio::spawn(finisher.run());
    client
        .scope(async {
            let mut transaction = GlobalTransaction::begin(named("pay", &client)).await.unwrap();
            coordinator.delay(Duration::from_secs(1));
            tokio::time::timeout(Duration::from_millis(1), transaction.commit()).await.unwrap_err();
            assert_eq!(transaction.rollback().await, Err(TransactionError::CommitSent { xid: tx(1) }));
        })
        .await;
    client.close();
    finisher.await.unwrap();
    assert_eq!(coordinator.calls(), ["begin pay 1", "commit 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_the_coordinator_does_not_know_is_asked_for_once() {
    let unknown = || [Err(CoordinationError::UnknownTransaction { xid: tx(1) })];
    let coordinator = Coordinator::new();
    coordinator.answer_commits(unknown());
    let (client, finisher) = coordinator.client();
    let finisher = tokio::spawn(finisher.run());
    client
        .scope(async {
            let mut transaction = GlobalTransaction::begin(named("pay", &client)).await.unwrap();
            assert_eq!(transaction.commit().await, Err(TransactionError::Unknown { xid: tx(1) }));
            assert_eq!(RootContext::presence(), Presence::Idle);
            let again = transaction.commit().await;
            assert!(matches!(again, Err(TransactionError::AlreadyEnded { .. })), "{again:?}");
            coordinator.answer_rollbacks(unknown());
            drop(GlobalTransaction::begin(named("dropped", &client)).await.unwrap());
        })
        .await;
    client.close();
    finisher.await.unwrap();
    assert_eq!(coordinator.calls(), ["begin pay 1", "commit 1", "begin dropped 2", "rollback 2"]);
}

#[tokio::test]
async fn a_suspended_scope_is_suspended_again_when_its_own_transaction_has_ended() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let suspended = Snapshot::empty().with_xid(tx(9)).suspended().scope(async {
        let mut transaction = GlobalTransaction::begin(named("pay", &client)).await.unwrap();
        assert_eq!(RootContext::presence(), Presence::Bound(tx(1)));
        transaction.commit().await.unwrap();
        RootContext::presence()
    });
    assert_eq!(suspended.await, Presence::Suspended);
}

#[tokio::test]
async fn more_open_transactions_may_be_allowed_than_there_can_be() {
    let coordinator = Coordinator::new();
    let builder = Client::builder("test", coordinator.clone(), coordinator.clone());
    let (client, _finisher) = builder.max_open_transactions(usize::MAX).build();
    assert_eq!(client.open_transactions(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_rolled_back_counts_as_open() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let begin = client.scope(GlobalTransaction::begin(named("pay", &client)));
    let transaction = begin.await.unwrap();
    assert_eq!(client.open_transactions(), 1);
    coordinator.delay(Duration::from_secs(1));
    drop(transaction);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.open_transactions(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.open_transactions(), 0);
}

#[test]
fn a_hook_may_look_at_the_context_when_it_is_dropped() {
    struct Looks(mpsc::Sender<Presence>);
    impl TransactionHook for Looks {}
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.send(RootContext::presence()).unwrap();
        }
    }
    let (sender, seen) = mpsc::channel();
    std::thread::spawn(move || {
        Snapshot::empty().with_xid(tx(1)).into_scope().enter(|| {
            RootContext::register_hook(Looks(sender)).unwrap();
            RootContext::bind(tx(2)).unwrap();
        });
    });
    let begun = Instant::now();
    assert_eq!(
        seen.recv_timeout(Duration::from_secs(10)),
        Ok(Presence::Bound(tx(2))),
        "{:?}",
        begun.elapsed()
    );
}
