//! A row has one name among all locks, whoever changes it and however that is spelled.

use futures_util::future::join_all;
use seata::{Seata, at::AtError};
use seata_tests::java::{Java, Mode};

use super::database::{Database, Kind, Options};

const MARIADB: &str = "
    ALTER DATABASE CHARACTER SET utf8mb4;
    CREATE TABLE pair (user_id BIGINT, order_id INT, n INT, PRIMARY KEY (order_id, user_id));
    INSERT INTO pair VALUES (1, 2, 0), (2, 1, 0);
    CREATE TABLE triple (tenant VARCHAR(8), day DATE, place CHAR(4), n INT, PRIMARY KEY (tenant, day, place));
    INSERT INTO triple VALUES ('a', '2024-02-29', 'x', 0);
    CREATE TABLE label (code VARCHAR(32) COLLATE utf8mb4_bin PRIMARY KEY, n INT);
    INSERT INTO label VALUES ('Ärger 椅子', 0), ('a', 0), ('A', 0);
    CREATE TABLE `UPPER` (`ID` BIGINT PRIMARY KEY, `N` INT);
    INSERT INTO `UPPER` VALUES (1, 0);
    CREATE TABLE amount (price DECIMAL(10,2) PRIMARY KEY, n INT);
    INSERT INTO amount VALUES (1.50, 0);
    CREATE TABLE counted (id BIGINT UNSIGNED PRIMARY KEY, n INT);
    INSERT INTO counted VALUES (9223372036854775807, 0);
    CREATE TABLE moment (at DATETIME PRIMARY KEY, n INT);
    INSERT INTO moment VALUES ('2024-02-29 13:14:15', 0);
";

const ROWS_OF_MARIADB: &[Row] = &[
    Row {
        key: "pair:1_2",
        by_rust: "UPDATE pair SET n = n + 1 WHERE order_id = 2",
        by_java: "UPDATE keys_mariadb.pair p SET p.n = p.n + 1 WHERE p.user_id = 1",
    },
    Row {
        key: "triple:x_2024-02-29_a",
        by_rust: "UPDATE triple SET n = 1 WHERE tenant = 'a'",
        by_java: "UPDATE triple SET n = 5 WHERE place = 'x'",
    },
    Row {
        key: "label:Ärger 椅子",
        by_rust: "UPDATE label SET n = 1 WHERE code = 'Ärger 椅子'",
        by_java: "UPDATE `label` SET n = 2 WHERE code = 'Ärger 椅子'",
    },
    Row {
        key: "label:A",
        by_rust: "UPDATE `keys_mariadb`.`label` SET n = 1 WHERE code = 'A'",
        by_java: "UPDATE label SET n = 2 WHERE code = 'A'",
    },
    Row {
        key: "UPPER:1",
        by_rust: "UPDATE `UPPER` SET n = 1 WHERE id = 1",
        by_java: "UPDATE UPPER SET N = 2 WHERE ID = 1",
    },
    Row {
        key: "amount:1.50",
        by_rust: "UPDATE amount SET n = 1 WHERE price = 1.5",
        by_java: "UPDATE amount SET n = 2 WHERE price = 1.5",
    },
    Row {
        key: "counted:9223372036854775807",
        by_rust: "UPDATE counted SET n = 1",
        by_java: "UPDATE counted SET n = 2 WHERE id > 1",
    },
    Row {
        key: "moment:2024-02-29T13:14:15",
        by_rust: "UPDATE moment SET n = 1",
        by_java: "UPDATE moment SET n = 2 WHERE n >= 0",
    },
];

const POSTGRESQL: &str = "
    CREATE TABLE pair (user_id BIGINT, order_id INT, n INT, PRIMARY KEY (order_id, user_id));
    INSERT INTO pair VALUES (1, 2, 0), (2, 1, 0);
    CREATE TABLE label (code TEXT PRIMARY KEY, n INT);
    INSERT INTO label VALUES ('Ärger 椅子', 0), ('a', 0), ('A', 0);
    CREATE TABLE padded (code CHAR(4) PRIMARY KEY, n INT);
    INSERT INTO padded VALUES ('x', 0);
    CREATE TABLE \"Upper\" (\"Id\" BIGINT PRIMARY KEY, \"N\" INT);
    INSERT INTO \"Upper\" VALUES (1, 0);
    CREATE SCHEMA depot;
    CREATE TABLE depot.pair (user_id BIGINT, order_id INT, n INT, PRIMARY KEY (order_id, user_id));
    INSERT INTO depot.pair VALUES (1, 2, 0);
    CREATE TABLE amount (price NUMERIC(10,2) PRIMARY KEY, n INT);
    INSERT INTO amount VALUES (1.50, 0);
    CREATE TABLE item (id UUID PRIMARY KEY, n INT);
    INSERT INTO item VALUES ('123e4567-e89b-12d3-a456-426614174000', 0);
    CREATE TABLE moment (at TIMESTAMP PRIMARY KEY, n INT);
    INSERT INTO moment VALUES ('2024-02-29 13:14:15.120', 0);
";

