//! A database file, an AT data source on it, and a coordinator small enough to be seen through.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use futures_util::future::BoxFuture;
use seata_context::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, Client, CoordinationError, Finisher,
    Resource, ResourceManager, Scoped, Snapshot, TransactionManager,
};
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, ResourceId, RowLock, TransactionId, Xid};
use seata_sqlx::{AtPool, AtPoolBuilder};
use sqlx::{
    AssertSqlSafe, Row, Sqlite, SqlitePool, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tempfile::TempDir;

/// Branches, locks and reports, without durability and without phase two of its own accord.
#[derive(Default)]
pub(crate) struct FakeCoordinator {
    state: Mutex<State>,
    next: AtomicI64,
    /// Every branch is refused as if its transaction were over.
    pub(crate) refuses: AtomicBool,
}

#[derive(Default)]
struct State {
    resources: HashMap<String, Arc<dyn Resource>>,
    branches: Vec<(BranchId, BranchRegistration)>,
    locks: BTreeMap<RowLock, Xid>,
    reports: Vec<(BranchId, BranchStatus)>,
    registrations: usize,
}

impl FakeCoordinator {
    pub(crate) fn begin(&self) -> Xid {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        Xid::new("test", 0, TransactionId(id)).unwrap()
    }

    /// The ids to come are above this one: those of another coordinator on the same store.
    pub(crate) fn number_from(&self, id: i64) {
        self.next.store(id, Ordering::Relaxed);
    }

    /// Another transaction takes a row.
    pub(crate) fn hold(&self, lock: RowLock) -> Xid {
        let xid = self.begin();
        self.state.lock().unwrap().locks.insert(lock, xid.clone());
        xid
    }

    pub(crate) fn release(&self, xid: &Xid) {
        self.state.lock().unwrap().locks.retain(|_, holder| holder != xid);
    }

    pub(crate) fn branches(&self, xid: &Xid) -> Vec<(BranchId, BranchRegistration)> {
        let state = self.state.lock().unwrap();
        state.branches.iter().filter(|(_, branch)| branch.xid == *xid).cloned().collect()
    }

    /// `table:key` of every lock that is held, in order.
    pub(crate) fn locks(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.locks.keys().map(|lock| format!("{}:{}", lock.table, lock.key)).collect()
    }

    pub(crate) fn reports(&self) -> Vec<BranchStatus> {
        self.state.lock().unwrap().reports.iter().map(|(_, status)| *status).collect()
    }

    /// How often a branch was asked for, granted or not.
    pub(crate) fn registrations(&self) -> usize {
        self.state.lock().unwrap().registrations
    }

    pub(crate) fn task(&self, branch: BranchId, registration: &BranchRegistration) -> BranchTask {
        BranchTask {
            xid: registration.xid.clone(),
            branch,
            branch_type: registration.branch_type,
            resource: registration.resource.clone(),
            application_data: registration.application_data.clone(),
        }
    }

    /// Phase two of a rollback, newest branch first. When all have succeeded they are gone.
    pub(crate) async fn rollback(&self, xid: &Xid) -> Vec<BranchAnswer> {
        let mut branches = self.branches(xid);
        branches.reverse();
        self.roll_back(xid, branches).await
    }

    /// The same in the order of registration, as a Java server 2.0.0 does it.
    pub(crate) async fn rollback_as_registered(&self, xid: &Xid) -> Vec<BranchAnswer> {
        self.roll_back(xid, self.branches(xid)).await
    }

    async fn roll_back(&self, xid: &Xid, branches: Vec<(BranchId, BranchRegistration)>) -> Vec<BranchAnswer> {
        let mut answers = Vec::new();
        for (branch, registration) in branches {
            let resource = self.resource(&registration);
            answers.push(resource.rollback(self.task(branch, &registration)).await);
        }
        self.finish(xid, &answers);
        answers
    }

    /// Phase two of a commit.
    pub(crate) async fn commit(&self, xid: &Xid) -> Vec<BranchAnswer> {
        let calls = self.branches(xid).into_iter().map(|(branch, registration)| async move {
            self.resource(&registration).commit(self.task(branch, &registration)).await
        });
        let answers = futures_util::future::join_all(calls).await;
        self.finish(xid, &answers);
        answers
    }

    pub(crate) fn resource(&self, registration: &BranchRegistration) -> Arc<dyn Resource> {
        self.resource_named(&registration.resource)
    }

    pub(crate) fn resource_named(&self, resource: &ResourceId) -> Arc<dyn Resource> {
        self.state.lock().unwrap().resources[resource.as_str()].clone()
    }

    fn finish(&self, xid: &Xid, answers: &[BranchAnswer]) {
        let is_done =
            |status| matches!(status, BranchStatus::PhaseTwoCommitted | BranchStatus::PhaseTwoRollbacked);
        if answers.iter().all(|answer| is_done(answer.status)) {
            self.state.lock().unwrap().branches.retain(|(_, branch)| branch.xid != *xid);
            self.release(xid);
        }
    }
}

fn conflict(state: &State, xid: Option<&Xid>, locks: &[RowLock]) -> Result<(), CoordinationError> {
    for lock in locks {
        if let Some(holder) = state.locks.get(lock)
            && Some(holder) != xid
        {
            return Err(CoordinationError::LockConflict {
                row: lock.to_string(),
                holder: holder.to_string(),
                holder_is_rolling_back: false,
            });
        }
    }
    Ok(())
}

impl ResourceManager for FakeCoordinator {
    fn register_resource(&self, resource: Arc<dyn Resource>) -> BoxFuture<'_, Result<(), CoordinationError>> {
        self.state.lock().unwrap().resources.insert(resource.id().as_str().to_owned(), resource);
        Box::pin(async { Ok(()) })
    }

    fn register_branch(
        &self,
        registration: BranchRegistration,
    ) -> BoxFuture<'_, Result<BranchId, CoordinationError>> {
        Box::pin(async move {
            // A remote coordinator is a task switch away at least.
            tokio::task::yield_now().await;
            let mut state = self.state.lock().unwrap();
            state.registrations += 1;
            if self.refuses.load(Ordering::Relaxed) {
                return Err(CoordinationError::NotActive {
                    xid: registration.xid,
                    status: GlobalStatus::Rollbacking,
                });
            }
            conflict(&state, Some(&registration.xid), &registration.locks)?;
            for lock in &registration.locks {
                state.locks.insert(lock.clone(), registration.xid.clone());
            }
            let branch = BranchId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
            state.branches.push((branch, registration));
            Ok(branch)
        })
    }

    fn report_branch<'a>(
        &'a self,
        xid: &'a Xid,
        branch: BranchId,
        status: BranchStatus,
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            let mut state = self.state.lock().unwrap();
            state.reports.push((branch, status));
            if status == BranchStatus::PhaseOneFailed {
                state.branches.retain(|(id, _)| *id != branch);
                state.locks.retain(|_, holder| holder != xid);
            }
            Ok(())
        })
    }

    fn query_locks<'a>(
        &'a self,
        xid: Option<&'a Xid>,
        locks: &'a [RowLock],
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            if self.refuses.load(Ordering::Relaxed) {
                return Err(CoordinationError::ShuttingDown);
            }
            conflict(&self.state.lock().unwrap(), xid, locks)
        })
    }
}

