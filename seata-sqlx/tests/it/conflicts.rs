//! Rows that another global transaction holds.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use seata_context::{LockRetry, run_with_global_lock};
use seata_sqlx::AtError;
use sqlx::Sqlite;

use crate::world::{World, inside, outside};

const SCHEMA: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
    INSERT INTO account VALUES (1, 100), (2, 100), (3, 100)";

fn is_conflict(error: &sqlx::Error) -> bool {
    matches!(AtError::from_sqlx(error), Some(AtError::LockConflict { .. }))
}

fn take(id: i64) -> sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query("UPDATE account SET money = money - 1 WHERE id = ?").bind(id)
}

#[tokio::test]
async fn a_statement_waits_for_the_row_and_sees_what_its_holder_left() {
    let world = World::new(SCHEMA).await;
    let holder = world.coordinator.hold(world.lock("account", "1"));
    let xid = world.coordinator.begin();
    let release = async {
        while world.coordinator.registrations() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sqlx::query("UPDATE account SET money = 50 WHERE id = 1").execute(&world.raw).await.unwrap();
        world.coordinator.release(&holder);
    };
    let (updated, ()) = tokio::join!(inside(&xid, take(1).execute(&world.pool)), release);
    updated.unwrap();
    world.coordinator.rollback(&xid).await;
    let money: i64 =
        sqlx::query_scalar("SELECT money FROM account WHERE id = 1").fetch_one(&world.raw).await.unwrap();
    assert_eq!(money, 50, "the image must be the one of the last try");
}

#[tokio::test]
async fn a_statement_gives_up_after_the_tries_it_is_set_to() {
    let world = World::with(SCHEMA, 2, |builder| builder.lock_retry(Duration::from_millis(1), 4)).await;
    let before = world.dump().await;
    let holder = world.coordinator.hold(world.lock("account", "1"));
    let xid = world.coordinator.begin();
    let error = inside(&xid, take(1).execute(&world.pool)).await.unwrap_err();
    match AtError::from_sqlx(&error) {
        Some(AtError::LockConflict { row, holder: by, attempts, .. }) => {
            assert!(row.starts_with("account:1 in jdbc:sqlite:/"), "{row}");
            assert_eq!((by.as_str(), *attempts), (holder.as_str(), 5));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.coordinator.registrations(), 5);
    assert!(world.coordinator.reports().is_empty(), "nothing was registered, so nothing is reported");
    assert_eq!(world.dump().await, before);
    world.assert_clean("after giving up").await;
}

/// Whoever waits for a row must not keep others from the file.
#[tokio::test]
async fn the_file_is_free_while_a_row_is_waited_for() {
    let world = World::with(SCHEMA, 2, |builder| builder.lock_retry(Duration::from_millis(800), 1)).await;
    world.coordinator.hold(world.lock("account", "1"));
    let (waiting, other) = (world.coordinator.begin(), world.coordinator.begin());
    let began = Instant::now();
    let write = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        inside(&other, take(2).execute(&world.pool)).await.unwrap();
        began.elapsed()
    };
    let (given_up, written) = tokio::join!(inside(&waiting, take(1).execute(&world.pool)), write);
    assert!(is_conflict(&given_up.unwrap_err()));
    assert!(written < Duration::from_millis(700), "the other row took {written:?}");
}

#[tokio::test]
async fn a_transaction_gets_the_conflict_at_once_and_is_rolled_back() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    world.coordinator.hold(world.lock("account", "2"));
    let xid = world.coordinator.begin();
    let error = inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        take(1).execute(&mut tx).await.unwrap();
        take(2).execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap_err()
    })
    .await;
    assert!(is_conflict(&error), "{error}");
    assert_eq!(world.coordinator.registrations(), 1);
    assert_eq!(world.coordinator.locks(), ["account:2"]);
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the conflict").await;
}

