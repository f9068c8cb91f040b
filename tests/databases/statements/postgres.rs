use sqlx::Postgres;

use super::Statements;

impl Statements for Postgres {
    const SCHEMA: &'static str = r#"
        CREATE TABLE stock (id BIGINT PRIMARY KEY, name TEXT NOT NULL, n INT, price NUMERIC(20, 5), data BYTEA);
        INSERT INTO stock VALUES (1, 'one', 10, 1.5, '\x00ff'), (2, 'it''s', NULL, -0.5, NULL),
            (3, '你😀', -2147483648, 123456789012345.54321, decode(repeat('00', 1000), 'hex')), (4, '', 0, 'NaN', '\x');
        CREATE TABLE auto (id SERIAL PRIMARY KEY, v TEXT DEFAULT 'd');
        INSERT INTO auto (v) VALUES ('x'), ('7');
        CREATE TABLE identity (id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, v TEXT);
        INSERT INTO identity (v) VALUES ('one');
        CREATE TABLE pair (a TEXT NOT NULL, b INT NOT NULL, v TEXT, PRIMARY KEY (b, a));
        INSERT INTO pair VALUES ('x', 1, 'x1'), ('y', 1, 'y1'), ('x', 2, NULL);
        CREATE TABLE text_key (k TEXT PRIMARY KEY, v TEXT UNIQUE, w INT DEFAULT 5);
        INSERT INTO text_key VALUES ('a', 'va', 1), ('b', 'vb', 2), ('c', NULL, 3);
        CREATE TABLE computed (id SERIAL PRIMARY KEY, n INT, thrice INT GENERATED ALWAYS AS (n * 3) STORED);
        INSERT INTO computed (id, n) VALUES (101, 5), (102, NULL);
        CREATE TABLE uuid_key (id UUID PRIMARY KEY, v INT);
        INSERT INTO uuid_key VALUES ('00112233-4455-6677-8899-aabbccddeeff', 1);
        CREATE TABLE "Odd ""Name" ("select" INT PRIMARY KEY, "数" TEXT);
        INSERT INTO "Odd ""Name" VALUES (1, 'u');
        CREATE SCHEMA IF NOT EXISTS other;
        CREATE TABLE other.stock (id INT PRIMARY KEY, n INT);
        INSERT INTO other.stock VALUES (1, 1);
        CREATE TABLE keyless (n INT);
        CREATE TABLE watched (id INT PRIMARY KEY, n INT);
        INSERT INTO watched VALUES (1, 1);
        CREATE OR REPLACE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM pair; RETURN NEW; END';
        CREATE TRIGGER watch AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION watch();
        CREATE TABLE parent (id INT PRIMARY KEY);
        INSERT INTO parent VALUES (1);
        CREATE TABLE child (id INT PRIMARY KEY, parent INT REFERENCES parent ON DELETE CASCADE);
        CREATE VIEW seen AS SELECT * FROM stock;
    "#;