impl TransactionManager for FakeCoordinator {
    fn begin(&self, _: BeginRequest) -> BoxFuture<'_, Result<Xid, CoordinationError>> {
        Box::pin(async { Ok(FakeCoordinator::begin(self)) })
    }

    fn commit<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move {
            FakeCoordinator::commit(self, xid).await;
            Ok(GlobalStatus::Committed)
        })
    }

    fn rollback<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move {
            FakeCoordinator::rollback(self, xid).await;
            Ok(GlobalStatus::Rollbacked)
        })
    }

    fn status<'a>(&'a self, _: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async { Ok(GlobalStatus::Begin) })
    }

    fn report<'a>(
        &'a self,
        _: &'a Xid,
        status: GlobalStatus,
    ) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move { Ok(status) })
    }

    fn knows(&self, xid: &Xid) -> bool {
        xid.host() == "test"
    }
}

/// One database file and what works on it.
pub(crate) struct World {
    pub(crate) coordinator: Arc<FakeCoordinator>,
    pub(crate) client: Client,
    /// The AT data source.
    pub(crate) pool: AtPool<Sqlite>,
    /// The same file, for the eyes of the test alone.
    pub(crate) raw: SqlitePool,
    directory: TempDir,
    /// The client is shut down without it.
    _finisher: Finisher,
}

