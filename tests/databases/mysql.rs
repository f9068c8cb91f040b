//! MariaDB, which stands for all that speak MySQL.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use seata_tests::mariadb::MariaDb;
use sqlx::{AssertSqlSafe, Connection, Error, MySql, MySqlConnection, MySqlPool};

use crate::engine::{Engine, Place, Value, binding, through_sqlx};

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Engine for MySql {
    const NAME: &'static str = "mysql";
    const TEXT: &'static str = "VARCHAR(100)";
    const COUNTS: &'static str = "BIGINT PRIMARY KEY AUTO_INCREMENT";
    const LONG: &'static str = "SIGNED";

    fn database() -> BoxFuture<'static, Place> {
        Box::pin(async {
            let name = new_database().await;
            Place { url: MariaDb::shared().url(&name), _directory: None }
        })
    }

    fn near_database() -> BoxFuture<'static, Place> {
        Box::pin(async {
            let name = new_database().await;
            Place { url: MariaDb::shared().socket_url(&name), _directory: None }
        })
    }

    fn tables() -> &'static str {
        "SELECT CONCAT('`', REPLACE(table_name, '`', '``'), '`') FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND table_name <> 'undo_log' ORDER BY 1"
    }

    fn dump<'r>(raw: &'r MySqlPool, table: &'r str) -> BoxFuture<'r, String> {
        Box::pin(async move {
            // As text a FLOAT has fewer digits than it needs.
            let columns = format!(
                "SELECT GROUP_CONCAT(CONCAT('COALESCE(HEX(CAST(', IF(data_type = 'float', CONCAT('CAST(', quoted, \
                 ' AS DOUBLE)'), quoted), ' AS BINARY)), ''NULL'')') ORDER BY ordinal_position) FROM (SELECT \
                 data_type, ordinal_position, CONCAT('`', REPLACE(column_name, '`', '``'), '`') AS quoted FROM \
                 information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{}') AS c",
                // Of a table that it is given by name the server opens no other.
                table.trim_matches('`').replace("``", "`").replace('\'', "''")
            );
            let columns = Self::raw_texts(raw, &columns).await.expect("its columns");
            let columns = columns.into_iter().next().flatten().expect("it has columns");
            format!("SELECT CONCAT_WS(' | ', {columns}) FROM {table}")
        })
    }

    fn open_transactions() -> Option<&'static str> {
        Some(
            "SELECT CONCAT_WS(' ', p.id, p.command, p.time, t.trx_state, t.trx_started, t.trx_rows_locked, \
             t.trx_rows_modified, p.info) FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p \
             ON p.id = t.trx_mysql_thread_id WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()",
        )
    }

    fn begin_statement(level: &str) -> String {
        format!("SET TRANSACTION ISOLATION LEVEL {level}; START TRANSACTION")
    }

    through_sqlx!(MySql);
}

binding!(MySql);

async fn new_database() -> String {
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    create(&MariaDb::shared().url(""), &name).await;
    name
}

/// Makes an empty database on a server.
pub(crate) async fn create(server: &str, name: &str) {
    let mut connection = MySqlConnection::connect(server).await.expect("the server is there");
    let statement = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.expect("a new name");
    connection.close().await.expect("an end");
}

#[cfg(test)]
mod tests {
    use seata::at::{AtPool, undo_log::UndoTable};
    use sqlx::mysql::MySqlPoolOptions;

    use super::*;
    use crate::world::{Options, World, application};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_undo_table_of_no_database_is_an_error_that_says_so() {
        let pool = MySqlPoolOptions::new().connect_lazy(&MariaDb::shared().url("")).unwrap();
        let error = UndoTable::new(&pool).rows(&"127.0.0.1:8091:1".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("names no database: give one"), "{error}");
    }

    /// The count is taken from the answer, not from a statement that would tell of an image.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn how_many_rows_were_touched_is_told_by_the_driver_alone() {
        let schema = "CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1), (2, 2)";
        let world = World::<MySql>::new(schema).await;
        let work = async {
            let mut local = world.begin().await.unwrap();
            assert_eq!(MySql::local_execute(&mut local, "UPDATE t SET n = 9", &[]).await.unwrap(), 2);
            let refused = MySql::local_numbers(&mut local, "SELECT ROW_COUNT()").await.unwrap_err();
            assert!(refused.to_string().contains("`rows_affected()`"), "{refused}");
            MySql::commit(local).await.unwrap();
        };
        world.rolled_back(work).await;
        world.assert_clean("after all").await;
    }

    /// Phase two's connection is none of the pool's, and looks elsewhere.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_phases_use_one_undo_table_wherever_their_connections_look() {
        let seata = application().await;
        let (elsewhere, place) = (MySql::database().await, MySql::database().await);
        let used = format!("USE {}", place.url.rsplit('/').next().unwrap());
        let pool = MySqlPoolOptions::new().max_connections(2).after_connect(move |connection, _| {
            let used = used.clone();
            Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(used)).execute(connection).await.map(drop) })
        });
        let pool = pool.connect(&elsewhere.url).await.unwrap();
        let at = AtPool::builder(pool, &seata).resource_id("used").open().await.unwrap();
        // It makes the table of the same name in the other database.
        World::<MySql>::at_place(&seata, elsewhere, "", Options::default()).await;
        let schema = "CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1)";
        let world = World::<MySql>::at_place(&seata, place, schema, Options::default()).await;
        world.rolled_back(async { sqlx::query("UPDATE t SET n = 2").execute(&at).await.unwrap() }).await;
        assert_eq!(world.number("SELECT n FROM t").await, 1);
        world.committed(async { sqlx::query("UPDATE t SET n = 3").execute(&at).await.unwrap() }).await;
        world.assert_no_undo_log("after a commit").await;
    }
}
