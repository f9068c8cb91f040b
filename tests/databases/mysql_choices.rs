//! Which rows a statement of MySQL means, where its words leave that open: chance, the time, LIMIT, counted keys.

use std::collections::HashSet;

use seata::at::AtError;
use sqlx::MySql;

use crate::{engine::Value, world::World};

/// Rows enough for chance to show itself; many are equal in `n`, which has an index.
const SCHEMA: &str = "
    CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT, v VARCHAR(50), at DATETIME(6), x DOUBLE, INDEX (n));
    INSERT INTO t SELECT seq, seq % 7, 'v', NOW(6), 0 FROM seq_1_to_600;
    CREATE TABLE other (id BIGINT PRIMARY KEY);
    INSERT INTO other SELECT id FROM t;
    CREATE TABLE auto (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(50));
    INSERT INTO auto (v) VALUES ('a'), ('b');
    CREATE FUNCTION my_choice(id BIGINT) RETURNS BOOLEAN NOT DETERMINISTIC NO SQL RETURN RAND() < 0.5;
";

/// Runs it, and gives how many rows it says that it changed; it has changed as many, and they come back.
async fn undone(world: &World<MySql>, sql: &str, values: &[Value]) -> u64 {
    let before = world.dump().await;
    let (affected, changed) = world
        .rolled_back(async {
            let affected = world.execute(sql, values).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            let after: HashSet<String> = world.dump().await.into_iter().collect();
            (affected, before.iter().filter(|row| !after.contains(*row)).count() as u64)
        })
        .await;
    assert_eq!(world.dump().await, before, "{sql}");
    assert_eq!(changed, affected, "{sql}");
    affected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chance_and_time_choose_once() {
    let world = World::<MySql>::new(SCHEMA).await;
    for sql in [
        "UPDATE t SET v = 'chosen' WHERE RAND() < 0.5",
        "UPDATE t SET v = 'chosen' WHERE my_choice(id)",
        "UPDATE t SET v = 'chosen' WHERE id IN (SELECT id FROM other WHERE RAND() < 0.5)",
        "DELETE FROM t WHERE RAND() < 0.5",
        "DELETE FROM t WHERE my_choice(id)",
    ] {
        let affected = undone(&world, sql, &[]).await;
        // A second choice among those of the first would leave 150.
        assert!((220..=380).contains(&affected), "{sql}: {affected}");
    }
    for (sql, expected) in [
        ("UPDATE t SET v = 'chosen' WHERE at < NOW(6)", 600),
        ("DELETE FROM t WHERE at < NOW(6) AND id <= 200", 200),
        ("UPDATE t SET v = 'chosen' ORDER BY RAND() LIMIT 5", 5),
        ("DELETE FROM t ORDER BY RAND() LIMIT 5", 5),
    ] {
        assert_eq!(undone(&world, sql, &[]).await, expected, "{sql}");
    }
    let bound = "UPDATE t SET v = ? WHERE at < NOW(6) - INTERVAL ? MICROSECOND AND id <= ? LIMIT ?";
    assert_eq!(undone(&world, bound, &["bound".into(), 1.into(), 100.into(), 7.into()]).await, 7);
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_by_chance_or_time_is_undone() {
    let world = World::<MySql>::new(SCHEMA).await;
    for set in
        ["v = UUID()", "x = RAND() + 1", "at = NOW(6) + INTERVAL 1 HOUR", "at = SYSDATE(6) + INTERVAL 1 DAY"]
    {
        assert_eq!(undone(&world, &format!("UPDATE t SET {set} WHERE n < 3"), &[]).await, 257, "{set}");
        assert_eq!(undone(&world, &format!("UPDATE t SET {set} WHERE n = 3 LIMIT 9"), &[]).await, 9, "{set}");
    }
    let inserts =
        "INSERT INTO t SELECT id + 1000 * CEIL(1 + RAND()), n, UUID(), NOW(6), RAND() FROM t WHERE id < 4";
    assert_eq!(undone_insert(&world, inserts, &[]).await, 3);
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_removes_the_rows_of_its_image() {
    let world = World::<MySql>::new(SCHEMA).await;
    for sql in [
        "DELETE FROM t LIMIT 3",
        "DELETE FROM t WHERE n > 2 LIMIT 3",
        "DELETE FROM t WHERE n IN (1, 5) AND id > 100 LIMIT 3",
        "DELETE FROM t ORDER BY n LIMIT 3",
        "DELETE FROM t ORDER BY v LIMIT 3",
        "DELETE FROM t WHERE id > 5 ORDER BY v DESC, n LIMIT 3",
        "DELETE IGNORE FROM t ORDER BY x LIMIT 3",
    ] {
        assert_eq!(undone(&world, sql, &[]).await, 3, "{sql}");
    }
    let bound = "DELETE FROM t WHERE n > ? ORDER BY v LIMIT ?";
    assert_eq!(undone(&world, bound, &[2.into(), 4.into()]).await, 4);
    let before = world.dump().await;
    let returning = "DELETE FROM t WHERE RAND() < 0.5 RETURNING id";
    world
        .rolled_back(async {
            let removed = world.numbers(returning, &[]).await.unwrap();
            let left = world.numbers("SELECT id FROM t", &[]).await.unwrap();
            assert_eq!(removed.len() + left.len(), 600);
            assert!((220..=380).contains(&removed.len()), "{}", removed.len());
            assert!(removed.iter().all(|id| !left.contains(id)));
        })
        .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chance_among_joined_tables_is_refused() {
    let world = World::<MySql>::new(SCHEMA).await;
    for sql in [
        "UPDATE t JOIN other AS o ON o.id = t.id AND RAND() < 0.5 SET t.n = 1",
        "DELETE t FROM t JOIN other AS o ON o.id = t.id WHERE RAND() < 0.5",
    ] {
        let refused = world.rolled_back(world.execute(sql, &[])).await.expect_err("it is refused");
        assert!(matches!(AtError::from_sqlx(&refused), Some(AtError::Refused { .. })), "{sql}: {refused}");
    }
    world.assert_clean("after all").await;
}

/// Runs it, and gives how many rows it says that it added; it has added as many, and they go.
async fn undone_insert(world: &World<MySql>, sql: &str, values: &[Value]) -> u64 {
    let before = world.dump().await;
    let (affected, added) = world
        .rolled_back(async {
            let affected = world.execute(sql, values).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            (affected, (world.dump().await.len() - before.len()) as u64)
        })
        .await;
    assert_eq!(world.dump().await, before, "{sql}");
    assert_eq!(added, affected, "{sql}");
    affected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_and_given_keys_may_be_mixed() {
    let world = World::<MySql>::new(SCHEMA).await;
    let sql = "INSERT INTO auto (id, v) VALUES (?, 'x'), (?, 'y'), (?, 'z')";
    let null = || Value::Null;
    for values in [
        [null(), null(), null()],
        [null(), 50.into(), null()],
        [60.into(), null(), null()],
        [0.into(), 70.into(), null()],
        [80.into(), 81.into(), 82.into()],
        [null(), null(), 500.into()],
    ] {
        assert_eq!(undone_insert(&world, sql, &values).await, 3, "{values:?}");
    }
    world.assert_clean("after all").await;
}
