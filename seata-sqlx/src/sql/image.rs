//! The query for the rows that a statement selects.

use super::{Flavor, Rows};

/// The image query: `columns` (qualified as [`Rows::qualifier`] says) of the rows that a statement selects, to be run
/// with all of the statement's own arguments.
///
/// `reference` is how the table is named where it stands alone; `lock` the lock clause (`FOR UPDATE`, or nothing) where
/// the statement has none of its own. One row may come several times where [`Rows::source`] is set.
pub(crate) fn image_query(flavor: Flavor, rows: &Rows, columns: &str, reference: &str, lock: &str) -> String {
    let mut sql = String::new();
    if !rows.with.is_empty() {
        sql.push_str(&format!("{} ", rows.with));
    }
    sql.push_str(&format!("SELECT {columns} FROM "));
    let swallowed = rows.swallowed;
    if swallowed.before_source > 0 {
        sql.push_str(&format!("{} AS seata_parameters, ", swallow(swallowed.before_source)));
    }
    match &rows.source {
        Some(source) => sql.push_str(source),
        None => {
            let only = if rows.only { "ONLY " } else { "" };
            let alias = rows.alias.as_ref().map(|_| format!(" AS {}", rows.qualifier(flavor)));
            sql.push_str(&format!("{only}{reference}{}", alias.unwrap_or_default()));
        }
    }
    if swallowed.before_condition > 0 {
        sql.push_str(&format!(" JOIN {} AS seata_parameters", swallow(swallowed.before_condition)));
    }
    let rest = (swallowed.after_condition > 0)
        .then(|| format!("({} IS NULL OR TRUE)", first_of(swallowed.after_condition)));
    match (&rows.condition, rest) {
        (None, None) => {}
        (Some(condition), None) => sql.push_str(&format!(" WHERE {condition}")),
        (None, Some(rest)) => sql.push_str(&format!(" WHERE {rest}")),
        (Some(condition), Some(rest)) => sql.push_str(&format!(" WHERE ({condition}) AND {rest}")),
    }
    if !rows.tail.is_empty() {
        sql.push_str(&format!(" {}", rows.tail));
    }
    if !rows.lock.is_empty() {
        sql.push_str(&format!(" {}", rows.lock));
    } else if !lock.trim().is_empty() {
        sql.push_str(&format!(" {}", lock.trim()));
        if flavor == Flavor::Postgres && rows.source.is_some() {
            sql.push_str(&format!(" OF {}", rows.qualifier(flavor)));
        }
    }
    sql
}

/// A table of one row that consumes so many positional arguments.
fn swallow(count: usize) -> String {
    /// A table has a few thousand columns at most.
    const PER_COLUMN: usize = 1_000;
    let mut columns = Vec::new();
    let mut left = count;
    if count <= PER_COLUMN {
        columns.extend((0..count).map(|column| format!("? AS seata_p{column}")));
        left = 0;
    }
    while left > 0 {
        let part = left.min(PER_COLUMN);
        columns.push(format!("{} AS seata_p{}", first_of(part), columns.len()));
        left -= part;
    }
    format!("(SELECT {})", columns.join(", "))
}

fn first_of(count: usize) -> String {
    match count {
        1 => "?".to_owned(),
        _ => format!("COALESCE({})", vec!["?"; count].join(", ")),
    }
}
