//! Two that want the same row.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use seata::{GlobalStatus, LockRetry, Xid, at::AtError, run_with_global_lock};
use tokio::sync::oneshot;

use crate::{
    engine::{Engine, on_each_database, on_each_server},
    world::{Options, World, xid},
};

const SCHEMA: &str = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
    INSERT INTO t VALUES (1, 10), (2, 20)";

/// How long somebody is seen to wait for a row: many tries to get it, and few for a test.
const HELD: Duration = Duration::from_millis(150);

/// A global transaction that has changed row 1, and ends when it is told to.
struct Holder {
    xid: Xid,
    told: oneshot::Sender<bool>,
    ended: tokio::task::JoinHandle<GlobalStatus>,
}

impl Holder {
    async fn of_the_first_row<E: Engine>(world: &Arc<World<E>>) -> Self {
        let (held, hold) = oneshot::channel();
        let (told, tells) = oneshot::channel();
        let world = world.clone();
        let ended = tokio::spawn(async move {
            let seata = world.seata.clone();
            let work = async {
                let mut transaction = world.begin_global().await;
                world.execute("UPDATE t SET n = n + 100 WHERE id = 1", &[]).await.unwrap();
                held.send(xid()).unwrap();
                let commits = tells.await.expect("it is told");
                let ended = if commits { transaction.commit().await } else { transaction.rollback().await };
                ended.unwrap()
            };
            seata.scope(work).await
        });
        Self { xid: hold.await.unwrap(), told, ended }
    }

    async fn end(self, commits: bool) {
        self.told.send(commits).unwrap();
        let expected = if commits { GlobalStatus::Committed } else { GlobalStatus::Rollbacked };
        assert_eq!(self.ended.await.unwrap(), expected);
    }

    /// Ends while this work waits for the row, which it must.
    async fn end_beside<T>(self, commits: bool, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let early = tokio::time::timeout(HELD, work.as_mut()).await;
        assert!(early.is_err(), "it has not waited");
        let (output, ()) = tokio::join!(work, self.end(commits));
        output
    }
}

async fn world<E: Engine>(options: Options) -> Arc<World<E>> {
    Arc::new(World::with(SCHEMA, options).await)
}

fn assert_locked(error: &sqlx::Error, holder: &Xid) {
    match AtError::from_sqlx(error) {
        Some(AtError::LockConflict { row, holder: named, .. }) => {
            assert!(row.starts_with("t:1 in jdbc:"), "{row}");
            assert_eq!(*named, holder.to_string());
        }
        _ => panic!("expected a lock conflict, found {error:?}"),
    }
}

/// A statement by itself waits for the outcome, and works on what that left.
async fn a_statement_by_itself_waits_and_runs_again<E: Engine>() {
    for (commits, n) in [(true, 111), (false, 11)] {
        let world = world::<E>(Options::patient()).await;
        let holder = Holder::of_the_first_row(&world).await;
        let update = world.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]);
        assert_eq!(holder.end_beside(commits, world.committed(update)).await.unwrap(), 1);
        assert_eq!(world.number("SELECT n FROM t WHERE id = 1").await, n);
        world.assert_clean("in the end").await;
    }
}

async fn a_statement_by_itself_gives_up_and_says_who_holds_the_row<E: Engine>() {
    let world = world::<E>(Options::impatient()).await;
    let holder = Holder::of_the_first_row(&world).await;
    let error = world.committed(world.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[])).await.unwrap_err();
    assert_locked(&error, &holder.xid);
    // Another row is free.
    world.committed(world.execute("UPDATE t SET n = n + 1 WHERE id = 2", &[])).await.unwrap();
    holder.end(true).await;
    assert_eq!(E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(), [110, 21]);
    world.assert_clean("in the end").await;
}

/// A local transaction is rolled back as a whole, and may be begun anew.
async fn a_local_transaction_gives_up_as_a_whole<E: Engine>() {
    let world = world::<E>(Options::impatient()).await;
    let holder = Holder::of_the_first_row(&world).await;
    let tried = world.committed(async {
        let mut local = world.begin().await?;
        E::local_execute(&mut local, "UPDATE t SET n = 0 WHERE id = 2", &[]).await?;
        E::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 1", &[]).await?;
        E::commit(local).await
    });
    assert_locked(&tried.await.unwrap_err(), &holder.xid);
    assert_eq!(world.number("SELECT n FROM t WHERE id = 2").await, 20);
    holder.end(false).await;
    assert_eq!(E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(), [10, 20]);
    world.assert_clean("in the end").await;
}

