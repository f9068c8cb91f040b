//! The server is killed in the middle, and comes back.

use std::time::Duration;

use futures_util::future::BoxFuture;
use seata::at::AtError;
use seata_tests::{amount, mariadb::MariaDb, postgres, wait};
use sqlx::{MySql, Postgres};

use crate::{
    engine::{Engine, Place, on_each_server},
    mysql,
    world::{Options, World, application},
};

const SCHEMA: &str = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
    INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)";

/// A database whose server can be killed.
trait Mortal: Engine {
    type Server: Send + Sync;

    fn start() -> BoxFuture<'static, Self::Server>;
    fn place(server: &Self::Server) -> BoxFuture<'_, Place>;
    fn kill(server: &mut Self::Server);
    fn restart(server: &mut Self::Server) -> BoxFuture<'_, ()>;
}

impl Mortal for MySql {
    type Server = MariaDb;

    fn start() -> BoxFuture<'static, MariaDb> {
        Box::pin(MariaDb::start())
    }

    fn place(server: &MariaDb) -> BoxFuture<'_, Place> {
        Box::pin(async {
            mysql::create(&server.url(""), "shop").await;
            Place { url: server.url("shop"), _directory: None }
        })
    }

    fn kill(server: &mut MariaDb) {
        server.kill();
    }

    fn restart(server: &mut MariaDb) -> BoxFuture<'_, ()> {
        Box::pin(server.restart())
    }
}

impl Mortal for Postgres {
    type Server = postgres::Postgres;

    fn start() -> BoxFuture<'static, postgres::Postgres> {
        Box::pin(postgres::Postgres::start())
    }

    fn place(server: &postgres::Postgres) -> BoxFuture<'_, Place> {
        Box::pin(async {
            crate::postgres::create(&server.url("postgres"), "shop").await;
            Place { url: server.url("shop"), _directory: None }
        })
    }

    fn kill(server: &mut postgres::Postgres) {
        server.kill();
    }

    fn restart(server: &mut postgres::Postgres) -> BoxFuture<'_, ()> {
        Box::pin(server.restart())
    }
}

async fn open<E: Mortal>() -> (E::Server, World<E>) {
    let server = E::start().await;
    let place = E::place(&server).await;
    let world = World::at_place(&application().await, place, SCHEMA, Options::patient()).await;
    (server, world)
}

/// Neither hangs nor claims anything: the connection is lost, or cannot be had.
fn assert_lost(error: &sqlx::Error) {
    /// A server that ends, or begins: PostgreSQL's word for it, and MariaDB's.
    const NOT_THERE: [&str; 4] = ["57P01", "57P02", "57P03", "08S01"];
    let is_lost = match (error, AtError::from_sqlx(error)) {
        (_, Some(own)) => matches!(own, AtError::OutcomeUnknown { .. } | AtError::AlreadyRolledBack { .. }),
        (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_), None) => true,
        (sqlx::Error::Database(error), None) => error.code().is_some_and(|code| NOT_THERE.contains(&&*code)),
        _ => false,
    };
    assert!(is_lost, "{error:?}");
}

/// Of what is decided while the database is away, phase two is done when it is back.
async fn phase_two_waits_for_the_database<E: Mortal>() {
    let (mut server, world) = open::<E>().await;
    let before = world.dump().await;
    for commits in [false, true] {
        let ended = world.seata.scope(async {
            let mut transaction = world.begin_global().await;
            world.execute("UPDATE t SET n = n + 1", &[]).await.unwrap();
            world.execute("DELETE FROM t WHERE id = 3", &[]).await.unwrap();
            E::kill(&mut server);
            // Whether it says that it goes on with it, or that it is decided, is its affair.
            let _ = if commits { transaction.commit().await } else { transaction.rollback().await };
        });
        ended.await;
        E::restart(&mut server).await;
        serves_again(&world).await;
        world.assert_clean("when the server is back").await;
        match commits {
            false => assert_eq!(world.dump().await, before),
            true => {
                let left = E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap();
                assert_eq!(left, [11, 21]);
            }
        }
    }
}

/// A local transaction that was open is gone, with a named error at its next step.
async fn a_local_transaction_is_lost<E: Mortal>() {
    let (mut server, world) = open::<E>().await;
    let before = world.dump().await;
    for step in 0..2 {
        let lost = world.seata.scope(async {
            let mut transaction = world.begin_global().await;
            let mut local = world.begin().await.unwrap();
            E::local_execute(&mut local, "UPDATE t SET n = 0 WHERE id = 1", &[]).await.unwrap();
            E::kill(&mut server);
            if step == 0 {
                let next = E::local_execute(&mut local, "UPDATE t SET n = 0 WHERE id = 2", &[]);
                assert_lost(&next.await.unwrap_err());
                E::rollback(local).await.unwrap();
            } else {
                assert_lost(&E::commit(local).await.unwrap_err());
            }
            E::restart(&mut server).await;
            let _ = transaction.rollback().await;
        });
        lost.await;
        serves_again(&world).await;
        world.assert_clean("when the server is back").await;
        assert_eq!(world.dump().await, before);
    }
}

/// Statements by themselves while the server comes and goes: each is whole, and what is rolled back is undone.
async fn whatever_is_under_way_is_whole<E: Mortal>() {
    let (mut server, world) = open::<E>().await;
    let world = std::sync::Arc::new(world);
    let sum = world.number(&format!("SELECT CAST(SUM(n) AS {}) FROM t", E::LONG)).await;
    for round in 0..amount(2, 10) {
        let teller = {
            let world = world.clone();
            tokio::spawn(async move {
                for number in 0_i64.. {
                    let seata = world.seata.clone();
                    let transfer = seata.scope(async {
                        let mut transaction = world.begin_global().await;
                        let (from, to) = (number % 3 + 1, (number + 1) % 3 + 1);
                        let moved = async {
                            world.execute("UPDATE t SET n = n - 1 WHERE id = ?", &[from.into()]).await?;
                            world.execute("UPDATE t SET n = n + 1 WHERE id = ?", &[to.into()]).await
                        };
                        match moved.await {
                            Ok(_) if number % 4 != 0 => drop(transaction.commit().await),
                            Ok(_) => drop(transaction.rollback().await),
                            Err(error) => {
                                assert_lost(&error);
                                drop(transaction.rollback().await);
                                return false;
                            }
                        }
                        true
                    });
                    if !transfer.await {
                        return;
                    }
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(100 + 70 * round as u64)).await;
        E::kill(&mut server);
        teller.await.unwrap();
        E::restart(&mut server).await;
        serves_again(&world).await;
        world.assert_clean("when the server is back").await;
        assert_eq!(world.number(&format!("SELECT CAST(SUM(n) AS {}) FROM t", E::LONG)).await, sum);
    }
}

/// Connections of before are of no use; nobody has to care.
async fn serves_again<E: Mortal>(world: &World<E>) {
    wait::until("the pool to serve again", || async {
        E::raw_numbers(&world.raw, "SELECT count(*) FROM t").await?;
        let served = world.seata.scope(world.execute("SELECT 1", &[])).await;
        served.map(|_| ())
    })
    .await;
}

on_each_server!(
    phase_two_waits_for_the_database,
    a_local_transaction_is_lost,
    whatever_is_under_way_is_whole,
);
