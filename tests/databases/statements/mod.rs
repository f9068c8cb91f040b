//! Every form of statement, rolled back, committed, and beside the same without a global transaction.

mod mysql;
mod postgres;
mod sqlite;

use seata::at::AtError;

use crate::{
    engine::{Engine, on_each_database},
    world::World,
};

/// A database's own tables and statements.
pub(crate) trait Statements: Engine {
    const SCHEMA: &'static str;
    /// Each is undone exactly.
    const UNDONE: &'static [&'static str];
    /// Each is refused before anything has run.
    const REFUSED: &'static [&'static str];
    /// Each changes nothing, and passes.
    const PASSED: &'static [&'static str];
}

async fn what_is_rolled_back_was_never_there<E: Statements>() {
    let world = World::<E>::new(E::SCHEMA).await;
    let before = world.dump().await;
    let mut wrong = Vec::new();
    for sql in E::UNDONE {
        let changed = world.rolled_back(async {
            world.execute(sql, &[]).await?;
            Ok::<_, sqlx::Error>(world.dump().await)
        });
        match changed.await {
            Ok(changed) if changed == before => wrong.push(format!("{sql} does nothing, and proves nothing")),
            Ok(_) => {}
            Err(error) => wrong.push(format!("{sql}: {error}")),
        }
        assert_eq!(world.dump().await, before, "{sql}");
        assert_eq!(world.number("SELECT count(*) FROM undo_log").await, 0, "{sql}");
    }
    world.assert_clean("after all").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Also with rows that the transaction has changed already, and those that are gone.
async fn all_in_one_local_transaction_are_undone<E: Statements>() {
    let world = World::<E>::new(E::SCHEMA).await;
    let before = world.dump().await;
    let mut wrong = Vec::new();
    let work = async {
        let mut local = world.begin().await.unwrap();
        for sql in E::UNDONE {
            let mut savepoint = E::nested(&mut local).await.unwrap();
            match E::local_execute(&mut savepoint, sql, &[]).await {
                Ok(_) => E::commit(savepoint).await.unwrap(),
                // What an earlier statement has inserted is there.
                Err(error) => {
                    if !error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
                        wrong.push(format!("{sql}: {error}"));
                    }
                    E::rollback(savepoint).await.unwrap();
                }
            }
        }
        E::commit(local).await.unwrap();
        assert_eq!(world.undo_rows().await, 1);
    };
    world.rolled_back(work).await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The same rows, the same count of them, and no undo log.
async fn what_is_committed_is_as_without_a_transaction<E: Statements>() {
    let world = World::<E>::new(E::SCHEMA).await;
    let plain = world.beside(E::SCHEMA).await;
    let mut wrong = Vec::new();
    // The clock tells two of them apart.
    for sql in E::UNDONE.iter().filter(|sql| !sql.contains("stamped")) {
        let affected = world.committed(world.execute(sql, &[])).await.map_err(|error| error.to_string());
        let expected = plain.seata.scope(plain.execute(sql, &[])).await.map_err(|error| error.to_string());
        let (found, plainly) = (world.dump().await, plain.dump().await);
        if affected != expected || found != plainly {
            let found: Vec<_> = found.iter().filter(|row| !plainly.contains(row)).collect();
            wrong.push(format!("{sql}: {affected:?} in place of {expected:?}; {found:?}"));
        }
        world.assert_no_undo_log(sql).await;
        for world in [&world, &plain] {
            world.reset(E::SCHEMA).await;
        }
    }
    world.assert_clean("after all").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn what_cannot_be_undone_is_refused_beforehand<E: Statements>() {
    let world = World::<E>::new(E::SCHEMA).await;
    let before = world.dump().await;
    let mut wrong = Vec::new();
    for sql in E::REFUSED {
        let refused = world.rolled_back(async {
            let refused = world.execute(sql, &[]).await;
            assert_eq!(world.undo_rows().await, 0, "{sql}");
            assert!(world.locks().await.is_empty(), "{sql}");
            refused
        });
        match refused.await {
            Ok(_) => wrong.push(format!("{sql} was run")),
            Err(error) => match AtError::from_sqlx(&error) {
                Some(AtError::Refused { .. }) => println!("{}: {error}", E::NAME),
                _ => wrong.push(format!("{sql}: {error}")),
            },
        }
        assert_eq!(world.dump().await, before, "{sql}");
    }
    world.assert_clean("after all").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn what_only_reads_passes<E: Statements>() {
    let world = World::<E>::new(E::SCHEMA).await;
    let before = world.dump().await;
    let mut wrong = Vec::new();
    for sql in E::PASSED {
        let passed = world.rolled_back(async {
            let passed = world.execute(sql, &[]).await;
            assert!(world.locks().await.is_empty(), "{sql}");
            passed
        });
        if let Err(error) = passed.await {
            wrong.push(format!("{sql}: {error}"));
        }
    }
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

on_each_database!(
    what_is_rolled_back_was_never_there,
    all_in_one_local_transaction_are_undone,
    what_is_committed_is_as_without_a_transaction,
    what_cannot_be_undone_is_refused_beforehand,
    what_only_reads_passes,
);
