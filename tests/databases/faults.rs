//! What only a server can do to its clients: dead locks, time-outs, limits, and rights that are gone.

use futures_util::future::BoxFuture;
use rand::Rng as _;
use seata_tests::{mariadb::MariaDb, postgres, seed};
use sqlx::{MySql, Postgres};

use crate::{
    engine::{Engine, Place, on_each_server},
    mysql,
    world::{Options, World, application},
};

const SCHEMA: &str = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, b LONGTEXT);
    INSERT INTO t VALUES (1, 10, NULL), (2, 20, NULL)";

/// A server with its own words for these things.
trait Server: Engine {
    const DEAD_LOCK: &'static str;
    const LOCK_TIMEOUT: &'static str;
    const NO_RIGHT: &'static str;
    /// Statements that make a user of this name who may read and write the table and the undo logs.
    fn user(name: &str) -> String;
    /// The same address for another user.
    fn address(url: &str, user: &str) -> String;
    /// A database on a server that lets nobody wait long for a row, and the server.
    fn impatient() -> BoxFuture<'static, (Place, Box<dyn Send>)>;
}

impl Server for MySql {
    const DEAD_LOCK: &'static str = "40001";
    const LOCK_TIMEOUT: &'static str = "HY000";
    const NO_RIGHT: &'static str = "42000";

    fn user(name: &str) -> String {
        format!(
            "CREATE USER {name}; GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON t TO {name};
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON undo_log TO {name}"
        )
    }

    fn address(url: &str, user: &str) -> String {
        url.replacen("root", user, 1)
    }

    fn impatient() -> BoxFuture<'static, (Place, Box<dyn Send>)> {
        Box::pin(async {
            let server = MariaDb::start_with(&["--innodb-lock-wait-timeout=1"]).await;
            mysql::create(&server.url(""), "shop").await;
            (Place { url: server.url("shop"), _directory: None }, Box::new(server) as _)
        })
    }
}

impl Server for Postgres {
    const DEAD_LOCK: &'static str = "40P01";
    const LOCK_TIMEOUT: &'static str = "55P03";
    const NO_RIGHT: &'static str = "42501";

    fn user(name: &str) -> String {
        format!(
            "CREATE ROLE {name} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {name};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"
        )
    }

    fn address(url: &str, user: &str) -> String {
        url.replacen("//postgres@", &format!("//{user}@"), 1)
    }

    fn impatient() -> BoxFuture<'static, (Place, Box<dyn Send>)> {
        Box::pin(async {
            let server = postgres::Postgres::start_with(&["lock_timeout=1s"]).await;
            crate::postgres::create(&server.url("postgres"), "shop").await;
            (Place { url: server.url("shop"), _directory: None }, Box::new(server) as _)
        })
    }
}

fn schema<E: Engine>() -> String {
    if E::NAME == "mysql" { SCHEMA.to_owned() } else { SCHEMA.replace("LONGTEXT", "TEXT") }
}

fn assert_code(error: &sqlx::Error, code: &str) {
    let found = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(found.as_deref(), Some(code), "{error:?}");
}

/// One of the two goes on, the other is rolled back and told.
async fn a_dead_lock_has_one_victim<E: Server>() {
    let world = World::<E>::with(&schema::<E>(), Options::patient()).await;
    let both_hold = tokio::sync::Barrier::new(2);
    let pay = |first: i64, second: i64| {
        let (world, both_hold) = (&world, &both_hold);
        async move {
            let ended = world.seata.scope(async {
                let mut transaction = world.begin_global().await;
                let update = E::placed("UPDATE t SET n = n + 1 WHERE id = ?");
                let work = async {
                    let mut local = world.begin().await?;
                    E::local_execute(&mut local, &update, &[first.into()]).await?;
                    both_hold.wait().await;
                    E::local_execute(&mut local, &update, &[second.into()]).await?;
                    E::commit(local).await
                };
                match work.await {
                    Ok(()) => transaction.commit().await.map(|_| Ok(())),
                    Err(error) => transaction.rollback().await.map(|_| Err(error)),
                }
            });
            ended.await.expect("it ends as it is told")
        }
    };
    let (one, other) = tokio::join!(pay(1, 2), pay(2, 1));
    match (one, other) {
        (Ok(()), Err(victim)) | (Err(victim), Ok(())) => assert_code(&victim, E::DEAD_LOCK),
        other => panic!("{other:?}"),
    }
    assert_eq!(E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(), [11, 21]);
    world.assert_clean("after the dead lock").await;
}

/// Reading in a savepoint of its own, which goes with the rest.
async fn a_dead_lock_of_readers_has_one_victim<E: Server>() {
    let world = World::<E>::with(&schema::<E>(), Options::patient()).await;
    let both_hold = tokio::sync::Barrier::new(2);
    let read = |first: i64, second: i64| {
        let (world, both_hold) = (&world, &both_hold);
        let work = async move {
            let mut transaction = world.begin_global().await;
            let mut local = world.begin().await.unwrap();
            let row = |id: i64| format!("SELECT n FROM t WHERE id = {id} FOR UPDATE");
            E::local_numbers(&mut local, &row(first)).await.unwrap();
            both_hold.wait().await;
            let read = E::local_numbers(&mut local, &row(second)).await;
            E::rollback(local).await.unwrap();
            transaction.rollback().await.unwrap();
            read
        };
        world.seata.scope(work)
    };
    match tokio::join!(read(1, 2), read(2, 1)) {
        (Ok(_), Err(victim)) | (Err(victim), Ok(_)) => assert_code(&victim, E::DEAD_LOCK),
        other => panic!("{other:?}"),
    }
    world.assert_clean("after the dead lock").await;
}

