//! Statements that go to MariaDB within a compound one answer as they do by themselves.

use seata::at::AtPool;
use sqlx::{MySql, query};

use crate::world::{Options, World};

const SCHEMA: &str = "
    CREATE TABLE t (id BIGINT PRIMARY KEY, n INT UNIQUE, v VARCHAR(50) NOT NULL, CHECK (n <> 13));
    INSERT INTO t SELECT seq, seq, 'v' FROM seq_1_to_12;
    CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT);
    INSERT INTO counted (n) VALUES (1), (2);";

/// One world that sends several statements in one call, and one that does not.
async fn worlds() -> [World<MySql>; 2] {
    let world = async |blocks| World::with(SCHEMA, Options { blocks, ..Options::default() }).await;
    [world(true).await, world(false).await]
}

/// How many rows were changed, and the last number of a counter.
async fn answer(at: &AtPool<MySql>, sql: &str, id: i64) -> (u64, u64) {
    let done = query(sqlx::AssertSqlSafe(sql)).bind(id).execute(at).await;
    let done = done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    (done.rows_affected(), done.last_insert_id())
}

#[tokio::test]
async fn the_answers_are_the_same() {
    for world in worlds().await {
        let before = world.dump().await;
        for (sql, id, expected) in [
            ("UPDATE t SET n = n + 100 WHERE id = ?", 3, (1, 0)),
            // Found, and as it was.
            ("UPDATE t SET v = 'v' WHERE id = ?", 3, (1, 0)),
            ("UPDATE t SET v = 'w' WHERE id <= ?", 5, (5, 0)),
            ("UPDATE t SET v = 'w' WHERE id <= ?", 11, (11, 0)),
            ("UPDATE t SET v = 'w' WHERE id = ?", 99, (0, 0)),
            ("UPDATE t SET v = 'w' WHERE id <= ? ORDER BY n DESC LIMIT 2", 5, (2, 0)),
            ("UPDATE counted SET n = LAST_INSERT_ID(77) WHERE id = ?", 1, (1, 77)),
            ("DELETE FROM t WHERE id = ?", 4, (1, 0)),
            ("DELETE FROM t WHERE id <= ?", 7, (7, 0)),
            ("INSERT INTO t VALUES (?, 50, 'new')", 50, (1, 0)),
            // What stands behind the statement.
            ("UPDATE t SET v = 'end' WHERE id = ?;", 1, (1, 0)),
            ("UPDATE t SET v = 'end' WHERE id = ? -- END", 1, (1, 0)),
            ("UPDATE t SET v = 'end' /* ; */ WHERE id = ? ; /* END */ # ;", 1, (1, 0)),
            ("DELETE FROM t WHERE id = ?; -- END", 1, (1, 0)),
        ] {
            let found = world.rolled_back(answer(&world.at, sql, id)).await;
            assert_eq!(found, expected, "{sql}");
            assert_eq!(world.dump().await, before, "{sql}");
        }
        let number = world.rolled_back(answer(&world.at, "INSERT INTO counted (n) VALUES (?)", 9)).await;
        assert_eq!(number, (1, 3));
        world.assert_clean("after all").await;
    }
}

/// What a counter gave is the session's, and a key that is given is not.
#[tokio::test]
async fn the_last_number_of_the_session_is_as_without_a_transaction() {
    for world in worlds().await {
        world.script("CREATE TABLE other (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT)").await;
        let last = world
            .rolled_back(async {
                let mut one = world.at.connection();
                let mut last = Vec::new();
                for sql in [
                    "INSERT INTO other (n) VALUES (1)",
                    "INSERT INTO counted (id, n) VALUES (50, 1)",
                    "INSERT INTO counted (id, n) VALUES (60, 1), (61, 1)",
                    "INSERT INTO counted (n) VALUES (1)",
                    "INSERT INTO counted (n) VALUES (1), (2), (3)",
                    "INSERT INTO counted VALUES (DEFAULT, 1)",
                ] {
                    let done = query(sql).execute(&mut one).await.unwrap();
                    let asked: u64 =
                        sqlx::query_scalar("SELECT LAST_INSERT_ID()").fetch_one(&mut one).await.unwrap();
                    last.push((done.rows_affected(), done.last_insert_id(), asked));
                }
                last
            })
            .await;
        assert_eq!(last, [(1, 1, 1), (1, 50, 1), (2, 61, 1), (1, 62, 62), (3, 63, 63), (1, 66, 66)]);
        world.assert_clean("after all").await;
    }
}

/// What the database refuses has changed nothing, and the local transaction goes on.
#[tokio::test]
async fn a_statement_that_fails_leaves_the_local_transaction_as_it_was() {
    for world in worlds().await {
        let work = async {
            let mut local = world.at.begin().await.unwrap();
            query("UPDATE t SET v = 'kept' WHERE id = ?").bind(1).execute(&mut local).await.unwrap();
            for (sql, part) in [
                ("UPDATE t SET n = 2 WHERE id = ?", "Duplicate entry"),
                ("UPDATE t SET n = 13 WHERE id = ?", "CONSTRAINT"),
                ("UPDATE t SET v = NULL WHERE id = ?", "cannot be null"),
                ("UPDATE t SET n = 'x' WHERE id = ?", "Incorrect integer"),
            ] {
                let error = query(sql).bind(1).execute(&mut local).await.unwrap_err().to_string();
                assert!(error.contains(part), "{sql}: {error}");
            }
            query("UPDATE t SET n = 99 WHERE id = ?").bind(1).execute(&mut local).await.unwrap();
            local.commit().await
        };
        world.committed(work).await.unwrap();
        assert_eq!(world.number("SELECT count(*) FROM t WHERE v = 'kept' AND n = 99").await, 1);
        assert_eq!(world.number("SELECT count(*) FROM t WHERE v = 'v'").await, 11);
        world.assert_clean("after all").await;
    }
}

/// Prepared once, and run on a table that has become another.
#[tokio::test]
async fn a_table_may_change_between_two_statements() {
    for world in worlds().await {
        let update = "UPDATE t SET v = 'w' WHERE id = ?";
        world.rolled_back(answer(&world.at, update, 1)).await;
        for (change, value) in [
            ("ALTER TABLE t MODIFY v VARBINARY(20) FIRST", "v"),
            ("ALTER TABLE t MODIFY v TEXT CHARACTER SET utf16", "v"),
            ("ALTER TABLE t MODIFY id VARCHAR(20)", "v"),
            ("ALTER TABLE t ADD COLUMN first INT NOT NULL DEFAULT 7 FIRST", "v"),
            ("ALTER TABLE t DROP COLUMN first", "v"),
        ] {
            world.script(change).await;
            let before = world.dump().await;
            assert_eq!(world.rolled_back(answer(&world.at, update, 1)).await.0, 1, "{change}");
            assert_eq!(world.dump().await, before, "{change}");
            assert_eq!(world.number(&format!("SELECT v = '{value}' FROM t WHERE id = 1")).await, 1);
        }
        world.assert_clean("after all").await;
    }
}
