//! Transactions within transactions, in order and out of order.

use futures_util::StreamExt;
use sea_orm::{DbErr, EntityTrait, StreamTrait, TransactionTrait};
use seata_sea_orm::at_error;
use seata_sqlx::AtError;

use crate::{
    entities::cake,
    world::{World, rename},
};

fn is_over(error: &DbErr) -> bool {
    matches!(at_error(error), Some(AtError::AlreadyRolledBack { reason }) if reason.contains("begun in has ended"))
}

#[tokio::test]
async fn what_a_savepoint_took_back_is_neither_locked_nor_logged() {
    let world = World::new().await;
    let (open, ()) = world
        .begin(async {
            let tx = world.db.begin().await.unwrap();
            rename(&tx, 1).await.unwrap();
            let kept = tx.begin().await.unwrap();
            rename(&kept, 2).await.unwrap();
            let left = kept.begin().await.unwrap();
            rename(&left, 3).await.unwrap();
            left.rollback().await.unwrap();
            kept.commit().await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
    assert_eq!(world.locks().await, ["cake:1", "cake:2"]);
    open.rollback().await;
    world.settle().await;
}

/// What is done beside an open savepoint would be rolled back with it.
#[tokio::test]
async fn a_transaction_is_not_used_while_one_within_it_is_open() {
    let world = World::new().await;
    let (open, ()) = world
        .begin(async {
            let tx = world.db.begin().await.unwrap();
            let inner = tx.begin().await.unwrap();
            for error in [
                rename(&tx, 1).await.unwrap_err(),
                tx.begin().await.unwrap_err(),
                cake::Entity::find().all(&tx).await.unwrap_err(),
            ] {
                assert!(error.to_string().contains("begun within this one is open"), "{error}");
            }
            rename(&inner, 2).await.unwrap();
            inner.commit().await.unwrap();
            rename(&tx, 3).await.unwrap();
            let inner = tx.begin().await.unwrap();
            drop(inner);
            rename(&tx, 1).await.expect("one that was dropped is over");
            tx.commit().await.unwrap();
        })
        .await;
    assert_eq!(world.locks().await, ["cake:1", "cake:2", "cake:3"]);
    open.rollback().await;
    world.settle().await;
}

#[tokio::test]
async fn a_commit_while_one_within_is_open_rolls_back() {
    let world = World::new().await;
    let before = world.dump().await;
    let (open, ()) = world
        .begin(async {
            let tx = world.db.begin().await.unwrap();
            rename(&tx, 1).await.unwrap();
            let inner = tx.begin().await.unwrap();
            rename(&inner, 2).await.unwrap();
            let error = tx.commit().await.unwrap_err();
            assert!(error.to_string().contains("begun within this one is open"), "{error}");
            world.assert_clean("the file is free").await;
            assert!(is_over(&rename(&inner, 3).await.unwrap_err()));
            assert!(is_over(&inner.begin().await.unwrap_err()));
            assert!(is_over(&inner.commit().await.unwrap_err()));

            // A savepoint likewise, and the transaction goes on.
            let tx = world.db.begin().await.unwrap();
            let outer = tx.begin().await.unwrap();
            rename(&outer, 1).await.unwrap();
            let inner = outer.begin().await.unwrap();
            outer.commit().await.unwrap_err();
            inner.rollback().await.expect("it is rolled back");
            tx.commit().await.unwrap();
        })
        .await;
    assert_eq!(world.dump().await, before);
    assert_eq!(world.branches(&open.xid()).await, 0);
    open.rollback().await;
}

#[tokio::test]
async fn one_that_outlives_its_transaction_is_over_and_frees_the_file() {
    let world = World::with(1, |builder| builder).await;
    let before = world.dump().await;
    let (open, ()) = world
        .begin(async {
            for is_dropped in [true, false] {
                let tx = world.db.begin().await.unwrap();
                let inner = tx.begin().await.unwrap();
                rename(&inner, 2).await.unwrap();
                if is_dropped {
                    drop(tx);
                } else {
                    tx.rollback().await.unwrap();
                }
                world.assert_clean("nothing is held").await;
                assert!(is_over(&rename(&inner, 3).await.unwrap_err()));
                let next = world.db.begin().await.expect("the connection is given back");
                drop(inner);
                rename(&next, 1).await.expect("the drop of the old one does not touch the next");
                next.rollback().await.unwrap();
            }
        })
        .await;
    assert_eq!(world.dump().await, before);
    open.rollback().await;
}

#[tokio::test]
async fn a_statement_beside_an_open_stream_waits_and_is_then_refused() {
    let world = World::new().await;
    let (open, ()) = world
        .begin(async {
            let tx = world.db.begin().await.unwrap();
            let mut cakes = cake::Entity::find().stream(&tx).await.unwrap();
            cakes.next().await.unwrap().unwrap();
            tokio::time::pause();
            let error = rename(&tx, 1).await.unwrap_err();
            tokio::time::resume();
            assert!(error.to_string().contains("a stream that is still open"), "{error}");
            drop(cakes);
            rename(&tx, 1).await.expect("the connection is free again");

            let raw = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT nothing");
            let mut failing = StreamTrait::stream_raw(&tx, raw).await.unwrap();
            assert!(failing.next().await.unwrap().is_err());
            assert!(failing.next().await.is_none());
            drop(failing);
            tx.commit().await.unwrap();
        })
        .await;
    open.rollback().await;
    world.settle().await;
}
