//! One connection in AT mode, and how a statement runs on it.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::{Error, SqlSafeStr};

use crate::{
    branch::{self, Attempt, FinishError, Patience, Work},
    caller::{Caller, Mode},
    change::{self, ChangeError, Changed, Surroundings},
    committed::GlobalCommitted,
    data_source::Core,
    dialect::{Call, Dialect, Output},
    error::AtError,
    session::Session,
    sql::{Analysis, Flavor, Statement, Write},
    transaction::{AtTransaction, LocalTransaction},
};

/// One connection of an [`AtPool`](crate::AtPool), for statements that must run on the same one.
///
/// `&mut AtConnection<Sqlite>` implements sqlx's [`Executor`](sqlx::Executor). The connection is taken
/// from the pool when it is used first, and goes back when this is dropped.
pub struct AtConnection<DB: Dialect> {
    pub(crate) core: Arc<Core<DB>>,
    pub(crate) session: Session<DB>,
    pub(crate) transaction: Option<LocalTransaction>,
    reads_committed: bool,
}

/// What a statement answers: kept until its branch is committed, or passed on as it comes.
enum Answer<'c, DB: Dialect> {
    Complete(Vec<Output<DB>>),
    Running(BoxStream<'c, Result<Output<DB>, Error>>),
}

impl<'c, DB: Dialect> Answer<'c, DB> {
    fn into_stream(self) -> BoxStream<'c, Result<Output<DB>, Error>> {
        match self {
            Self::Complete(outputs) => stream::iter(outputs.into_iter().map(Ok)).boxed(),
            Self::Running(stream) => stream,
        }
    }
}

impl<DB: Dialect> AtConnection<DB> {
    pub(crate) fn new(core: Arc<Core<DB>>, reads_committed: bool) -> Self {
        Self { session: Session::new(core.pool.clone()), core, transaction: None, reads_committed }
    }

