//! The calls that wait for one resource.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use seata_protocol::{BranchId, BranchType, TransactionId};

use crate::{
    driver::BranchTask,
    record::{Branch, Millis, Transaction},
    session::Phase,
};

/// One branch to be asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) transaction: Arc<Transaction>,
    pub(super) phase: Phase,
    pub(super) branch: Arc<Branch>,
}

/// First come, first served, so many at a time, and none while nobody has the resource.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Call>,
    under_way: usize,
    /// What is to be asked again after a pause.
    backed_off: BTreeSet<(TransactionId, BranchId)>,
    is_missing: bool,
    /// Since when nobody was reached who has it. It ends with the first answer, not with the first hope.
    lost_since: Option<Millis>,
    /// New calls are to go out.
    is_wanted: bool,
    /// Counts how often the resource became available, so that an answer from before does not count.
    generation: u64,
}

/// What an answer says that none said before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody has the resource, and so many calls wait for it.
    Lost { waiting: usize },
    /// Somebody has it again, after it was lost.
    Back { since: Millis },
}

impl Call {
    pub(super) fn task(&self) -> BranchTask {
        BranchTask {
            xid: self.transaction.xid.clone(),
            branch: self.branch.id,
            branch_type: self.branch.branch_type,
            resource: self.branch.resource.clone(),
            application_data: Arc::clone(&self.branch.application_data),
            client: Arc::clone(&self.branch.client),
        }
    }

    /// Whether it may share a call with others of its kind.
    fn is_at_commit(&self) -> bool {
        self.phase == Phase::Commit && self.branch.branch_type == BranchType::At
    }
}

impl Queue {
    pub(super) fn push(&mut self, call: Call) {
        if !self.backed_off.is_empty() {
            self.backed_off.remove(&(call.transaction.id, call.branch.id));
        }
        self.waiting.push_back(call);
    }

    pub(super) fn note_back_off(&mut self, transaction: TransactionId, branch: BranchId) {
        self.backed_off.insert((transaction, branch));
    }

    /// None of them is noted any more.
    pub(super) fn take_backed_off(&mut self) -> BTreeSet<(TransactionId, BranchId)> {
        std::mem::take(&mut self.backed_off)
    }

    pub(super) fn is_missing(&self) -> bool {
        self.is_missing
    }

    pub(super) fn become_available(&mut self) {
        self.generation += 1;
        self.is_missing = false;
    }

    /// Says whether nobody said so before.
    pub(super) fn want(&mut self) -> bool {
        !std::mem::replace(&mut self.is_wanted, true)
    }

    pub(super) fn no_longer_wanted(&mut self) {
        self.is_wanted = false;
    }

    /// After a call has come back: whether anybody was reached is known better now.
    pub(super) fn note_reach(&mut self, is_reached: bool, now: Millis) -> Option<Reach> {
        if self.is_missing {
            let is_news = self.lost_since.is_none();
            self.lost_since.get_or_insert(now);
            return is_news.then_some(Reach::Lost { waiting: self.waiting.len() });
        }
        let since = self.lost_since.take_if(|_| is_reached)?;
        Some(Reach::Back { since })
    }

    /// What to ask next in one call, if another call may be made.
    pub(super) fn next(&mut self, parallel: usize, together: usize) -> Option<(Vec<Call>, u64)> {
        if self.is_missing || self.under_way >= parallel.max(1) {
            return None;
        }
        let first = self.waiting.pop_front()?;
        let shares = first.is_at_commit();
        let mut calls = vec![first];
        while shares && calls.len() < together && self.waiting.front().is_some_and(Call::is_at_commit) {
            calls.extend(self.waiting.pop_front());
        }
        self.under_way += 1;
        Some((calls, self.generation))
    }

    /// Nobody has anything to do with it: it need not be kept.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0 && self.backed_off.is_empty()
    }

    /// Takes the calls for one transaction back that are not on their way.
    pub(super) fn withdraw(&mut self, transaction: TransactionId) -> Vec<BranchId> {
        while let Some(noted) = self.of(transaction) {
            self.backed_off.remove(&noted);
        }
        let mut withdrawn = Vec::new();
        self.waiting.retain(|call| {
            let is_its = call.transaction.id == transaction;
            if is_its {
                withdrawn.push(call.branch.id);
            }
            !is_its
        });
        withdrawn
    }

    fn of(&self, transaction: TransactionId) -> Option<(TransactionId, BranchId)> {
        let all = (transaction, BranchId(i64::MIN))..=(transaction, BranchId(i64::MAX));
        self.backed_off.range(all).next().copied()
    }

    /// A call has come back; `missing` are those for which nobody had the resource. Returns who waits for it
    /// because of that: these, and those behind them when it has just turned out.
    pub(super) fn answered(
        &mut self,
        missing: Vec<Call>,
        generation: u64,
    ) -> Vec<(TransactionId, Arc<Branch>)> {
        let was_missing = self.is_missing;
        let mut count = missing.len();
        self.under_way -= 1;
        if !missing.is_empty() {
            self.is_missing = generation == self.generation;
        }
        for call in missing.into_iter().rev() {
            self.waiting.push_front(call);
        }
        if self.is_missing && !was_missing {
            count = self.waiting.len();
        }
        if !self.is_missing {
            return Vec::new();
        }
        self.waiting.iter().take(count).map(|call| (call.transaction.id, Arc::clone(&call.branch))).collect()
    }
}
