//! What cannot be undone is refused before anything runs.

use std::time::Duration;

use seata_sqlx::{AtError, AtOpenError, AtPool, Refusal};
use sqlx::{AssertSqlSafe, Sqlite, SqlitePool};

use crate::world::{World, inside};

const SCHEMA: &str = "
    CREATE TABLE good (id INTEGER PRIMARY KEY, n INTEGER, code TEXT UNIQUE);
    INSERT INTO good VALUES (1, 1, 'a');
    CREATE TABLE keyless (n INTEGER);
    CREATE TABLE null_key (k TEXT PRIMARY KEY, v);
    INSERT INTO null_key VALUES (NULL, 1);
    CREATE VIEW seen AS SELECT * FROM good;
    CREATE VIRTUAL TABLE words USING fts5(body);
    CREATE TABLE watched (id INTEGER PRIMARY KEY, n);
    CREATE TABLE watched_inserts (id INTEGER PRIMARY KEY, n);
    INSERT INTO watched_inserts VALUES (1, 1);
    CREATE TRIGGER watch AFTER UPDATE ON watched BEGIN DELETE FROM good; END;
    CREATE TRIGGER watch_insert AFTER INSERT ON watched_inserts BEGIN DELETE FROM good; END;
    CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE, n);
    INSERT INTO parent VALUES (1, 'p', 1);
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE coded (id INTEGER PRIMARY KEY, code REFERENCES parent (code) ON UPDATE SET NULL);
    CREATE TABLE replacing (id INTEGER PRIMARY KEY, code TEXT UNIQUE ON CONFLICT REPLACE);
";

type Expected = fn(&AtError) -> bool;

macro_rules! refused {
    ($pattern:pat) => {
        |error| matches!(error, AtError::Refused { reason: $pattern, .. })
    };
}

const CASES: &[(&str, Expected)] = &[
    ("UPDATE keyless SET n = 1", refused!(Refusal::NoPrimaryKey(_))),
    ("INSERT INTO keyless VALUES (1)", refused!(Refusal::NoPrimaryKey(_))),
    ("UPDATE seen SET n = 1", refused!(Refusal::NotATable { .. })),
    ("INSERT INTO words VALUES ('a')", refused!(Refusal::NotATable { .. })),
    ("DELETE FROM nowhere", refused!(Refusal::UnknownTable(_))),
    ("UPDATE temp.good SET n = 1", refused!(Refusal::NotInMain(_))),
    ("UPDATE watched SET n = 1", refused!(Refusal::Trigger { .. })),
    ("INSERT INTO watched_inserts (n) VALUES (1)", refused!(Refusal::Trigger { .. })),
    // Its undo is an INSERT, which fires.
    ("DELETE FROM watched_inserts", refused!(Refusal::Trigger { .. })),
    ("DELETE FROM parent", refused!(Refusal::ReferentialAction { .. })),
    ("UPDATE parent SET code = 'q'", refused!(Refusal::ReferentialAction { .. })),
    ("INSERT INTO replacing VALUES (1, 'x')", refused!(Refusal::DeclaredConflict { .. })),
    ("UPDATE good SET id = 2", refused!(Refusal::KeyChange { .. })),
    ("UPDATE good SET (n, ID) = (1, 2)", refused!(Refusal::KeyChange { .. })),
    ("UPDATE good SET rowid = 2", refused!(Refusal::KeyChange { .. })),
    (
        "INSERT INTO good VALUES (1, 1, 'x') ON CONFLICT (id) DO UPDATE SET id = 7",
        refused!(Refusal::KeyChange { .. }),
    ),
    ("UPDATE good SET nothing = 2", refused!(Refusal::UnknownColumn { .. })),
    ("UPDATE null_key SET v = 2", |error| matches!(error, AtError::UnusableKey { .. })),
    ("DELETE FROM null_key", |error| matches!(error, AtError::UnusableKey { .. })),
    ("INSERT INTO null_key (v) VALUES (2)", |error| matches!(error, AtError::UnusableKey { .. })),
    ("INSERT INTO null_key VALUES ('', 2)", |error| matches!(error, AtError::UnusableKey { .. })),
    ("UPDATE good SET n = 2 WHERE random() > 0 OR random() <= 0 AND id = ?", |error| {
        matches!(error, AtError::ArgumentCount { expected: 1, found: 0, .. })
    }),
    ("INSERT INTO null_key (k, v) VALUES (hex(randomblob(8)), 1) RETURNING k", |error| {
        matches!(error, AtError::ImageMismatch { .. })
    }),
    ("REPLACE INTO good VALUES (1, 2, 'b')", refused!(Refusal::Replace)),
    ("UPDATE good SET n = k.v FROM null_key k RIGHT JOIN good g", refused!(Refusal::Join(_))),
    ("WITH good AS (SELECT 1) DELETE FROM good", refused!(Refusal::NotReproducible(_))),
    ("DELETE FROM good; DELETE FROM good", refused!(Refusal::SeveralStatements)),
    ("CREATE TABLE more (a)", refused!(Refusal::Definition(_))),
    ("DROP TABLE good", refused!(Refusal::Definition(_))),
    ("VACUUM", refused!(Refusal::Definition(_))),
    ("COMMIT", refused!(Refusal::TransactionControl(_))),
    ("PRAGMA foreign_keys = OFF", refused!(Refusal::Pragma(_))),
    ("DELETE FROM undo_log", refused!(Refusal::UndoTable(_))),
    ("UPDATE good SET", refused!(Refusal::NotUnderstood(_))),
];

