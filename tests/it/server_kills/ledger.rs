//! What was asked for, what was acknowledged, and what resource managers were told to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use seata::GlobalStatus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Commit,
    Rollback,
}

impl Decision {
    /// The decision behind a status.
    pub(super) fn of(status: GlobalStatus) -> Option<Self> {
        match status {
            status if status.is_commit() => Some(Self::Commit),
            status if status.is_rollback() => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// Everything about every transaction, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<BTreeMap<String, Entry>>,
    complaints: Mutex<Vec<String>>,
}

/// One transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Acknowledged branches: their rows.
    branches: BTreeMap<i64, Vec<String>>,
    /// How many registrations were sent.
    registrations: usize,
    /// Decisions that were asked for.
    asked: Vec<Decision>,
    /// Whether a decision was acknowledged.
    is_told: bool,
    /// The decision, from an answer or from what resource managers were told.
    decision: Option<Decision>,
    /// Branches that were told what to do.
    finished: BTreeSet<i64>,
    /// Whether its decision was found again after a restart.
    is_checked: bool,
}

impl Entry {
    /// The rows that it holds for certain while it is undecided.
    pub(super) fn rows(&self) -> impl Iterator<Item = &String> {
        self.branches.values().flatten()
    }

    /// Whether a decision was asked for.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Acknowledged branches that no resource manager has heard of.
    fn waiting(&self) -> usize {
        self.branches.keys().filter(|branch| !self.finished.contains(branch)).count()
    }

    /// Notes a decision; the former one if it was another.
    fn decided(&mut self, decision: Decision) -> Option<Decision> {
        let former = *self.decision.get_or_insert(decision);
        (former != decision).then_some(former)
    }
}

impl Ledger {
    pub(super) fn begun(&self, xid: &str) {
        if self.entries().insert(xid.to_owned(), Entry::default()).is_some() {
            self.complain(format!("{xid} was given twice"));
        }
    }

    pub(super) fn asks_for_branch(&self, xid: &str, _: &[String]) {
        self.entries().get_mut(xid).expect("it was begun").registrations += 1;
    }

    pub(super) fn branch(&self, xid: &str, branch: i64, rows: Vec<String>) {
        self.entries().get_mut(xid).expect("it was begun").branches.insert(branch, rows);
    }

    pub(super) fn asks(&self, xid: &str, decision: Decision) {
        self.entries().get_mut(xid).expect("it was begun").asked.push(decision);
    }

    /// The server answered a decision.
    pub(super) fn told(&self, xid: &str, status: GlobalStatus) {
        let mut entries = self.entries();
        let entry = entries.get_mut(xid).expect("it was begun");
        entry.is_told = true;
        match Decision::of(status) {
            Some(decision) if !entry.asked.contains(&decision) => {
                self.complain(format!("{xid} is {status}, which nobody asked for: {entry:?}"));
            }
            Some(decision) => {
                if let Some(former) = entry.decided(decision) {
                    self.complain(format!("{xid} is {status}, and was {former:?} before"));
                }
            }
            // It came to its end in an earlier life of the server, or a begin without a branch was forgotten.
            None if status == GlobalStatus::Finished
                && (entry.asked.len() > 1 || entry.branches.is_empty()) => {}
            None => self.complain(format!("{xid} was told {status}: {entry:?}")),
        }
    }

    /// A resource manager is told what to do with a branch.
    pub(super) fn phase_two(&self, xid: &str, branch: i64, decision: Decision) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(xid) else {
            return self.complain(format!("phase two of {xid}, which nobody began"));
        };
        if !entry.asked.contains(&decision) {
            self.complain(format!("{decision:?} of {xid}, which nobody asked for: {entry:?}"));
        }
        if let Some(former) = entry.decided(decision) {
            self.complain(format!("{decision:?} of {xid}, which was {former:?} before"));
        }
        entry.finished.insert(branch);
        let unknown = entry.finished.iter().filter(|branch| !entry.branches.contains_key(branch)).count();
        if entry.branches.len() + unknown > entry.registrations {
            self.complain(format!("{xid} has branch {branch}, which nobody registered: {entry:?}"));
        }
    }

    pub(super) fn complain(&self, complaint: String) {
        locked(&self.complaints).push(complaint);
    }

    /// With acknowledged branches, and nobody asked for a decision.
    pub(super) fn undecided(&self) -> Vec<(String, Entry)> {
        self.select(|entry| !entry.is_asked() && !entry.branches.is_empty())
    }

    /// Whose state only the server knows: it did not answer a decision, or the only registration.
    pub(super) fn unknown(&self) -> Vec<(String, Entry)> {
        self.select(|entry| !entry.is_told && (entry.is_asked() || entry.branches.is_empty()))
    }

    /// Those whose decision was acknowledged since the last time.
    pub(super) fn take_decided(&self) -> Vec<(String, Decision)> {
        let mut decided = Vec::new();
        for (xid, entry) in self.entries().iter_mut() {
            // What had no branches has left nothing behind.
            if entry.is_told && !entry.is_checked && !entry.branches.is_empty() {
                entry.is_checked = true;
                decided.extend(entry.decision.map(|decision| (xid.clone(), decision)));
            }
        }
        decided
    }

    /// Acknowledged branches of decided transactions that no resource manager has heard of yet.
    pub(super) fn waiting(&self) -> usize {
        self.entries().values().filter(|entry| entry.is_told).map(Entry::waiting).sum()
    }

    /// How many branches and decisions were acknowledged.
    pub(super) fn acknowledged(&self) -> (usize, usize) {
        let entries = self.entries();
        let decisions = entries.values().filter(|entry| entry.is_told).count();
        (entries.values().map(|entry| entry.branches.len()).sum(), decisions)
    }

    pub(super) fn assert_clean(&self, when: &str) {
        let complaints = locked(&self.complaints);
        let first: Vec<_> = complaints.iter().take(10).collect();
        assert!(complaints.is_empty(), "{when}: {} complaints, the first ones: {first:#?}", complaints.len());
    }

    fn select(&self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<(String, Entry)> {
        let entries = self.entries();
        let wanted = entries.iter().filter(|(_, entry)| is_wanted(entry));
        wanted.map(|(xid, entry)| (xid.clone(), entry.clone())).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        locked(&self.entries)
    }
}

/// A test that panicked has said why already.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
