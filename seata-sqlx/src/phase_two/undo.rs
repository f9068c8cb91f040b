//! What one statement changed becomes what it was.

use std::collections::HashMap;

use seata_protocol::BranchId;
use sqlx::Error;

use crate::{
    data_source::Options,
    dialect::{Call, Dialect, execute, rows},
    image::{Arguments, ImageError, Reading, identity},
    sql::{Refusal, table_name},
    structure::{Structure, StructureCache, Table, TableName},
    undo::{DecodeError, Field, Row, SqlType, SqlUndoLog, TableRecords},
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

    /// What another branch of the transaction did may be the cause.
    pub(super) fn may_be_overtaken(&self) -> bool {
        match self {
            Self::Dirty(_) => true,
            Self::Database(error) => {
                error.as_database_error().is_some_and(|error| error.is_unique_violation())
            }
            Self::Newer { source, .. } => source.may_be_overtaken(),
            _ => false,
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

impl From<ImageError> for UndoError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Database(error) => Self::Database(error),
            ImageError::TooManyRows => Self::Image("too many rows".to_owned()),
            ImageError::UnusableKey(detail) | ImageError::Unwritable(detail) => Self::Image(detail),
        }
    }
}

/// Undoes one statement inside the open local transaction. On an error nothing may be committed.
pub(super) async fn undo<DB: Dialect>(
    connection: &mut DB::Connection,
    options: &Options,
    structures: &StructureCache<DB>,
    statement: &SqlUndoLog,
) -> Result<(), UndoError> {
    let undo: Undo<'_, DB> = Undo { connection, options, structures, statement };
    undo.run().await
}

/// What is done with each row of an image.
#[derive(Clone, Copy)]
enum Step {
    Remove,
    Add,
    Restore,
}

/// One statement on its way back.
struct Undo<'a, DB: Dialect> {
    connection: &'a mut DB::Connection,
    options: &'a Options,
    structures: &'a StructureCache<DB>,
    statement: &'a SqlUndoLog,
}