#[tokio::test]
async fn each_refusal_names_its_cause_and_changes_nothing() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    for (sql, expected) in CASES {
        let xid = world.coordinator.begin();
        let error = inside(&xid, sqlx::query(AssertSqlSafe(*sql)).execute(&world.pool)).await.expect_err(sql);
        let cause = AtError::from_sqlx(&error).unwrap_or_else(|| panic!("{sql} gave {error}"));
        assert!(expected(cause), "{sql} gave {cause:?}");
        assert!(error.to_string().contains(sql), "{sql} is not quoted: {error}");
        assert_eq!(world.coordinator.registrations(), 0, "{sql}");
        assert_eq!(world.dump().await, before, "{sql}");
        world.assert_clean(sql).await;
    }
}

/// A refusal leaves the local transaction usable, unless the statement had run already.
#[tokio::test]
async fn a_transaction_goes_on_after_a_refusal() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        sqlx::query("UPDATE good SET n = 2 WHERE id = 1").execute(&mut tx).await.unwrap();
        for sql in ["UPDATE watched SET n = 1", "DROP TABLE good", "UPDATE good SET id = 7"] {
            let error = sqlx::query(sql).execute(&mut tx).await.expect_err(sql);
            assert!(matches!(AtError::from_sqlx(&error), Some(AtError::Refused { .. })), "{sql}: {error}");
        }
        let error = sqlx::query("INSERT INTO good VALUES (9, 0, 'a')").execute(&mut tx).await.unwrap_err();
        assert!(error.as_database_error().unwrap().is_unique_violation());
        sqlx::query("UPDATE good SET n = n + 1 WHERE id = 1").execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.locks(), ["good:1"]);
    world.coordinator.rollback(&xid).await;
    let n: i64 = sqlx::query_scalar("SELECT n FROM good").fetch_one(&world.raw).await.unwrap();
    assert_eq!(n, 1);
}

/// SQLite itself leaves the first row behind here.
#[tokio::test]
async fn a_statement_that_fails_half_way_leaves_nothing_in_its_transaction() {
    let world = World::new("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER) STRICT").await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        let insert = sqlx::query("INSERT OR IGNORE INTO t VALUES ('a', 1), ('b', 'no number')");
        insert.execute(&mut tx).await.unwrap_err();
        sqlx::query("INSERT INTO t VALUES ('c', 3)").execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.locks(), ["t:c"]);
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM t").fetch_all(&world.raw).await.unwrap();
    assert_eq!(ids, ["c"]);
}

