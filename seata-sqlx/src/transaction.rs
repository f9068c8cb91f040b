//! A local transaction in AT mode, with savepoints.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use sqlx::{Error, SqlStr};

use crate::{
    branch::{self, Attempt, FinishError, Patience, Work},
    caller::{Caller, Mode},
    connection::AtConnection,
    dialect::{Call, Dialect, execute},
    error::AtError,
};

/// A local transaction of an [`AtPool`](crate::AtPool), or a savepoint within one.
///
/// Inside a global transaction everything it changed becomes one branch when it commits. It belongs to the
/// global transaction, or to none, in which it began: a statement or a commit elsewhere rolls it back
/// and says so.
///
/// Dropped without [`commit`](Self::commit) it rolls back. If the future of `commit` itself is dropped, the
/// outcome is not known: the branch stays registered, and its undo row decides in phase two.
///
/// `&mut tx` and, as with sqlx, `&mut *tx` are [`Executor`](sqlx::Executor)s.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct AtTransaction<'c, DB: Dialect> {
    connection: Held<'c, DB>,
    /// 0 for the transaction, more for savepoints.
    depth: usize,
    is_open: bool,
}

/// Where a local transaction, or a savepoint within one, stands on its connection: from [`AtTransaction::leave`], for
/// [`AtConnection::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth(usize);

enum Held<'c, DB: Dialect> {
    Owned(Box<AtConnection<DB>>),
    Borrowed(&'c mut AtConnection<DB>),
}

/// What is known of an open local transaction.
pub(crate) struct LocalTransaction {
    /// Under what it began.
    pub(crate) began: Mode,
    pub(crate) work: Work,
    /// How much was done when each savepoint was set.
    savepoints: Vec<Mark>,
    /// Savepoints from this depth on were dropped without a decision.
    dropped_from: Option<usize>,
    /// A change is under way. Seen by the next statement, it was dropped half-way.
    pub(crate) is_changing: bool,
    /// Why it was rolled back, if it was.
    pub(crate) ended: Option<String>,
}

#[derive(Clone, Copy)]
struct Mark {
    logs: usize,
    locks: usize,
}

impl<DB: Dialect> AtTransaction<'static, DB> {
    pub(crate) async fn begin_owned(
        mut connection: AtConnection<DB>,
        caller: Caller,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        connection.begin_local(&caller, statement).await?;
        Ok(Self { connection: Held::Owned(Box::new(connection)), depth: 0, is_open: true })
    }
}

impl<'c, DB: Dialect> AtTransaction<'c, DB> {
    pub(crate) async fn begin_borrowed(
        connection: &'c mut AtConnection<DB>,
        caller: Caller,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        if connection.transaction.is_some() {
            if statement.is_some() {
                return Err(Error::InvalidSavePointStatement);
            }
            connection.continue_transaction(&caller).await?;
            let depth = connection.set_savepoint().await?;
            return Ok(Self { connection: Held::Borrowed(connection), depth, is_open: true });
        }
        connection.begin_local(&caller, statement).await?;
        Ok(Self { connection: Held::Borrowed(connection), depth: 0, is_open: true })
    }

