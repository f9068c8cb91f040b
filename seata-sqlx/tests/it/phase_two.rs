//! What the coordinator decides is done: once, in full, or with a reason why not.

use seata_context::{BranchAnswer, BranchTask};
use seata_protocol::{BranchId, BranchStatus, BranchType};
use seata_sqlx::{AtError, AtPool};
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, any);
    INSERT INTO t VALUES (1, 10, 1), (2, 20, 'x'), (3, 30, NULL)";

async fn run(world: &World, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&world.raw).await.unwrap();
}

#[tokio::test]
async fn a_rollback_may_come_twice() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET n = 0").execute(&world.pool)).await.unwrap();
    let (branch, registration) = world.coordinator.branches(&xid).remove(0);
    let resource = world.coordinator.resource(&registration);
    for _ in 0..3 {
        let answer = resource.rollback(world.coordinator.task(branch, &registration)).await;
        assert_eq!(answer, BranchAnswer::rollbacked());
        assert_eq!(world.dump().await, before);
    }
    let answer = resource.commit(world.coordinator.task(branch, &registration)).await;
    assert_eq!(answer, BranchAnswer::committed());
}

/// A rollback that overtakes its phase one leaves a mark, on which the late phase one fails.
#[tokio::test]
async fn a_late_phase_one_fails_on_the_mark_of_its_rollback() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    // The ids are given out one after the other, so that the next branch is known.
    let next = world.coordinator.begin().transaction_id().0 + 1;
    let task = BranchTask {
        xid: xid.clone(),
        branch: BranchId(next),
        branch_type: BranchType::At,
        resource: world.pool.resource_id().clone(),
        application_data: String::new(),
    };
    let resource = world.coordinator.resource_named(world.pool.resource_id());
    for _ in 0..2 {
        assert_eq!(resource.rollback(task.clone()).await, BranchAnswer::rollbacked());
        assert_eq!(world.defence_rows().await, 1);
    }
    let error = inside(&xid, sqlx::query("UPDATE t SET n = 0").execute(&world.pool)).await.unwrap_err();
    match AtError::from_sqlx(&error) {
        Some(AtError::RolledBackMeanwhile { branch, .. }) => assert_eq!(branch.0, next),
        other => panic!("{other:?}: {error}"),
    }
    assert_eq!(world.coordinator.reports(), [BranchStatus::PhaseOneFailed]);
    assert_eq!(world.dump().await, before);
    world.assert_clean("after").await;
    assert_eq!(world.pool.delete_undo_logs_before(1).await.unwrap(), 0);
    run(&world, "UPDATE undo_log SET log_created = '2000-01-01 00:00:00.000'").await;
    assert_eq!(world.pool.delete_undo_logs_before(1).await.unwrap(), 1);
    assert_eq!(world.defence_rows().await, 0);
}

#[tokio::test]
async fn a_coordinator_has_old_undo_rows_deleted() {
    const AGED: &str =
        "UPDATE undo_log SET log_created = strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || branch_id || ' days')";
    for (save_days, left) in [(1, 0), (4, 3), (0, 6), (u16::MAX, 9)] {
        let world = World::new(SCHEMA).await;
        let resource = world.coordinator.resource_named(world.pool.resource_id());
        for branch in 1..10 {
            let task = BranchTask {
                xid: world.coordinator.begin(),
                branch: BranchId(branch),
                branch_type: BranchType::At,
                resource: world.pool.resource_id().clone(),
                application_data: String::new(),
            };
            assert_eq!(resource.rollback(task).await, BranchAnswer::rollbacked());
        }
        run(&world, AGED).await;
        resource.delete_undo_logs(save_days).await;
        assert_eq!(world.defence_rows().await, left, "{save_days}");
    }
}

