//! Branches of one transaction on one database, undone in whatever order they are asked for. A Java server 2.0.0 asks
//! in the order of registration, where a row changed by two branches has not the value that the older one left.

use std::{collections::HashSet, sync::Arc};

use futures_util::future::join_all;
use seata_context::{BranchAnswer, BranchTask, Resource};
use seata_protocol::{BranchId, BranchStatus, BranchType, Xid};
use seata_sqlx::{AtError, AtPool};
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, note);
    CREATE TABLE entry (id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, amount INTEGER UNIQUE);
    INSERT INTO account VALUES (1, 100, 'x'), (2, 200, x'00'), (3, 300, 1.5);
    INSERT INTO entry VALUES (1, 1, 7)";

/// Each a branch of its own, and none but the last can be undone first.
const CHANGES: [&str; 7] = [
    "UPDATE account SET balance = balance - 10 WHERE id = 1",
    "UPDATE account SET balance = balance - 10, note = NULL WHERE id IN (1, 2)",
    "INSERT INTO account VALUES (4, 0, 'new')",
    "INSERT INTO entry VALUES (2, 4, 8)",
    "DELETE FROM entry WHERE id = 1",
    "UPDATE entry SET amount = 7 WHERE id = 2",
    "UPDATE account SET balance = balance - 10, note = 'z' WHERE id = 1",
];

/// A transaction with a branch for each change, and the branches in the order of their registration.
async fn changed(world: &World, changes: &[&str]) -> (Xid, Vec<BranchTask>) {
    let xid = world.coordinator.begin();
    change(world, &xid, changes).await;
    let tasks = tasks(world, &xid);
    assert_eq!(tasks.len(), changes.len());
    (xid, tasks)
}

async fn change(world: &World, xid: &Xid, changes: &[&str]) {
    for sql in changes {
        inside(xid, sqlx::query(AssertSqlSafe(*sql)).execute(&world.pool)).await.unwrap();
    }
}

fn tasks(world: &World, xid: &Xid) -> Vec<BranchTask> {
    let branches = world.coordinator.branches(xid);
    branches.iter().map(|(branch, registration)| world.coordinator.task(*branch, registration)).collect()
}

fn resource(world: &World) -> Arc<dyn Resource> {
    world.coordinator.resource_named(world.pool.resource_id())
}

async fn all_undo_rows(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM undo_log").fetch_one(&world.raw).await.unwrap()
}

async fn run(world: &World, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&world.raw).await.unwrap();
}

#[tokio::test]
async fn branches_are_undone_in_whatever_order_they_are_asked_for() {
    let middle_first = |tasks: &mut Vec<BranchTask>| tasks.rotate_left(3);
    type Order = fn(&mut Vec<BranchTask>);
    let orders: [(&str, Order); 4] = [
        ("registration", |_| {}),
        ("newest first", |tasks| tasks.reverse()),
        ("middle first", middle_first),
        ("each twice", |tasks| *tasks = tasks.iter().flat_map(|task| [task.clone(), task.clone()]).collect()),
    ];
    for (name, order) in orders {
        let world = World::new(SCHEMA).await;
        let before = world.dump().await;
        let (_, mut tasks) = changed(&world, &CHANGES).await;
        order(&mut tasks);
        for task in tasks {
            let branch = task.branch;
            assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked(), "{name}: {branch}");
        }
        assert_eq!(world.dump().await, before, "{name}");
        assert_eq!(all_undo_rows(&world).await, 0, "{name}");
    }
}

/// A coordinator may ask for several branches at once, and for each several times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_the_same_time_undo_each_branch_once() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    for _ in 0..10 {
        let (xid, tasks) = changed(&world, &CHANGES).await;
        let requests = tasks.iter().chain(tasks.iter().rev()).cloned().map(|task| {
            let resource = resource(&world);
            tokio::spawn(async move { resource.rollback(task).await })
        });
        for answer in join_all(requests).await {
            assert_eq!(answer.unwrap(), BranchAnswer::rollbacked());
        }
        assert_eq!(world.dump().await, before);
        assert_eq!(all_undo_rows(&world).await, 0);
        world.coordinator.release(&xid);
    }
}