#[tokio::test]
async fn a_transaction_whose_images_failed_is_rolled_back_and_says_so() {
    let world = World::with(SCHEMA, 2, |builder| builder.max_image_rows(3)).await;
    let xid = world.coordinator.begin();
    let before = world.dump().await;
    inside(&xid, async {
        let mut tx = world.pool.begin().await.unwrap();
        sqlx::query("UPDATE good SET n = 2").execute(&mut tx).await.unwrap();
        let insert = "INSERT INTO good (n) VALUES (1), (2), (3), (4)";
        let error = sqlx::query(insert).execute(&mut tx).await.unwrap_err();
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::TooManyRows { limit: 3, .. })), "{error}");
        let error = sqlx::query("SELECT 1").execute(&mut tx).await.unwrap_err();
        assert!(error.to_string().contains("rolled back earlier"), "{error}");
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::AlreadyRolledBack { .. })), "{error}");
    })
    .await;
    assert_eq!(world.dump().await, before);
    assert_eq!(world.coordinator.registrations(), 0);
    world.assert_clean("after").await;
}

#[tokio::test]
async fn the_limit_on_rows_holds_before_and_after() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t (n) VALUES (1), (2), (3), (4)";
    let world = World::with(schema, 2, |builder| builder.max_image_rows(3)).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    for sql in ["UPDATE t SET n = 0", "DELETE FROM t", "INSERT INTO t (n) SELECT n FROM t"] {
        let error = inside(&xid, sqlx::query(sql).execute(&world.pool)).await.expect_err(sql);
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::TooManyRows { limit: 3, .. })), "{sql}");
        assert!(error.to_string().contains("max_image_rows"), "{error}");
    }
    assert_eq!(world.dump().await, before);
    inside(&xid, sqlx::query("UPDATE t SET n = 0 WHERE id < 4").execute(&world.pool)).await.unwrap();
}

/// A statement that would choose other rows than its image is seen, whatever makes it do so.
#[tokio::test]
async fn a_condition_that_changes_its_mind_is_seen() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, n);
        WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200) INSERT INTO t SELECT x, 0 FROM c";
    let world = World::new(schema).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    for sql in [
        "UPDATE t SET n = 1 WHERE random() % 2 = 0",
        "DELETE FROM t WHERE random() % 2 = 0",
        // As many rows each time, but others.
        "UPDATE t SET n = 1 WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 5)",
        "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 5)",
        "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 5) RETURNING id",
        "INSERT INTO t SELECT id, 1 FROM t WHERE true ORDER BY random() LIMIT 5 ON CONFLICT DO UPDATE SET n = 1",
        "INSERT INTO t SELECT abs(random()) % 200 + 1, 1 FROM t WHERE id < 9 ON CONFLICT DO UPDATE SET n = 1",
    ] {
        let error = inside(&xid, sqlx::query(sql).execute(&world.pool)).await.expect_err(sql);
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::ImageMismatch { .. })), "{sql}: {error}");
    }
    assert_eq!(world.dump().await, before);
}

