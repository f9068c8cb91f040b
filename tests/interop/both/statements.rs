//! Changes of all kinds, each of rows of its own.

use super::{column_types, database::Kind};

/// Who can make a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Rust,
    Java,
}

/// What one branch does.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: &'static str,
    /// `None` for both.
    pub(super) by: Option<Writer>,
    pub(super) statements: Vec<String>,
}

/// The tables that are changed.
pub(super) fn tables(kind: Kind) -> String {
    let of_its_own = match kind {
        Kind::MariaDb => {
            "CREATE TABLE visit (id BIGINT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(64));
             CREATE TABLE setting (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64) UNIQUE, value VARCHAR(64));
             INSERT INTO setting (name, value) VALUES ('hit', 'before'), ('mixed', 'before'), ('rust', 'before');
             CREATE TABLE `Order` (`Id` BIGINT PRIMARY KEY, `Group` VARCHAR(64));
             INSERT INTO `Order` VALUES (1, 'a'), (2, 'b');"
        }
        Kind::PostgreSql => {
            "CREATE TABLE visit (id BIGSERIAL PRIMARY KEY, note VARCHAR(64));
             CREATE TABLE setting (id BIGSERIAL PRIMARY KEY, name VARCHAR(64) UNIQUE, value VARCHAR(64));
             INSERT INTO setting (name, value) VALUES ('hit', 'before'), ('mixed', 'before'), ('rust', 'before');
             CREATE TABLE \"Order\" (\"Id\" BIGINT PRIMARY KEY, \"Group\" VARCHAR(64));
             INSERT INTO \"Order\" VALUES (1, 'a'), (2, 'b');
             CREATE SCHEMA depot;
             CREATE TABLE depot.account (id BIGINT PRIMARY KEY, money BIGINT NOT NULL);
             INSERT INTO depot.account VALUES (1, 1), (2, 2);"
        }
    };
    let accounts: Vec<String> = (1..=60).map(|id| format!("({id}, {id}00, 'n{id}')")).collect();
    let long: Vec<String> = (1..=400).map(|id| format!("({id}, 'row {id} {}')", "x".repeat(200))).collect();
    format!(
        "{}CREATE TABLE account (id BIGINT PRIMARY KEY, money BIGINT NOT NULL, note VARCHAR(64));
         INSERT INTO account VALUES {};
         CREATE TABLE stock (warehouse_id INT, product_id BIGINT, pieces INT, PRIMARY KEY (warehouse_id, product_id));
         INSERT INTO stock VALUES (1, 1, 10), (1, 2, 20), (2, 1, 30), (2, 2, 40);
         CREATE TABLE label (lang CHAR(2), code VARCHAR(32), label VARCHAR(64), PRIMARY KEY (code, lang));
         INSERT INTO label VALUES ('en', 'A-1', 'chair'), ('de', 'A-1', 'Stuhl'), ('zh', '椅子', '椅子');
         CREATE TABLE article (id INT PRIMARY KEY, body VARCHAR(400));
         INSERT INTO article VALUES {};
         {of_its_own}{}",
        if kind == Kind::MariaDb { "ALTER DATABASE CHARACTER SET utf8mb4;" } else { "" },
        accounts.join(", "),
        long.join(", "),
        column_types::tables(kind)
    )
}

/// The changes of one of them.
pub(super) fn changes(kind: Kind, writer: Writer) -> Vec<Change> {
    let mut changes = all(kind);
    changes.retain(|change| change.by.is_none_or(|by| by == writer));
    changes
}