/// It may be asked for yet: a row that was dirty for a week, a server that was away so long.
#[tokio::test]
async fn an_undo_log_of_an_unfinished_branch_outlives_a_coordinators_request_to_delete_old_ones() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET n = 0").execute(&world.pool)).await.unwrap();
    run(&world, "UPDATE undo_log SET log_created = '2000-01-01 00:00:00.000'").await;
    world.coordinator.resource_named(world.pool.resource_id()).delete_undo_logs(7).await;
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
    assert_eq!(world.defence_rows().await, 0, "there was something to undo");
}

#[tokio::test]
async fn a_dirty_row_is_left_alone_and_named() {
    for (change, dirt, named) in [
        (
            "UPDATE t SET n = 11 WHERE id = 1",
            "UPDATE t SET n = 99 WHERE id = 1",
            "column n: before 10, after 11, now 99",
        ),
        ("UPDATE t SET n = 11 WHERE id = 1", "UPDATE t SET n = 11.5 WHERE id = 1", "after 11, now 11.5"),
        (
            "UPDATE t SET any = 1 WHERE id = 2",
            "UPDATE t SET any = 1.0 WHERE id = 2",
            "before 'x', after 1, now 1.0",
        ),
        ("UPDATE t SET any = 1 WHERE id = 2", "UPDATE t SET any = '1' WHERE id = 2", "now '1'"),
        ("UPDATE t SET n = 11 WHERE id = 1", "DELETE FROM t WHERE id = 1", "id=1 of table t is gone"),
        ("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 5, 5)", "id=1 of table t is there again"),
        ("INSERT INTO t VALUES (4, 1, 1)", "UPDATE t SET any = 2 WHERE id = 4", "after 1, now 2"),
    ] {
        let world = World::new(SCHEMA).await;
        let xid = world.coordinator.begin();
        inside(&xid, sqlx::query(change).execute(&world.pool)).await.unwrap();
        run(&world, dirt).await;
        let dirty = world.dump().await;
        for _ in 0..2 {
            let answers = world.coordinator.rollback(&xid).await;
            assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedUnretryable, "{dirt}");
            assert!(answers[0].reason.contains(named), "{dirt}: {}", answers[0].reason);
            assert_eq!(world.dump().await, dirty, "{dirt}");
            assert_eq!(world.undo_rows().await, 1, "{dirt}");
        }
        assert!(!world.coordinator.locks().is_empty());
    }
}

/// The table that the rollback comes to last is known from before, the other one is not.
#[tokio::test]
async fn a_dirty_row_is_told_although_one_of_the_tables_is_known_from_before() {
    let world = World::new(
        "CREATE TABLE stock (id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE sale (id INTEGER PRIMARY KEY);
         INSERT INTO stock VALUES (1, 10)",
    )
    .await;
    let take = || sqlx::query("UPDATE stock SET n = n - 1");
    let warming = world.coordinator.begin();
    inside(&warming, take().execute(&world.pool)).await.unwrap();
    assert_eq!(world.coordinator.rollback(&warming).await, [BranchAnswer::rollbacked()]);
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        take().execute(&mut tx).await.unwrap();
        sqlx::query("INSERT INTO sale VALUES (1)").execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    run(&world, "UPDATE stock SET n = 99").await;
    let rollback = world.coordinator.rollback(&xid);
    let answers =
        tokio::time::timeout(std::time::Duration::from_secs(30), rollback).await.expect("an answer");
    assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
    assert!(answers[0].reason.contains("now 99"), "{}", answers[0].reason);
}

/// Somebody put things right by hand: nothing is left to do.
#[tokio::test]
async fn rows_that_are_as_before_are_left_alone() {
    for (change, repair) in [
        ("UPDATE t SET n = 11 WHERE id = 1", "UPDATE t SET n = 10 WHERE id = 1"),
        ("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 10, 1)"),
        ("INSERT INTO t VALUES (4, 1, 1)", "DELETE FROM t WHERE id = 4"),
        // One of several.
        ("INSERT INTO t VALUES (4, 1, 1), (5, 1, 1)", "DELETE FROM t WHERE id = 4"),
        ("UPDATE t SET n = 11", "UPDATE t SET n = 10 WHERE id = 1"),
    ] {
        let world = World::new(SCHEMA).await;
        let before = world.dump().await;
        let xid = world.coordinator.begin();
        inside(&xid, sqlx::query(change).execute(&world.pool)).await.unwrap();
        run(&world, repair).await;
        assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()], "{change}");
        assert_eq!(world.dump().await, before);
        assert_eq!(world.undo_rows().await, 0);
    }
}

