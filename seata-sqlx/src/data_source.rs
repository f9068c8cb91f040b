//! `AtPool`: a sqlx pool whose statements take part in global transactions.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use seata_context::{Client, Presence};
use seata_protocol::{ResourceId, Xid};
use sqlx::{Error, Pool, SqlSafeStr};

use crate::{
    caller::{Caller, Mode},
    connection::AtConnection,
    dialect::{Capabilities, Dialect},
    error::{AtError, AtOpenError, shorten},
    phase_two::{AtResource, DirtyChoice, DirtyRow, Resolver},
    sql::{Analysis, Rows, StatementCache},
    structure::StructureCache,
    transaction::AtTransaction,
    trial,
    undo::{Writing, Zone},
};

/// A data source in AT mode: a [`sqlx::Pool`] whose changes inside a global transaction are logged,
/// locked and, if the transaction is rolled back, undone.
///
/// It is used as a pool is: `&AtPool<Sqlite>` implements sqlx's [`Executor`](sqlx::Executor), so that
/// `query`, `query_as`, `query!`, `QueryBuilder` and streams work on it. Cloning is cheap. What a
/// function has to name to take this or any other executor is `impl Executor<'_, Database = Sqlite>`.
///
/// A change made by one statement is a branch of its own; [`begin`](Self::begin) puts several into one.
pub struct AtPool<DB: Dialect> {
    pub(crate) core: Arc<Core<DB>>,
    pub(crate) reads_committed: bool,
}

/// What to do with a change made where no transaction scope exists: on a task that was spawned
/// without carrying its caller's context over, where an update may belong to a transaction that no
/// longer knows of it.
///
/// Changes are INSERT, UPDATE, DELETE, REPLACE and MERGE, also with or inside WITH. What runs other statements
/// (CALL, EXPLAIN ANALYZE), loads data or changes the structure always passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// Run it.
    Pass,
    /// Run it, and warn once for each statement text.
    #[default]
    Warn,
    /// Refuse it with [`AtError::OutsideAnyScope`].
    Refuse,
}

/// Settings of an [`AtPool`], from [`AtPool::builder`].
#[must_use]
pub struct AtPoolBuilder<DB: Dialect> {
    pool: Pool<DB>,
    client: Client,
    resource: Option<ResourceId>,
    options: Options,
}

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) lock_retry_interval: Duration,
    pub(crate) lock_retry_times: u32,
    pub(crate) outside: Outside,
    pub(crate) data_validation: bool,
    pub(crate) undo_table: String,
    /// How statements name it, from when the data source is open.
    pub(crate) undo_reference: String,
    pub(crate) max_image_rows: usize,
    pub(crate) zone: Zone,
    pub(crate) on_dirty_row: Option<Resolver>,
    pub(crate) writing: Writing,
    pub(crate) blocks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lock_retry_interval: Duration::from_millis(10),
            lock_retry_times: 30,
            outside: Outside::default(),
            data_validation: true,
            undo_table: "undo_log".to_owned(),
            undo_reference: String::new(),
            max_image_rows: 100_000,
            zone: Zone::system(),
            on_dirty_row: None,
            writing: Writing::default(),
            blocks: true,
        }
    }
}

/// What the values of one data source share.
pub(crate) struct Core<DB: Dialect> {
    pub(crate) pool: Pool<DB>,
    pub(crate) client: Client,
    pub(crate) resource: ResourceId,
    pub(crate) options: Options,
    pub(crate) structures: StructureCache<DB>,
    pub(crate) capabilities: Capabilities,
    phase_two: Arc<AtResource<DB>>,
    statements: StatementCache,
    warned: Mutex<HashSet<String>>,
    /// Until the database says that the user has not the right to.
    pub(crate) may_answer_later: AtomicBool,
}

impl<DB: Dialect> AtPool<DB> {
    /// Makes a pool an AT data source with the default settings, and registers it with the client's
    /// coordinator. The undo table is created if it is missing.
    ///
    /// # Errors
    /// [`AtOpenError`] when the database is private to its connection (`sqlite::memory:`), the undo table
    /// cannot be used, or the coordinator does not take the resource. The undo table is tried out: rows are added and
    /// deleted in a local transaction that is rolled back.
    pub async fn new(pool: Pool<DB>, client: impl Into<Client>) -> Result<Self, AtOpenError> {
        Self::builder(pool, client).open().await
    }

