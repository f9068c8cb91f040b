//! The undo table in the hands of a person: what phase two would find, and what it shall do with rows that are dirty.
//!
//! A rollback that finds a row dirty parks its transaction ([`DirtyChoice::Park`](crate::DirtyChoice::Park)): nothing is
//! overwritten, nothing is lost. Who looks at the rows then decides one by one, here or with `seata undo-log`; a row
//! about which nothing is decided stays parked. The decision is written into the undo log, so that it does not matter
//! which resource manager undoes the branch next, this one or Java's; the rows themselves are left to it.
//!
//! ```
//! use seata_protocol::Xid;
//! use seata_sqlx::undo_log::{UndoLogError, UndoTable};
//! use sqlx::SqlitePool;
//!
//! /// Rows that others have changed stay as they are; what is gone stays parked.
//! async fn keep_what_others_wrote(pool: &SqlitePool, xid: &Xid) -> Result<(), UndoLogError> {
//!     let undo_table = UndoTable::new(pool);
//!     for row in undo_table.rows(xid).await? {
//!         println!("branch {}: row {} of {} is {}", row.branch, row.key, row.table, row.state);
//!         if row.state.is_dirty() && row.current.is_some() {
//!             undo_table.skip(xid, &row.table, &row.key).await?;
//!         }
//!     }
//!     // Then the coordinator is asked to try again.
//!     Ok(())
//! }
//! ```

mod amendment;
mod error;
mod history;
mod session;

use std::{fmt, sync::Arc};

use seata_protocol::{BranchId, Xid};
use sqlx::{ConnectOptions, Connection, Pool};

pub use error::UndoLogError;

use crate::{
    AtPool,
    dialect::{Call, ConnectOptionsOf, Dialect, execute},
    sql::Flavor,
    undo::{Row, Writing, Zone},
    undo_log::{history::Incomplete, session::Session},
};

/// The undo table of a database. Each call has a connection of its own, as phase two has, beside those of the pool.
pub struct UndoTable<DB: Dialect> {
    connect: Arc<ConnectOptionsOf<DB>>,
    name: String,
    /// How statements name it.
    reference: String,
    zone: Zone,
    writing: Writing,
}

/// A row that a branch changed, and what phase two would find there.
///
/// Phase two undoes the newest branch first. So of a row that several branches changed, `current` is for the older ones
/// what undoing the newer ones would leave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChangedRow {
    /// The branch.
    pub branch: BranchId,
    /// The table, as row locks name it.
    pub table: String,
    /// The row's key, in words.
    pub key: String,
    /// What phase two would find.
    pub state: RowState,
    /// The row as the branch found it; `None` where it added it.
    pub before: Option<Row>,
    /// The row as the branch left it; `None` where it removed it.
    pub after: Option<Row>,
    /// The row as it is now, in the columns of the transaction's images; `None` where it is gone.
    pub current: Option<Row>,
}

/// What phase two would find at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RowState {
    /// It will be undone.
    AsLeft,
    /// There is nothing to undo.
    AsFound,
    /// Somebody has changed it since.
    Dirty,
    /// Somebody has deleted it since.
    Gone,
    /// The branch deleted it, and somebody has inserted it again.
    ThereAgain,
}

impl RowState {
    /// Whether it keeps phase two from undoing anything.
    pub fn is_dirty(&self) -> bool {
        match self {
            Self::AsLeft | Self::AsFound => false,
            Self::Dirty | Self::Gone | Self::ThereAgain => true,
        }
    }
}

impl fmt::Display for RowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsLeft => "as the transaction left it",
            Self::AsFound => "as the transaction found it",
            Self::Dirty => "dirty",
            Self::Gone => "gone",
            Self::ThereAgain => "there again",
        })
    }
}

/// What is decided about a dirty row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Force,
    Skip,
}

impl<DB: Dialect> UndoTable<DB> {
    /// The table `undo_log` of the database that the pool reaches. No connection is made yet.
    #[must_use]
    pub fn new(pool: &Pool<DB>) -> Self {
        Self {
            connect: pool.connect_options(),
            name: "undo_log".to_owned(),
            reference: DB::quote("undo_log"),
            zone: Zone::system(),
            writing: Writing::default(),
        }
    }