impl<'a, DB: Dialect> Undo<'a, DB> {
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
        let structure = self.structure(changed).await?;
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
        let step = match statement.sql_type {
            SqlType::Insert => Step::Remove,
            SqlType::Delete => Step::Add,
            _ => Step::Restore,
        };
        self.each(step, &structure, &wanted.rows).await
    }

    /// The statement's own words name the table; where they name no schema, Java's name of the image may.
    async fn structure(&mut self, image: &TableRecords) -> Result<Structure<DB>, UndoError> {
        let found = table_name(DB::FLAVOR, &self.statement.table_name);
        let mut name = found.unwrap_or_else(|| TableName { schema: None, name: image.table_name.clone() });
        if name.schema.is_none() {
            let before = image.table_name.strip_suffix(name.name.as_str());
            let schema = before.and_then(|before| before.strip_suffix('.'));
            name.schema = schema.or(DB::DEFAULT_SCHEMA).map(str::to_owned);
        }
        Ok(DB::structure(self.connection, self.structures, &name).await??)
    }

    /// The rows as they are now, in the columns of the image.
    async fn current(&mut self, wanted: &[Row], structure: &Structure<DB>) -> Result<Vec<Row>, UndoError> {
        let table = &*structure.table;
        let columns = wanted[0].fields.iter().filter_map(|field| table.column(&field.name));
        let columns: Vec<_> = columns.collect();
        let reading = Reading { table, columns: &columns, zone: &self.options.zone };
        Ok(reading.by_keys(self.connection, wanted).await?)
    }

    /// Row by row. Unique columns and references between the rows may let them go one order only: what
    /// clashes is tried again after the others.
    async fn each(&mut self, step: Step, structure: &Structure<DB>, rows: &[Row]) -> Result<(), UndoError> {
        let mut left: Vec<&Row> = rows.iter().rev().collect();
        while !left.is_empty() {
            let mut clashed = Vec::new();
            let mut clash = None;
            for row in &left {
                match self.one(step, structure, row).await {
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

    /// A row that clashes leaves the local transaction as it was.
    async fn one(&mut self, step: Step, structure: &Structure<DB>, row: &Row) -> Result<(), UndoError> {
        const SAVEPOINT: &str = "SAVEPOINT seata_row";
        const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT seata_row";
        const RELEASE: &str = "RELEASE SAVEPOINT seata_row";
        if DB::ERROR_ENDS_TRANSACTION {
            self.text(SAVEPOINT).await?;
        }
        let done = match step {
            Step::Remove => self.remove(structure, row).await,
            Step::Add => self.add(&structure.table, row).await,
            Step::Restore => self.restore(&structure.table, row).await,
        };
        if DB::ERROR_ENDS_TRANSACTION {
            match &done {
                Err(error) if error.may_pass() => {
                    self.text(ROLLBACK).await?;
                    self.text(RELEASE).await?;
                }
                Ok(()) => self.text(RELEASE).await?,
                Err(_) => {}
            }
        }
        done
    }

    async fn text(&mut self, statement: &str) -> Result<(), UndoError> {
        execute::<DB>(self.connection, Call::text(statement)).await?;
        Ok(())
    }

    async fn remove(&mut self, structure: &Structure<DB>, row: &Row) -> Result<(), UndoError> {
        self.check_not_referred(row, structure).await?;
        let mut arguments = self.arguments(&structure.table);
        let condition = arguments.key_condition(row)?;
        let sql = format!("DELETE FROM {} WHERE {condition}", structure.table.reference);
        let removed = execute(self.connection, arguments.call(sql)?).await?;
        self.expect_one(removed, row)
    }

    /// Rows of others that refer to this one would go with it, and no image holds them.
    async fn check_not_referred(&mut self, row: &Row, structure: &Structure<DB>) -> Result<(), UndoError> {
        if !structure.foreign_keys {
            return Ok(());
        }
        for reference in structure.table.references.iter().filter(|reference| reference.on_delete.is_some()) {
            let mut arguments = self.arguments(&structure.table);
            let mut conditions = Vec::new();
            for (child, own) in &reference.columns {
                let Some(field) = row.fields.iter().find(|field| field.name.eq_ignore_ascii_case(own)) else {
                    continue;
                };
                conditions.push(format!("{} = {}", DB::quote(child), arguments.parameter(field)?));
            }
            // A row may refer to itself, and goes as a whole.
            if reference.child_reference == structure.table.reference {
                conditions.push(format!("NOT ({})", arguments.key_condition(row)?));
            }
            let child = &reference.child_reference;
            let sql = format!("SELECT 1 FROM {child} WHERE {} LIMIT 1", conditions.join(" AND "));
            let referring = rows::<DB>(self.connection, arguments.call(sql)?).await?;
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

    async fn add(&mut self, table: &Table<DB>, row: &Row) -> Result<(), UndoError> {
        let mut arguments = self.arguments(table);
        let (mut columns, mut parameters) = (Vec::new(), Vec::new());
        for field in writable(table, row) {
            columns.push(DB::quote(&field.name));
            parameters.push(arguments.parameter(field)?);
        }
        let sql = format!(
            "INSERT INTO {} ({}) {}VALUES ({})",
            table.reference,
            columns.join(", "),
            DB::OVERRIDING,
            parameters.join(", ")
        );
        let added = execute(self.connection, arguments.call(sql)?).await?;
        self.expect_one(added, row)
    }

    async fn restore(&mut self, table: &Table<DB>, row: &Row) -> Result<(), UndoError> {
        let mut arguments = self.arguments(table);
        let mut assignments = Vec::new();
        for field in writable(table, row).filter(|field| !field.is_key) {
            assignments.push(format!("{} = {}", DB::quote(&field.name), arguments.parameter(field)?));
        }
        if assignments.is_empty() {
            return Ok(());
        }
        let condition = arguments.key_condition(row)?;
        let sql = format!("UPDATE {} SET {} WHERE {condition}", table.reference, assignments.join(", "));
        let restored = execute(self.connection, arguments.call(sql)?).await?;
        self.expect_one(restored, row)
    }

    fn arguments<'t>(&self, table: &'t Table<DB>) -> Arguments<'t, DB>
    where
        'a: 't,
    {
        let options: &'a Options = self.options;
        Arguments::new(table, &options.zone)
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

/// The fields that can be written: a peer's image may hold what the database computes.
fn writable<'r, DB: Dialect>(table: &Table<DB>, row: &'r Row) -> impl Iterator<Item = &'r Field> {
    let is_written = |field: &&Field| table.column(&field.name).is_none_or(|column| !column.is_generated);
    row.fields.iter().filter(is_written)
}

/// Checks that the image fits the table as it is now: the document may be a peer's, and the table altered. (SQLite
/// would take the quoted name of a missing column for a text.)
fn check_image<DB: Dialect>(table: &Table<DB>, rows: &[Row]) -> Result<(), UndoError> {
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
fn difference<DB: Dialect>(
    structure: &Structure<DB>,
    before: &[Row],
    after: &[Row],
    current: &[Row],
) -> String {
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
