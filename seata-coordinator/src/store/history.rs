//! The outcomes of the transactions that ended last, in little memory.

use std::{collections::VecDeque, hash::BuildHasher, num::NonZeroU64, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::hash_table::HashTable;
use seata_protocol::{GlobalStatus, TransactionId, Xid};

use crate::record::{Ended, Millis, Transaction};

/// Up to so many outcomes, in the order in which they came about.
#[derive(Debug)]
pub(super) struct History {
    limit: usize,
    order: VecDeque<Outcome>,
    /// How many came before the first in `order`. Counts round.
    forgotten: u32,
    /// Each one's number since the beginning, found by its transaction. Counts round.
    numbers: HashTable<u32>,
    hash: RandomState,
    /// Few applications begin most transactions.
    origins: HashTable<Arc<Origin>>,
}

/// An [`Ended`] without the text that it shares with others.
#[derive(Debug)]
struct Outcome {
    id: TransactionId,
    begun_at: Millis,
    timeout: Millis,
    at: Millis,
    incarnation: Option<NonZeroU64>,
    origin: Arc<Origin>,
    reason: Option<Arc<str>>,
    status: GlobalStatus,
}

/// What transactions of one kind have in common.
#[derive(Debug)]
struct Origin {
    /// `host:port`.
    coordinator: Box<str>,
    application: Arc<str>,
    group: Arc<str>,
    name: Arc<str>,
}

impl History {
    /// An empty one. None is remembered with a `limit` of zero.
    pub(super) fn new(limit: usize) -> Self {
        // Numbers that count round tell so many apart.
        let limit = limit.min(u32::MAX as usize / 2);
        Self {
            limit,
            order: VecDeque::new(),
            forgotten: 0,
            numbers: HashTable::new(),
            hash: RandomState::default(),
            origins: HashTable::new(),
        }
    }

    pub(super) fn remembers(&self) -> bool {
        self.limit > 0
    }

    /// Takes one in; the oldest goes when it is full.
    pub(super) fn push(&mut self, ended: Ended) {
        if self.limit == 0 {
            return;
        }
        if self.order.len() >= self.limit {
            self.forget_oldest();
        }
        let Ended { transaction, status, at, reason } = ended;
        let origin = self.origin(&transaction);
        let (order, forgotten, hash) = (&self.order, self.forgotten, &self.hash);
        let rehash = |number: &u32| hash.hash_one(order[number.wrapping_sub(forgotten) as usize].id);
        let number = forgotten.wrapping_add(order.len() as u32);
        self.numbers.insert_unique(hash.hash_one(transaction.id), number, rehash);
        self.order.push_back(Outcome {
            id: transaction.id,
            begun_at: transaction.begun_at,
            timeout: transaction.timeout,
            at,
            incarnation: transaction.incarnation.and_then(NonZeroU64::new),
            origin,
            reason,
            status,
        });
    }

    /// The one of this transaction.
    pub(super) fn find(&self, id: TransactionId) -> Option<Ended> {
        self.position(id).map(|position| self.order[position].to_ended())
    }

    /// Its status alone, which costs less.
    pub(super) fn status(&self, id: TransactionId) -> Option<GlobalStatus> {
        self.position(id).map(|position| self.order[position].status)
    }

    /// Up to `limit` of them from the last one, or from the one that came before `after`.
    pub(super) fn list(&self, after: Option<TransactionId>, limit: usize) -> Vec<Ended> {
        let end = match after {
            None => self.order.len(),
            Some(after) => self.position(after).unwrap_or(0),
        };
        self.order.range(..end).rev().take(limit).map(Outcome::to_ended).collect()
    }

    fn position(&self, id: TransactionId) -> Option<usize> {
        let place = |number: &u32| number.wrapping_sub(self.forgotten) as usize;
        self.numbers.find(self.hash.hash_one(id), |number| self.order[place(number)].id == id).map(place)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.front() else { return };
        let oldest = oldest.id;
        let number = self.forgotten;
        if let Ok(entry) = self.numbers.find_entry(self.hash.hash_one(oldest), |other| *other == number) {
            entry.remove();
        }
        let Some(Outcome { origin, .. }) = self.order.pop_front() else { return };
        self.forgotten = self.forgotten.wrapping_add(1);
        // This one, and the one in the set.
        if Arc::strong_count(&origin) == 2 {
            let hash = self.hash.hash_one(origin.parts());
            if let Ok(entry) = self.origins.find_entry(hash, |known| Arc::ptr_eq(known, &origin)) {
                entry.remove();
            }
        }
    }

    fn origin(&mut self, transaction: &Transaction) -> Arc<Origin> {
        let Transaction { xid, application, group, name, .. } = transaction;
        let parts = (xid.coordinator(), &**application, &**group, &**name);
        let hash = self.hash.hash_one(parts);
        if let Some(known) = self.origins.find(hash, |known| known.parts() == parts) {
            return Arc::clone(known);
        }
        let origin = Arc::new(Origin {
            coordinator: xid.coordinator().into(),
            application: Arc::clone(application),
            group: Arc::clone(group),
            name: Arc::clone(name),
        });
        let hasher = &self.hash;
        self.origins.insert_unique(hash, Arc::clone(&origin), |known| hasher.hash_one(known.parts()));
        origin
    }
}

impl Origin {
    fn parts(&self) -> (&str, &str, &str, &str) {
        (&self.coordinator, &self.application, &self.group, &self.name)
    }
}

impl Outcome {
    fn to_ended(&self) -> Ended {
        let origin = &*self.origin;
        let xid: Xid = format!("{}:{}", origin.coordinator, self.id).parse().expect("it was one");
        let transaction = Transaction {
            id: self.id,
            xid,
            application: Arc::clone(&origin.application),
            group: Arc::clone(&origin.group),
            name: Arc::clone(&origin.name),
            begun_at: self.begun_at,
            timeout: self.timeout,
            incarnation: self.incarnation.map(NonZeroU64::get),
        };
        let (transaction, reason) = (Arc::new(transaction), self.reason.clone());
        Ended { transaction, status: self.status, at: self.at, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(id: i64, name: &str) -> Ended {
        let transaction = Transaction {
            id: TransactionId(id),
            xid: format!("tc-1:8091:{id}").parse().unwrap(),
            application: "shop".into(),
            group: "default_tx_group".into(),
            name: name.into(),
            begun_at: 5,
            timeout: 60_000,
            incarnation: (id % 2 == 0).then_some(3),
        };
        let (transaction, reason) = (Arc::new(transaction), (id % 3 == 0).then(|| "because".into()));
        Ended { transaction, status: GlobalStatus::Committed, at: 7, reason }
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was_and_the_oldest_is_forgotten() {
        for start in [0, u32::MAX - 7] {
            let mut history = History { forgotten: start, ..History::new(5) };
            for id in 1..=20 {
                history.push(ended(id, "buy"));
                let kept: Vec<Ended> = (1..=id).rev().take(5).map(|id| ended(id, "buy")).collect();
                assert_eq!(history.list(None, 9), kept);
                assert_eq!(history.find(TransactionId(id)), Some(ended(id, "buy")));
                assert_eq!(history.find(TransactionId(id - 5)), None);
                assert_eq!(
                    history.list(Some(TransactionId(id)), 2),
                    kept[1..].iter().take(2).cloned().collect::<Vec<_>>()
                );
            }
            assert_eq!(history.numbers.len(), 5);
        }
    }

    #[test]
    fn one_outcome_takes_little_and_shares_its_names() {
        assert!(size_of::<Outcome>() <= 72, "{}", size_of::<Outcome>());
        let mut history = History::new(100);
        (0..1_000).for_each(|id| history.push(ended(id, "buy")));
        assert_eq!(history.origins.len(), 1);
        (1_000..2_000).for_each(|id| history.push(ended(id, &id.to_string())));
        assert_eq!(history.origins.len(), 100, "names that nobody has are forgotten");
    }

    #[test]
    fn a_history_without_room_keeps_nothing() {
        let mut history = History::new(0);
        history.push(ended(1, "buy"));
        assert_eq!((history.find(TransactionId(1)), history.origins.len()), (None, 0));
    }
}
