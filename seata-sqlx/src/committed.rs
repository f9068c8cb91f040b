//! Global-committed reads: what SELECT … FOR UPDATE is elsewhere.

use std::{fmt, sync::Arc};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use seata_context::CoordinationError;
use seata_protocol::RowLock;
use sqlx::Error;

use crate::{
    AtPool,
    branch::{Conflict, FinishError, Patience},
    caller::{Caller, Mode},
    data_source::Core,
    dialect::{Call, Dialect, Output, collect},
    error::{AtError, shorten},
    image::{self, ImageError},
    session::Session,
    sql::{Refusal, Rows, committed_read},
};

/// An executor whose SELECTs see no row that an undecided global transaction has changed, from
/// [`AtPool::global_committed`].
pub struct GlobalCommitted<'p, DB: Dialect> {
    pub(crate) core: Arc<Core<DB>>,
    pool: std::marker::PhantomData<&'p AtPool<DB>>,
}

impl<DB: Dialect> AtPool<DB> {
    /// Reads rows of one table as they are when no *other* global transaction holds any of them, waiting
    /// for those that do as for any row lock. Nothing is locked by reading.
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
        GlobalCommitted { core: self.core.clone(), pool: std::marker::PhantomData }
    }
}

impl<DB: Dialect> GlobalCommitted<'_, DB> {
    pub(crate) fn run(
        self,
        caller: Caller,
        call: Result<Call<DB>, Error>,
    ) -> BoxStream<'static, Result<Output<DB>, Error>> {
        let core = self.core;
        let outputs = async move {
            let outputs = read(&core, &caller, call?).await?;
            Ok::<_, Error>(stream::iter(outputs.into_iter().map(Ok)))
        };
        stream::once(outputs).try_flatten().boxed()
    }
}

async fn read<DB: Dialect>(
    core: &Core<DB>,
    caller: &Caller,
    call: Call<DB>,
) -> Result<Vec<Output<DB>>, Error> {
    core.check_known(&caller.mode)?;
    let statement = call.sql.as_str();
    let (rows, _) =
        committed_read(DB::grammar(), statement).map_err(|reason| AtError::refused(reason, statement))?;
    let mut patience = Patience::new(core, caller);
    loop {
        let mut session = Session::new(core.pool.clone());
        // No phase two fits between the read and the question: it needs the file too.
        session.begin(DB::BEGIN_WRITING).await?;
        let outputs = look(core, caller, &mut session, &call, &rows).await;
        session.rollback().await;
        drop(session);
        match outputs {
            Ok(outputs) => return Ok(outputs),
            Err(FinishError::Conflict(conflict)) => patience.wait(conflict).await?,
            Err(FinishError::Other(error)) => return Err(error),
        }
    }
}

async fn look<DB: Dialect>(
    core: &Core<DB>,
    caller: &Caller,
    session: &mut Session<DB>,
    call: &Call<DB>,
    rows: &Rows,
) -> Result<Vec<Output<DB>>, FinishError> {
    let connection = session.connection().await.map_err(FinishError::Other)?;
    let locks = locks(core, connection, call, rows).await.map_err(FinishError::Other)?;
    let outputs = collect(connection, call.clone()).await.map_err(FinishError::Other)?;
    if locks.is_empty() {
        return Ok(outputs);
    }
    let xid = match &caller.mode {
        Mode::Global(xid) => Some(xid),
        _ => None,
    };
    match core.client.resource_manager().query_locks(xid, &locks).await {
        Ok(()) => Ok(outputs),
        Err(CoordinationError::LockConflict { row, holder, .. }) => {
            Err(FinishError::Conflict(Conflict { row, holder }))
        }
        Err(error) => Err(AtError::LockQuery(error).into()),
    }
}

async fn locks<DB: Dialect>(
    core: &Core<DB>,
    connection: &mut DB::Connection,
    call: &Call<DB>,
    rows: &Rows,
) -> Result<Vec<RowLock>, Error> {
    let statement = call.sql.as_str();
    let refused = |reason: Refusal| Error::from(AtError::refused(reason, statement));
    let structure = DB::structure(connection, &core.structures, rows).await?.map_err(refused)?;
    let table = &structure.table;
    let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
    let keys = call.with_sql(image::selecting::<DB>(rows, table, &key));
    let limit = core.options.max_image_rows;
    let found = image::read::<DB>(connection, keys, table, &key, limit).await;
    let locks =
        found.and_then(|rows| rows.iter().map(|row| image::lock(&core.resource, table, row)).collect());
    locks.map_err(|error| {
        let statement = shorten(statement);
        match error {
            ImageError::Database(error) => error,
            ImageError::TooManyRows => AtError::TooManyRows { limit, statement }.into(),
            ImageError::UnusableKey(detail) => {
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
