//! `AtDatabaseTransaction`: a transaction, or a savepoint within one, on a connection that both share.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement,
    StatementBuilder, StreamTrait, TransactionError, TransactionOptions, TransactionSession,
    TransactionTrait,
};
use seata_sqlx::Depth;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    backend::{Connection, on_each},
    context::Context,
    error::{misuse, query},
    options::{self, through_options},
    statement::{self, Reading, Rows},
};

/// How long a statement waits for another of its transaction: for a stream that nobody reads on, a future that nobody
/// polls, or a statement that waits for a row.
const BUSY_LIMIT: Duration = Duration::from_secs(30);

/// A local transaction of an [`AtDatabase`](crate::AtDatabase), or a savepoint within one: in the place of a
/// [`DatabaseTransaction`](sea_orm::DatabaseTransaction).
///
/// Inside a global transaction everything it changed becomes one branch when it commits. It belongs to the global
/// transaction, or to none, in which it began: a statement or a commit elsewhere rolls it back and says so.
///
/// Dropped without [`commit`](Self::commit) it is rolled back. If the future of the commit itself is dropped, the
/// outcome is not known: the branch stays registered, and its undo row decides in phase two.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct AtDatabaseTransaction {
    backend: DbBackend,
    shared: Arc<Mutex<Shared>>,
    /// Taken when the transaction is over for this value.
    alive: Option<Arc<Alive>>,
}

/// What tells that the value of a transaction still exists.
struct Alive;

/// What a transaction and the savepoints within it share.
struct Shared {
    /// `None` when the transaction has ended.
    connection: Option<Connection>,
    /// The transaction and the savepoints that are open, the innermost last.
    open: Vec<Open>,
}

struct Open {
    depth: Depth,
    value: Weak<Alive>,
}

impl AtDatabaseTransaction {
    pub(crate) async fn begin(
        backend: DbBackend,
        mut connection: Connection,
        statement: Option<String>,
    ) -> Result<Self, DbErr> {
        let depth = connection.begin(statement).await?;
        let mut shared = Shared { connection: Some(connection), open: Vec::new() };
        let alive = shared.opened(depth);
        Ok(Self { backend, shared: Arc::new(Mutex::new(shared)), alive: Some(alive) })
    }

    async fn begin_within(&self, options: &TransactionOptions) -> Result<Self, DbErr> {
        options::check_savepoint(self.backend, options)?;
        let mut shared = self.shared().await?;
        let depth = shared.connection()?.begin(None).await?;
        let alive = shared.opened(depth);
        Ok(Self { backend: self.backend, shared: self.shared.clone(), alive: Some(alive) })
    }

    /// Commits: inside a global transaction registers the branch with all its row locks, writes the undo row, and
    /// commits locally. A savepoint is released.
    ///
    /// # Errors
    /// As [`AtTransaction::commit`](seata_sqlx::AtTransaction::commit). Refused, and rolled back, while a transaction
    /// that was begun within this one is open.
    pub fn commit(self) -> impl Future<Output = Result<(), DbErr>> + Send {
        Context::now().scope(self.commit_here())
    }

    async fn commit_here(mut self) -> Result<(), DbErr> {
        let shared = self.shared.clone();
        let mut shared = lock(&shared).await?;
        let checked = shared.innermost(self.alive.as_ref());
        let Some(depth) = shared.close(self.alive.take()) else { return checked };
        let Some(connection) = &mut shared.connection else { return checked };
        let ended = match checked {
            Ok(()) => connection.commit(depth).await,
            Err(error) => connection.rollback(depth).await.and(Err(error)),
        };
        shared.give_back();
        ended
    }

    /// Rolls back the transaction, or to the savepoint, and with it what was begun within. It may be called anywhere,
    /// also outside the global transaction.
    ///
    /// # Errors
    /// As [`AtTransaction::rollback`](seata_sqlx::AtTransaction::rollback).
    pub async fn rollback(mut self) -> Result<(), DbErr> {
        let shared = self.shared.clone();
        let mut shared = lock(&shared).await?;
        // Over already: it was rolled back with the one it was begun in.
        let Some(depth) = shared.close(self.alive.take()) else { return Ok(()) };
        let Some(connection) = &mut shared.connection else { return Ok(()) };
        let ended = connection.rollback(depth).await;
        shared.give_back();
        ended
    }

