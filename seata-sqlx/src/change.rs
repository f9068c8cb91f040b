//! One change of rows inside an open local transaction: image, statement, image.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use seata_protocol::{ResourceId, RowLock};
use sqlx::{Either, Error};

use crate::{
    data_source::Options,
    dialect::{
        Argument, Call, Capabilities, ColumnOf, Dialect, Output, Returned, collect, execute, rows_affected,
    },
    error::{AtError, shorten},
    image::{self, ImageError, Reading, in_steps},
    sql::{Flavor, Kind, Refusal, Write},
    structure::{Structure, StructureCache, Table, Trigger},
    undo::{Row, SqlType, SqlUndoLog, TableRecords, Zone},
};

mod block;
mod upsert;

pub(crate) use upsert::Marked;

/// What a statement did, with all that is needed to undo it.
pub(crate) struct Changed<DB: Dialect> {
    pub(crate) outputs: Vec<Output<DB>>,
    pub(crate) logs: Vec<SqlUndoLog>,
    pub(crate) locks: Vec<RowLock>,
    /// As in [`Work`](crate::branch::Work::answering); then the outputs hold no answer.
    pub(crate) answering: Option<String>,
}

impl<DB: Dialect> Changed<DB> {
    fn new(
        outputs: Vec<Output<DB>>,
        logs: impl IntoIterator<Item = SqlUndoLog>,
        locks: Vec<RowLock>,
    ) -> Self {
        Self { outputs, logs: logs.into_iter().collect(), locks, answering: None }
    }
}

/// Rows that a statement has touched, of which the driver said too little.
#[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "only MySQL's driver says too little"))]
pub struct Hidden<'a, DB: Dialect> {
    pub(crate) table: &'a Table<DB>,
    pub(crate) zone: &'a Zone,
    pub(crate) inserted: &'a [Row],
    pub(crate) updated: &'a [Row],
    /// How many rows the driver would have counted.
    pub(crate) affected: u64,
}

/// Why a statement did not run.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// The local transaction stands as it did before.
    Unchanged(Error),
    /// What the local transaction holds is no longer known in full: it has to be rolled back.
    Doubtful(Error),
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unchanged(error) | ChangeError::Doubtful(error) => error,
        }
    }
}

/// What stays the same for every statement of a data source.
pub(crate) struct Surroundings<'a, DB: Dialect> {
    pub(crate) resource: &'a ResourceId,
    pub(crate) structures: &'a StructureCache<DB>,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) options: &'a Options,
    /// The user may run what [`Changed::answering`] runs.
    pub(crate) may_answer_later: bool,
}

/// Runs `call`, which `write` describes. The local transaction is open already, unless `opening` is still to open it: for
/// a server that takes several statements in one call. What is asked of the table then comes before it.
pub(crate) async fn run<DB: Dialect>(
    surroundings: &Surroundings<'_, DB>,
    connection: &mut DB::Connection,
    opening: Option<&'static str>,
    call: &Call<DB>,
    write: &Write,
) -> Result<Changed<DB>, ChangeError> {
    let statement = call.sql.as_str();
    let refused = |reason| ChangeError::Unchanged(AtError::refused(reason, statement).into());
    check_arguments(call, write.rows.parameters).map_err(|error| ChangeError::Unchanged(error.into()))?;
    if write.rows.table.eq_ignore_ascii_case(&surroundings.options.undo_table) {
        return Err(refused(Refusal::UndoTable(write.rows.table.clone())));
    }
    let mut may_be_altered = true;
    loop {
        let structure = admitted(surroundings, connection, write).await;
        let table = structure.map_err(ChangeError::Doubtful)?.map_err(refused)?.table;
        let changed = run_on(surroundings, connection, opening, call, write, &table).await;
        let Err(ChangeError::Unchanged(error) | ChangeError::Doubtful(error)) = &changed else {
            return changed;
        };
        if !DB::tells_of_alteration(error) {
            return changed;
        }
        surroundings.structures.forget(&table);
        let is_unchanged = matches!(changed, Err(ChangeError::Unchanged(_)));
        if !is_unchanged || !std::mem::take(&mut may_be_altered) {
            return changed;
        }
    }
}

