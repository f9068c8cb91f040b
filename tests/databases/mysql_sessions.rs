//! What hangs on the session or on its snapshot in MySQL alone.

use seata::{
    OnError, TransactionOptions,
    at::{AtError, Flavor},
};
use sqlx::MySql;

use crate::{
    engine::{Engine, Value},
    world::{Options, World, application},
};

/// The counter says nothing of a zero that the session takes for a key like others.
#[tokio::test]
async fn a_zero_is_a_key_where_the_session_says_so() {
    const SCHEMA: &str = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT NOT NULL)";
    let world = World::<MySql>::with(SCHEMA, Options { connections: 1, ..Options::default() }).await;
    let keys = async |work| {
        let before = world.dump().await;
        let keys: Vec<i64> = world
            .rolled_back(async {
                let (sql, values): (&str, &[Value]) = work;
                world.execute(sql, values).await.unwrap();
                MySql::raw_numbers(&world.raw, "SELECT id FROM t ORDER BY id").await.unwrap()
            })
            .await;
        assert_eq!(world.dump().await, before, "{work:?}");
        keys
    };
    assert_eq!(world.committed(world.execute("INSERT INTO t (n) VALUES (1)", &[])).await.unwrap(), 1);
    assert_eq!(keys(("INSERT INTO t (id, n) VALUES (0, 2)", &[])).await, [1, 2]);
    let set = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')";
    world.seata.scope(world.execute(set, &[])).await.unwrap();
    assert_eq!(keys(("INSERT INTO t (id, n) VALUES (0, 2)", &[])).await, [0, 1]);
    assert_eq!(keys(("INSERT INTO t (id, n) VALUES (?, 2)", &[Value::Number(0)])).await, [0, 1]);
    assert_eq!(keys(("INSERT INTO t (n) VALUES (2)", &[])).await, [1, 3]);
    world.assert_clean("in the end").await;
}

/// A change asks them for what is there now, whatever the snapshot of its transaction says; its image has to as well.
#[tokio::test]
async fn a_change_sees_the_rows_of_other_tables_as_they_are_now() {
    const SCHEMA: &str = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
        CREATE TABLE x (t_id BIGINT PRIMARY KEY);
        INSERT INTO t VALUES (1, 10), (2, 20), (3, 30), (4, 40); INSERT INTO x VALUES (1)";
    let world = World::<MySql>::new(SCHEMA).await;
    for sql in [
        "UPDATE t SET n = 1 WHERE id IN (SELECT t_id FROM x)",
        "UPDATE t SET n = 1 WHERE id IN (SELECT t_id FROM x WHERE t_id > 0 ORDER BY t_id)",
        "UPDATE t SET n = 1 WHERE EXISTS (SELECT 1 FROM x WHERE x.t_id = t.id)",
        "UPDATE t SET n = 1 WHERE id = (SELECT MAX(t_id) FROM x) OR id = (SELECT 0 + 1)",
        "UPDATE t SET n = 1 WHERE id IN (SELECT t_id FROM x UNION ALL SELECT t_id - 2 FROM x)",
        "UPDATE t SET n = 1 WHERE id IN ((SELECT t_id FROM x) UNION (SELECT t_id - 2 FROM x))",
        "UPDATE t SET n = 1 WHERE id IN (SELECT d.i FROM (SELECT t_id AS i FROM x LIMIT 9) AS d)",
        "UPDATE t SET n = 1 WHERE id IN (WITH c AS (SELECT t_id FROM x) SELECT t_id FROM c)",
        "UPDATE t JOIN (SELECT t_id FROM x GROUP BY t_id) AS d ON d.t_id = t.id SET t.n = 1",
        "UPDATE t SET n = 1 WHERE id > 0 ORDER BY (SELECT COUNT(*) FROM x WHERE x.t_id = t.id) DESC LIMIT 2",
        "DELETE FROM t WHERE id IN (SELECT t_id FROM x)",
        "DELETE FROM t WHERE id NOT IN (SELECT t_id FROM x) AND id > 1",
    ] {
        world.reset(SCHEMA).await;
        let before = world.dump().await;
        let changed = world.rolled_back(async {
            let mut local = world.begin().await.unwrap();
            assert_eq!(MySql::local_numbers(&mut local, "SELECT t_id FROM x").await.unwrap(), [1]);
            world.script("INSERT INTO x VALUES (3)").await;
            let changed = MySql::local_execute(&mut local, sql, &[]).await;
            let changed = changed.unwrap_or_else(|error| panic!("{sql}: {error}"));
            MySql::commit(local).await.unwrap();
            changed
        });
        assert_eq!(changed.await, 2, "{sql}");
        world.script("DELETE FROM x WHERE t_id = 3").await;
        assert_eq!(world.dump().await, before, "{sql}");
    }
    world.assert_clean("in the end").await;
}

