//! Global-committed reads: what SELECT … FOR UPDATE is elsewhere.

use std::{collections::BTreeSet, fmt, sync::Arc};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use seata_protocol::RowLock;
use sqlx::{AssertSqlSafe, Error, SqlSafeStr};

use crate::{
    AtConnection, AtPool,
    branch::{self, FinishError, Patience},
    caller::{Caller, Mode},
    change::check_arguments,
    data_source::Core,
    dialect::{Call, Dialect, Output, collect},
    error::{AtError, shorten},
    image::{self, ImageError, Reading},
    session::Session,
    sql::{Refusal, Rows},
};

/// An executor whose SELECTs see no row that an undecided global transaction has changed, from
/// [`AtPool::global_committed`] or [`AtConnection::global_committed`].
pub struct GlobalCommitted<'c, DB: Dialect> {
    pub(crate) core: Arc<Core<DB>>,
    /// Without one, a connection of the pool for each try.
    pub(crate) connection: Option<&'c mut AtConnection<DB>>,
}

impl<DB: Dialect> AtPool<DB> {
    /// Reads rows of one table as they are when no *other* global transaction holds any of them, waiting
    /// for those that do as for any row lock. Nothing is locked by reading.
    ///
    /// Only rows that the condition finds can be waited for: one that an undecided transaction has deleted,
    /// or moved out of the condition, is not noticed.
    ///
    /// ```no_run
    /// # async fn read(pool: &seata_sqlx::AtPool<sqlx::Sqlite>) -> sqlx::Result<()> {
    /// let left: i64 = sqlx::query_scalar("SELECT n FROM stock WHERE id = ?")
    ///     .bind(7)
    ///     .fetch_one(pool.global_committed())
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`AtError::LockConflict`] when a row is still held after the last try; [`AtError::Refused`] for
    /// anything but a SELECT from one table with a primary key.
    pub fn global_committed(&self) -> GlobalCommitted<'_, DB> {
        GlobalCommitted { core: self.core.clone(), connection: None }
    }
}

impl<DB: Dialect> AtConnection<DB> {
    /// As [`AtPool::global_committed`], on this connection. A local transaction stays open meanwhile, and is rolled back
    /// when a row is still held after the last try; in SQLite, where it holds the file, the first try is the last.
    ///
    /// # Errors
    /// As [`AtPool::global_committed`]; [`AtError::Refused`] also in a local transaction that began outside any
    /// global one and outside `#[global_lock]`: others may write between its read and the question.
    pub fn global_committed(&mut self) -> GlobalCommitted<'_, DB> {
        GlobalCommitted { core: self.core.clone(), connection: Some(self) }
    }

    pub(crate) async fn read_in_transaction(
        &mut self,
        caller: &Caller,
        call: &Call<DB>,
        rows: &Rows,
    ) -> Result<Vec<Output<DB>>, Error> {
        self.continue_transaction(caller).await?;
        if caller.mode == Mode::Plain {
            let reason = Refusal::NotLockable(
                "in a local transaction of its own nobody is kept out; read on the pool",
            );
            return Err(AtError::refused(reason, call.sql.as_str()).into());
        }
        let mut patience = Patience::new(&self.core, caller);
        loop {
            let error = match self.try_in_transaction(caller, call, rows).await {
                Ok(outputs) => return Ok(outputs),
                Err(FinishError::Conflict(conflict)) => {
                    let again = if DB::ROW_LOCKS {
                        patience.wait(conflict).await
                    } else {
                        Err(patience.give_up(conflict))
                    };
                    match again {
                        Ok(()) => continue,
                        Err(error) => error.into(),
                    }
                }
                Err(FinishError::Other(error)) => match AtError::from_sqlx(&error) {
                    // Others add rows just now.
                    Some(AtError::ImageMismatch { .. }) if DB::ROW_LOCKS => {
                        if patience.wait_once().await {
                            continue;
                        }
                        error
                    }
                    Some(AtError::LockQuery(_)) => error,
                    _ => return Err(error),
                },
            };
            self.end_transaction(&error.to_string()).await;
            return Err(error);
        }
    }

    /// After a conflict the rows are free again for whoever has to undo them.
    async fn try_in_transaction(
        &mut self,
        caller: &Caller,
        call: &Call<DB>,
        rows: &Rows,
    ) -> Result<Vec<Output<DB>>, FinishError> {
        const SAVEPOINT: &[&str] = &["SAVEPOINT seata_read"];
        const KEEP: &[&str] = &["RELEASE SAVEPOINT seata_read"];
        const TAKE_BACK: &[&str] = &["ROLLBACK TO SAVEPOINT seata_read", "RELEASE SAVEPOINT seata_read"];
        if !DB::ROW_LOCKS {
            return look(&self.core, caller, &mut self.session, call, rows).await.map(|(outputs, _)| outputs);
        }
        self.set_changing(true);
        self.all_or_end(SAVEPOINT).await.map_err(FinishError::Other)?;
        let looked = look_twice(&self.core, caller, &mut self.session, call, rows).await;
        let end = if looked.is_ok() { KEEP } else { TAKE_BACK };
        if let Err(failed) = self.all_or_end(end).await {
            let Err(FinishError::Other(error)) = looked else { return Err(FinishError::Other(failed)) };
            // After a dead lock the savepoint is gone with everything else.
            self.end_transaction(&error.to_string()).await;
            return Err(FinishError::Other(error));
        }
        self.set_changing(false);
        looked
    }
}