/// Two services on one file, and the coordinator asks the one or the other. What one of them undid leaves the other
/// without an undo row.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_data_sources_on_one_file_undo_each_branch_once() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let first = resource(&world);
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(world.path())).await.unwrap();
    let _pool = AtPool::new(pool, world.client.clone()).await.unwrap();
    let second = resource(&world);
    for _ in 0..10 {
        let (xid, tasks) = changed(&world, &CHANGES).await;
        let requests =
            tasks.into_iter().zip([&first, &second].into_iter().cycle()).map(|(task, resource)| {
                let resource = resource.clone();
                tokio::spawn(async move { resource.rollback(task).await })
            });
        for answer in join_all(requests).await {
            assert_eq!(answer.unwrap(), BranchAnswer::rollbacked());
        }
        assert_eq!(world.dump().await, before);
        assert_eq!(world.undo_rows().await, 0);
        world.coordinator.release(&xid);
    }
}

/// What was undone is in the file; that it was is in memory. A branch which a restart has made unknown leaves the
/// mark that any branch without an undo row does.
#[tokio::test]
async fn a_restart_between_the_requests_costs_marks_and_nothing_else() {
    for asked_before in 0..=CHANGES.len() {
        let world = World::new(SCHEMA).await;
        let before = world.dump().await;
        let (_, tasks) = changed(&world, &CHANGES).await;
        for task in &tasks[..asked_before] {
            assert_eq!(resource(&world).rollback(task.clone()).await, BranchAnswer::rollbacked());
        }
        world.pool.close().await;
        let pool =
            SqlitePool::connect_with(SqliteConnectOptions::new().filename(world.path())).await.unwrap();
        let _pool = AtPool::new(pool, world.client.clone()).await.unwrap();
        // All of them: the last answer before the restart may have been lost.
        for _ in 0..2 {
            for task in &tasks {
                assert_eq!(resource(&world).rollback(task.clone()).await, BranchAnswer::rollbacked());
            }
        }
        assert_eq!(world.dump().await, before, "{asked_before}");
        assert_eq!(world.undo_rows().await, 0, "{asked_before}");
        let marks = if asked_before == 0 { 0 } else { CHANGES.len() as i64 };
        assert_eq!(world.defence_rows().await, marks, "{asked_before}");
    }
}

