//! What is counted and timed.

use std::time::Duration;

use seata_protocol::{GlobalStatus, ResourceId};

use crate::{
    record::{Millis, Transaction},
    session::Phase,
};

/// Hears of what is worth counting. The calls come from the midst of the work: they must be quick and must
/// not block. Each does nothing unless it is written.
pub trait Observer: Send + Sync + 'static {
    /// A transaction began.
    fn begun(&self, _transaction: &Transaction) {}

    /// It was open at the start, from an earlier life.
    fn recovered(&self, _transaction: &Transaction) {}

    /// It is decided, durably, and stands there now.
    fn decided(&self, _transaction: &Transaction, _status: GlobalStatus, _now: Millis) {}

    /// Nothing is left of it; this is its outcome.
    fn finished(&self, _transaction: &Transaction, _status: GlobalStatus, _now: Millis) {}

    /// The same of one that an operator ended without its branches. Counts as finished unless it is written.
    fn given_up(&self, transaction: &Transaction, status: GlobalStatus, now: Millis) {
        self.finished(transaction, status, now);
    }

    /// A person has to look at it.
    fn parked(&self, _transaction: &Transaction, _status: GlobalStatus, _now: Millis) {}

    /// It does not go on by itself: it was parked, or was so at the start.
    fn rests(&self, _transaction: &Transaction) {}

    /// It rests no more: it is tried again, or ends next.
    fn resumed(&self, _transaction: &Transaction) {}

    /// One call of phase two has ended, with so many branches and after so long.
    fn asked(&self, _resource: &ResourceId, _phase: Phase, _branches: usize, _took: Duration) {}

    /// The store made so many records durable, and the disk took so long for it.
    fn flushed(&self, _took: Duration, _records: usize) {}

    /// A registration waited so long for rows of others, and got them or not.
    fn waited(&self, _took: Duration, _granted: bool) {}
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
