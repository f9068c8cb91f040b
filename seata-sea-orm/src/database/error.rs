//! AT mode's errors inside SeaORM's.

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use seata_sqlx::AtError;

/// The AT cause inside an error of SeaORM's API, if that is what it is: as [`AtError::from_sqlx`] for sqlx's.
///
/// ```
/// use sea_orm::DbErr;
/// use seata_sqlx::AtError;
///
/// fn may_be_tried_again(error: &DbErr) -> bool {
///     matches!(seata_sea_orm::at_error(error), Some(AtError::LockConflict { .. }))
/// }
/// # assert!(!may_be_tried_again(&DbErr::RecordNotInserted));
/// ```
pub fn at_error(error: &DbErr) -> Option<&AtError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => AtError::from_sqlx(error),
        _ => None,
    }
}

/// The failure of a statement that is executed.
pub(crate) fn exec(error: sqlx::Error) -> DbErr {
    acquire(error).unwrap_or_else(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
}

/// The failure of a statement whose rows are read, of a begin and of an end.
pub(crate) fn query(error: sqlx::Error) -> DbErr {
    acquire(error).unwrap_or_else(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
}

/// A misuse that is found before anything runs.
pub(crate) fn misuse(text: &str) -> DbErr {
    DbErr::Query(RuntimeErr::Internal(text.to_owned()))
}

/// SeaORM has variants of its own for a pool that gives no connection.
fn acquire(error: sqlx::Error) -> Result<DbErr, sqlx::Error> {
    match error {
        sqlx::Error::PoolTimedOut => Ok(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        sqlx::Error::PoolClosed => Ok(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_error_is_found_whatever_the_call_was() {
        for wrap in [exec, query] {
            let error = wrap(AtError::LeftGlobalLock.into());
            assert!(matches!(at_error(&error), Some(AtError::LeftGlobalLock)), "{error}");
            assert!(error.to_string().contains("#[global_lock]"), "{error}");
            assert_eq!(
                wrap(sqlx::Error::PoolTimedOut),
                DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
                "as SeaORM itself says it"
            );
        }
        assert!(at_error(&query(sqlx::Error::RowNotFound)).is_none());
        assert!(at_error(&misuse("used wrongly")).is_none());
    }
}
