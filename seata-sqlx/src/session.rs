//! A pooled connection that is closed, never pooled, while the state of its transaction is in doubt.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures_util::StreamExt as _;
use sqlx::{Error, Pool, pool::PoolConnection};

use crate::dialect::{Call, Dialect, execute};

/// How long a ROLLBACK may take, before the connection is closed and the server does it by itself.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(30);

/// How a COMMIT ended that did not succeed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// The database refused the statement before it. Nothing is committed; the ROLLBACK may not be confirmed.
    NotReached { error: Error, is_rolled_back: bool },
    /// The database refused it, and confirmed the ROLLBACK.
    RolledBack(Error),
    /// The local transaction is committed, or it is not.
    Unknown(Error),
}

/// A connection of the pool, taken when it is needed first.
///
/// From BEGIN to the confirmed end of the transaction the connection is in doubt. Dropped there, at
/// whatever await, it is closed: the database then rolls back, and the pool opens another.
pub(crate) struct Session<DB: Dialect> {
    pool: Pool<DB>,
    connection: Option<PoolConnection<DB>>,
    in_doubt: bool,
}

impl<DB: Dialect> Session<DB> {
    pub(crate) fn new(pool: Pool<DB>) -> Self {
        Self { pool, connection: None, in_doubt: false }
    }

    pub(crate) async fn connection(&mut self) -> Result<&mut DB::Connection, Error> {
        if self.connection.is_none() {
            self.connection = Some(self.pool.acquire().await?);
        }
        Ok(self.connection.as_mut().expect("it was put there by the lines above"))
    }

    pub(crate) async fn begin(&mut self, statement: &str) -> Result<(), Error> {
        self.connection().await?;
        let mut session = self.until_decided();
        session.in_doubt = true;
        match session.run(statement).await {
            Ok(()) => {
                // Open from here on, and the caller's to end.
                std::mem::forget(session);
                Ok(())
            }
            Err(error) => {
                // An answer of the database means that nothing has begun, as when the file is busy.
                if error.as_database_error().is_some() {
                    session.in_doubt = false;
                }
                Err(error)
            }
        }
    }

    /// The same, but with the caller's first statement, whose call begins the transaction.
    pub(crate) async fn begin_with_first(&mut self) -> Result<(), Error> {
        self.connection().await?;
        self.in_doubt = true;
        Ok(())
    }

    /// Runs a statement that belongs to the beginning of the transaction. If it fails, nothing is open.
    pub(crate) async fn go_on(&mut self, statement: &str) -> Result<(), Error> {
        let mut session = self.until_decided();
        match session.run(statement).await {
            Ok(()) => {
                std::mem::forget(session);
                Ok(())
            }
            Err(error) => {
                session.rollback().await;
                Err(error)
            }
        }
    }

    pub(crate) async fn commit(&mut self) -> Result<(), CommitError> {
        let Err(error) = self.run("COMMIT").await else {
            self.in_doubt = false;
            return Ok(());
        };
        Err(self.not_committed(error).await)
    }

    /// Runs these statements, which have no arguments, and commits, in one round trip. Gives what the first one answered.
    pub(crate) async fn commit_after(
        &mut self,
        statements: &[&str],
    ) -> Result<Option<DB::QueryResult>, CommitError> {
        let text = statements.iter().copied().chain(["COMMIT"]).collect::<Vec<_>>().join("; ");
        let (mut answers, failed) = self.run_all(text).await;
        let Some(error) = failed else {
            self.in_doubt = false;
            return Ok((!answers.is_empty()).then(|| answers.swap_remove(0)));
        };
        // What follows a statement that fails is not run.
        if answers.len() < statements.len() && error.as_database_error().is_some() {
            let is_rolled_back = self.rollback().await;
            return Err(CommitError::NotReached { error, is_rolled_back });
        }
        Err(self.not_committed(error).await)
    }

    async fn not_committed(&mut self, error: Error) -> CommitError {
        // Only an answer tells that the transaction is still open, and only a ROLLBACK that works proves it.
        if error.as_database_error().is_some() && self.rollback().await {
            return CommitError::RolledBack(error);
        }
        self.close();
        CommitError::Unknown(error)
    }

    /// Rolls back, and tells whether the database confirmed it. If not, the connection is closed.
    pub(crate) async fn rollback(&mut self) -> bool {
        if !self.in_doubt {
            return true;
        }
        let error = match tokio::time::timeout(ROLLBACK_LIMIT, self.run("ROLLBACK")).await {
            Ok(Ok(())) => {
                self.in_doubt = false;
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ROLLBACK_LIMIT:?}"),
        };
        tracing::warn!(error, "a local rollback was not confirmed; the connection is closed");
        self.close();
        false
    }

    /// Closes the connection if a call on it was dropped half-way.
    pub(crate) fn close_if_in_doubt(&mut self) {
        if self.in_doubt {
            self.close();
        }
    }

    /// For work at whose end nothing may be open: dropped half-way, it closes the connection at once, also where
    /// the session itself lives on. Until it is closed it may hold the file.
    pub(crate) fn until_decided(&mut self) -> UntilDecided<'_, DB> {
        UntilDecided(self)
    }

    /// Closes the connection, whatever goes on there.
    pub(crate) fn close(&mut self) {
        self.in_doubt = false;
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }

    async fn run(&mut self, statement: &str) -> Result<(), Error> {
        let connection = self.connection().await?;
        execute::<DB>(connection, Call::text(statement)).await.map(drop)
    }

    /// Several statements in one text, which give no rows: what each answered, up to the one that failed.
    async fn run_all(&mut self, statements: String) -> (Vec<DB::QueryResult>, Option<Error>) {
        let mut answers = Vec::new();
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return (answers, Some(error)),
        };
        let mut outputs = DB::stream(connection, Call::text(statements));
        while let Some(output) = outputs.next().await {
            match output {
                Ok(output) => answers.extend(output.left()),
                Err(error) => return (answers, Some(error)),
            }
        }
        (answers, None)
    }
}

impl<DB: Dialect> Drop for Session<DB> {
    fn drop(&mut self) {
        self.close_if_in_doubt();
    }
}

/// From [`Session::until_decided`].
pub(crate) struct UntilDecided<'s, DB: Dialect>(&'s mut Session<DB>);

impl<DB: Dialect> Deref for UntilDecided<'_, DB> {
    type Target = Session<DB>;

    fn deref(&self) -> &Session<DB> {
        self.0
    }
}

impl<DB: Dialect> DerefMut for UntilDecided<'_, DB> {
    fn deref_mut(&mut self) -> &mut Session<DB> {
        self.0
    }
}

impl<DB: Dialect> Drop for UntilDecided<'_, DB> {
    fn drop(&mut self) {
        self.close_if_in_doubt();
    }
}
