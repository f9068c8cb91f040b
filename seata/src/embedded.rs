//! A coordinator in the process, as the context's traits see it.

#[cfg(feature = "remote")]
use std::{path::Path, time::Instant};
use std::{sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
#[cfg(feature = "remote")]
use seata_client::{Link, Report, Step};
use seata_context::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, CoordinationError, Resource, ResourceManager,
    TransactionManager,
};
use seata_coordinator::{
    Coordinator, Participant,
    driver::{self, BeginError, BranchRequest, LocksError, RegisterError, ReportError, Unavailable},
    store::Conflict,
};
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, TransactionExceptionCode, Xid};

#[cfg(feature = "remote")]
use crate::place::report_of_one;

/// How long the transaction of a check may stay, if the check does not come back for it.
#[cfg(feature = "remote")]
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a coordinator that was opened for a check may take to close.
#[cfg(feature = "remote")]
const CHECK_SHUTDOWN: Duration = Duration::from_secs(5);

/// One application's way to the coordinator of its process.
pub(crate) struct Embedded {
    coordinator: Coordinator,
    application: Arc<str>,
    group: Arc<str>,
}

impl Embedded {
    pub(crate) fn new(coordinator: Coordinator, application: &str, group: &str) -> Self {
        Self { coordinator, application: application.into(), group: group.into() }
    }

    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }
}

#[cfg(feature = "remote")]
impl Embedded {
    /// Whether transactions can be begun and rolled back.
    pub(crate) async fn check(&self) -> Report {
        let started = Instant::now();
        let tried = async {
            let request = BeginRequest { name: "seata check".to_owned(), timeout: CHECK_TIMEOUT };
            let xid = self.begin(request).await?;
            let status = self.rollback(&xid).await?;
            Ok::<_, CoordinationError>(format!("{xid} begun, then {status}"))
        };
        let link = match tried.await {
            Ok(found) => Link::ok(Step::Transaction, found, started.elapsed()),
            Err(error) => {
                let advice = "see the reason in the log of this process, and start it again";
                Link::failed(Step::Transaction, error.to_string(), advice, started.elapsed())
            }
        };
        report_of_one(&self.application, &self.group, link)
    }

    /// Whether a coordinator can be opened in this directory. It is closed again.
    pub(crate) async fn check_directory(directory: &Path, application: &str, group: &str) -> Report {
        let started = Instant::now();
        let coordinator = match Coordinator::open(directory).await {
            Ok(coordinator) => coordinator,
            Err(error) => {
                let advice =
                    "name another directory with `data_dir`, or share the coordinator that has it open";
                let found = error.to_string();
                let link = Link::failed(Step::Transaction, found, advice, started.elapsed());
                return report_of_one(application, group, link);
            }
        };
        let report = Self::new(coordinator.clone(), application, group).check().await;
        if let Err(error) = coordinator.shutdown(CHECK_SHUTDOWN).await {
            tracing::warn!(%error, "the coordinator that was opened for a check did not close in order");
        }
        report
    }
}

impl TransactionManager for Embedded {
    fn begin(&self, request: BeginRequest) -> BoxFuture<'_, Result<Xid, CoordinationError>> {
        Box::pin(async move {
            let request = driver::BeginRequest {
                application: self.application.clone(),
                group: self.group.clone(),
                name: request.name.into(),
                timeout: request.timeout,
                is_local: true,
            };
            self.coordinator.begin(request).await.map_err(|error| match error {
                BeginError::Unavailable(error) => unavailable(error),
                other => refused(TransactionExceptionCode::BeginFailed, other),
            })
        })
    }

    fn commit<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move { self.coordinator.commit(xid).await.map_err(unavailable) })
    }

    fn rollback<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move { self.coordinator.rollback(xid).await.map_err(unavailable) })
    }

    fn status<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move { self.coordinator.status(xid).await.map_err(unavailable) })
    }

    fn report<'a>(
        &'a self,
        xid: &'a Xid,
        status: GlobalStatus,
    ) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move { self.coordinator.report(xid, status).await.map_err(unavailable) })
    }

    fn knows(&self, xid: &Xid) -> bool {
        self.coordinator.knows(xid)
    }
}

