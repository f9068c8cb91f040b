//! What an error of the server has left of the transaction.

use sqlx::{Error, mysql::MySqlDatabaseError};

/// The server's number of an error.
pub(super) fn number(error: &Error) -> Option<u16> {
    server_error(error).map(MySqlDatabaseError::number)
}

/// Whether the statement was taken back alone. In doubt it was not: after a deadlock the whole transaction is, after
/// a lock wait if the server is set so (`innodb_rollback_on_timeout`), and what runs next would stand outside of any.
pub(super) fn keeps_transaction(error: &Error) -> bool {
    /// No default, a value that does not fit, a violated check or partition, a generated column, NOWAIT, SIGNAL.
    const ALONE: [u16; 12] = [1364, 1366, 1265, 1411, 1526, 1369, 1467, 1644, 1906, 3105, 3572, 3819];
    let Some(error) = server_error(error) else { return false };
    let state = error.code().unwrap_or_default();
    // Cardinality, data, integrity, syntax and access.
    let is_of_the_statement = ["21", "22", "23", "42"].iter().any(|class| state.starts_with(class));
    is_of_the_statement || ALONE.contains(&error.number())
}

/// Whether a table is not what its structure was thought to be.
pub(super) fn tells_of_alteration(error: &Error) -> bool {
    /// Unknown column or table, fewer values than columns, a column that is generated, another definition than before.
    const ALTERED: [u16; 6] = [1054, 1146, 1136, 1906, 3105, 1412];
    matches!(error, Error::ColumnDecode { .. })
        || number(error).is_some_and(|number| ALTERED.contains(&number))
}

/// The right to do so to a table or a column.
pub(super) fn lacks_right(error: &Error) -> bool {
    number(error).is_some_and(|number| matches!(number, 1142 | 1143))
}

fn server_error(error: &Error) -> Option<&MySqlDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}
