//! Rows that are neither as a branch left them nor as it found them.

use std::{fmt, sync::Arc};

use seata_protocol::Xid;

use crate::{data_source::Options, undo::Row};

/// A row that somebody has written behind the back of its lock, so that undoing would take that back as well. What
/// is to be done with it, [`AtPoolBuilder::on_dirty_row`](crate::AtPoolBuilder::on_dirty_row) decides.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DirtyRow {
    /// The global transaction that is rolled back.
    pub xid: Xid,
    /// The table, as row locks name it.
    pub table: String,
    /// The row's key, in words.
    pub key: String,
    /// The row as the transaction found it; `None` where it added it.
    pub before: Option<Row>,
    /// The row as the transaction left it; `None` where it removed it.
    pub after: Option<Row>,
    /// The row as it is now, in the columns of its images; `None` where it is gone.
    pub current: Option<Row>,
}

/// What is done with a dirty row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirtyChoice {
    /// Nothing of the branch is undone. Its transaction is parked with the row as the reason, for a person to look, and to
    /// choose one of the others with `seata undo-log` or [`undo_log`](crate::undo_log).
    #[default]
    Park,
    /// The row becomes what it was before the transaction, and what was written since is lost. A row that is gone comes
    /// back only if the transaction itself removed it, as the image holds all its columns then; else this is
    /// [`Park`](Self::Park).
    Force,
    /// The row stays as it is now; the others are undone.
    Skip,
}

/// Who decides about dirty rows.
pub(crate) type Resolver = Arc<dyn Fn(&DirtyRow) -> DirtyChoice + Send + Sync>;

impl Options {
    pub(super) fn choice(&self, row: &DirtyRow) -> DirtyChoice {
        let choice = self.on_dirty_row.as_ref().map_or(DirtyChoice::Park, |resolver| resolver(row));
        if choice != DirtyChoice::Park {
            tracing::warn!(xid = %row.xid, ?choice, "a dirty row: {row}");
        }
        choice
    }
}

/// `row id=7 of table stock, column n: before 10, after 9, now 3`, for each column that differs.
impl fmt::Display for DirtyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} of table {}", self.key, self.table)?;
        let (after, current) = match (&self.after, &self.current) {
            (Some(after), Some(current)) => (after, current),
            (_, None) => return f.write_str(" is gone: somebody deleted it"),
            (None, Some(_)) => return f.write_str(" is there again: somebody inserted it"),
        };
        let shown = |row: Option<&Row>, column: &str| match row.and_then(|row| row.field(column)) {
            Some(field) => field.to_string(),
            None => "no row".to_owned(),
        };
        let differing = after
            .fields
            .iter()
            .filter(|field| current.field(&field.name).is_none_or(|now| !field.same_value(now)));
        for field in differing {
            let column = &field.name;
            let (before, now) = (shown(self.before.as_ref(), column), shown(Some(current), column));
            write!(f, ", column {column}: before {before}, after {field}, now {now}")?;
        }
        Ok(())
    }
}

/// The first ones in words.
pub(super) fn listed(rows: &[DirtyRow]) -> String {
    /// More than these help nobody.
    const SHOWN: usize = 5;
    let shown: Vec<String> = rows.iter().take(SHOWN).map(DirtyRow::to_string).collect();
    let more = match rows.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", shown.join("; "))
}
