//! The lock table: who holds which row.

use std::collections::{HashMap, hash_map::Entry};

use seata_protocol::{BranchId, ResourceId, TransactionId};

use crate::record::{Branch, LockSet};

/// Rows by resource. A row is held by one transaction, through the first of its branches that took it.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    resources: HashMap<ResourceId, HashMap<Box<str>, Holder>>,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) transaction: TransactionId,
    pub(super) branch: BranchId,
}

impl LockTable {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first of `rows` that a transaction other than `except` holds.
    pub(super) fn conflict<'a>(
        &self,
        resource: &ResourceId,
        rows: impl Iterator<Item = &'a str>,
        except: Option<TransactionId>,
    ) -> Option<(&'a str, Holder)> {
        let held = self.resources.get(resource)?;
        rows.filter_map(|row| held.get(row).map(|holder| (row, *holder)))
            .find(|(_, holder)| Some(holder.transaction) != except)
    }

    /// Gives `branch` all its rows that are free. The caller has made sure that no other transaction
    /// holds one.
    pub(super) fn acquire(&mut self, branch: &Branch) {
        if branch.locks.is_empty() {
            return;
        }
        let holder = Holder { transaction: branch.transaction, branch: branch.id };
        let held = match self.resources.get_mut(&branch.resource) {
            Some(held) => held,
            None => self.resources.entry(branch.resource.clone()).or_default(),
        };
        for row in branch.locks.rows() {
            if let Entry::Vacant(free) = held.entry(row.into()) {
                free.insert(holder);
                self.len += 1;
            }
        }
    }

    /// Frees the rows that this very branch holds.
    pub(super) fn release(&mut self, resource: &ResourceId, locks: &LockSet, branch: BranchId) {
        if locks.is_empty() {
            return;
        }
        let Some(held) = self.resources.get_mut(resource) else { return };
        for row in locks.rows() {
            if held.get(row).is_some_and(|holder| holder.branch == branch) {
                held.remove(row);
                self.len -= 1;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ResourceId, &str, Holder)> {
        self.resources
            .iter()
            .flat_map(|(resource, held)| held.iter().map(move |(row, holder)| (resource, &**row, *holder)))
    }
}
