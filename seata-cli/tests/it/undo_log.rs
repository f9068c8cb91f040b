//! `seata undo-log`.

use seata_sqlx::undo::{self, BranchUndoLog, Field, Row, SqlType, SqlUndoLog, TableRecords, Value, Writing};
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{Run, run, seata};

const XID: &str = "127.0.0.1:8091:5839201";

/// A database in which a transaction changed `n` of rows 1 to 3, of which others have changed row 2 and deleted row 3.
struct Database {
    directory: TempDir,
    pool: SqlitePool,
}

impl Database {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = SqliteConnectOptions::new().filename(directory.path().join("stock.db"));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.expect("a database");
        let database = Self { directory, pool };
        for statement in undo::table(seata_sqlx::Flavor::Sqlite, "undo_log") {
            database.execute(&statement).await;
        }
        database.execute("CREATE TABLE stock (id INTEGER PRIMARY KEY, n INTEGER, name TEXT)").await;
        database.execute("INSERT INTO stock VALUES (1, 11, 'tea'), (2, 99, 'x')").await;
        let log = BranchUndoLog {
            xid: XID.into(),
            branch_id: 7,
            sql_undo_logs: vec![SqlUndoLog {
                sql_type: SqlType::Update,
                table_name: "stock".into(),
                before_image: Some(image(&[(1, 10), (2, 20), (3, 30)])),
                after_image: Some(image(&[(1, 11), (2, 21), (3, 31)])),
            }],
        };
        for row in undo::write(&log, &Writing::default()).expect("a short log") {
            let sql =
                "INSERT INTO undo_log VALUES (?, ?, ?, ?, 0, '2024-05-06 07:08:09', '2024-05-06 07:08:09')";
            let insert = sqlx::query(sql).bind(row.branch_id).bind(XID).bind(row.context).bind(row.content);
            insert.execute(&database.pool).await.expect("an undo row");
        }
        database
    }

    async fn execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await.expect("done");
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.directory.path().join("stock.db").display())
    }

    async fn undo_log(&self, arguments: &[&str]) -> Run {
        let mut command = seata(&[&["undo-log"], arguments].concat());
        command.env("SEATA_DATABASE", self.url());
        run(command).await
    }

    /// How many rows are in both images.
    async fn images(&self) -> Vec<(usize, usize)> {
        let content = sqlx::query_scalar("SELECT rollback_info FROM undo_log").fetch_one(&self.pool).await;
        let content: Vec<u8> = content.expect("an undo row");
        let count = |image: Option<TableRecords>| image.map_or(0, |image| image.rows.len());
        let log = undo::decode(&content).expect("an undo log");
        log.sql_undo_logs.into_iter().map(|it| (count(it.before_image), count(it.after_image))).collect()
    }
}

/// What to do when each row is decided.
fn then() -> String {
    format!(
        "then: seata tx retry {XID}\n(where the coordinator is embedded, `Coordinator::retry` in the program that embeds it)\n"
    )
}

fn image(rows: &[(i64, i64)]) -> TableRecords {
    let field = |name: &str, is_key, value| Field {
        name: name.into(),
        is_key,
        jdbc_type: -5,
        value: Value::Long(value),
        exact: None,
    };
    let row = |(id, n): &(i64, i64)| Row { fields: vec![field("id", true, *id), field("n", false, *n)] };
    TableRecords { table_name: "stock".into(), rows: rows.iter().map(row).collect() }
}

#[tokio::test]
async fn rows_are_shown_with_what_a_rollback_would_find() {
    let database = Database::new().await;
    let shown = database.undo_log(&["show", XID]).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(1), ""), "{}", shown.out);
    let expected = "\
BRANCH  TABLE  KEY   NOW
7       stock  id=1  as the transaction left it
7       stock  id=2  dirty
7       stock  id=3  gone

branch 7, row id=2 of stock: dirty
  COLUMN  BEFORE  AFTER  NOW
  n       20      21     99

branch 7, row id=3 of stock: gone
  COLUMN  BEFORE  AFTER  NOW
