//! A database on a throw-away server that Rust has in AT mode, and Java as well, under the same name of a resource.

use std::time::Duration;

use seata::{
    RootContext, Seata, Xid,
    at::{
        AtMySqlPool, AtPgPool, AtPool,
        undo::Zone,
        undo_log::{ChangedRow, UndoTable},
    },
};
use seata_tests::{java::Peer, mariadb::MariaDb, postgres::Postgres, wait};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

const MARIADB_TABLES: &str = "SELECT CONCAT('`', table_name, '`') FROM information_schema.tables
    WHERE table_schema = database() AND table_name <> 'undo_log' ORDER BY 1";
const POSTGRESQL_TABLES: &str =
    "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND c.relname <> 'undo_log' ORDER BY 1";

/// Which server a database is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MariaDb,
    PostgreSql,
}

/// The database of one test.
pub(crate) struct Database {
    pub(crate) kind: Kind,
    /// Its name on its server, and with the peer.
    pub(crate) name: String,
    pools: Pools,
}

/// As transactions of Rust use it, and past AT mode.
enum Pools {
    MariaDb(AtMySqlPool, MySqlPool),
    PostgreSql(AtPgPool, PgPool),
}

/// sqlx's executors are not generic over the database.
macro_rules! on_pools {
    ($database:expr, |$at:pat_param, $raw:pat_param| $body:expr) => {
        match &$database.pools {
            Pools::MariaDb($at, $raw) => $body,
            Pools::PostgreSql($at, $raw) => $body,
        }
    };
}

/// How Rust has a database.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Of its undo logs.
    pub(crate) zone: Zone,
    /// How often it tries to lock a row, every 10 ms.
    pub(crate) lock_tries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { zone: Zone::system(), lock_tries: 30 }
    }
}

impl Kind {
    /// Makes a database with these tables. The undo table comes with the first that opens it.
    pub(crate) fn create(self, name: &str, tables: &str) {
        match self {
            Self::MariaDb => MariaDb::shared().create(name, tables),
            Self::PostgreSql => Postgres::shared().create(name, tables),
        }
    }

    /// How Java reaches it, in a session whose times of day are those of the driver.
    fn jdbc(self, name: &str) -> String {
        match self {
            Self::MariaDb => {
                let url = MariaDb::shared().jdbc(name);
                format!("{url}&connectionTimeZone=%2B00:00&forceConnectionTimeZoneToSession=true")
            }
            Self::PostgreSql => Postgres::shared().jdbc(name),
        }
    }
}

impl Database {
    /// A database that exists, for this application.
    pub(crate) async fn open(kind: Kind, name: &str, seata: &Seata, options: &Options) -> Self {
        let pools = match kind {
            Kind::MariaDb => {
                let raw = MySqlPool::connect(&MariaDb::shared().url(name)).await.unwrap();
                let at = AtPool::builder(raw.clone(), seata)
                    .time_zone(options.zone.clone())
                    .lock_retry(Duration::from_millis(10), options.lock_tries);
                Pools::MariaDb(at.open().await.unwrap(), raw)
            }
            Kind::PostgreSql => {
                let raw = PgPool::connect(&Postgres::shared().url(name)).await.unwrap();
                let at = AtPool::builder(raw.clone(), seata)
                    .time_zone(options.zone.clone())
                    .lock_retry(Duration::from_millis(10), options.lock_tries);
                Pools::PostgreSql(at.open().await.unwrap(), raw)
            }
        };
        Self { kind, name: name.to_owned(), pools }
    }

    /// Has a peer open it as well, under the name that Java makes of its address.
    pub(crate) async fn open_in_java(&self, peer: &Peer) {
        peer.open_database(&self.name, &self.kind.jdbc(&self.name)).await.unwrap();
    }

    /// The name of the resource: the one that Java makes of the address too.
    pub(crate) fn resource(&self) -> String {
        on_pools!(self, |at, _| at.resource_id().to_string())
    }

    /// Runs statements as one branch of this transaction.
    pub(crate) async fn run_in(
        &self,
        seata: &Seata,
        xid: &str,
        statements: &[impl AsRef<str> + Sync],
    ) -> sqlx::Result<()> {
        let run = async {
            RootContext::bind(xid.parse().expect("an XID")).expect("a scope");
            self.run(statements).await
        };
        seata.scope(run).await
    }

