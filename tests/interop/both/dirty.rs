//! Rows that others have written behind a transaction's back: Java's resource manager heeds what a person decides about
//! them in the undo logs.

use seata::{Seata, Xid};
use seata_tests::{
    java::{Java, Mode},
    line::Line,
};

use super::{
    column_types,
    database::{Database, Kind, Options},
    statements::Writer,
};

const CHANGES: [&str; 5] = [
    "UPDATE account SET money = money - 7 WHERE id BETWEEN 1 AND 4",
    "UPDATE account SET note = 'twice' WHERE id IN (1, 2, 3)",
    "UPDATE account SET money = 0, note = 'gone' WHERE id IN (5, 6, 7)",
    "DELETE FROM account WHERE id IN (8, 9, 10)",
    "INSERT INTO account VALUES (11, 0, 'new'), (12, 0, 'new'), (13, 0, 'new'), (14, 0, 'new')",
];
/// 4 and 14 become what the transaction found.
const DIRT: [&str; 4] = [
    "UPDATE account SET money = 99 WHERE id IN (1, 2, 11, 12)",
    "UPDATE account SET money = 400 WHERE id = 4",
    "DELETE FROM account WHERE id IN (5, 6, 14)",
    "INSERT INTO account VALUES (8, 99, 'again'), (9, 99, 'again')",
];
const FORCED: [i64; 4] = [1, 5, 8, 11];
const SKIPPED: [i64; 6] = [2, 4, 6, 9, 12, 14];
const AS_DECIDED: [&str; 10] = [
    "1 100 n1",
    "2 99 twice",
    "3 300 n3",
    "4 400 n4",
    "5 500 n5",
    "7 700 n7",
    "8 800 n8",
    "9 99 again",
    "10 1000 n10",
    "12 99 new",
];

#[tokio::test(flavor = "multi_thread")]
async fn java_heeds_what_is_decided_about_rows_of_mariadb() {
    java_heeds_what_is_decided(Kind::MariaDb, Writer::Rust).await;
    java_heeds_what_is_decided(Kind::MariaDb, Writer::Java).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn java_heeds_what_is_decided_about_rows_of_postgresql() {
    java_heeds_what_is_decided(Kind::PostgreSql, Writer::Rust).await;
    java_heeds_what_is_decided(Kind::PostgreSql, Writer::Java).await;
}

async fn java_heeds_what_is_decided(kind: Kind, writer: Writer) {
    let java = Java::shared().await;
    let name = format!("dirty_{kind:?}_{writer:?}").to_lowercase();
    kind.create(&name, &tables(kind));
    let line = Line::to(&java.server()).await;
    let seata = Seata::builder("dirty").server(line.address()).start().await.unwrap();
    let database = Database::open(kind, &name, &seata, &Options::default()).await;
    database.open_in_java(&java.peer).await;
    let case = Case { java: &java, seata: &seata, database: &database, writer };

    let types_before = case.types().await;
    let types = case.write(&column_types::changes(kind, "types"), &column_types::dirt(kind)).await;
    let rows = case.write(&CHANGES, &DIRT).await;
    let half = case
        .write(
            &["UPDATE account SET money = 0 WHERE id IN (21, 22)"],
            &["UPDATE account SET money = 99 WHERE id = 21", "UPDATE account SET money = 2200 WHERE id = 22"],
        )
        .await;
    // The server has Java alone to ask.
    line.cut();

    let dirty = database.changed_rows(&types).await.into_iter().filter(|row| row.state.is_dirty());
    let dirty: Vec<(String, String)> = dirty.map(|row| (row.table, row.key)).collect();
    assert_eq!(dirty.len(), 5, "{dirty:?}");
    for (table, key) in dirty {
        database.force(&types, &table, &key).await;
    }
    assert_eq!(case.rollback(&types).await, "Rollbacked");
    assert_eq!(case.types().await, types_before);

    for id in FORCED {
        database.force(&rows, "account", &format!("id={id}")).await;
    }
    for id in SKIPPED {
        database.skip(&rows, "account", &format!("id={id}")).await;
    }
    assert_eq!(case.rollback(&rows).await, "Rollbacked");
    assert_eq!(case.accounts("id < 20").await, AS_DECIDED);

    // Java undoes all rows of a statement or none: 22, which is as the transaction found it, is not skipped.
    database.force(&half, "account", "id=21").await;
    assert_eq!(case.rollback(&half).await, "RollbackFailed");
    assert_eq!(case.accounts("id > 20").await, ["21 99 n21", "22 2200 n22"]);
}

fn tables(kind: Kind) -> String {
    let ids = (1..=10).chain(21..=22);
    let accounts: Vec<String> = ids.map(|id| format!("({id}, {id}00, 'n{id}')")).collect();
    format!(
        "{}CREATE TABLE account (id BIGINT PRIMARY KEY, money BIGINT NOT NULL, note VARCHAR(64));
         INSERT INTO account VALUES {};
         {}",
        if kind == Kind::MariaDb { "ALTER DATABASE CHARACTER SET utf8mb4;" } else { "" },
        accounts.join(", "),
        column_types::tables(kind)
    )
}

/// A database that one of them writes.
struct Case<'a> {
    java: &'a Java,
    seata: &'a Seata,
    database: &'a Database,
    writer: Writer,
}

impl Case<'_> {
    /// One branch of a transaction; then others write the rows, past Seata.
    async fn write(&self, changes: &[impl AsRef<str> + Sync], dirt: &[impl AsRef<str>]) -> Xid {
        let (peer, name) = (&self.java.peer, &self.database.name);
        let xid = peer.begin("is dirty").await.unwrap();
        match self.writer {
            Writer::Rust => self.database.run_in(self.seata, &xid, changes).await.unwrap(),
            Writer::Java => {
                let changes: Vec<&str> = changes.iter().map(AsRef::as_ref).collect();
                peer.run(Some(&xid), name, Mode::At, &changes).await.unwrap();
            }
        }
        let dirt: Vec<&str> = dirt.iter().map(AsRef::as_ref).collect();
        peer.run(None, name, Mode::Plain, &dirt).await.unwrap();
        xid.parse().unwrap()
    }

    async fn rollback(&self, xid: &Xid) -> String {
        self.java.peer.rollback(xid.as_ref()).await.unwrap()
    }

    async fn accounts(&self, condition: &str) -> Vec<String> {
        let query = "SELECT CONCAT_WS(' ', id, money, note) FROM account";
        self.database.texts(&format!("{query} WHERE {condition} ORDER BY id")).await
    }

    /// All rows with columns of all types.
    async fn types(&self) -> Vec<String> {
        let mut rows = self.database.dump().await;
        rows.retain(|row| row.contains("types"));
        rows
    }
}
