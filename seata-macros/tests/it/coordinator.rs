//! A coordinator that writes down what it is asked and agrees to it, and the error of the test functions.

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use seata::{BranchId, BranchStatus, Client, CoordinationError, GlobalStatus, RowLock, Xid};
use seata_context::{BeginRequest, BranchRegistration, Resource, ResourceManager, TransactionManager};

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum ShopError {
    #[error("odd")]
    Odd,
    #[error("{left} left")]
    SoldOut { left: u32 },
    #[error("unpaid")]
    Unpaid,
    #[error(transparent)]
    Transaction(#[from] seata::Error),
}

impl ShopError {
    pub(crate) fn is_harmless(&self) -> bool {
        *self == Self::Odd
    }
}

/// What the coordinator was asked.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) names: Vec<String>,
    pub(crate) timeouts: Vec<Duration>,
    pub(crate) decisions: Vec<GlobalStatus>,
}

#[derive(Clone, Default)]
pub(crate) struct Coordinator(Arc<Mutex<Log>>);

impl Coordinator {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A client of this coordinator, for functions that name theirs.
    pub(crate) fn client(&self) -> Client {
        let (client, finisher) = Client::new("test", Arc::new(self.clone()), Arc::new(self.clone()));
        tokio::spawn(finisher.run());
        client
    }

    /// Runs a future whose transactions go to this coordinator.
    pub(crate) fn scope<F>(&self, future: F) -> seata::Scoped<F> {
        self.client().scope(future)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, status: GlobalStatus) -> BoxFuture<'_, Result<GlobalStatus, CoordinationError>> {
        self.log().decisions.push(status);
        Box::pin(ready(Ok(status)))
    }
}

impl TransactionManager for Coordinator {
    fn begin(&self, request: BeginRequest) -> BoxFuture<'_, Result<Xid, CoordinationError>> {
        let mut log = self.log();
        log.names.push(request.name);
        log.timeouts.push(request.timeout);
        let xid = format!("tc:0:{}", log.names.len()).parse().unwrap();
        Box::pin(ready(Ok(xid)))
    }

    fn commit<'a>(&'a self, _: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        self.decide(GlobalStatus::Committed)
    }

    fn rollback<'a>(&'a self, _: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        self.decide(GlobalStatus::Rollbacked)
    }

    fn status<'a>(&'a self, _: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(ready(Ok(GlobalStatus::Begin)))
    }

    fn report<'a>(
        &'a self,
        _: &'a Xid,
        status: GlobalStatus,
    ) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(ready(Ok(status)))
    }

    fn knows(&self, xid: &Xid) -> bool {
        xid.coordinator() == "tc:0"
    }
}

/// No function of these tests has branches.
impl ResourceManager for Coordinator {
    fn register_resource(&self, _: Arc<dyn Resource>) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(ready(Ok(())))
    }

    fn register_branch(&self, _: BranchRegistration) -> BoxFuture<'_, Result<BranchId, CoordinationError>> {
        Box::pin(ready(Ok(BranchId(1))))
    }

    fn report_branch<'a>(
        &'a self,
        _: &'a Xid,
        _: BranchId,
        _: BranchStatus,
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(ready(Ok(())))
    }

    fn query_locks<'a>(
        &'a self,
        _: Option<&'a Xid>,
        _: &'a [RowLock],
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(ready(Ok(())))
    }
}
