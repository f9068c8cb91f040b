//! One look at the undo logs of a transaction, inside the open local transaction.

use std::collections::HashMap;

use seata_protocol::Xid;
use sqlx::Error;

use crate::{
    branch::undo_row,
    dialect::{Argument, Call, ColumnOf, Dialect, execute},
    image::{Reading, rough_key, same_key},
    phase_two::{
        UndoError,
        changes::{changes, structure},
        logs::Logs,
    },
    structure::{StructureCache, Table},
    undo::{self, Row, UndoRow},
    undo_log::{
        ChangedRow, Decision, Incomplete, RowState, UndoLogError, UndoTable,
        amendment::amend,
        error::is_missing_table,
        history::{History, Log, Place, histories},
    },
};

pub(super) struct Session<'s, DB: Dialect> {
    table: &'s UndoTable<DB>,
    connection: &'s mut DB::Connection,
    xid: &'s Xid,
    /// What keeps undo rows and the rows of users as they are.
    lock: &'static str,
}

/// The rows as they are now, by table and [`rough_key`].
type Current = HashMap<(String, String), Vec<Row>>;

impl<'s, DB: Dialect> Session<'s, DB> {
    pub(super) fn new(
        table: &'s UndoTable<DB>,
        connection: &'s mut DB::Connection,
        xid: &'s Xid,
        lock: &'static str,
    ) -> Self {
        Self { table, connection, xid, lock }
    }

    pub(super) async fn rows(mut self) -> Result<Vec<ChangedRow>, UndoLogError> {
        let logs = self.logs().await?;
        let histories = histories(&logs);
        let current = self.current(&histories).await?;
        let told = histories.iter().flat_map(|history| history.told(&logs, now(history, &current)));
        let mut told: Vec<(usize, ChangedRow)> = told.collect();
        told.sort_by_key(|(log, _)| *log);
        Ok(told.into_iter().map(|(_, row)| row).collect())
    }

    /// On an error nothing may be committed.
    pub(super) async fn decide(
        mut self,
        table: &str,
        key: &str,
        decision: Decision,
    ) -> Result<Vec<ChangedRow>, UndoLogError> {
        let mut logs = self.logs().await?;
        let histories = histories(&logs);
        let wanted = histories.iter().find(|history| history.table.name == table && history.key == key);
        let history = wanted.ok_or_else(|| UndoLogError::UnknownRow {
            xid: self.xid.clone(),
            table: table.to_owned(),
            key: key.to_owned(),
            changed: histories
                .iter()
                .map(|history| (history.table.name.clone(), history.key.clone()))
                .collect(),
        })?;
        let current = self.current(std::slice::from_ref(history)).await?;
        let now = now(history, &current);
        let found: Vec<ChangedRow> =
            history.told(&logs, now).into_iter().map(|(_, changed)| changed).collect();
        check(&found, decision)?;
        let amendments = match decision {
            Decision::Skip => history.skip(),
            Decision::Force => history.force(now).map_err(|Incomplete(missing)| {
                UndoLogError::Incomplete { table: table.to_owned(), key: key.to_owned(), missing }
            })?,
        };
        let keyed = history.keyed().clone();
        for (number, log) in logs.iter_mut().enumerate() {
            let of_log = amendments.iter().filter(|(place, _)| place.log == number);
            let of_log = of_log.map(|(Place { statement, .. }, amendment)| (*statement, amendment.clone()));
            if amend(&mut log.log, &keyed, &of_log.collect()) {
                self.write(log).await?;
            }
        }
        Ok(found)
    }

    /// The undo logs of the transaction, the newest first.
    async fn logs(&mut self) -> Result<Vec<Log<DB>>, UndoLogError> {
        let lock = self.lock;
        let listed = self.undo_rows().list(lock).await.map_err(|error| {
            match is_missing_table(DB::FLAVOR, &error) {
                true => UndoLogError::NoTable { table: self.table.name.clone() },
                false => error.into(),
            }
        })?;
        let (xid, table) = (self.xid.clone(), self.table.name.clone());
        if listed.is_empty() {
            return Err(UndoLogError::NoLog { xid, table });
        }
        let structures = StructureCache::default();
        let mut logs = Vec::new();
        for branch in listed.iter().filter(|listed| !listed.is_mark).map(|listed| listed.branch) {
            let unusable = |error| match error {
                UndoError::Database(error) => UndoLogError::Database(error),
                error => UndoLogError::Unusable { branch, reason: error.to_string() },
            };
            let limit = self.table.writing.max_log;
            let (context, log) = self.undo_rows().read(branch, limit).await.map_err(unusable)?;
            let mut tables = Vec::with_capacity(log.sql_undo_logs.len());
            for statement in &log.sql_undo_logs {
                let changes = changes::<DB>(statement);
                let structure = structure(self.connection, &structures, statement, &changes).await;
                tables.push(structure.map_err(unusable)?.map(|structure| structure.table));
            }
            logs.push(Log { branch, context, log, tables });
        }
        if logs.is_empty() { Err(UndoLogError::Finished { xid, table }) } else { Ok(logs) }
    }

