//! Many at once on one file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use seata_context::BranchAnswer;
use seata_sqlx::{AtError, AtPool};
use sqlx::{Sqlite, SqlitePool, sqlite::SqliteConnectOptions};

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
    WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 6) INSERT INTO account SELECT x, 100 FROM c;
    CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER REFERENCES account, money INTEGER)";

/// Two statements of their own, or one local transaction; or dropped on the way.
async fn transfer(pool: &AtPool<Sqlite>, number: usize, from: i64, to: i64) -> sqlx::Result<()> {
    let take = sqlx::query("UPDATE account SET money = money - 1 WHERE id = ?").bind(from);
    let give = sqlx::query("UPDATE account SET money = money + 1 WHERE id = ?").bind(to);
    let write = sqlx::query("INSERT INTO entry (account, money) VALUES (?, -1), (?, 1)").bind(from).bind(to);
    if number.is_multiple_of(2) {
        take.execute(pool).await?;
        give.execute(pool).await?;
        write.execute(pool).await?;
    } else {
        let mut tx = pool.begin().await?;
        take.execute(&mut tx).await?;
        give.execute(&mut tx).await?;
        write.execute(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn money_is_kept(journal_mode: &'static str) {
    let world = Arc::new(World::new(SCHEMA).await);
    let options = SqliteConnectOptions::new()
        .filename(world.path())
        .pragma("journal_mode", journal_mode)
        .busy_timeout(Duration::from_secs(20));
    // The raw pool would keep the file in its own mode.
    world.pool.close().await;
    world.raw.close().await;
    let raw = SqlitePool::connect_with(options).await.unwrap();
    let pool = AtPool::new(raw.clone(), world.client.clone()).await.unwrap();
    let committed = Arc::new(AtomicUsize::new(0));
    let transfers = (0..80_usize).map(|number| {
        let (world, pool, committed) = (world.clone(), pool.clone(), committed.clone());
        tokio::spawn(async move {
            let (from, to) = (number as i64 % 6 + 1, number as i64 * 5 % 6 + 1);
            let xid = world.coordinator.begin();
            let work = inside(&xid, transfer(&pool, number, from, to));
            let patience = Duration::from_millis(if number.is_multiple_of(5) { 5 } else { 10_000 });
            let is_done = match tokio::time::timeout(patience, work).await {
                Ok(Ok(())) => number % 3 > 0,
                Err(_dropped) => false,
                Ok(Err(error)) => {
                    let conflict = matches!(AtError::from_sqlx(&error), Some(AtError::LockConflict { .. }));
                    assert!(conflict, "transfer {number}: {error}");
                    false
                }
            };
            let answers = if is_done {
                committed.fetch_add(1, Ordering::Relaxed);
                world.coordinator.commit(&xid).await
            } else {
                world.coordinator.rollback(&xid).await
            };
            let well = [BranchAnswer::committed(), BranchAnswer::rollbacked()];
            assert!(answers.iter().all(|answer| well.contains(answer)), "transfer {number}: {answers:?}");
        })
    });
    for done in futures_util::future::join_all(transfers).await {
        done.unwrap();
    }
    let sum: i64 = sqlx::query_scalar("SELECT sum(money) FROM account").fetch_one(&raw).await.unwrap();
    assert_eq!(sum, 600);
    let entries: i64 = sqlx::query_scalar("SELECT count(*) FROM entry").fetch_one(&raw).await.unwrap();
    assert_eq!(entries as usize, 2 * committed.load(Ordering::Relaxed));
    assert!(committed.load(Ordering::Relaxed) > 0);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM undo_log WHERE log_status = 0")
        .fetch_one(&raw)
        .await
        .unwrap();
    assert_eq!((left, world.coordinator.locks().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_is_kept_with_a_write_ahead_log() {
    money_is_kept("WAL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_is_kept_with_a_rollback_journal() {
    money_is_kept("DELETE").await;
}
