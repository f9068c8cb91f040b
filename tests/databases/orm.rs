//! SeaORM's entities in AT mode: what they do on SQLite they do on each database.

#[path = "../../seata-sea-orm/tests/it/entities.rs"]
mod entities;
#[path = "../../seata-sea-orm/tests/it/stories.rs"]
mod stories;

use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectionTrait, DbErr, EntityTrait, IsolationLevel, QuerySelect, Statement, TransactionTrait,
};
use seata::{
    RootContext,
    at::AtError,
    sea_orm::{AtDatabase, AtDatabaseTransaction, at_error},
};
use seata_tests::wait;

use crate::{
    engine::{Engine, on_each_database},
    world::{Options, World},
};
use entities::cake;

/// A bakery in a database of its own.
async fn bakery<E: Engine>() -> (World<E>, AtDatabase)
where
    AtDatabase: From<E::At>,
{
    let world = World::<E>::with("", Options::impatient()).await;
    let db = AtDatabase::from(world.at.clone());
    RootContext::scope(entities::create(&db)).await.expect("the tables");
    (world, db)
}

async fn stories_are_undone_by_a_rollback<E: Engine>()
where
    AtDatabase: From<E::At>,
{
    for (name, story) in stories::STORIES {
        let (world, db) = bakery::<E>().await;
        let before = world.dump().await;
        let told = world.rolled_back(async {
            story(&db).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            world.dump().await
        });
        assert_ne!(told.await, before, "{name}");
        assert_eq!(world.dump().await, before, "{name} is undone");
        world.assert_clean(name).await;
    }
}

async fn stories_are_kept_by_a_commit<E: Engine>()
where
    AtDatabase: From<E::At>,
{
    for (name, story) in stories::STORIES {
        let (world, db) = bakery::<E>().await;
        let told = world.committed(async {
            story(&db).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            world.dump().await
        });
        assert_eq!(told.await, world.dump().await, "{name} is kept");
        world.assert_no_undo_log(name).await;
        world.assert_clean(name).await;
    }
}

async fn rename(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.execute_unprepared("UPDATE cake SET note = 'renamed' WHERE id = 1").await.map(drop)
}

async fn a_locking_read_sees_no_undecided_row<E: Engine>()
where
    AtDatabase: From<E::At>,
{
    let (world, db) = bakery::<E>().await;
    let apple = || cake::Entity::find_by_id(1).lock_exclusive().one(&db);
    let first = world.seata.scope(async {
        let transaction = world.begin_global().await;
        rename(&db).await.unwrap();
        transaction
    });
    let mut first = first.await;
    let error = world.rolled_back(apple()).await.unwrap_err();
    assert!(matches!(at_error(&error), Some(AtError::LockConflict { .. })), "{error}");
    let error = world.rolled_back(db.transaction(|tx| Box::pin(rename(tx)))).await.unwrap_err();
    let sea_orm::TransactionError::Connection(error) = error else { panic!("{error}") };
    assert!(matches!(at_error(&error), Some(AtError::LockConflict { .. })), "{error}");
    world.seata.scope(first.rollback()).await.unwrap();
    assert_eq!(world.rolled_back(apple()).await.unwrap().unwrap().note, None);
}

/// Writes, and sees at what level.
async fn serializable<E: Engine>(tx: &AtDatabaseTransaction) -> Result<(), DbErr> {
    rename(tx).await?;
    let level = match E::NAME {
        "mysql" => {
            "SELECT trx_isolation_level FROM information_schema.innodb_trx \
             WHERE trx_mysql_thread_id = CONNECTION_ID()"
        }
        "postgres" => "SELECT upper(current_setting('transaction_isolation'))",
        // It knows no other.
        _ => "SELECT 'SERIALIZABLE'",
    };
    wait::until("the isolation level", || async {
        let level = Statement::from_string(tx.get_database_backend(), level);
        let row = tx.query_one_raw(level).await.expect("the database tells");
        let Some(row) = row else {
            // MariaDB shows a copy, and makes it anew only when nobody has looked for 100 ms.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return Err("the transaction is not shown");
        };
        assert_eq!(row.try_get_by_index::<String>(0).expect("a text"), "SERIALIZABLE");
        Ok(())
    })
    .await;
    Ok(())
}

/// SQLite refuses what it does not have.
async fn isolation_and_access_are_honoured<E: Engine>()
where
    AtDatabase: From<E::At>,
{
    let (world, db) = bakery::<E>().await;
    let level = Some(IsolationLevel::Serializable);
    let access = Some(AccessMode::ReadWrite);
    let written = db.transaction_with_config(|tx| Box::pin(serializable::<E>(tx)), level, access);
    world.rolled_back(written).await.unwrap();
    let read_only = db.transaction_with_config(|tx| Box::pin(rename(tx)), level, Some(AccessMode::ReadOnly));
    let error = world.rolled_back(read_only).await.unwrap_err().to_string().to_lowercase();
    assert!(error.contains("read only") || error.contains("read-only"), "{error}");
    world.rolled_back(rename(&db)).await.expect("the next one may write again");
}

on_each_database!(
    stories_are_undone_by_a_rollback,
    stories_are_kept_by_a_commit,
    a_locking_read_sees_no_undecided_row,
    isolation_and_access_are_honoured,
);
