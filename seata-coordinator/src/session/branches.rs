//! The branches of a session that are not done, and which of them may be asked.
//!
//! Whatever comes for one branch costs the same however many there are: one is found by its number, the next
//! one of its resource is known, and what is asked of all is counted.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use seata_protocol::{BranchId, BranchType, ResourceId};

use super::{Effect, Phase};
use crate::record::Branch;

/// In the order of registration, which is that of their numbers. One that is done keeps its place until all
/// behind it are done too.
#[derive(Debug, Default)]
pub(super) struct Branches {
    slots: Vec<Slot>,
    left: usize,
    asked: usize,
    /// Those left that are committed in their order: all but AT branches.
    ordered: usize,
}

#[derive(Debug)]
struct Slot {
    branch: Arc<Branch>,
    /// Of those that are committed in their order: the next one of the same resource.
    next: Option<u32>,
    /// Of those: the earlier ones of the same resource are done.
    is_first: bool,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not asked yet.
    Waiting,
    /// Asked; its answer is to come.
    Asked,
    /// Answered that it cannot now.
    BackedOff,
    /// Answered that it never will, or was given up.
    Failed,
    Done,
}

impl Branches {
    pub(super) fn new(branches: impl IntoIterator<Item = Arc<Branch>>, progress: Progress) -> Self {
        let slot = |branch| Slot { branch, next: None, is_first: true, progress };
        let mut all = Self { slots: branches.into_iter().map(slot).collect(), ..Self::default() };
        all.link();
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    pub(super) fn len(&self) -> usize {
        self.left
    }

    pub(super) fn is_any_asked(&self) -> bool {
        self.asked > 0
    }

    /// Only branches whose commit nobody waits for.
    pub(super) fn are_all_at(&self) -> bool {
        self.ordered == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.slots.iter().filter(|slot| slot.progress != Progress::Done).map(|slot| &slot.branch)
    }

    pub(super) fn branch(&self, index: usize) -> &Arc<Branch> {
        &self.slots[index].branch
    }

    /// Where the branch is, if it is that far.
    pub(super) fn find(&self, branch: BranchId, progress: Progress) -> Option<usize> {
        let index = self.slots.binary_search_by_key(&branch, |slot| slot.branch.id).ok()?;
        (self.slots[index].progress == progress).then_some(index)
    }

    /// Not for one that is done.
    pub(super) fn set(&mut self, index: usize, progress: Progress) {
        let before = std::mem::replace(&mut self.slots[index].progress, progress);
        self.asked -= usize::from(before == Progress::Asked);
        self.asked += usize::from(progress == Progress::Asked);
    }

    /// Whoever is that far waits to be asked.
    pub(super) fn wake(&mut self, from: Progress) {
        for slot in self.slots.iter_mut().filter(|slot| slot.progress == from) {
            slot.progress = Progress::Waiting;
        }
    }

    /// It is done. Returns it, and the next one of its resource, which may be asked now.
    pub(super) fn finish(&mut self, index: usize) -> (Arc<Branch>, Option<usize>) {
        self.set(index, Progress::Done);
        self.left -= 1;
        self.ordered -= usize::from(self.slots[index].is_ordered());
        let (branch, next) = (Arc::clone(&self.slots[index].branch), self.slots[index].next);
        // When rolling back it is done already.
        let next = next.map(|next| next as usize).filter(|next| *next < self.slots.len());
        if let Some(next) = next {
            self.slots[next].is_first = true;
        }
        while self.slots.pop_if(|last| last.progress == Progress::Done).is_some() {}
        (branch, next)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Leaves out those that `is_idle`. Nobody was asked yet.
    pub(super) fn drop_idle(&mut self, is_idle: impl Fn(&Branch) -> bool, out: &mut Vec<Effect>) {
        if !self.slots.iter().any(|slot| is_idle(&slot.branch)) {
            return;
        }
        for idle in self.slots.extract_if(.., |slot| is_idle(&slot.branch)) {
            out.push(Effect::DropBranch(idle.branch));
        }
        self.link();
    }

    /// Asks all that may be asked to commit; AT branches only if so said.
    pub(super) fn ask_for_commit(&mut self, with_at: bool, out: &mut Vec<Effect>) {
        for index in 0..self.slots.len() {
            if with_at || self.slots[index].is_ordered() {
                self.ask_one_for_commit(index, out);
            }
        }
    }

    /// Asks this one to commit, if it may be asked.
    pub(super) fn ask_one_for_commit(&mut self, index: usize, out: &mut Vec<Effect>) {
        if self.slots[index].is_first {
            self.ask(index, Phase::Commit, out);
        }
    }

    pub(super) fn ask_last_for_rollback(&mut self, out: &mut Vec<Effect>) {
        if let Some(last) = self.slots.len().checked_sub(1) {
            self.ask(last, Phase::Rollback, out);
        }
    }

    /// Asks the one that stands for all of a Saga, and tells it how things are.
    pub(super) fn ask_saga(&mut self, phase: Phase, whole: impl FnOnce() -> Branch, out: &mut Vec<Effect>) {
        if let Some(slot) = self.slots.first_mut().filter(|slot| slot.progress == Progress::Waiting) {
            slot.branch = Arc::new(whole());
            self.ask(0, phase, out);
        }
    }

    fn ask(&mut self, index: usize, phase: Phase, out: &mut Vec<Effect>) {
        if self.slots[index].progress == Progress::Waiting {
            self.set(index, Progress::Asked);
            out.push(Effect::Ask { phase, branch: Arc::clone(&self.slots[index].branch) });
        }
    }

    /// Counts them, and finds the next one of each.
    fn link(&mut self) {
        self.left = self.slots.len();
        self.ordered = 0;
        for slot in &mut self.slots {
            (slot.next, slot.is_first) = (None, true);
            self.ordered += usize::from(slot.is_ordered());
        }
        if self.ordered < 2 {
            return;
        }
        let mut last: HashMap<ResourceId, usize, RandomState> = HashMap::default();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if !slot.is_ordered() {
                continue;
            }
            let before = last.insert(slot.branch.resource.clone(), index);
            slot.is_first = before.is_none();
            if let Some(before) = before {
                self.slots[before].next = u32::try_from(index).ok();
            }
        }
    }
}

impl Slot {
    fn is_ordered(&self) -> bool {
        self.branch.branch_type != BranchType::At
    }
}
