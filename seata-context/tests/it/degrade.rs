//! A coordinator that does not work is found out by probes, and done without until it works again.

use std::{sync::Arc, time::Duration};

use seata_context::{
    Client, CoordinationError, Degradation, DegradeCheck, GlobalTransaction, LockRetry, OnError, Propagation,
    RootContext, TransactionError, run, run_with_global_lock,
};
use seata_protocol::{GlobalStatus, Xid};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::coordinator::{Coordinator, Failed, named, unreachable};

const PERIOD: Duration = Duration::from_secs(2);
const CHECK: DegradeCheck = DegradeCheck { period: PERIOD, allowed_times: 3 };

fn probed(coordinator: &Arc<Coordinator>, check: DegradeCheck) -> (Client, JoinHandle<()>) {
    let (client, finisher) = Client::builder("test", coordinator.clone(), coordinator.clone())
        .retry_interval(Duration::from_millis(1))
        .degrade_check(check)
        .build();
    (client, tokio::spawn(finisher.run()))
}

/// A client that is degraded because its coordinator begins nothing.
async fn degraded(coordinator: &Arc<Coordinator>) -> Client {
    coordinator.refuse_begin(unreachable());
    let (client, _) = probed(coordinator, CHECK);
    assert!(changed(&mut client.degrade_events()).await.is_degraded());
    client
}

/// The state after the next change.
async fn changed(events: &mut watch::Receiver<Degradation>) -> Degradation {
    timeout(Duration::from_secs(3600), events.changed()).await.expect("in time").expect("somebody probes");
    events.borrow_and_update().clone()
}

/// What a body finds that is annotated so.
async fn runs_in(client: &Client, propagation: Propagation) -> Result<Option<Xid>, Failed> {
    let options = named("pay", client).propagation(propagation);
    run(options, |_| OnError::Rollback, async { Ok(RootContext::xid()) }).await
}

fn without_probes(coordinator: &Coordinator) -> Vec<String> {
    coordinator.calls().into_iter().filter(|call| !call.contains("degradeCheck")).collect()
}

#[tokio::test(start_paused = true)]
async fn off_after_so_many_failures_in_a_row_and_on_after_as_many_successes() {
    let coordinator = Coordinator::new();
    coordinator.refuse_begin(unreachable());
    let (client, _finisher) = probed(&coordinator, CHECK);
    let mut events = client.degrade_events();
    let started = Instant::now();

    let state = changed(&mut events).await;
    assert_eq!(state, Degradation::Degraded { failures: 3, cause: unreachable() });
    assert_eq!(started.elapsed().as_secs(), 6, "the third probe failed");
    assert!(client.degraded());
    assert_eq!(runs_in(&client, Propagation::Required).await, Ok(None));

    coordinator.accept_begin();
    let accepted = Instant::now();
    assert_eq!(changed(&mut events).await, Degradation::Normal);
    assert_eq!(accepted.elapsed().as_secs(), 6, "the third probe succeeded");
    assert!(!client.degraded());
    assert!(matches!(runs_in(&client, Propagation::Required).await, Ok(Some(_))));
}

