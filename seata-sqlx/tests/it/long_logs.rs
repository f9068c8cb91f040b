//! Undo logs that are compressed, or go into several rows.

use seata_context::BranchAnswer;
use seata_protocol::{BranchStatus, Xid};
use seata_sqlx::{AtError, AtPool, AtPoolBuilder};
use sqlx::{AssertSqlSafe, Sqlite, SqlitePool, sqlite::SqliteConnectOptions};

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB);
    INSERT INTO t VALUES (1, randomblob(4000)), (2, randomblob(4000)), (3, zeroblob(4000))";

#[tokio::test]
async fn a_log_above_the_threshold_is_compressed() {
    let world = World::with(SCHEMA, 2, |builder| builder.compress_undo_logs_above(10_000)).await;
    let before = world.dump().await;
    let xid = change(&world, "UPDATE t SET b = x'00'").await;
    assert_eq!(contexts(&world).await, ["serializer=jackson&compressorType=ZIP"]);
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_log_of_many_rows_is_undone() {
    let world = World::new("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)").await;
    run(
        &world,
        "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 10000) INSERT INTO t \
         SELECT id, hex(randomblob(20)) FROM n",
    )
    .await;
    let before = world.dump().await;
    let xid = change(&world, "UPDATE t SET b = b || 'x'").await;
    assert_eq!(contexts(&world).await, ["serializer=jackson&compressorType=ZIP"]);
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_log_in_several_rows_is_undone_and_goes_as_a_whole() {
    let world = World::with(SCHEMA, 2, in_pieces).await;
    let before = world.dump().await;
    let xid = change(&world, "UPDATE t SET b = x'00'").await;
    let contexts = contexts(&world).await;
    assert_eq!(contexts.iter().filter(|context| context.starts_with("branchId=")).count(), 5, "{contexts:?}");
    assert!(contexts.iter().any(|context| context.starts_with("subId=-")), "{contexts:?}");
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!((world.dump().await, world.undo_rows().await), (before, 0));
}

#[tokio::test]
async fn a_commit_deletes_the_rows_of_its_branches_and_no_others() {
    let world = World::with(SCHEMA, 2, in_pieces).await;
    let done = change(&world, "UPDATE t SET b = x'00' WHERE id = 1").await;
    let open = change(&world, "UPDATE t SET b = x'00' WHERE id = 2").await;
    let before = world.undo_rows().await;
    assert!(before >= 4, "{before} rows");
    assert_eq!(world.coordinator.commit(&done).await, [BranchAnswer::committed()]);
    let of_others: i64 = sqlx::query_scalar("SELECT count(*) FROM undo_log WHERE xid <> ?")
        .bind(open.to_string())
        .fetch_one(&world.raw)
        .await
        .unwrap();
    assert_eq!((of_others, world.undo_rows().await), (0, before / 2));
    assert_eq!(world.coordinator.rollback(&open).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.undo_rows().await, 0);
}

/// Phase two may come to a process that writes no such logs itself.
#[tokio::test]
async fn a_log_in_several_rows_goes_as_a_whole_whoever_commits() {
    let world = World::with(SCHEMA, 2, in_pieces).await;
    let xid = change(&world, "UPDATE t SET b = x'00' WHERE id = 1").await;
    let open = change(&world, "UPDATE t SET b = x'00' WHERE id = 2").await;
    let before = world.undo_rows().await;
    let another = SqlitePool::connect_with(SqliteConnectOptions::new().filename(world.path())).await.unwrap();
    AtPool::new(another, world.client.clone()).await.unwrap();
    assert_eq!(world.coordinator.commit(&xid).await, [BranchAnswer::committed()]);
    let left: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT xid FROM undo_log").fetch_all(&world.raw).await.unwrap();
    assert_eq!((left, world.undo_rows().await < before), (vec![open.to_string()], true));
}

#[tokio::test]
async fn a_log_of_which_a_row_is_missing_is_a_case_for_a_person() {
    let world = World::with(SCHEMA, 2, in_pieces).await;
    let xid = change(&world, "UPDATE t SET b = x'00'").await;
    let after = world.dump().await;
    run(
        &world,
        "DELETE FROM undo_log WHERE branch_id = (SELECT max(branch_id) FROM undo_log WHERE branch_id < 0)",
    )
    .await;
    let answers = world.coordinator.rollback(&xid).await;
    assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
    assert!(answers[0].reason.contains("missing"), "{}", answers[0].reason);
    assert_eq!(world.dump().await, after);
}

#[tokio::test]
async fn a_log_that_is_too_long_changes_nothing() {
    let world =
        World::with(SCHEMA, 2, |builder| builder.compress_undo_logs_above(None).max_packet(1000)).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    let refused = inside(&xid, sqlx::query("UPDATE t SET b = x'00'").execute(&world.pool)).await.unwrap_err();
    let cause = AtError::from_sqlx(&refused);
    assert!(matches!(cause, Some(AtError::UndoLog { .. })), "{refused}");
    assert!(refused.to_string().contains("max_allowed_packet"), "{refused}");
    assert_eq!((world.dump().await, world.undo_rows().await), (before, 0));
    assert_eq!(world.coordinator.reports(), [BranchStatus::PhaseOneFailed]);
    world.assert_clean("after a log that was too long").await;
}

fn in_pieces(builder: AtPoolBuilder<Sqlite>) -> AtPoolBuilder<Sqlite> {
    builder.compress_undo_logs_above(None).max_packet(4_200)
}

async fn change(world: &World, statement: &'static str) -> Xid {
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query(statement).execute(&world.pool)).await.unwrap();
    xid
}

async fn run(world: &World, statement: &'static str) {
    sqlx::query(AssertSqlSafe(statement)).execute(&world.raw).await.unwrap();
}

async fn contexts(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT context FROM undo_log ORDER BY branch_id").fetch_all(&world.raw).await.unwrap()
}
