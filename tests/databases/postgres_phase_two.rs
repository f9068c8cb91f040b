//! Phase two on PostgreSQL: which undo table it looks into, whose rows it leaves alone, and what it costs.

use seata::{GlobalStatus, GlobalTransaction, at::AtPool};
use seata_tests::wait;
use sqlx::{Connection, PgConnection, PgPool, Postgres, postgres::PgPoolOptions};

use crate::{
    engine::{Engine, Place},
    world::{Options, World, application},
};

/// A pool whose connections all begin with this statement.
async fn beginning_with(statement: &'static str, url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(2).after_connect(move |connection, _| {
        Box::pin(async move { sqlx::query(statement).execute(connection).await.map(drop) })
    });
    pool.connect(url).await.unwrap()
}

/// Phase two's connection is none of the pool's, and looks elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_phases_use_one_undo_table_wherever_their_connections_look() {
    let Place { url, _directory } = Postgres::database().await;
    let plain = Postgres::connect(&url, 1).await.unwrap();
    let schema = "CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, n bigint); INSERT INTO shop.t VALUES (1, 1)";
    Postgres::script(&plain, schema).await.unwrap();
    let seata = application().await;
    let pool = beginning_with("SET search_path = 'shop'", &url).await;
    let at = AtPool::builder(pool, &seata).resource_id("shop").open().await.unwrap();
    // It makes the table of the same name in `public`.
    let world = World::<Postgres>::at_place(&seata, Place { url, _directory }, "", Options::default()).await;
    let undo_tables = "SELECT string_agg(relnamespace::regnamespace::text, ' ' ORDER BY 1) FROM pg_class \
         WHERE relname = 'undo_log'";
    let undo_tables = Postgres::raw_texts(&world.raw, undo_tables).await.unwrap();
    assert_eq!(undo_tables, [Some("public shop".to_owned())]);
    let rows = "SELECT (SELECT count(*) FROM public.undo_log) * 10 + (SELECT count(*) FROM shop.undo_log)";
    let rolled_back = world.rolled_back(async {
        sqlx::query("UPDATE t SET n = 2").execute(&at).await.unwrap();
        assert_eq!(world.number(rows).await, 1);
    });
    rolled_back.await;
    assert_eq!(world.number("SELECT n FROM shop.t").await, 1);
    assert_eq!(world.number(rows).await, 0);
    world.committed(async { sqlx::query("UPDATE t SET n = 3").execute(&at).await.unwrap() }).await;
    wait::until("the undo log", || async {
        let left = world.number(rows).await;
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(at.delete_undo_logs_before(1).await.unwrap(), 0);
}

/// A row of somebody else's that is not committed yet is seen by nobody, and would go with the row that it refers to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_come_to_refer_to_an_inserted_row_meanwhile_do_not_go_with_it() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY);
        CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE)";
    let world = World::<Postgres>::new(schema).await;
    let before = world.dump().await;
    let ended = world.seata.scope(async {
        let mut transaction = world.begin_global().await;
        world.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
        let mut other = PgConnection::connect(world.url()).await.unwrap();
        let mut referring = other.begin().await.unwrap();
        sqlx::query("INSERT INTO child VALUES (7, 1)").execute(&mut *referring).await.unwrap();
        let commit = async {
            wait::until("phase two waits for the other", || async {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock'";
                if world.number(waiting).await > 0 { Ok(()) } else { Err("nobody waits") }
            })
            .await;
            referring.commit().await.unwrap();
        };
        let (status, ()) = tokio::join!(GlobalTransaction::rollback(&mut transaction), commit);
        status
    });
    let status = ended.await.unwrap();
    assert_eq!(world.dump().await, ["child: '7' | '1'", "t: '1'"], "{status:?}");
    assert_ne!(status, GlobalStatus::Rollbacked);
    world.script("DELETE FROM child").await;
    world.assert_clean("after it is tried again").await;
    assert_eq!(world.dump().await, before);
}

/// A savepoint for each row would take a transaction id for each, and two round trips.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_do_not_clash_go_back_together() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int);
        INSERT INTO t SELECT i, i FROM generate_series(1, 20) i";
    let world = World::<Postgres>::new(schema).await;
    let before = world.dump().await;
    for change in ["UPDATE t SET n = 0", "DELETE FROM t"] {
        world.rolled_back(async { world.execute(change, &[]).await.unwrap() }).await;
        assert_eq!(world.dump().await, before, "{change}");
        assert_eq!(world.number("SELECT count(DISTINCT xmin::text) FROM t").await, 1, "{change}");
    }
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_clash_go_back_in_the_order_that_works() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE RESTRICT", "ON DELETE SET NULL"] {
        let schema = format!("CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree {action})");
        let world = World::<Postgres>::new(&schema).await;
        let grow = "INSERT INTO tree VALUES (1, 9), (9, 3), (7, 5), (3, 5), (5, NULL)";
        world.rolled_back(async { world.execute(grow, &[]).await.unwrap() }).await;
        assert!(world.dump().await.is_empty(), "{action}");
        world.assert_clean(action).await;
    }
}

/// Those of a pool may be in any zone, and phase two counts days in its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_rows_are_as_old_as_they_are_in_every_time_zone() {
    let Place { url, _directory } = Postgres::database().await;
    let seata = application().await;
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)";
    let world = World::<Postgres>::at_place(
        &seata,
        Place { url: url.clone(), _directory },
        schema,
        Options::default(),
    );
    let world = world.await;
    for (zone, hours) in
        [("SET timezone = 'Pacific/Kiritimati'", 26), ("SET timezone = 'Pacific/Pago_Pago'", 22)]
    {
        let at =
            AtPool::builder(beginning_with(zone, &url).await, &seata).resource_id(zone).open().await.unwrap();
        let rolled_back = world.rolled_back(async {
            sqlx::query("UPDATE t SET n = 2").execute(&at).await.unwrap();
            let aged = format!("UPDATE undo_log SET log_created = log_created - interval '{hours} hours'");
            world.script(&aged).await;
            let deleted = at.delete_undo_logs_before(1).await.unwrap();
            assert_eq!(deleted, u64::from(hours > 24), "{zone}");
        });
        rolled_back.await;
        world.script("UPDATE t SET n = 1").await;
    }
}
