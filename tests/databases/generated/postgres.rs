use sqlx::Postgres;

use super::grammar::{
    Column, Grammar,
    Samples::{Given, Integers, Texts},
    Table,
};

const NUMBERED: &[Column] = &[Column("id", Integers)];
const MOMENTS: &[&str] = &[
    "'infinity'",
    "'-infinity'",
    "'2024-03-31 02:30:00.123456'",
    "'0044-03-15 12:00:00 BC'",
    "'1970-01-01'",
    "'294276-12-31 23:59:59'",
];

impl Grammar for Postgres {
    /// Keys of several types, unique keys, every kind of type, computed columns, foreign keys, triggers.
    const SCHEMA: &'static str = r#"
        DROP TYPE IF EXISTS mood, positive;
        CREATE TYPE mood AS ENUM ('sad', 'it''s', 'happy');
        CREATE DOMAIN positive AS BIGINT CHECK (VALUE > 0);
        CREATE TABLE auto (id BIGSERIAL PRIMARY KEY, n BIGINT, s TEXT UNIQUE, thrice BIGINT GENERATED ALWAYS AS (n * 3) STORED,
            d VARCHAR(10) NOT NULL DEFAULT 'd');
        CREATE TABLE ident (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n BIGINT);
        CREATE TABLE pair (a VARCHAR(10), b BIGINT, v TEXT, w BYTEA, n INT UNIQUE, PRIMARY KEY (b, a));
        CREATE TABLE word (id CHAR(5) PRIMARY KEY, v TEXT, n BIGINT);
        CREATE TABLE uuids (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), v BYTEA, u UUID);
        CREATE TABLE number (id INT PRIMARY KEY, truth BOOLEAN, small SMALLINT, exact NUMERIC, scaled NUMERIC(12, 3), single REAL,
            twofold DOUBLE PRECISION, coins MONEY, bits BIT(5), varied BIT VARYING, "select" BIT);
        CREATE TABLE moment (id DATE PRIMARY KEY, t TIME, tz TIMETZ, ts TIMESTAMP, tstz TIMESTAMPTZ, i INTERVAL);
        CREATE TABLE choice (id mood PRIMARY KEY, p positive, j JSON, b JSONB, ia INT[], ta TEXT[], net INET, spot POINT, r INT4RANGE, x TSVECTOR);
        CREATE TABLE child (id BIGINT PRIMARY KEY, parent BIGINT REFERENCES auto (id), n BIGINT);
        CREATE TABLE owner (id BIGINT PRIMARY KEY, n BIGINT);
        CREATE TABLE owned (id BIGINT PRIMARY KEY, owner BIGINT REFERENCES owner (id) ON DELETE CASCADE ON UPDATE CASCADE, n BIGINT);
        CREATE TABLE watched (id BIGINT PRIMARY KEY, n BIGINT);
        CREATE OR REPLACE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM word; RETURN NEW; END';
        CREATE TRIGGER watch AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION watch();
        INSERT INTO auto (id, n, s) VALUES (101, 1, 'x'), (102, NULL, 'y'), (3, -1, NULL);
        INSERT INTO ident (n) VALUES (1), (2);
        INSERT INTO pair VALUES ('a', 1, 'one', '\x00', 1), ('A', 1, NULL, NULL, NULL), ('b', 2, '', '\x', 3);
        INSERT INTO word VALUES ('a', 'v', 1), ('b', NULL, NULL), ('ss', 'w', 5);
        INSERT INTO uuids VALUES ('00112233-4455-6677-8899-aabbccddeeff', '\x00ff', NULL);
        INSERT INTO number VALUES (1, true, -32768, 'NaN', -0.001, 1e-3, '-Infinity', '-$12.34', '10101', '1', '1'),
            (2, NULL, NULL, 12345678901234567890.0123456789000, NULL, NULL, NULL, NULL, NULL, '', NULL);
        INSERT INTO moment VALUES ('2020-02-29', '24:00:00', '23:59:59.999999+15:59', '2038-01-19 03:14:07.999', '0001-01-01 BC', '-1 mon 3 days -0.000001'),
            ('infinity', NULL, NULL, NULL, NULL, NULL);
        INSERT INTO choice VALUES ('sad', 5, '{"b": 1, "a":  [1.0]}', '{"b": 1, "a": [1.0]}', '{1,NULL,-3}', '{"a b",NULL,"NULL","\"q\""}', '10.0.0.1/8', '(1,-0.5)', '[1,5)', 'a:1 b:2A'),
            ('it''s', NULL, NULL, NULL, '{{1,2},{3,4}}', '{}', NULL, NULL, 'empty', '');
        INSERT INTO child VALUES (1, 101, 1), (2, NULL, 2);
        INSERT INTO owner VALUES (1, 1), (2, 2);
        INSERT INTO owned VALUES (1, 1, 1), (2, 1, 2);
        INSERT INTO watched VALUES (1, 1);
    "#;

    const TABLES: &'static [Table] = &[
        Table {
            name: "auto",
            key: NUMBERED,
            columns: &[Column("n", Integers), Column("s", Texts), Column("d", Texts)],
        },
        Table { name: "ident", key: NUMBERED, columns: &[Column("n", Integers)] },
        Table {
            name: "pair",
            key: &[Column("b", Integers), Column("a", Texts)],
            columns: &[
                Column("v", Texts),
                Column("w", Given(&["''", r"'\x00'", r"'\xff00'"])),
                Column("n", Integers),
            ],
        },
        Table {
            name: "word",
            key: &[Column("id", Texts)],
            columns: &[Column("v", Texts), Column("n", Integers)],
        },
        Table {
            name: "uuids",
            key: &[Column(
                "id",
                Given(&[
                    "'00112233-4455-6677-8899-aabbccddeeff'",
                    "'00000000-0000-0000-0000-000000000000'",
                    "'FFEEDDCCBBAA99887766554433221100'",
                ]),
            )],
            columns: &[
                Column("v", Given(&["''", r"'\xff00'"])),
                Column("u", Given(&["'ffeeddcc-bbaa-9988-7766-554433221100'"])),
            ],
        },
        Table {
            name: "number",
            key: NUMBERED,
            columns: &[
                Column("truth", Given(&["true", "false"])),
                Column("small", Given(&["-32768", "32767", "40000"])),
                Column("exact", Given(&["'NaN'", "0.000", "-1e-20", "1e40", "'Infinity'"])),
                Column("scaled", Given(&["0", "-0.0005", "123456789.999", "'NaN'"])),
                Column("single", Given(&["'NaN'", "'-0'", "0.1", "3.4028235e38", "1e-45", "'Infinity'"])),
                Column("twofold", Given(&["'NaN'", "'-0'", "0.1", "1.7976931348623157e308", "4.9e-324"])),
                Column("coins", Given(&["'$12.34'", "'-92233720368547758.08'"])),
                Column("bits", Given(&["B'00000'", "B'10101'"])),
                Column("varied", Given(&["B''", "B'1'", "B'101010101'"])),
                Column("\"select\"", Given(&["B'0'", "B'1'"])),
            ],
        },
        Table {
            name: "moment",
            key: &[Column("id", Given(&["'2020-02-29'", "'infinity'", "'0044-03-15 BC'", "'1969-12-31'"]))],
            columns: &[
                Column("t", Given(&["'00:00:00'", "'24:00:00'", "'23:59:59.999999'"])),
                Column("tz", Given(&["'00:00:00-15:59'", "'23:59:59.999999+00'", "'12:00:00+05:30'"])),
                Column("ts", Given(MOMENTS)),
                Column("tstz", Given(MOMENTS)),
                Column("i", Given(&["'1 year 2 mons -3 days 04:05:06.789'", "'0'", "'-0.000001 seconds'"])),
            ],
        },
        Table {
            name: "choice",
            key: &[Column("id", Given(&["'sad'", "'it''s'", "'happy'"]))],
            columns: &[
                Column("p", Given(&["1", "0", "77"])),
                Column("j", Given(&[r#"'{"b": 1, "a":  [1.0, null]}'"#, "'[]'", "'no json'"])),
                Column("b", Given(&[r#"'{"b": 1, "a": [1.0, null]}'"#, r#"'"text"'"#, "'1.00'"])),
                Column("ia", Given(&["'{}'", "'{1,NULL,-3}'", "'[0:1]={5,6}'", "ARRAY[1,2]"])),
                Column("ta", Given(&["'{}'", r#"'{"a b",NULL,"NULL","\"q\"",""}'"#])),
                Column("net", Given(&["'10.0.0.1/8'", "'::1'"])),
                Column("spot", Given(&["'(1,-0.5)'", "'(NaN,Infinity)'"])),
                Column("r", Given(&["'empty'", "'[1,5)'", "'(,)'"])),
                Column("x", Given(&["'a:1 b:2A'", "''"])),
            ],
        },
        Table { name: "child", key: NUMBERED, columns: &[Column("parent", Integers), Column("n", Integers)] },
        Table { name: "owner", key: NUMBERED, columns: &[Column("n", Integers)] },
        Table { name: "owned", key: NUMBERED, columns: &[Column("owner", Integers), Column("n", Integers)] },
        Table { name: "watched", key: NUMBERED, columns: &[Column("n", Integers)] },
    ];

    const INSERT: &'static [&'static str] = &["INSERT"];
    const UPDATE: &'static [&'static str] = &[""];
    const ENDS: &'static [&'static str] = &[" RETURNING $c", " RETURNING *"];
    const CONFLICTS: &'static [&'static str] = &[
        " ON CONFLICT DO NOTHING",
        " ON CONFLICT ($k) DO UPDATE SET $c = $e",
        " ON CONFLICT ($k) DO UPDATE SET $c = excluded.$c",
        " ON CONFLICT ($k) DO NOTHING RETURNING *",
        " RETURNING *",
    ];
    const OTHERS: &'static [&'static str] = &[
        "UPDATE $t SET $c = $e FROM $o AS o WHERE o.id = $t.id",
        "UPDATE $t AS u SET $c = $e FROM child AS o WHERE o.id = u.id",
        "DELETE FROM $t AS u USING child AS o WHERE o.id = u.id",
        "UPDATE $t AS u SET $c = $e WHERE EXISTS (SELECT 1 FROM child AS o WHERE o.id = u.id)",
        "WITH few AS (SELECT id AS x FROM $t ORDER BY 1 LIMIT 2) UPDATE $t SET $c = $e WHERE id IN (SELECT x FROM few)",
        "WITH few AS (SELECT id AS x FROM $t ORDER BY 1 LIMIT 2) DELETE FROM $t WHERE id IN (SELECT x FROM few) RETURNING id",
        "WITH gone AS (DELETE FROM child RETURNING id) UPDATE $t SET $c = $e",
        "UPDATE $t SET id = id$w",
        "INSERT INTO $t DEFAULT VALUES",
        "INSERT INTO ident (id, n) OVERRIDING SYSTEM VALUE VALUES (55, 5)",
        "TRUNCATE $t",
        "DELETE FROM $t$w; DELETE FROM $o",
    ];
}
