//! sqlx's own ways to run a query, on the values of AT mode.

use futures_util::TryStreamExt;
use seata_sqlx::AtPool;
use sqlx::{Executor, QueryBuilder, Row, Sqlite};

use crate::world::{World, inside, outside};

const SCHEMA: &str = "CREATE TABLE stock (id INTEGER PRIMARY KEY, name TEXT, n INTEGER);
    INSERT INTO stock VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)";

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Stock {
    id: i64,
    name: String,
    n: i64,
}

/// What a function asks for that takes a pool, a transaction or anything of that kind.
async fn take(executor: impl Executor<'_, Database = Sqlite>, id: i64) -> sqlx::Result<u64> {
    let update = sqlx::query("UPDATE stock SET n = n - 1 WHERE id = ?").bind(id);
    Ok(update.execute(executor).await?.rows_affected())
}

#[tokio::test]
async fn every_way_to_query_works_in_and_outside_a_global_transaction() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    outside(every_way(&world.pool)).await;
    assert_eq!(world.coordinator.registrations(), 0);
    sqlx::raw_sql("DELETE FROM stock WHERE id > 3; UPDATE stock SET n = id * 10")
        .execute(&world.raw)
        .await
        .unwrap();
    inside(&xid, every_way(&world.pool)).await;
    assert_eq!(world.coordinator.registrations(), 5);
}

async fn every_way(pool: &AtPool<Sqlite>) {
    let stock: Stock =
        sqlx::query_as("SELECT * FROM stock WHERE id = ?").bind(1).fetch_one(pool).await.unwrap();
    assert_eq!(stock, Stock { id: 1, name: "a".into(), n: 10 });
    let sum: i64 = sqlx::query_scalar("SELECT sum(n) FROM stock").fetch_one(pool).await.unwrap();
    assert_eq!(sum, 60);
    assert_eq!(take(pool, 1).await.unwrap(), 1);

    let mut builder = QueryBuilder::<Sqlite>::new("INSERT INTO stock (name, n) ");
    builder.push_values([("d", 1), ("e", 2)], |mut row, (name, n)| {
        row.push_bind(name).push_bind(n);
    });
    let inserted = builder.build().execute(pool).await.unwrap();
    assert_eq!((inserted.rows_affected(), inserted.last_insert_rowid()), (2, 5));

    let rows: Vec<(i64, String)> =
        sqlx::query_as("INSERT INTO stock (name) VALUES ('f'), ('g') RETURNING id, name")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!(rows, [(6, "f".to_owned()), (7, "g".to_owned())]);
    let row = sqlx::query("DELETE FROM stock WHERE id = 7 RETURNING name").fetch_one(pool).await.unwrap();
    assert_eq!((row.len(), row.get::<String, _>("name")), (1, "g".to_owned()));
    let gone = sqlx::query("UPDATE stock SET n = 0 WHERE id = 7 RETURNING id").fetch_optional(pool).await;
    assert!(gone.unwrap().is_none());

    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM stock ORDER BY id").fetch(pool).try_collect().await.unwrap();
    assert_eq!(names.join(""), "abcdef");

    let mut connection = pool.connection();
    let inserted =
        sqlx::query("INSERT INTO stock (name) VALUES ('h')").execute(&mut connection).await.unwrap();
    let last: i64 =
        sqlx::query_scalar("SELECT last_insert_rowid()").fetch_one(&mut connection).await.unwrap();
    assert_eq!(last, inserted.last_insert_rowid(), "the undo row must not be seen");
    drop(connection);

    let mut tx = pool.begin().await.unwrap();
    assert_eq!(take(&mut tx, 2).await.unwrap(), 1);
    assert_eq!(take(&mut *tx, 2).await.unwrap(), 1);
    let n: i64 = sqlx::query_scalar("SELECT n FROM stock WHERE id = 2").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(n, 18);
    tx.rollback().await.unwrap();

    let described = pool.describe(sqlx::SqlSafeStr::into_sql_str("SELECT n FROM stock")).await.unwrap();
    assert_eq!(described.columns().len(), 1);
    let statement = pool.prepare(sqlx::SqlSafeStr::into_sql_str("SELECT ?1")).await;
    statement.unwrap();
}

/// The undo needs no connection of the pool, and neither does whoever waits for a lock.
#[tokio::test]
async fn a_pool_of_one_is_not_starved() {
    let world = World::with(SCHEMA, 1, |builder| builder).await;
    let xid = world.coordinator.begin();
    let held = inside(&xid, async {
        take(&world.pool, 1).await.unwrap();
        let mut tx = world.pool.begin().await.unwrap();
        take(&mut tx, 2).await.unwrap();
        tx.commit().await.unwrap();
        let connection = world.pool.connection();
        take(&world.pool, 3).await.unwrap();
        connection
    })
    .await;
    let answers = tokio::time::timeout(std::time::Duration::from_secs(5), world.coordinator.rollback(&xid));
    assert_eq!(answers.await.unwrap().len(), 3);
    drop(held);
    let sum: i64 = sqlx::query_scalar("SELECT sum(n) FROM stock").fetch_one(&world.raw).await.unwrap();
    assert_eq!(sum, 60);
}

