//! What a person decides about dirty rows, written into the undo logs.

use seata_context::BranchAnswer;
use seata_protocol::{BranchStatus, Xid};
use seata_sqlx::{
    undo::{self, BranchUndoLog, Context, SqlType},
    undo_log::{ChangedRow, RowState, UndoLogError, UndoTable},
};
use sqlx::{AssertSqlSafe, Sqlite, SqlitePool};

use crate::world::{World, inside};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, other)";
const ROWS: &str = "DELETE FROM undo_log; DELETE FROM t;
    INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c')";
const BEFORE: [&str; 3] = ["1 10 a", "2 20 b", "3 30 c"];

/// What a transaction may do to row 2 or 4, each beside other rows.
const CHANGES: [&[&str]; 10] = [
    &["UPDATE t SET n = 11"],
    &["UPDATE t SET n = 11, other = 'x'"],
    &["UPDATE t SET n = 11", "UPDATE t SET other = 'x' WHERE id = 2"],
    &["UPDATE t SET n = 11", "UPDATE t SET n = 12 WHERE id = 2"],
    &["DELETE FROM t WHERE id < 3"],
    &["UPDATE t SET n = 11", "DELETE FROM t WHERE id < 3"],
    &["DELETE FROM t WHERE id < 3", "INSERT INTO t VALUES (2, 1, 1), (5, 1, 1)"],
    &["UPDATE t SET n = 11", "DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (2, 1, 1), (5, 1, 1)"],
    &["INSERT INTO t VALUES (4, 1, 1), (5, 1, 1)"],
    &["INSERT INTO t VALUES (4, 1, 1), (5, 1, 1)", "UPDATE t SET n = 2 WHERE id > 3"],
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    Force,
    Skip,
}

/// Every change, as one branch and as several, every dirt on it, and both decisions.
#[tokio::test]
async fn what_is_decided_is_what_phase_two_does() {
    let world = World::new(SCHEMA).await;
    let (mut decided, mut refused) = (0, 0);
    for (changes, key) in
        CHANGES.iter().map(|changes| (changes, if changes[0].contains("4,") { 4 } else { 2 }))
    {
        for dirt in [
            format!("UPDATE t SET n = 99 WHERE id = {key}"),
            format!("UPDATE t SET n = 99, other = 'z' WHERE id = {key}"),
            format!("DELETE FROM t WHERE id = {key}"),
            format!("INSERT OR REPLACE INTO t VALUES ({key}, 77, 'y')"),
        ] {
            for (choice, in_one) in
                [(Choice::Force, true), (Choice::Force, false), (Choice::Skip, true), (Choice::Skip, false)]
            {
                let case = format!("{changes:?} in one: {in_one}, then {dirt}, {choice:?}");
                let xid = changed(&world, changes, in_one).await;
                run(&world, &dirt).await;
                let dirty = dirty(&world, &xid).await;
                let is_dirty = answer(&world, &xid).await != BranchAnswer::rollbacked();
                assert_eq!(!dirty.is_empty(), is_dirty, "{case}");
                if !is_dirty {
                    continue;
                }
                // Newer branches may be undone by now.
                let now = rows(&world).await;
                assert!(dirty.iter().all(|row| row.key == format!("id={key}")), "{case}: {dirty:?}");
                if let Err(error) = decide(&world, &xid, key, choice).await {
                    let is_gone = !now.iter().any(|row| row.starts_with(&format!("{key} ")));
                    let is_known = matches!(error, UndoLogError::Incomplete { .. });
                    assert!(is_known && is_gone && choice == Choice::Force, "{case}: {error}");
                    world.coordinator.release(&xid);
                    refused += 1;
                    continue;
                }
                let answers = world.coordinator.rollback(&xid).await;
                assert!(
                    answers.iter().all(|answer| *answer == BranchAnswer::rollbacked()),
                    "{case}: {answers:?}"
                );
                let of_key = |row: &&String| row.starts_with(&format!("{key} "));
                let left = now.iter().find(of_key).cloned();
                let mut expected: Vec<String> = BEFORE.map(str::to_owned).to_vec();
                match (choice, left) {
                    (Choice::Skip, left) => {
                        expected.retain(|row| !of_key(&row));
                        expected.extend(left);
                        expected.sort();
                    }
                    // A column that the transaction did not set is none of its business.
                    (Choice::Force, Some(left)) if sets_only_n(changes) => {
                        let other = left.rsplit_once(' ').expect("three columns").1;
                        expected[1] = format!("2 20 {other}");
                    }
                    (Choice::Force, _) => {}
                }
                assert_eq!(rows(&world).await, expected, "{case}");
                assert_eq!(world.undo_rows().await, 0, "{case}");
                decided += 1;
            }
        }
    }
    assert!(decided > 100 && refused > 0, "{decided} decided, {refused} refused");
}