/// Where no check is possible, the cause is refused.
#[tokio::test]
async fn rows_chosen_by_what_changes_by_itself_are_not_returned() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let xid = world.coordinator.begin();
    for sql in [
        "UPDATE good SET n = 2 WHERE random() % 2 = 0 RETURNING id",
        "UPDATE good SET n = 2 WHERE id IN (SELECT id FROM good ORDER BY Random() LIMIT 1) RETURNING id",
        "UPDATE good SET n = 2 WHERE code < datetime('now') RETURNING id",
        "UPDATE good SET n = 2 WHERE code < current_timestamp RETURNING id",
        "INSERT INTO good VALUES (abs(random()) % 2, 1, NULL) ON CONFLICT DO UPDATE SET n = 1 RETURNING id",
        "INSERT INTO good (n) VALUES (last_insert_rowid()) RETURNING id",
        "INSERT INTO good (id) VALUES (last_insert_rowid()) ON CONFLICT DO UPDATE SET n = 1",
        "INSERT INTO good (id) SELECT id FROM good WHERE code < date('now') ON CONFLICT DO UPDATE SET n = 1 RETURNING n",
    ] {
        let error = inside(&xid, sqlx::query(sql).fetch_all(&world.pool)).await.map(|_| ()).expect_err(sql);
        let cause = AtError::from_sqlx(&error);
        assert!(
            matches!(cause, Some(AtError::Refused { reason: Refusal::Volatile(_), .. })),
            "{sql}: {error}"
        );
    }
    assert_eq!(world.dump().await, before);
    for sql in [
        "UPDATE good SET code = datetime('now') WHERE n = 1 RETURNING id",
        "INSERT INTO good VALUES (1, 2, CURRENT_TIMESTAMP) ON CONFLICT DO UPDATE SET n = 3 RETURNING id",
        "DELETE FROM good WHERE code < datetime('now') AND n < 0 RETURNING id",
        "INSERT INTO good (n) VALUES (last_insert_rowid())",
        "UPDATE good SET n = 9 WHERE date(code) IS NULL RETURNING n",
        "UPDATE good SET n = random() WHERE \"n\" <> 'random' RETURNING n",
    ] {
        inside(&xid, sqlx::query(sql).fetch_all(&world.pool)).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    world.coordinator.rollback(&xid).await;
    assert_eq!(world.dump().await, before);
}

/// Deeper than SQLite takes them, and than a stack could hold.
#[tokio::test]
async fn a_statement_of_any_length_is_answered() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    for operator in [" OR ", " + ", " || ", " = ", " AND NOT "] {
        for length in [300, 50_000] {
            let condition = vec!["n"; length].join(operator);
            for sql in [
                format!("UPDATE good SET n = 1 WHERE {condition}"),
                format!("UPDATE good SET n = {condition}"),
                format!("INSERT INTO good SELECT 1, {condition}"),
                format!("WITH x AS (SELECT {condition} AS n FROM good) SELECT * FROM x"),
            ] {
                let run = sqlx::query(AssertSqlSafe(sql)).execute(&world.pool);
                assert!(inside(&xid, run).await.is_err() || length <= 300, "{operator}");
            }
        }
    }
    let many = vec!["?"; 30_000].join(", ");
    let mut query =
        sqlx::query::<Sqlite>(AssertSqlSafe(format!("UPDATE good SET n = 7 WHERE id IN ({many})")));
    for id in 0..30_000 {
        query = query.bind(id);
    }
    // Hours, if each parameter is looked for from the start.
    let updated = tokio::time::timeout(Duration::from_secs(120), inside(&xid, query.execute(&world.pool)));
    assert_eq!(updated.await.expect("an answer").unwrap().rows_affected(), 1);
    let sums = vec!["(1, 1 + 1 + 1, NULL)"; 2_000].join(", ");
    let insert = format!("INSERT OR IGNORE INTO good VALUES {sums}");
    inside(&xid, sqlx::query(AssertSqlSafe(insert)).execute(&world.pool)).await.unwrap();
}

#[tokio::test]
async fn a_key_with_an_order_of_its_own_is_refused() {
    let world = World::new(SCHEMA).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(world.path())
        .collation("backwards", |a, b| b.cmp(a));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE own (k TEXT PRIMARY KEY COLLATE backwards, v)").execute(&pool).await.unwrap();
    let pool = AtPool::new(pool, world.client.clone()).await.unwrap();
    let xid = world.coordinator.begin();
    let error =
        inside(&xid, sqlx::query("INSERT INTO own VALUES ('a', 1)").execute(&pool)).await.unwrap_err();
    let cause = AtError::from_sqlx(&error);
    assert!(matches!(cause, Some(AtError::Refused { reason: Refusal::KeyCollation { .. }, .. })), "{error}");
}

