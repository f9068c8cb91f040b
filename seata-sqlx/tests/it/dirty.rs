//! Rows that somebody wrote behind the back of their locks, and who decides about them.

use std::sync::{Arc, Mutex};

use seata_context::BranchAnswer;
use seata_protocol::BranchStatus;
use seata_sqlx::{DirtyChoice, undo::Value};
use sqlx::AssertSqlSafe;

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, other);
    INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c');";

/// A world that decides so about dirty rows, and what it was asked.
async fn deciding(choice: DirtyChoice) -> (World, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let world = World::with(SCHEMA, 2, |builder| {
        builder.on_dirty_row(move |row| {
            seen.lock().unwrap().push(row.to_string());
            choice
        })
    });
    (world.await, asked)
}

async fn run(world: &World, sql: &str) {
    sqlx::query(AssertSqlSafe(sql)).execute(&world.raw).await.unwrap();
}

/// Changes all rows, makes some of them dirty, and rolls back.
async fn dirtied(world: &World, change: &str, dirt: &str) -> BranchAnswer {
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query(AssertSqlSafe(change)).execute(&world.pool)).await.unwrap();
    run(world, dirt).await;
    world.coordinator.rollback(&xid).await.remove(0)
}

async fn rows(world: &World) -> Vec<(i64, Option<i64>)> {
    sqlx::query_as("SELECT id, n FROM t ORDER BY id").fetch_all(&world.raw).await.unwrap()
}

#[tokio::test]
async fn a_forced_row_becomes_what_it_was() {
    for (change, dirt) in [
        ("UPDATE t SET n = 11", "UPDATE t SET n = 99 WHERE id = 2"),
        ("DELETE FROM t WHERE id < 3", "INSERT INTO t VALUES (2, 99, 'b')"),
        ("INSERT INTO t VALUES (4, 1, 1), (5, 1, 1)", "UPDATE t SET n = 99 WHERE id = 5"),
    ] {
        let (world, asked) = deciding(DirtyChoice::Force).await;
        assert_eq!(dirtied(&world, change, dirt).await, BranchAnswer::rollbacked(), "{change}");
        assert_eq!(rows(&world).await, [(1, Some(10)), (2, Some(20)), (3, Some(30))], "{change}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{change}");
        assert_eq!(world.undo_rows().await, 0);
        assert!(world.coordinator.locks().is_empty());
    }
}

#[tokio::test]
async fn a_skipped_row_stays_and_the_others_are_undone() {
    for (change, dirt, left) in [
        (
            "UPDATE t SET n = 11",
            "UPDATE t SET n = 99 WHERE id = 2",
            vec![(1, Some(10)), (2, Some(99)), (3, Some(30))],
        ),
        ("UPDATE t SET n = 11", "DELETE FROM t WHERE id = 2", vec![(1, Some(10)), (3, Some(30))]),
        (
            "DELETE FROM t WHERE id < 3",
            "INSERT INTO t VALUES (2, 99, 'b')",
            vec![(1, Some(10)), (2, Some(99)), (3, Some(30))],
        ),
    ] {
        let (world, _) = deciding(DirtyChoice::Skip).await;
        assert_eq!(dirtied(&world, change, dirt).await, BranchAnswer::rollbacked(), "{change}");
        assert_eq!(rows(&world).await, left, "{change}");
        assert_eq!(world.undo_rows().await, 0);
    }
}

/// The image of an UPDATE holds the columns that it set: a row cannot be made of them.
#[tokio::test]
async fn a_row_that_is_gone_is_not_forced_from_half_an_image() {
    let (world, _) = deciding(DirtyChoice::Force).await;
    let answer = dirtied(&world, "UPDATE t SET n = 11 WHERE id = 2", "DELETE FROM t WHERE id = 2").await;
    assert_eq!(answer.status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
    assert!(answer.reason.contains("id=2 of table t is gone"), "{}", answer.reason);
    assert_eq!(rows(&world).await, [(1, Some(10)), (3, Some(30))]);
}

#[tokio::test]
async fn all_dirty_rows_are_told_with_their_three_values() {
    let (world, asked) = deciding(DirtyChoice::Park).await;
    let answer = dirtied(&world, "UPDATE t SET n = 11, other = 'x'", "UPDATE t SET n = id").await;
    for told in
        ["id=1 of table t, column n: before 10, after 11, now 1", "column n: before 30, after 11, now 3"]
    {
        assert!(answer.reason.contains(told), "{}", answer.reason);
    }
    assert!(!answer.reason.contains("other"), "it has not changed since: {}", answer.reason);
    assert_eq!(asked.lock().unwrap().len(), 3);
    assert_eq!(rows(&world).await, [(1, Some(1)), (2, Some(2)), (3, Some(3))]);
}

/// The rows themselves can be looked at.
#[tokio::test]
async fn who_decides_sees_the_values() {
    let world = World::with(SCHEMA, 2, |builder| {
        builder.on_dirty_row(|row| match row.current.as_ref().and_then(|now| now.value("n")) {
            Some(Value::Long(0..100)) => DirtyChoice::Force,
            _ => DirtyChoice::Skip,
        })
    });
    let world = world.await;
    let dirt = "UPDATE t SET n = CASE id WHEN 1 THEN 99 ELSE 100 END WHERE id < 3";
    assert_eq!(dirtied(&world, "UPDATE t SET n = 11", dirt).await, BranchAnswer::rollbacked());
    assert_eq!(rows(&world).await, [(1, Some(10)), (2, Some(100)), (3, Some(30))]);
}