    /// Runs a function in a transaction within this one, as
    /// [`AtDatabase::transaction_async`](crate::AtDatabase::transaction_async).
    ///
    /// # Errors
    /// As [`TransactionTrait::transaction`].
    pub async fn transaction_async<F, T, E>(&self, run: F) -> Result<T, TransactionError<E>>
    where
        F: AsyncFnOnce(&AtDatabaseTransaction) -> Result<T, E>,
    {
        let transaction = self.begin().await.map_err(TransactionError::Connection)?;
        let result = run(&transaction).await;
        transaction.end(result).await
    }

    pub(crate) async fn run<F, T, E>(self, run: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c AtDatabaseTransaction) -> BoxFuture<'c, Result<T, E>> + Send,
    {
        let result = run(&self).await;
        self.end(result).await
    }

    /// Commits an `Ok` and rolls back an `Err`.
    pub(crate) async fn end<T, E>(self, result: Result<T, E>) -> Result<T, TransactionError<E>> {
        match result {
            Ok(value) => self.commit().await.map(|()| value).map_err(TransactionError::Connection),
            Err(error) => {
                self.rollback().await.map_err(TransactionError::Connection)?;
                Err(TransactionError::Transaction(error))
            }
        }
    }

    /// The connection, for a statement of this transaction.
    async fn shared(&self) -> Result<MutexGuard<'_, Shared>, DbErr> {
        let shared = lock(&self.shared).await?;
        shared.innermost(self.alive.as_ref())?;
        Ok(shared)
    }

    fn one(
        &self,
        statement: Statement,
        reading: Reading,
    ) -> BoxFuture<'_, Result<Option<QueryResult>, DbErr>> {
        Box::pin(Context::now().scope(async move {
            let mut shared = self.shared().await?;
            let only_reads = statement::only_reads(&statement);
            statement::first(shared.connection()?.rows(statement, reading), only_reads).await
        }))
    }

    fn all(&self, statement: Statement, reading: Reading) -> BoxFuture<'_, Result<Vec<QueryResult>, DbErr>> {
        Box::pin(Context::now().scope(async move {
            let mut shared = self.shared().await?;
            shared.connection()?.rows(statement, reading).try_collect().await
        }))
    }

    fn stream_reading(
        &self,
        statement: Statement,
        reading: Reading,
    ) -> BoxFuture<'_, Result<Rows<'_>, DbErr>> {
        let context = Context::now();
        Box::pin(async move {
            let mut shared = self.shared().await?;
            let stream = async_stream::stream! {
                let mut rows = match shared.connection() {
                    Ok(connection) => connection.rows(statement, reading),
                    Err(error) => return yield Err(error),
                };
                while let Some(row) = rows.next().await {
                    yield row;
                }
            };
            Ok(context.scope(stream).boxed())
        })
    }
}

/// Waits for the connection, and settles what dropped values have left.
async fn lock(shared: &Mutex<Shared>) -> Result<MutexGuard<'_, Shared>, DbErr> {
    let mut shared = tokio::time::timeout(BUSY_LIMIT, shared.lock()).await.map_err(|_| {
        misuse(
            "the connection of this transaction has been busy for 30 seconds: with a stream that is still open (read \
             it to its end, or drop it, before the next statement), or with another statement, which may wait for a \
             row that others hold",
        )
    })?;
    shared.leave_dropped();
    Ok(shared)
}

impl Shared {
    fn opened(&mut self, depth: Depth) -> Arc<Alive> {
        let alive = Arc::new(Alive);
        self.open.push(Open { depth, value: Arc::downgrade(&alive) });
        alive
    }

    fn place(&self, alive: &Arc<Alive>) -> Option<usize> {
        self.open.iter().position(|open| open.value.as_ptr() == Arc::as_ptr(alive))
    }

