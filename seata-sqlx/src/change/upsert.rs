//! INSERT that may change rows which are there, in databases that tell which ones it changed.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use super::{Change, ChangeError, Changed, RELEASE, ROLLBACK, SAVEPOINT, log};
use crate::{
    dialect::{ColumnOf, Dialect, Output},
    image::identity,
    sql::Kind,
    undo::{Field, Row, SqlType},
};

/// A form of an upsert that tells of each row whether it was there before.
pub struct Marked {
    /// A statement to run first.
    pub(crate) prepare: Option<&'static str>,
    /// The whole statement.
    pub(crate) statement: String,
    /// What a RETURNING clause has to list: a truth value.
    pub(crate) expression: &'static str,
}

/// Rows as an upsert left them.
struct Touched {
    inserted: Vec<Row>,
    updated: Vec<Row>,
    /// Each time that one was touched.
    all: Vec<(Row, bool)>,
}

impl<DB: Dialect> Change<'_, DB> {
    /// It is run until it changes none but those rows whose image was taken before it ran.
    pub(super) async fn upsert(&mut self) -> Result<Changed<DB>, ChangeError> {
        /// Each time, others have added a row that it changes instead of its own.
        const TRIES: usize = 10;
        self.open().await?;
        let sql = self.call.sql.clone();
        let marked = DB::mark_updates(sql.as_str(), self.write, self.reading.table);
        let mut before: Vec<Row> = Vec::new();
        for _ in 0..TRIES {
            self.text(SAVEPOINT).await?;
            let ran = self.run_marked(sql.as_str(), &marked).await;
            if matches!(ran, Err(ChangeError::Unchanged(_))) {
                self.take_back().await?;
            }
            let (outputs, touched) = ran?;
            let known: HashSet<String> = before.iter().map(identity).collect();
            if touched.updated.iter().all(|row| known.contains(&identity(row))) {
                self.text(RELEASE).await?;
                let affected = touched.count(&before, &self.set_by_database());
                let touches_again = touched.touches_again();
                let Touched { mut inserted, mut updated, .. } = touched;
                let outputs = self.with_result(outputs, &inserted, &updated, affected).await?;
                if !self.set_by_database().is_empty() {
                    // MariaDB gives back what it would have set in a row that it then leaves as it is.
                    updated = self.read_by_keys(&updated).await?;
                    if touches_again {
                        inserted = self.read_by_keys(&inserted).await?;
                    }
                }
                return self.merged(outputs, before, inserted, updated);
            }
            self.take_back().await?;
            before = self.read_by_keys(&touched.updated).await?;
        }
        Err(self.mismatch("others keep adding the rows that it would change"))
    }

    /// The columns that the database itself sets in each row that is changed.
    fn set_by_database(&self) -> Vec<&str> {
        let Kind::Upsert { columns } = &self.write.kind else { return Vec::new() };
        let by_itself = |column: &&ColumnOf<DB>| {
            column.is_updated_by_database && !columns.iter().any(|set| set.eq_ignore_ascii_case(&column.name))
        };
        self.reading.table.columns.iter().filter(by_itself).map(|column| column.name.as_str()).collect()
    }

    async fn take_back(&mut self) -> Result<(), ChangeError> {
        self.text(ROLLBACK).await?;
        self.text(RELEASE).await
    }

    async fn run_marked(
        &mut self,
        sql: &str,
        marked: &Marked,
    ) -> Result<(Vec<Output<DB>>, Touched), ChangeError> {
        if let Some(statement) = marked.prepare {
            self.text(statement).await?;
        }
        // The mark stands before the RETURNING clause.
        let behind = sql.len() - self.write.returning_at.unwrap_or(sql.len());
        let statement = &marked.statement[..marked.statement.len() - behind];
        let columns = self.reading.columns;
        let (outputs, rows) = self.run_returning(statement, columns, Some(marked.expression)).await?;
        Ok((outputs, Touched::new(rows)))
    }

    fn merged(
        &self,
        outputs: Vec<Output<DB>>,
        mut before: Vec<Row>,
        inserted: Vec<Row>,
        updated: Vec<Row>,
    ) -> Result<Changed<DB>, ChangeError> {
        let changed: HashSet<String> = updated.iter().map(identity).collect();
        before.retain(|row| changed.contains(&identity(row)));
        let mut locks = self.locks(&updated).map_err(|error| self.doubtful(error))?;
        locks.append(&mut self.locks(&inserted).map_err(|error| self.doubtful(error))?);
        let updated = log(SqlType::Update, self.reading.table, before, updated);
        let inserted = log(SqlType::Insert, self.reading.table, Vec::new(), inserted);
        Ok(Changed::new(outputs, updated.into_iter().chain(inserted), locks))
    }
}

impl Touched {
    fn new(rows: Vec<(Row, bool)>) -> Self {
        // A row may be touched twice, and is as it was left last. One that the statement itself inserted was not
        // there before.
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut distinct: Vec<(Row, bool)> = Vec::new();
        let all = rows.clone();
        for (row, is_updated) in rows {
            match places.entry(identity(&row)) {
                Entry::Occupied(place) => distinct[*place.get()].0 = row,
                Entry::Vacant(place) => {
                    place.insert(distinct.len());
                    distinct.push((row, is_updated));
                }
            }
        }
        let (updated, inserted): (Vec<_>, Vec<_>) =
            distinct.into_iter().partition(|(_, is_updated)| *is_updated);
        let rows = |touched: Vec<(Row, bool)>| touched.into_iter().map(|(row, _)| row).collect();
        Self { inserted: rows(inserted), updated: rows(updated), all }
    }

    /// Some row was touched more than once.
    fn touches_again(&self) -> bool {
        self.all.len() > self.inserted.len() + self.updated.len()
    }

    /// As MySQL counts: a row that was added once, one that was changed twice, one that stayed as it was once.
    fn count(&self, before: &[Row], set_by_database: &[&str]) -> u64 {
        let mut latest: HashMap<String, &Row> = before.iter().map(|row| (identity(row), row)).collect();
        let set = |row: &Row| -> Vec<Field> {
            let by_user = |field: &&Field| !set_by_database.contains(&field.name.as_str());
            row.fields.iter().filter(by_user).cloned().collect()
        };
        let mut count = 0;
        for (row, is_updated) in &self.all {
            let was = latest.insert(identity(row), row);
            let is_same = was.is_some_and(|was| set(was) == set(row));
            count += if *is_updated && !is_same { 2 } else { 1 };
        }
        count
    }
}
