//! What the undo logs of a transaction say of each row, and what phase two would find there.

use std::{collections::HashMap, sync::Arc};

use seata_protocol::BranchId;

use crate::{
    dialect::Dialect,
    image::{identity, rough_key, same_key},
    phase_two::changes::{RowChange, changes, same},
    structure::Table,
    undo::{BranchUndoLog, Context, Field, Row},
    undo_log::{ChangedRow, RowState, amendment::Amendment},
};

/// The undo log of one branch.
pub(super) struct Log<DB: Dialect> {
    pub(super) branch: BranchId,
    pub(super) context: Context,
    pub(super) log: BranchUndoLog,
    /// The table of each statement that changed rows.
    pub(super) tables: Vec<Option<Arc<Table<DB>>>>,
}

/// What happened to one row, the newest first.
pub(super) struct History<'r, DB: Dialect> {
    pub(super) table: &'r Table<DB>,
    pub(super) key: String,
    records: Vec<Record<'r>>,
}

/// One statement that changed the row.
struct Record<'r> {
    place: Place,
    change: RowChange<'r>,
}

/// Which statement of which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) log: usize,
    pub(super) statement: usize,
}

/// What phase two would find at a record, once everything newer is undone.
struct Finding<'h, 'r> {
    record: &'h Record<'r>,
    state: RowState,
    now: Option<Row>,
}

/// The rows of these logs, of which the newest comes first.
pub(super) fn histories<DB: Dialect>(logs: &[Log<DB>]) -> Vec<History<'_, DB>> {
    let mut histories: Vec<History<'_, DB>> = Vec::new();
    let mut known: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    for (log, Log { log: BranchUndoLog { sql_undo_logs, .. }, tables, .. }) in logs.iter().enumerate() {
        for (statement, (images, table)) in sql_undo_logs.iter().zip(tables).enumerate().rev() {
            let Some(table) = table else { continue };
            for change in changes::<DB>(images) {
                let row = change.keyed();
                let alike = known.entry((&table.name, rough_key(row))).or_default();
                let same = alike.iter().copied().find(|&index| same_key(histories[index].keyed(), row));
                let index = same.unwrap_or_else(|| {
                    histories.push(History { table, key: identity(row), records: Vec::new() });
                    alike.push(histories.len() - 1);
                    histories.len() - 1
                });
                histories[index].records.push(Record { place: Place { log, statement }, change });
            }
        }
    }
    histories
}