    /// An AT data source with settings of one's own.
    pub fn builder(pool: Pool<DB>, client: impl Into<Client>) -> AtPoolBuilder<DB> {
        AtPoolBuilder { pool, client: client.into(), resource: None, options: Options::default() }
    }

    /// Begins a local transaction. Inside a global one it becomes one branch when it commits.
    ///
    /// The context is the one in which `begin` is called, not the one in which the future is polled first.
    pub fn begin(&self) -> impl Future<Output = Result<AtTransaction<'static, DB>, Error>> + Send + use<DB> {
        AtTransaction::begin_owned(
            AtConnection::new(self.core.clone(), self.reads_committed),
            Caller::now(),
            None,
        )
    }

    /// The same with a statement of one's own instead of BEGIN, for an isolation level or an access mode:
    /// `BEGIN EXCLUSIVE`, `BEGIN ISOLATION LEVEL SERIALIZABLE`. On MySQL, where the level is set before, it is two:
    /// `SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION`.
    ///
    /// Inside a global transaction and under `#[global_lock]`, SQLite's write lock is taken at once, also after a
    /// deferred `BEGIN`: nobody else may write between a read and the question for its locks.
    ///
    /// # Errors
    /// [`Error::BeginFailed`] when the (last) statement is neither BEGIN nor START TRANSACTION.
    pub fn begin_with<S: SqlSafeStr>(
        &self,
        statement: S,
    ) -> impl Future<Output = Result<AtTransaction<'static, DB>, Error>> + Send + use<DB, S> {
        let statement = Some(statement.into_sql_str());
        AtTransaction::begin_owned(
            AtConnection::new(self.core.clone(), self.reads_committed),
            Caller::now(),
            statement,
        )
    }

    /// A connection of the pool, for statements that must run on the same one. It is taken from the
    /// pool when it is used first.
    pub fn connection(&self) -> AtConnection<DB> {
        AtConnection::new(self.core.clone(), self.reads_committed)
    }

    /// The same data source, whose reads inside a global transaction or `#[global_lock]` see no row that an undecided
    /// one has changed: each SELECT from one table waits for it as
    /// [`global_committed`](Self::global_committed) does, and one from several tables is refused.
    ///
    /// ```no_run
    /// # async fn read(stock: &seata_sqlx::AtPool<sqlx::Sqlite>) -> sqlx::Result<()> {
    /// let stock = stock.reading_committed();
    /// let left: i64 = sqlx::query_scalar("SELECT n FROM stock WHERE id = ?").bind(7).fetch_one(&stock).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reading_committed(&self) -> Self {
        Self { core: self.core.clone(), reads_committed: true }
    }

    /// The name under which branches are registered.
    pub fn resource_id(&self) -> &ResourceId {
        &self.core.resource
    }

    /// Deletes undo rows that are older than this, the marks against a late phase one among them, and returns how
    /// many. Undo rows of open transactions must be younger: what they would undo stays for good. What Java wrote has
    /// the time of Java's own zone. A Java server has old marks deleted from time to time, an embedded coordinator does
    /// not.
    ///
    /// # Errors
    /// As the database reports.
    pub async fn delete_undo_logs_before(&self, days: u32) -> Result<u64, Error> {
        self.core.phase_two.delete_undo_logs_before(days).await
    }

    /// Closes the pool and the connection of phase two.
    pub async fn close(&self) {
        self.core.phase_two.close().await;
        self.core.pool.close().await;
    }

    /// Whether [`close`](Self::close) was called, here or on the pool itself.
    pub fn is_closed(&self) -> bool {
        self.core.pool.is_closed()
    }
}