const ROWS_OF_POSTGRESQL: &[Row] = &[
    Row {
        key: "pair:1_2",
        by_rust: "UPDATE public.pair SET n = n + 1 WHERE order_id = 2",
        by_java: "UPDATE PAIR SET N = N + 1 WHERE user_id = 1",
    },
    Row {
        key: "depot.pair:1_2",
        by_rust: "UPDATE depot.pair SET n = 1",
        by_java: "UPDATE depot.pair SET n = 2 WHERE user_id = 1",
    },
    Row {
        key: "label:Ärger 椅子",
        by_rust: "UPDATE \"label\" SET n = 1 WHERE code = 'Ärger 椅子'",
        by_java: "UPDATE label SET n = 2 WHERE code = 'Ärger 椅子'",
    },
    Row {
        key: "label:A",
        by_rust: "UPDATE Label SET n = 1 WHERE code = 'A'",
        by_java: "UPDATE public.label SET n = 2 WHERE code = 'A'",
    },
    Row {
        key: "padded:x   ",
        by_rust: "UPDATE padded SET n = 1",
        by_java: "UPDATE padded SET n = 2 WHERE n >= 0",
    },
    Row {
        key: "Upper:1",
        by_rust: "UPDATE \"Upper\" SET \"N\" = 1",
        by_java: "UPDATE \"Upper\" SET \"N\" = 2 WHERE \"Id\" = 1",
    },
    Row {
        key: "amount:1.50",
        by_rust: "UPDATE amount SET n = 1 WHERE price = 1.5",
        by_java: "UPDATE amount SET n = 2 WHERE price = 1.5",
    },
    Row {
        key: "item:123e4567-e89b-12d3-a456-426614174000",
        by_rust: "UPDATE item SET n = 1",
        by_java: "UPDATE item SET n = 2 WHERE n >= 0",
    },
    Row {
        key: "moment:2024-02-29 13:14:15.12",
        by_rust: "UPDATE moment SET n = 1",
        by_java: "UPDATE moment SET n = 2 WHERE n >= 0",
    },
];

/// A row that both change.
struct Row {
    /// What locks call it.
    key: &'static str,
    by_rust: &'static str,
    by_java: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_mariadb_has_one_name() {
    rows_have_one_name(Kind::MariaDb, "keys_mariadb", MARIADB, ROWS_OF_MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_postgresql_has_one_name() {
    rows_have_one_name(Kind::PostgreSql, "keys_postgresql", POSTGRESQL, ROWS_OF_POSTGRESQL).await;
}

async fn rows_have_one_name(kind: Kind, name: &str, tables: &str, rows: &[Row]) {
    let java = Java::shared().await;
    let seata = Seata::builder("names").server(java.server()).start().await.unwrap();
    kind.create(name, tables);
    let impatient = Options { lock_tries: 1, ..Options::default() };
    let database = Database::open(kind, name, &seata, &impatient).await;
    database.open_in_java(&java.peer).await;
    let before = database.dump().await;
    let both = Both { java: &java, seata: &seata, database: &database };
    join_all(rows.iter().map(|row| both.contend(row))).await;
    assert_eq!(database.dump().await, before, "all was rolled back");
    database.settle().await;
}

struct Both<'a> {
    java: &'a Java,
    seata: &'a Seata,
    database: &'a Database,
}

impl Both<'_> {
    /// First one has the row, then the other.
    async fn contend(&self, row: &Row) {
        let peer = &self.java.peer;
        let has = peer.begin("has it").await.unwrap();
        let wants = peer.begin("wants it").await.unwrap();
        self.database
            .run_in(self.seata, &has, &[row.by_rust])
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", row.key));
        self.assert_locked(&wants, row.key, "Rust").await;
        let refused = peer.run(Some(&wants), &self.database.name, Mode::At, &[row.by_java]).await;
        let refused = refused.expect_err("Rust has the row").to_string();
        assert!(refused.contains("LockWaitTimeout"), "{}: {refused}", row.key);
        self.give_up([&has, &wants]).await;

        let has = peer.begin("has it").await.unwrap();
        let wants = peer.begin("wants it").await.unwrap();
        let run = peer.run(Some(&has), &self.database.name, Mode::At, &[row.by_java]).await;
        run.unwrap_or_else(|refused| panic!("{}: {refused}", row.key));
        self.assert_locked(&wants, row.key, "Java").await;
        let refused = self.database.run_in(self.seata, &wants, &[row.by_rust]).await;
        let refused = refused.expect_err("Java has the row");
        match AtError::from_sqlx(&refused) {
            Some(AtError::LockConflict { row: found, .. }) => {
                assert!(found.starts_with(&format!("{} in ", row.key)), "{found}");
            }
            _ => panic!("{}: {refused}", row.key),
        }
        self.give_up([&has, &wants]).await;
    }

    async fn assert_locked(&self, wants: &str, key: &str, holder: &str) {
        let is_free = self.java.peer.is_lockable(wants, &self.database.resource(), key).await.unwrap();
        assert!(!is_free, "the row is not locked as {key:?} when {holder} has it");
    }

    async fn give_up(&self, transactions: [&str; 2]) {
        for xid in transactions {
            assert_eq!(self.java.peer.rollback(xid).await.unwrap(), "Rollbacked");
        }
    }
}
