//! Whatever is dropped, and wherever: the transaction is decided, and nothing panics.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use seata_context::{Client, OnError, TransactionError, run};

use crate::coordinator::{Coordinator, Failed, named};

async fn pay(client: &Client) -> Result<(), Failed> {
    run(named("pay", client), |_| OnError::Rollback, async {
        tokio::task::yield_now().await;
        Ok(())
    })
    .await
}

/// The clock stands unless everybody waits, so that no await is answered before it is polled.
#[tokio::test(start_paused = true)]
async fn at_every_await_the_transaction_is_decided_or_was_never_begun() {
    let mut polls = 0;
    loop {
        let coordinator = Coordinator::new();
        coordinator.delay(Duration::from_millis(2));
        let (client, finisher) = coordinator.client();
        let finisher = tokio::spawn(finisher.run());
        let completed = {
            let mut future = pin!(pay(&client));
            let mut completed = false;
            for _ in 0..polls {
                // Poll once, then let timers pass, so that each poll gets one await further.
                if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    completed = true;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            completed
        };
        client.close();
        finisher.await.expect("the finisher ends when nothing is open");
        match coordinator.calls().iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => assert_eq!(polls, 0),
            ["begin pay 1", "rollback 1"] => assert!(!completed),
            ["begin pay 1", "commit 1"] => {}
            ["begin pay 1", "commit 1", "commit 1"] => assert!(!completed, "driven to its end"),
            ref other => panic!("dropped after {polls} polls: {other:?}"),
        }
        if completed {
            assert!(polls >= 4, "there are awaits to drop at");
            return;
        }
        polls += 1;
    }
}

#[tokio::test]
async fn while_panicking_it_rolls_back() {
    let coordinator = Coordinator::new();
    let client = coordinator.running_client();
    let task = {
        let client = client.clone();
        tokio::spawn(async move {
            run(named("pay", &client), |_: &Failed| OnError::Rollback, async {
                if true {
                    panic!("on purpose");
                }
                Ok(())
            })
            .await
        })
    };
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(coordinator.settled(2).await, ["begin pay 1", "rollback 1"]);
}

#[test]
fn on_a_thread_without_a_runtime_it_rolls_back() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let coordinator = Coordinator::new();
    let (client, finisher) = coordinator.client();
    runtime.spawn(finisher.run());
    let mut future = Box::pin(async move {
        run(
            named("pay", &client),
            |_: &Failed| OnError::Rollback,
            std::future::pending::<Result<(), Failed>>(),
        )
        .await
    });
    runtime.block_on(async {
        let _ = tokio::time::timeout(Duration::from_millis(20), future.as_mut()).await;
    });
    std::thread::spawn(move || drop(future)).join().expect("the drop does not panic");
    assert_eq!(runtime.block_on(coordinator.settled(2)), ["begin pay 1", "rollback 1"]);
}

#[test]
fn during_runtime_shutdown_the_drop_is_harmless() {
    let coordinator = Coordinator::new();
    let (client, finisher) = coordinator.client();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.spawn(finisher.run());
    for _ in 0..10 {
        let client = client.clone();
        runtime.spawn(async move {
            run(
                named("pay", &client),
                |_: &Failed| OnError::Rollback,
                std::future::pending::<Result<(), Failed>>(),
            )
            .await
        });
    }
    runtime.block_on(coordinator.settled(10));
    runtime.shutdown_timeout(Duration::from_secs(5));
    let calls = coordinator.calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("begin")).count(), 10);
    assert!(!calls.iter().any(|call| call.starts_with("commit")), "{calls:?}");
    // Whatever the finisher did not get to is the coordinator's, by its time-out.
}

#[tokio::test]
async fn closing_waits_for_open_transactions_and_begins_no_more() {
    let coordinator = Coordinator::new();
    let (client, finisher) = coordinator.client();
    let finisher = tokio::spawn(finisher.run());
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let open = {
        let client = client.clone();
        tokio::spawn(async move {
            run(named("slow", &client), |_: &Failed| OnError::Rollback, async {
                released.await.ok();
                Ok(())
            })
            .await
        })
    };
    coordinator.settled(1).await;
    client.close();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(pay(&client).await, Err(Failed::Transaction(TransactionError::ShuttingDown)));
    assert!(!finisher.is_finished());
    release.send(()).unwrap();
    open.await.unwrap().unwrap();
    finisher.await.unwrap();
    assert_eq!(coordinator.calls(), ["begin slow 1", "commit 1"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_limit_cannot_be_open() {
    let coordinator = Coordinator::new();
    let (client, _finisher) =
        Client::builder("test", coordinator.clone(), coordinator.clone()).max_open_transactions(1).build();
    let second = run(named("outer", &client), |_: &Failed| OnError::Rollback, async {
        let inner = named("inner", &client).propagation(seata_context::Propagation::RequiresNew);
        Ok(run(inner, |_: &Failed| OnError::Rollback, async { Ok(()) }).await)
    });
    assert_eq!(second.await.unwrap(), Err(Failed::Transaction(TransactionError::TooManyOpen { open: 1 })));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_hangs_is_given_up_and_a_late_begin_is_rolled_back() {
    let coordinator = Coordinator::new();
    coordinator.delay(Duration::from_secs(40));
    let client = coordinator.running_client();
    let result = pay(&client).await;
    assert!(matches!(&result, Err(Failed::Transaction(TransactionError::Begin { .. }))), "{result:?}");
    coordinator.delay(Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(coordinator.calls(), ["begin pay 1", "rollback 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_never_gets_an_answer_does_not_keep_the_finisher() {
    let coordinator = Coordinator::new();
    coordinator.delay(Duration::from_secs(1 << 30));
    let (client, finisher) = coordinator.client();
    let finisher = tokio::spawn(finisher.run());
    let result = pay(&client).await;
    assert!(matches!(&result, Err(Failed::Transaction(TransactionError::Begin { .. }))), "{result:?}");
    client.close();
    let ended = tokio::time::timeout(Duration::from_secs(3600), finisher).await;
    ended.expect("it gives up in the end").unwrap();
}

#[tokio::test]
async fn closed_before_its_finisher_runs_a_client_begins_nothing_and_the_finisher_ends() {
    let coordinator = Coordinator::new();
    let (client, finisher) = coordinator.client();
    client.close();
    client.close();
    finisher.run().await;
    assert_eq!(pay(&client).await, Err(Failed::Transaction(TransactionError::ShuttingDown)));
    assert!(coordinator.calls().is_empty());
}