#[tokio::test]
async fn each_row_is_told_with_what_it_is() {
    let world = World::new(SCHEMA).await;
    let xid = changed(
        &world,
        &[
            "UPDATE t SET n = 11",
            "INSERT INTO t VALUES (4, 1, 1), (5, 1, 1)",
            "DELETE FROM t WHERE id = 3",
            "UPDATE t SET other = 'x' WHERE id = 1",
        ],
        true,
    )
    .await;
    for dirt in ["UPDATE t SET n = 99 WHERE id = 1", "DELETE FROM t WHERE id IN (2, 5)"] {
        run(&world, dirt).await;
    }
    run(&world, "INSERT INTO t VALUES (3, 0, 'again')").await;
    let mut told = undo_table(&world).rows(&xid).await.unwrap();
    told.sort_by_key(|row| row.key.clone());
    let states: Vec<(&str, RowState)> = told.iter().map(|row| (row.key.as_str(), row.state)).collect();
    assert_eq!(
        states,
        [
            ("id=1", RowState::Dirty),
            ("id=2", RowState::Gone),
            ("id=3", RowState::ThereAgain),
            ("id=4", RowState::AsLeft),
            ("id=5", RowState::AsFound),
        ]
    );
    let text = |row: &Option<undo::Row>, column: &str| {
        row.as_ref().and_then(|row| row.field(column)).map(ToString::to_string)
    };
    let first = &told[0];
    let of = |column| [text(&first.before, column), text(&first.after, column), text(&first.current, column)];
    assert_eq!(of("n").map(Option::unwrap), ["10", "11", "99"]);
    assert_eq!(of("other").map(Option::unwrap), ["'a'", "'x'", "'x'"]);
    let again = &told[2];
    assert_eq!((text(&again.before, "n").as_deref(), &again.after), (Some("30"), &None));
    undo_table(&world).force(&xid, "t", "id=5").await.expect_err("nothing has to be done there");
    undo_table(&world).skip(&xid, "t", "id=5").await.expect("it stays as it is");
    assert_eq!(undo_table(&world).rows(&xid).await.unwrap().len(), 4);
}

/// What an older branch will find is what undoing the newer ones leaves.
#[tokio::test]
async fn dirt_between_two_branches_is_found_where_it_is() {
    for (choice, n) in [(Choice::Force, 10), (Choice::Skip, 12)] {
        let world = World::new(SCHEMA).await;
        run(&world, ROWS).await;
        let xid = world.coordinator.begin();
        for (statement, is_of_transaction) in [
            ("UPDATE t SET n = 11 WHERE id = 1", true),
            ("UPDATE t SET n = 99 WHERE id = 1", false),
            ("UPDATE t SET n = 12 WHERE id = 1", true),
        ] {
            match is_of_transaction {
                true => drop(inside(&xid, sqlx::query(statement).execute(&world.pool)).await.unwrap()),
                false => run(&world, statement).await,
            }
        }
        let told = undo_table(&world).rows(&xid).await.unwrap();
        let states: Vec<RowState> = told.iter().map(|row| row.state).collect();
        assert_eq!(states, [RowState::AsLeft, RowState::Dirty]);
        assert!(told[0].branch > told[1].branch);
        let now = told[1].current.as_ref().and_then(|row| row.field("n")).unwrap().to_string();
        assert_eq!(now, "99", "as it is when the newer one is undone");
        decide(&world, &xid, 1, choice).await.unwrap();
        assert!(dirty(&world, &xid).await.is_empty());
        assert!(world.coordinator.rollback(&xid).await.iter().all(|it| *it == BranchAnswer::rollbacked()));
        assert_eq!(rows(&world).await[0], format!("1 {n} a"));
    }
}

