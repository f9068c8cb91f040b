//! What one statement changed becomes what it was.

use seata_context::BranchTask;
use seata_protocol::BranchId;
use sqlx::Error;

use crate::{
    data_source::Options,
    dialect::Dialect,
    image::{ByKey, ImageError, Reading, identity},
    phase_two::{
        dirty::{self, DirtyChoice, DirtyRow},
        steps::{Step, Steps},
    },
    sql::{Refusal, table_name},
    structure::{Structure, StructureCache, Table, TableName},
    undo::{ReadError, Row, SqlType, SqlUndoLog, TableRecords},
};

/// Why a branch is not rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum UndoError {
    #[error("{0}")]
    Database(#[from] Error),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("the table cannot be written back: {0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Image(String),
    #[error("dirty: {}", dirty::listed(.0))]
    Dirty(Vec<DirtyRow>),
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
            Self::Dirty(_) | Self::Kind(_) | Self::Read(_) | Self::Image(_) => true,
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
    pub(super) fn may_pass(&self) -> bool {
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
    task: &BranchTask,
    statement: &SqlUndoLog,
) -> Result<(), UndoError> {
    let undo: Undo<'_, DB> = Undo { connection, options, structures, task, statement };
    undo.run().await
}

/// One statement on its way back.
struct Undo<'a, DB: Dialect> {
    connection: &'a mut DB::Connection,
    options: &'a Options,
    structures: &'a StructureCache<DB>,
    task: &'a BranchTask,
    statement: &'a SqlUndoLog,
}

impl<DB: Dialect> Undo<'_, DB> {
    async fn run(mut self) -> Result<(), UndoError> {
        let statement = self.statement;
        if let SqlType::Other(kind) = &statement.sql_type {
            return Err(UndoError::Kind(kind.clone()));
        }
        let (before, after) = (rows(&statement.before_image), rows(&statement.after_image));
        let changes = changes::<DB>(before, after);
        let images = [&statement.before_image, &statement.after_image];
        let Some(image) = images.into_iter().flatten().find(|image| !image.rows.is_empty()) else {
            return Ok(());
        };
        if changes.is_empty() {
            return Ok(());
        }
        let structure = self.structure(image).await?;
        check_image(&structure.table, before)?;
        check_image(&structure.table, after)?;
        let current = match self.options.data_validation {
            true => self.current(&changes, &structure).await?,
            false => changes.iter().filter_map(|change| change.after).cloned().collect(),
        };
        let steps = self.steps(&changes, &current, &structure.table)?;
        let Self { connection, options, .. } = self;
        Steps { connection, options, structure: &structure }.run(steps).await
    }

    /// What is to be done, the rows that were changed last first.
    fn steps<'r>(
        &self,
        changes: &[RowChange<'r>],
        current: &'r [Row],
        table: &Table<DB>,
    ) -> Result<Vec<Step<'r>>, UndoError> {
        let current = ByKey::new(current);
        let (mut steps, mut dirty) = (Vec::new(), Vec::new());
        for change in changes.iter().rev() {
            let now = current.find(change.keyed());
            if same::<DB>(change.after, now) {
                steps.extend(change.step(now));
                continue;
            }
            if same::<DB>(change.before, now) {
                continue;
            }
            let row = change.dirty(self.task, &table.name, now);
            match self.options.choice(&row) {
                DirtyChoice::Skip => {}
                DirtyChoice::Force if now.is_some() || change.is_whole(table) => {
                    steps.extend(change.step(now));
                }
                DirtyChoice::Force | DirtyChoice::Park => dirty.push(row),
            }
        }
        if dirty.is_empty() { Ok(steps) } else { Err(UndoError::Dirty(dirty)) }
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
    async fn current(
        &mut self,
        changes: &[RowChange<'_>],
        structure: &Structure<DB>,
    ) -> Result<Vec<Row>, UndoError> {
        let keys: Vec<Row> = changes.iter().map(|change| change.keyed().clone()).collect();
        let table = &*structure.table;
        let columns: Vec<_> = keys[0].fields.iter().filter_map(|field| table.column(&field.name)).collect();
        let reading = Reading { table, columns: &columns, zone: &self.options.zone };
        Ok(reading.by_keys(self.connection, &keys).await?)
    }
}

/// A peer may write `null` for no rows.
fn rows(image: &Option<TableRecords>) -> &[Row] {
    image.as_ref().map_or(&[], |image| &image.rows)
}

/// What one statement did to one row.
struct RowChange<'r> {
    before: Option<&'r Row>,
    after: Option<&'r Row>,
}

impl<'r> RowChange<'r> {
    /// An image of it, for its key.
    fn keyed(&self) -> &'r Row {
        self.before.or(self.after).expect("it comes from one of the two images")
    }

    /// What makes the row, as it is now, what it was before.
    fn step(&self, now: Option<&'r Row>) -> Option<Step<'r>> {
        match (now, self.before) {
            (Some(_), Some(before)) => Some(Step::Restore(before)),
            (Some(now), None) => Some(Step::Remove(now)),
            (None, Some(before)) => Some(Step::Add(before)),
            (None, None) => None,
        }
    }

    /// Whether the row could be added as it was: an image of an UPDATE holds some columns only.
    fn is_whole<DB: Dialect>(&self, table: &Table<DB>) -> bool {
        let written = table.columns.iter().filter(|column| !column.is_generated);
        self.before.is_none_or(|row| written.into_iter().all(|column| row.value(&column.name).is_some()))
    }

    fn dirty(&self, task: &BranchTask, table: &str, now: Option<&Row>) -> DirtyRow {
        DirtyRow {
            xid: task.xid.clone(),
            table: table.to_owned(),
            key: identity(self.keyed()),
            before: self.before.cloned(),
            after: self.after.cloned(),
            current: now.cloned(),
        }
    }
}

/// The rows of both images by their keys, in the order of the images; those that the statement left as they were
/// need nothing.
fn changes<'r, DB: Dialect>(before: &'r [Row], after: &'r [Row]) -> Vec<RowChange<'r>> {
    let (old, new) = (ByKey::new(before), ByKey::new(after));
    let known = before.iter().map(|row| RowChange { before: Some(row), after: new.find(row) });
    let added = after.iter().filter(|row| old.find(row).is_none());
    let added = added.map(|row| RowChange { before: None, after: Some(row) });
    known.chain(added).filter(|change| !same::<DB>(change.before, change.after)).collect()
}

/// Whether the row is as the image has it. Only the columns of the image are looked at.
fn same<DB: Dialect>(image: Option<&Row>, row: Option<&Row>) -> bool {
    match (image, row) {
        (None, None) => true,
        (Some(image), Some(row)) => image.fields.iter().all(|field| {
            let other = row.fields.iter().find(|other| other.name.eq_ignore_ascii_case(&field.name));
            other.is_some_and(|other| {
                let same_type = !DB::VALUES_HAVE_TYPES || field.jdbc_type == other.jdbc_type;
                same_type && field.same_value(other)
            })
        }),
        _ => false,
    }
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