    const UNDONE: &'static [&'static str] = &[
        "UPDATE stock SET n = 1 WHERE id = 1",
        "UPDATE stock SET n = 5, price = 2 WHERE id IN (1, 3)",
        "UPDATE public.stock AS s SET n = s.n + 1 WHERE s.name = 'one'",
        "UPDATE Stock SET N = 1 WHERE ID = 2",
        "UPDATE stock SET (n, price) = (3, 4) WHERE id = 2",
        "UPDATE stock SET data = NULL",
        "UPDATE stock SET n = (SELECT max(w) FROM text_key) WHERE n IS NULL",
        "UPDATE stock SET n = 1 WHERE EXISTS (SELECT 1 FROM auto AS a WHERE a.id = stock.id)",
        "UPDATE stock SET n = 1 WHERE id IN (SELECT id FROM auto)",
        "UPDATE stock SET n = 9 FROM auto a WHERE a.id = stock.id AND a.v = 'x'",
        "UPDATE stock SET n = 1 WHERE id = 1 RETURNING name",
        "UPDATE computed SET n = 6 WHERE thrice = 15",
        "UPDATE uuid_key SET v = 2",
        "UPDATE pair SET v = 'new' WHERE b = 1",
        "UPDATE other.stock SET n = 9",
        r#"UPDATE "Odd ""Name" SET "数" = '量' WHERE "select" = 1"#,
        "DELETE FROM stock WHERE id = 3",
        "DELETE FROM stock",
        "DELETE FROM stock USING auto a WHERE a.id = stock.id",
        "DELETE FROM stock WHERE n IS NULL RETURNING id",
        "DELETE FROM pair WHERE (a, b) IN (SELECT 'x', 1)",
        "DELETE FROM computed",
        "DELETE FROM identity",
        "DELETE FROM uuid_key",
        "INSERT INTO stock (id, name) VALUES (9, 'new')",
        "INSERT INTO stock VALUES (10, 'a', 1, 2, '\\xab'), (11, 'b', NULL, NULL, NULL)",
        "INSERT INTO stock (id, name) VALUES (5 + 7, 'a' || 'b')",
        "INSERT INTO auto (v) VALUES ('a'), ('b'), ('c')",
        "INSERT INTO auto (id, v) VALUES (DEFAULT, 'a'), (nextval('auto_id_seq'), 'b')",
        "INSERT INTO auto DEFAULT VALUES",
        "INSERT INTO auto (v) SELECT name FROM stock WHERE id < 3",
        "INSERT INTO auto (v) VALUES ('r'), ('s') RETURNING id",
        "INSERT INTO identity (v) VALUES ('two')",
        "INSERT INTO identity (id, v) OVERRIDING SYSTEM VALUE VALUES (77, 'own')",
        "INSERT INTO computed (n) VALUES (8)",
        "INSERT INTO uuid_key VALUES ('ffeeddcc-bbaa-9988-7766-554433221100', 2)",
        "INSERT INTO text_key VALUES ('a', 'other', 0), ('d', 'vd', 0) ON CONFLICT DO NOTHING",
        "INSERT INTO text_key VALUES ('a', 'n', 0), ('d', 'vd', 0) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
        "INSERT INTO text_key VALUES ('z', 'va', 9) ON CONFLICT (v) DO UPDATE SET w = text_key.w + 5",
        "INSERT INTO auto AS a (v) VALUES ('alias')",
        "INSERT INTO text_key AS t (k) VALUES ('a') ON CONFLICT (k) DO UPDATE SET w = t.w + 1",
        "INSERT INTO text_key AS \"T\" (k) VALUES ('b') ON CONFLICT (k) DO UPDATE SET w = \"T\".w + 1 RETURNING \"T\".w",
    ];

    const REFUSED: &'static [&'static str] = &[
        "UPDATE stock SET id = 7 WHERE id = 1",
        "INSERT INTO text_key VALUES ('a', 'n', 0) ON CONFLICT (k) DO UPDATE SET k = 'q'",
        "UPDATE keyless SET n = 1",
        "UPDATE watched SET n = 2",
        "DELETE FROM parent",
        "UPDATE seen SET n = 1",
        "DELETE FROM nowhere",
        "DELETE FROM undo_log",
        "DELETE FROM auto; DELETE FROM pair",
        "CREATE TABLE more (id INT PRIMARY KEY)",
        "ALTER TABLE stock ADD COLUMN more INT",
        "DROP TABLE stock",
        "TRUNCATE TABLE stock",
        "COPY stock FROM STDIN",
        "CALL anything()",
        "SET search_path = other",
        "COMMIT",
        "UPDATE stock SET",
    ];

    const PASSED: &'static [&'static str] = &[
        "SELECT * FROM stock",
        "WITH few AS (SELECT id FROM stock) SELECT * FROM few",
        "EXPLAIN DELETE FROM stock",
        "UPDATE stock SET n = 1 WHERE id = 99",
        "INSERT INTO text_key VALUES ('a', 'other', 0) ON CONFLICT DO NOTHING",
        "SELECT id FROM stock WHERE id = 1 FOR UPDATE",
        "SELECT id FROM stock WHERE id = 1 FOR SHARE",
    ];
}