impl<DB: Dialect> AtPoolBuilder<DB> {
    /// The name under which branches are registered, without a comma. Everybody who works on the same rows must use
    /// the same. Default: the JDBC URL without its parameters, as in Java; for SQLite `jdbc:sqlite:` and
    /// the canonical path, in which `%`, `?` and `,` are written `%25`, `%3F` and `%2C`.
    pub fn resource_id(mut self, resource: impl Into<ResourceId>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// How to wait for rows that other global transactions hold: so long between two tries, and so
    /// often. Default: 10 ms, 30 times. `#[global_transactional]` and `#[global_lock]` can override it.
    pub fn lock_retry(mut self, interval: Duration, times: u32) -> Self {
        self.options.lock_retry_interval = interval;
        self.options.lock_retry_times = times;
        self
    }

    /// What to do with changes outside any transaction scope. Default: [`Outside::Warn`].
    pub fn outside(mut self, outside: Outside) -> Self {
        self.options.outside = outside;
        self
    }

    /// Whether rows are compared with their images before they are written back. Default: they are. Without, a
    /// rollback overwrites what others have written since.
    pub fn data_validation(mut self, validate: bool) -> Self {
        self.options.data_validation = validate;
        self
    }

    /// Who decides about a row that is neither as a transaction left it nor as it found it, when that transaction is
    /// rolled back. It is asked on each try, inside the database's local transaction, and should not take long.
    /// Default: such a transaction is parked.
    ///
    /// ```
    /// # use seata_sqlx::{AtPoolBuilder, DirtyChoice};
    /// # fn configure(builder: AtPoolBuilder<sqlx::Sqlite>) -> AtPoolBuilder<sqlx::Sqlite> {
    /// builder.on_dirty_row(|row| match row.table.as_str() {
    ///     "visit_counter" => DirtyChoice::Skip,
    ///     _ => DirtyChoice::Park,
    /// })
    /// # }
    /// ```
    pub fn on_dirty_row(mut self, decide: impl Fn(&DirtyRow) -> DirtyChoice + Send + Sync + 'static) -> Self {
        self.options.on_dirty_row = Some(Arc::new(decide));
        self
    }

    /// The time zone of the undo logs: Java writes dates and times as moments, as seen from its own zone. All who
    /// work on the same undo table must use the same. Default: the system's.
    pub fn time_zone(mut self, zone: Zone) -> Self {
        self.options.zone = zone;
        self
    }

    /// The name of the undo table. Default: `undo_log`. Of several schemas that have one it is that which a connection of
    /// the pool finds when the data source is opened.
    pub fn undo_table(mut self, name: impl Into<String>) -> Self {
        self.options.undo_table = name.into();
        self
    }

    /// How many rows one statement may change inside a global transaction. Each is held in memory
    /// twice, and stands twice in the undo table. Default: 100 000.
    pub fn max_image_rows(mut self, rows: usize) -> Self {
        self.options.max_image_rows = rows;
        self
    }

    /// Undo logs of more bytes than this are compressed; `None` for never. Default: 64 KiB, as in Java.
    pub fn compress_undo_logs_above(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.options.writing.compress_above = bytes.into();
        self
    }

    /// How many bytes the way to the database takes in one statement: an undo log of more than 0.8 times as many goes into
    /// several rows. Default: what a MySQL server has as `max_allowed_packet`, and no limit elsewhere.
    pub fn max_packet(mut self, bytes: u64) -> Self {
        self.options.writing.max_packet = Some(bytes);
        self
    }

    /// Whether a statement and what has to be known of its rows may go to the server in one compound statement
    /// (`BEGIN NOT ATOMIC …`), which saves round trips. Default: they do where the server takes it, as MariaDB does. For
    /// proxies that have to see each statement by itself.
    pub fn statement_blocks(mut self, blocks: bool) -> Self {
        self.options.blocks = blocks;
        self
    }

    /// How many bytes an undo log may have, before it is compressed. A longer one is neither written, so that its local
    /// transaction is rolled back, nor read. Default: 1 GiB.
    pub fn max_undo_log(mut self, bytes: usize) -> Self {
        self.options.writing.max_log = bytes;
        self
    }

    /// Opens the data source, as [`AtPool::new`] does.
    ///
    /// # Errors
    /// As [`AtPool::new`].
    pub async fn open(mut self) -> Result<AtPool<DB>, AtOpenError> {
        let Prepared { resource, undo_reference, mut capabilities } = self.prepare().await?;
        if !self.options.blocks {
            capabilities.block = None;
        }
        self.options.undo_reference = undo_reference;
        let max_packet = &mut self.options.writing.max_packet;
        *max_packet = max_packet.or(capabilities.max_packet);
        let phase_two =
            Arc::new(AtResource::new(&self.pool, resource.clone(), self.options.clone(), capabilities.block));
        let registered = self.client.resource_manager().register_resource(phase_two.clone()).await;
        registered.map_err(AtOpenError::Registration)?;
        Ok(AtPool {
            reads_committed: false,
            core: Arc::new(Core {
                pool: self.pool,
                client: self.client,
                resource,
                options: self.options,
                structures: StructureCache::default(),
                capabilities,
                phase_two,
                statements: StatementCache::default(),
                warned: Mutex::default(),
                may_answer_later: AtomicBool::new(true),
            }),
        })
    }

    /// Finds the resource's name and makes the undo table.
    async fn prepare(&self) -> Result<Prepared, AtOpenError> {
        if let Some(resource) = &self.resource
            && (resource.as_str().is_empty() || resource.as_str().contains(','))
        {
            return Err(AtOpenError::InvalidResourceId { resource: resource.clone() });
        }
        let mut connection = self.pool.acquire().await?;
        let location = DB::location(&mut connection).await?.ok_or(AtOpenError::Private)?;
        let resource = match &self.resource {
            Some(resource) => resource.clone(),
            None => {
                let name = DB::resource_name(&location, &self.pool.connect_options());
                name.map_err(|source| AtOpenError::Path { path: location.clone().into(), source })?.into()
            }
        };
        let table = &self.options.undo_table;
        trial::find_or_make::<DB>(&mut connection, table).await?;
        let undo_reference = DB::undo_reference(&mut connection, &location, table).await?;
        let capabilities = DB::capabilities(&mut connection).await?;
        // A pool of one has no other.
        drop(connection);
        trial::try_out(&self.pool, table, &undo_reference).await?;
        Ok(Prepared { resource, undo_reference, capabilities })
    }
}

/// What is found out before a data source is open.
struct Prepared {
    resource: ResourceId,
    undo_reference: String,
    capabilities: Capabilities,
}

impl<DB: Dialect> Core<DB> {
    pub(crate) fn analysis(&self, statement: &str) -> Arc<Analysis> {
        self.statements.analysis(DB::FLAVOR, statement)
    }

