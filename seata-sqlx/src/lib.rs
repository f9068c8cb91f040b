//! AT mode on sqlx: the data source whose changes a global transaction commits or undoes.
//!
//! An [`AtPool`] takes the place of a [`sqlx::Pool`]; the SQL stays as it is. Inside a global transaction
//! each change is wrapped in two images of its rows; they are written, as an undo log, in the same
//! local transaction as the change itself, and the rows are locked with the coordinator before
//! that commits. A rollback reads the undo log and puts the rows back.
//!
//! ```
//! use seata_sqlx::AtPool;
//! use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
//!
//! # async fn connect(client: seata_context::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let options = SqliteConnectOptions::new().filename("stock.db").create_if_missing(true);
//! let pool = AtPool::new(SqlitePool::connect_with(options).await?, client).await?;
//!
//! // A statement by itself is a branch of its own …
//! sqlx::query("UPDATE stock SET n = n - 1 WHERE id = ?").bind(7).execute(&pool).await?;
//!
//! // … and a local transaction is one branch.
//! let mut tx = pool.begin().await?;
//! sqlx::query("INSERT INTO sale (stock) VALUES (?)").bind(7).execute(&mut *tx).await?;
//! sqlx::query("UPDATE stock SET sold = sold + 1 WHERE id = ?").bind(7).execute(&mut *tx).await?;
//! tx.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is undone
//! | statement | inside a global transaction |
//! |---|---|
//! | `INSERT` of one row or many, `… SELECT`, `SET`, `DEFAULT`, `IGNORE`, `ON CONFLICT`, `ON DUPLICATE KEY UPDATE` | undone |
//! | `UPDATE`, `DELETE`, with alias, sub-queries, `WITH`, joins of one changed table, `ORDER BY` and `LIMIT` | undone |
//! | `RETURNING` of any of them | undone |
//! | `SELECT … FOR UPDATE`, `FOR SHARE` and their kin, of one table | waits for its row locks |
//! | `SELECT`, `VALUES`, `EXPLAIN`, `SHOW`, `WITH … SELECT`, settings that take only time or memory | passed on |
//! | [`pool.global_committed()`](AtPool::global_committed) | a `SELECT` that sees no undecided row |
//! | `REPLACE`, `MERGE`, changes of a key, of several tables or inside `WITH`, stored procedures, `COPY`, `LOAD DATA` | refused |
//! | DDL, other settings, `BEGIN` and its like, several statements in one call | refused |
//! | tables without a declared key, views, temporary tables | refused |
//! | a change that fires a trigger or a referential action (`CASCADE`, `SET NULL`, `SET DEFAULT`), or whose undo would | refused |
//!
//! `docs/sql.md` of the repository has a table for each database, and [`check`] says it of a statement without one.
//!
//! Refused means an [`AtError::Refused`] that quotes the statement and names a way out, before anything has run. A
//! statement that picks other rows each time it runs (`random()` in `WHERE`) is seen by its images and rolled back.
//!
//! Outside a global transaction everything passes, but see [`Outside`].
//!
//! # Which transaction
//! The context is read when the executor is called. `Query::execute` and `Query::fetch_one` of sqlx call it
//! when they are polled first, `fetch` and [`AtPool::begin`] at once.
//!
//! # Waiting
//! A row that another global transaction holds is waited for as the [builder](AtPoolBuilder::lock_retry) says, and
//! neither the file nor a connection of the pool is held meanwhile: a statement by itself is rolled
//! back, and run anew with new images. A local transaction cannot be run anew from here. In SQLite, where it keeps
//! everybody out, it gets the conflict at once; elsewhere it waits as it is, with its connection and the rows that it has
//! changed, unless the other one is being rolled back and may be waiting for them.
//!
//! # Cancellation
//! Every future here may be dropped at any time. Up to COMMIT the connection is closed and the
//! database rolls back; from then on the branch is registered and its undo log decides in phase two.
//!
//! # Rolling back
//! A branch is undone after every newer one of its transaction in the same database, whatever the order in which the
//! coordinator asks, in one local transaction. A row that is neither as a branch left it nor as it found it
//! (*dirty*) leaves all of them as they are, unless [`on_dirty_row`](AtPoolBuilder::on_dirty_row) decides otherwise;
//! the answer names the row, and the branch if it is another. A person may decide [afterwards](undo_log).
//!
//! # The undo table
//! `undo_log` is created when it is missing, with the columns that Java Seata has, and holds the
//! documents that Java's jackson serializer writes ([`undo`]). In SQLite they carry a storage class as a JDBC type:
//! INTEGER −5, REAL 8, TEXT 12 (bytes, if they are no UTF-8), BLOB −4, NULL 0.
//!
//! Logs of more than [64 KiB](AtPoolBuilder::compress_undo_logs_above) are compressed as zip, and go into several rows
//! where the database takes [less at once](AtPoolBuilder::max_packet). Logs by Java are read in all these forms, with the
//! feature `compressors` by every compressor of Java's; those by its serializers fastjson, kryo and protostuff, and by
//! seata-go, are not, and the answer names them.
#![forbid(unsafe_code)]
// What only some of the databases need is not used without them; with all three it is.
#![cfg_attr(
    not(all(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code, unused_imports, unused_macros)
)]

mod branch;
mod caller;
mod change;
mod committed;
mod connection;
mod data_source;
mod dialect;
mod error;
mod executor;
mod image;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod key_order;
#[cfg(feature = "mysql")]
mod mysql;
mod phase_two;
#[cfg(feature = "postgres")]
mod postgres;
mod session;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod structure;
mod transaction;
mod trial;
pub mod undo;
pub mod undo_log;

pub use committed::GlobalCommitted;
pub use connection::AtConnection;
pub use data_source::{AtPool, AtPoolBuilder, Outside};
pub use dialect::Dialect;
pub use error::{AtError, AtOpenError};
pub use phase_two::{DirtyChoice, DirtyRow};
pub use sql::{Checked, Flavor, NotSeparable, Outcome, Refusal, check, statements};
pub use transaction::{AtTransaction, Depth};

/// A data source on PostgreSQL, as [`sqlx::PgPool`] is the pool.
#[cfg(feature = "postgres")]
pub type AtPgPool = AtPool<sqlx::Postgres>;

/// A data source on SQLite, as [`sqlx::SqlitePool`] is the pool.
#[cfg(feature = "sqlite")]
pub type AtSqlitePool = AtPool<sqlx::Sqlite>;

/// A data source on MySQL or MariaDB, as [`sqlx::MySqlPool`] is the pool.
#[cfg(feature = "mysql")]
pub type AtMySqlPool = AtPool<sqlx::MySql>;