/// Outside any global transaction.
async fn a_writer_under_global_lock_waits<E: Engine>() {
    for (commits, n) in [(true, 111), (false, 11)] {
        let world = world::<E>(Options::patient()).await;
        let holder = Holder::of_the_first_row(&world).await;
        let update = world.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]);
        let update = world.seata.scope(run_with_global_lock(LockRetry::default(), update));
        holder.end_beside(commits, update).await.unwrap();
        assert_eq!(world.number("SELECT n FROM t WHERE id = 1").await, n);
        world.assert_clean("in the end").await;
    }
}

async fn a_writer_under_global_lock_gives_up<E: Engine>() {
    let world = world::<E>(Options::impatient()).await;
    let holder = Holder::of_the_first_row(&world).await;
    let update = world.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]);
    let error = world.seata.scope(run_with_global_lock(LockRetry::default(), update)).await.unwrap_err();
    assert_locked(&error, &holder.xid);
    holder.end(false).await;
    assert_eq!(world.number("SELECT n FROM t WHERE id = 1").await, 10);
    world.assert_clean("in the end").await;
}

/// It sees the outcome and never what is undecided.
async fn a_global_committed_read_waits<E: Engine>() {
    for (commits, n) in [(true, 110), (false, 10)] {
        let world = world::<E>(Options::patient()).await;
        let holder = Holder::of_the_first_row(&world).await;
        let read = E::committed(&world.at, "SELECT n FROM t WHERE id = 1");
        assert_eq!(holder.end_beside(commits, world.committed(read)).await.unwrap(), [n]);
        world.assert_clean("in the end").await;
    }
}

/// It checks the row, and returns what is there when that is free.
async fn a_select_for_update_waits<E: Engine>() {
    for (commits, n) in [(true, 110), (false, 10)] {
        let world = world::<E>(Options::patient()).await;
        let holder = Holder::of_the_first_row(&world).await;
        let read = world.numbers("SELECT n FROM t WHERE id = 1 FOR UPDATE", &[]);
        assert_eq!(holder.end_beside(commits, world.committed(read)).await.unwrap(), [n]);
        world.assert_clean("in the end").await;
    }
}

async fn a_select_for_update_keeps_the_row<E: Engine>() {
    for (commits, n) in [(true, 110), (false, 10)] {
        let world = world::<E>(Options::patient()).await;
        let holder = Holder::of_the_first_row(&world).await;
        let read = world.committed(async {
            let mut local = world.begin().await.unwrap();
            let n = E::local_numbers(&mut local, "SELECT n FROM t WHERE id = 1 FOR UPDATE").await;
            // What is read so nobody changes until the end.
            let changed = E::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 1", &[]).await;
            assert_eq!(changed.unwrap(), 1);
            E::commit(local).await.unwrap();
            n
        });
        assert_eq!(holder.end_beside(commits, read).await.unwrap(), [n]);
        assert_eq!(world.number("SELECT n FROM t WHERE id = 1").await, n + 1);
        world.assert_clean("in the end").await;
    }
}

/// A row that is added while the coordinator is asked for the others.
async fn nothing_undecided_is_seen_that_was_not_asked_for<E: Engine>() {
    let world = world::<E>(Options::patient()).await;
    let (stop, mut stopped) = oneshot::channel::<()>();
    let mut inserts = 0;
    let writes = async {
        while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            let insert = world.rolled_back(world.execute("INSERT INTO t VALUES (3, 30)", &[]));
            // In MySQL it may be the victim of a dead lock with the reader.
            inserts += insert.await.unwrap_or(0);
        }
    };
    let reads = async {
        for _ in 0..150 {
            let count = E::committed(&world.at, "SELECT count(*) FROM t WHERE n > 9");
            assert_eq!(world.seata.scope(count).await.unwrap(), [2]);
            let locked = world.committed(async {
                let mut local = world.begin().await.unwrap();
                let read = "SELECT id FROM t WHERE n > 9 ORDER BY id FOR UPDATE";
                let ids = E::local_numbers(&mut local, read).await;
                E::rollback(local).await.unwrap();
                ids
            });
            match locked.await {
                Ok(ids) => assert_eq!(ids, [1, 2]),
                Err(error) => {
                    let conflict = AtError::from_sqlx(&error);
                    assert!(matches!(conflict, Some(AtError::LockConflict { .. })), "{error}");
                }
            }
        }
        stop.send(()).unwrap();
    };
    tokio::join!(reads, writes);
    assert!(inserts > 0, "nobody wrote");
    world.assert_clean("in the end").await;
}