impl<'c, DB: Dialect> GlobalCommitted<'c, DB> {
    pub(crate) fn run(
        self,
        caller: Caller,
        call: Result<Call<DB>, Error>,
    ) -> BoxStream<'c, Result<Output<DB>, Error>> {
        let outputs = async move {
            let outputs = self.read(&caller, call?).await?;
            Ok::<_, Error>(stream::iter(outputs.into_iter().map(Ok)))
        };
        stream::once(outputs).try_flatten().boxed()
    }

    async fn read(self, caller: &Caller, call: Call<DB>) -> Result<Vec<Output<DB>>, Error> {
        self.core.check_known(&caller.mode)?;
        let statement = call.sql.as_str();
        let Some(rows) = self.core.committed_read(statement)? else {
            return Err(AtError::refused(Refusal::NotLockable("this has none"), statement).into());
        };
        self.read_rows(caller, call, &rows).await
    }

    /// A statement that is known to read these rows.
    pub(crate) async fn read_rows(
        mut self,
        caller: &Caller,
        call: Call<DB>,
        rows: &Rows,
    ) -> Result<Vec<Output<DB>>, Error> {
        check_arguments(&call, rows.parameters)?;
        if let Some(connection) = &mut self.connection
            && connection.transaction.is_some()
        {
            return connection.read_in_transaction(caller, &call, rows).await;
        }
        let mut patience = Patience::new(&self.core, caller);
        loop {
            let tried = match &mut self.connection {
                Some(connection) => try_read(&self.core, caller, &mut connection.session, &call, rows).await,
                // Given back before the wait.
                None => {
                    let mut session = Session::new(self.core.pool.clone());
                    try_read(&self.core, caller, &mut session, &call, rows).await
                }
            };
            match tried {
                Ok(outputs) => return Ok(outputs),
                Err(FinishError::Conflict(conflict)) => patience.wait(conflict).await?,
                Err(FinishError::Other(error)) => {
                    if !is_overtaken(&error) || !patience.wait_once().await {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Whether somebody else has changed a row since the transaction first read, or the database has broken a dead lock.
fn is_overtaken(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("40001")
}

/// One read, and the question for its locks. Nobody else can change the rows meanwhile, nor add one that is read: no
/// phase two fits between.
async fn try_read<DB: Dialect>(
    core: &Core<DB>,
    caller: &Caller,
    session: &mut Session<DB>,
    call: &Call<DB>,
    rows: &Rows,
) -> Result<Vec<Output<DB>>, FinishError> {
    session.close_if_in_doubt();
    let mut session = session.until_decided();
    session.begin(DB::BEGIN_READING).await.map_err(FinishError::Other)?;
    let looked = look(core, caller, &mut session, call, rows).await;
    session.rollback().await;
    looked.map(|(outputs, _)| outputs)
}

/// The same where others may add rows, as in READ COMMITTED: what was read has to be what was asked for.
async fn look_twice<DB: Dialect>(
    core: &Core<DB>,
    caller: &Caller,
    session: &mut Session<DB>,
    call: &Call<DB>,
    rows: &Rows,
) -> Result<Vec<Output<DB>>, FinishError> {
    let (outputs, asked) = look(core, caller, session, call, rows).await?;
    let connection = session.connection().await.map_err(FinishError::Other)?;
    let read = locks(core, connection, call, rows).await.map_err(FinishError::Other)?;
    let asked = BTreeSet::from_iter(asked);
    match read.iter().find(|lock| !asked.contains(lock)) {
        None => Ok(outputs),
        Some(added) => {
            let detail = format!("row {} has just been added", added.key);
            Err(AtError::ImageMismatch { detail, statement: shorten(call.sql.as_str()) }.into())
        }
    }
}

/// What the statement gives, and the locks that were asked for before it ran.
async fn look<DB: Dialect>(
    core: &Core<DB>,
    caller: &Caller,
    session: &mut Session<DB>,
    call: &Call<DB>,
    rows: &Rows,
) -> Result<(Vec<Output<DB>>, Vec<RowLock>), FinishError> {
    let connection = session.connection().await.map_err(FinishError::Other)?;
    let locks = locks(core, connection, call, rows).await.map_err(FinishError::Other)?;
    if !locks.is_empty() {
        let xid = match &caller.mode {
            Mode::Global(xid) => Some(xid),
            _ => None,
        };
        let free = core.client.resource_manager().query_locks(xid, &locks).await;
        free.map_err(|error| branch::refused(error, AtError::LockQuery))?;
    }
    let outputs = collect(connection, as_it_is_now(call, rows)).await.map_err(FinishError::Other)?;
    Ok((outputs, locks))
}

/// The user's SELECT, which is to read the rows that were asked for and no older versions of them.
fn as_it_is_now<DB: Dialect>(call: &Call<DB>, rows: &Rows) -> Call<DB> {
    let mut call = call.clone();
    if DB::OLD_READS
        && let Some(at) = rows.lock_at
    {
        let (select, rest) = call.sql.as_str().split_at(at);
        call.sql = AssertSqlSafe(format!("{select}{}{rest}", DB::FOR_UPDATE)).into_sql_str();
    }
    call
}

async fn locks<DB: Dialect>(
    core: &Core<DB>,
    connection: &mut DB::Connection,
    call: &Call<DB>,
    rows: &Rows,
) -> Result<Vec<RowLock>, Error> {
    let statement = call.sql.as_str();
    let refused = |reason: Refusal| Error::from(AtError::refused(reason, statement));
    let structure = DB::structure(connection, &core.structures, &rows.name()).await?.map_err(refused)?;
    let table = &*structure.table;
    let columns = table.key_columns();
    let keys = call.with_sql(image::selecting::<DB>(rows, table, &columns));
    let (limit, zone) = (core.options.max_image_rows, &core.options.zone);
    let found = Reading { table, columns: &columns, zone }.run(connection, keys, limit).await;
    let locks =
        found.and_then(|rows| rows.iter().map(|row| image::lock(&core.resource, table, row, zone)).collect());
    locks.map_err(|error| {
        let statement = shorten(statement);
        match error {
            ImageError::Database(error) => error,
            ImageError::TooManyRows => AtError::TooManyRows { limit, statement }.into(),
            ImageError::UnusableKey(detail) | ImageError::Unwritable(detail) => {
                AtError::UnusableKey { table: table.name.clone(), detail, statement }.into()
            }
        }
    })
}

impl<DB: Dialect> fmt::Debug for GlobalCommitted<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalCommitted").field("resource", &self.core.resource).finish()
    }
}
