//! Several statements in one round trip, on a server that takes them so.

use futures_util::TryStreamExt;
use sqlx::Either;

use super::{Change, ChangeError};
use crate::{
    dialect::{Call, Dialect, Output, execute},
    image::{self, ImageError},
    undo::Row,
};

impl<DB: Dialect> Change<'_, DB> {
    /// Opens the local transaction, if that is still to be done.
    pub(super) async fn open(&mut self) -> Result<(), ChangeError> {
        if let Some(opening) = self.opening {
            execute::<DB>(self.connection, Call::text(opening)).await.map_err(ChangeError::Doubtful)?;
            self.opening = None;
        }
        Ok(())
    }

    /// This statement, behind that which opens the local transaction. It is open once this has run.
    pub(super) fn opening(&self, sql: String) -> String {
        match (self.opening, self.surroundings.capabilities.block) {
            (Some(opening), Some(block)) => block(&[opening, &sql]),
            _ => sql,
        }
    }

    /// One call of a statement and of a query for these rows as they are afterwards, with the arguments that were
    /// collected for the statement and those of the keys behind them. `None` where it takes two calls.
    pub(super) fn with_image(
        &self,
        sql: &str,
        keys: &mut image::Arguments<'_, DB>,
        rows: &[Row],
    ) -> Result<Option<String>, ImageError> {
        /// Each number of keys is another statement to prepare.
        const FEW: usize = 8;
        let is_prepared = self.call.persistent && self.call.arguments.is_some();
        let fits = (1..=FEW).contains(&rows.len()) && !self.write.has_returning && is_prepared;
        let (Some(block), true) = (self.surroundings.capabilities.block, fits) else { return Ok(None) };
        let query = self.reading.query_by_keys(DB::FOR_UPDATE, keys, rows)?;
        Ok(Some(block(&[sql, &query])))
    }

    /// Runs a call of [`with_image`](Self::with_image): what the statement answers, and the rows.
    pub(super) async fn run_with_image(
        &mut self,
        call: Call<DB>,
        keys: &[Row],
    ) -> Result<(Vec<Output<DB>>, Vec<Row>), ChangeError> {
        let (mut answer, mut after) = (None, Vec::new());
        let mut stream = DB::stream(&mut *self.connection, call);
        let read = async {
            while let Some(output) = stream.try_next().await? {
                match output {
                    Either::Left(result) => answer = Some(result),
                    Either::Right(row) => after.push(self.reading.row(&row, 0)?),
                }
            }
            Ok(())
        };
        let read: Result<(), ImageError> = read.await;
        drop(stream);
        read.map_err(|error| match error {
            // Past the statement there is none that is told of a single statement: the table is held as it is.
            ImageError::Database(error) if after.is_empty() => self.failed(error),
            error => self.doubtful(error),
        })?;
        after.retain(|row| keys.iter().any(|key| image::same_key(row, key)));
        Ok((answer.into_iter().map(Either::Left).collect(), after))
    }
}