impl ResourceManager for Embedded {
    fn register_resource(&self, resource: Arc<dyn Resource>) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(async move {
            let id = resource.id().clone();
            self.coordinator.attach(id, Arc::new(Attached(resource))).await;
            Ok(())
        })
    }

    fn register_branch(
        &self,
        registration: BranchRegistration,
    ) -> BoxFuture<'_, Result<BranchId, CoordinationError>> {
        Box::pin(async move {
            let request = BranchRequest {
                xid: registration.xid,
                branch_type: registration.branch_type,
                resource: registration.resource,
                locks: registration.locks,
                application_data: registration.application_data.into(),
                client: "".into(),
                lock_wait: Duration::ZERO,
            };
            self.coordinator.register_branch(request).await.map_err(|error| match error {
                RegisterError::LockConflict(held) => conflict(&held),
                RegisterError::NotActive { xid, status } => CoordinationError::NotActive { xid, status },
                RegisterError::UnknownTransaction { xid } => CoordinationError::UnknownTransaction { xid },
                RegisterError::Unavailable(error) => unavailable(error),
                other => refused(TransactionExceptionCode::FailedToAddBranch, other),
            })
        })
    }

    fn report_branch<'a>(
        &'a self,
        xid: &'a Xid,
        branch: BranchId,
        status: BranchStatus,
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            self.coordinator.report_branch(xid, branch, status, None).await.map_err(|error| match error {
                ReportError::UnknownTransaction { xid } => CoordinationError::UnknownTransaction { xid },
                ReportError::UnknownBranch { .. } => {
                    refused(TransactionExceptionCode::BranchTransactionNotExist, error)
                }
                ReportError::Unavailable(error) => unavailable(error),
                other => refused(TransactionExceptionCode::BranchReportFailed, other),
            })
        })
    }

    fn query_locks<'a>(
        &'a self,
        xid: Option<&'a Xid>,
        locks: &'a [RowLock],
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            self.coordinator.query_locks(xid, locks).await.map_err(|error| match error {
                LocksError::Conflict(held) => conflict(&held),
                LocksError::Unavailable(error) => unavailable(error),
                other => refused(TransactionExceptionCode::LockableCheckFailed, other),
            })
        })
    }
}

fn conflict(held: &Conflict) -> CoordinationError {
    CoordinationError::LockConflict {
        row: held.lock.to_string(),
        holder: held.holder.to_string(),
        holder_is_rolling_back: held.holder_is_rolling_back,
    }
}

fn unavailable(error: Unavailable) -> CoordinationError {
    match error {
        Unavailable::Stopping => CoordinationError::ShuttingDown,
        other => refused(TransactionExceptionCode::FailedStore, other),
    }
}

fn refused(code: TransactionExceptionCode, error: impl std::fmt::Display) -> CoordinationError {
    CoordinationError::Refused { code, message: error.to_string() }
}

/// A resource of the context, as the coordinator calls it.
struct Attached(Arc<dyn Resource>);

impl Participant for Attached {
    fn commit(&self, task: driver::BranchTask) -> BoxFuture<'_, driver::BranchAnswer> {
        Box::pin(async move { answer(self.0.commit(context_task(task)).await) })
    }

    fn rollback(&self, task: driver::BranchTask) -> BoxFuture<'_, driver::BranchAnswer> {
        Box::pin(async move { answer(self.0.rollback(context_task(task)).await) })
    }

    fn commit_many(&self, tasks: Vec<driver::BranchTask>) -> BoxFuture<'_, Vec<driver::BranchAnswer>> {
        Box::pin(async move {
            let tasks = tasks.into_iter().map(context_task).collect();
            self.0.commit_many(tasks).await.into_iter().map(answer).collect()
        })
    }
}

fn context_task(task: driver::BranchTask) -> BranchTask {
    BranchTask {
        xid: task.xid,
        branch: task.branch,
        branch_type: task.branch_type,
        resource: task.resource,
        application_data: task.application_data.as_ref().to_owned(),
    }
}

fn answer(answer: BranchAnswer) -> driver::BranchAnswer {
    driver::BranchAnswer { status: answer.status, reason: answer.reason }
}
