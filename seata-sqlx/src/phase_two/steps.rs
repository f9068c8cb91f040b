//! What is done with each row.

use crate::{
    data_source::Options,
    dialect::{Call, Dialect, execute, rows},
    image::{Arguments, identity},
    phase_two::undo::UndoError,
    structure::{Reference, Structure, Table},
    undo::{Field, Row},
};

/// A row that becomes what it was.
#[derive(Clone, Copy)]
pub(super) enum Step<'r> {
    Remove(&'r Row),
    Add(&'r Row),
    Restore(&'r Row),
}

/// Steps on one table, inside the open local transaction.
pub(super) struct Steps<'a, DB: Dialect> {
    pub(super) connection: &'a mut DB::Connection,
    pub(super) options: &'a Options,
    pub(super) structure: &'a Structure<DB>,
}

impl<'a, DB: Dialect> Steps<'a, DB> {
    /// Unique columns and references between the rows may let them go one order only: what clashes is tried again
    /// after the others.
    pub(super) async fn run(mut self, mut left: Vec<Step<'_>>) -> Result<(), UndoError> {
        if let [only] = left[..] {
            return self.one(only).await;
        }
        // Rows hardly ever clash, and a savepoint for each takes two round trips and a transaction id.
        if DB::ERROR_ENDS_TRANSACTION {
            match self.together(&left).await {
                Err(error) if error.may_pass() => {}
                done => return done,
            }
        }
        while !left.is_empty() {
            let mut clashed = Vec::new();
            let mut clash = None;
            for &step in &left {
                match self.together(&[step]).await {
                    Ok(()) => {}
                    Err(error) if error.may_pass() => {
                        clashed.push(step);
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

    /// One after the other, up to the first that fails. A row that clashes leaves the local transaction as it was.
    async fn together(&mut self, steps: &[Step<'_>]) -> Result<(), UndoError> {
        const SAVEPOINT: &str = "SAVEPOINT seata_rows";
        const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT seata_rows";
        const RELEASE: &str = "RELEASE SAVEPOINT seata_rows";
        if !DB::ERROR_ENDS_TRANSACTION {
            return self.each(steps).await;
        }
        self.text(SAVEPOINT).await?;
        let done = self.each(steps).await;
        match &done {
            Err(error) if error.may_pass() => {
                self.text(ROLLBACK).await?;
                self.text(RELEASE).await?;
            }
            Ok(()) => self.text(RELEASE).await?,
            Err(_) => {}
        }
        done
    }

    async fn each(&mut self, steps: &[Step<'_>]) -> Result<(), UndoError> {
        for &step in steps {
            self.one(step).await?;
        }
        Ok(())
    }

    async fn one(&mut self, step: Step<'_>) -> Result<(), UndoError> {
        match step {
            Step::Remove(row) => self.remove(row).await,
            Step::Add(row) => self.add(row).await,
            Step::Restore(row) => self.restore(row).await,
        }
    }

    async fn text(&mut self, statement: &str) -> Result<(), UndoError> {
        execute::<DB>(self.connection, Call::text(statement)).await?;
        Ok(())
    }

    async fn remove(&mut self, row: &Row) -> Result<(), UndoError> {
        let structure = self.structure;
        let changes_others = |reference: &&Reference| reference.on_delete.is_some();
        let mut references = structure.table.references.iter().filter(changes_others).peekable();
        if structure.foreign_keys && references.peek().is_some() {
            self.keep_from_reference(row).await?;
            for reference in references {
                self.check_not_referred(row, reference).await?;
            }
        }
        let mut arguments = self.arguments();
        let condition = arguments.key_condition(row)?;
        let sql = format!("DELETE FROM {} WHERE {condition}", self.table().reference);
        let removed = execute(self.connection, arguments.call(sql)?).await?;
        self.expect_one(removed, row)
    }

    /// Waits for those who are about to refer to the row, and lets nobody do so any more.
    async fn keep_from_reference(&mut self, row: &Row) -> Result<(), UndoError> {
        let Some(lock) = DB::FOR_DELETE else { return Ok(()) };
        let mut arguments = self.arguments();
        let condition = arguments.key_condition(row)?;
        let sql = format!("SELECT 1 FROM {} WHERE {condition}{lock}", self.table().reference);
        rows::<DB>(self.connection, arguments.call(sql)?).await?;
        Ok(())
    }

    /// Rows of others that refer to this one would go with it, and no image holds them.
    async fn check_not_referred(&mut self, row: &Row, reference: &Reference) -> Result<(), UndoError> {
        let mut arguments = self.arguments();
        let mut conditions = Vec::new();
        for (child, own) in &reference.columns {
            let value = match row.field(own) {
                Some(field) => arguments.parameter(field)?,
                // The database computes it, and no image holds it.
                None => {
                    let condition = arguments.key_condition(row)?;
                    format!("(SELECT {} FROM {} WHERE {condition})", DB::quote(own), self.table().reference)
                }
            };
            conditions.push(format!("{} = {value}", DB::quote(child)));
        }
        // A row may refer to itself, and goes as a whole.
        if reference.child_reference == self.table().reference {
            conditions.push(format!("NOT ({})", arguments.key_condition(row)?));
        }
        let child = &reference.child_reference;
        let sql =
            format!("SELECT 1 FROM {child} WHERE {} LIMIT 1{}", conditions.join(" AND "), DB::FOR_UPDATE);
        let referring = rows::<DB>(self.connection, arguments.call(sql)?).await?;
        if referring.is_empty() {
            return Ok(());
        }
        Err(UndoError::Referred(format!(
            "rows of {} refer to the inserted row {} of {} and would be changed with it",
            reference.child,
            identity(row),
            self.table().name
        )))
    }

    async fn add(&mut self, row: &Row) -> Result<(), UndoError> {
        let table = self.table();
        let mut arguments = self.arguments();
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

    async fn restore(&mut self, row: &Row) -> Result<(), UndoError> {
        let table = self.table();
        let mut arguments = self.arguments();
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

    fn table(&self) -> &'a Table<DB> {
        let structure: &'a Structure<DB> = self.structure;
        &structure.table
    }

    fn arguments(&self) -> Arguments<'a, DB> {
        Arguments::new(self.table(), &self.options.zone)
    }

    /// Without validation a row may be gone, and nothing is said of it; more than one is never right.
    fn expect_one(&self, changed: u64, row: &Row) -> Result<(), UndoError> {
        match changed {
            1 => Ok(()),
            0 if !self.options.data_validation => Ok(()),
            _ => {
                let table = self.table().name.clone();
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