impl<'r, DB: Dialect> History<'r, DB> {
    /// An image of the row, for its key.
    pub(super) fn keyed(&self) -> &'r Row {
        self.records[0].change.keyed()
    }

    /// Every column that an image of the row holds.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'r Field> {
        let images = self.records.iter().flat_map(|record| [record.change.before, record.change.after]);
        images.flatten().flat_map(|row| &row.fields)
    }

    /// What each branch did to the row and phase two would find, each with the number of its log.
    pub(super) fn told(&self, logs: &[Log<DB>], current: Option<&Row>) -> Vec<(usize, ChangedRow)> {
        let findings = self.findings(current);
        let branches = findings.chunk_by(|a, b| a.record.place.log == b.record.place.log);
        let told = branches.map(|findings| {
            let log = findings[0].record.place.log;
            (log, self.changed_row(logs[log].branch, findings))
        });
        told.collect()
    }

    /// One branch may have changed the row with several statements.
    fn changed_row(&self, branch: BranchId, findings: &[Finding<'_, 'r>]) -> ChangedRow {
        let states = || findings.iter().map(|finding| finding.state);
        let is_open = |state: &RowState| *state == RowState::AsLeft;
        let state = states().find(RowState::is_dirty).or_else(|| states().find(is_open));
        ChangedRow {
            branch,
            table: self.table.name.clone(),
            key: self.key.clone(),
            state: state.unwrap_or(RowState::AsFound),
            before: findings
                .iter()
                .fold(None, |row, finding| over(finding.record.change.before, row.as_ref())),
            after: findings
                .iter()
                .rev()
                .fold(None, |row, finding| over(finding.record.change.after, row.as_ref())),
            current: findings[0].now.clone(),
        }
    }

    /// As phase two goes, if it left dirty rows as they are.
    fn findings(&self, current: Option<&Row>) -> Vec<Finding<'_, 'r>> {
        let mut now = current.cloned();
        let findings = self.records.iter().map(|record| {
            let state = state::<DB>(&record.change, now.as_ref());
            let undone = match state {
                RowState::AsLeft => over(record.change.before, now.as_ref()),
                _ => now.clone(),
            };
            Finding { record, state, now: std::mem::replace(&mut now, undone) }
        });
        findings.collect()
    }

    /// What has to be written into the logs so that phase two makes the row what it was before the transaction. What is
    /// not named stays as it is. Fails if a row that is gone cannot be made of the images.
    pub(super) fn force(&self, current: Option<&Row>) -> Result<HashMap<Place, Amendment>, Incomplete> {
        let mut now = current.cloned();
        let mut amendments = HashMap::new();
        for Record { place, change } in &self.records {
            let state = state::<DB>(change, now.as_ref());
            let amendment = match (&now, state) {
                (_, RowState::AsFound) => continue,
                (_, RowState::AsLeft) => None,
                (Some(now), _) => Some(Amendment::Left(Some(in_columns_of(change.keyed(), now)))),
                (None, _) if change.is_whole(self.table) => Some(Amendment::Left(None)),
                // An older image may have it whole; or it was not there before the transaction either.
                (None, _) => {
                    amendments.insert(*place, Amendment::Out);
                    continue;
                }
            };
            amendments.extend(amendment.map(|amendment| (*place, amendment)));
            now = over(change.before, now.as_ref());
        }
        let was_there = self.records.last().is_some_and(|oldest| oldest.change.before.is_some());
        if was_there && now.is_none() { Err(self.incomplete()) } else { Ok(amendments) }
    }

    /// What has to be written into the logs so that phase two leaves the row as it is now.
    pub(super) fn skip(&self) -> HashMap<Place, Amendment> {
        self.records.iter().map(|record| (record.place, Amendment::Out)).collect()
    }

    fn incomplete(&self) -> Incomplete {
        let held: Vec<&str> = self.fields().map(|field| field.name.as_str()).collect();
        let is_held = |name: &str| held.iter().any(|held| held.eq_ignore_ascii_case(name));
        let written = self.table.columns.iter().filter(|column| !column.is_generated);
        Incomplete(written.map(|column| column.name.clone()).filter(|name| !is_held(name)).collect())
    }
}

/// The columns of a row that no image has.
pub(super) struct Incomplete(pub(super) Vec<String>);

fn state<DB: Dialect>(change: &RowChange<'_>, now: Option<&Row>) -> RowState {
    if same::<DB>(change.after, now) {
        return RowState::AsLeft;
    }
    if same::<DB>(change.before, now) {
        return RowState::AsFound;
    }
    match (change.after, now) {
        (_, None) => RowState::Gone,
        (None, Some(_)) => RowState::ThereAgain,
        (Some(_), Some(_)) => RowState::Dirty,
    }
}

/// The row, and of what lies under it the columns that it does not have itself.
fn over(row: Option<&Row>, under: Option<&Row>) -> Option<Row> {
    let mut whole = row?.clone();
    for field in under.iter().flat_map(|under| &under.fields) {
        if whole.field(&field.name).is_none() {
            whole.fields.push(field.clone());
        }
    }
    Some(whole)
}

/// The row as an image of these columns.
fn in_columns_of(image: &Row, row: &Row) -> Row {
    let fields = image.fields.iter().filter_map(|field| {
        let now = row.field(&field.name)?.clone();
        Some(Field { name: field.name.clone(), is_key: field.is_key, ..now })
    });
    Row { fields: fields.collect() }
}
