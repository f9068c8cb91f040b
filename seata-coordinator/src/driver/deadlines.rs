//! When which transaction may time out.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    sync::Mutex,
};

use foldhash::fast::RandomState;
use seata_protocol::TransactionId;

use crate::record::{Millis, Transaction};

/// Deadlines so near each other are looked at together, in milliseconds.
const MOMENT: Millis = 64;

/// Undecided transactions by the moment at which they may be due. One whose decider was dropped stays
/// until then.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_moment: Mutex<BTreeMap<u64, HashSet<TransactionId, RandomState>>>,
}

impl Deadlines {
    pub(super) fn watch(&self, transaction: &Transaction) {
        let mut by_moment = self.by_moment.lock().expect("nothing panics under it");
        by_moment.entry(moment(transaction)).or_default().insert(transaction.id);
    }

    /// It is decided: its deadline is of no interest any more, however far away it is.
    pub(super) fn forget(&self, transaction: &Transaction) {
        let mut by_moment = self.by_moment.lock().expect("nothing panics under it");
        if let Entry::Occupied(mut due) = by_moment.entry(moment(transaction)) {
            due.get_mut().remove(&transaction.id);
            if due.get().is_empty() {
                due.remove();
            }
        }
    }

    /// Takes the transactions out whose deadline has come, those of one moment after those of another until
    /// they are `enough`.
    pub(super) fn due(&self, now: Millis, enough: usize) -> Vec<TransactionId> {
        let mut due = Vec::new();
        let mut by_moment = self.by_moment.lock().expect("nothing panics under it");
        while due.len() < enough
            && let Some(first) = by_moment.first_entry()
            && *first.key() <= now / MOMENT
        {
            due.extend(first.remove());
        }
        due
    }
}

/// The first moment that is wholly after the deadline.
fn moment(transaction: &Transaction) -> u64 {
    (transaction.deadline() / MOMENT).saturating_add(1)
}
