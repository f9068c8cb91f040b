//! What one statement changed becomes what it was.

use std::collections::HashMap;

use seata_protocol::BranchId;
use sqlx::Error;

use crate::{
    data_source::Options,
    dialect::{Call, Dialect, execute, rows},
    image::{self, ImageError, identity, key_condition},
    sql::{Refusal, Rows},
    structure::{Structure, StructureCache, Table},
    undo::{DecodeError, Row, SqlType, SqlUndoLog, TableRecords, Value},
};

/// Why a branch is not rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum UndoError {
    #[error("{0}")]
    Database(#[from] Error),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("the table cannot be written back: {0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Image(String),
    #[error("dirty: {0}")]
    Dirty(String),
    #[error("undoing a statement on {table} changed {changed} rows where one was expected: {row}")]
    Unexpected { table: String, changed: u64, row: String },
    #[error("{0}; it will be tried again")]
    Referred(String),
    #[error("the undo log holds a statement of the kind {0}, which this version does not undo")]
    Kind(String),
    #[error("branch {branch} of the transaction is newer and has to be undone first: {source}")]
    Newer { branch: BranchId, source: Box<UndoError> },
}

impl UndoError {
    /// Trying again would give the same; a person has to look.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Dirty(_) | Self::Kind(_) | Self::Decode(_) | Self::Image(_) => true,
            Self::Newer { source, .. } => source.is_final(),
            Self::Database(_) | Self::Refused(_) | Self::Unexpected { .. } | Self::Referred(_) => false,
        }
    }

    /// Another row stands in the way, and may be gone when the others are done.
    fn may_pass(&self) -> bool {
        match self {
            Self::Referred(_) => true,
            Self::Database(error) => error
                .as_database_error()
                .is_some_and(|error| error.is_unique_violation() || error.is_foreign_key_violation()),
            _ => false,
        }
    }
}

/// Undoes one statement inside the open local transaction. On an error nothing may be committed.
pub(super) async fn undo<DB: Dialect>(
    connection: &mut DB::Connection,
    options: &Options,
    structures: &StructureCache,
    statement: &SqlUndoLog,
) -> Result<(), UndoError> {
    let undo: Undo<'_, DB> = Undo { connection, options, structures, statement };
    undo.run().await
}