#[tokio::test]
async fn a_dirty_row_of_a_newer_branch_is_named_and_leaves_all_as_it_is() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let (_, tasks) = changed(
        &world,
        &[
            "UPDATE account SET balance = 1 WHERE id = 1",
            "UPDATE account SET balance = 2 WHERE id = 2",
            "UPDATE account SET balance = 3 WHERE id = 1",
        ],
    )
    .await;
    run(&world, "UPDATE account SET balance = 77 WHERE id = 2").await;
    let dirty = world.dump().await;
    let dirt = "row id=2 of table account, column balance: before 200, after 2, now 77";
    let ask = |task: &BranchTask| {
        let (resource, task) = (resource(&world), task.clone());
        async move { resource.rollback(task).await }
    };

    for _ in 0..2 {
        let answer = ask(&tasks[0]).await;
        assert_eq!(answer.status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
        let cause = format!("branch {} of the transaction is newer", tasks[1].branch);
        assert!(answer.reason.contains(&cause) && answer.reason.contains(dirt), "{}", answer.reason);
        let answer = ask(&tasks[1]).await;
        assert_eq!(answer.status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
        assert_eq!(answer.reason, format!("dirty: {dirt}"));
        assert_eq!(world.dump().await, dirty);
        assert_eq!(world.undo_rows().await, 3);
    }

    // Nothing is wrong with the newest, nor does it depend on the others.
    assert_eq!(ask(&tasks[2]).await, BranchAnswer::rollbacked());
    assert_eq!(ask(&tasks[0]).await.status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
    assert_eq!(world.undo_rows().await, 2);

    // A person puts the row right.
    run(&world, "UPDATE account SET balance = 2 WHERE id = 2").await;
    for task in &tasks {
        assert_eq!(ask(task).await, BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
    assert_eq!(all_undo_rows(&world).await, 0);
}

/// An undo log of a newer branch that cannot be read, or not yet be undone, is not passed over either.
#[tokio::test]
async fn whatever_stops_a_newer_branch_stops_the_older_one_and_is_named() {
    const UNRETRYABLE: BranchStatus = BranchStatus::PhaseTwoRollbackFailedUnretryable;
    const RETRYABLE: BranchStatus = BranchStatus::PhaseTwoRollbackFailedRetryable;
    for (spoil, repair, status) in [
        ("UPDATE undo_log SET log_status = 7", "UPDATE undo_log SET log_status = 0", UNRETRYABLE),
        (
            "UPDATE undo_log SET context = 'serializer=kryo'",
            "UPDATE undo_log SET context = 'serializer=jackson'",
            UNRETRYABLE,
        ),
        (
            "CREATE TABLE child (account REFERENCES account ON DELETE CASCADE); INSERT INTO child VALUES (4)",
            "DROP TABLE child",
            RETRYABLE,
        ),
    ] {
        let world = World::new(SCHEMA).await;
        let before = world.dump().await;
        let (_, tasks) = changed(&world, &CHANGES[..3]).await;
        let newest = format!(" WHERE branch_id = {}", tasks[2].branch);
        let spoil_newest =
            if spoil.starts_with("UPDATE") { format!("{spoil}{newest}") } else { spoil.to_owned() };
        sqlx::raw_sql(AssertSqlSafe(spoil_newest)).execute(&world.raw).await.unwrap();
        let left = world.dump().await;
        let answer = resource(&world).rollback(tasks[0].clone()).await;
        assert_eq!(answer.status, status, "{spoil}");
        assert!(answer.reason.contains(&format!("branch {}", tasks[2].branch)), "{}", answer.reason);
        assert_eq!(world.dump().await, left, "{spoil}");
        assert_eq!(all_undo_rows(&world).await, 3, "{spoil}");
        run(&world, repair).await;
        for task in tasks {
            assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked(), "{spoil}");
        }
        assert_eq!(world.dump().await, before, "{spoil}");
    }
}

/// A branch is registered and its undo row not there yet: the mark is for this branch alone.
#[tokio::test]
async fn a_late_phase_one_fails_and_the_branches_that_were_in_time_are_undone() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let (xid, tasks) = changed(&world, &CHANGES).await;
    let next = BranchId(world.coordinator.begin().transaction_id().0 + 1);
    let late = BranchTask { branch: next, ..tasks[0].clone() };
    let asked = [&tasks[0], &late, &tasks[1], &late].into_iter().chain(&tasks[2..]);
    for task in asked {
        assert_eq!(resource(&world).rollback(task.clone()).await, BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
    assert_eq!((world.undo_rows().await, world.defence_rows().await), (0, 1));

    let update = sqlx::query(CHANGES[0]).execute(&world.pool);
    let error = inside(&xid, update).await.unwrap_err();
    match AtError::from_sqlx(&error) {
        Some(AtError::RolledBackMeanwhile { branch, .. }) => assert_eq!(*branch, next),
        other => panic!("{other:?}: {error}"),
    }
    assert_eq!(world.dump().await, before);
}

/// The branch was registered in time and committed between two requests.
#[tokio::test]
async fn a_branch_that_comes_between_the_requests_is_undone_too() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let (xid, tasks) = changed(&world, &CHANGES[..3]).await;
    assert_eq!(resource(&world).rollback(tasks[1].clone()).await, BranchAnswer::rollbacked());
    change(&world, &xid, &["UPDATE account SET balance = 5 WHERE id = 1"]).await;
    for task in self::tasks(&world, &xid) {
        assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
    assert_eq!(all_undo_rows(&world).await, 0);
}

#[tokio::test]
async fn other_transactions_are_left_alone() {
    let world = World::new(SCHEMA).await;
    let xids: Vec<Xid> = (0..12).map(|_| world.coordinator.begin()).collect();
    let undone = &xids[0];
    let others = &xids[9..];
    assert!(others.iter().any(|other| other.to_string().starts_with(&undone.to_string())), "{xids:?}");
    for round in 0..3 {
        let change_of = |xid, id: i64| {
            let sql = "INSERT INTO account VALUES (?1 * 100 + ?2, ?2, 'mine')";
            inside(xid, sqlx::query(sql).bind(id).bind(round).execute(&world.pool))
        };
        change_of(undone, 9).await.unwrap();
        for (id, other) in (10..).zip(others) {
            change_of(other, id).await.unwrap();
        }
    }
    for task in tasks(&world, undone) {
        assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked());
    }
    let left: HashSet<String> = sqlx::query_scalar("SELECT DISTINCT xid FROM undo_log")
        .fetch_all(&world.raw)
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(left, others.iter().map(Xid::to_string).collect());
    assert_eq!(world.undo_rows().await, 9);
    let mine: i64 = sqlx::query_scalar("SELECT count(*) FROM account WHERE note = 'mine'")
        .fetch_one(&world.raw)
        .await
        .unwrap();
    assert_eq!(mine, 9);
}

/// Ids may come from ranges of several coordinators, the clock may be set back, and two branches may share a
/// millisecond: newest is what was written last.
#[tokio::test]
async fn the_newest_is_what_was_written_last() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let ask_in_order = async |tasks: Vec<BranchTask>, when: &str| {
        world.coordinator.release(&tasks[0].xid);
        for task in tasks {
            assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked(), "{when}");
        }
        assert_eq!(world.dump().await, before, "{when}");
        assert_eq!(all_undo_rows(&world).await, 0, "{when}");
    };

    let xid = world.coordinator.begin();
    change(&world, &xid, &CHANGES[..1]).await;
    run(&world, "UPDATE undo_log SET log_created = '2999-12-31 23:59:59.999'").await;
    change(&world, &xid, &CHANGES[1..]).await;
    ask_in_order(tasks(&world, &xid), "the clock was set back").await;

    let xid = world.coordinator.begin();
    for (index, sql) in CHANGES.iter().enumerate() {
        // The later of two coordinators in turns gives out the lower ids.
        world.coordinator.number_from(if index % 2 == 0 { 2_000_000 } else { 1_000_000 } + index as i64);
        change(&world, &xid, &[sql]).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    ask_in_order(tasks(&world, &xid), "two coordinators").await;

    let (_, tasks) = changed(&world, &CHANGES).await;
    let times: HashSet<String> = sqlx::query_scalar("SELECT log_created FROM undo_log")
        .fetch_all(&world.raw)
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(times.len(), CHANGES.len(), "no two of a transaction share a moment");
    run(&world, "UPDATE undo_log SET log_created = '2020-01-01 00:00:00.000'").await;
    ask_in_order(tasks, "one moment").await;
}

/// Undone in the wrong order, the older of two that cancel each other out seems to have been undone already.
#[tokio::test]
async fn a_value_that_came_back_is_not_taken_for_one_that_was_undone() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    world.coordinator.number_from(3_000_000);
    change(&world, &xid, &["UPDATE account SET note = 'seen' WHERE id = 3"]).await;
    run(&world, "UPDATE undo_log SET log_created = '2999-12-31 23:59:59.999'").await;
    // Three coordinators on one store, with lower ids each time, and a clock that was set back.
    for (ids_from, sql) in [
        (2_000_000, "UPDATE account SET balance = balance - 10 WHERE id = 1"),
        (1_000_000, "UPDATE account SET balance = balance + 10 WHERE id = 1"),
    ] {
        world.coordinator.number_from(ids_from);
        change(&world, &xid, &[sql]).await;
    }
    let mut tasks = tasks(&world, &xid);
    tasks.rotate_left(1);
    for task in tasks {
        assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
}

/// As many as a loop over an order's lines makes.
#[tokio::test]
async fn a_thousand_branches_of_one_row_are_undone_with_the_first() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let (_, tasks) = changed(&world, &[CHANGES[0]; 1000]).await;
    let moments: i64 = sqlx::query_scalar("SELECT count(DISTINCT log_created) FROM undo_log")
        .fetch_one(&world.raw)
        .await
        .unwrap();
    assert_eq!(moments, 1000);
    for task in tasks {
        assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked());
        assert_eq!(world.undo_rows().await, 0);
    }
    assert_eq!(world.dump().await, before);
    assert_eq!(world.defence_rows().await, 0);
}

#[tokio::test]
async fn without_validation_the_oldest_image_wins_in_any_order() {
    let world = World::with(SCHEMA, 2, |builder| builder.data_validation(false)).await;
    let before = world.dump().await;
    let (_, tasks) = changed(&world, &[CHANGES[0]; 3]).await;
    run(&world, "UPDATE account SET balance = 77 WHERE id = 1").await;
    for task in tasks {
        assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
}

/// A mark left by another branch, or by a peer, is no branch to undo.
#[tokio::test]
async fn marks_between_the_branches_are_stepped_over() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    change(&world, &xid, &CHANGES[..1]).await;
    let next = BranchId(world.coordinator.begin().transaction_id().0);
    let ghost = BranchTask {
        xid: xid.clone(),
        branch: next,
        branch_type: BranchType::At,
        resource: world.pool.resource_id().clone(),
        application_data: String::new(),
    };
    assert_eq!(resource(&world).rollback(ghost).await, BranchAnswer::rollbacked());
    change(&world, &xid, &CHANGES[1..]).await;
    for task in tasks(&world, &xid) {
        assert_eq!(resource(&world).rollback(task).await, BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
    assert_eq!((world.undo_rows().await, world.defence_rows().await), (0, 1));
}
