//! Whether an undo table will do, found out before anything hangs on it.

use std::hash::{BuildHasher, RandomState};

use seata_protocol::Xid;
use sqlx::{Error, Pool};

use crate::{
    branch::{self, UNFINISHED, is_unique_violation},
    dialect::{Argument, Call, Dialect, execute, rows},
    error::AtOpenError,
    session::Session,
    undo::UndoRow,
};

/// No coordinator counts so far.
const BRANCH: i64 = i64::MAX;

/// Finds the undo table, or makes it. Whoever may not make tables finds the one that somebody else has made.
pub(crate) async fn find_or_make<DB: Dialect>(
    connection: &mut DB::Connection,
    table: &str,
) -> Result<(), AtOpenError> {
    let look = format!(
        "SELECT branch_id, xid, context, rollback_info, log_status, log_created, log_modified FROM {} WHERE 1 = 0 \
         ORDER BY {}",
        DB::quote(table),
        DB::NEWEST_UNDO_FIRST
    );
    let unusable = |source| AtOpenError::UndoTable { table: table.to_owned(), source };
    match execute::<DB>(connection, Call::text(look.as_str())).await {
        Ok(_) => return Ok(()),
        Err(error) if !is_missing(&error) => return Err(unusable(error)),
        Err(_) => {}
    }
    for statement in DB::undo_table(table) {
        if let Err(source) = execute::<DB>(connection, Call::text(statement)).await {
            let (table, dialect) = (table.to_owned(), DB::FLAVOR);
            return Err(AtOpenError::NoUndoTable { table, dialect, source });
        }
    }
    execute::<DB>(connection, Call::text(look)).await.map(drop).map_err(unusable)
}

fn is_missing(error: &Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    matches!(error.code().as_deref(), Some("42S02" | "42P01")) || error.message().starts_with("no such table")
}

/// Adds a row and deletes it, adds it twice, and takes all back: rights, columns, the unique key and transactions. `table`
/// is what statements call it.
pub(crate) async fn try_out<DB: Dialect>(
    pool: &Pool<DB>,
    name: &str,
    table: &str,
) -> Result<(), AtOpenError> {
    let unusable = |source| AtOpenError::UndoTable { table: name.to_owned(), source };
    let unfit = |reason| AtOpenError::UnfitUndoTable { table: name.to_owned(), reason };
    // One of its own for each that opens the data source just now.
    let chance = RandomState::new().hash_one(name);
    let xid: Xid = format!("trial.of.the.undo.table.{chance:016x}:65535:{}", i64::MAX)
        .parse()
        .expect("it has the form of an XID");
    let add = || {
        // No text.
        let row = UndoRow { branch_id: BRANCH, context: "trial".to_owned(), content: vec![0, 0xff] };
        branch::undo_row::<DB>(table, &xid, row, UNFINISHED)
    };
    // By its whole key: nothing beside it is locked.
    let [first, second] = [1, 2].map(DB::placeholder);
    let delete = format!("DELETE FROM {table} WHERE xid = {first} AND branch_id = {second}");
    let key = [Argument::Text(xid.to_string()), Argument::Integer(BRANCH)];
    let delete = || Call::<DB>::new(delete.as_str(), &key);
    let look = format!("SELECT xid FROM {table} WHERE xid = {first} AND branch_id = {second}");
    let locking = format!("{look}{}", DB::FOR_UPDATE);
    let mut session = Session::new(pool.clone());
    let mut session = session.until_decided();
    match session.begin(DB::BEGIN_WRITING).await {
        Ok(()) => {}
        // Others write to the file, which says nothing of the table.
        Err(error) if error.as_database_error().is_some() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    for call in [add(), Call::new(locking, &key), delete(), add()] {
        let connection = session.connection().await?;
        match execute::<DB>(connection, call?).await {
            Ok(_) => {}
            Err(error) if is_of_others(&error) => return Ok(()),
            Err(error) => return Err(unusable(error)),
        }
    }
    let again = execute::<DB>(session.connection().await?, add()?).await;
    session.rollback().await;
    let is_left = !rows::<DB>(session.connection().await?, Call::new(look, &key)?).await?.is_empty();
    if is_left {
        execute::<DB>(session.connection().await?, delete()?).await.map_err(unusable)?;
    }
    match again {
        Ok(_) => Err(unfit("it takes a second row for a branch: it needs a unique key on (xid, branch_id)")),
        Err(error) if is_of_others(&error) => Ok(()),
        Err(error) if !is_unique_violation(&error) => Err(unusable(error)),
        Err(_) if is_left => {
            Err(unfit("a ROLLBACK does not take its rows back: it needs an engine that has transactions"))
        }
        Err(_) => Ok(()),
    }
}

/// A file that is busy, a dead lock, a row that others hold: it says nothing of the table.
fn is_of_others(error: &Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    matches!(error.code().as_deref(), Some("5" | "6" | "517" | "40001" | "40P01" | "55P03"))
        || error.message().starts_with("Lock wait timeout")
}