    /// The rows of these histories as they are now, table by table.
    async fn current(&mut self, histories: &[History<'_, DB>]) -> Result<Current, UndoLogError> {
        let mut tables: Vec<&Table<DB>> = Vec::new();
        for history in histories {
            if tables.iter().all(|table| table.name != history.table.name) {
                tables.push(history.table);
            }
        }
        let mut current = Current::new();
        for table in tables {
            let of_table = || histories.iter().filter(|history| history.table.name == table.name);
            let keys: Vec<Row> = of_table().map(|history| history.keyed().clone()).collect();
            let columns: Vec<&ColumnOf<DB>> = table
                .columns
                .iter()
                .filter(|column| {
                    let mut fields = of_table().flat_map(History::fields);
                    fields.any(|field| field.name.eq_ignore_ascii_case(&column.name))
                })
                .collect();
            let reading = Reading { table, columns: &columns, zone: &self.table.zone };
            let rows = reading.by_keys_with(self.lock, self.connection, &keys).await;
            for row in rows.map_err(|error| unreadable(table, error.into()))? {
                current.entry((table.name.clone(), rough_key(&row))).or_default().push(row);
            }
        }
        Ok(current)
    }

    /// Writes an amended log in the place of the one that was read.
    async fn write(&mut self, log: &Log<DB>) -> Result<(), UndoLogError> {
        let capabilities = DB::capabilities(self.connection).await?;
        let mut writing = self.table.writing;
        writing.max_packet = writing.max_packet.or(capabilities.max_packet);
        self.undo_rows().delete_continuations(&log.context).await?;
        for row in undo::write_aside(log.log.clone(), writing).await? {
            let call = match row.branch_id == log.branch.0 {
                true => self.update(row)?,
                false => undo_row::<DB>(&self.table.reference, self.xid, row, 0)?,
            };
            execute(self.connection, call).await?;
        }
        Ok(())
    }

    /// The branch's own row stays the one that it is: what tells it from older ones must not change.
    fn update(&self, row: UndoRow) -> Result<Call<DB>, Error> {
        let sql = format!(
            "UPDATE {} SET context = {}, rollback_info = {}, log_modified = {} WHERE xid = {} AND branch_id = {}",
            self.table.reference,
            DB::placeholder(1),
            DB::placeholder(2),
            DB::NOW,
            DB::placeholder(3),
            DB::placeholder(4),
        );
        let values = [
            Argument::Text(row.context),
            Argument::Bytes(row.content),
            Argument::Text(self.xid.to_string()),
            Argument::Integer(row.branch_id),
        ];
        Call::new(sql, &values)
    }

    fn undo_rows(&mut self) -> Logs<'_, DB> {
        Logs { connection: self.connection, table: &self.table.reference, xid: self.xid }
    }
}

fn now<'c, DB: Dialect>(history: &History<'_, DB>, current: &'c Current) -> Option<&'c Row> {
    let alike = current.get(&(history.table.name.clone(), rough_key(history.keyed())))?;
    alike.iter().find(|row| same_key(row, history.keyed()))
}

/// A row that is as the transaction found it may be skipped as well: nothing has to be undone there, but Java's resource
/// managers take all rows of its statement for dirty if another one is not.
fn check(found: &[ChangedRow], decision: Decision) -> Result<(), UndoLogError> {
    let is_open = |row: &ChangedRow| match decision {
        Decision::Force => row.state.is_dirty(),
        Decision::Skip => row.state != RowState::AsLeft,
    };
    match found {
        [first, ..] if !found.iter().any(is_open) => Err(UndoLogError::NotDirty {
            table: first.table.clone(),
            key: first.key.clone(),
            state: first.state,
        }),
        _ => Ok(()),
    }
}

fn unreadable<DB: Dialect>(table: &Table<DB>, error: UndoError) -> UndoLogError {
    match error {
        UndoError::Database(error) => UndoLogError::Database(error),
        error => UndoLogError::Unreadable { table: table.name.clone(), reason: error.to_string() },
    }
}
