//! A person's decision, written into an undo log.

use std::collections::HashMap;

use crate::{
    image::same_key,
    undo::{BranchUndoLog, Row, SqlType, SqlUndoLog, TableRecords},
};

/// What becomes of the record of one row in one statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Amendment {
    /// It goes.
    Out,
    /// The statement is said to have left the row so.
    Left(Option<Row>),
}

/// Writes what is decided about the row with this key into a log, by the numbers of its statements. Says whether anything changed.
pub(super) fn amend(log: &mut BranchUndoLog, keyed: &Row, amendments: &HashMap<usize, Amendment>) -> bool {
    if amendments.is_empty() {
        return false;
    }
    let statements = std::mem::take(&mut log.sql_undo_logs);
    for (number, mut statement) in statements.into_iter().enumerate() {
        let Some(amendment) = amendments.get(&number) else {
            log.sql_undo_logs.push(statement);
            continue;
        };
        let apart = match amendment {
            Amendment::Left(Some(row)) if replace(&mut statement.after_image, keyed, row) => None,
            Amendment::Left(left) => apart(&statement, keyed, left.clone()),
            Amendment::Out => None,
        };
        if apart.is_some() || *amendment == Amendment::Out {
            remove(&mut statement.before_image, keyed);
            remove(&mut statement.after_image, keyed);
        }
        if !is_empty(&statement) {
            log.sql_undo_logs.push(statement);
        }
        log.sql_undo_logs.extend(apart);
    }
    true
}

/// Whether the image has the row.
fn replace(image: &mut Option<TableRecords>, keyed: &Row, row: &Row) -> bool {
    let rows = image.iter_mut().flat_map(|image| &mut image.rows);
    let mut found = false;
    for old in rows.filter(|old| same_key(old, keyed)) {
        *old = row.clone();
        found = true;
    }
    found
}

/// The row as a statement of its own: the others of its statement are of another kind, and Java's resource managers
/// undo all rows of a statement in one way.
fn apart(statement: &SqlUndoLog, keyed: &Row, after: Option<Row>) -> Option<SqlUndoLog> {
    let image = statement.before_image.as_ref()?;
    let before = image.rows.iter().find(|row| same_key(row, keyed))?;
    let with = |rows: Vec<Row>| Some(TableRecords { table_name: image.table_name.clone(), rows });
    Some(SqlUndoLog {
        sql_type: if after.is_some() { SqlType::Update } else { SqlType::Delete },
        table_name: statement.table_name.clone(),
        before_image: with(vec![before.clone()]),
        after_image: with(after.into_iter().collect()),
    })
}

fn remove(image: &mut Option<TableRecords>, keyed: &Row) {
    if let Some(image) = image {
        image.rows.retain(|row| !same_key(row, keyed));
    }
}

fn is_empty(statement: &SqlUndoLog) -> bool {
    let images = [&statement.before_image, &statement.after_image];
    images.into_iter().flatten().all(|image| image.rows.is_empty())
}
