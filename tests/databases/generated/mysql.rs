use sqlx::MySql;

use super::grammar::{
    Column, Grammar,
    Samples::{Given, Integers, Texts},
    Table,
};

const BYTES: &[&str] = &["x''", "x'00'", "x'00ff'", "x'ff00'", "'abc'"];
const WHOLE: &[&str] = &["0", "1", "-1", "2147483647", "-2147483648", "'12'"];
const NUMBERED: &[Column] = &[Column("id", Integers)];

impl Grammar for MySql {
    /// Keys of several types, collations, unique keys, every kind of type, computed columns, foreign keys, triggers.
    const SCHEMA: &'static str = "
        CREATE TABLE auto (id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT, s VARCHAR(30) COLLATE utf8mb4_general_ci UNIQUE,
            twice BIGINT AS (n * 2) VIRTUAL, thrice BIGINT AS (n * 3) STORED, d VARCHAR(10) NOT NULL DEFAULT 'd');
        CREATE TABLE pair (a VARCHAR(10) COLLATE utf8mb4_bin, b BIGINT, v TEXT, w BLOB, n INT UNIQUE, PRIMARY KEY (b, a));
        CREATE TABLE word (id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v TEXT, n BIGINT,
            seen TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6));
        CREATE TABLE bytes (id VARBINARY(8) PRIMARY KEY, fixed BINARY(4), v MEDIUMBLOB);
        CREATE TABLE number (id INT PRIMARY KEY, tiny TINYINT, truth TINYINT(1), small SMALLINT UNSIGNED, medium MEDIUMINT, wide INT UNSIGNED,
            huge BIGINT UNSIGNED, exact DECIMAL(30, 10), single FLOAT, twofold DOUBLE, bits BIT(9), `select` BIT(1));
        CREATE TABLE moment (id DATE PRIMARY KEY, y YEAR, t TIME(3), dt DATETIME(6), ts TIMESTAMP(3) NULL);
        CREATE TABLE choice (id ENUM('x', 'y', 'it''s') PRIMARY KEY, st SET('p', 'q', 'r'), j JSON, c CHAR(5), l LONGTEXT);
        CREATE TABLE child (id BIGINT PRIMARY KEY, parent BIGINT, n BIGINT, FOREIGN KEY (parent) REFERENCES auto (id));
        CREATE TABLE owner (id BIGINT PRIMARY KEY, n BIGINT);
        CREATE TABLE owned (id BIGINT PRIMARY KEY, owner BIGINT, n BIGINT,
            FOREIGN KEY (owner) REFERENCES owner (id) ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE TABLE watched (id BIGINT PRIMARY KEY, n BIGINT);
        CREATE TRIGGER watch AFTER UPDATE ON watched FOR EACH ROW DELETE FROM word;
        INSERT INTO auto (id, n, s) VALUES (1, 1, 'x'), (2, NULL, 'y'), (3, -1, NULL);
        INSERT INTO pair VALUES ('a', 1, 'one', x'00', 1), ('A', 1, NULL, NULL, NULL), ('b', 2, '', x'', 3);
        INSERT INTO word (id, v, n) VALUES ('a', 'v', 1), ('b', NULL, NULL), ('ss', 'w', 5);
        INSERT INTO bytes VALUES (x'00', x'01020304', x'00ff'), (x'0001', NULL, NULL);
        INSERT INTO number VALUES (1, -128, 7, 65535, -8388608, 4294967295, 18446744073709551615, 12345678901234567890.0123456789, 1e-3, 1e300, 511, 1),
            (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        INSERT INTO moment VALUES ('2020-02-29', 1999, '-838:59:59', '0001-01-01 00:00:00', '2038-01-19 03:14:07.999'),
            ('9999-12-31', NULL, NULL, NULL, NULL);
        INSERT INTO choice VALUES ('x', 'p,r', '{\"b\": 1, \"a\": [1.0]}', 'c', REPEAT('l', 300)), ('it''s', '', NULL, NULL, NULL);
        INSERT INTO child VALUES (1, 1, 1), (2, NULL, 2);
        INSERT INTO owner VALUES (1, 1), (2, 2);
        INSERT INTO owned VALUES (1, 1, 1), (2, 1, 2);
        INSERT INTO watched VALUES (1, 1);
    ";

    const TABLES: &'static [Table] = &[
        Table {
            name: "auto",
            key: NUMBERED,
            columns: &[Column("n", Integers), Column("s", Texts), Column("d", Texts)],
        },
        Table {
            name: "pair",
            key: &[Column("b", Integers), Column("a", Texts)],
            columns: &[Column("v", Texts), Column("w", Given(BYTES)), Column("n", Integers)],
        },
        Table {
            name: "word",
            key: &[Column("id", Texts)],
            columns: &[
                Column("v", Texts),
                Column("n", Integers),
                Column("seen", Given(&["'2001-01-01 00:00:00.000001'", "'2030-12-31 23:59:59.999999'"])),
            ],
        },
        Table {
            name: "bytes",
            key: &[Column("id", Given(BYTES))],
            columns: &[Column("fixed", Given(BYTES)), Column("v", Given(BYTES))],
        },
        Table {
            name: "number",
            key: NUMBERED,
            columns: &[
                Column("tiny", Given(&["-128", "127", "0", "300"])),
                Column("truth", Given(&["0", "1", "7", "-128", "TRUE"])),
                Column("small", Given(&["0", "65535", "-1"])),
                Column("medium", Given(WHOLE)),
                Column("wide", Given(&["0", "4294967295", "2147483648"])),
                Column("huge", Given(&["0", "18446744073709551615", "9223372036854775808"])),
                Column("exact", Given(&["0", "-0.0000000001", "99999999999999999999.9999999999", "1e5"])),
                Column("single", Given(&["0", "-0.0", "0.1", "3.4028235e38", "1.17549435e-38", "16777217"])),
                Column("twofold", Given(&["0.1", "-0.0", "1.7976931348623157e308", "4.9e-324", "1e15"])),
                Column("bits", Given(&["b'0'", "b'111111111'", "b'101'", "5"])),
                Column("`select`", Given(&["b'0'", "b'1'"])),
            ],
        },
        Table {
            name: "moment",
            key: &[Column("id", Given(&["'2020-02-29'", "'1000-01-01'", "'1969-12-31'", "'2024-03-31'"]))],
            columns: &[
                Column("y", Given(&["1901", "2155", "0", "1970"])),
                Column("t", Given(&["'00:00:00'", "'23:59:59.999'", "'838:59:59'", "'-00:00:00.001'"])),
                Column(
                    "dt",
                    Given(&[
                        "'2024-03-31 02:30:00.123456'",
                        "'9999-12-31 23:59:59.999999'",
                        "'1000-01-01 00:00:00'",
                    ]),
                ),
                Column(
                    "ts",
                    Given(&["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999'", "'2024-10-27 02:30:00.5'"]),
                ),
            ],
        },
        Table {
            name: "choice",
            key: &[Column("id", Given(&["'x'", "'y'", "'it''s'", "1"]))],
            columns: &[
                Column("st", Given(&["''", "'p'", "'p,q,r'", "7"])),
                Column("j", Given(&["'{\"b\": 1, \"a\": [1.0, null]}'", "'\"text\"'", "'[]'", "'no json'"])),
                Column("c", Texts),
                Column("l", Texts),
            ],
        },
        Table { name: "child", key: NUMBERED, columns: &[Column("parent", Integers), Column("n", Integers)] },
        Table { name: "owner", key: NUMBERED, columns: &[Column("n", Integers)] },
        Table { name: "owned", key: NUMBERED, columns: &[Column("owner", Integers), Column("n", Integers)] },
        Table { name: "watched", key: NUMBERED, columns: &[Column("n", Integers)] },
    ];

    const INSERT: &'static [&'static str] = &["INSERT", "INSERT", "INSERT IGNORE", "REPLACE"];
    const UPDATE: &'static [&'static str] = &["", "", "IGNORE "];
    const ENDS: &'static [&'static str] = &[" LIMIT 2", " ORDER BY $k LIMIT 1", " ORDER BY $c DESC, $k"];
    const CONFLICTS: &'static [&'static str] = &[
        " ON DUPLICATE KEY UPDATE $c = $e",
        " ON DUPLICATE KEY UPDATE $c = VALUES($c)",
        " ON DUPLICATE KEY UPDATE $c = COALESCE($c, $e)",
        " RETURNING *",
    ];
    const OTHERS: &'static [&'static str] = &[
        "UPDATE $t AS u JOIN $o AS o ON o.id = u.id SET u.$c = $e",
        "UPDATE $t AS u LEFT JOIN child AS o ON o.id = u.id SET u.$c = $e, o.n = 3",
        "UPDATE $t AS u, owner AS o SET u.$c = $e WHERE u.id = o.id AND o.n = 1",
        "DELETE u FROM $t AS u JOIN child AS o ON o.id = u.id",
        "UPDATE $t AS u SET $c = $e WHERE EXISTS (SELECT 1 FROM child AS o WHERE o.id = u.id)",
        "UPDATE $t SET id = id + 1$w",
        "INSERT INTO $t () VALUES ()",
        "INSERT INTO auto SET n = 4, s = 'set' ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO auto (id, n) VALUES (NULL, 5), (0, 6), (DEFAULT, 7)",
        "TRUNCATE TABLE $t",
        "DELETE FROM $t$w; DELETE FROM $o",
    ];
    const BACKSLASH: &'static str = "\\\\";
}
