//! Every kind of statement, run and rolled back: the database is then what it was, byte for byte.

use sqlx::{AssertSqlSafe, Sqlite};

use crate::world::{World, inside};

const SCHEMA: &str = "
    CREATE TABLE stock (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER, price REAL, data BLOB, any);
    INSERT INTO stock VALUES (1, 'one', 10, 1.5, x'00ff', 1), (2, 'it''s', NULL, -0.5, NULL, '1'),
        (3, char(0) || '你😀', -9223372036854775808, 9e999, zeroblob(1000), 1.0), (4, '', 0, 1e300, x'', NULL);
    CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, v DEFAULT 'd');
    INSERT INTO auto (v) VALUES ('x'), (7);
    CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v, PRIMARY KEY (b, a)) WITHOUT ROWID;
    INSERT INTO pair VALUES ('x', 1, 'x1'), ('y', 1, 'y1'), ('x', 2, NULL);
    CREATE TABLE text_key (k TEXT PRIMARY KEY NOT NULL, v TEXT UNIQUE, w INTEGER DEFAULT 5);
    INSERT INTO text_key VALUES ('a', 'va', 1), ('b', 'vb', 2), ('c', NULL, 3);
    CREATE TABLE computed (id INTEGER PRIMARY KEY, n INTEGER, twice AS (n * 2), thrice AS (n * 3) STORED);
    INSERT INTO computed (id, n) VALUES (1, 5), (2, NULL);
    CREATE TABLE \"Odd \"\"Name\" (\"select\" INTEGER PRIMARY KEY, \"Ünï\" TEXT);
    INSERT INTO \"Odd \"\"Name\" VALUES (1, 'u');
    CREATE TABLE ranked (id INTEGER PRIMARY KEY, place INTEGER UNIQUE);
    INSERT INTO ranked VALUES (1, 30), (2, 20), (3, 10);
";