/// What the local transaction saw first has been undone since.
async fn a_global_committed_read_sees_nothing_undone<E: Engine>() {
    for level in ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let sum = format!("SELECT CAST(sum(n) - 20 AS {}) FROM t HAVING count(*) = 2; ", E::LONG);
        for read in ["SELECT n FROM t WHERE id = 1 -- undone", &sum] {
            let world = world::<E>(Options::patient()).await;
            let holder = Holder::of_the_first_row(&world).await;
            let seen = world.rolled_back(async {
                let mut local = E::begin_at(&world.at, level).await.unwrap();
                let first = E::local_numbers(&mut local, "SELECT n FROM t WHERE id = 2").await;
                assert_eq!(first.unwrap(), [20]);
                holder.end(false).await;
                E::local_committed(&mut local, read).await
            });
            match seen.await {
                Ok(seen) => assert_eq!(seen, [10], "{level}: {read}"),
                Err(error) => assert!(cannot_be_serialized(&error), "{level}: {read}: {error}"),
            }
            world.assert_clean(level).await;
        }
    }
}

/// PostgreSQL gives no old version of a row that is to be locked.
fn cannot_be_serialized(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("40001")
}

async fn a_select_for_update_gives_up<E: Engine>() {
    let world = world::<E>(Options::impatient()).await;
    let holder = Holder::of_the_first_row(&world).await;
    let read = world.numbers("SELECT n FROM t WHERE id = 1 FOR UPDATE", &[]);
    assert_locked(&world.committed(read).await.unwrap_err(), &holder.xid);
    // Under #[global_lock], outside any global transaction.
    let read = world.numbers("SELECT n FROM t WHERE id = 1 FOR UPDATE", &[]);
    let read = world.seata.scope(run_with_global_lock(LockRetry::default(), read));
    assert_locked(&read.await.unwrap_err(), &holder.xid);
    holder.end(true).await;
    world.assert_clean("in the end").await;
}

/// Rows have locks of their own there: registration alone is tried again, and nothing is lost.
async fn a_local_transaction_waits_for_the_outcome<E: Engine>() {
    for commits in [true, false] {
        let world = world::<E>(Options::patient()).await;
        let holder = Holder::of_the_first_row(&world).await;
        let written = world.committed(async {
            let mut local = world.begin().await?;
            E::local_execute(&mut local, "UPDATE t SET n = 7 WHERE id = 2", &[]).await?;
            E::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 1", &[]).await?;
            E::commit(local).await
        });
        let held_by = holder.xid.clone();
        let expected = match (commits, holder.end_beside(commits, written).await) {
            (true, written) => written.map(|()| [111, 7]).unwrap(),
            // Its undo would wait for the rows that we hold.
            (false, Err(error)) => {
                assert_locked(&error, &held_by);
                [10, 20]
            }
            // It came to the row after the undo.
            (false, Ok(())) => [11, 7],
        };
        assert_eq!(E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(), expected);
        world.assert_clean("in the end").await;
    }
}

on_each_database!(
    a_statement_by_itself_waits_and_runs_again,
    a_statement_by_itself_gives_up_and_says_who_holds_the_row,
    a_local_transaction_gives_up_as_a_whole,
    a_writer_under_global_lock_waits,
    a_writer_under_global_lock_gives_up,
    a_global_committed_read_waits,
);

mod with_row_locks {
    use super::*;

    on_each_server!(
        a_select_for_update_waits,
        a_select_for_update_keeps_the_row,
        nothing_undecided_is_seen_that_was_not_asked_for,
        a_select_for_update_gives_up,
        a_global_committed_read_sees_nothing_undone,
        a_local_transaction_waits_for_the_outcome,
    );
}
