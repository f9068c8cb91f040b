//! What goes wrong leaves no trace, has a name, and costs nobody a connection.

use seata::at::{AtError, AtOpenError};
use seata_tests::amount;

use crate::{
    engine::{Engine, Value, on_each_database},
    world::{Options, World, application},
};

const SCHEMA: &str = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL UNIQUE);
    INSERT INTO t VALUES (1, 10), (2, 20), (3, 30), (4, 40)";

/// As many rows as this, of four columns.
fn rows<E: Engine>(count: usize) -> String {
    let values: Vec<String> = (0..count).map(|id| format!("({id}, 'name {id}', 0, NULL)")).collect();
    let inserts: Vec<String> =
        values.chunks(1000).map(|chunk| format!("INSERT INTO many VALUES {};", chunk.join(", "))).collect();
    format!(
        "CREATE TABLE many (id BIGINT PRIMARY KEY, name {} NOT NULL, n BIGINT, x BIGINT); {}",
        E::TEXT,
        inserts.join("\n")
    )
}

/// Runs a statement by itself, then in a local transaction: the error is the same, and nothing else is.
async fn fails<E: Engine>(world: &World<E>, sql: &str, values: &[Value], expected: fn(&sqlx::Error) -> bool) {
    let before = world.dump().await;
    let failed = async {
        let error = world.execute(sql, values).await.map(|_| ()).expect_err(sql);
        assert!(expected(&error), "{sql}: {error:?}");
        let mut local = world.begin().await.unwrap();
        E::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 4", &[]).await.unwrap();
        let failed = E::local_execute(&mut local, &E::placed(sql), values).await;
        let error = failed.map(|_| ()).expect_err(sql);
        assert!(expected(&error), "{sql}: {error:?}");
        E::rollback(local).await.unwrap();
        assert!(world.locks().await.is_empty(), "{sql}");
        assert_eq!(world.undo_rows().await, 0, "{sql}");
        world.assert_no_local_transaction(sql).await;
    };
    world.committed(failed).await;
    assert_eq!(world.dump().await, before, "{sql}");
    world.assert_clean(sql).await;
}

async fn too_few_arguments_are_named<E: Engine>() {
    let world = World::<E>::new(SCHEMA).await;
    let is_expected = |error: &sqlx::Error| {
        matches!(AtError::from_sqlx(error), Some(AtError::ArgumentCount { expected: 2, found: 1, .. }))
    };
    fails(&world, "UPDATE t SET n = ? WHERE id = ?", &[7.into()], is_expected).await;
}

async fn what_the_database_refuses_is_its_own_error<E: Engine>() {
    let world = World::<E>::new(SCHEMA).await;
    let is_unique = |error: &sqlx::Error| {
        error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    };
    for sql in [
        "UPDATE t SET n = 30 WHERE id = 1",
        "INSERT INTO t VALUES (9, 90), (1, 0)",
        "INSERT INTO t VALUES (9, 10)",
    ] {
        fails(&world, sql, &[], is_unique).await;
    }
    let is_not_null = |error: &sqlx::Error| {
        error
            .as_database_error()
            .is_some_and(|error| matches!(error.kind(), sqlx::error::ErrorKind::NotNullViolation))
    };
    fails(&world, "INSERT INTO t VALUES (?, ?)", &[9.into(), Value::Null], is_not_null).await;
}

async fn too_many_rows_are_told_with_the_limit<E: Engine>() {
    let options = Options { max_image_rows: 3, ..Options::default() };
    let world = World::<E>::with(SCHEMA, options).await;
    let is_expected = |error: &sqlx::Error| {
        error.to_string().contains("max_image_rows")
            && matches!(AtError::from_sqlx(error), Some(AtError::TooManyRows { limit: 3, .. }))
    };
    for sql in ["UPDATE t SET n = n + 100", "DELETE FROM t", "INSERT INTO t SELECT id + 10, n + 100 FROM t"] {
        fails(&world, sql, &[], is_expected).await;
    }
    world.rolled_back(world.execute("UPDATE t SET n = n + 100 WHERE id < 4", &[])).await.unwrap();
}

