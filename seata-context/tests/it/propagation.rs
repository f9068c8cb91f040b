use seata_context::{
    Client, GlobalTransaction, LockRetry, LockStrategy, OnError, Presence, Propagation, RootContext,
    TransactionError, run,
};
use seata_protocol::Xid;

use crate::coordinator::{Coordinator, Failed, named};

/// What the body saw, or why it did not run, and what the coordinator was asked.
async fn call(propagation: Propagation, inside: bool) -> (Result<Presence, Failed>, Vec<String>) {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let inner =
        run(named("inner", &client).propagation(propagation), |_: &Failed| OnError::Rollback, async {
            Ok(RootContext::presence())
        });
    let seen = if inside {
        let outer = async {
            let seen = inner.await;
            assert_eq!(RootContext::xid(), Some(tx(1)), "the caller's own is back");
            Ok::<_, Failed>(seen)
        };
        run(named("outer", &client), |_| OnError::Rollback, outer).await.unwrap()
    } else {
        inner.await
    };
    (seen, coordinator.calls())
}

fn tx(id: u32) -> Xid {
    format!("tc:0:{id}").parse().unwrap()
}

#[tokio::test]
async fn the_table() {
    use Propagation::*;
    let own = ["begin inner 1", "commit 1"];
    let outer = ["begin outer 1", "commit 1"];
    let both = ["begin outer 1", "begin inner 2", "commit 2", "commit 1"];
    let none: [&str; 0] = [];
    let name = || "inner".to_owned();
    let never = Failed::Transaction(TransactionError::Never { name: name(), xid: tx(1) });
    let mandatory = Failed::Transaction(TransactionError::Mandatory { name: name() });
    type Row<'a> = (Propagation, bool, Result<Presence, Failed>, &'a [&'a str]);
    let table: Vec<Row<'_>> = vec![
        (Required, false, Ok(Presence::Bound(tx(1))), &own),
        (Required, true, Ok(Presence::Bound(tx(1))), &outer),
        (RequiresNew, false, Ok(Presence::Bound(tx(1))), &own),
        (RequiresNew, true, Ok(Presence::Bound(tx(2))), &both),
        (NotSupported, false, Ok(Presence::Idle), &none),
        (NotSupported, true, Ok(Presence::Suspended), &outer),
        (Supports, false, Ok(Presence::Idle), &none),
        (Supports, true, Ok(Presence::Bound(tx(1))), &outer),
        (Never, false, Ok(Presence::Idle), &none),
        (Never, true, Err(never), &outer),
        (Mandatory, false, Err(mandatory), &none),
        (Mandatory, true, Ok(Presence::Bound(tx(1))), &outer),
    ];
    for (propagation, inside, expected, calls) in table {
        let (seen, asked) = call(propagation, inside).await;
        assert_eq!(seen, expected, "{propagation:?}, inside: {inside}");
        assert_eq!(asked, calls, "{propagation:?}, inside: {inside}");
    }
}

#[tokio::test]
async fn a_participant_does_not_end_the_transaction() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let inner = run(named("inner", &client), |_| OnError::Rollback, async {
        let mut transaction = GlobalTransaction::current()?.expect("in the outer one");
        assert_eq!(transaction.commit().await, Err(TransactionError::NotLauncher { xid: tx(1) }));
        Err::<(), _>(Failed::Business("swallowed by the caller"))
    });
    let outer = run(named("outer", &client), |_| OnError::Rollback, async {
        inner.await.unwrap_err();
        Ok::<_, Failed>(())
    });
    outer.await.unwrap();
    assert_eq!(coordinator.calls(), ["begin outer 1", "commit 1"]);
}

#[tokio::test]
async fn arms_of_a_join_each_have_their_own_transaction() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let barrier = tokio::sync::Barrier::new(2);
    let arm = |name| {
        let barrier = &barrier;
        run(named(name, &client), |_: &Failed| OnError::Rollback, async move {
            barrier.wait().await;
            Ok(RootContext::xid().unwrap())
        })
    };
    let (left, right) = tokio::join!(arm("left"), arm("right"));
    assert_ne!(left.unwrap(), right.unwrap());
}

#[tokio::test]
async fn two_begins_in_one_scope_are_refused_and_the_first_goes_on() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    client
        .scope(async {
            let mut first = GlobalTransaction::begin(named("first", &client)).await.unwrap();
            let second = GlobalTransaction::begin(named("second", &client)).await;
            assert_eq!(second.err(), Some(TransactionError::AlreadyBound { xid: tx(1) }));
            first.commit().await.unwrap();
            assert_eq!(RootContext::presence(), Presence::Idle);
            let again = first.commit().await;
            assert!(matches!(again, Err(TransactionError::AlreadyEnded { .. })), "{again:?}");
        })
        .await;
    assert_eq!(coordinator.calls(), ["begin first 1", "commit 1"]);
    let outside = GlobalTransaction::begin(named("third", &client)).await;
    assert!(matches!(outside.err(), Some(TransactionError::NoScope(_))));
}

#[tokio::test]
async fn a_joined_function_keeps_the_lock_settings_that_it_does_not_name() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let ours = LockRetry { interval: None, times: Some(3) };
    let seen = || (RootContext::lock_strategy(), RootContext::lock_retry().times);
    let plain = run(named("plain", &client), |_: &Failed| OnError::Rollback, async { Ok(seen()) });
    let own = named("own", &client)
        .lock_strategy(LockStrategy::Pessimistic)
        .lock_retry(LockRetry { interval: None, times: Some(0) });
    let own = run(own, |_: &Failed| OnError::Rollback, async { Ok(seen()) });
    let outer = named("outer", &client).lock_strategy(LockStrategy::Optimistic).lock_retry(ours);
    let outer = run(outer, |_: &Failed| OnError::Rollback, async { Ok((plain.await?, own.await?, seen())) });
    let optimistic = (LockStrategy::Optimistic, Some(3));
    assert_eq!(outer.await, Ok((optimistic, (LockStrategy::Pessimistic, Some(0)), optimistic)));
}

#[tokio::test]
async fn the_client_that_a_function_names_is_its_bodys_with_and_without_a_transaction() {
    use Propagation::*;
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let other = Client::builder("other", coordinator.clone(), coordinator.clone()).build().0;
    for propagation in [Required, RequiresNew, NotSupported, Supports, Never] {
        let options = named("named", &client).propagation(propagation);
        let body = async { Ok(Client::current().unwrap().application_id().to_owned()) };
        let seen = other.scope(run(options, |_: &Failed| OnError::Rollback, body)).await;
        assert_eq!(seen.unwrap(), "test", "{propagation:?}");
    }
}

#[tokio::test]
async fn a_transaction_begun_by_hand_brings_its_client_into_the_scope() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    RootContext::scope(async {
        let mut transaction = GlobalTransaction::begin(named("by hand", &client)).await.unwrap();
        let seen = GlobalTransaction::current().unwrap().expect("it is bound");
        assert_eq!(seen.xid(), transaction.xid());
        assert_eq!(seen.status().await, Ok(seata_protocol::GlobalStatus::Begin));
        transaction.rollback().await.unwrap();
    })
    .await;
}