/// A takes 1 then 2, B takes 2 then 1: both cannot succeed, and neither hangs.
#[tokio::test]
async fn transfers_that_cross_end_within_one_lock_wait() {
    let world = World::new(SCHEMA).await;
    let transfer = |from: i64, to: i64| {
        let xid = world.coordinator.begin();
        let world = &world;
        async move {
            let done = inside(&xid, async {
                take(from).execute(&world.pool).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
                sqlx::query("UPDATE account SET money = money + 1 WHERE id = ?")
                    .bind(to)
                    .execute(&world.pool)
                    .await
            });
            match done.await {
                Ok(_) => assert_eq!(world.coordinator.commit(&xid).await.len(), 2),
                Err(error) => {
                    assert!(is_conflict(&error), "{error}");
                    world.coordinator.rollback(&xid).await;
                }
            }
        }
    };
    let began = Instant::now();
    tokio::join!(transfer(1, 2), transfer(2, 1));
    // 30 tries 10 ms apart and the work itself, on however busy a machine.
    assert!(began.elapsed() < Duration::from_millis(3000), "{:?}", began.elapsed());
    let sum: i64 = sqlx::query_scalar("SELECT sum(money) FROM account").fetch_one(&world.raw).await.unwrap();
    assert_eq!(sum, 300);
    assert!(world.coordinator.locks().is_empty());
    assert_eq!(world.undo_rows().await, 0);
}

#[tokio::test]
async fn a_branch_that_is_not_taken_is_rolled_back_locally() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    world.coordinator.refuses.store(true, Ordering::Relaxed);
    let xid = world.coordinator.begin();
    let error = inside(&xid, take(1).execute(&world.pool)).await.unwrap_err();
    assert!(matches!(AtError::from_sqlx(&error), Some(AtError::Registration { .. })), "{error}");
    assert_eq!(world.coordinator.registrations(), 1);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_busy_file_is_told_apart_from_a_held_row() {
    let world = World::new(SCHEMA).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(world.path())
        .busy_timeout(Duration::from_millis(20));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let pool = seata_sqlx::AtPool::new(pool, world.client.clone()).await.unwrap();
    let blocker = world.raw.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let xid = world.coordinator.begin();
    let error = inside(&xid, take(1).execute(&pool)).await.unwrap_err();
    assert!(AtError::from_sqlx(&error).is_none(), "{error}");
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("5"));
    blocker.rollback().await.unwrap();
    inside(&xid, take(1).execute(&pool)).await.unwrap();
}

#[tokio::test]
async fn a_global_lock_asks_before_it_commits_and_logs_nothing() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let holder = world.coordinator.hold(world.lock("account", "1"));
    let retry = LockRetry { interval: Some(Duration::from_millis(1)), times: Some(3) };
    let error = run_with_global_lock(retry, take(1).execute(&world.pool)).await.unwrap_err();
    assert!(matches!(AtError::from_sqlx(&error), Some(AtError::LockConflict { attempts: 4, .. })), "{error}");
    let in_transaction = async {
        let mut tx = world.pool.begin().await.unwrap();
        take(1).execute(&mut tx).await.unwrap();
        tx.commit().await
    };
    let error = run_with_global_lock(retry, in_transaction).await.unwrap_err();
    assert!(is_conflict(&error), "{error}");
    assert_eq!(world.dump().await, before);
    world.coordinator.release(&holder);
    run_with_global_lock(retry, take(1).execute(&world.pool)).await.unwrap();
    assert_ne!(world.dump().await, before);
    assert_eq!((world.coordinator.registrations(), world.undo_rows().await), (0, 0));
}