/// The structure of the table, if this change of it can be undone. One that is known from before may lack a column.
async fn admitted<DB: Dialect>(
    surroundings: &Surroundings<'_, DB>,
    connection: &mut DB::Connection,
    write: &Write,
) -> Result<Result<Structure<DB>, Refusal>, Error> {
    let name = write.rows.name();
    let load = async |connection: &mut DB::Connection| {
        let structure = DB::structure(connection, surroundings.structures, &name).await?;
        Ok::<_, Error>(structure.map(|structure| {
            let admitted = structure.table.admit(write, structure.foreign_keys);
            (structure, admitted)
        }))
    };
    let found = load(connection).await?;
    let found = match found {
        Ok((structure, Err(Refusal::UnknownColumn { .. }))) => {
            surroundings.structures.forget(&structure.table);
            load(connection).await?
        }
        found => found,
    };
    Ok(found.and_then(|(structure, admitted)| admitted.map(|()| structure)))
}

async fn run_on<DB: Dialect>(
    surroundings: &Surroundings<'_, DB>,
    connection: &mut DB::Connection,
    opening: Option<&'static str>,
    call: &Call<DB>,
    write: &Write,
    table: &Table<DB>,
) -> Result<Changed<DB>, ChangeError> {
    let refused = |reason| ChangeError::Unchanged(AtError::refused(reason, call.sql.as_str()).into());
    let columns = table.image_columns(&write.kind);
    let zone = &surroundings.options.zone;
    let reading = Reading { table, columns: &columns, zone };
    let returned = match write.kind {
        Kind::Insert | Kind::Upsert { .. } => surroundings.capabilities.insert,
        Kind::Update { .. } => surroundings.capabilities.update,
        Kind::Delete => surroundings.capabilities.delete,
    };
    let returned = if write.returning_at.is_none() { Returned::Nothing } else { returned };
    let mut change = Change { surroundings, connection, opening, call, write, reading, returned };
    if DB::HIDES_RESULTS && write.kind == Kind::Insert && !write.has_returning {
        // The rows are touched once more, to no effect but that.
        let fires = |trigger: &&Trigger| trigger.events.contains(&"UPDATE");
        let trigger = table.triggers.iter().find(fires);
        // A counted key is all that the answer says, and a statement that goes with the undo log can say it as well.
        let answers_later = opening.is_some()
            && surroundings.may_answer_later
            && returned == Returned::Image
            && trigger.is_none()
            && DB::counts_one(write, table);
        if !answers_later && let Some(condition) = DB::added_rows(write, table, returned) {
            return change.insert_told(condition).await;
        }
        if let Some(trigger) = trigger {
            let (table, trigger) = (table.name.clone(), trigger.name.clone());
            return Err(refused(Refusal::Trigger { table, trigger }));
        }
    }
    match (&write.kind, returned) {
        (Kind::Insert, Returned::Image) => change.insert_returning().await,
        (Kind::Insert, Returned::Keys) if !write.has_returning => change.insert().await,
        (Kind::Upsert { .. }, Returned::Image) => change.upsert().await,
        (Kind::Insert | Kind::Upsert { .. }, Returned::Keys) => change.rehearsed().await,
        (Kind::Insert | Kind::Upsert { .. }, Returned::Nothing) => Err(refused(Refusal::NoReturning)),
        (Kind::Delete, Returned::Image) => change.delete_returning().await,
        (Kind::Update { .. } | Kind::Delete, _) => change.selected().await,
    }
}

pub(crate) fn check_arguments<DB: Dialect>(call: &Call<DB>, expected: usize) -> Result<(), AtError> {
    use sqlx::Arguments as _;
    let found = call.arguments.as_ref().map_or(0, |arguments| arguments.len());
    // With too many of them sqlx's driver for MySQL sends nothing, and waits for the answer when it is used next.
    if found == expected || (found > expected && DB::FLAVOR != Flavor::MySql) {
        return Ok(());
    }
    Err(AtError::ArgumentCount { expected, found, statement: shorten(call.sql.as_str()) })
}