/// Java's resource managers undo all rows of a statement in one way.
#[tokio::test]
async fn a_row_that_becomes_another_kind_of_change_stands_by_itself() {
    let world = World::new(SCHEMA).await;
    for (change, dirt, kinds) in [
        (
            "DELETE FROM t WHERE id < 3",
            "INSERT INTO t VALUES (2, 99, 'z')",
            vec![(SqlType::Delete, 1, 0), (SqlType::Update, 1, 1)],
        ),
        (
            "UPDATE t SET n = 11, other = 'x'",
            "DELETE FROM t WHERE id = 2",
            vec![(SqlType::Update, 2, 2), (SqlType::Delete, 1, 0)],
        ),
        ("UPDATE t SET n = 11", "UPDATE t SET n = 99 WHERE id = 2", vec![(SqlType::Update, 3, 3)]),
        (
            "INSERT INTO t VALUES (2, 1, 1) ON CONFLICT (id) DO UPDATE SET n = 11",
            "UPDATE t SET n = 99 WHERE id = 2",
            vec![(SqlType::Update, 1, 1)],
        ),
    ] {
        let xid = changed(&world, &[change], true).await;
        run(&world, dirt).await;
        decide(&world, &xid, 2, Choice::Force).await.unwrap();
        let count = |image: &Option<undo::TableRecords>| image.as_ref().map_or(0, |image| image.rows.len());
        let log = log(&world).await;
        let found: Vec<(SqlType, usize, usize)> = log
            .sql_undo_logs
            .iter()
            .map(|it| (it.sql_type.clone(), count(&it.before_image), count(&it.after_image)))
            .collect();
        assert_eq!(found, kinds, "{change}");
        assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()], "{change}");
        assert_eq!(rows(&world).await, BEFORE, "{change}");
    }
}

/// The branch is not known to be undone before phase two says so.
#[tokio::test]
async fn a_log_without_rows_is_a_log() {
    let world = World::new(SCHEMA).await;
    let xid = changed(&world, &["UPDATE t SET n = 11 WHERE id = 2"], true).await;
    run(&world, "UPDATE t SET n = 99 WHERE id = 2").await;
    decide(&world, &xid, 2, Choice::Skip).await.unwrap();
    assert_eq!((log(&world).await.sql_undo_logs.len(), world.undo_rows().await), (0, 1));
    assert!(undo_table(&world).rows(&xid).await.unwrap().is_empty());
    let error = decide(&world, &xid, 2, Choice::Skip).await.unwrap_err();
    assert!(error.to_string().contains("it changed none here"), "{error}");
    assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
    assert_eq!((world.undo_rows().await, world.defence_rows().await), (0, 0));
}

#[tokio::test]
async fn a_long_log_stays_compressed_and_one_in_pieces_stays_whole() {
    const LONG: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, b BLOB);
        INSERT INTO t VALUES (1, 1, randomblob(9000)), (2, 2, randomblob(9000)), (3, 3, zeroblob(90000))";
    for in_pieces in [false, true] {
        let world = World::with(LONG, 2, |builder| match in_pieces {
            true => builder.compress_undo_logs_above(None).max_packet(20_000),
            false => builder,
        });
        let world = world.await;
        let before = world.dump().await;
        let xid = world.coordinator.begin();
        let change = sqlx::query("UPDATE t SET n = 0, b = x'00'");
        inside(&xid, change.execute(&world.pool)).await.unwrap();
        run(&world, "UPDATE t SET n = 99 WHERE id = 1").await;
        assert_eq!(all_rows(&world).await > 1, in_pieces);
        let undo_table = UndoTable::from(&world.pool);
        undo_table.force(&xid, "t", "id=1").await.unwrap();
        let contexts: Vec<String> =
            sqlx::query_scalar("SELECT context FROM undo_log").fetch_all(&world.raw).await.unwrap();
        assert_eq!(contexts.iter().any(|it| it.starts_with("subId=")), in_pieces, "{contexts:?}");
        assert_eq!(contexts.iter().any(|it| it.ends_with("ZIP")), !in_pieces, "{contexts:?}");
        assert_eq!(world.coordinator.rollback(&xid).await, [BranchAnswer::rollbacked()]);
        assert_eq!((world.dump().await, all_rows(&world).await), (before, 0));
    }
}

