//! Why nothing is told of an undo log, or nothing decided.

use seata_protocol::{BranchId, Xid};
use sqlx::Error;

use crate::{sql::Flavor, undo::WriteError, undo_log::RowState};

/// Why nothing is told of a transaction's rows, or nothing decided about one of them. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoLogError {
    /// The database is not there, or does not let in.
    #[error("the database cannot be reached: {0}")]
    Connect(#[source] Error),
    /// The database has no such undo table.
    #[error(
        "the database has no table {table}: is it the right one, and is this the name of its undo table?"
    )]
    NoTable {
        /// The name that was looked for.
        table: String,
    },
    /// No branch of the transaction has an undo log here.
    #[error(
        "table {table} holds no undo log of {xid}: its branches in this database are finished, or it has none here"
    )]
    NoLog {
        /// The transaction.
        xid: Xid,
        /// The undo table.
        table: String,
    },
    /// There are only marks against a phase one that comes late.
    #[error("the branches of {xid} are rolled back in this database: table {table} holds only marks of it")]
    Finished {
        /// The transaction.
        xid: Xid,
        /// The undo table.
        table: String,
    },
    /// The undo log of a branch cannot be read, or does not fit its table.
    #[error("branch {branch}: {reason}")]
    Unusable {
        /// The branch.
        branch: BranchId,
        /// What is wrong.
        reason: String,
    },
    /// The rows of a table cannot be read as its images have them.
    #[error("table {table} cannot be compared with the undo log: {reason}")]
    Unreadable {
        /// The table.
        table: String,
        /// What is wrong.
        reason: String,
    },
    /// The transaction did not change this row.
    #[error("{xid} changed no row {key} of table {table}; it changed {}", listed(.changed))]
    UnknownRow {
        /// The transaction.
        xid: Xid,
        /// The table that was named.
        table: String,
        /// The key that was named.
        key: String,
        /// Table and key of each row that it did change.
        changed: Vec<(String, String)>,
    },
    /// Phase two undoes this row as it is, or has nothing to do.
    #[error("row {key} of table {table} is not dirty: it is {state}")]
    NotDirty {
        /// The table.
        table: String,
        /// The row's key.
        key: String,
        /// What it is.
        state: RowState,
    },
    /// The row is gone, and no image holds all of it.
    #[error(
        "row {key} of table {table} is gone and cannot come back: the undo log does not hold its {}; insert it as it \
         was before the transaction, or skip it",
        columns(.missing)
    )]
    Incomplete {
        /// The table.
        table: String,
        /// The row's key.
        key: String,
        /// The columns that no image holds.
        missing: Vec<String>,
    },
    /// The amended undo log cannot be written.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// The database refused a statement, or went away.
    #[error("{0}")]
    Database(#[from] Error),
}

/// Whether the database says that there is no such table.
pub(super) fn is_missing_table(flavor: Flavor, error: &Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match flavor {
        Flavor::MySql => error.code().as_deref() == Some("42S02"),
        Flavor::Postgres => error.code().as_deref() == Some("42P01"),
        Flavor::Sqlite => error.message().starts_with("no such table"),
    }
}

/// The first ones in words.
fn listed(rows: &[(String, String)]) -> String {
    /// More than these help nobody.
    const SHOWN: usize = 10;
    if rows.is_empty() {
        return "none here".to_owned();
    }
    let shown: Vec<String> =
        rows.iter().take(SHOWN).map(|(table, key)| format!("{key} of {table}")).collect();
    let more = match rows.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", shown.join("; "))
}

fn columns(names: &[String]) -> String {
    let word = if names.len() == 1 { "column" } else { "columns" };
    format!("{word} {}", names.join(", "))
}