    /// With another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self.reference = DB::quote(&self.name);
        self
    }

    /// The time zone of its undo logs, as [`AtPoolBuilder::time_zone`](crate::AtPoolBuilder::time_zone) says of the
    /// data sources that write them. The system's, unless it is set; in a wrong one, rows with dates and times look dirty.
    #[must_use]
    pub fn time_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// The rows that the branches of this transaction changed, those of the newest branch first. Nothing is locked.
    ///
    /// # Errors
    /// [`UndoLogError`] when the database holds no undo log of it, or one that cannot be read here.
    pub async fn rows(&self, xid: &Xid) -> Result<Vec<ChangedRow>, UndoLogError> {
        let mut connection = self.connection().await?;
        for statement in begin_reading(DB::FLAVOR) {
            execute::<DB>(&mut connection, Call::text(*statement)).await?;
        }
        let rows = self.session(&mut connection, xid, "").rows().await;
        close::<DB>(connection).await;
        rows
    }

    /// Lets phase two make this row what it was before the transaction, in the columns that the transaction changed;
    /// what was written there since is lost then. The undo logs come to say that their branches left the row as it
    /// is now, so that it is dirty again if it changes once more before phase two. Returns what was found.
    ///
    /// # Errors
    /// [`UndoLogError`]; nothing is changed then. A row that is gone can come back only if an image holds all its columns.
    pub async fn force(&self, xid: &Xid, table: &str, key: &str) -> Result<Vec<ChangedRow>, UndoLogError> {
        self.decide(xid, table, key, Decision::Force).await
    }

    /// Lets phase two leave this row as it is now, whatever the branches of the transaction did to it, and undo the
    /// others. Their undo logs do not speak of it any more. Returns what was found.
    ///
    /// A row that is as the transaction found it can be skipped as well: Java's resource managers take such a row for
    /// dirty when another one of its statement is not as it was found.
    ///
    /// # Errors
    /// [`UndoLogError`]; nothing is changed then.
    pub async fn skip(&self, xid: &Xid, table: &str, key: &str) -> Result<Vec<ChangedRow>, UndoLogError> {
        self.decide(xid, table, key, Decision::Skip).await
    }

    /// A connection that is dropped half-way is closed, and the database rolls back.
    async fn decide(
        &self,
        xid: &Xid,
        table: &str,
        key: &str,
        decision: Decision,
    ) -> Result<Vec<ChangedRow>, UndoLogError> {
        let mut connection = self.connection().await?;
        execute::<DB>(&mut connection, Call::text(DB::BEGIN_WRITING)).await?;
        let decided = self.session(&mut connection, xid, DB::FOR_UPDATE).decide(table, key, decision).await;
        let done = match &decided {
            Ok(_) => execute::<DB>(&mut connection, Call::text("COMMIT")).await.map(drop),
            Err(_) => Ok(()),
        };
        close::<DB>(connection).await;
        done?;
        if decided.is_ok() {
            tracing::warn!(%xid, table, key, ?decision, "decided about a dirty row");
        }
        decided
    }

    async fn connection(&self) -> Result<DB::Connection, UndoLogError> {
        let mut connection = self.connect.connect().await.map_err(UndoLogError::Connect)?;
        // Says so where the URL names none.
        DB::location(&mut connection).await?;
        for statement in DB::prepare_phase_two() {
            execute::<DB>(&mut connection, Call::text(*statement)).await?;
        }
        Ok(connection)
    }

    fn session<'s>(
        &'s self,
        connection: &'s mut DB::Connection,
        xid: &'s Xid,
        lock: &'static str,
    ) -> Session<'s, DB> {
        Session::new(self, connection, xid, lock)
    }
}

/// A local transaction that is still open ends with its connection.
async fn close<DB: Dialect>(connection: DB::Connection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing a connection to the undo table failed");
    }
}

/// Statements that begin a local transaction in which everything is read as of one moment.
fn begin_reading(flavor: Flavor) -> &'static [&'static str] {
    match flavor {
        Flavor::MySql => &["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "BEGIN"],
        Flavor::Postgres => &["BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"],
        Flavor::Sqlite => &["BEGIN"],
    }
}

/// With the settings of a data source.
impl<DB: Dialect> From<&AtPool<DB>> for UndoTable<DB> {
    fn from(pool: &AtPool<DB>) -> Self {
        let options = &pool.core.options;
        Self {
            connect: pool.core.pool.connect_options(),
            name: options.undo_table.clone(),
            reference: options.undo_reference.clone(),
            zone: options.zone.clone(),
            writing: options.writing,
        }
    }
}

impl<DB: Dialect> fmt::Debug for UndoTable<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UndoTable").field("name", &self.name).finish_non_exhaustive()
    }
}