#[tokio::test]
async fn foreign_keys_that_are_off_fire_nothing() {
    let world = World::new(SCHEMA).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path()).foreign_keys(false);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let pool = AtPool::new(pool, world.client.clone()).await.unwrap();
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query("DELETE FROM parent").execute(&pool)).await.unwrap();
    world.coordinator.rollback(&xid).await;
}

/// The structure is looked at anew when it changes, also by other connections.
#[tokio::test]
async fn a_changed_structure_is_seen_by_the_next_statement() {
    let world = World::new(SCHEMA).await;
    let update = "UPDATE good SET n = n + 1";
    let xid = world.coordinator.begin();
    inside(&xid, sqlx::query(update).execute(&world.pool)).await.unwrap();
    sqlx::raw_sql("ALTER TABLE good ADD COLUMN extra DEFAULT 'e'").execute(&world.raw).await.unwrap();
    inside(&xid, sqlx::query("DELETE FROM good").execute(&world.pool)).await.unwrap();
    world.coordinator.rollback(&xid).await;
    let row: (i64, String) = sqlx::query_as("SELECT n, extra FROM good").fetch_one(&world.raw).await.unwrap();
    assert_eq!(row, (1, "e".to_owned()));
    let trigger = "CREATE TRIGGER late AFTER UPDATE ON good BEGIN SELECT 1; END";
    sqlx::raw_sql(trigger).execute(&world.raw).await.unwrap();
    let error = inside(&xid, sqlx::query(update).execute(&world.pool)).await.unwrap_err();
    assert!(error.to_string().contains("the trigger late on good"), "{error}");
    sqlx::raw_sql("DROP TRIGGER late; CREATE TEMP TABLE good (id INTEGER PRIMARY KEY, n)")
        .execute(&world.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_temporary_table_shadows_and_is_refused() {
    let world = World::with(SCHEMA, 1, |builder| builder).await;
    sqlx::raw_sql("CREATE TEMP TABLE good (id INTEGER PRIMARY KEY, n)").execute(&world.pool).await.unwrap();
    let xid = world.coordinator.begin();
    let update = sqlx::query("UPDATE good SET n = 2").execute(&world.pool);
    let error = inside(&xid, update).await.unwrap_err();
    assert!(error.to_string().contains("temporary or attached"), "{error}");
    inside(&xid, sqlx::query("UPDATE main.good SET n = 2").execute(&world.pool)).await.unwrap();
}

#[tokio::test]
async fn a_private_database_is_refused_with_the_alternative() {
    let world = World::new("").await;
    for url in ["sqlite::memory:", "sqlite:", "sqlite://file?mode=memory&cache=shared"] {
        let Ok(pool) = SqlitePool::connect(url).await else { continue };
        let error = AtPool::<Sqlite>::new(pool, world.client.clone()).await.unwrap_err();
        assert!(matches!(error, AtOpenError::Private), "{url}: {error}");
        assert!(error.to_string().contains("use a file"), "{error}");
    }
}

#[tokio::test]
async fn an_undo_table_of_another_shape_is_refused() {
    let world = World::new("CREATE TABLE other (a)").await;
    let pool = SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(world.path()));
    let opened = AtPool::builder(pool.await.unwrap(), world.client.clone()).undo_table("other").open().await;
    assert!(matches!(opened, Err(AtOpenError::UndoTable { table, .. }) if table == "other"));
}

/// Ids travel to a remote coordinator in a list separated by commas.
#[tokio::test]
async fn a_resource_id_that_cannot_be_registered_is_refused() {
    let world = World::new("").await;
    for resource in ["", "jdbc:postgresql://a,b/shop"] {
        let builder = AtPool::builder(world.raw.clone(), world.client.clone()).resource_id(resource);
        let error = builder.open().await.unwrap_err();
        assert!(matches!(error, AtOpenError::InvalidResourceId { .. }), "{error}");
        assert!(error.to_string().contains(resource), "{error}");
    }
    let path = world.path().canonicalize().unwrap();
    assert_eq!(world.pool.resource_id().as_str(), format!("jdbc:sqlite:{}", path.display()));
}