/// Columns that the transaction did not touch belong to others.
#[tokio::test]
async fn other_columns_may_change_meanwhile() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET n = 11 WHERE id = 1").execute(&world.pool)).await.unwrap();
    run(&world, "UPDATE t SET any = 'theirs' WHERE id = 1").await;
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    let row: (i64, String) =
        sqlx::query_as("SELECT n, any FROM t WHERE id = 1").fetch_one(&world.raw).await.unwrap();
    assert_eq!(row, (10, "theirs".to_owned()));
}

#[tokio::test]
async fn without_validation_the_before_image_wins() {
    let world = World::with(SCHEMA, 2, |builder| builder.data_validation(false)).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET n = 11 WHERE id = 1").execute(&world.pool)).await.unwrap();
    inside(&xid, sqlx::query("INSERT INTO t VALUES (4, 1, 1)").execute(&world.pool)).await.unwrap();
    run(&world, "UPDATE t SET n = 99 WHERE id = 1; DELETE FROM t WHERE id = 4").await;
    assert_eq!(world.coordinator.rollback(&xid).await, vec![BranchAnswer::rollbacked(); 2]);
    assert_eq!(world.dump().await, before);
}

/// Another process, or the same after a crash: only the file is left.
#[tokio::test]
async fn another_data_source_on_the_file_undoes_what_this_one_did() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET n = n * 2, any = x'00'").execute(&world.pool)).await.unwrap();
    world.pool.close().await;
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(world.path())).await.unwrap();
    let pool = AtPool::new(pool, world.client.clone()).await.unwrap();
    assert_eq!(pool.resource_id(), world.pool.resource_id());
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

/// Asking again would give the same for ever: a person has to look, and nothing is touched.
#[tokio::test]
async fn an_undo_log_that_cannot_be_read_is_a_case_for_a_person() {
    for damage in [
        "UPDATE undo_log SET rollback_info = x'7b'",
        "UPDATE undo_log SET rollback_info = 'a text'",
        "UPDATE undo_log SET log_status = 7",
    ] {
        let world = World::new(SCHEMA).await;
        let xid = world.coordinator.begin();
        inside(&xid, sqlx::query("UPDATE t SET n = 0").execute(&world.pool)).await.unwrap();
        run(&world, damage).await;
        let after = world.dump().await;
        let answers = world.coordinator.rollback(&xid).await;
        assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedUnretryable, "{damage}");
        assert!(!answers[0].reason.is_empty(), "{damage}");
        assert_eq!(world.dump().await, after, "{damage}");
    }
}

#[tokio::test]
async fn a_busy_file_makes_phase_two_come_again() {
    let world = World::new(SCHEMA).await;
    let options = SqliteConnectOptions::new().filename(world.path());
    let pool =
        SqlitePool::connect_with(options.busy_timeout(std::time::Duration::from_millis(10))).await.unwrap();
    let pool = AtPool::new(pool, world.client.clone()).await.unwrap();
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET n = 0").execute(&pool)).await.unwrap();
    let blocker = world.raw.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let answers = world.coordinator.rollback(&xid).await;
    assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedRetryable);
    let answers = world.coordinator.commit(&xid).await;
    assert_eq!(answers[0].status, BranchStatus::PhaseTwoCommitFailedRetryable);
    blocker.rollback().await.unwrap();
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn rows_that_refer_to_an_inserted_one_are_not_swept_away() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE SET NULL"] {
        let world = World::new("CREATE TABLE parent (id INTEGER PRIMARY KEY)").await;
        let child = format!("CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent {action})");
        sqlx::raw_sql(AssertSqlSafe(child)).execute(&world.raw).await.unwrap();
        let xid = world.coordinator.begin();
        inside(&xid, sqlx::query("INSERT INTO parent VALUES (7)").execute(&world.pool)).await.unwrap();
        run(&world, "INSERT INTO child VALUES (1, 7)").await;
        let dump = world.dump().await;
        let answers = world.coordinator.rollback(&xid).await;
        assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedRetryable, "{action}");
        assert_eq!(world.dump().await, dump, "{action}");
        run(&world, "DELETE FROM child").await;
        assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()], "{action}");
    }
}