impl World {
    /// With these tables and rows.
    pub(crate) async fn new(schema: &str) -> Self {
        Self::with(schema, 5, |builder| builder).await
    }

    pub(crate) async fn with(
        schema: &str,
        connections: u32,
        configure: impl FnOnce(AtPoolBuilder<Sqlite>) -> AtPoolBuilder<Sqlite>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let options =
            SqliteConnectOptions::new().filename(&path).create_if_missing(true).pragma("journal_mode", "WAL");
        let raw = SqlitePoolOptions::new().max_connections(2).connect_with(options.clone()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(schema.to_owned())).execute(&raw).await.unwrap();
        let pool = SqlitePoolOptions::new().max_connections(connections).connect_with(options).await.unwrap();
        let coordinator = Arc::new(FakeCoordinator::default());
        let (client, finisher) = Client::new("test", coordinator.clone(), coordinator.clone());
        let pool = configure(AtPool::builder(pool, client.clone())).open().await.unwrap();
        Self { coordinator, client, pool, raw, directory, _finisher: finisher }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("test.db")
    }

    pub(crate) fn lock(&self, table: &str, key: &str) -> RowLock {
        RowLock {
            resource: self.pool.resource_id().clone(),
            table: table.into(),
            key: seata_protocol::RowKey::from_text(key).unwrap(),
        }
    }

    /// Every row of every table with the storage class of every value, undo rows left out.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'undo_log' ORDER BY name",
        )
        .fetch_all(&self.raw)
        .await
        .unwrap();
        let mut dump = Vec::new();
        for table in tables {
            let rows =
                sqlx::query(AssertSqlSafe(format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""))))
                    .fetch_all(&self.raw)
                    .await
                    .unwrap();
            let mut lines: Vec<String> = rows.iter().map(|row| format!("{table}: {}", line(row))).collect();
            lines.sort();
            dump.append(&mut lines);
        }
        dump
    }

    pub(crate) async fn undo_rows(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM undo_log WHERE log_status = 0")
            .fetch_one(&self.raw)
            .await
            .unwrap()
    }

    pub(crate) async fn defence_rows(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM undo_log WHERE log_status = 1")
            .fetch_one(&self.raw)
            .await
            .unwrap()
    }

    /// The file can be written, nothing is left of any transaction, and the pool serves.
    pub(crate) async fn assert_clean(&self, when: &str) {
        let mut connection = self.raw.acquire().await.unwrap();
        sqlx::query("PRAGMA busy_timeout = 120000").execute(&mut *connection).await.unwrap();
        for statement in ["BEGIN IMMEDIATE", "ROLLBACK"] {
            sqlx::query(statement).execute(&mut *connection).await.unwrap_or_else(|e| panic!("{when}: {e}"));
        }
        let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&self.pool).await.unwrap();
        assert_eq!(one, 1, "{when}");
    }
}

fn line(row: &sqlx::sqlite::SqliteRow) -> String {
    let values = (0..row.len()).map(|column| {
        let value = row.try_get_raw(column).unwrap();
        if value.is_null() {
            return "NULL".to_owned();
        }
        let class = value.type_info().name().to_owned();
        match class.as_str() {
            "INTEGER" => format!("INTEGER {}", row.get_unchecked::<i64, _>(column)),
            "REAL" => format!("REAL {:?}", row.get_unchecked::<f64, _>(column).to_bits()),
            _ => format!("{class} {:?}", row.get_unchecked::<Vec<u8>, _>(column)),
        }
    });
    values.collect::<Vec<_>>().join(" | ")
}

/// Runs a future inside this global transaction.
pub(crate) fn inside<F>(xid: &Xid, future: F) -> Scoped<F> {
    Snapshot::empty().with_xid(xid.clone()).scope(future)
}

/// Runs a future in a scope without a transaction.
pub(crate) fn outside<F>(future: F) -> Scoped<F> {
    Snapshot::empty().scope(future)
}
