//! What cannot be undone is refused with its reason before anything runs, and misuse likewise.

use sea_orm::{
    AccessMode, ConnectionTrait, DbErr, IsolationLevel, RuntimeErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use seata_sea_orm::at_error;
use seata_sqlx::AtError;

use crate::world::{World, outside, rename};

#[tokio::test]
async fn a_statement_that_cannot_be_undone_comes_back_with_the_reason() {
    let world = World::new().await;
    let before = world.dump().await;
    let (open, ()) = world
        .begin(async {
            for sql in [
                "DROP TABLE cake",
                "REPLACE INTO cake (id, name, pieces) VALUES (1, 'x', 1)",
                "UPDATE cake SET id = 7 WHERE id = 1",
                "BEGIN",
                "DELETE FROM cake; DELETE FROM filling",
            ] {
                let raw = || Statement::from_string(world.db.get_database_backend(), sql);
                let alone = world.db.execute_unprepared(sql).await.unwrap_err();
                let tx = world.db.begin().await.unwrap();
                for error in [
                    alone,
                    tx.execute_unprepared(sql).await.unwrap_err(),
                    tx.execute_raw(raw()).await.unwrap_err(),
                    tx.query_all_raw(raw()).await.unwrap_err(),
                ] {
                    assert!(error.to_string().contains(sql), "{error}");
                    match at_error(&error) {
                        Some(AtError::Refused { reason, statement }) => {
                            assert_eq!(statement, sql);
                            assert!(error.to_string().contains(&reason.to_string()), "{error}");
                        }
                        other => panic!("{sql}: {other:?}"),
                    }
                }
                tx.rollback().await.unwrap();
            }
        })
        .await;
    assert_eq!(world.branches(&open.xid()).await, 0);
    open.rollback().await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn errors_of_the_database_come_as_seaorm_has_them() {
    let world = World::new().await;
    let (open, ()) = world
        .begin(async {
            let twice = "INSERT INTO cake (name, pieces) VALUES ('apple', 1)";
            let error = world.db.execute_unprepared(twice).await.unwrap_err();
            assert!(at_error(&error).is_none());
            let unique =
                sea_orm::SqlErr::UniqueConstraintViolation("UNIQUE constraint failed: cake.name".into());
            assert_eq!(error.sql_err(), Some(unique));
            assert!(matches!(error, DbErr::Exec(RuntimeErr::SqlxError(_))), "{error:?}");
            let read = Statement::from_string(world.db.get_database_backend(), "SELECT nothing FROM cake");
            let error = world.db.query_all_raw(read).await.unwrap_err();
            assert!(matches!(error, DbErr::Query(RuntimeErr::SqlxError(_))), "{error:?}");
        })
        .await;
    open.rollback().await;
    world.db.close().await;
    let error = outside(rename(&world.db, 1)).await.unwrap_err();
    assert_eq!(error, DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::ConnectionClosed));
}

#[tokio::test]
async fn options_of_a_transaction_are_honoured_or_refused() {
    let world = World::new().await;
    let read_only = world.db.begin_with_config(None, Some(AccessMode::ReadOnly)).await.unwrap_err();
    assert!(matches!(read_only, DbErr::BackendNotSupported { .. }), "{read_only:?}");
    assert!(read_only.to_string().contains("READ ONLY"), "{read_only}");

    let level = Some(IsolationLevel::RepeatableRead);
    let done =
        world.db.transaction_with_config(|tx| Box::pin(rename(tx, 1)), level, Some(AccessMode::ReadWrite));
    assert_eq!(outside(done).await.unwrap(), 1);

    let exclusive = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Exclusive),
        ..Default::default()
    };
    let tx = outside(world.db.begin_with_options(exclusive)).await.unwrap();
    let mut other = world.raw.acquire().await.unwrap();
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *other).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *other).await.expect_err("the file is taken already");
    let error = outside(tx.begin_with_options(exclusive)).await.unwrap_err();
    assert!(error.to_string().contains("savepoint"), "{error}");
    outside(tx.begin_with_config(level, None)).await.unwrap().commit().await.unwrap();
    outside(tx.commit()).await.unwrap();
}

#[tokio::test]
async fn a_transaction_stays_in_the_global_transaction_it_began_in() {
    let world = World::new().await;
    let before = world.dump().await;
    let (open, tx) = world
        .begin(async {
            let tx = world.db.begin().await.unwrap();
            rename(&tx, 1).await.unwrap();
            tx
        })
        .await;
    let error = outside(rename(&tx, 2)).await.unwrap_err();
    assert!(matches!(at_error(&error), Some(AtError::LeftTransaction { .. })), "{error}");
    let error = open.inside(tx.commit()).await.unwrap_err();
    assert!(matches!(at_error(&error), Some(AtError::AlreadyRolledBack { .. })), "{error}");
    assert_eq!(world.dump().await, before);

    // The context is that of the call, wherever its future is polled.
    let call = open.enter(|| world.db.begin());
    let tx = outside(call).await.unwrap();
    let statement = || Statement::from_string(world.db.get_database_backend(), "UPDATE cake SET pieces = 1");
    let call = open.enter(|| tx.execute_raw(statement()));
    assert_eq!(outside(call).await.unwrap().rows_affected(), 3);
    let call = open.enter(|| tx.commit());
    outside(call).await.unwrap();
    assert_eq!(world.branches(&open.xid()).await, 1);
    open.rollback().await;
    world.settle().await;
    assert_eq!(world.dump().await, before);
}