async fn the_limit_is_a_hundred_thousand_rows<E: Engine>() {
    let world = World::<E>::new(&rows::<E>(100_001)).await;
    let error = world.committed(world.execute("UPDATE many SET n = 1", &[])).await.unwrap_err();
    assert!(
        matches!(AtError::from_sqlx(&error), Some(AtError::TooManyRows { limit: 100_000, .. })),
        "{error}"
    );
    assert_eq!(world.number("SELECT count(*) FROM many WHERE n = 0").await, 100_001);
    world.assert_clean("after the refusal").await;
}

async fn an_update_of_many_rows_is_undone<E: Engine>() {
    let count = amount(2_000, 20_000);
    let world = World::<E>::new(&rows::<E>(count)).await;
    let before = world.dump().await;
    let changed =
        world.rolled_back(world.execute("UPDATE many SET n = 1, x = ?", &[Value::Null])).await.unwrap();
    assert_eq!(changed, count as u64);
    assert!(world.dump().await == before, "not as before");
    world.assert_clean("after the rollback").await;
}

async fn an_undo_table_that_will_not_do_is_refused<E: Engine>() {
    let seata = application().await;
    let bytes = match E::NAME {
        "postgres" => "BYTEA",
        "mysql" => "LONGBLOB",
        _ => "BLOB",
    };
    let columns = format!(
        "id BIGINT, branch_id BIGINT NOT NULL, xid VARCHAR(128) NOT NULL, context VARCHAR(128) NOT NULL, \
         rollback_info {bytes} NOT NULL, log_status INT NOT NULL, log_created TIMESTAMP, log_modified TIMESTAMP"
    );
    for (columns, part) in [
        ("a BIGINT PRIMARY KEY".to_owned(), "branch_id"),
        (columns.clone(), "unique key on (xid, branch_id)"),
        (format!("{columns}, more BIGINT NOT NULL, UNIQUE (xid, branch_id)"), "more"),
        (format!("{columns}, UNIQUE (xid)"), ""),
    ] {
        let place = E::database().await;
        let raw = E::connect(&place.url, 1).await.unwrap();
        E::script(&raw, &format!("CREATE TABLE undo_log ({columns})")).await.unwrap();
        let error = match E::open(&raw, &seata, Options::default()).await {
            Err(error @ (AtOpenError::UndoTable { .. } | AtOpenError::UnfitUndoTable { .. })) => {
                error.to_string()
            }
            Err(error) => panic!("{columns}: {error}"),
            Ok(_) if part.is_empty() => continue,
            Ok(_) => panic!("{columns}: it has opened"),
        };
        assert!(error.contains("undo_log") && error.contains(part) && !part.is_empty(), "{columns}: {error}");
        assert_eq!(E::raw_numbers(&raw, "SELECT count(*) FROM undo_log").await.unwrap(), [0]);
    }
}

/// The branch is there before the undo log cannot be written; it is taken back.
async fn an_undo_table_that_is_gone_is_an_error<E: Engine>() {
    let world = World::<E>::new(SCHEMA).await;
    let before = world.dump().await;
    world.script("DROP TABLE undo_log").await;
    let tried = world.committed(async {
        let error = world.execute("UPDATE t SET n = 0 WHERE id = 1", &[]).await.unwrap_err();
        assert!(error.to_string().contains("undo_log"), "{error}");
        seata_tests::wait::until("the locks to go", || async {
            let locks = world.locks().await;
            if locks.is_empty() { Ok(()) } else { Err(format!("{locks:?}")) }
        })
        .await;
    });
    tried.await;
    assert_eq!(world.dump().await, before);
    E::open(&world.raw, &world.seata, Options::default()).await.expect("it makes the table anew");
    assert_eq!(world.numbers("SELECT n FROM t WHERE id = ?", &[1.into()]).await.unwrap(), [10]);
    world.assert_clean("in the end").await;
}

on_each_database!(
    too_few_arguments_are_named,
    what_the_database_refuses_is_its_own_error,
    too_many_rows_are_told_with_the_limit,
    the_limit_is_a_hundred_thousand_rows,
    an_update_of_many_rows_is_undone,
    an_undo_table_that_will_not_do_is_refused,
    an_undo_table_that_is_gone_is_an_error,
);
