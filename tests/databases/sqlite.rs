//! SQLite, in a file.

use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Error, Sqlite, SqlitePool};

use crate::engine::{Engine, Place, Value, binding, through_sqlx};

impl Engine for Sqlite {
    const NAME: &'static str = "sqlite";
    const TEXT: &'static str = "TEXT";
    const COUNTS: &'static str = "INTEGER PRIMARY KEY AUTOINCREMENT";

    fn database() -> BoxFuture<'static, Place> {
        Box::pin(async {
            let directory = tempfile::tempdir().expect("a directory");
            let url = format!("sqlite://{}?mode=rwc", directory.path().join("test.db").display());
            let pool = SqlitePool::connect(&url).await.expect("a file");
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await.expect("a journal");
            pool.close().await;
            Place { url, _directory: Some(directory) }
        })
    }

    fn tables() -> &'static str {
        r#"SELECT '"' || replace(name, '"', '""') || '"' FROM sqlite_schema
           WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'undo_log' ORDER BY 1"#
    }

    fn dump<'r>(raw: &'r SqlitePool, table: &'r str) -> BoxFuture<'r, String> {
        Box::pin(async move {
            let name = table.trim_matches('"').replace(r#""""#, r#"""#).replace('\'', "''");
            let columns = format!(
                r#"SELECT group_concat('CASE typeof("' || name || '") WHEN ''real'' THEN ''real '' || printf(''%!.20g'', "'
                   || name || '") ELSE typeof("' || name || '") || '' '' || hex("' || name || '") END',
                   ' || '' | '' || ') FROM pragma_table_xinfo('{name}')"#
            );
            let columns = Self::raw_texts(raw, &columns).await.expect("its columns");
            let columns = columns.into_iter().next().flatten().expect("it has columns");
            format!("SELECT {columns} FROM {table}")
        })
    }

    fn open_transactions() -> Option<&'static str> {
        None
    }

    fn begin_statement(_: &str) -> String {
        "BEGIN".to_owned()
    }

    through_sqlx!(Sqlite);
}

binding!(Sqlite);