#[tokio::test]
async fn a_row_that_refers_to_itself_goes_back() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT"] {
        let world = World::new("").await;
        let table = format!("CREATE TABLE node (id INTEGER PRIMARY KEY, up REFERENCES node {action})");
        sqlx::raw_sql(AssertSqlSafe(table)).execute(&world.raw).await.unwrap();
        let xid = world.coordinator.begin();
        let insert = sqlx::query("INSERT INTO node VALUES (1, 1), (3, 1), (2, 3)");
        inside(&xid, insert.execute(&world.pool)).await.unwrap();
        assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()], "{action}");
        assert_eq!(world.dump().await, Vec::<String>::new(), "{action}");
    }
}

/// What others left in the undo table never passes for done.
#[tokio::test]
async fn an_undo_row_that_makes_no_sense_is_named() {
    for (spoil, named) in [
        ("UPDATE undo_log SET log_status = 7", "log_status"),
        ("UPDATE undo_log SET rollback_info = x'00ff'", "jackson"),
        ("UPDATE undo_log SET rollback_info = ''", "jackson"),
        ("UPDATE undo_log SET context = 'serializer=kryo'", "kryo"),
        (
            "UPDATE undo_log SET rollback_info = replace(CAST(rollback_info AS TEXT), '\"n\"', '\"gone\"')",
            "gone",
        ),
        (
            "UPDATE undo_log SET rollback_info = replace(CAST(rollback_info AS TEXT), 'PRIMARY_KEY', 'NULL')",
            "key",
        ),
        (
            "UPDATE undo_log SET rollback_info = replace(CAST(rollback_info AS TEXT), '\"NULL\"', '\"PRIMARY_KEY\"')",
            "key",
        ),
        (
            "UPDATE undo_log SET rollback_info = replace(CAST(rollback_info AS TEXT), 'main.\\\"t', 'main.\\\"nowhere')",
            "nowhere",
        ),
        (
            "UPDATE undo_log SET rollback_info = replace(CAST(rollback_info AS TEXT), 'UPDATE', 'MERGE')",
            "MERGE",
        ),
    ] {
        for validate in [true, false] {
            let world = World::with(SCHEMA, 2, |builder| builder.data_validation(validate)).await;
            let xid = world.coordinator.begin();
            inside(&xid, sqlx::query("UPDATE t SET n = 11").execute(&world.pool)).await.unwrap();
            let left = world.dump().await;
            run(&world, spoil).await;
            let answers = world.coordinator.rollback(&xid).await;
            assert_ne!(answers[0].status, BranchStatus::PhaseTwoRollbacked, "{spoil}");
            assert!(answers[0].reason.contains(named), "{spoil}: {}", answers[0].reason);
            assert_eq!(world.dump().await, left, "{spoil}");
        }
    }
}

