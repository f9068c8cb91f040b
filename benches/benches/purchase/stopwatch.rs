//! How long the calls and the statements of a purchase take.

use std::{
    collections::BTreeMap,
    future::Future,
    mem,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use seata::{
    BeginRequest, BranchId, BranchRegistration, BranchStatus, Client, CoordinationError, GlobalStatus,
    Resource, ResourceManager, RowLock, TransactionManager, Xid,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// The name of what [`Stopwatch::whole`] timed.
pub(crate) const WHOLE: &str = "whole";

/// What was timed, by name.
pub(crate) type Taken = BTreeMap<String, Part>;

/// How often something was done, and how long it took in all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) times: u64,
    pub(crate) time: Duration,
}

#[derive(Default)]
struct Parts(Mutex<Taken>);

impl Parts {
    fn add(&self, name: &str, time: Duration) {
        let mut parts = self.0.lock().expect("nothing panics under it");
        let part = parts.entry(name.to_owned()).or_default();
        part.times += 1;
        part.time += time;
    }

    fn take(&self) -> Taken {
        mem::take(&mut self.0.lock().expect("nothing panics under it"))
    }
}

/// A client's coordinator with a stopwatch in front of it.
pub(crate) struct Stopwatch {
    client: Client,
    parts: Parts,
}

impl Stopwatch {
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), parts: Parts::default() }
    }

    /// What was timed since the last call of this.
    pub(crate) fn take(&self) -> Taken {
        self.parts.take()
    }

    /// Times all of it, from outside.
    pub(crate) async fn whole<T>(&self, work: impl Future<Output = T>) -> T {
        self.time(WHOLE, work).await
    }

    async fn time<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = work.await;
        self.parts.add(name, start.elapsed());
        result
    }

    fn boxed<'a, T: 'a>(
        &'a self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'a,
    ) -> BoxFuture<'a, T> {
        Box::pin(self.time(name, work))
    }
}

impl TransactionManager for Stopwatch {
    fn begin(&self, request: BeginRequest) -> BoxFuture<'_, Result<Xid, CoordinationError>> {
        self.boxed("global begin", self.client.transaction_manager().begin(request))
    }

    fn commit<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        self.boxed("global commit", self.client.transaction_manager().commit(xid))
    }

    fn rollback<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        self.boxed("global rollback", self.client.transaction_manager().rollback(xid))
    }

    fn status<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        self.client.transaction_manager().status(xid)
    }

    fn report<'a>(
        &'a self,
        xid: &'a Xid,
        status: GlobalStatus,
    ) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        self.client.transaction_manager().report(xid, status)
    }

    fn knows(&self, xid: &Xid) -> bool {
        self.client.knows(xid)
    }
}

impl ResourceManager for Stopwatch {
    fn register_resource(&self, resource: Arc<dyn Resource>) -> BoxFuture<'_, Result<(), CoordinationError>> {
        self.client.resource_manager().register_resource(resource)
    }

    fn register_branch(
        &self,
        registration: BranchRegistration,
    ) -> BoxFuture<'_, Result<BranchId, CoordinationError>> {
        self.boxed("register branch", self.client.resource_manager().register_branch(registration))
    }

    fn report_branch<'a>(
        &'a self,
        xid: &'a Xid,
        branch: BranchId,
        status: BranchStatus,
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        self.boxed("report branch", self.client.resource_manager().report_branch(xid, branch, status))
    }

    fn query_locks<'a>(
        &'a self,
        xid: Option<&'a Xid>,
        locks: &'a [RowLock],
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        self.boxed("query locks", self.client.resource_manager().query_locks(xid, locks))
    }
}

/// Collects what sqlx logs of each statement, under its first words.
#[derive(Clone)]
pub(crate) struct Statements(Arc<Parts>);

impl Statements {
    /// Begins to collect, for the rest of the process.
    pub(crate) fn install() -> Self {
        let statements = Self(Arc::default());
        tracing_subscriber::registry().with(statements.clone()).init();
        statements
    }

    /// What was logged since the last call of this.
    pub(crate) fn take(&self) -> Taken {
        self.0.take()
    }
}

impl<S: Subscriber> Layer<S> for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        self.0.add(statement.summary.trim_end_matches(" …"), Duration::from_secs_f64(statement.seconds));
    }
}

#[derive(Default)]
struct Statement {
    summary: String,
    seconds: f64,
}

impl Visit for Statement {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            value.clone_into(&mut self.summary);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
