//! Calls that nobody waits for any more.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::future::BoxFuture;
use rand::Rng as _;
use seata_client::RemoteCoordinator;
use seata_context::{
    BeginRequest, BranchRegistration, CoordinationError, ResourceManager as _, TransactionManager as _,
};
use seata_protocol::{BranchId, BranchStatus, BranchType, Xid};
use tokio::task::JoinSet;

use super::{
    RESOURCES, World,
    caller::row,
    in_two_runtimes,
    proxy::Weather,
    seed::{for_each_seed, numbers},
    server::{application_data, name, transaction_number},
};

const CALLS: i64 = 10_000;

const AT_ONCE: i64 = 50;

#[test]
fn ten_thousand_calls_that_are_dropped_after_some_polls_leave_nothing_behind() {
    for_each_seed(1, |seed| {
        in_two_runtimes(async |rest| {
            let mut world = World::of(1, Weather::Fair, seed, &rest).await;
            world.register_resources().await;
            let xid = Arc::new(begin(&world.client, transaction_number(0, 0)).await.unwrap());
            let mut callers = JoinSet::new();
            for caller in 0..AT_ONCE {
                let (client, xid) = (world.client.clone(), xid.clone());
                let mut numbers = numbers(seed, caller as u64);
                callers.spawn(async move {
                    let mut answered = 0;
                    for count in 0..CALLS / AT_ONCE {
                        let number = transaction_number(caller, count);
                        let call = call(&client, &xid, numbers.random_range(0..6), number);
                        let polls = if numbers.random_bool(0.9) { numbers.random_range(0..20) } else { 300 };
                        answered += i64::from(Polled { call, polls }.await);
                    }
                    answered
                });
            }
            let answered: i64 = callers.join_all().await.into_iter().sum();
            assert!(answered < CALLS, "none was dropped");

            // Whatever was sent before has arrived when these are answered.
            let rows = [row(RESOURCES[0], xid.transaction_id().0 + 1)];
            let _ = (world.client.status(&xid).await, world.client.query_locks(Some(&xid), &rows).await);
            world.every_place_is_free(&[(*xid).clone()]).await;
            world.shuts_down().await;
        });
    });
}

async fn begin(client: &RemoteCoordinator, number: i64) -> Result<Xid, CoordinationError> {
    let request = BeginRequest { name: name(number), timeout: Duration::from_secs(60) };
    client.begin(request).await
}

/// One of the calls that there are. Its answer is its own, if one comes.
fn call<'a>(client: &'a RemoteCoordinator, xid: &'a Xid, which: u32, number: i64) -> BoxFuture<'a, ()> {
    let branch = xid.transaction_id().0 + number % 10;
    Box::pin(async move {
        match which {
            0 => assert_eq!(begin(client, number).await.unwrap().transaction_id().0, number),
            1 => {
                let registration = BranchRegistration {
                    xid: xid.clone(),
                    branch_type: BranchType::At,
                    resource: RESOURCES[0].into(),
                    locks: vec![row(RESOURCES[0], branch)],
                    application_data: application_data(branch),
                };
                if let Ok(registered) = client.register_branch(registration).await {
                    assert_eq!(registered, BranchId(branch));
                }
            }
            2 => drop(client.report_branch(xid, BranchId(branch), BranchStatus::PhaseOneDone).await),
            3 => drop(client.query_locks(Some(xid), &[row(RESOURCES[0], branch)]).await),
            4 => drop(client.status(xid).await),
            _ => drop(client.rollback(xid).await),
        }
    })
}

/// Polls a call so often and no more. Whether it ended.
struct Polled<'a> {
    call: BoxFuture<'a, ()>,
    polls: u32,
}

impl Future for Polled<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.polls == 0 {
            return Poll::Ready(false);
        }
        self.polls -= 1;
        context.waker().wake_by_ref();
        self.call.as_mut().poll(context).map(|()| true)
    }
}
