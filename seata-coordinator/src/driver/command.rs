//! What is handed to the runner.

use seata_protocol::{GlobalStatus, TransactionId};
use tokio::sync::{mpsc::Permit, oneshot};

use crate::{driver::TransactionView, record::Snapshot, session::Decision};

#[derive(Debug)]
pub(super) enum Command {
    /// A decision is durable; carry it out.
    Start {
        snapshot: Snapshot,
        outcome: Option<oneshot::Sender<GlobalStatus>>,
    },
    /// Somebody began to decide and was dropped: make sure of it, and carry it out.
    Settle {
        id: TransactionId,
        decision: Decision,
    },
    Retry {
        id: TransactionId,
        reply: oneshot::Sender<bool>,
    },
    View {
        page: Vec<Snapshot>,
        reply: oneshot::Sender<Vec<TransactionView>>,
    },
    Stop,
}

/// A place in the inbox, taken before a decision is made, so that handing it over cannot fail and cannot
/// be forgotten by dropping the caller's future.
pub(super) struct HandOver<'a> {
    permit: Option<Permit<'a, Command>>,
    id: TransactionId,
    decision: Decision,
}

impl<'a> HandOver<'a> {
    pub(super) fn new(permit: Permit<'a, Command>, id: TransactionId, decision: Decision) -> Self {
        Self { permit: Some(permit), id, decision }
    }

    pub(super) fn start(mut self, snapshot: Snapshot, outcome: Option<oneshot::Sender<GlobalStatus>>) {
        if let Some(permit) = self.permit.take() {
            permit.send(Command::Start { snapshot, outcome });
        }
    }

    /// There is nothing to carry out.
    pub(super) fn cancel(mut self) {
        self.permit = None;
    }
}

impl Drop for HandOver<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(Command::Settle { id: self.id, decision: self.decision });
        }
    }
}
