//! Every future is dropped at each of its awaits: the database forgets it, and the pool lends nobody a
//! connection in doubt.

use std::future::Future;

use seata::{LockRetry, run_with_global_lock};
use seata_tests::polls::{Drop, poll_at_most};

use crate::{
    engine::{Engine, on_each_database, on_each_server},
    world::{Options, World},
};

/// More polls than anything here takes.
const MOST_POLLS: usize = 3000;

fn schema<E: Engine>() -> String {
    format!(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, code {} UNIQUE);
         INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b')",
        E::TEXT
    )
}

/// The fewest places that a sweep tells something by.
const FEWEST_PLACES: usize = 3;

/// Runs rounds that are dropped one poll later each time, until one is done.
async fn at_every_await(round: impl AsyncFn(usize, Drop, &str) -> bool) {
    // A database in the same process may answer before anybody waits for it, and then there is no await to be
    // dropped at: another sweep finds one.
    let mut places = 0;
    for _sweep in 0..20 {
        for drop in [Drop::AtOnce, Drop::OnceWoken] {
            for polls in 1.. {
                assert!(polls < MOST_POLLS, "it never ends");
                if round(polls, drop, &format!("dropped {drop:?} after {polls} polls")).await {
                    break;
                }
                places += 1;
            }
        }
        if places >= FEWEST_PLACES {
            break;
        }
    }
    println!("dropped at {places} places");
    assert!(places >= FEWEST_PLACES, "it has been dropped at {places} places only");
}

/// Runs `work` in a global transaction so, and rolls back what is left of it.
async fn drop_at_every_await<E: Engine, W: Future>(connections: u32, work: impl Fn(&'static World<E>) -> W) {
    let options = Options { connections, ..Options::patient() };
    // Futures that borrow it are told apart by their own type alone.
    let world: &'static World<E> = Box::leak(Box::new(World::with(&schema::<E>(), options).await));
    let before = world.dump().await;
    at_every_await(async |polls, drop, when| {
        let round = world.rolled_back(async {
            let done = poll_at_most(polls, drop, work(world)).await;
            nothing_hangs(world, when).await;
            done
        });
        let done = round.await.is_some();
        assert_eq!(world.dump().await, before, "{when}");
        world.assert_clean(when).await;
        done
    })
    .await;
}

/// Before the global transaction ends: phase two would wait for the rows.
async fn nothing_hangs<E: Engine>(world: &World<E>, when: &str) {
    world.assert_no_local_transaction(when).await;
    world.assert_serves(when).await;
}

async fn a_statement_by_itself<E: Engine>() {
    drop_at_every_await::<E, _>(1, |world| async {
        world.execute("UPDATE t SET n = n + ? WHERE id < 3", &[1.into()]).await.unwrap();
    })
    .await;
}

async fn an_insert_by_itself<E: Engine>() {
    drop_at_every_await::<E, _>(2, |world| async {
        world.execute("INSERT INTO t VALUES (?, 0, 'c'), (4, 0, 'd')", &[3.into()]).await.unwrap();
    })
    .await;
}

async fn a_local_transaction_with_savepoints<E: Engine>() {
    drop_at_every_await::<E, _>(1, |world| async {
        let mut local = world.begin().await.unwrap();
        E::local_execute(&mut local, "UPDATE t SET n = 0 WHERE id = 1", &[]).await.unwrap();
        let mut savepoint = E::nested(&mut local).await.unwrap();
        E::local_execute(&mut savepoint, "DELETE FROM t WHERE id = 2", &[]).await.unwrap();
        E::rollback(savepoint).await.unwrap();
        let mut savepoint = E::nested(&mut local).await.unwrap();
        E::local_execute(&mut savepoint, "INSERT INTO t VALUES (7, 7, NULL)", &[]).await.unwrap();
        E::commit(savepoint).await.unwrap();
        E::commit(local).await.unwrap();
    })
    .await;
}

async fn a_local_transaction_that_is_rolled_back<E: Engine>() {
    drop_at_every_await::<E, _>(1, |world| async {
        let mut local = world.begin().await.unwrap();
        E::local_execute(&mut local, "UPDATE t SET n = 0 WHERE id = 1", &[]).await.unwrap();
        E::rollback(local).await.unwrap();
    })
    .await;
}

async fn a_statement_that_fails<E: Engine>() {
    drop_at_every_await::<E, _>(1, |world| async {
        world.execute("UPDATE t SET code = 'b' WHERE id = 1", &[]).await.unwrap_err();
    })
    .await;
}

async fn a_global_committed_read<E: Engine>() {
    drop_at_every_await::<E, _>(1, |world| async {
        let read = E::committed(&world.at, "SELECT n FROM t WHERE id < 3").await;
        assert_eq!(read.unwrap().len(), 2);
    })
    .await;
}

async fn a_select_for_update<E: Engine>() {
    drop_at_every_await::<E, _>(1, |world| async {
        let read = world.numbers("SELECT n FROM t WHERE id < 3 FOR UPDATE", &[]).await;
        assert_eq!(read.unwrap().len(), 2);
        let mut local = world.begin().await.unwrap();
        let read = E::local_numbers(&mut local, "SELECT n FROM t WHERE id = 1 FOR UPDATE").await;
        assert_eq!(read.unwrap(), [10]);
        E::commit(local).await.unwrap();
    })
    .await;
}

/// Outside any global transaction, as far as the data source is concerned.
async fn a_writer_under_global_lock<E: Engine>() {
    let world = World::<E>::with(&schema::<E>(), Options { connections: 1, ..Options::patient() }).await;
    at_every_await(async |polls, drop, when| {
        let update = world.execute("UPDATE t SET n = n + 1 - 1", &[]);
        let locked = run_with_global_lock(LockRetry::default(), update);
        let done = world.seata.scope(poll_at_most(polls, drop, locked)).await;
        nothing_hangs(&world, when).await;
        done.is_some()
    })
    .await;
    world.assert_clean("in the end").await;
}

on_each_database!(
    a_statement_by_itself,
    an_insert_by_itself,
    a_local_transaction_with_savepoints,
    a_local_transaction_that_is_rolled_back,
    a_statement_that_fails,
    a_global_committed_read,
    a_writer_under_global_lock,
);

mod with_row_locks {
    use super::*;

    on_each_server!(a_select_for_update);
}