    /// Checks that this value is the one to work with.
    fn innermost(&self, alive: Option<&Arc<Alive>>) -> Result<(), DbErr> {
        match alive.and_then(|alive| self.place(alive)) {
            None => Err(ended()),
            Some(place) if place + 1 < self.open.len() => Err(misuse(
                "a transaction that was begun within this one is open: use that one, or commit or roll it back first",
            )),
            Some(_) => Ok(()),
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        self.connection.as_mut().ok_or_else(ended)
    }

    /// Takes a value and those within it from what is open.
    fn close(&mut self, alive: Option<Arc<Alive>>) -> Option<Depth> {
        let place = self.place(&alive?)?;
        let depth = self.open[place].depth;
        self.open.truncate(place);
        Some(depth)
    }

    /// Gives the connection back when nothing is open on it any more.
    fn give_back(&mut self) {
        if self.open.is_empty() {
            self.connection = None;
        }
    }

    fn leave_dropped(&mut self) {
        let dropped = self.open.iter().position(|open| open.value.strong_count() == 0);
        if let (Some(place), Some(connection)) = (dropped, &mut self.connection) {
            connection.abandon(self.open[place].depth);
            self.open.truncate(place);
            self.give_back();
        }
    }
}

fn ended() -> DbErr {
    let reason = "the transaction that it was begun in has ended".to_owned();
    query(seata_sqlx::AtError::AlreadyRolledBack { reason }.into())
}

/// Nothing can be awaited here. If a statement is under way, the next one finds what was dropped.
impl Drop for AtDatabaseTransaction {
    fn drop(&mut self) {
        self.alive = None;
        if let Ok(mut shared) = self.shared.try_lock() {
            shared.leave_dropped();
        }
    }
}

impl ConnectionTrait for AtDatabaseTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    fn execute_raw<'s, 'f>(&'s self, statement: Statement) -> BoxFuture<'f, Result<ExecResult, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(Context::now().scope(async move {
            let mut shared = self.shared().await?;
            on_each!(Connection, shared.connection()?, connection => {
                statement::execute(connection, statement).await
            })
        }))
    }

    fn execute_unprepared<'s, 'q, 'f>(&'s self, sql: &'q str) -> BoxFuture<'f, Result<ExecResult, DbErr>>
    where
        's: 'f,
        'q: 'f,
        Self: 'f,
    {
        Box::pin(Context::now().scope(async move {
            let mut shared = self.shared().await?;
            on_each!(Connection, shared.connection()?, connection => {
                statement::execute_unprepared(connection, sql).await
            })
        }))
    }

    fn query_one_raw<'s, 'f>(
        &'s self,
        statement: Statement,
    ) -> BoxFuture<'f, Result<Option<QueryResult>, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        self.one(statement, Reading::Plain)
    }

    fn query_one<'s, 'q, 'f, S>(&'s self, query: &'q S) -> BoxFuture<'f, Result<Option<QueryResult>, DbErr>>
    where
        's: 'f,
        'q: 'f,
        S: StatementBuilder + 'f,
        Self: 'f,
    {
        let (statement, reading) = statement::build(self.backend, query);
        self.one(statement, reading)
    }

    fn query_all_raw<'s, 'f>(&'s self, statement: Statement) -> BoxFuture<'f, Result<Vec<QueryResult>, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        self.all(statement, Reading::Plain)
    }

    fn query_all<'s, 'q, 'f, S>(&'s self, query: &'q S) -> BoxFuture<'f, Result<Vec<QueryResult>, DbErr>>
    where
        's: 'f,
        'q: 'f,
        S: StatementBuilder + 'f,
        Self: 'f,
    {
        let (statement, reading) = statement::build(self.backend, query);
        self.all(statement, reading)
    }
}

impl StreamTrait for AtDatabaseTransaction {
    type Stream<'a> = Rows<'a>;

    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    fn stream_raw<'a>(&'a self, statement: Statement) -> BoxFuture<'a, Result<Self::Stream<'a>, DbErr>> {
        self.stream_reading(statement, Reading::Plain)
    }

    fn stream<'a, S>(&'a self, query: &S) -> BoxFuture<'a, Result<Self::Stream<'a>, DbErr>>
    where
        S: StatementBuilder + Sync,
    {
        let (statement, reading) = statement::build(self.backend, query);
        self.stream_reading(statement, reading)
    }
}

impl TransactionTrait for AtDatabaseTransaction {
    type Transaction = Self;

    through_options!();

    fn begin_with_options<'s, 'f>(&'s self, options: TransactionOptions) -> BoxFuture<'f, Result<Self, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(Context::now().scope(async move { self.begin_within(&options).await }))
    }
}

impl TransactionSession for AtDatabaseTransaction {
    fn commit<'f>(self) -> BoxFuture<'f, Result<(), DbErr>>
    where
        Self: 'f,
    {
        Box::pin(Self::commit(self))
    }

    fn rollback<'f>(self) -> BoxFuture<'f, Result<(), DbErr>>
    where
        Self: 'f,
    {
        Box::pin(Self::rollback(self))
    }
}

impl fmt::Debug for AtDatabaseTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtDatabaseTransaction").field("backend", &self.backend).finish_non_exhaustive()
    }
}