#[tokio::test]
async fn what_cannot_be_decided_is_said_and_changes_nothing() {
    let world = World::new(SCHEMA).await;
    let xid = changed(&world, &["UPDATE t SET n = 11"], true).await;
    run(&world, "DELETE FROM t WHERE id = 2").await;
    let table = undo_table(&world);
    let before: Vec<u8> = content(&world).await;
    for (table, key, told) in [
        ("t", "id=1", "row id=1 of table t is not dirty: it is as the transaction left it"),
        ("t", "id=7", "changed no row id=7 of table t; it changed id=1 of t; id=2 of t; id=3 of t"),
        ("u", "id=1", "changed no row id=1 of table u"),
        ("t", "id=2", "does not hold its column other; insert it"),
    ] {
        let error = undo_table(&world).force(&xid, table, key).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let other = Xid::new("test", 0, seata_protocol::TransactionId(4711)).unwrap();
    let error = table.rows(&other).await.unwrap_err();
    assert!(matches!(error, UndoLogError::NoLog { .. }), "{error}");
    let error = UndoTable::new(&world.raw).named("undo").skip(&xid, "t", "id=2").await.unwrap_err();
    assert!(matches!(&error, UndoLogError::NoTable { table } if table == "undo"), "{error}");
    let nowhere = SqlitePool::connect_lazy("sqlite:/nowhere/at/all.db").unwrap();
    let error = UndoTable::new(&nowhere).rows(&xid).await.unwrap_err();
    assert!(matches!(error, UndoLogError::Connect(_)), "{error}");
    assert_eq!(content(&world).await, before);

    run(&world, "UPDATE undo_log SET context = 'serializer=kryo'").await;
    let error = table.skip(&xid, "t", "id=2").await.unwrap_err();
    assert!(matches!(error, UndoLogError::Unusable { .. }) && error.to_string().contains("kryo"), "{error}");
    run(&world, "UPDATE undo_log SET context = 'serializer=jackson', log_status = 1").await;
    let error = table.skip(&xid, "t", "id=2").await.unwrap_err();
    assert!(matches!(error, UndoLogError::Finished { .. }), "{error}");
    world.assert_clean("after what was refused").await;
}

fn sets_only_n(changes: &[&str]) -> bool {
    changes.iter().all(|change| change.starts_with("UPDATE t SET n = ") && !change.contains("other"))
}

fn undo_table(world: &World) -> UndoTable<Sqlite> {
    UndoTable::new(&world.raw)
}

/// Changes rows of the table, in one branch or one for each statement.
async fn changed(world: &World, changes: &[&str], in_one: bool) -> Xid {
    run(world, ROWS).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        if !in_one {
            for change in changes {
                sqlx::query(AssertSqlSafe(*change)).execute(&world.pool).await.unwrap();
            }
            return;
        }
        let mut local = world.pool.begin().await.unwrap();
        for change in changes {
            sqlx::query(AssertSqlSafe(*change)).execute(&mut *local).await.unwrap();
        }
        local.commit().await.unwrap();
    })
    .await;
    xid
}

async fn decide(world: &World, xid: &Xid, key: i64, choice: Choice) -> Result<Vec<ChangedRow>, UndoLogError> {
    let key = format!("id={key}");
    match choice {
        Choice::Force => undo_table(world).force(xid, "t", &key).await,
        Choice::Skip => undo_table(world).skip(xid, "t", &key).await,
    }
}

async fn dirty(world: &World, xid: &Xid) -> Vec<ChangedRow> {
    let mut told = undo_table(world).rows(xid).await.unwrap();
    told.retain(|row| row.state.is_dirty());
    told
}

/// What phase two says of the newest branch that is not undone, or of the last one.
async fn answer(world: &World, xid: &Xid) -> BranchAnswer {
    let answers = world.coordinator.rollback(xid).await;
    let failed = answers.iter().find(|it| it.status == BranchStatus::PhaseTwoRollbackFailedUnretryable);
    failed.or(answers.last()).cloned().expect("a branch")
}

async fn rows(world: &World) -> Vec<String> {
    let sql = "SELECT id || ' ' || n || ' ' || other FROM t ORDER BY id";
    sqlx::query_scalar(sql).fetch_all(&world.raw).await.unwrap()
}

async fn run(world: &World, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&world.raw).await.unwrap();
}

async fn content(world: &World) -> Vec<u8> {
    sqlx::query_scalar("SELECT rollback_info FROM undo_log").fetch_one(&world.raw).await.unwrap()
}

/// The only one.
async fn log(world: &World) -> BranchUndoLog {
    let context: String =
        sqlx::query_scalar("SELECT context FROM undo_log").fetch_one(&world.raw).await.unwrap();
    let context = Context::parse(&context).unwrap();
    undo::read(&context, content(world).await, Vec::new(), undo::MAX_LOG).unwrap()
}

async fn all_rows(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM undo_log").fetch_one(&world.raw).await.unwrap()
}