    /// The rows that a reading statement reads; `None` if it reads no table.
    pub(crate) fn committed_read(&self, statement: &str) -> Result<Option<Arc<Rows>>, AtError> {
        let rows = self.statements.committed_read(DB::FLAVOR, statement);
        rows.map_err(|reason| AtError::refused(reason, statement))
    }

    /// Whether to try again after this error, without a statement that answers for a change: it is an UPDATE, for which
    /// the right to insert is not enough.
    pub(crate) fn answers_at_once_after(&self, error: &Error) -> bool {
        let lacks_right = DB::lacks_right(error);
        if lacks_right {
            self.may_answer_later.store(false, Ordering::Relaxed);
        }
        lacks_right
    }

    /// Whether nothing at all has to be known of a statement.
    pub(crate) fn passes_unseen(&self, caller: &Caller) -> bool {
        caller.mode == Mode::Plain
            && (caller.presence != Presence::NoScope || self.options.outside == Outside::Pass)
    }

    /// Applies [`Outside`] to a change where no scope exists.
    pub(crate) fn look_outside(&self, caller: &Caller, statement: &str) -> Result<(), AtError> {
        /// More statement texts than a program has call sites; those beyond are not warned of.
        const WARNINGS: usize = 1024;
        let is_seen = caller.presence == Presence::NoScope && self.options.outside != Outside::Pass;
        if !is_seen || !self.analysis(statement).changes_rows {
            return Ok(());
        }
        match self.options.outside {
            Outside::Pass => {}
            Outside::Refuse => return Err(AtError::OutsideAnyScope { statement: shorten(statement) }),
            Outside::Warn => {
                let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
                if warned.len() < WARNINGS && warned.insert(statement.to_owned()) {
                    tracing::warn!(
                        statement = shorten(statement),
                        resource = %self.resource,
                        "a change outside any transaction scope: if its caller is in a global transaction, carry \
                         the context over with `seata::spawn` or `.in_current_transaction()`"
                    );
                }
            }
        }
        Ok(())
    }

    /// Refuses an XID whose coordinator would not hear of this branch.
    pub(crate) fn check_known(&self, mode: &Mode) -> Result<(), AtError> {
        match mode {
            Mode::Global(xid) if !self.knows(xid) => {
                Err(AtError::ForeignCoordinator { xid: xid.clone(), resource: self.resource.clone() })
            }
            _ => Ok(()),
        }
    }

    fn knows(&self, xid: &Xid) -> bool {
        self.client.knows(xid)
    }
}

impl<DB: Dialect> Clone for AtPool<DB> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), reads_committed: self.reads_committed }
    }
}

impl<DB: Dialect> fmt::Debug for AtPool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtPool").field("resource", &self.core.resource).finish_non_exhaustive()
    }
}

impl<DB: Dialect> fmt::Debug for AtPoolBuilder<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtPoolBuilder").field("resource", &self.resource).finish_non_exhaustive()
    }
}