";
    assert!(shown.out.starts_with(expected), "{}", shown.out);
    assert!(shown.out.contains("n       30      31     no row"), "{}", shown.out);
    assert!(shown.out.ends_with(&then()), "{}", shown.out);

    let json = database.undo_log(&["show", XID, "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&json["xid"], &json["rows"][1]["dirty"]), (&XID.into(), &true.into()), "{json}");
    assert_eq!(json["rows"][1]["before"]["n"], "20");
    assert_eq!(json["rows"][1]["current"]["n"], "99");
    assert_eq!(
        (&json["rows"][2]["state"], &json["rows"][2]["current"]),
        (&"gone".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn each_row_is_decided_for_itself() {
    let database = Database::new().await;
    let forced = database.undo_log(&["force", XID, "--table", "stock", "--key", "id=2"]).await;
    assert_eq!((forced.code, forced.err.as_str()), (Some(0), ""));
    assert!(forced.out.starts_with("row id=2 of stock becomes what it was"), "{}", forced.out);
    assert!(forced.out.ends_with(&then()), "{}", forced.out);
    let skipped = database.undo_log(&["skip", XID, "--table", "stock", "--key", "id=3", "--json"]).await;
    assert_eq!(skipped.code, Some(0), "{}", skipped.err);
    let json: serde_json::Value = serde_json::from_str(&skipped.out).expect("JSON");
    assert_eq!((&json["decision"], &json["rows"][0]["branch"]), (&"skip".into(), &"7".into()), "{json}");
    assert_eq!(database.images().await, [(2, 2)]);

    let shown = database.undo_log(&["show", XID]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.out);
    assert_eq!(shown.out.matches("as the transaction left it").count(), 2, "{}", shown.out);
    let n: i64 = sqlx::query_scalar("SELECT n FROM stock WHERE id = 2")
        .fetch_one(&database.pool)
        .await
        .expect("a row");
    assert_eq!(n, 99, "the rollback has still to come");
}

#[tokio::test]
async fn what_cannot_be_decided_is_said_with_code_1_and_changes_nothing() {
    let database = Database::new().await;
    for (arguments, told) in [
        (
            ["force", XID, "--table", "stock", "--key", "id=3"],
            "cannot come back: the undo log does not hold its column name",
        ),
        (
            ["force", XID, "--table", "stock", "--key", "id=1"],
            "is not dirty: it is as the transaction left it",
        ),
        (
            ["skip", XID, "--table", "stock", "--key", "id=4"],
            "it changed id=1 of stock; id=2 of stock; id=3 of stock",
        ),
        (["skip", XID, "--table", "sale", "--key", "id=2"], "changed no row id=2 of table sale"),
        (
            ["skip", "127.0.0.1:8091:1", "--table", "stock", "--key", "id=2"],
            "holds no undo log of 127.0.0.1:8091:1",
        ),
    ] {
        let refused = database.undo_log(&arguments).await;
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(refused.err.starts_with("error: ") && refused.err.contains(told), "{}", refused.err);
    }
    let elsewhere = database.undo_log(&["show", XID, "--undo-table", "undo"]).await;
    assert_eq!(elsewhere.code, Some(1));
    assert!(elsewhere.err.contains("no table undo"), "{}", elsewhere.err);
    assert_eq!(database.images().await, [(3, 3)]);
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_said() {
    for (url, code, told) in [
        ("jdbc:mysql://127.0.0.1/stock", 2, "without jdbc:"),
        ("oracle://127.0.0.1/stock", 2, "mysql://, postgres:// and sqlite:"),
        ("mysql://127.0.0.1:port/stock", 2, "--database cannot be used"),
        ("sqlite:/nowhere/at/all.db", 1, "the database cannot be reached"),
        ("mysql://127.0.0.1:1/stock", 1, "the database cannot be reached"),
        ("postgres://127.0.0.1:1/stock", 1, "the database cannot be reached"),
    ] {
        let refused = run(seata(&["undo-log", "show", XID, "--database", url])).await;
        assert_eq!((refused.code, refused.out.as_str()), (Some(code), ""), "{url}: {}", refused.err);
        assert!(refused.err.contains(told), "{url}: {}", refused.err);
    }
    for arguments in
        [&["undo-log", "show", XID][..], &["undo-log", "show", "no-xid", "--database", "sqlite:x"]]
    {
        assert_eq!(run(seata(arguments)).await.code, Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_undo_table_is_told_for_each_database() {
    for (dialect, told) in [
        ("mysql", "rollback_info LONGBLOB"),
        ("postgres", "rollback_info BYTEA"),
        ("sqlite", "WITHOUT ROWID;"),
    ] {
        let printed = run(seata(&["undo-log", "ddl", dialect, "--table", "undo of mine"])).await;
        assert_eq!(printed.code, Some(0), "{}", printed.err);
        assert!(printed.out.contains(told) && printed.out.contains("undo of mine"), "{}", printed.out);
        assert!(printed.out.trim_end().lines().all(|line| line.ends_with(';')), "{}", printed.out);
    }
}
