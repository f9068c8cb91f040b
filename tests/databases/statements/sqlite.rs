use sqlx::Sqlite;

use super::Statements;

impl Statements for Sqlite {
    const SCHEMA: &'static str = "
        CREATE TABLE stock (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER, price REAL, data BLOB);
        INSERT INTO stock VALUES (1, 'one', 10, 1.5, x'00ff'), (2, 'it''s', NULL, -0.5, NULL),
            (3, char(0) || '你😀', -9223372036854775808, 9e999, zeroblob(1000)), (4, '', 0, 1e300, x'');
        CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, v DEFAULT 'd');
        INSERT INTO auto (v) VALUES ('x'), (7);
        CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v, PRIMARY KEY (b, a)) WITHOUT ROWID;
        INSERT INTO pair VALUES ('x', 1, 'x1'), ('y', 1, 'y1'), ('x', 2, NULL);
        CREATE TABLE text_key (k TEXT PRIMARY KEY NOT NULL, v TEXT UNIQUE, w INTEGER DEFAULT 5);
        INSERT INTO text_key VALUES ('a', 'va', 1), ('b', 'vb', 2), ('c', NULL, 3);
        CREATE TABLE computed (id INTEGER PRIMARY KEY, n INTEGER, twice AS (n * 2), thrice AS (n * 3) STORED);
        INSERT INTO computed (id, n) VALUES (1, 5), (2, NULL);
        CREATE TABLE \"Odd \"\"Name\" (\"select\" INTEGER PRIMARY KEY, \"数\" TEXT);
        INSERT INTO \"Odd \"\"Name\" VALUES (1, 'u');
        CREATE TABLE keyless (n INTEGER);
        CREATE TABLE watched (id INTEGER PRIMARY KEY, n INTEGER);
        INSERT INTO watched VALUES (1, 1);
        CREATE TRIGGER watch AFTER UPDATE ON watched BEGIN DELETE FROM stock; END;
    ";

    const UNDONE: &'static [&'static str] = &[
        "UPDATE stock SET n = 1 WHERE id = 1",
        "UPDATE stock SET n = 5, price = 2 WHERE id IN (1, 3)",
        "UPDATE main.stock AS s SET n = s.n + 1 WHERE s.name = 'one'",
        "UPDATE stock SET n = (SELECT max(n) FROM stock) WHERE n IS NULL",
        "UPDATE stock SET data = NULL",
        "UPDATE stock SET n = 1 WHERE EXISTS (SELECT 1 FROM auto AS a WHERE a.id = stock.id)",
        "UPDATE OR IGNORE text_key SET v = CASE k WHEN 'a' THEN 'vb' ELSE k END",
        "UPDATE computed SET n = 6 WHERE twice = 10",
        "UPDATE pair SET v = 'new' WHERE b = 1",
        "UPDATE \"Odd \"\"Name\" SET \"数\" = '量' WHERE \"select\" = 1",
        "DELETE FROM stock WHERE id = 3",
        "DELETE FROM stock",
        "DELETE FROM pair WHERE (a, b) IN (SELECT 'x', 1)",
        "DELETE FROM computed",
        "INSERT INTO stock (name) VALUES ('new')",
        "INSERT INTO stock VALUES (10, 'a', 1, 2, x'ab'), (11, 'b', NULL, NULL, NULL)",
        "INSERT INTO auto (v) VALUES ('a'), ('b'), ('c')",
        "INSERT INTO auto DEFAULT VALUES",
        "INSERT INTO auto (v) SELECT name FROM stock WHERE n > -1",
        "INSERT INTO auto (v) VALUES ('r'), ('s') RETURNING id",
        "INSERT INTO computed (n) VALUES (8)",
        "INSERT OR IGNORE INTO text_key VALUES ('a', 'other', 0), ('d', 'vd', 0)",
        "INSERT INTO text_key VALUES ('a', 'n', 0), ('d', 'vd', 0) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
        "INSERT INTO text_key VALUES ('z', 'va', 9) ON CONFLICT (v) DO UPDATE SET w = w + 5",
    ];

    const REFUSED: &'static [&'static str] = &[
        "UPDATE stock SET id = 7 WHERE id = 1",
        "UPDATE keyless SET n = 1",
        "UPDATE watched SET n = 2",
        "DELETE FROM nowhere",
        "DELETE FROM undo_log",
        "DELETE FROM auto; DELETE FROM pair",
        "CREATE TABLE more (id INTEGER PRIMARY KEY)",
        "DROP TABLE stock",
        "VACUUM",
        "COMMIT",
        "UPDATE stock SET",
    ];

    const PASSED: &'static [&'static str] = &[
        "SELECT * FROM stock",
        "WITH few AS (SELECT id FROM stock) SELECT * FROM few",
        "EXPLAIN QUERY PLAN DELETE FROM stock",
        "UPDATE stock SET n = 1 WHERE id = 99",
        "INSERT INTO text_key VALUES ('a', 'other', 0) ON CONFLICT DO NOTHING",
    ];
}
