//! Isolation levels and the like, as the statement that begins a transaction.

use sea_orm::{AccessMode, DbBackend, DbErr, TransactionOptions};

/// What `TransactionTrait` has beside `begin_with_options`, for a module that has the names of its signatures.
macro_rules! through_options {
    () => {
        fn begin<'s, 'f>(&'s self) -> BoxFuture<'f, Result<AtDatabaseTransaction, DbErr>>
        where
            's: 'f,
            Self: 'f,
        {
            self.begin_with_options(TransactionOptions::default())
        }

        fn begin_with_config<'s, 'f>(
            &'s self,
            isolation_level: Option<IsolationLevel>,
            access_mode: Option<AccessMode>,
        ) -> BoxFuture<'f, Result<AtDatabaseTransaction, DbErr>>
        where
            's: 'f,
            Self: 'f,
        {
            self.begin_with_options(TransactionOptions { isolation_level, access_mode, ..Default::default() })
        }

        fn transaction<'s, 'f, F, T, E>(&'s self, run: F) -> BoxFuture<'f, Result<T, TransactionError<E>>>
        where
            F: for<'c> FnOnce(&'c AtDatabaseTransaction) -> BoxFuture<'c, Result<T, E>> + Send + 'f,
            T: Send + 'f,
            E: fmt::Display + fmt::Debug + Send + 'f,
            's: 'f,
            Self: 'f,
        {
            self.transaction_with_config(run, None, None)
        }

        fn transaction_with_config<'s, 'f, F, T, E>(
            &'s self,
            run: F,
            isolation_level: Option<IsolationLevel>,
            access_mode: Option<AccessMode>,
        ) -> BoxFuture<'f, Result<T, TransactionError<E>>>
        where
            F: for<'c> FnOnce(&'c AtDatabaseTransaction) -> BoxFuture<'c, Result<T, E>> + Send + 'f,
            T: Send + 'f,
            E: fmt::Display + fmt::Debug + Send + 'f,
            's: 'f,
            Self: 'f,
        {
            let begun = self.begin_with_config(isolation_level, access_mode);
            Box::pin(async move { begun.await.map_err(TransactionError::Connection)?.run(run).await })
        }
    };
}

pub(crate) use through_options;

/// The statement to begin with, if it is not the usual one.
///
/// # Errors
/// [`DbErr::BackendNotSupported`] names what the database does not have.
pub(crate) fn begin_statement(
    backend: DbBackend,
    options: &TransactionOptions,
) -> Result<Option<String>, DbErr> {
    match backend {
        DbBackend::Sqlite => sqlite(options),
        _ if options.sqlite_transaction_mode.is_some() => {
            Err(refused(backend, "DEFERRED, IMMEDIATE and EXCLUSIVE transactions, which are SQLite's"))
        }
        DbBackend::MySql => Ok(mysql(options)),
        // PostgreSQL, whose words are the standard's.
        _ => Ok(standard(options)),
    }
}

/// The same for a savepoint, which has what its transaction has.
pub(crate) fn check_savepoint(backend: DbBackend, options: &TransactionOptions) -> Result<(), DbErr> {
    match begin_statement(backend, options)? {
        None => Ok(()),
        Some(_) => Err(refused(backend, "options for a transaction within another, which is a savepoint")),
    }
}

/// Every isolation level is met, since transactions are serializable.
fn sqlite(options: &TransactionOptions) -> Result<Option<String>, DbErr> {
    if options.access_mode == Some(AccessMode::ReadOnly) {
        return Err(refused(DbBackend::Sqlite, "READ ONLY transactions"));
    }
    Ok(options.sqlite_transaction_mode.map(|mode| format!("BEGIN {}", mode.sqlite_keyword())))
}

/// The level is set before the transaction begins, and holds for that one alone.
fn mysql(options: &TransactionOptions) -> Option<String> {
    let level = options.isolation_level.map(|level| format!("SET TRANSACTION ISOLATION LEVEL {level}; "));
    let mode = options.access_mode.map(|mode| format!(" {mode}"));
    let is_usual = level.is_none() && mode.is_none();
    let (level, mode) = (level.unwrap_or_default(), mode.unwrap_or_default());
    (!is_usual).then(|| format!("{level}START TRANSACTION{mode}"))
}

fn standard(options: &TransactionOptions) -> Option<String> {
    let level = options.isolation_level.map(|level| format!(" ISOLATION LEVEL {level}"));
    let mode = options.access_mode.map(|mode| format!(" {mode}"));
    let is_usual = level.is_none() && mode.is_none();
    (!is_usual).then(|| format!("BEGIN{}{}", level.unwrap_or_default(), mode.unwrap_or_default()))
}

fn refused(backend: DbBackend, what: &'static str) -> DbErr {
    DbErr::BackendNotSupported { db: backend.as_str(), ctx: what }
}

#[cfg(test)]
mod tests {
    use sea_orm::{IsolationLevel, SqliteTransactionMode};

    use super::*;

    const NONE: TransactionOptions =
        TransactionOptions { isolation_level: None, access_mode: None, sqlite_transaction_mode: None };
    const SERIALIZABLE: TransactionOptions =
        TransactionOptions { isolation_level: Some(IsolationLevel::Serializable), ..NONE };
    const READ_ONLY: TransactionOptions =
        TransactionOptions { access_mode: Some(AccessMode::ReadOnly), ..NONE };
    const BOTH: TransactionOptions =
        TransactionOptions { isolation_level: Some(IsolationLevel::ReadCommitted), ..READ_ONLY };
    const EXCLUSIVE: TransactionOptions =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Exclusive), ..NONE };

    #[test]
    fn each_option_is_part_of_the_statement_or_refused_by_name() {
        use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};
        let set_level = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION";
        let set_both = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION READ ONLY";
        for (backend, options, expected) in [
            (Sqlite, NONE, Ok(None)),
            (Sqlite, SERIALIZABLE, Ok(None)),
            (Sqlite, READ_ONLY, Err("READ ONLY")),
            (Sqlite, EXCLUSIVE, Ok(Some("BEGIN EXCLUSIVE"))),
            (MySql, NONE, Ok(None)),
            (MySql, SERIALIZABLE, Ok(Some(set_level))),
            (MySql, READ_ONLY, Ok(Some("START TRANSACTION READ ONLY"))),
            (MySql, BOTH, Ok(Some(set_both))),
            (MySql, EXCLUSIVE, Err("which are SQLite's")),
            (Postgres, NONE, Ok(None)),
            (Postgres, SERIALIZABLE, Ok(Some("BEGIN ISOLATION LEVEL SERIALIZABLE"))),
            (Postgres, BOTH, Ok(Some("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"))),
            (Postgres, EXCLUSIVE, Err("which are SQLite's")),
        ] {
            match (begin_statement(backend, &options), expected) {
                (Ok(statement), Ok(expected)) => assert_eq!(statement.as_deref(), expected, "{options:?}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, expected) => panic!("{backend:?} {options:?}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_savepoint_has_what_its_transaction_has() {
        assert_eq!(check_savepoint(DbBackend::Postgres, &NONE), Ok(()));
        assert_eq!(check_savepoint(DbBackend::Sqlite, &SERIALIZABLE), Ok(()));
        for (backend, options) in [(DbBackend::Postgres, SERIALIZABLE), (DbBackend::Sqlite, EXCLUSIVE)] {
            let error = check_savepoint(backend, &options).expect_err("no option of a savepoint");
            assert!(error.to_string().contains("which is a savepoint"), "{error}");
        }
    }
}
