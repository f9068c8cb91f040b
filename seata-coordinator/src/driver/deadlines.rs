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

    /// The transactions whose deadline has come.
    pub(super) fn due(&self, now: Millis) -> Vec<TransactionId> {
        let mut by_moment = self.by_moment.lock().expect("nothing panics under it");
        let later = by_moment.split_off(&(now / MOMENT + 1));
        let due = std::mem::replace(&mut *by_moment, later);
        drop(by_moment);
        due.into_values().flatten().collect()
    }
}

/// The first moment that is wholly after the deadline.
fn moment(transaction: &Transaction) -> u64 {
    (transaction.deadline() / MOMENT).saturating_add(1)
}
