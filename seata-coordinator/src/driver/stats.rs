//! What a coordinator has in hand, in numbers.

use std::sync::atomic::{AtomicUsize, Ordering};

use seata_protocol::{GlobalStatus, ResourceId, RowLock, Xid};

use crate::record::Millis;

/// What a coordinator has in hand now. Each number is right; two of them may be a moment apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Transactions that are not finished.
    pub open: usize,
    /// How many of them stand where; a status that none has is left out.
    pub by_status: Vec<(GlobalStatus, usize)>,
    /// Row locks that are held.
    pub locks: usize,
    /// Registrations that wait for rows of others.
    pub waiting: usize,
    /// Transactions that no further try happens for until an operator asks for one.
    pub parked: usize,
    /// Since when the oldest of them is parked, counted from the last start at the earliest.
    pub oldest_parked: Option<Millis>,
    /// Requests that the runner has not taken yet.
    pub inbox: usize,
    /// Branches of phase two that wait for their resource, or for their turn with it.
    pub phase_two_queued: usize,
    /// Branches of phase two whose resource has been asked and has not answered.
    pub phase_two_under_way: usize,
}

/// A registration that waits for rows of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWaiter {
    /// The global transaction that wants them.
    pub xid: Xid,
    /// Where they are.
    pub resource: ResourceId,
    /// The first row that it cannot have yet.
    pub row: RowLock,
    /// Who holds that row, or is to have it before.
    pub holder: Xid,
    /// Since when it waits.
    pub since: Millis,
}

/// What the runner counts.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) queued: Gauge,
    pub(super) under_way: Gauge,
}

#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicUsize);

impl Gauge {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn take(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
