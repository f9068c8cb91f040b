//! Branches of a remote coordinator: resources, registration, reports, lock queries.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use seata_context::{BranchRegistration, CoordinationError, Resource, ResourceManager};
use seata_protocol::{
    BranchId, BranchRegister, BranchReport, BranchStatus, BranchType, Message, RowLock, Text,
    TransactionExceptionCode, Xid, lock_key_text,
};

use crate::{
    RemoteCoordinator,
    link::Role,
    refusal::{conflict, refused, refused_rows, wrong_answer},
    registration::SEPARATOR,
    servers::Destination,
};

impl ResourceManager for RemoteCoordinator {
    /// Returns when one server has confirmed the resource; the others learn of it when they can. After an
    /// [`Unreachable`](CoordinationError::Unreachable) the client goes on announcing it. With
    /// [`start_without_server`](crate::Settings::start_without_server) it returns at once; a branch waits then
    /// until its server knows the resource.
    fn register_resource(&self, resource: Arc<dyn Resource>) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(async move {
            let id = resource.id().clone();
            let reason = match id.as_str() {
                "" => "it is empty",
                id if id.contains(SEPARATOR) => {
                    "it contains a comma, which separates resources in a registration"
                }
                _ => {
                    // Known before it is announced: a server may ask for phase two at once.
                    self.phase_two().attach(resource);
                    return self.announce(&id).await;
                }
            };
            let message = format!("the resource id {:?} cannot be registered: {reason}", id.as_str());
            Err(not_registered(message))
        })
    }

    fn register_branch(
        &self,
        registration: BranchRegistration,
    ) -> BoxFuture<'_, Result<BranchId, CoordinationError>> {
        Box::pin(async move {
            let BranchRegistration { xid, branch_type, resource, locks, application_data } = registration;
            if let Some(foreign) = locks.iter().find(|lock| lock.resource != resource) {
                return Err(not_registered(format!("a branch on {resource} cannot lock {foreign}")));
            }
            let request = Message::BranchRegister(BranchRegister {
                xid: xid.as_str().into(),
                branch_type,
                resource_id: resource.as_str().into(),
                lock_key: lock_key(&locks)?,
                application_data: application_data.into(),
            });
            let destination = Destination::Branch(&xid, self.resources_up_to(&resource));
            let answer = self.call(Role::ResourceManager, destination, request).await?;
            match answer.message {
                Message::BranchRegisterResponse(registered) if registered.outcome.is_success() => {
                    Ok(registered.branch_id)
                }
                Message::BranchRegisterResponse(refusal) => {
                    Err(refused_rows(refusal.outcome, answer.release, Some(&xid), &locks))
                }
                other => Err(wrong_answer(self.server(answer.server), &other)),
            }
        })
    }

    fn report_branch<'a>(
        &'a self,
        xid: &'a Xid,
        branch: BranchId,
        status: BranchStatus,
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            let request = Message::BranchReport(BranchReport {
                xid: xid.as_str().into(),
                branch_id: branch,
                status,
                resource_id: Text::new(),
                application_data: Text::new(),
                // As from Java, whatever the branch is: servers go by what they stored.
                branch_type: BranchType::At,
            });
            let answer = self.call(Role::ResourceManager, Destination::Of(xid), request).await?;
            match answer.message {
                Message::BranchReportResponse(outcome) if outcome.is_success() => Ok(()),
                Message::BranchReportResponse(outcome) => Err(refused(outcome, answer.release, Some(xid))),
                other => Err(wrong_answer(self.server(answer.server), &other)),
            }
        })
    }

    fn query_locks<'a>(
        &'a self,
        xid: Option<&'a Xid>,
        locks: &'a [RowLock],
    ) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            // A request has room for one resource.
            for locks in locks.chunk_by(|one, next| one.resource == next.resource) {
                self.query_locks_of_one_resource(xid, locks).await?;
            }
            Ok(())
        })
    }
}

impl RemoteCoordinator {
    async fn query_locks_of_one_resource(
        &self,
        xid: Option<&Xid>,
        locks: &[RowLock],
    ) -> Result<(), CoordinationError> {
        let Some(first) = locks.first() else { return Ok(()) };
        let request = Message::GlobalLockQuery(BranchRegister {
            xid: xid.map_or_else(Text::new, |xid| xid.as_str().into()),
            branch_type: BranchType::At,
            resource_id: first.resource.as_str().into(),
            lock_key: lock_key(locks)?,
            application_data: Text::new(),
        });
        let destination = xid.map_or(Destination::Any, Destination::Of);
        let answer = self.call(Role::ResourceManager, destination, request).await?;
        match answer.message {
            Message::GlobalLockQueryResponse(refusal) if !refusal.outcome.is_success() => {
                Err(refused_rows(refusal.outcome, answer.release, xid, locks))
            }
            Message::GlobalLockQueryResponse(found) if found.lockable => Ok(()),
            Message::GlobalLockQueryResponse(found) => Err(conflict(&found.outcome.message, locks, false)),
            other => Err(wrong_answer(self.server(answer.server), &other)),
        }
    }
}

fn lock_key(locks: &[RowLock]) -> Result<Text, CoordinationError> {
    lock_key_text(locks).map_err(|error| not_registered(error.to_string()))
}

fn not_registered(message: String) -> CoordinationError {
    CoordinationError::Refused { code: TransactionExceptionCode::BranchRegisterFailed, message }
}
