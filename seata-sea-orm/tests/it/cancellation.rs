//! Every future is dropped at every await: what is left is decided, or undone in phase two.

use std::{future::poll_fn, pin::pin, task::Poll};

use sea_orm::{ActiveModelTrait, EntityTrait, ModelTrait, Set, TransactionTrait};
use seata_sea_orm::AtDatabase;

use crate::{
    entities::{cake, filling},
    world::{World, rename},
};

/// Polls at most so many times, then drops the future. `true` when it was done before.
async fn poll_times(times: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// Runs `work` again and again, dropped one poll later each time, and rolls back what is left of it.
async fn drop_at_every_await(name: &str, work: impl AsyncFn(&AtDatabase)) {
    let world = World::with(1, |builder| builder).await;
    let before = world.dump().await;
    let (mut times, mut most, mut rounds) = (0, 0, 0);
    while most < 5 {
        assert!(times < 2000, "{name} never ends");
        let when = format!("{name}, dropped after {times} polls");
        let (open, is_done) = world.begin(poll_times(times, work(&world.db))).await;
        world.assert_clean(&when).await;
        open.rollback().await;
        world.settle().await;
        assert_eq!(world.dump().await, before, "{when}");
        assert_eq!(world.undo_rows().await, 0, "{when}");
        times += 1;
        if is_done {
            // An await that is answered before it is polled is none, so a fast round is followed by another.
            most = most.max(times);
            rounds += 1;
            assert!(rounds < 20, "{name} has been dropped at only {most} places");
            times = 0;
        }
    }
}

#[tokio::test]
async fn an_entity_that_is_saved() {
    drop_at_every_await("save", async |db| {
        let new = cake::ActiveModel { name: Set("cherry".into()), pieces: Set(1), ..Default::default() };
        new.save(db).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_savepoints() {
    drop_at_every_await("transaction", async |db| {
        let tx = db.begin().await.unwrap();
        rename(&tx, 1).await.unwrap();
        let inner = tx.begin().await.unwrap();
        let sugar = filling::Entity::find_by_id((2, "sugar".to_owned())).one(&inner).await.unwrap();
        sugar.unwrap().delete(&inner).await.unwrap();
        inner.rollback().await.unwrap();
        let inner = tx.begin().await.unwrap();
        rename(&inner, 2).await.unwrap();
        inner.commit().await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_closure() {
    drop_at_every_await("closure", async |db| {
        let done = db.transaction(|tx| {
            Box::pin(async move {
                rename(tx, 1).await?;
                tx.transaction(|inner| Box::pin(rename(inner, 2))).await.unwrap();
                Ok::<_, sea_orm::DbErr>(())
            })
        });
        done.await.unwrap();
    })
    .await;
}

/// The transaction is kept while what runs on it is dropped, and goes on or says that it is over.
#[tokio::test]
async fn a_transaction_whose_future_was_dropped() {
    let mut over = 0;
    for times in 0..40 {
        let world = World::with(1, |builder| builder).await;
        let before = world.dump().await;
        let (open, is_over) = world
            .begin(async {
                let tx = world.db.begin().await.unwrap();
                poll_times(times, tx.begin()).await;
                poll_times(times, rename(&tx, 1)).await;
                let inner = tx.begin().await;
                let is_over = match inner {
                    Ok(inner) => {
                        poll_times(times, inner.commit()).await;
                        rename(&tx, 2).await.is_err()
                    }
                    Err(_) => true,
                };
                assert_eq!(tx.commit().await.is_err(), is_over, "after {times} polls");
                is_over
            })
            .await;
        over += usize::from(is_over);
        world.assert_clean("after").await;
        open.rollback().await;
        world.settle().await;
        assert_eq!(world.dump().await, before, "after {times} polls");
    }
    assert!(over > 0);
}
