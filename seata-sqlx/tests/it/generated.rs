//! Statements nobody thought of: run in any order, in one branch or many, and undone.

use proptest::{prelude::*, test_runner::Config};
use seata_context::BranchAnswer;
use seata_sqlx::AtError;
use sqlx::AssertSqlSafe;

use crate::world::{World, inside};

/// Loose and strict types, unique and composite keys, collations, defaults, generated columns.
const SCHEMA: &str = "
    CREATE TABLE loose (id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE, c REAL DEFAULT 2, d AS (typeof(a)) STORED);
    CREATE TABLE pair (a, b TEXT, c INTEGER, d UNIQUE, PRIMARY KEY (b, a)) WITHOUT ROWID;
    CREATE TABLE strict (id TEXT PRIMARY KEY NOT NULL, a ANY, b INTEGER, c REAL, d BLOB) STRICT;
    INSERT INTO loose (id, a, b) VALUES (1, 1, 'x'), (2, 1.0, 'X'), (3, '1', NULL), (4, x'31', 'y');
    INSERT INTO pair VALUES (1, 'k', 1, 1), (2, 'k', 2, NULL), (1.5, 'K', 3, 'u');
    INSERT INTO strict VALUES ('s', 1, 2, 3, x'04'), ('t', NULL, NULL, NULL, NULL);
";

const TABLES: [(&str, &[&str], &str); 3] = [
    ("loose", &["a", "b", "c"], "id"),
    ("pair", &["c", "d"], "b, a"),
    ("strict", &["a", "b", "c", "d"], "id"),
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("NULL".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        (-3i64..4).prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("SQL has no literal for it", |x| x.is_finite())
            .prop_map(|x| format!("{x:e}")),
        Just("9e999".to_owned()),
        (-3i32..4).prop_map(|n| format!("{n}.0")),
        "[a-zA-Z0-9'é你😀 ]{0,6}".prop_map(|s| format!("'{}'", s.replace('\'', "''"))),
        prop::collection::vec(any::<u8>(), 0..5)
            .prop_map(|bytes| format!("x'{}'", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|bytes| format!(
            "CAST(x'{}' AS TEXT)",
            bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
        )),
        Just("?1".to_owned()),
        Just("?2".to_owned()),
    ]
}

fn expression(columns: &'static [&'static str]) -> impl Strategy<Value = String> {
    let column = prop::sample::select(columns);
    prop_oneof![
        3 => value(),
        1 => column.clone().prop_map(str::to_owned),
        1 => (column.clone(), value()).prop_map(|(column, value)| format!("{column} + {value}")),
        1 => (column, value()).prop_map(|(column, value)| format!("coalesce({column}, '') || {value}")),
    ]
}

