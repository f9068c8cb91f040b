use sqlx::Sqlite;

use super::grammar::{
    Column, Grammar,
    Samples::{Given, Integers, Texts},
    Table,
};

const ANY: &[&str] = &[
    "1",
    "-9223372036854775808",
    "0.5",
    "1e300",
    "9e999",
    "-0.0",
    "1.0",
    "'1'",
    "'x'",
    "'X'",
    "x'00ff'",
    "x'31'",
    "CAST(x'ff' AS TEXT)",
    "'it''s'",
    "NULL",
];

impl Grammar for Sqlite {
    /// Loose and strict types, unique and composite keys, collations, defaults, generated columns, foreign keys.
    const SCHEMA: &'static str = "
        CREATE TABLE loose (id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE, c REAL DEFAULT 2, d AS (typeof(a)) STORED);
        CREATE TABLE pair (a, b TEXT, c INTEGER, d UNIQUE, PRIMARY KEY (b, a)) WITHOUT ROWID;
        CREATE TABLE strict (id TEXT PRIMARY KEY NOT NULL, a ANY, b INTEGER, c REAL, d BLOB) STRICT;
        CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES loose (id), n);
        CREATE TABLE owner (id INTEGER PRIMARY KEY, n);
        CREATE TABLE owned (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES owner (id) ON DELETE CASCADE ON UPDATE CASCADE, n);
        CREATE TABLE watched (id INTEGER PRIMARY KEY, n);
        CREATE TRIGGER watch AFTER UPDATE ON watched BEGIN DELETE FROM strict; END;
        INSERT INTO loose (id, a, b) VALUES (1, 1, 'x'), (2, 1.0, 'X'), (3, '1', NULL), (4, x'31', 'y');
        INSERT INTO pair VALUES (1, 'k', 1, 1), (2, 'k', 2, NULL), (1.5, 'K', 3, 'u');
        INSERT INTO strict VALUES ('s', 1, 2, 3, x'04'), ('t', NULL, NULL, NULL, NULL);
        INSERT INTO child VALUES (1, 1, 'c'), (2, NULL, 'd');
        INSERT INTO owner VALUES (1, 'o'), (2, 'p');
        INSERT INTO owned VALUES (1, 1, 'q'), (2, 1, 'r');
        INSERT INTO watched VALUES (1, 1);
    ";

    const TABLES: &'static [Table] = &[
        Table {
            name: "loose",
            key: &[Column("id", Integers)],
            columns: &[Column("a", Given(ANY)), Column("b", Texts), Column("c", Given(ANY))],
        },
        Table {
            name: "pair",
            key: &[Column("b", Texts), Column("a", Given(ANY))],
            columns: &[Column("c", Integers), Column("d", Given(ANY))],
        },
        Table {
            name: "strict",
            key: &[Column("id", Texts)],
            columns: &[
                Column("a", Given(ANY)),
                Column("b", Integers),
                Column("c", Given(&["1", "0.1", "-0.0", "9e999"])),
                Column("d", Given(&["x''", "x'00ff'"])),
            ],
        },
        Table {
            name: "child",
            key: &[Column("id", Integers)],
            columns: &[Column("parent", Integers), Column("n", Given(ANY))],
        },
        Table { name: "owner", key: &[Column("id", Integers)], columns: &[Column("n", Given(ANY))] },
        Table {
            name: "owned",
            key: &[Column("id", Integers)],
            columns: &[Column("owner", Integers), Column("n", Given(ANY))],
        },
        Table { name: "watched", key: &[Column("id", Integers)], columns: &[Column("n", Given(ANY))] },
    ];

    const INSERT: &'static [&'static str] = &["INSERT", "INSERT", "INSERT OR IGNORE", "REPLACE"];
    const UPDATE: &'static [&'static str] = &["", "", "OR IGNORE "];
    const ENDS: &'static [&'static str] = &[" RETURNING $c", " RETURNING *"];
    const CONFLICTS: &'static [&'static str] = &[
        " ON CONFLICT DO NOTHING",
        " ON CONFLICT ($k) DO UPDATE SET $c = $e",
        " ON CONFLICT DO UPDATE SET $c = excluded.$c WHERE true",
        " RETURNING *",
    ];
    const OTHERS: &'static [&'static str] = &[
        "UPDATE $t SET $c = $e FROM $o AS o WHERE o.id = $t.id",
        "WITH few AS (SELECT id AS x FROM $t ORDER BY 1 LIMIT 2) UPDATE $t SET $c = $e WHERE id IN (SELECT x FROM few)",
        "WITH few AS (SELECT id AS x FROM $t ORDER BY 1 LIMIT 2) DELETE FROM $t WHERE id IN (SELECT x FROM few)",
        "UPDATE $t AS u SET $c = $e WHERE EXISTS (SELECT 1 FROM $o AS o WHERE o.id = u.id)",
        "UPDATE $t SET id = id + 1$w",
        "INSERT INTO $t DEFAULT VALUES",
        "DELETE FROM $t$w; DELETE FROM $o",
    ];
}