#[tokio::test]
async fn a_committed_read_waits_for_the_holder_of_its_rows() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, take(1).execute(&world.pool)).await.unwrap();
    let read = |id: i64| {
        let query = sqlx::query_scalar::<_, i64>("SELECT money FROM account WHERE id = ?").bind(id);
        query.fetch_one(world.pool.global_committed())
    };
    assert_eq!(outside(read(2)).await.unwrap(), 100, "another row is free");
    assert_eq!(inside(&xid, read(1)).await.unwrap(), 99, "the holder itself sees its change");
    let undo = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        world.coordinator.rollback(&xid).await;
    };
    let (money, _) = tokio::join!(outside(read(1)), undo);
    assert_eq!(money.unwrap(), 100, "the undecided 99 must not be seen");

    let other = world.coordinator.begin();
    let held = inside(&other, async {
        let mut tx = world.pool.begin().await.unwrap();
        let query = sqlx::query_scalar::<_, i64>("SELECT money FROM account WHERE id = 1");
        assert_eq!(query.fetch_one(tx.global_committed()).await.unwrap(), 100);
        take(2).execute(&mut tx).await.unwrap();
        world.coordinator.hold(world.lock("account", "3"));
        let query = sqlx::query_scalar::<_, i64>("SELECT money FROM account WHERE id = 3");
        query.fetch_one(tx.global_committed()).await.unwrap_err()
    });
    assert!(is_conflict(&held.await), "a transaction holds the file and may not wait");
    let mut connection = world.pool.connection();
    let free = sqlx::query_scalar::<_, i64>("SELECT money FROM account WHERE id = 2");
    assert_eq!(outside(free.fetch_one(connection.global_committed())).await.unwrap(), 100);
    let mut tx = outside(world.pool.begin()).await.unwrap();
    let plain = sqlx::query_scalar::<_, i64>("SELECT money FROM account WHERE id = 2");
    let error = outside(plain.fetch_one(tx.global_committed())).await.unwrap_err();
    assert!(error.to_string().contains("on the pool"), "{error}");
    drop(tx);

    let sum = sqlx::query_scalar::<_, i64>("SELECT sum(money) FROM account");
    let error = outside(sum.fetch_one(world.pool.global_committed())).await.unwrap_err();
    assert!(is_conflict(&error), "{error}");
    let joined =
        sqlx::query("SELECT 1 FROM account a JOIN account b").fetch_all(world.pool.global_committed());
    let error = outside(joined).await.unwrap_err();
    assert!(matches!(AtError::from_sqlx(&error), Some(AtError::Refused { .. })), "{error}");
}

/// As the error says.
#[tokio::test]
async fn a_transaction_whose_locks_cannot_be_looked_at_is_rolled_back() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        take(1).execute(&mut tx).await.unwrap();
        world.coordinator.refuses.store(true, Ordering::Relaxed);
        let read = sqlx::query("SELECT money FROM account WHERE id = 2").fetch_one(tx.global_committed());
        let error = read.await.unwrap_err();
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::LockQuery(_))), "{error}");
        world.coordinator.refuses.store(false, Ordering::Relaxed);
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::AlreadyRolledBack { .. })), "{error}");
    })
    .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the question failed").await;
}

/// All reads of a global transaction, without a word in the queries.
#[tokio::test]
async fn a_data_source_may_read_only_what_is_committed() {
    let world = World::new(SCHEMA).await;
    let holder = world.coordinator.begin();
    inside(&holder, take(1).execute(&world.pool)).await.unwrap();
    let pool = world.pool.reading_committed();
    let money = || sqlx::query_scalar::<_, i64>("SELECT money FROM account WHERE id = 1");

    let reader = world.coordinator.begin();
    assert_eq!(inside(&reader, money().fetch_one(&world.pool)).await.unwrap(), 99, "as it always was");
    assert!(is_conflict(&inside(&reader, money().fetch_one(&pool)).await.unwrap_err()));
    let undo = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        world.coordinator.rollback(&holder).await;
    };
    let (seen, _) = tokio::join!(inside(&reader, money().fetch_one(&pool)), undo);
    assert_eq!(seen.unwrap(), 100);

    world.coordinator.hold(world.lock("account", "1"));
    assert_eq!(
        outside(money().fetch_one(&pool)).await.unwrap(),
        100,
        "outside of any transaction nothing waits"
    );
    inside(&reader, async {
        let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&pool).await.unwrap();
        assert_eq!(one, 1, "no row is read");
        let mut tx = pool.begin().await.unwrap();
        let mut savepoint = tx.begin().await.unwrap();
        assert!(is_conflict(&money().fetch_one(&mut savepoint).await.unwrap_err()));
        drop(savepoint);
        drop(tx);
        let joined = sqlx::query("SELECT 1 FROM account a JOIN account b").fetch_all(&pool).await;
        let error = joined.unwrap_err();
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::Refused { .. })), "{error}");
    })
    .await;
}