/// sqlx then sends nothing, and waits for the answer when the connection is used next.
#[tokio::test]
async fn too_many_arguments_are_named_and_hold_nothing_up() {
    const SCHEMA: &str =
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT); INSERT INTO t VALUES (1, 10), (2, 20)";
    let world = World::<MySql>::with(SCHEMA, Options { connections: 1, ..Options::default() }).await;
    let before = world.dump().await;
    let values: &[Value] = &[1.into(), 1.into(), 1.into()];
    for sql in [
        "UPDATE t SET n = n - ? WHERE id = ?",
        "INSERT INTO t VALUES (?, ?)",
        "DELETE FROM t WHERE id = ? OR n = ?",
        "SELECT id FROM t WHERE id = ? OR n = ? FOR UPDATE",
        "SELECT '?' /* ? */ FROM t WHERE id = ? OR n = ?",
    ] {
        let named = |error: &sqlx::Error| {
            let named = matches!(
                AtError::from_sqlx(error),
                Some(AtError::ArgumentCount { expected: 2, found: 3, .. })
            );
            assert!(named, "{sql}: {error}");
        };
        world
            .committed(async {
                named(&world.numbers(sql, values).await.unwrap_err());
                let mut local = world.begin().await.unwrap();
                MySql::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 2", &[]).await.unwrap();
                named(&MySql::local_execute(&mut local, sql, values).await.unwrap_err());
                MySql::rollback(local).await.unwrap();
                assert_eq!(world.numbers("SELECT n FROM t WHERE id = ?", &[2.into()]).await.unwrap(), [20]);
            })
            .await;
    }
    assert_eq!(world.dump().await, before);
    world.assert_clean("in the end").await;
}

/// MyISAM keeps what is rolled back.
#[tokio::test]
async fn an_undo_table_without_transactions_is_refused() {
    let (seata, place) = (application().await, MySql::database().await);
    let raw = MySql::connect(&place.url, 1).await.unwrap();
    let table = seata::at::undo::table(Flavor::MySql, "undo_log").join(";").replace("InnoDB", "MyISAM");
    MySql::script(&raw, &format!("SET SESSION default_storage_engine = MyISAM; {table}")).await.unwrap();
    let error = MySql::open(&raw, &seata, Options::default()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("an engine that has transactions"), "{error}");
    assert_eq!(MySql::raw_numbers(&raw, "SELECT count(*) FROM undo_log").await.unwrap(), [0]);
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Who may not make tables is told who makes this one, and who may not use it what is missing.
#[tokio::test]
async fn rights_that_an_undo_table_needs_are_told() {
    let (seata, place) = (application().await, MySql::database().await);
    let raw = MySql::connect(&place.url, 1).await.unwrap();
    let database = place.url.rsplit('/').next().unwrap().to_owned();
    let limited = format!("limited_{}", rand::random::<u16>());
    MySql::script(
        &raw,
        &format!("CREATE USER {limited}@'127.0.0.1'; GRANT SELECT ON {database}.* TO {limited}@'127.0.0.1'"),
    )
    .await
    .unwrap();
    let url = place.url.replace("root@", &format!("{limited}@"));
    let tried = async || {
        let raw = MySql::connect(&url, 1).await.unwrap();
        MySql::open(&raw, &seata, Options::default()).await.map(drop)
    };
    let error = tried().await.unwrap_err().to_string();
    assert!(error.contains("`seata undo-log ddl mysql`") && error.contains("CREATE"), "{error}");
    MySql::script(&raw, &seata::at::undo::table(Flavor::MySql, "undo_log").join(";")).await.unwrap();
    for right in ["INSERT", "DELETE"] {
        let error = tried().await.unwrap_err().to_string();
        assert!(error.contains(&format!("{right} command denied")), "{error}");
        MySql::script(&raw, &format!("GRANT {right} ON {database}.undo_log TO {limited}@'127.0.0.1'"))
            .await
            .unwrap();
    }
    tried().await.unwrap();

    // A table that only grows takes no other right.
    let table = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT)";
    MySql::script(&raw, &format!("{table}; GRANT INSERT ON {database}.t TO {limited}@'127.0.0.1'"))
        .await
        .unwrap();
    let limited_raw = MySql::connect(&url, 2).await.unwrap();
    let at = MySql::open(&limited_raw, &seata, Options::default()).await.unwrap();
    for number in [1, 2] {
        let work = async { Ok(sqlx::query("INSERT INTO t (n) VALUES (7)").execute(&at).await?) };
        let run = seata::run(TransactionOptions::new("insert"), |_: &Failed| OnError::Rollback, work);
        let done = seata.client().scope(run).await.unwrap();
        assert_eq!((done.rows_affected(), done.last_insert_id() >= number), (1, true));
    }
    MySql::script(&raw, &format!("DROP USER {limited}@'127.0.0.1'")).await.unwrap();
}
