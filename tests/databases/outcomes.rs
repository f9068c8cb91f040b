//! What a global transaction of several branches leaves: everything, or nothing.

use std::sync::Arc;

use seata::{BranchStatus, GlobalStatus};

use crate::{
    engine::{Engine, Value, on_each_database},
    world::{Options, World},
};

fn schema<E: Engine>() -> String {
    format!(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, code {} UNIQUE);
         INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, NULL)",
        E::TEXT
    )
}

/// One row changed, removed and made anew, by statements that are a branch each and by local transactions.
async fn change_one_row<E: Engine>(world: &World<E>) {
    for number in 0..3_i64 {
        world.execute("UPDATE t SET n = n + ? WHERE id = 1", &[number.into()]).await.unwrap();
        let mut local = world.begin().await.unwrap();
        for sql in [
            "DELETE FROM t WHERE id = 1",
            "INSERT INTO t VALUES (1, 0, 'z')",
            "UPDATE t SET n = 5 WHERE id = 1",
        ] {
            assert_eq!(E::local_execute(&mut local, sql, &[]).await.unwrap(), 1);
        }
        E::commit(local).await.unwrap();
    }
    world.execute("UPDATE t SET code = 'free' WHERE id = 2", &[]).await.unwrap();
    world.execute("INSERT INTO t VALUES (4, 0, 'b')", &[]).await.unwrap();
    world.execute("DELETE FROM t WHERE id = 1", &[]).await.unwrap();
}

async fn branches_on_one_row_are_undone<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    world
        .rolled_back(async {
            change_one_row(&world).await;
            assert_eq!(world.undo_rows().await, 9);
            assert_eq!(world.locks().await, ["t:1", "t:2", "t:4"]);
        })
        .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the rollback").await;
}

async fn branches_on_one_row_are_kept<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    world.committed(change_one_row(&world)).await;
    world.assert_no_undo_log("after the commit").await;
    assert_eq!(world.number("SELECT count(*) FROM t").await, 3);
    assert_eq!(world.number("SELECT id FROM t WHERE code = 'b'").await, 4);
    world.assert_clean("after the commit").await;
}

/// They differ in what they set alone, so that the rows are asked for in the same words.
async fn statements_with_one_condition_may_have_other_arguments<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    let text = || Value::from("text");
    let mut statements = [
        ("UPDATE t SET n = 5 WHERE id = 1", vec![]),
        ("UPDATE t SET n = n + ? WHERE id = 1", vec![1.into()]),
        ("UPDATE t SET n = n + LENGTH(?) WHERE id = 1", vec![text()]),
        ("UPDATE t SET n = n + ? + LENGTH(?) WHERE id = 1", vec![1.into(), text()]),
    ];
    for _ in 0..2 {
        world
            .rolled_back(async {
                // One connection, which remembers what it has prepared.
                let mut local = world.begin().await.unwrap();
                for (sql, values) in &statements {
                    let done = E::local_execute(&mut local, &E::placed(sql), values).await;
                    assert_eq!(done.unwrap_or_else(|error| panic!("{sql}: {error}")), 1);
                }
                E::commit(local).await.unwrap();
            })
            .await;
        assert_eq!(world.dump().await, before);
        statements.reverse();
    }
    world.assert_clean("after all").await;
}

/// A hundred statements of one local transaction on one row: one branch, one lock.
async fn a_long_transaction_on_one_row_is_undone<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    world
        .rolled_back(async {
            let mut local = world.begin().await.unwrap();
            for number in 0..100_i64 {
                let sql = E::placed("UPDATE t SET n = n * 2 - ?, code = ? WHERE id = 1");
                let code = format!("code {number}");
                let values = [(number % 7).into(), code.into()];
                // The numbers stay small enough for the column.
                E::local_execute(&mut local, "UPDATE t SET n = 1 WHERE id = 1", &[]).await.unwrap();
                assert_eq!(E::local_execute(&mut local, &sql, &values).await.unwrap(), 1);
            }
            E::commit(local).await.unwrap();
            assert_eq!(world.undo_rows().await, 1);
            assert_eq!(world.locks().await, ["t:1"]);
        })
        .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the rollback").await;
}

async fn what_a_savepoint_took_back_is_neither_logged_nor_locked<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    world
        .rolled_back(async {
            let mut local = world.begin().await.unwrap();
            E::local_execute(&mut local, "UPDATE t SET n = 11 WHERE id = 1", &[]).await.unwrap();
            for _ in 0..2 {
                let mut savepoint = E::nested(&mut local).await.unwrap();
                E::local_execute(&mut savepoint, "DELETE FROM t WHERE id = 2", &[]).await.unwrap();
                E::rollback(savepoint).await.unwrap();
            }
            let mut savepoint = E::nested(&mut local).await.unwrap();
            E::local_execute(&mut savepoint, "UPDATE t SET n = 31 WHERE id = 3", &[]).await.unwrap();
            let mut inner = E::nested(&mut savepoint).await.unwrap();
            E::local_execute(&mut inner, "UPDATE t SET n = 21 WHERE id = 2", &[]).await.unwrap();
            drop(inner);
            E::commit(savepoint).await.unwrap();
            E::commit(local).await.unwrap();
            assert_eq!(world.locks().await, ["t:1", "t:3"]);
            assert_eq!(
                E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(),
                [11, 20, 31]
            );
        })
        .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the rollback").await;
}