/// A number in ORDER BY counts what is read, which is not what the locks are asked for by.
#[tokio::test]
async fn a_committed_read_that_orders_by_place_asks_for_its_own_rows() {
    let world = World::new(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, money); INSERT INTO account VALUES (1, 30), (2, 20), (3, 10)",
    )
    .await;
    world.coordinator.hold(world.lock("account", "3"));
    for sql in [
        "SELECT money FROM account ORDER BY 1 LIMIT 1",
        "SELECT money FROM account ORDER BY (1) LIMIT 1",
        "SELECT money FROM account ORDER BY 1 COLLATE BINARY LIMIT 1",
        "SELECT id, money FROM account ORDER BY 2 LIMIT 1",
        "SELECT money FROM account ORDER BY money LIMIT 1",
    ] {
        let read = sqlx::query(sql).fetch_all(world.pool.global_committed());
        let read = run_with_global_lock(
            LockRetry { interval: Some(Duration::from_millis(1)), times: Some(1) },
            read,
        );
        let error = read.await.map(|rows| rows.len()).expect_err(sql);
        assert!(is_conflict(&error), "{sql}: {error}");
    }
}

/// What one unique key holds to be equal is one row to all transactions.
#[tokio::test]
async fn keys_that_are_equal_to_the_table_are_one_lock() {
    for (column, first, again) in [
        ("k TEXT COLLATE NOCASE PRIMARY KEY", "'aé'", "'Aé'"),
        ("k TEXT COLLATE RTRIM PRIMARY KEY", "'a'", "'a  '"),
        ("k TEXT, x DEFAULT 1, PRIMARY KEY (x, k COLLATE NOCASE)", "'a'", "'A'"),
        ("k TEXT COLLATE NOCASE, PRIMARY KEY (k)", "'a'", "'A'"),
        ("k PRIMARY KEY", "1", "1.0"),
        ("k PRIMARY KEY", "-0.0", "0"),
        ("k NUMERIC PRIMARY KEY", "9007199254740992", "9007199254740992.0"),
        ("k REAL PRIMARY KEY", "7", "7.0"),
    ] {
        for rowid in ["", " WITHOUT ROWID"] {
            let schema = format!("CREATE TABLE t ({column}){rowid}; INSERT INTO t (k) VALUES ({first})");
            let world = World::with(&schema, 2, |builder| builder.lock_retry(Duration::ZERO, 0)).await;
            let before = world.dump().await;
            let xid = world.coordinator.begin();
            inside(&xid, sqlx::query("DELETE FROM t").execute(&world.pool)).await.unwrap();
            let insert = format!("INSERT INTO t (k) VALUES ({again})");
            let other = world.coordinator.begin();
            let insert = sqlx::query(sqlx::AssertSqlSafe(insert.clone())).execute(&world.pool);
            let error = inside(&other, insert).await.expect_err(column);
            assert!(is_conflict(&error), "{column}: {error}");
            world.coordinator.rollback(&xid).await;
            assert_eq!(world.dump().await, before, "{column}");
        }
    }
}

#[tokio::test]
async fn the_coordinator_is_told_how_the_branch_came_about() {
    use seata_context::{LockStrategy, OnError, TransactionError, TransactionOptions};
    let world = World::new(SCHEMA).await;
    let data = std::sync::Mutex::new(Vec::new());
    for strategy in [LockStrategy::Pessimistic, LockStrategy::Optimistic] {
        let options = TransactionOptions::new("t").client(world.client.clone()).lock_strategy(strategy);
        let body = async {
            let xid = seata_context::RootContext::xid().unwrap();
            take(1).execute(&world.pool).await.unwrap();
            let mut tx = world.pool.begin().await.unwrap();
            take(2).execute(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
            let branches = world.coordinator.branches(&xid);
            data.lock().unwrap().extend(branches.into_iter().map(|(_, branch)| branch.application_data));
            Ok::<_, TransactionError>(())
        };
        seata_context::run(options, |_| OnError::Rollback, body).await.unwrap();
    }
    let expected = [
        "",
        r#"{"autoCommit":false}"#,
        r#"{"skipCheckLock":true}"#,
        r#"{"autoCommit":false,"skipCheckLock":true}"#,
    ];
    assert_eq!(*data.lock().unwrap(), expected);
}