/// What is done with each row of an image.
#[derive(Clone, Copy)]
enum Step<'a> {
    Remove(&'a Structure),
    Add(&'a str),
    Restore(&'a str),
}

/// One statement on its way back.
struct Undo<'a, DB: Dialect> {
    connection: &'a mut DB::Connection,
    options: &'a Options,
    structures: &'a StructureCache,
    statement: &'a SqlUndoLog,
}

impl<DB: Dialect> Undo<'_, DB> {
    async fn run(mut self) -> Result<(), UndoError> {
        let statement = self.statement;
        let empty = TableRecords::empty(&statement.table_name);
        let before = statement.before_image.as_ref().unwrap_or(&empty);
        let after = statement.after_image.as_ref().unwrap_or(&empty);
        let (wanted, changed) = match statement.sql_type {
            SqlType::Insert => (after, after),
            SqlType::Update | SqlType::UpdateJoin | SqlType::Delete => (before, before),
            SqlType::Other(ref kind) => return Err(UndoError::Kind(kind.clone())),
        };
        if wanted.rows.is_empty() || same_rows(&before.rows, &after.rows) {
            return Ok(());
        }
        let structure = self.structure(&changed.table_name).await?;
        check_image(&structure.table, &before.rows)?;
        check_image(&structure.table, &after.rows)?;
        if self.options.data_validation {
            let current = self.current(&wanted.rows, &structure).await?;
            if !same_rows(&current, &after.rows) {
                if same_rows(&current, &before.rows) {
                    return Ok(());
                }
                return Err(UndoError::Dirty(difference(&structure, &before.rows, &after.rows, &current)));
            }
        }
        let table = &structure.table.reference;
        let step = match statement.sql_type {
            SqlType::Insert => Step::Remove(&structure),
            SqlType::Delete => Step::Add(table),
            _ => Step::Restore(table),
        };
        self.each(step, &wanted.rows).await
    }

    async fn structure(&mut self, table: &str) -> Result<Structure, UndoError> {
        let rows = Rows::of(Some("main".to_owned()), table.to_owned());
        Ok(DB::structure(self.connection, self.structures, &rows).await??)
    }

    /// The rows as they are now, in the columns of the image.
    async fn current(&mut self, wanted: &[Row], structure: &Structure) -> Result<Vec<Row>, UndoError> {
        let columns: Vec<&str> = wanted[0].fields.iter().map(|field| field.name.as_str()).collect();
        let found = image::read_by_keys::<DB>(self.connection, wanted, &structure.table, &columns).await;
        found.map_err(|error| match error {
            ImageError::Database(error) => UndoError::Database(error),
            ImageError::TooManyRows => UndoError::Image("too many rows".to_owned()),
            ImageError::UnusableKey(detail) => UndoError::Image(detail),
        })
    }

    /// Row by row. Unique columns and references between the rows may let them go one order only: what
    /// clashes is tried again after the others.
    async fn each(&mut self, step: Step<'_>, rows: &[Row]) -> Result<(), UndoError> {
        let mut left: Vec<&Row> = rows.iter().rev().collect();
        while !left.is_empty() {
            let mut clashed = Vec::new();
            let mut clash = None;
            for row in &left {
                let done = match step {
                    Step::Remove(structure) => self.remove(structure, row).await,
                    Step::Add(table) => self.add(table, row).await,
                    Step::Restore(table) => self.restore(table, row).await,
                };
                match done {
                    Ok(()) => {}
                    Err(error) if error.may_pass() => {
                        clashed.push(*row);
                        clash = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            match clash {
                Some(error) if clashed.len() == left.len() => return Err(error),
                _ => left = clashed,
            }
        }
        Ok(())
    }

    async fn remove(&mut self, structure: &Structure, row: &Row) -> Result<(), UndoError> {
        self.check_not_referred(row, structure).await?;
        let mut values = Vec::new();
        let condition = key_condition::<DB>(row, &mut values);
        let sql = format!("DELETE FROM {} WHERE {condition}", structure.table.reference);
        let removed = execute(self.connection, Call::<DB>::new(sql, &values)?).await?;
        self.expect_one(removed, row)
    }

    /// Rows of others that refer to this one would go with it, and no image holds them.
    async fn check_not_referred(&mut self, row: &Row, structure: &Structure) -> Result<(), UndoError> {
        if !structure.foreign_keys {
            return Ok(());
        }
        for reference in structure.table.references.iter().filter(|reference| reference.on_delete.is_some()) {
            let mut values = Vec::new();
            let mut conditions = Vec::new();
            for (child, own) in &reference.columns {
                let Some(field) = row.fields.iter().find(|field| field.name.eq_ignore_ascii_case(own)) else {
                    continue;
                };
                values.push(&field.value);
                conditions.push(format!("{} = {}", DB::quote(child), DB::parameter(values.len(), field)));
            }
            // A row may refer to itself, and goes as a whole.
            if reference.child.eq_ignore_ascii_case(&structure.table.name) {
                conditions.push(format!("NOT ({})", key_condition::<DB>(row, &mut values)));
            }
            let child = DB::quote(&reference.child);
            let sql = format!("SELECT 1 FROM {child} WHERE {} LIMIT 1", conditions.join(" AND "));
            let referring = rows::<DB>(self.connection, Call::new(sql, &values)?).await?;
            if !referring.is_empty() {
                return Err(UndoError::Referred(format!(
                    "rows of {} refer to the inserted row {} of {} and would be changed with it",
                    reference.child,
                    identity(row),
                    structure.table.name
                )));
            }
        }
        Ok(())
    }

    async fn add(&mut self, table: &str, row: &Row) -> Result<(), UndoError> {
        let columns: Vec<String> = row.fields.iter().map(|field| DB::quote(&field.name)).collect();
        let values: Vec<&Value> = row.fields.iter().map(|field| &field.value).collect();
        let parameters: Vec<String> =
            row.fields.iter().enumerate().map(|(index, field)| DB::parameter(index + 1, field)).collect();
        let sql = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), parameters.join(", "));
        let added = execute(self.connection, Call::<DB>::new(sql, &values)?).await?;
        self.expect_one(added, row)
    }

    async fn restore(&mut self, table: &str, row: &Row) -> Result<(), UndoError> {
        let mut values = Vec::new();
        let mut assignments = Vec::new();
        for field in row.fields.iter().filter(|field| !field.is_key) {
            values.push(&field.value);
            assignments.push(format!("{} = {}", DB::quote(&field.name), DB::parameter(values.len(), field)));
        }
        if assignments.is_empty() {
            return Ok(());
        }
        let condition = key_condition::<DB>(row, &mut values);
        let sql = format!("UPDATE {table} SET {} WHERE {condition}", assignments.join(", "));
        let restored = execute(self.connection, Call::<DB>::new(sql, &values)?).await?;
        self.expect_one(restored, row)
    }

    /// Without validation a row may be gone, and nothing is said of it; more than one is never right.
    fn expect_one(&self, changed: u64, row: &Row) -> Result<(), UndoError> {
        match changed {
            1 => Ok(()),
            0 if !self.options.data_validation => Ok(()),
            _ => {
                let table = self.statement.table_name.clone();
                Err(UndoError::Unexpected { table, changed, row: identity(row) })
            }
        }
    }
}

/// Checks that the image fits the table as it is now: the document may be a peer's, and the table altered. (SQLite
/// would take the quoted name of a missing column for a text.)
fn check_image(table: &Table, rows: &[Row]) -> Result<(), UndoError> {
    for row in rows {
        let unknown = |name: &str| !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        if let Some(field) = row.fields.iter().find(|field| unknown(&field.name)) {
            return Err(UndoError::Image(format!(
                "table {} has no column {} any more",
                table.name, field.name
            )));
        }
        let of_key = row.key().filter(|field| table.is_key(&field.name)).count();
        if of_key != table.key.len() || of_key != row.key().count() {
            let found: Vec<&str> = row.key().map(|field| field.name.as_str()).collect();
            return Err(UndoError::Image(format!(
                "the primary key of table {} is ({}), and that of its image ({})",
                table.name,
                table.key.join(", "),
                found.join(", ")
            )));
        }
    }
    Ok(())
}

/// Whether two images hold the same rows with the same values, in whatever order. Only the columns of
/// the first are looked at.
fn same_rows(a: &[Row], b: &[Row]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let b = by_key(b);
    a.iter().all(|row| {
        b.get(&identity(row)).is_some_and(|other| {
            row.fields.iter().all(|field| other.value(&field.name) == Some(&field.value))
        })
    })
}

fn by_key(rows: &[Row]) -> HashMap<String, &Row> {
    rows.iter().map(|row| (identity(row), row)).collect()
}

/// The first row and column that is neither as it was left nor as it was found.
fn difference(structure: &Structure, before: &[Row], after: &[Row], current: &[Row]) -> String {
    let table = &structure.table.name;
    let (befores, afters, currents) = (by_key(before), by_key(after), by_key(current));
    let keys = before.iter().chain(after).chain(current).map(identity);
    for key in keys {
        let (was, left, now) = (befores.get(&key), afters.get(&key), currents.get(&key));
        match (left, now) {
            (None, None) => {}
            (Some(_), None) => return format!("row {key} of table {table} is gone: somebody deleted it"),
            (None, Some(_)) => {
                return format!("row {key} of table {table} is there again: somebody inserted it");
            }
            (Some(left), Some(now)) => {
                let differing = left.fields.iter().find(|f| now.value(&f.name) != Some(&f.value));
                let Some(field) = differing else { continue };
                let column = &field.name;
                let shown = |row: Option<&&Row>| match row.and_then(|row| row.value(column)) {
                    Some(value) => value.to_string(),
                    None => "no row".to_owned(),
                };
                return format!(
                    "row {key} of table {table}, column {column}: before {}, after {}, now {}",
                    shown(was),
                    field.value,
                    shown(Some(now))
                );
            }
        }
    }
    format!("the rows of table {table} are neither as they were before nor as they were left")
}