/// What was run, its text arguments, and the rows it must lock.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    ("UPDATE stock SET n = n - 1 WHERE id = ?", &["1"], &["stock:1"]),
    ("UPDATE stock SET n = 5, price = 2 WHERE id IN (?, ?)", &["1", "3"], &["stock:1", "stock:3"]),
    ("UPDATE stock SET any = ?2, name = ?1 WHERE id = 2", &["é", "x"], &["stock:2"]),
    ("UPDATE main.stock AS s SET n = s.n + 1 WHERE s.name = ?", &["one"], &["stock:1"]),
    ("UPDATE stock SET (name, n) = (SELECT 'p', 7) WHERE id = 1", &[], &["stock:1"]),
    ("UPDATE stock SET n = (SELECT max(n) FROM stock) WHERE n IS NULL", &[], &["stock:2"]),
    ("UPDATE stock SET data = NULL, any = 1", &[], &["stock:1", "stock:2", "stock:3", "stock:4"]),
    ("UPDATE stock SET n = 1 WHERE id = 99", &[], &[]),
    ("UPDATE stock SET n = n WHERE id = 1", &[], &["stock:1"]),
    ("UPDATE stock SET n = 1 WHERE id = 1 RETURNING name", &[], &["stock:1"]),
    ("UPDATE STOCK SET N = 1 WHERE ID = 1", &[], &["stock:1"]),
    (
        "UPDATE stock SET n = 1 WHERE EXISTS (SELECT 1 FROM auto a WHERE a.id = stock.id)",
        &[],
        &["stock:1", "stock:2"],
    ),
    (
        "UPDATE OR IGNORE text_key SET v = CASE k WHEN 'a' THEN 'vb' ELSE k END",
        &[],
        &["text_key:a", "text_key:b", "text_key:c"],
    ),
    ("UPDATE computed SET n = 6 WHERE twice = 10", &[], &["computed:1"]),
    ("UPDATE pair SET v = 'new' WHERE b = 1", &[], &["pair:1_x", "pair:1_y"]),
    ("UPDATE \"Odd \"\"Name\" SET \"Ünï\" = 'v' WHERE \"select\" = 1", &[], &["Odd \"Name:1"]),
    ("UPDATE ranked SET place = place + 10", &[], &["ranked:1", "ranked:2", "ranked:3"]),
    ("UPDATE stock SET n = 3 WHERE n IS ?1 OR name IS NOT ?2 AND id << 1 = 2", &["1", "x"], &["stock:1"]),
    ("UPDATE stock SET n = 3 WHERE n ISNULL AND name NOT GLOB 'x*'", &[], &["stock:2"]),
    // Two rows of the other table select the same one.
    (
        "UPDATE stock AS s SET n = a.id + ? FROM auto a, pair p WHERE a.id = s.id AND p.b = a.id AND a.v <> ?",
        &["1", "q"],
        &["stock:1", "stock:2"],
    ),
    (
        "UPDATE stock SET n = 8 FROM auto WHERE auto.id = stock.id RETURNING stock.id",
        &[],
        &["stock:1", "stock:2"],
    ),
    (
        "WITH x(id) AS (SELECT ?) UPDATE stock SET n = 4 WHERE id IN (SELECT id + 0 FROM x)",
        &["2"],
        &["stock:2"],
    ),
    (
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 3) DELETE FROM stock WHERE id IN x",
        &[],
        &["stock:1", "stock:2", "stock:3"],
    ),
    ("DELETE FROM stock WHERE NOT glob('o*', name)", &[], &["stock:2", "stock:3", "stock:4"]),
    ("DELETE FROM stock WHERE id = ?", &["3"], &["stock:3"]),
    ("DELETE FROM stock", &[], &["stock:1", "stock:2", "stock:3", "stock:4"]),
    ("DELETE FROM stock AS s WHERE s.n IS NULL RETURNING *", &[], &["stock:2"]),
    ("DELETE FROM pair WHERE (a, b) IN (SELECT 'x', 1)", &[], &["pair:1_x"]),
    ("DELETE FROM computed", &[], &["computed:1", "computed:2"]),
    ("DELETE FROM text_key WHERE k LIKE 'a%' ESCAPE '\\'", &[], &["text_key:a"]),
    ("DELETE FROM stock WHERE id BETWEEN 2 AND 3 -- the middle", &[], &["stock:2", "stock:3"]),
    ("INSERT INTO stock (name) VALUES (?)", &["new"], &["stock:5"]),
    (
        "INSERT INTO stock VALUES (10, 'a', 1, 2, x'ab', 'c'), (11, 'b', NULL, NULL, NULL, 1.0)",
        &[],
        &["stock:10", "stock:11"],
    ),
    ("INSERT INTO stock (id, name) VALUES (? || '2', 'ten')", &["1"], &["stock:12"]),
    ("INSERT INTO auto (v) VALUES ('a'), ('b'), ('c')", &[], &["auto:3", "auto:4", "auto:5"]),
    ("INSERT INTO auto DEFAULT VALUES", &[], &["auto:3"]),
    ("INSERT INTO auto (v) SELECT name FROM stock WHERE n > ?", &["-1"], &["auto:3", "auto:4"]),
    ("INSERT INTO auto (v) VALUES ('r'), ('s') RETURNING id, v AS id2", &[], &["auto:3", "auto:4"]),
    ("INSERT INTO pair VALUES ('z', 9, 1)", &[], &["pair:9_z"]),
    ("INSERT INTO computed (n) VALUES (8)", &[], &["computed:3"]),
    ("INSERT OR IGNORE INTO text_key VALUES ('a', 'other', 0), ('d', 'vd', 0)", &[], &["text_key:d"]),
    ("INSERT INTO text_key VALUES ('a', 'other', 0) ON CONFLICT DO NOTHING", &[], &[]),
    (
        "INSERT INTO text_key VALUES ('a', 'n', 0), ('d', 'vd', 0) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
        &[],
        &["text_key:a", "text_key:d"],
    ),
    (
        "INSERT INTO text_key VALUES ('z', 'va', 9) ON CONFLICT (v) DO UPDATE SET w = w + ?1 RETURNING w",
        &["5"],
        &["text_key:a"],
    ),
    ("INSERT INTO text_key VALUES ('a', 'x', 0) ON CONFLICT (k) DO UPDATE SET w = 0 WHERE w > 100", &[], &[]),
    (
        "INSERT INTO text_key (k) VALUES ('e'), ('e') ON CONFLICT (k) DO UPDATE SET w = w + 1",
        &[],
        &["text_key:e"],
    ),
    (
        "INSERT INTO ranked VALUES (9, 10), (8, 5) ON CONFLICT DO UPDATE SET place = place + 100",
        &[],
        &["ranked:3", "ranked:8"],
    ),
];

