//! Rows that another global transaction holds.

use std::time::Duration;

use futures_util::TryStreamExt;
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, QuerySelect, StreamTrait, TransactionError, TransactionTrait,
};
use seata_sea_orm::at_error;
use seata_sqlx::AtError;

use crate::{
    entities::cake,
    world::{World, outside, rename},
};

async fn impatient() -> World {
    World::with(5, |builder| builder.lock_retry(Duration::from_millis(1), 2)).await
}

fn holder_in(error: &DbErr) -> String {
    match at_error(error) {
        Some(AtError::LockConflict { row, holder, .. }) => {
            assert!(row.starts_with("cake:1 in "), "{row}");
            holder.clone()
        }
        other => panic!("{other:?} in {error}"),
    }
}

#[tokio::test]
async fn a_row_of_another_transaction_is_a_conflict_that_names_its_holder() {
    let world = impatient().await;
    let (first, renamed) = world.begin(rename(&world.db, 1)).await;
    assert_eq!(renamed, Ok(1));
    let changed = world.dump().await;

    let (second, error) = world.begin(rename(&world.db, 1)).await;
    assert_eq!(holder_in(&error.unwrap_err()), first.xid().to_string());

    let in_transaction = second.inside(world.db.transaction(|tx| {
        Box::pin(async move {
            rename(tx, 2).await?;
            rename(tx, 1).await
        })
    }));
    match in_transaction.await {
        Err(TransactionError::Connection(error)) => {
            assert_eq!(holder_in(&error), first.xid().to_string());
        }
        other => panic!("the commit must fail: {other:?}"),
    }
    assert_eq!(world.dump().await, changed, "all of it is rolled back");
    second.rollback().await;
    first.rollback().await;
    world.settle().await;
}

/// SQLite has no FOR UPDATE, and SeaORM writes none. The lock is looked at all the same.
#[tokio::test]
async fn a_locking_read_sees_no_undecided_row() {
    async fn streamed(db: &(impl ConnectionTrait + StreamTrait)) -> DbErr {
        let stream = cake::Entity::find_by_id(1).lock_exclusive().stream(db).await.unwrap();
        stream.try_collect::<Vec<_>>().await.unwrap_err()
    }

    let world = impatient().await;
    let (first, _) = world.begin(rename(&world.db, 1)).await;
    let apple = || cake::Entity::find_by_id(1).lock_exclusive();
    let reads = async {
        [
            apple().one(&world.db).await.unwrap_err(),
            apple().all(&world.db).await.unwrap_err(),
            streamed(&world.db).await,
        ]
    };
    let (second, errors) = world.begin(reads).await;
    for error in errors {
        assert_eq!(holder_in(&error), first.xid().to_string());
    }
    let more = second.inside(async {
        let unlocked = cake::Entity::find_by_id(1).one(&world.db).await.unwrap().unwrap();
        assert_eq!(unlocked.note.as_deref(), Some("renamed"), "what is not locked sees it");
        let free = cake::Entity::find_by_id(2).lock_exclusive().one(&world.db).await.unwrap();
        assert_eq!(free.unwrap().name, "plum", "what nobody holds is read");

        // A transaction holds the file, and does not wait.
        let tx = world.db.begin().await.unwrap();
        holder_in(&apple().one(&tx).await.unwrap_err());
        let error = rename(&tx, 3).await.unwrap_err();
        assert!(matches!(at_error(&error), Some(AtError::AlreadyRolledBack { .. })), "{error}");
        drop(tx);
        let tx = world.db.begin().await.unwrap();
        holder_in(&apple().all(&tx).await.unwrap_err());
        drop(tx);
        let tx = world.db.begin().await.unwrap();
        holder_in(&streamed(&tx).await);
    });
    more.await;
    first.rollback().await;
    let note = second.inside(async { apple().one(&world.db).await.unwrap().unwrap().note });
    assert_eq!(note.await, None, "it is as it was before the other");
    second.rollback().await;
    outside(async {
        assert!(apple().one(&world.db).await.unwrap().is_some(), "outside it is a plain read");
    })
    .await;
    world.settle().await;
}

#[tokio::test]
async fn a_global_lock_outside_waits_and_gives_up_too() {
    use seata::{LockRetry, run_with_global_lock};
    let world = impatient().await;
    let (first, _) = world.begin(rename(&world.db, 1)).await;
    let write = outside(run_with_global_lock(LockRetry::default(), rename(&world.db, 1)));
    assert_eq!(holder_in(&write.await.unwrap_err()), first.xid().to_string());
    let read = cake::Entity::find_by_id(1).lock_shared().one(&world.db);
    let read = outside(run_with_global_lock(LockRetry::default(), read));
    assert_eq!(holder_in(&read.await.unwrap_err()), first.xid().to_string());
    first.commit().await;
    world.settle().await;
    let write = outside(run_with_global_lock(LockRetry::default(), rename(&world.db, 1)));
    assert_eq!(write.await, Ok(1));
}