/// Parent and child in one branch, where each order but one breaks the foreign key half-way.
#[tokio::test]
async fn foreign_keys_hold_when_all_is_back() {
    let world = World::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1);
         CREATE TABLE child (id INTEGER PRIMARY KEY, parent NOT NULL REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO child VALUES (1, 1)",
    )
    .await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        for sql in [
            "DELETE FROM parent",
            "DELETE FROM child",
            "INSERT INTO child VALUES (2, 5)",
            "INSERT INTO parent VALUES (5)",
        ] {
            sqlx::query(sql).execute(&mut tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

/// Rows of one statement that refer to each other, or trade places in a unique column.
#[tokio::test]
async fn rows_of_one_statement_go_back_in_the_order_that_works() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE RESTRICT", "ON DELETE SET NULL"] {
        let world = World::new(
            "CREATE TABLE place (id INTEGER PRIMARY KEY, n INTEGER UNIQUE);
            INSERT INTO place VALUES (1, 3), (2, 2), (3, 1)",
        )
        .await;
        let tree = format!("CREATE TABLE tree (id INTEGER PRIMARY KEY, parent REFERENCES tree {action})");
        sqlx::raw_sql(AssertSqlSafe(tree)).execute(&world.raw).await.unwrap();
        let before = world.dump().await;
        let xid = world.coordinator.begin();
        for sql in [
            "INSERT INTO tree VALUES (5, NULL), (3, 5), (9, 3), (1, 9), (7, 5)",
            "UPDATE place SET n = n + 1",
            "UPDATE place SET n = n - 1",
            "UPDATE place SET n = CASE id WHEN 1 THEN 10 ELSE n + 1 END",
        ] {
            // Some of these orders SQLite refuses on the way there, too.
            inside(&xid, sqlx::query(sql).execute(&world.pool)).await.ok();
        }
        let branches = world.coordinator.branches(&xid).len();
        assert!(branches >= 2, "{action}");
        assert_eq!(
            world.coordinator.rollback(&xid).await,
            vec![BranchAnswer::rollbacked(); branches],
            "{action}"
        );
        assert_eq!(world.dump().await, before, "{action}");
    }
}

/// No image holds such a column.
#[tokio::test]
async fn rows_that_refer_to_a_computed_column_keep_an_inserted_row() {
    let world = World::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER UNIQUE AS (n * 2));
         CREATE TABLE child (twice REFERENCES t (twice) ON DELETE CASCADE);
         INSERT INTO t VALUES (1, 10); INSERT INTO child VALUES (20)",
    )
    .await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("INSERT INTO t VALUES (2, 30)").execute(&world.pool)).await.unwrap();
    run(&world, "INSERT INTO child VALUES (60)").await;
    let answers = world.coordinator.rollback(&xid).await;
    assert_eq!(answers[0].status, BranchStatus::PhaseTwoRollbackFailedRetryable);
    assert!(answers[0].reason.contains("rows of child refer"), "{}", answers[0].reason);
    run(&world, "DELETE FROM child WHERE twice = 60").await;
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

/// A COMMIT that the database refuses is rolled back, and only then reported.
#[tokio::test]
async fn a_refused_commit_is_reported_as_failed() {
    let world = World::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let xid = world.coordinator.begin();
    let insert = sqlx::query("INSERT INTO child VALUES (1, 99)").execute(&world.pool);
    let error = inside(&xid, insert).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_foreign_key_violation(), "{error}");
    assert_eq!(world.coordinator.reports(), [BranchStatus::PhaseOneFailed]);
    assert!(world.coordinator.branches(&xid).is_empty());
    assert!(world.dump().await.is_empty());
    assert_eq!(world.undo_rows().await, 0);
    world.assert_clean("after").await;
}