fn all(kind: Kind) -> Vec<Change> {
    let change = |name, statements: &[&str]| Change {
        name,
        by: None,
        statements: statements.iter().map(|&statement| statement.to_owned()).collect(),
    };
    let only = |by, name, statements: &[&str]| Change { by: Some(by), ..change(name, statements) };
    let (order, id, group) = match kind {
        Kind::MariaDb => ("`Order`", "`Id`", "`Group`"),
        Kind::PostgreSql => ("\"Order\"", "\"Id\"", "\"Group\""),
    };
    let mut changes = vec![
        change("one row updated", &["UPDATE account SET money = money - 7, note = NULL WHERE id = 1"]),
        change("rows updated, alias", &["UPDATE account AS a SET note = 'all' WHERE a.id BETWEEN 2 AND 5"]),
        change("rows deleted", &["DELETE FROM account WHERE id IN (6, 7, 8)"]),
        change("rows inserted", &["INSERT INTO account (money, id) VALUES (5, 1001), (6, 1002)"]),
        change("a row inserted, no columns named", &["INSERT INTO account VALUES (1003, 5, 'it''s \"ä\"')"]),
        change(
            "one row many times",
            &[
                "UPDATE account SET money = money + 1 WHERE id = 10",
                "UPDATE account SET money = money * 2, note = 'twice' WHERE id = 10",
                "DELETE FROM account WHERE id = 10",
                "INSERT INTO account VALUES (10, 0, 'again')",
                "UPDATE account SET money = 1 WHERE id = 10",
                "INSERT INTO account VALUES (1010, 0, 'for a moment')",
                "DELETE FROM account WHERE id = 1010",
            ],
        ),
        change(
            "keys of the database's",
            &["INSERT INTO visit (note) VALUES ('a'), ('b')", "INSERT INTO visit (note) VALUES (NULL)"],
        ),
        change(
            "keys of two columns",
            &[
                "UPDATE stock SET pieces = pieces - 1 WHERE warehouse_id = 1",
                "DELETE FROM stock WHERE warehouse_id = 2 AND product_id = 1",
                "INSERT INTO stock VALUES (3, 1, 5), (3, 2, NULL)",
            ],
        ),
        change(
            "keys of texts",
            &[
                "UPDATE label SET label = 'seat' WHERE lang = 'en' AND code = 'A-1'",
                "DELETE FROM label WHERE code = '椅子'",
                "INSERT INTO label (code, lang, label) VALUES ('a-1', 'it', 'sedia')",
            ],
        ),
        Change {
            name: "quoted names",
            by: None,
            statements: vec![
                format!("UPDATE {order} SET {group} = 'c' WHERE {id} = 1"),
                format!("DELETE FROM {order} WHERE {id} = 2"),
                format!("INSERT INTO {order} ({id}, {group}) VALUES (3, 'd')"),
            ],
        },
        change(
            "a long undo log",
            &[
                "UPDATE article SET body = CONCAT(body, '!') WHERE id <= 300",
                "DELETE FROM article WHERE id > 300",
            ],
        ),
        Change { name: "column types", by: None, statements: column_types::changes(kind, "types") },
        Change {
            name: "column types that Java writes and cannot put back",
            by: Some(Writer::Java),
            statements: column_types::changes(kind, "more_types"),
        },
        only(
            Writer::Rust,
            "sub-queries, which Java refuses",
            &[
                "INSERT INTO account (id, money) SELECT id + 2000, money FROM account WHERE id IN (20, 21)",
                "UPDATE account SET note = 'rich' WHERE id IN (SELECT id FROM (SELECT 22 AS id) AS x) OR NOT (id <> 23)",
            ],
        ),
    ];
    match kind {
        Kind::MariaDb => changes.extend([
            change("ordered and limited", &["UPDATE account SET money = 0 WHERE id BETWEEN 24 AND 28 ORDER BY id LIMIT 2", "DELETE FROM account WHERE id BETWEEN 24 AND 28 ORDER BY id DESC LIMIT 2"]),
            change("joined", &["UPDATE account a JOIN stock s ON s.pieces = a.money / 100 + 1000 OR a.id = 35 SET a.note = 'joined' WHERE a.id BETWEEN 34 AND 36"]),
            change(
                "an upsert that hits",
                &["INSERT INTO setting (name, value) VALUES ('hit', 'after') ON DUPLICATE KEY UPDATE value = VALUES(value)"],
            ),
            change(
                "an upsert that hits, and does not",
                &["INSERT INTO setting (name, value) VALUES ('mixed', 'after'), ('new', 'after') ON DUPLICATE KEY UPDATE value = 'updated'"],
            ),
            only(Writer::Rust, "IGNORE on a row that is there, which Java undoes by deleting it", &["INSERT IGNORE INTO account VALUES (40, 0, 'new'), (1040, 0, 'new')"]),
        ]),
        Kind::PostgreSql => changes.extend([
            change("another schema", &["UPDATE depot.account SET money = 5 WHERE id = 1", "DELETE FROM depot.account WHERE id = 2", "INSERT INTO depot.account VALUES (3, 3)"]),
            only(
                Writer::Rust,
                "upserts, which Java undoes by deleting the row",
                &[
                    "INSERT INTO setting (name, value) VALUES ('rust', 'after'), ('new', 'after') ON CONFLICT (name) DO UPDATE SET value = 'updated'",
                    "INSERT INTO account VALUES (40, 0, 'new'), (1040, 0, 'new') ON CONFLICT DO NOTHING",
                ],
            ),
            only(Writer::Rust, "UPDATE FROM, which Java refuses", &["UPDATE account SET note = 'from' FROM stock WHERE stock.product_id = account.id - 40"]),
        ]),
    }
    changes
}
