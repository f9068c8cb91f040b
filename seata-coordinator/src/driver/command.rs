//! What is handed to the runner.

use std::sync::Arc;

use seata_protocol::{GlobalStatus, TransactionId};
use tokio::sync::{mpsc::Permit, oneshot};

use crate::{
    driver::TransactionView,
    record::{Branch, Snapshot},
    session::Decision,
};

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
        note: Option<Arc<str>>,
    },
    /// An operator wants something of a decided transaction.
    Operate {
        id: TransactionId,
        wish: Wish,
        reply: oneshot::Sender<Operated>,
    },
    /// The store knows more of a transaction than its session: the starter of a Saga has reported, or was
    /// dropped while it did.
    Follow {
        id: TransactionId,
    },
    View {
        page: Vec<Snapshot>,
        reply: oneshot::Sender<Vec<TransactionView>>,
    },
    Stop,
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Retry,
    Park(Arc<str>),
    /// Give up the branches that are left.
    GiveUp(Arc<str>),
    Release,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Operated {
    Done(Done),
    Refused(GlobalStatus, &'static str),
    /// The runner has no such session.
    NoSession,
}

#[derive(Debug)]
pub(super) struct Done {
    /// Where the transaction stands now.
    pub(super) status: GlobalStatus,
    /// How many rows were freed.
    pub(super) freed: usize,
    /// The branches that were given up.
    pub(super) given_up: Vec<Arc<Branch>>,
}

impl Done {
    pub(super) fn at(status: GlobalStatus) -> Operated {
        Operated::Done(Self { status, freed: 0, given_up: Vec::new() })
    }
}

/// A place in the inbox, taken before a decision is made, so that handing it over cannot fail and cannot
/// be forgotten by dropping the caller's future.
pub(super) struct HandOver<'a> {
    permit: Option<Permit<'a, Command>>,
    id: TransactionId,
    decision: Decision,
    note: Option<Arc<str>>,
}

impl<'a> HandOver<'a> {
    pub(super) fn new(
        permit: Permit<'a, Command>,
        id: TransactionId,
        decision: Decision,
        note: Option<Arc<str>>,
    ) -> Self {
        Self { permit: Some(permit), id, decision, note }
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

/// The same for a report: whatever becomes of its caller, the runner looks at what the store then has.
pub(super) struct FollowUp<'a> {
    permit: Option<Permit<'a, Command>>,
    id: TransactionId,
}

impl<'a> FollowUp<'a> {
    pub(super) fn new(permit: Permit<'a, Command>, id: TransactionId) -> Self {
        Self { permit: Some(permit), id }
    }

    /// There is nothing to look at.
    pub(super) fn cancel(mut self) {
        self.permit = None;
    }
}

impl Drop for FollowUp<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(Command::Follow { id: self.id });
        }
    }
}

impl Drop for HandOver<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(Command::Settle { id: self.id, decision: self.decision, note: self.note.take() });
        }
    }
}