/// A local rollback leaves nothing to the coordinator.
async fn a_local_rollback_is_no_branch<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    world
        .committed(async {
            let mut local = world.begin().await.unwrap();
            E::local_execute(&mut local, "UPDATE t SET n = 0", &[]).await.unwrap();
            E::rollback(local).await.unwrap();
            let mut dropped = world.begin().await.unwrap();
            E::local_execute(&mut dropped, "DELETE FROM t", &[]).await.unwrap();
            drop(dropped);
            assert!(world.locks().await.is_empty());
        })
        .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after the commit").await;
}

async fn two_databases_are_rolled_back_together<E: Engine>() {
    let first = World::<E>::new(&schema::<E>()).await;
    let second = first.beside(&schema::<E>()).await;
    let before = (first.dump().await, second.dump().await);
    for (commits, n) in [(false, 10), (true, 11)] {
        let work = async {
            first.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]).await.unwrap();
            second.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]).await.unwrap();
            assert_eq!(first.locks().await, ["t:1", "t:1"]);
        };
        if commits {
            first.committed(work).await;
        } else {
            first.rolled_back(work).await;
            assert_eq!((first.dump().await, second.dump().await), before);
        }
        for world in [&first, &second] {
            assert_eq!(world.number("SELECT n FROM t WHERE id = 1").await, n);
            world.assert_clean("in the end").await;
        }
    }
}

/// Somebody changes a row past AT mode: nothing of the transaction is undone there, and an operator is told.
async fn a_dirty_row_leaves_everything_as_it_is<E: Engine>() {
    let world = World::<E>::with(&schema::<E>(), Options::default()).await;
    let ended = world.seata.scope(async {
        let mut transaction = world.begin_global().await;
        world.execute("UPDATE t SET n = n + 1 WHERE id < 3", &[]).await.unwrap();
        world.script("UPDATE t SET n = 99 WHERE id = 2").await;
        let status = transaction.rollback().await;
        (transaction.xid().clone(), status)
    });
    let (xid, status) = ended.await;
    assert_ne!(status, Ok(GlobalStatus::Rollbacked));
    seata_tests::wait::until("the transaction to be parked", || async {
        let parked = world.coordinator().parked().await.expect("the coordinator runs");
        let [view] = &parked[..] else { return Err(format!("{parked:?}")) };
        assert_eq!(view.snapshot.transaction.xid, xid);
        let branch = BranchStatus::PhaseTwoRollbackFailedUnretryable;
        let reason = format!("{:?}", view.reason);
        assert!(reason.contains("t:2") || reason.contains("dirty"), "{branch:?}: {reason}");
        Ok(())
    })
    .await;
    assert_eq!(E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(), [11, 99, 30]);
    assert_eq!(world.undo_rows().await, 1);

    // Put right by hand, it goes on.
    world.script("UPDATE t SET n = 21 WHERE id = 2").await;
    assert_eq!(world.coordinator().retry(&xid).await, Ok(true));
    world.assert_clean("after it was put right").await;
    assert_eq!(E::raw_numbers(&world.raw, "SELECT n FROM t ORDER BY id").await.unwrap(), [10, 20, 30]);
}

/// What is known of a table is looked at anew when the table changes.
async fn a_column_added_in_between_is_seen<E: Engine>() {
    let world = World::<E>::new(&schema::<E>()).await;
    world.rolled_back(world.execute("UPDATE t SET n = n + 1", &[])).await.unwrap();
    world.script("ALTER TABLE t ADD COLUMN extra BIGINT DEFAULT 5").await;
    world.script("UPDATE t SET extra = id").await;
    let before = world.dump().await;
    for sql in [
        "DELETE FROM t",
        "UPDATE t SET extra = extra + 1 WHERE id = 1",
        "INSERT INTO t (id, n) VALUES (9, 9)",
        "INSERT INTO t VALUES (8, 8, 'h', 8)",
    ] {
        world.rolled_back(world.execute(sql, &[])).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(world.dump().await, before, "{sql}");
    }
    world.script("ALTER TABLE t DROP COLUMN extra").await;
    let before = world.dump().await;
    world.rolled_back(world.execute("DELETE FROM t WHERE id < 3", &[])).await.unwrap();
    assert_eq!(world.dump().await, before);
    world.assert_clean("in the end").await;
}

/// Many at once on a table that nobody knows yet.
async fn the_first_statements_may_come_all_at_once<E: Engine>() {
    let rows: Vec<String> = (1..=16).map(|id| format!("({id}, {id}, NULL)")).collect();
    let schema = schema::<E>().replace("(1, 10, 'a'), (2, 20, 'b'), (3, 30, NULL)", &rows.join(", "));
    let world = Arc::new(World::<E>::with(&schema, Options::patient()).await);
    let before = world.dump().await;
    let mut writers = tokio::task::JoinSet::new();
    for id in 1..=16_i64 {
        let world = world.clone();
        writers.spawn(async move {
            let values = [id.into()];
            let update = world.execute("UPDATE t SET n = 0 - n WHERE id = ?", &values);
            assert_eq!(world.rolled_back(update).await.unwrap(), 1);
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    assert_eq!(world.dump().await, before);
    world.assert_clean("in the end").await;
}

on_each_database!(
    a_column_added_in_between_is_seen,
    the_first_statements_may_come_all_at_once,
    branches_on_one_row_are_undone,
    branches_on_one_row_are_kept,
    statements_with_one_condition_may_have_other_arguments,
    a_long_transaction_on_one_row_is_undone,
    what_a_savepoint_took_back_is_neither_logged_nor_locked,
    a_local_rollback_is_no_branch,
    two_databases_are_rolled_back_together,
    a_dirty_row_leaves_everything_as_it_is,
);