    /// Begins a local transaction on this connection.
    ///
    /// The context is the one in which `begin` is called, not the one in which the future is polled first.
    pub fn begin(&mut self) -> impl Future<Output = Result<AtTransaction<'_, DB>, Error>> + Send {
        AtTransaction::begin_borrowed(self, Caller::now(), None)
    }

    /// The same with a statement of one's own instead of BEGIN, as [`AtPool::begin_with`](crate::AtPool::begin_with).
    ///
    /// # Errors
    /// [`Error::InvalidSavePointStatement`] where a transaction is open already.
    pub fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> impl Future<Output = Result<AtTransaction<'_, DB>, Error>> + Send {
        AtTransaction::begin_borrowed(self, Caller::now(), Some(statement.into_sql_str()))
    }

    /// Runs a statement under the context that was read when the call was made.
    pub(crate) fn run<'c>(
        &'c mut self,
        caller: Caller,
        call: Result<Call<DB>, Error>,
    ) -> BoxStream<'c, Result<Output<DB>, Error>> {
        let answer = async move { Ok::<_, Error>(self.answer(&caller, call?).await?.into_stream()) };
        stream::once(answer).try_flatten().boxed()
    }

    async fn answer<'c>(&'c mut self, caller: &Caller, call: Call<DB>) -> Result<Answer<'c, DB>, Error> {
        self.core.look_outside(caller, call.sql.as_str())?;
        if self.transaction.is_some() {
            self.continue_transaction(caller).await?;
        } else {
            self.session.close_if_in_doubt();
        }
        if caller.mode == Mode::Plain {
            return self.pass(call).await;
        }
        self.core.check_known(&caller.mode)?;
        let analysis = self.core.analysis(call.sql.as_str());
        match &analysis.statement {
            Ok(Statement::Read) if self.reads_committed => {
                let Some(rows) = self.core.committed_read(call.sql.as_str())? else {
                    return self.pass(call).await;
                };
                let read = GlobalCommitted { core: self.core.clone(), connection: Some(self) };
                read.read_rows(caller, call, &rows).await.map(Answer::Complete)
            }
            Ok(Statement::Read) => {
                check_read(&call, &analysis)?;
                self.pass(call).await
            }
            Ok(Statement::Write(write)) if self.transaction.is_some() => {
                self.change_in_transaction(&call, write).await.map(Answer::Complete)
            }
            Ok(Statement::Write(write)) => self.autocommit(caller, &call, write).await.map(Answer::Complete),
            Ok(Statement::Lock(rows)) => {
                let read = GlobalCommitted { core: self.core.clone(), connection: Some(self) };
                read.read_rows(caller, call, rows).await.map(Answer::Complete)
            }
            Err(refusal) => Err(AtError::refused(refusal.clone(), call.sql.as_str()).into()),
        }
    }

    async fn pass<'c>(&'c mut self, call: Call<DB>) -> Result<Answer<'c, DB>, Error> {
        Ok(Answer::Running(DB::stream(self.session.connection().await?, call)))
    }

    /// Settles what earlier drops left behind, and rolls back a transaction that is used where it does not belong.
    pub(crate) async fn continue_transaction(&mut self, caller: &Caller) -> Result<(), Error> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        if let Some(reason) = &transaction.ended {
            return Err(AtError::AlreadyRolledBack { reason: reason.clone() }.into());
        }
        if transaction.is_changing {
            let reason = "a statement of it was dropped half-way".to_owned();
            self.end_transaction(&reason).await;
            return Err(AtError::AlreadyRolledBack { reason }.into());
        }
        if let Err(error) = caller.may_continue(&transaction.began) {
            self.end_transaction(&error.to_string()).await;
            return Err(error.into());
        }
        self.leave_dropped_savepoints().await
    }

    async fn change_in_transaction(
        &mut self,
        call: &Call<DB>,
        write: &Write,
    ) -> Result<Vec<Output<DB>>, Error> {
        /// Of our own: when `INSERT OR IGNORE` fails on a type of a STRICT table, SQLite leaves the
        /// rows before that one behind.
        const BEGIN: &[&str] = &["SAVEPOINT seata_statement"];
        const KEEP: &[&str] = &["RELEASE SAVEPOINT seata_statement"];
        const TAKE_BACK: &[&str] =
            &["ROLLBACK TO SAVEPOINT seata_statement", "RELEASE SAVEPOINT seata_statement"];
        let [begin, keep, take_back] =
            if DB::STATEMENT_SAVEPOINT { [BEGIN, KEEP, TAKE_BACK] } else { [&[] as &[&str]; 3] };
        self.set_changing(true);
        self.all_or_end(begin).await?;
        match change(&self.core, &mut self.session, None, call, write).await {
            Ok((outputs, mut work)) => {
                self.all_or_end(keep).await?;
                if let Some(transaction) = &mut self.transaction {
                    transaction.work.logs.append(&mut work.logs);
                    transaction.work.locks.append(&mut work.locks);
                }
                self.set_changing(false);
                Ok(outputs)
            }
            Err(ChangeError::Unchanged(error)) => {
                self.all_or_end(take_back).await?;
                self.set_changing(false);
                Err(error)
            }
            Err(ChangeError::Doubtful(error)) => {
                self.end_transaction(&error.to_string()).await;
                Err(error)
            }
        }
    }

    /// Runs all of these, or rolls back the local transaction.
    pub(crate) async fn all_or_end(&mut self, statements: &[&str]) -> Result<(), Error> {
        for statement in statements {
            if let Err(error) = self.text((*statement).to_owned()).await {
                self.end_transaction(&error.to_string()).await;
                return Err(error);
            }
        }
        Ok(())
    }

    pub(crate) fn set_changing(&mut self, is_changing: bool) {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_changing = is_changing;
        }
    }

    /// Rolls back and remembers why, for whoever still uses the transaction.
    pub(crate) async fn end_transaction(&mut self, reason: &str) {
        if let Some(transaction) = &mut self.transaction {
            transaction.work = Work::default();
            transaction.ended = Some(reason.to_owned());
        }
        self.session.rollback().await;
    }

    async fn autocommit(
        &mut self,
        caller: &Caller,
        call: &Call<DB>,
        write: &Write,
    ) -> Result<Vec<Output<DB>>, Error> {
        let mut patience = Patience::new(&self.core, caller);
        loop {
            let answered_later = self.core.may_answer_later.load(Ordering::Relaxed);
            match self.attempt(caller, call, write, patience.is_first_attempt()).await {
                Ok(outputs) => return Ok(outputs),
                Err(FinishError::Conflict(conflict)) => patience.wait(conflict).await?,
                Err(FinishError::Other(error)) if patience.tries_again_after::<DB>(&error) => {}
                Err(FinishError::Other(error))
                    if answered_later && self.core.answers_at_once_after(&error) => {}
                Err(FinishError::Other(error)) => return Err(error),
            }
        }
    }

    /// One statement as a local transaction and a branch of its own.
    async fn attempt(
        &mut self,
        caller: &Caller,
        call: &Call<DB>,
        write: &Write,
        is_first: bool,
    ) -> Result<Vec<Output<DB>>, FinishError> {
        let Self { core, session, .. } = self;
        let mut session = session.until_decided();
        let opening = match core.capabilities.block {
            Some(_) => session.begin_with_first().await.map(|()| Some(DB::BEGIN_WRITING)),
            None => session.begin(DB::BEGIN_WRITING).await.map(|()| None),
        };
        let opening = opening.map_err(FinishError::Other)?;
        let (mut outputs, work) = match change(core, &mut session, opening, call, write).await {
            Ok(done) => done,
            Err(error) => {
                session.rollback().await;
                return Err(FinishError::Other(error.into()));
            }
        };
        let attempt = Attempt::Autocommit { is_first };
        let answer = branch::finish(core, &mut session, caller, work, attempt).await?;
        outputs.extend(answer.map(Output::<DB>::Left));
        Ok(outputs)
    }
}