#[tokio::test]
async fn savepoints_take_their_items_with_them() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        take(&mut tx, 1).await.unwrap();
        let mut kept = tx.begin().await.unwrap();
        take(&mut kept, 2).await.unwrap();
        let mut inner = kept.begin().await.unwrap();
        take(&mut inner, 3).await.unwrap();
        inner.rollback().await.unwrap();
        kept.commit().await.unwrap();
        // Dropped without a decision: left before the next statement.
        let mut dropped = tx.begin().await.unwrap();
        take(&mut dropped, 3).await.unwrap();
        let mut deeper = dropped.begin().await.unwrap();
        take(&mut deeper, 3).await.unwrap();
        drop(deeper);
        drop(dropped);
        let mut again = tx.begin().await.unwrap();
        take(&mut again, 2).await.unwrap();
        again.rollback().await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let n: Vec<i64> =
        sqlx::query_scalar("SELECT n FROM stock ORDER BY id").fetch_all(&world.raw).await.unwrap();
    assert_eq!(n, [9, 19, 30]);
    assert_eq!(world.coordinator.locks(), ["stock:1", "stock:2"]);
    world.coordinator.rollback(&xid).await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn one_row_changed_many_times_is_one_lock_and_goes_back_to_the_start() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        for sql in [
            "UPDATE stock SET n = 1 WHERE id = 1",
            "UPDATE stock SET name = 'z', n = 2 WHERE id = 1",
            "DELETE FROM stock WHERE id = 1",
            "INSERT INTO stock VALUES (1, 'back', 3)",
            "INSERT INTO stock VALUES (1, 'x', 3) ON CONFLICT DO UPDATE SET n = 4",
        ] {
            sqlx::query(sql).execute(&mut tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.locks(), ["stock:1"]);
    let answers = world.coordinator.rollback(&xid).await;
    assert_eq!(answers, [seata_context::BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_transaction_that_changed_nothing_registers_nothing() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        let _: i64 = sqlx::query_scalar("SELECT n FROM stock WHERE id = 1").fetch_one(&mut tx).await.unwrap();
        assert_eq!(take(&mut tx, 77).await.unwrap(), 0);
        tx.commit().await.unwrap();
        world.pool.begin().await.unwrap().rollback().await.unwrap();
    })
    .await;
    assert_eq!((world.coordinator.registrations(), world.undo_rows().await), (0, 0));
}

#[tokio::test]
async fn a_transaction_begins_with_a_statement_of_ones_own() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin_with("BEGIN EXCLUSIVE").await.unwrap();
        sqlx::query("PRAGMA busy_timeout = 0").execute(&world.raw).await.unwrap();
        take(&mut tx, 1).await.unwrap();
        let savepoint = tx.begin_with("BEGIN").await.map(drop);
        assert!(matches!(savepoint, Err(sqlx::Error::InvalidSavePointStatement)), "{savepoint:?}");
        tx.commit().await.unwrap();

        for wrong in ["SELECT 1", "", "BEGIN; SELECT 1", "-- BEGIN"] {
            let begun = world.pool.begin_with(wrong).await.map(drop);
            assert!(matches!(begun, Err(sqlx::Error::BeginFailed)), "{wrong}: {begun:?}");
        }
        let mut connection = world.pool.connection();
        let mut tx = connection.begin_with(" begin immediate ; ").await.unwrap();
        take(&mut tx, 2).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.branches(&xid).len(), 2);
    world.coordinator.rollback(&xid).await;
    assert_eq!(world.dump().await, before);
}

/// Else a read of what is global-committed could be followed by another's change, and that by its question for locks.
#[tokio::test]
async fn a_deferred_transaction_keeps_other_writers_out_from_the_beginning() {
    let world = World::new(SCHEMA).await;
    sqlx::query("PRAGMA busy_timeout = 0").execute(&world.raw).await.unwrap();
    let write = || sqlx::query("UPDATE stock SET n = 0 WHERE id = 1").execute(&world.raw);
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let tx = world.pool.begin_with("BEGIN").await.unwrap();
        let error = write().await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("5"), "{error}");
        tx.rollback().await.unwrap();
    })
    .await;

    let plain = world.pool.begin_with("BEGIN").await.unwrap();
    write().await.expect("outside nobody asks for locks");
    plain.rollback().await.unwrap();

    let blocker = world.raw.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let options = options.busy_timeout(std::time::Duration::from_millis(20));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let pool = seata_sqlx::AtPool::new(pool, world.client.clone()).await.unwrap();
    let mut connection = pool.connection();
    let begun = inside(&xid, async { connection.begin_with("BEGIN").await.map(drop) });
    let error = begun.await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("5"), "{error}");
    blocker.rollback().await.unwrap();
    inside(&xid, async {
        connection.begin_with("BEGIN").await.expect("nothing was left open").rollback().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_left_open_is_taken_up_again() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut connection = world.pool.connection();
        let outer = connection.begin().await.unwrap().leave();
        take(&mut connection, 1).await.unwrap();
        let inner = connection.begin().await.unwrap().leave();
        assert_ne!(outer, inner);
        take(&mut connection, 2).await.unwrap();
        connection.resume(inner).rollback().await.unwrap();
        connection.begin().await.unwrap().leave();
        take(&mut connection, 3).await.unwrap();
        connection.resume(outer).commit().await.unwrap();

        let outer = connection.begin().await.unwrap().leave();
        take(&mut connection, 2).await.unwrap();
        drop(connection.resume(outer));
        world.assert_clean("dropped").await;
    })
    .await;
    assert_eq!(world.coordinator.locks(), ["stock:1", "stock:3"]);
    assert_eq!(world.coordinator.branches(&xid).len(), 1);
}
