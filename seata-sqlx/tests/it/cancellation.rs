//! Every future is dropped at every await: what is left is decided, or undone in phase two.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use seata_context::BranchAnswer;
use seata_protocol::Xid;
use sqlx::{Executor, Sqlite};

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, code TEXT UNIQUE);
    INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b')";

/// Polls at most so many times, then drops the future. `true` when it was done before.
async fn poll_times(times: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs `work` again and again, dropped one poll later each time, and rolls back what is left of it.
async fn drop_at_every_await<W>(name: &str, connections: u32, mut work: impl FnMut(&'static World, Xid) -> W)
where
    W: Future,
{
    let world: &'static World =
        Box::leak(Box::new(World::with(SCHEMA, connections, |builder| builder).await));
    let before = world.dump().await;
    let (mut times, mut most, mut rounds) = (0, 0, 0);
    loop {
        assert!(times < 2000, "{name} never ends");
        let xid = world.coordinator.begin();
        let done = poll_times(times, inside(&xid, work(world, xid.clone()))).await;
        let when = format!("{name}, dropped after {times} polls");
        world.assert_clean(&when).await;
        for answer in world.coordinator.rollback(&xid).await {
            assert_eq!(answer, BranchAnswer::rollbacked(), "{when}");
        }
        assert_eq!(world.dump().await, before, "{when}");
        assert_eq!(world.undo_rows().await, 0, "{when}");
        assert!(world.coordinator.locks().is_empty(), "{when}");
        // Every connection of the pool serves, and none is inside a transaction.
        let all = (0..connections).map(|_| (&world.pool).execute("UPDATE t SET n = n"));
        for served in futures_util::future::join_all(all).await {
            assert_eq!(served.unwrap_or_else(|error| panic!("{when}: {error}")).rows_affected(), 2);
        }
        if !done {
            times += 1;
            continue;
        }
        // An await that is answered before it is polled is none, so a fast round is followed by another.
        most = most.max(times);
        if most > 4 {
            return;
        }
        rounds += 1;
        assert!(rounds < 20, "{name} has been dropped at only {most} places");
        times = 0;
    }
}

#[tokio::test]
async fn an_autocommit_update() {
    drop_at_every_await("update", 1, |world, _| async move {
        sqlx::query("UPDATE t SET n = n + 1").execute(&world.pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_upsert_with_returning() {
    drop_at_every_await("upsert", 2, |world, _| async move {
        let upsert =
            "INSERT INTO t VALUES (1, 0, 'c'), (3, 0, 'd') ON CONFLICT (id) DO UPDATE SET n = 0 RETURNING id";
        let ids: Vec<i64> = sqlx::query_scalar(upsert).fetch_all(&world.pool).await.unwrap();
        assert_eq!(ids, [1, 3]);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_savepoints() {
    drop_at_every_await("transaction", 1, |world, _| async move {
        let mut tx = world.pool.begin().await.unwrap();
        sqlx::query("UPDATE t SET n = 0 WHERE id = 1").execute(&mut tx).await.unwrap();
        let mut savepoint = tx.begin().await.unwrap();
        sqlx::query("DELETE FROM t WHERE id = 2").execute(&mut savepoint).await.unwrap();
        savepoint.rollback().await.unwrap();
        let mut savepoint = tx.begin().await.unwrap();
        sqlx::query("INSERT INTO t (n) VALUES (7)").execute(&mut savepoint).await.unwrap();
        savepoint.commit().await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_rolled_back_transaction() {
    drop_at_every_await("rollback", 1, |world, _| async move {
        let mut tx = world.pool.begin().await.unwrap();
        sqlx::query("UPDATE t SET n = 0 WHERE id = 1").execute(&mut tx).await.unwrap();
        tx.rollback().await.unwrap();
    })
    .await;
}

/// What was half undone is undone from the start.
#[tokio::test]
async fn a_rollback_of_several_branches() {
    drop_at_every_await("rollback of several", 1, |world, xid| async move {
        for _ in 0..2 {
            sqlx::query("UPDATE t SET n = n + 1").execute(&world.pool).await.unwrap();
        }
        for answer in world.coordinator.rollback_as_registered(&xid).await {
            assert_eq!(answer, BranchAnswer::rollbacked());
        }
    })
    .await;
}

#[tokio::test]
async fn a_global_committed_read() {
    drop_at_every_await("read", 1, |world, _| async move {
        let n: Vec<i64> =
            sqlx::query_scalar("SELECT n FROM t").fetch_all(world.pool.global_committed()).await.unwrap();
        assert_eq!(n, [10, 20]);
    })
    .await;
}

/// The caller keeps the connection and goes on with it.
#[tokio::test]
async fn a_connection_whose_statement_was_dropped_goes_on() {
    for times in 0..40 {
        let world = World::with(SCHEMA, 2, |builder| builder).await;
        let xid = world.coordinator.begin();
        inside(&xid, async {
            let mut connection = world.pool.connection();
            poll_times(times, (&mut connection).execute("UPDATE t SET n = 1 WHERE id = 1")).await;
            world.assert_clean("a dropped statement frees the file while its connection is kept").await;
            poll_times(times, connection.begin()).await;
            world.assert_clean("so does a dropped begin").await;
            let read = sqlx::query("SELECT n FROM t").fetch_all(connection.global_committed());
            poll_times(times, read).await;
            world.assert_clean("and a dropped read").await;
            sqlx::query("UPDATE t SET n = n + 1 WHERE id = 2").execute(&mut connection).await.unwrap();
            let mut tx = connection.begin().await.unwrap();
            sqlx::query("UPDATE t SET n = n + 1 WHERE id = 2").execute(&mut tx).await.unwrap();
            drop(tx);
            world.assert_clean("a dropped transaction frees the file at once").await;
            let n: i64 =
                sqlx::query_scalar("SELECT n FROM t WHERE id = 2").fetch_one(&mut connection).await.unwrap();
            assert_eq!(n, 21);
        })
        .await;
    }
}

/// What was half done is not committed with the rest.
#[tokio::test]
async fn a_transaction_whose_statement_was_dropped_is_over() {
    let mut refused = 0;
    for times in 1..40 {
        let world = World::with(SCHEMA, 1, |builder| builder).await;
        let before = world.dump().await;
        let xid = world.coordinator.begin();
        inside(&xid, async {
            let mut tx = world.pool.begin().await.unwrap();
            let update = (&mut tx).execute("UPDATE t SET n = 1");
            if poll_times(times, update).await {
                return tx.rollback().await.unwrap();
            }
            let Err(error) = sqlx::query("UPDATE t SET code = NULL").execute(&mut tx).await else {
                return tx.rollback().await.unwrap();
            };
            assert!(error.to_string().contains("dropped half-way"), "{error}");
            tx.commit().await.unwrap_err();
            refused += 1;
        })
        .await;
        assert_eq!(world.dump().await, before, "after {times} polls");
        assert_eq!(world.coordinator.registrations(), 0);
        world.assert_clean("after").await;
    }
    assert!(refused > 0);
}

/// The pool is a plain one again outside, and a dropped stream leaves it so.
#[tokio::test]
async fn a_stream_that_is_dropped_early_leaves_the_connection_well() {
    use futures_util::StreamExt;
    let world = World::with(SCHEMA, 1, |builder| builder).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        for _ in 0..3 {
            let mut rows = sqlx::query("SELECT * FROM t").fetch(&world.pool);
            rows.next().await.unwrap().unwrap();
        }
        let mut tx = world.pool.begin().await.unwrap();
        let mut rows = sqlx::query("SELECT * FROM t").fetch(&mut tx);
        rows.next().await.unwrap().unwrap();
        drop(rows);
        let mut rows = sqlx::query::<Sqlite>("UPDATE t SET n = 1 RETURNING id").fetch(&mut tx);
        rows.next().await.unwrap().unwrap();
        drop(rows);
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.locks(), ["t:1", "t:2"]);
}