#[tokio::test(start_paused = true)]
async fn one_probe_between_starts_the_count_anew_in_both_directions() {
    let coordinator = Coordinator::new();
    let (client, _finisher) = probed(&coordinator, CHECK);
    // Each look is half-way between two probes.
    sleep(PERIOD / 2).await;
    for (works, degraded_after) in [
        (false, false),
        (false, false),
        (true, false),
        (false, false),
        (false, false),
        (false, true),
        (true, true),
        (true, true),
        (false, true),
        (true, true),
        (true, true),
        (true, false),
    ] {
        match works {
            true => coordinator.accept_begin(),
            false => coordinator.refuse_begin(unreachable()),
        }
        sleep(PERIOD).await;
        assert_eq!(client.degraded(), degraded_after, "{:?}", coordinator.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_or_does_not_commit_and_an_answer_that_is_late_are_failures() {
    let coordinator = Coordinator::new();
    coordinator.answer_commits([
        Err(unreachable()),
        Ok(GlobalStatus::Finished),
        Ok(GlobalStatus::TimeoutRollbacked),
    ]);
    let (client, _finisher) = probed(&coordinator, CHECK);
    let Degradation::Degraded { cause, .. } = changed(&mut client.degrade_events()).await else {
        panic!("it was degraded")
    };
    assert!(matches!(cause, CoordinationError::NotActive { status: GlobalStatus::TimeoutRollbacked, .. }));

    let coordinator = Coordinator::new();
    coordinator.delay(Duration::from_secs(1000));
    let (client, _finisher) = probed(&coordinator, CHECK);
    let started = Instant::now();
    let state = changed(&mut client.degrade_events()).await;
    assert_eq!(started.elapsed().as_secs(), 8, "three probes of 2 s, after the first 2 s");
    assert!(matches!(state, Degradation::Degraded { cause: CoordinationError::Unreachable { .. }, .. }));
}

#[tokio::test(start_paused = true)]
async fn while_degraded_bodies_run_and_their_errors_pass() {
    let coordinator = Coordinator::new();
    let client = degraded(&coordinator).await;
    for propagation in [Propagation::Required, Propagation::RequiresNew, Propagation::Mandatory] {
        assert_eq!(runs_in(&client, propagation).await, Ok(None), "{propagation:?}");
    }
    let refused: Result<(), _> =
        run(named("pay", &client), |_| OnError::Rollback, async { Err(Failed::Business("no stock")) }).await;
    assert_eq!(refused, Err(Failed::Business("no stock")));
    let lock = client
        .scope(run_with_global_lock(LockRetry::default(), async { RootContext::global_lock().is_some() }));
    assert!(!lock.await, "nobody could be asked");
    assert_eq!(without_probes(&coordinator), [""; 0]);

    // By hand one says what one wants.
    let begun = client.scope(GlobalTransaction::begin(named("pay", &client))).await;
    assert!(matches!(begun, Err(TransactionError::Begin { .. })), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn while_degraded_a_callers_transaction_is_joined_and_left_alone_by_a_new_one() {
    let coordinator = Coordinator::new();
    let client = degraded(&coordinator).await;
    let xid: Xid = "tc:0:77".parse().unwrap();
    for (propagation, expected) in [
        (Propagation::Required, Some(&xid)),
        (Propagation::Supports, Some(&xid)),
        (Propagation::Mandatory, Some(&xid)),
        (Propagation::RequiresNew, None),
        (Propagation::NotSupported, None),
    ] {
        let outer = RootContext::capture().with_xid(xid.clone());
        let found = outer.scope(runs_in(&client, propagation)).await;
        assert_eq!(found.unwrap().as_ref(), expected, "{propagation:?}");
    }
    let outer = RootContext::capture().with_xid(xid.clone()).with_client(client);
    let locked = outer
        .scope(run_with_global_lock(LockRetry::default(), async { RootContext::global_lock().is_some() }));
    assert!(locked.await, "in a transaction the settings count as ever");
    assert_eq!(without_probes(&coordinator), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_check_nobody_probes_and_a_begin_that_fails_is_an_error() {
    let coordinator = Coordinator::new();
    coordinator.refuse_begin(unreachable());
    let client = coordinator.running_client();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(coordinator.calls(), [""; 0]);
    assert!(!client.degraded());
    assert!(client.degrade_events().changed().await.is_err(), "nobody will ever tell");
    assert!(matches!(
        runs_in(&client, Propagation::Required).await,
        Err(Failed::Transaction(TransactionError::Begin { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn with_the_finisher_the_probes_end_and_a_closed_client_says_so() {
    let coordinator = Coordinator::new();
    let client = degraded(&coordinator).await;
    client.close();
    let mut events = client.degrade_events();
    assert!(timeout(PERIOD, events.changed()).await.expect("it ends").is_err(), "nobody probes any more");
    let probes = coordinator.calls().len();
    sleep(PERIOD * 10).await;
    assert_eq!(coordinator.calls().len(), probes);
    assert!(!client.degraded());
    assert_eq!(
        runs_in(&client, Propagation::Required).await,
        Err(Failed::Transaction(TransactionError::ShuttingDown))
    );

    let coordinator = Coordinator::new();
    coordinator.delay(Duration::from_secs(1000));
    let (client, finisher) = probed(&coordinator, CHECK);
    sleep(PERIOD + PERIOD / 2).await;
    client.close();
    timeout(PERIOD, finisher).await.expect("a probe that hangs does not keep it").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_check_that_makes_no_sense_is_taken_into_range() {
    let coordinator = Coordinator::new();
    coordinator.refuse_begin(unreachable());
    let (client, _finisher) = probed(&coordinator, DegradeCheck { period: Duration::ZERO, allowed_times: 0 });
    sleep(Duration::from_millis(350)).await;
    assert_eq!(coordinator.calls().len(), 3, "one each 100 ms");
    assert!(client.degraded(), "after the first");
}