struct Change<'a, DB: Dialect> {
    surroundings: &'a Surroundings<'a, DB>,
    connection: &'a mut DB::Connection,
    /// The statement that is still to open the local transaction.
    opening: Option<&'static str>,
    call: &'a Call<DB>,
    write: &'a Write,
    reading: Reading<'a, DB>,
    /// What can be had of the rows from the statement itself.
    returned: Returned,
}

const SAVEPOINT: &str = "SAVEPOINT seata_rehearsal";
const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT seata_rehearsal";
const RELEASE: &str = "RELEASE SAVEPOINT seata_rehearsal";

impl<DB: Dialect> Change<'_, DB> {
    /// UPDATE and DELETE: the rows are known beforehand by the statement's own condition.
    async fn selected(&mut self) -> Result<Changed<DB>, ChangeError> {
        let Reading { table, columns, .. } = self.reading;
        let selected = self.write.rows.as_changed(self.surroundings.capabilities.share_locks);
        let call = self.call.with_sql(self.opening(image::selecting::<DB>(selected, table, columns)));
        let limit = self.surroundings.options.max_image_rows;
        let before = self.reading.run(self.connection, call, limit).await;
        let mut before = before.map_err(|error| self.unchanged(error))?;
        self.opening = None;
        if self.write.rows.source.is_some() {
            // Each of the rows joined to it selects it once.
            let mut seen = HashSet::new();
            before.retain(|row| seen.insert(image::identity(row)));
        }
        if self.write.kind == Kind::Delete {
            self.check_current().await?;
        }
        let locks = self.locks(&before).map_err(|error| self.unchanged(error))?;
        let (outputs, touched, after) = match self.returned {
            Returned::Nothing => {
                let (outputs, after) = self.run_narrowed(&before).await?;
                (outputs, None, after)
            }
            Returned::Image => {
                let (outputs, touched) = self.run_with(columns).await?;
                (outputs, Some(touched), None)
            }
            _ => {
                let (outputs, touched) = self.run_statement().await?;
                (outputs, touched, None)
            }
        };
        self.check_touched(&before, &outputs, touched.as_deref())?;
        if before.is_empty() {
            return Ok(Changed::new(outputs, None, locks));
        }
        let after = match (after, touched) {
            (Some(after), _) => after,
            // Where rows may be passed over, it gives fewer.
            (None, Some(after)) if self.returned == Returned::Image && after.len() == before.len() => after,
            _ => self.read_by_keys(&before).await?,
        };
        let log = if self.write.kind == Kind::Delete {
            // As many as were selected, and none of those is left: they are the same.
            if !after.is_empty() {
                return Err(self.mismatch("some of the selected rows are still there"));
            }
            log(SqlType::Delete, table, before, Vec::new())
        } else {
            if after.len() != before.len() {
                return Err(self.mismatch("some of them are gone"));
            }
            log(SqlType::Update, table, before, after)
        };
        Ok(Changed::new(outputs, log, locks))
    }

    /// A column that is not known yet would be lost with its row.
    async fn check_current(&mut self) -> Result<(), ChangeError> {
        let table = self.reading.table;
        if DB::is_current(self.connection, table).await.map_err(|error| self.failed(error))? {
            return Ok(());
        }
        self.surroundings.structures.forget(table);
        let (table, statement) = (table.name.clone(), shorten(self.call.sql.as_str()));
        Err(ChangeError::Unchanged(AtError::Altered { table, statement }.into()))
    }

    /// DELETE that gives back what it removes.
    async fn delete_returning(&mut self) -> Result<Changed<DB>, ChangeError> {
        self.open().await?;
        let (outputs, before) = self.run_with(self.reading.columns).await?;
        if rows_affected::<DB>(&outputs) != before.len() as u64 {
            return Err(self.mismatch("it gave back other rows than it removed"));
        }
        let locks = self.locks(&before).map_err(|error| self.doubtful(error))?;
        Ok(Changed::new(outputs, log(SqlType::Delete, self.reading.table, before, Vec::new()), locks))
    }

    /// INSERT that adds rows only, whose words tell which.
    async fn insert_told(&mut self, condition: String) -> Result<Changed<DB>, ChangeError> {
        self.open().await?;
        let outputs =
            collect(self.connection, self.call.clone()).await.map_err(|error| self.failed(error))?;
        let Reading { table, columns, .. } = self.reading;
        let columns: Vec<String> = columns.iter().map(|column| DB::selected(column, None)).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {condition}{}",
            columns.join(", "),
            table.reference,
            DB::FOR_UPDATE
        );
        let limit = self.surroundings.options.max_image_rows;
        let after = self.reading.run(self.connection, self.call.with_sql(sql), limit).await;
        let after = after.map_err(|error| self.doubtful(error))?;
        let affected = rows_affected::<DB>(&outputs);
        if affected != after.len() as u64 {
            return Err(self.mismatch(&format!("{affected} rows added, {} found", after.len())));
        }
        let locks = self.locks(&after).map_err(|error| self.doubtful(error))?;
        Ok(Changed::new(outputs, log(SqlType::Insert, table, Vec::new(), after), locks))
    }

    /// The answer that the user's own words would have had.
    async fn with_result(
        &mut self,
        outputs: Vec<Output<DB>>,
        inserted: &[Row],
        updated: &[Row],
        affected: u64,
    ) -> Result<Vec<Output<DB>>, ChangeError> {
        if self.write.has_returning {
            return Ok(outputs);
        }
        let Reading { table, zone, .. } = self.reading;
        let hidden = Hidden { table, zone, inserted, updated, affected };
        let result = DB::hidden_result(self.connection, hidden).await.map_err(ChangeError::Doubtful)?;
        Ok(result.map_or(outputs, |result| vec![Either::Left(result)]))
    }

    /// The statement whose answer is that of this INSERT, if it is alone in its local transaction.
    fn answering(&self, is_alone: bool, inserted: &[Row]) -> Option<String> {
        let Reading { table, zone, .. } = self.reading;
        let affected = inserted.len() as u64;
        let hidden = Hidden { table, zone, inserted, updated: &[], affected };
        DB::answering(&hidden).filter(|_| is_alone && !self.write.has_returning)
    }

    /// INSERT that adds rows only and gives them back.
    async fn insert_returning(&mut self) -> Result<Changed<DB>, ChangeError> {
        let is_alone = self.opening.is_some();
        let (outputs, after) = self.run_with(self.reading.columns).await?;
        let locks = self.locks(&after).map_err(|error| self.doubtful(error))?;
        let (outputs, answering) = match self.answering(is_alone, &after) {
            Some(statement) => (Vec::new(), Some(statement)),
            None => (self.with_result(outputs, &after, &[], after.len() as u64).await?, None),
        };
        let log = log(SqlType::Insert, self.reading.table, Vec::new(), after);
        Ok(Changed { answering, ..Changed::new(outputs, log, locks) })
    }

    /// INSERT that adds rows only: their keys come back from the statement itself.
    async fn insert(&mut self) -> Result<Changed<DB>, ChangeError> {
        self.open().await?;
        let (outputs, touched) = self.run_statement().await?;
        let Some(keys) = touched else { return Err(self.mismatch("it gave no keys")) };
        let after = self.read_by_keys(&keys).await?;
        self.changed(outputs, &keys, Vec::new(), after)
    }

    /// INSERT that may change rows too, or that the user reads back: it is run once to see which rows
    /// it touches, taken back, and run again between two images of them.
    async fn rehearsed(&mut self) -> Result<Changed<DB>, ChangeError> {
        self.open().await?;
        self.text(SAVEPOINT).await?;
        let keys = self.run_with(&self.reading.table.key_columns()).await;
        let harmless = matches!(&keys, Ok(_) | Err(ChangeError::Unchanged(_)));
        if harmless {
            self.text(ROLLBACK).await?;
            self.text(RELEASE).await?;
        }
        let mut keys = keys?.1;
        let expected = sorted_identities(&keys);
        let mut seen = HashSet::new();
        keys.retain(|row| seen.insert(image::identity(row)));
        let before = match self.write.kind {
            Kind::Upsert { .. } => self.read_by_keys(&keys).await?,
            _ => Vec::new(),
        };
        let (outputs, touched) = self.run_statement().await?;
        let affected = rows_affected::<DB>(&outputs);
        if affected != expected.len() as u64
            || touched.is_some_and(|rows| sorted_identities(&rows) != expected)
        {
            return Err(self.mismatch("it does not touch the same rows twice"));
        }
        let after = self.read_by_keys(&keys).await?;
        self.changed(outputs, &keys, before, after)
    }

    fn changed(
        &self,
        outputs: Vec<Output<DB>>,
        keys: &[Row],
        before: Vec<Row>,
        after: Vec<Row>,
    ) -> Result<Changed<DB>, ChangeError> {
        let affected = rows_affected::<DB>(&outputs);
        let is_complete = match self.write.kind {
            // A row may be touched twice by one upsert.
            Kind::Upsert { .. } => affected >= after.len() as u64,
            _ => affected == after.len() as u64,
        };
        if after.len() != keys.len() || !is_complete {
            return Err(self.mismatch(&format!(
                "{affected} rows changed, {} keys known, {} rows found",
                keys.len(),
                after.len()
            )));
        }
        let locks = self.locks(&after).map_err(|error| self.doubtful(error))?;
        let old: HashSet<String> = before.iter().map(image::identity).collect();
        let (mut updated, mut inserted) = (Vec::new(), Vec::new());
        for row in after {
            if old.contains(&image::identity(&row)) { updated.push(row) } else { inserted.push(row) }
        }
        let updated = log(SqlType::Update, self.reading.table, before, updated);
        let inserted = log(SqlType::Insert, self.reading.table, Vec::new(), inserted);
        Ok(Changed::new(outputs, updated.into_iter().chain(inserted), locks))
    }

    /// The statement, kept to these rows where it might choose others than its image, and where the server takes both at
    /// once the rows as they are then.
    async fn run_narrowed(
        &mut self,
        rows: &[Row],
    ) -> Result<(Vec<Output<DB>>, Option<Vec<Row>>), ChangeError> {
        let Reading { table, zone, .. } = self.reading;
        let mut keys = image::Arguments::new(table, zone);
        let narrowed = self.narrowed(&mut keys, rows)?;
        let sql = narrowed.as_deref().unwrap_or(self.call.sql.as_str());
        let behind = self.call.sql.as_str().len() - self.write.ends_at.unwrap_or_default();
        let with_image = match self.write.ends_at {
            Some(_) => self.with_image(&sql[..sql.len() - behind], &mut keys, rows),
            None => Ok(None),
        };
        if let Some(block) = with_image.map_err(|error| self.unchanged(error))? {
            let call = keys.follow(self.call, block).map_err(ChangeError::Unchanged)?;
            let (outputs, after) = self.run_with_image(call, rows).await?;
            return Ok((outputs, Some(after)));
        }
        let call = match narrowed {
            Some(sql) => keys.follow(self.call, sql).map_err(ChangeError::Unchanged)?,
            None => self.call.clone(),
        };
        let outputs = collect(self.connection, call).await.map_err(|error| self.failed(error))?;
        Ok((outputs, None))
    }

    /// The text of the statement where it has to be kept to these rows, whose keys come behind its own arguments.
    fn narrowed(
        &self,
        keys: &mut image::Arguments<'_, DB>,
        rows: &[Row],
    ) -> Result<Option<String>, ChangeError> {
        /// What MySQL takes in one statement.
        const PARAMETERS: usize = 65_535;
        let Some(narrowing) = &self.write.narrowing else { return Ok(None) };
        let limit = PARAMETERS.saturating_sub(self.write.rows.parameters) / self.reading.table.key.len();
        if rows.len() > limit {
            // What it leaves and what it takes is looked at afterwards.
            if self.write.kind == Kind::Delete {
                return Ok(None);
            }
            let statement = shorten(self.call.sql.as_str());
            return Err(ChangeError::Unchanged(AtError::TooManyRows { limit, statement }.into()));
        }
        let qualifier = format!("{}.", self.write.rows.qualifier(DB::FLAVOR));
        let conditions: Result<Vec<String>, ImageError> = in_steps(rows, limit)
            .map(|row| Ok(format!("({})", keys.qualified_key_condition(row, &qualifier)?)))
            .collect();
        let conditions = conditions.map_err(|error| self.unchanged(error))?.join(" OR ");
        let keys_of = if rows.is_empty() { "FALSE" } else { &conditions };
        Ok(Some(narrowing.apply(self.call.sql.as_str(), keys_of)))
    }

    /// The statement, and the keys of the rows it touched unless the user reads rows of their own.
    async fn run_statement(&mut self) -> Result<(Vec<Output<DB>>, Option<Vec<Row>>), ChangeError> {
        if self.write.has_returning || self.returned == Returned::Nothing {
            let outputs = collect(self.connection, self.call.clone()).await;
            return Ok((outputs.map_err(|error| self.failed(error))?, None));
        }
        let (outputs, keys) = self.run_with(&self.reading.table.key_columns()).await?;
        Ok((outputs, Some(keys)))
    }

    /// The statement, and these columns of the rows it touched.
    async fn run_with(
        &mut self,
        columns: &[&ColumnOf<DB>],
    ) -> Result<(Vec<Output<DB>>, Vec<Row>), ChangeError> {
        let sql = self.call.sql.clone();
        let end = self.write.returning_at.unwrap_or(sql.as_str().len());
        let (outputs, rows) = self.run_returning(&sql.as_str()[..end], columns, None).await?;
        Ok((outputs, rows.into_iter().map(|(row, _)| row).collect()))
    }

    /// A form of the statement that ends where a RETURNING clause does, with these columns and a truth value in it. A
    /// user who reads rows back finds them behind his own columns.
    async fn run_returning(
        &mut self,
        sql: &str,
        columns: &[&ColumnOf<DB>],
        truth: Option<&str>,
    ) -> Result<(Vec<Output<DB>>, Vec<(Row, bool)>), ChangeError> {
        // Where other tables may be joined, a name alone may mean a column of theirs.
        let qualifier = (DB::FLAVOR == Flavor::Postgres).then(|| self.write.rows.qualifier(DB::FLAVOR));
        let listed = columns.iter().map(|column| DB::selected(column, qualifier.as_deref()));
        let listed = listed.chain(truth.map(str::to_owned)).enumerate();
        let listed: Vec<String> =
            listed.map(|(index, expression)| format!("{expression} AS seata_{index}")).collect();
        let clause = if self.write.has_returning { "," } else { " RETURNING" };
        let call = self.call.with_sql(self.opening(format!("{sql}{clause} {}", listed.join(", "))));
        let reading = Reading { columns, ..self.reading };
        let (limit, keeps) = (self.surroundings.options.max_image_rows, self.write.has_returning);
        let mut stream = DB::stream(&mut *self.connection, call);
        let read = async {
            let (mut outputs, mut rows) = (Vec::new(), Vec::new());
            while let Some(output) = stream.try_next().await? {
                if let Either::Right(row) = &output {
                    if rows.len() == limit {
                        return Err(ImageError::TooManyRows);
                    }
                    let first = sqlx::Row::len(row) - listed.len();
                    let is_true = truth.is_some() && is_true::<DB>(row, first + columns.len())?;
                    rows.push((reading.row(row, first)?, is_true));
                }
                // A user who asked for no rows gets none.
                if keeps || output.is_left() {
                    outputs.push(output);
                }
            }
            Ok((outputs, rows))
        };
        let read = read.await;
        drop(stream);
        let (mut outputs, rows) = read.map_err(|error| match error {
            ImageError::Database(error) => self.failed(error),
            error => self.doubtful(error),
        })?;
        if self.opening.take().is_some() {
            // That of the whole call.
            outputs.pop();
        }
        Ok((outputs, rows))
    }

    async fn read_by_keys(&mut self, keys: &[Row]) -> Result<Vec<Row>, ChangeError> {
        let found = self.reading.by_keys(self.connection, keys).await;
        found.map_err(|error| self.doubtful(error))
    }

    async fn text(&mut self, sql: &str) -> Result<(), ChangeError> {
        let done = execute::<DB>(self.connection, Call::text(sql)).await;
        done.map(drop).map_err(ChangeError::Doubtful)
    }

    fn locks(&self, rows: &[Row]) -> Result<Vec<RowLock>, ImageError> {
        let Reading { table, zone, .. } = self.reading;
        rows.iter().map(|row| image::lock(self.surroundings.resource, table, row, zone)).collect()
    }

    /// The statement must have changed exactly the rows of its image; where rows may be passed over, no others.
    fn check_touched(
        &self,
        before: &[Row],
        outputs: &[Output<DB>],
        touched: Option<&[Row]>,
    ) -> Result<(), ChangeError> {
        let affected = match DB::HIDES_RESULTS && self.write.has_returning {
            true => outputs.iter().filter(|output| output.is_right()).count() as u64,
            false => rows_affected::<DB>(outputs),
        };
        let expected = before.len() as u64;
        let may_skip = self.write.may_skip || self.write.narrowing.is_some();
        if affected > expected || (affected < expected && !may_skip) {
            return Err(self.mismatch(&format!("{expected} rows selected, {affected} changed")));
        }
        let Some(touched) = touched else { return Ok(()) };
        let selected: HashSet<String> = before.iter().map(image::identity).collect();
        match touched.iter().map(image::identity).find(|row| !selected.contains(row)) {
            None => Ok(()),
            Some(row) => Err(self.mismatch(&format!("row {row} was not selected"))),
        }
    }

    fn mismatch(&self, detail: &str) -> ChangeError {
        let statement = shorten(self.call.sql.as_str());
        ChangeError::Doubtful(AtError::ImageMismatch { detail: detail.to_owned(), statement }.into())
    }

    /// The user's statement failed by itself.
    fn failed(&self, error: Error) -> ChangeError {
        if DB::keeps_transaction(&error) {
            ChangeError::Unchanged(error)
        } else {
            ChangeError::Doubtful(error)
        }
    }

    fn unchanged(&self, error: ImageError) -> ChangeError {
        match error {
            ImageError::Database(error @ Error::ColumnDecode { .. }) => ChangeError::Unchanged(error),
            ImageError::Database(error) => self.failed(error),
            error => ChangeError::Unchanged(self.explained(error)),
        }
    }

    fn doubtful(&self, error: ImageError) -> ChangeError {
        ChangeError::Doubtful(self.explained(error))
    }

    fn explained(&self, error: ImageError) -> Error {
        let statement = shorten(self.call.sql.as_str());
        match error {
            ImageError::Database(error) => error,
            ImageError::TooManyRows => {
                AtError::TooManyRows { limit: self.surroundings.options.max_image_rows, statement }.into()
            }
            ImageError::UnusableKey(detail) | ImageError::Unwritable(detail) => {
                AtError::UnusableKey { table: self.reading.table.name.clone(), detail, statement }.into()
            }
        }
    }
}

/// A row that is touched twice stands there twice.
fn sorted_identities(rows: &[Row]) -> Vec<String> {
    let mut identities: Vec<String> = rows.iter().map(image::identity).collect();
    identities.sort_unstable();
    identities
}

fn is_true<DB: Dialect>(row: &DB::Row, index: usize) -> Result<bool, Error> {
    Ok(match DB::argument_at(row, index)? {
        Argument::Boolean(value) => value,
        Argument::Integer(value) => value != 0,
        _ => false,
    })
}

/// `None` where there is nothing to undo.
fn log<DB: Dialect>(
    sql_type: SqlType,
    table: &Table<DB>,
    before: Vec<Row>,
    after: Vec<Row>,
) -> Option<SqlUndoLog> {
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let records = |rows| Some(TableRecords { table_name: table.name.clone(), rows });
    let (before_image, after_image) = (records(before), records(after));
    Some(SqlUndoLog { sql_type, table_name: table.reference.clone(), before_image, after_image })
}