/// In a local transaction sqlx's driver for MySQL would not find its way back from arguments that are too many or too
/// few: nothing is sent, and what comes next waits for the answer.
fn check_read<DB: Dialect>(call: &Call<DB>, analysis: &Analysis) -> Result<(), Error> {
    match DB::FLAVOR {
        Flavor::MySql if call.arguments.is_some() => Ok(change::check_arguments(call, analysis.positional)?),
        _ => Ok(()),
    }
}

async fn change<DB: Dialect>(
    core: &Core<DB>,
    session: &mut Session<DB>,
    opening: Option<&'static str>,
    call: &Call<DB>,
    write: &Write,
) -> Result<(Vec<Output<DB>>, Work), ChangeError> {
    let surroundings = Surroundings {
        resource: &core.resource,
        structures: &core.structures,
        capabilities: &core.capabilities,
        options: &core.options,
        may_answer_later: core.may_answer_later.load(Ordering::Relaxed),
    };
    let connection = session.connection().await.map_err(ChangeError::Doubtful)?;
    let changed = change::run::<DB>(&surroundings, connection, opening, call, write).await?;
    let Changed { outputs, logs, locks, answering } = changed;
    Ok((outputs, Work { logs, locks, answering }))
}

/// Runs a statement on a connection of the pool that is given back while a lock is waited for: its
/// holder may need it.
pub(crate) fn run_on_pool<DB: Dialect>(
    core: Arc<Core<DB>>,
    caller: Caller,
    call: Result<Call<DB>, Error>,
) -> BoxStream<'static, Result<Output<DB>, Error>> {
    let answer = async move { Ok::<_, Error>(answer_on_pool(core, &caller, call?).await?.into_stream()) };
    stream::once(answer).try_flatten().boxed()
}

async fn answer_on_pool<DB: Dialect>(
    core: Arc<Core<DB>>,
    caller: &Caller,
    call: Call<DB>,
) -> Result<Answer<'static, DB>, Error> {
    core.look_outside(caller, call.sql.as_str())?;
    if caller.mode == Mode::Plain {
        return Ok(Answer::Running(DB::stream_from_pool(&core.pool, call)));
    }
    core.check_known(&caller.mode)?;
    let analysis = core.analysis(call.sql.as_str());
    let write = match &analysis.statement {
        Ok(Statement::Read) => {
            let rows = if caller.reads_committed { core.committed_read(call.sql.as_str())? } else { None };
            let Some(rows) = rows else {
                check_read(&call, &analysis)?;
                return Ok(Answer::Running(DB::stream_from_pool(&core.pool, call)));
            };
            let read = GlobalCommitted { core: core.clone(), connection: None };
            return read.read_rows(caller, call, &rows).await.map(Answer::Complete);
        }
        Ok(Statement::Write(write)) => write,
        Ok(Statement::Lock(rows)) => {
            let read = GlobalCommitted { core: core.clone(), connection: None };
            return read.read_rows(caller, call, rows).await.map(Answer::Complete);
        }
        Err(refusal) => return Err(AtError::refused(refusal.clone(), call.sql.as_str()).into()),
    };
    let mut patience = Patience::new(&core, caller);
    loop {
        let answered_later = core.may_answer_later.load(Ordering::Relaxed);
        let mut connection = AtConnection::new(core.clone(), caller.reads_committed);
        match connection.attempt(caller, &call, write, patience.is_first_attempt()).await {
            Ok(outputs) => return Ok(Answer::Complete(outputs)),
            Err(FinishError::Other(error)) if patience.tries_again_after::<DB>(&error) => {}
            Err(FinishError::Other(error)) if answered_later && core.answers_at_once_after(&error) => {}
            Err(FinishError::Other(error)) => return Err(error),
            Err(FinishError::Conflict(conflict)) => {
                drop(connection);
                patience.wait(conflict).await?;
            }
        }
    }
}

impl<DB: Dialect> fmt::Debug for AtConnection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtConnection").field("resource", &self.core.resource).finish_non_exhaustive()
    }
}