    /// Sets a savepoint. What is done under it and rolled back is neither logged nor locked.
    pub fn begin(&mut self) -> impl Future<Output = Result<AtTransaction<'_, DB>, Error>> + Send {
        AtTransaction::begin_borrowed(&mut **self, Caller::now(), None)
    }

    /// Leaves it open on the connection that it was begun on with [`AtConnection::begin`], and gives that back: for
    /// libraries whose transactions share a connection instead of borrowing it. One from
    /// [`AtPool::begin`](crate::AtPool::begin) has no other owner of its connection, and is rolled back.
    pub fn leave(mut self) -> Depth {
        self.is_open = false;
        Depth(self.depth)
    }

    /// Commits: inside a global transaction registers the branch with all its row locks, writes the undo
    /// row, and commits locally. A savepoint is released.
    ///
    /// # Errors
    /// [`AtError::LockConflict`] when another global transaction holds a row: on SQLite, which has one writer, at once;
    /// elsewhere after the tries that the data source is set to, unless the holder is rolling back. Except for [`AtError::OutcomeUnknown`], the local transaction
    /// is then rolled back.
    pub fn commit(self) -> impl Future<Output = Result<(), Error>> + Send + use<'c, DB> {
        self.commit_as(Caller::now())
    }

    async fn commit_as(mut self, caller: Caller) -> Result<(), Error> {
        let checked = self.continue_transaction(&caller).await;
        if self.depth > 0 {
            checked?;
            let depth = self.depth;
            self.release_savepoint(depth).await?;
            self.is_open = false;
            return Ok(());
        }
        if let Err(error) = checked {
            self.is_open = false;
            self.transaction = None;
            self.session.close_if_in_doubt();
            return Err(error);
        }
        let committed = self.commit_local(&caller).await;
        self.is_open = false;
        committed
    }

    /// Rolls back the transaction, or to the savepoint. It may be called anywhere, also outside the global transaction.
    ///
    /// # Errors
    /// For a savepoint as the database reports; the whole local transaction is then rolled back. A transaction
    /// whose ROLLBACK the database does not confirm is rolled back by closing the connection, which is no error.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let depth = self.depth;
        if depth > 0 {
            self.drop_savepoints_from(depth);
            self.leave_dropped_savepoints().await?;
        } else {
            self.session.rollback().await;
            self.transaction = None;
        }
        self.is_open = false;
        Ok(())
    }
}

impl<DB: Dialect> AtConnection<DB> {
    /// Takes up a transaction that was [left](AtTransaction::leave) open on this connection. Those above it must have
    /// ended, or end with it: what is done here while one of them is open belongs to that one.
    pub fn resume(&mut self, depth: Depth) -> AtTransaction<'_, DB> {
        AtTransaction { connection: Held::Borrowed(self), depth: depth.0, is_open: true }
    }

    async fn begin_local(&mut self, caller: &Caller, statement: Option<SqlStr>) -> Result<(), Error> {
        self.session.close_if_in_doubt();
        self.core.check_known(&caller.mode)?;
        match &statement {
            Some(statement) if !begins(statement.as_str()) => return Err(Error::BeginFailed),
            Some(statement) => {
                self.session.begin(statement.as_str()).await?;
                if !DB::ROW_LOCKS && caller.mode != Mode::Plain {
                    self.keep_writers_out().await?;
                }
            }
            None if caller.mode == Mode::Plain => self.session.begin(DB::BEGIN).await?,
            None => self.session.begin(DB::BEGIN_WRITING).await?,
        }
        self.transaction = Some(LocalTransaction {
            began: caller.mode.clone(),
            work: Work::default(),
            savepoints: Vec::new(),
            dropped_from: None,
            is_changing: false,
            ended: None,
        });
        Ok(())
    }

    /// What `BEGIN_WRITING` does, where the user began in another way. Until then, others may write between a read
    /// and the question for its locks.
    async fn keep_writers_out(&mut self) -> Result<(), Error> {
        let table = &self.core.options.undo_reference;
        self.session.go_on(&format!("DELETE FROM {table} WHERE 0")).await
    }

    async fn commit_local(&mut self, caller: &Caller) -> Result<(), Error> {
        let work = self.transaction.take().map(|transaction| transaction.work).unwrap_or_default();
        let mut patience = Patience::new(&self.core, caller);
        let attempt = Attempt::Transaction(&mut patience);
        let finished = branch::finish(&self.core, &mut self.session, caller, work, attempt).await;
        finished.map(drop).map_err(|error| match error {
            FinishError::Conflict(conflict) => patience.give_up(conflict).into(),
            FinishError::Other(error) => error,
        })
    }

    async fn set_savepoint(&mut self) -> Result<usize, Error> {
        let Some(transaction) = &mut self.transaction else { return Err(nothing_open()) };
        let mark = Mark { logs: transaction.work.logs.len(), locks: transaction.work.locks.len() };
        transaction.savepoints.push(mark);
        let depth = transaction.savepoints.len();
        // Dropped here, it may be set or not; leaving it then fails, and the transaction is rolled back.
        transaction.dropped_from = Some(depth);
        self.text(format!("SAVEPOINT {}", savepoint(depth))).await?;
        if let Some(transaction) = &mut self.transaction {
            transaction.dropped_from = None;
        }
        Ok(depth)
    }

    async fn release_savepoint(&mut self, depth: usize) -> Result<(), Error> {
        self.text(format!("RELEASE SAVEPOINT {}", savepoint(depth))).await?;
        if let Some(transaction) = &mut self.transaction {
            transaction.savepoints.truncate(depth - 1);
        }
        Ok(())
    }

    fn drop_savepoints_from(&mut self, depth: usize) {
        if let Some(transaction) = &mut self.transaction {
            let earlier = transaction.dropped_from.unwrap_or(depth);
            transaction.dropped_from = Some(depth.min(earlier));
        }
    }

    /// Rolls back to before the first savepoint that was dropped.
    pub(crate) async fn leave_dropped_savepoints(&mut self) -> Result<(), Error> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        if transaction.ended.is_some() {
            return Ok(());
        }
        let Some(depth) = transaction.dropped_from else { return Ok(()) };
        let left = async {
            self.text(format!("ROLLBACK TO SAVEPOINT {}", savepoint(depth))).await?;
            self.text(format!("RELEASE SAVEPOINT {}", savepoint(depth))).await
        };
        if let Err(error) = left.await {
            self.end_transaction(&error.to_string()).await;
            return Err(error);
        }
        if let Some(transaction) = &mut self.transaction
            && let Some(mark) = transaction.savepoints.get(depth - 1).copied()
        {
            transaction.work.logs.truncate(mark.logs);
            transaction.work.locks.truncate(mark.locks);
            transaction.savepoints.truncate(depth - 1);
            transaction.dropped_from = None;
            transaction.is_changing = false;
        }
        Ok(())
    }

    pub(crate) async fn text(&mut self, sql: String) -> Result<(), Error> {
        execute::<DB>(self.session.connection().await?, Call::text(sql)).await.map(drop)
    }
}

