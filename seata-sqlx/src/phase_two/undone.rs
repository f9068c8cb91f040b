//! The branches that were undone lately.

use std::collections::{HashSet, VecDeque};

use seata_protocol::{BranchId, Xid};

/// Branches whose undo rows this data source has worked off. Asked for once more, or for the first time after another
/// branch of their transaction took them along, they need no mark in the undo table: their phase one cannot
/// come late any more.
///
/// It is kept in memory and bounded. A branch that is not known here, after a restart or in another process,
/// is answered all the same, and leaves a mark.
#[derive(Default)]
pub(super) struct Undone {
    branches: HashSet<(Xid, BranchId)>,
    oldest_first: VecDeque<(Xid, BranchId)>,
}

impl Undone {
    /// Many times what a coordinator has under way at once.
    const LIMIT: usize = 10_000;

    pub(super) fn insert(&mut self, xid: &Xid, branch: BranchId) {
        if !self.branches.insert((xid.clone(), branch)) {
            return;
        }
        self.oldest_first.push_back((xid.clone(), branch));
        if self.oldest_first.len() > Self::LIMIT
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.branches.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, xid: &Xid, branch: BranchId) -> bool {
        self.branches.contains(&(xid.clone(), branch))
    }
}

#[cfg(test)]
mod tests {
    use seata_protocol::TransactionId;

    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let xid = |id| Xid::new("test", 0, TransactionId(id)).unwrap();
        let mut undone = Undone::default();
        let limit = Undone::LIMIT as i64;
        for branch in (0..limit).chain([0, 1, limit - 1]) {
            undone.insert(&xid(1), BranchId(branch));
        }
        assert!(undone.contains(&xid(1), BranchId(0)), "what comes twice is kept once");
        assert!(!undone.contains(&xid(2), BranchId(0)) && !undone.contains(&xid(1), BranchId(limit)));
        undone.insert(&xid(2), BranchId(0));
        let kept = |undone: &Undone| (undone.branches.len(), undone.oldest_first.len());
        assert_eq!(kept(&undone), (Undone::LIMIT, Undone::LIMIT));
        assert!(!undone.contains(&xid(1), BranchId(0)));
        assert!(undone.contains(&xid(1), BranchId(1)) && undone.contains(&xid(2), BranchId(0)));
    }
}
