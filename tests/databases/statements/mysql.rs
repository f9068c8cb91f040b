use sqlx::MySql;

use super::Statements;

impl Statements for MySql {
    const SCHEMA: &'static str = "
        CREATE TABLE stock (id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL, n INT, price DECIMAL(20, 5), data BLOB);
        INSERT INTO stock VALUES (1, 'one', 10, 1.5, x'00ff'), (2, 'it''s', NULL, -0.5, NULL),
            (3, '你😀', -2147483648, 123456789012345.54321, REPEAT(x'00', 1000)), (4, '', 0, 0, x'');
        CREATE TABLE auto (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(50) DEFAULT 'd');
        INSERT INTO auto (v) VALUES ('x'), ('7');
        CREATE TABLE pair (a VARCHAR(20) NOT NULL, b INT NOT NULL, v VARCHAR(50), PRIMARY KEY (b, a));
        INSERT INTO pair VALUES ('x', 1, 'x1'), ('y', 1, 'y1'), ('x', 2, NULL);
        CREATE TABLE text_key (k VARCHAR(20) PRIMARY KEY, v VARCHAR(20) UNIQUE, w INT DEFAULT 5);
        INSERT INTO text_key VALUES ('a', 'va', 1), ('b', 'vb', 2), ('c', NULL, 3);
        CREATE TABLE computed (id INT PRIMARY KEY AUTO_INCREMENT, n INT, twice INT AS (n * 2) VIRTUAL, thrice INT AS (n * 3) STORED);
        INSERT INTO computed (id, n) VALUES (1, 5), (2, NULL);
        CREATE TABLE stamped (id INT PRIMARY KEY, n INT, seen TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6));
        INSERT INTO stamped VALUES (1, 1, '2020-01-02 03:04:05.678901'), (2, 2, '2021-01-02 03:04:05.678901');
        CREATE TABLE uuid_key (id BINARY(16) PRIMARY KEY, v INT);
        INSERT INTO uuid_key VALUES (x'00112233445566778899aabbccddeeff', 1);
        CREATE TABLE `Odd ``Name` (`select` INT PRIMARY KEY, `数` VARCHAR(20));
        INSERT INTO `Odd ``Name` VALUES (1, 'u');
        CREATE TABLE ranked (id INT PRIMARY KEY, place INT UNIQUE);
        INSERT INTO ranked VALUES (1, 30), (2, 20), (3, 10);
        CREATE TABLE keyless (n INT);
        CREATE TABLE watched (id INT PRIMARY KEY, n INT);
        INSERT INTO watched VALUES (1, 1);
        CREATE TRIGGER watch AFTER UPDATE ON watched FOR EACH ROW DELETE FROM pair;
        CREATE TABLE parent (id INT PRIMARY KEY);
        INSERT INTO parent VALUES (1);
        CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE);
        CREATE OR REPLACE VIEW seen AS SELECT * FROM stock;
    ";

    const UNDONE: &'static [&'static str] = &[
        "UPDATE stock SET n = 1 WHERE id = 1",
        "UPDATE stock SET n = 5, price = 2 WHERE id IN (1, 3)",
        "UPDATE stock AS s SET s.n = s.n + 1 WHERE s.name = 'one'",
        "UPDATE stock s SET n = 7 WHERE n IS NULL OR NOT (n > 0)",
        "UPDATE stock SET data = NULL",
        "UPDATE stock SET n = (SELECT MAX(w) FROM text_key) WHERE id = 2",
        "UPDATE stock SET n = 1 WHERE EXISTS (SELECT 1 FROM auto AS a WHERE a.id = stock.id)",
        "UPDATE stock SET n = 1 WHERE id IN (SELECT id FROM auto)",
        "UPDATE stock SET n = 77 ORDER BY id DESC LIMIT 2",
        "UPDATE stock s JOIN auto a ON a.id = s.id SET s.n = 9 WHERE a.v = 'x'",
        "UPDATE stock s, pair p SET s.n = p.b WHERE p.b = s.id",
        "UPDATE ranked SET place = place + 10 ORDER BY place DESC",
        "UPDATE computed SET n = 6 WHERE twice = 10",
        "UPDATE stamped SET n = 6 WHERE id = 1",
        "UPDATE uuid_key SET v = 2",
        "UPDATE pair SET v = 'new' WHERE b = 1",
        "UPDATE `Odd ``Name` SET `数` = '量' WHERE `select` = 1",
        "UPDATE IGNORE text_key SET v = CASE k WHEN 'a' THEN 'vb' ELSE CONCAT(k, '1') END",
        "DELETE FROM stock WHERE id = 3",
        "DELETE FROM stock",
        "DELETE FROM stock ORDER BY id LIMIT 2",
        "DELETE FROM pair WHERE (a, b) IN (SELECT 'x', 1)",
        "DELETE FROM computed",
        "DELETE FROM uuid_key",
        "DELETE FROM stamped WHERE id = 2",
        "INSERT INTO stock (id, name) VALUES (9, 'new')",
        "INSERT INTO stock SET id = 9, name = 'set'",
        "INSERT INTO stock VALUES (10, 'a', 1, 2, x'ab'), (11, 'b', NULL, NULL, NULL)",
        "INSERT INTO stock (id, name) VALUES (5 + 7, CONCAT('a', 'b'))",
        "INSERT INTO auto (v) VALUES ('a'), ('b'), ('c')",
        "INSERT INTO auto (id, v) VALUES (NULL, 'a'), (0, 'b'), (DEFAULT, 'c')",
        "INSERT INTO auto () VALUES ()",
        "INSERT INTO auto (v) VALUES (DEFAULT)",
        "INSERT INTO auto (id, v) VALUES (50, 'fifty')",
        "INSERT INTO auto (v) SELECT name FROM stock WHERE id < 3",
        "INSERT INTO computed (n) VALUES (8)",
        "INSERT INTO stamped (id, n) VALUES (3, 3)",
        "INSERT INTO stamped VALUES (4, 4, '2030-01-01'), (4, 5, '2031-01-01') ON DUPLICATE KEY UPDATE n = n",
        "INSERT INTO stamped VALUES (2, 2, '2030-01-01'), (5, 5, '2031-01-01'), (5, 6, '2032-01-01') ON DUPLICATE KEY UPDATE n = n + (id = 2)",
        "INSERT INTO uuid_key VALUES (x'ffeeddccbbaa99887766554433221100', 2)",
        "INSERT IGNORE INTO text_key VALUES ('a', 'other', 0), ('d', 'vd', 0)",
        "INSERT INTO text_key VALUES ('a', 'n', 0), ('d', 'vd', 0) ON DUPLICATE KEY UPDATE v = VALUES(v)",
        "INSERT INTO text_key VALUES ('z', 'va', 9) ON DUPLICATE KEY UPDATE w = w + 5",
        "INSERT INTO auto (id, v) VALUES (1, 'dup') ON DUPLICATE KEY UPDATE v = 'dup'",
    ];

    const REFUSED: &'static [&'static str] = &[
        "UPDATE stock SET id = 7 WHERE id = 1",
        "INSERT INTO text_key VALUES ('a', 'n', 0) ON DUPLICATE KEY UPDATE k = 'q'",
        "UPDATE keyless SET n = 1",
        "UPDATE watched SET n = 2",
        "DELETE FROM parent",
        "UPDATE seen SET n = 1",
        "DELETE FROM nowhere",
        "DELETE FROM undo_log",
        "DELETE FROM auto; DELETE FROM pair",
        "UPDATE stock s LEFT JOIN auto a ON a.id = s.id SET s.n = 9, a.v = 'both' WHERE s.id < 3",
        "CREATE TABLE more (id INT PRIMARY KEY)",
        "ALTER TABLE stock ADD COLUMN more INT",
        "DROP TABLE stock",
        "TRUNCATE TABLE stock",
        "LOAD DATA INFILE '/tmp/x' INTO TABLE stock",
        "CALL anything()",
        "LOCK TABLES stock WRITE",
        "SET autocommit = 1",
        "COMMIT",
        "UPDATE stock SET",
    ];

    const PASSED: &'static [&'static str] = &[
        "SELECT * FROM stock",
        "WITH few AS (SELECT id FROM stock) SELECT * FROM few",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM stock",
        "UPDATE stock SET n = 1 WHERE id = 99",
        "INSERT IGNORE INTO text_key VALUES ('a', 'other', 0)",
        "SELECT id FROM stock WHERE id = 1 FOR UPDATE",
        "SELECT id FROM stock WHERE id = 1 LOCK IN SHARE MODE",
    ];
}
