//! What hangs on the session or on its snapshot in MySQL alone.

use sqlx::MySql;

use crate::{
    engine::{Engine, Value},
    world::{Options, World},
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
