//! Transactions of a remote coordinator: begin, commit, rollback, status, report.

use futures_core::future::BoxFuture;
use seata_context::{BeginRequest, CoordinationError, TransactionManager};
use seata_protocol::{
    GlobalBegin, GlobalReport, GlobalRequest, GlobalStatus, Message, Text, TransactionExceptionCode, Xid,
};

use crate::{
    RemoteCoordinator,
    coordinator::Answer,
    link::Role,
    refusal::{refused, wrong_answer},
    servers::Destination,
};

impl TransactionManager for RemoteCoordinator {
    fn begin(&self, request: BeginRequest) -> BoxFuture<'_, Result<Xid, CoordinationError>> {
        Box::pin(async move {
            let timeout_ms = i32::try_from(request.timeout.as_millis()).map_err(|_| {
                let message =
                    format!("a time-out of {:?} does not fit 31 bits of milliseconds", request.timeout);
                CoordinationError::Refused { code: TransactionExceptionCode::BeginFailed, message }
            })?;
            let message =
                Message::GlobalBegin(GlobalBegin { timeout_ms, name: request.name.as_str().into() });
            let destination = Destination::Begin(&request.name);
            let Answer { server, release, message } =
                self.call(Role::TransactionManager, destination, message).await?;
            let Message::GlobalBeginResponse(begun) = message else {
                return Err(wrong_answer(self.server(server), &message));
            };
            if !begun.outcome.is_success() {
                return Err(refused(begun.outcome, release, None));
            }
            let xid: Xid = begun.xid.parse().map_err(|error| CoordinationError::Refused {
                code: TransactionExceptionCode::BeginFailed,
                message: format!(
                    "server {} began a transaction under a name that cannot be used: {error}",
                    self.server(server)
                ),
            })?;
            self.learn(&xid, server);
            Ok(xid)
        })
    }

    fn commit<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(async move {
            match self.end(xid, Message::GlobalCommit(of(xid))).await? {
                GlobalStatus::TimeoutRollbacking => self.tell_from_time_out(xid).await,
                status => Ok(status),
            }
        })
    }

    fn rollback<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(self.end(xid, Message::GlobalRollback(of(xid))))
    }

    fn status<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        Box::pin(self.end(xid, Message::GlobalStatus(of(xid))))
    }

    fn report<'a>(
        &'a self,
        xid: &'a Xid,
        status: GlobalStatus,
    ) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>> {
        let GlobalRequest { xid: text, extra_data } = of(xid);
        let report = GlobalReport { xid: text, extra_data, status: Some(status) };
        Box::pin(self.end(xid, Message::GlobalReport(report)))
    }

    /// Every XID but those of embedded coordinators, which have port 0: servers of one cluster may have any
    /// number of addresses, and not all of them are in the list.
    fn knows(&self, xid: &Xid) -> bool {
        xid.port() != 0
    }
}

impl RemoteCoordinator {
    /// After its time-out, Java's servers answer every commit so, even one that comes a second time because its
    /// first answer was lost: it may be decided by now.
    async fn tell_from_time_out(&self, xid: &Xid) -> Result<GlobalStatus, CoordinationError> {
        match self.status(xid).await? {
            // No commit is taken any more, and the server is about to roll back.
            GlobalStatus::Begin => Ok(GlobalStatus::TimeoutRollbacking),
            status => Ok(status),
        }
    }

    /// Asks something that is answered with a status. A failed request is an error even where its answer
    /// carries a status: that may be what was asked for instead of what is.
    async fn end(&self, xid: &Xid, request: Message) -> Result<GlobalStatus, CoordinationError> {
        let answer = self.call(Role::TransactionManager, Destination::Of(xid), request).await?;
        match answer.message {
            Message::GlobalCommitResponse(response)
            | Message::GlobalRollbackResponse(response)
            | Message::GlobalStatusResponse(response)
            | Message::GlobalReportResponse(response) => match response.outcome.is_success() {
                true => Ok(response.status),
                false => Err(refused(response.outcome, answer.release, Some(xid))),
            },
            other => Err(wrong_answer(self.server(answer.server), &other)),
        }
    }
}

fn of(xid: &Xid) -> GlobalRequest {
    GlobalRequest { xid: xid.as_str().into(), extra_data: Text::new() }
}