fn condition(columns: &'static [&'static str], table: &'static str) -> impl Strategy<Value = String> {
    let column = prop::sample::select(columns);
    prop_oneof![
        2 => Just(String::new()),
        1 => (column.clone(), value()).prop_map(|(column, value)| format!(" WHERE {column} = {value}")),
        1 => (column.clone(), value()).prop_map(|(column, value)| format!(" WHERE {column} <= {value}")),
        1 => (column.clone(), value()).prop_map(|(column, value)| format!(" WHERE NOT ({column} IS NULL OR {column} > {value})")),
        1 => column.clone().prop_map(move |column| format!(" WHERE {column} IN (SELECT {column} FROM {table} ORDER BY 1 LIMIT 2)")),
        1 => (column, value(), value()).prop_map(|(column, a, b)| format!(" WHERE {column} BETWEEN {a} AND {b}")),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    prop::sample::select(&TABLES[..]).prop_flat_map(|(table, columns, key)| {
        let conflict = prop_oneof![
            Just(String::new()),
            Just(" ON CONFLICT DO NOTHING".to_owned()),
            (prop::sample::select(columns), expression(columns)).prop_map(move |(column, value)| format!(
                " ON CONFLICT ({key}) DO UPDATE SET {column} = {value}"
            )),
            prop::sample::select(columns).prop_map(move |column| format!(
                " ON CONFLICT DO UPDATE SET {column} = excluded.{column} WHERE true"
            )),
        ];
        let returning = prop_oneof![3 => Just(""), 1 => Just(" RETURNING *")];
        let keys = if key == "id" { 1 } else { 2 };
        let row = (prop::collection::vec(value(), keys), prop::collection::vec(value(), columns.len()));
        prop_oneof![
            (
                prop::sample::select(columns),
                expression(columns),
                condition(columns, table),
                returning.clone()
            )
                .prop_map(move |(column, value, condition, returning)| format!(
                    "UPDATE {table} SET {column} = {value}{condition}{returning}"
                )),
            (prop::sample::select(columns), expression(columns), condition(columns, table)).prop_map(
                move |(column, value, condition)| format!(
                    "UPDATE OR IGNORE {table} SET {column} = {value}{condition}"
                )
            ),
            (condition(columns, table), returning.clone())
                .prop_map(move |(condition, returning)| format!("DELETE FROM {table}{condition}{returning}")),
            (
                prop_oneof![2 => Just(""), 1 => Just("OR IGNORE ")],
                prop::collection::vec(row, 1..4),
                conflict,
                returning
            )
                .prop_map(move |(ignore, rows, conflict, returning)| {
                    let rows: Vec<String> =
                        rows.iter().map(|(k, v)| format!("({}, {})", k.join(", "), v.join(", "))).collect();
                    let columns = columns.join(", ");
                    format!(
                        "INSERT {ignore}INTO {table} ({key}, {columns}) VALUES {}{conflict}{returning}",
                        rows.join(", ")
                    )
                }),
        ]
    })
}

fn is_expected(error: &sqlx::Error) -> bool {
    match AtError::from_sqlx(error) {
        Some(AtError::UnusableKey { .. }) => true,
        Some(other) => panic!("{other}"),
        // Constraints, types of STRICT tables: the statement itself is wrong.
        None => error.as_database_error().is_some(),
    }
}

/// Runs all statements on a fresh database, rolls back, and compares.
async fn undone_exactly(statements: &[(String, bool)], newest_first: bool) -> usize {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    let mut ran = 0;
    inside(&xid, async {
        for (sql, by_itself) in statements {
            let query = || sqlx::query(AssertSqlSafe(sql.as_str())).bind(7).bind("seven");
            let result = if *by_itself {
                query().execute(&world.pool).await
            } else {
                let mut tx = world.pool.begin().await.unwrap();
                let first = query().execute(&mut tx).await;
                // Once more in the same branch, where its rows have changed already.
                query().execute(&mut tx).await.ok();
                match tx.commit().await {
                    Ok(()) => first,
                    Err(error) => {
                        let cause = AtError::from_sqlx(&error);
                        assert!(matches!(cause, Some(AtError::AlreadyRolledBack { .. })), "{sql}: {error}");
                        continue;
                    }
                }
            };
            match result {
                Ok(_) => ran += 1,
                Err(error) => assert!(is_expected(&error), "{sql}: {error}"),
            }
        }
    })
    .await;
    let answers = if newest_first {
        world.coordinator.rollback(&xid).await
    } else {
        world.coordinator.rollback_as_registered(&xid).await
    };
    for answer in answers {
        assert_eq!(answer, BranchAnswer::rollbacked(), "{statements:#?}");
    }
    assert_eq!(world.dump().await, before, "{statements:#?}");
    assert_eq!(world.undo_rows().await, 0);
    ran
}

#[test]
fn whatever_runs_is_undone_exactly() {
    let cases = std::env::var("SEATA_GENERATED_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ran = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(
            &(prop::collection::vec((statement(), any::<bool>()), 1..8), any::<bool>()),
            |(statements, newest_first)| {
                ran.set(ran.get() + runtime.block_on(undone_exactly(&statements, newest_first)));
                Ok(())
            },
        )
        .unwrap();
    assert!(ran.get() > cases as usize, "only {} statements of {cases} cases ran", ran.get());
}