#[tokio::test]
async fn a_statement_by_itself_is_undone_exactly() {
    for (sql, arguments, locks) in CASES {
        let world = World::new(SCHEMA).await;
        let before = world.dump().await;
        let xid = world.coordinator.begin();
        let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(*sql));
        for argument in *arguments {
            query = query.bind(*argument);
        }
        let result = inside(&xid, query.execute(&world.pool)).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let after = world.dump().await;
        assert_eq!(world.coordinator.locks(), *locks, "{sql}");
        assert_eq!(world.undo_rows().await, i64::from(!locks.is_empty()), "{sql}");
        if !locks.is_empty() {
            assert!(result.rows_affected() >= 1, "{sql}");
            assert!(after != before || sql.contains("SET n = n "), "{sql}");
        }
        for answer in world.coordinator.rollback(&xid).await {
            assert_eq!(answer, seata_context::BranchAnswer::rollbacked(), "{sql}");
        }
        assert_eq!(world.dump().await, before, "{sql}");
        assert_eq!(world.undo_rows().await, 0, "{sql}");
        assert!(world.coordinator.locks().is_empty());
    }
}

/// The same changes as one branch, on the same rows several times.
#[tokio::test]
async fn all_statements_in_one_transaction_are_undone_exactly() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        for (sql, arguments, _) in CASES {
            // Rows are gone after the first of these; what is left must still be undone.
            let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(*sql));
            for argument in *arguments {
                query = query.bind(*argument);
            }
            query.execute(&mut tx).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
        tx.commit().await.unwrap();
    })
    .await;
    assert_ne!(world.dump().await, before);
    assert_eq!(world.coordinator.branches(&xid).len(), 1);
    let answers = world.coordinator.rollback(&xid).await;
    assert_eq!(answers, [seata_context::BranchAnswer::rollbacked()]);
    assert_eq!(world.dump().await, before);
}

/// Rows whose keys read alike as locks are one lock, but never one row.
#[tokio::test]
async fn rows_whose_locks_look_alike_are_told_apart() {
    let schema = "CREATE TABLE pair (a TEXT, b TEXT, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
        INSERT INTO pair VALUES ('a_b', 'c', 1);
        CREATE TABLE loose (k PRIMARY KEY NOT NULL, v);
        INSERT INTO loose VALUES (1, 'number')";
    let world = World::new(schema).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    for sql in [
        "INSERT INTO pair VALUES ('a_b', 'c', 2), ('a', 'b_c', 2) ON CONFLICT DO UPDATE SET v = excluded.v RETURNING *",
        "INSERT INTO loose VALUES ('1', 'new'), (1, 'changed') ON CONFLICT DO UPDATE SET v = excluded.v",
        "UPDATE pair SET v = 3",
        "DELETE FROM loose",
    ] {
        inside(&xid, sqlx::query(sql).execute(&world.pool)).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    assert_eq!(world.coordinator.locks(), ["loose:1", "pair:a_b_c"]);
    for answer in world.coordinator.rollback(&xid).await {
        assert_eq!(answer, seata_context::BranchAnswer::rollbacked());
    }
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_commit_leaves_the_change_and_deletes_the_undo_row() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        for id in 1..=4 {
            sqlx::query("UPDATE stock SET n = 77 WHERE id = ?").bind(id).execute(&world.pool).await.unwrap();
        }
    })
    .await;
    assert_eq!(world.undo_rows().await, 4);
    let answers = world.coordinator.commit(&xid).await;
    assert_eq!(answers, vec![seata_context::BranchAnswer::committed(); 4]);
    assert_eq!(world.undo_rows().await, 0);
    let changed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM stock WHERE n = 77").fetch_one(&world.raw).await.unwrap();
    assert_eq!(changed, 4);
}
