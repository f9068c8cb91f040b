//! What one statement changed becomes what it was.

use seata_context::BranchTask;
use seata_protocol::BranchId;
use sqlx::Error;

use crate::{
    data_source::Options,
    dialect::Dialect,
    image::{ByKey, ImageError, Reading, identity},
    phase_two::{
        changes::{RowChange, changes, same, structure},
        dirty::{self, DirtyChoice, DirtyRow},
        steps::{Step, Steps},
    },
    sql::Refusal,
    structure::{Structure, StructureCache, Table},
    undo::{ReadError, Row, SqlUndoLog},
};

/// Why a branch is not rolled back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
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
        let changes = changes::<DB>(self.statement);
        let structure = structure(self.connection, self.structures, self.statement, &changes).await?;
        let Some(structure) = structure else { return Ok(()) };
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
                steps.extend(step(change, now));
                continue;
            }
            if same::<DB>(change.before, now) {
                continue;
            }
            let row = self.dirty(change, table, now);
            match self.options.choice(&row) {
                DirtyChoice::Skip => {}
                DirtyChoice::Force if now.is_some() || change.is_whole(table) => {
                    steps.extend(step(change, now));
                }
                DirtyChoice::Force | DirtyChoice::Park => dirty.push(row),
            }
        }
        if dirty.is_empty() { Ok(steps) } else { Err(UndoError::Dirty(dirty)) }
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

    fn dirty(&self, change: &RowChange<'_>, table: &Table<DB>, now: Option<&Row>) -> DirtyRow {
        DirtyRow {
            xid: self.task.xid.clone(),
            table: table.name.clone(),
            key: identity(change.keyed()),
            before: change.before.cloned(),
            after: change.after.cloned(),
            current: now.cloned(),
        }
    }
}

/// What makes the row, as it is now, what it was before.
fn step<'r>(change: &RowChange<'r>, now: Option<&'r Row>) -> Option<Step<'r>> {
    match (now, change.before) {
        (Some(_), Some(before)) => Some(Step::Restore(before)),
        (Some(now), None) => Some(Step::Remove(now)),
        (None, Some(before)) => Some(Step::Add(before)),
        (None, None) => None,
    }
}