/// Somebody past AT mode holds the row.
async fn a_row_that_is_not_let_go_is_a_time_out<E: Server>() {
    let (place, _server) = E::impatient().await;
    let world = World::<E>::at_place(&application().await, place, &schema::<E>(), Options::default()).await;
    let before = world.dump().await;
    let holder = world.beside_itself().await;
    let mut held = holder.begin().await.unwrap();
    E::local_execute(&mut held, "UPDATE t SET n = 0 WHERE id = 1", &[]).await.unwrap();
    let tried = world.committed(async {
        let error = world.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]).await.unwrap_err();
        assert_code(&error, E::LOCK_TIMEOUT);
        let mut local = world.begin().await.unwrap();
        E::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 2", &[]).await.unwrap();
        let failed = E::local_execute(&mut local, "DELETE FROM t WHERE id = 1", &[]).await;
        assert_code(&failed.unwrap_err(), E::LOCK_TIMEOUT);
        E::rollback(local).await.unwrap();
        assert!(world.locks().await.is_empty());
    });
    tried.await;
    E::rollback(held).await.unwrap();
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the time-outs").await;
}

async fn rights_that_are_gone_are_an_error<E: Server>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let name = format!("weak_{}", std::process::id());
    world.script(&E::user(&name)).await;
    let pool = E::connect(&E::address(world.url(), &name), 2).await.unwrap();
    let at = E::open(&pool, &world.seata, Options::default()).await.expect("its rights are enough");
    let update = "UPDATE t SET n = n + 1 WHERE id = 1";
    assert_eq!(world.rolled_back(E::execute(&at, update, &[])).await.unwrap(), 1);

    let before = world.dump().await;
    world.script(&format!("REVOKE UPDATE ON t FROM {name}")).await;
    let tried = world.committed(async {
        let error = E::execute(&at, update, &[]).await.unwrap_err();
        assert_code(&error, E::NO_RIGHT);
        assert!(world.locks().await.is_empty());
        world.assert_no_local_transaction("after the refusal").await;
    });
    tried.await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the refusal").await;
}

on_each_server!(
    a_dead_lock_has_one_victim,
    a_dead_lock_of_readers_has_one_victim,
    a_row_that_is_not_let_go_is_a_time_out,
    rights_that_are_gone_are_an_error,
);

/// A text that fits into a statement neither by itself nor in an undo log, and one of which only the log does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_longer_than_a_packet_is_an_error_or_is_cut() {
    const PACKET: usize = 16 << 20;
    let world = World::<MySql>::new(SCHEMA).await;
    let before = world.dump().await;
    let update = "UPDATE t SET b = ? WHERE id = 1";
    let tried = world.committed(async {
        world.execute(update, &["x".repeat(PACKET + 1).into()]).await.unwrap_err();
        assert!(world.locks().await.is_empty());
    });
    tried.await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the error").await;

    // Neither a compressor nor one row holds its images.
    let mut noise = seed::numbers(seed::seed(), 0);
    let text: String = (0..PACKET / 2).map(|_| char::from(noise.random_range(b' '..=b'~'))).collect();
    world.committed(world.execute(update, &[text.into()])).await.unwrap();
    world.assert_no_undo_log("after the commit").await;
    let digests = "SELECT CONCAT_WS(' ', id, n, LENGTH(b), MD5(b)) FROM t ORDER BY id";
    let before = MySql::raw_texts(&world.raw, digests).await.unwrap();
    let work = world.rolled_back(async {
        world.execute("DELETE FROM t WHERE id = 1", &[]).await.unwrap();
        world.execute("UPDATE t SET b = 'short' WHERE id = 2", &[]).await.unwrap();
    });
    work.await;
    assert_eq!(MySql::raw_texts(&world.raw, digests).await.unwrap(), before);
    world.assert_clean("in the end").await;
}

/// Who may not see a trigger is not told that there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_that_the_user_may_not_see_is_seen() {
    let world = World::<MySql>::new(SCHEMA).await;
    world.script("CREATE TRIGGER watch AFTER UPDATE ON t FOR EACH ROW SET @seen = 1").await;
    let name = format!("blind_{}", std::process::id());
    world.script(&MySql::user(&name).replace(", TRIGGER", "")).await;
    let pool = MySql::connect(&MySql::address(world.url(), &name), 2).await.unwrap();
    let at = MySql::open(&pool, &world.seata, Options::default()).await.expect("its rights are enough");
    let before = world.dump().await;
    let update = MySql::execute(&at, "UPDATE t SET n = n + 1 WHERE id = 1", &[]);
    world.rolled_back(update).await.expect_err("it fires a trigger");
    assert_eq!(world.dump().await, before);
    world.assert_clean("in the end").await;
}

/// A rollback locks them, which takes the right to change them.
#[tokio::test]
async fn an_undo_table_whose_rows_may_not_be_locked_is_refused() {
    let world = World::<Postgres>::new(&schema::<Postgres>()).await;
    let name = format!("unlocking_{}", std::process::id());
    world.script(&Postgres::user(&name)).await;
    world.script(&format!("REVOKE UPDATE ON undo_log FROM {name}")).await;
    let pool = Postgres::connect(&Postgres::address(world.url(), &name), 1).await.unwrap();
    let error = Postgres::open(&pool, &world.seata, Options::default()).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("permission denied for table undo_log"), "{error}");
    world.script(&format!("GRANT UPDATE ON undo_log TO {name}")).await;
    Postgres::open(&pool, &world.seata, Options::default()).await.map(drop).expect("its rights are enough");
}