    /// Runs statements as one branch of the caller's transaction.
    pub(crate) async fn run(&self, statements: &[impl AsRef<str> + Sync]) -> sqlx::Result<()> {
        on_pools!(self, |at, _| {
            let mut local = at.begin().await?;
            for statement in statements {
                let statement = AssertSqlSafe(statement.as_ref());
                sqlx::query(statement).execute(&mut *local).await?;
            }
            local.commit().await
        })
    }

    /// Runs a statement by itself, which is a branch of the caller's transaction.
    pub(crate) async fn execute(&self, statement: &str) -> sqlx::Result<()> {
        on_pools!(self, |at, _| sqlx::query(AssertSqlSafe(statement)).execute(at).await.map(drop))
    }

    /// What a person sees of a transaction, row by row.
    pub(crate) async fn changed_rows(&self, xid: &Xid) -> Vec<ChangedRow> {
        on_pools!(self, |at, _| UndoTable::from(at).rows(xid).await).unwrap()
    }

    /// Has a person decide that phase two shall make this row what it was.
    pub(crate) async fn force(&self, xid: &Xid, table: &str, key: &str) {
        let forced = on_pools!(self, |at, _| UndoTable::from(at).force(xid, table, key).await);
        forced.unwrap_or_else(|error| panic!("{key} of {table}: {error}"));
    }

    /// Has a person decide that phase two shall leave this row as it is.
    pub(crate) async fn skip(&self, xid: &Xid, table: &str, key: &str) {
        let skipped = on_pools!(self, |at, _| UndoTable::from(at).skip(xid, table, key).await);
        skipped.unwrap_or_else(|error| panic!("{key} of {table}: {error}"));
    }

    /// A column of texts, past AT mode.
    pub(crate) async fn texts(&self, query: &str) -> Vec<String> {
        let texts = on_pools!(self, |_, raw| sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(raw).await);
        texts.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// A number, past AT mode.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let number = on_pools!(self, |_, raw| sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(raw).await);
        number.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Every row of every table, byte for byte; undo logs left out.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let tables = match self.kind {
            Kind::MariaDb => MARIADB_TABLES,
            Kind::PostgreSql => POSTGRESQL_TABLES,
        };
        let mut dump = Vec::new();
        for table in self.texts(tables).await {
            let rows = match self.kind {
                Kind::MariaDb => format!("SELECT {} FROM {table}", self.bytes_of_columns(&table).await),
                Kind::PostgreSql => format!("SELECT CAST(whole_row AS TEXT) FROM {table} whole_row"),
            };
            dump.extend(self.texts(&rows).await.into_iter().map(|row| format!("{table}: {row}")));
        }
        dump.sort();
        dump
    }

    /// The bytes of all columns of a table of MariaDB, in one text.
    async fn bytes_of_columns(&self, table: &str) -> String {
        let query = format!(
            "SELECT CONCAT('IFNULL(HEX(CAST(`', column_name, '` AS BINARY)), ''NULL'')') FROM information_schema.columns
             WHERE table_schema = database() AND table_name = '{}' ORDER BY ordinal_position",
            table.trim_matches('`')
        );
        format!("CONCAT_WS(' ', {})", self.texts(&query).await.join(", "))
    }

    /// Waits until all branches are final or undone.
    pub(crate) async fn settle(&self) {
        wait::until("the end of all branches", || async {
            match self.number("SELECT COUNT(*) FROM undo_log WHERE log_status = 0").await {
                0 => Ok(()),
                unfinished => Err(format!("{unfinished} undo rows are left in {}", self.name)),
            }
        })
        .await;
    }

    /// Fails if one of these rows is locked globally.
    pub(crate) async fn assert_free(&self, peer: &Peer, keys: &str) {
        let xid = peer.begin("looks").await.unwrap();
        let is_free = peer.is_lockable(&xid, &self.resource(), keys).await.unwrap();
        assert_eq!(peer.rollback(&xid).await.unwrap(), "Rollbacked");
        assert!(is_free, "one of {keys} in {} is still locked", self.name);
    }
}