/// Whether the last of these statements begins a transaction. If it did not, those after it would commit themselves.
fn begins(statements: &str) -> bool {
    let last = statements.trim().trim_end_matches(';').rsplit(';').next().unwrap_or_default();
    let word = last.split_whitespace().next().unwrap_or_default();
    word.eq_ignore_ascii_case("BEGIN") || word.eq_ignore_ascii_case("START")
}

fn savepoint(depth: usize) -> String {
    format!("seata_savepoint_{depth}")
}

fn nothing_open() -> Error {
    AtError::AlreadyRolledBack { reason: "no local transaction is open on this connection".to_owned() }.into()
}

impl<DB: Dialect> Deref for AtTransaction<'_, DB> {
    type Target = AtConnection<DB>;

    fn deref(&self) -> &AtConnection<DB> {
        match &self.connection {
            Held::Owned(connection) => connection,
            Held::Borrowed(connection) => connection,
        }
    }
}

impl<DB: Dialect> DerefMut for AtTransaction<'_, DB> {
    fn deref_mut(&mut self) -> &mut AtConnection<DB> {
        match &mut self.connection {
            Held::Owned(connection) => connection,
            Held::Borrowed(connection) => connection,
        }
    }
}

/// Nothing can be awaited here. A savepoint is left before the next statement; a transaction's
/// connection is closed, which frees the file at once.
impl<DB: Dialect> Drop for AtTransaction<'_, DB> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let depth = self.depth;
        if depth > 0 {
            self.drop_savepoints_from(depth);
        } else {
            self.transaction = None;
            self.session.close();
        }
    }
}

impl<DB: Dialect> fmt::Debug for AtTransaction<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let began = self.transaction.as_ref().map(|transaction| &transaction.began);
        f.debug_struct("AtTransaction").field("began", &began).field("depth", &self.depth).finish()
    }
}