/// With a rollback journal a reader keeps a COMMIT out; the transaction is still open then.
#[tokio::test]
async fn a_commit_that_finds_the_file_busy_is_reported_as_failed() {
    let world = World::new(SCHEMA).await;
    world.pool.close().await;
    world.raw.close().await;
    let options = SqliteConnectOptions::new()
        .filename(world.path())
        .pragma("journal_mode", "DELETE")
        .busy_timeout(std::time::Duration::from_millis(50));
    let raw = SqlitePool::connect_with(options).await.unwrap();
    let pool = AtPool::new(raw.clone(), world.client.clone()).await.unwrap();
    let mut reader = raw.begin().await.unwrap();
    sqlx::query("SELECT * FROM t").fetch_all(&mut *reader).await.unwrap();
    let xid = world.coordinator.begin();
    let update = || sqlx::query("UPDATE t SET n = 0").execute(&pool);
    let error = inside(&xid, update()).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("5"), "{error}");
    assert_eq!(world.coordinator.reports(), [BranchStatus::PhaseOneFailed]);
    assert!(world.coordinator.locks().is_empty());
    reader.rollback().await.unwrap();
    inside(&xid, update()).await.unwrap();
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    let n: i64 = sqlx::query_scalar("SELECT sum(n) FROM t").fetch_one(&raw).await.unwrap();
    assert_eq!(n, 60);
}

#[tokio::test]
async fn texts_that_are_no_utf8_come_back_as_they_were() {
    let world = World::new(
        "CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v TEXT);
        INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), CAST(x'c328' AS TEXT)), ('plain', CAST(x'80' AS TEXT))",
    )
    .await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("UPDATE t SET v = 'new'").execute(&world.pool)).await.unwrap();
    inside(&xid, sqlx::query("DELETE FROM t").execute(&world.pool)).await.unwrap();
    assert_eq!(world.coordinator.rollback(&xid).await, vec![BranchAnswer::rollbacked(); 2]);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn many_rows_and_a_large_one_come_back() {
    let world = World::new(
        "CREATE TABLE t (a INTEGER, b TEXT, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
        WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000)
        INSERT INTO t SELECT x, 'k' || (x % 7), x * 0.1 FROM c;
        INSERT INTO t VALUES (0, 'large', randomblob(3000000))",
    )
    .await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    for sql in ["UPDATE t SET v = CAST(v AS TEXT)", "DELETE FROM t WHERE a % 2 = 0", "UPDATE t SET v = NULL"]
    {
        inside(&xid, sqlx::query(sql).execute(&world.pool)).await.unwrap();
    }
    assert_eq!(world.coordinator.rollback(&xid).await, vec![BranchAnswer::rollbacked(); 3]);
    assert_eq!(world.dump().await, before);
}

/// Also when callers lose patience and come again, and when some come a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_one_by_one_and_together_are_all_answered() {
    let world = std::sync::Arc::new(World::new("CREATE TABLE t (id INTEGER PRIMARY KEY)").await);
    let mut xids = Vec::new();
    for id in 0..60 {
        let xid = world.coordinator.begin();
        let insert = sqlx::query("INSERT INTO t VALUES (?)").bind(id).execute(&world.pool);
        inside(&xid, insert).await.unwrap();
        xids.push(xid);
    }
    assert_eq!(world.undo_rows().await, 60);
    let one_by_one = xids[..30].iter().cloned().map(|xid| {
        let world = world.clone();
        tokio::spawn(async move {
            let once =
                tokio::time::timeout(std::time::Duration::from_micros(300), world.coordinator.commit(&xid));
            once.await.ok();
            world.coordinator.commit(&xid).await
        })
    });
    let answers = futures_util::future::join_all(one_by_one).await;
    for answer in answers.into_iter().flat_map(Result::unwrap) {
        assert_eq!(answer, BranchAnswer::committed());
    }
    assert_eq!(world.undo_rows().await, 30);

    let tasks: Vec<BranchTask> = xids[20..]
        .iter()
        .flat_map(|xid| world.coordinator.branches(xid))
        .map(|(branch, registration)| world.coordinator.task(branch, &registration))
        .collect();
    let resource = world.coordinator.resource_named(world.pool.resource_id());
    for _ in 0..2 {
        let answers = resource.commit_many(tasks.clone()).await;
        assert_eq!(answers, vec![BranchAnswer::committed(); tasks.len()]);
    }
    assert_eq!(world.undo_rows().await, 0);
}
