//! What the Go peer keeps: rows of two databases, accounts, and branches that are not finished.

use std::collections::{BTreeMap, HashMap};

use super::frames::BranchRequest;
use crate::java::Holdings;

const PHASE_TWO_COMMITTED: u8 = 5;
const COMMIT_FAILED_RETRYABLE: u8 = 6;
const PHASE_TWO_ROLLED_BACK: u8 = 8;
const ROLLBACK_FAILED_RETRYABLE: u8 = 9;

#[derive(Debug, Default)]
pub(super) struct Books {
    databases: [Vec<i64>; 2],
    accounts: BTreeMap<String, Holdings>,
    pub(super) branches: HashMap<u64, Work>,
    /// How many more commits of accounts are to fail.
    pub(super) failures: u64,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Made in phase one, with the value before and after.
    Changed {
        database: usize,
        row: usize,
        before: i64,
        after: i64,
    },
    /// To be made in phase two.
    Prepared {
        database: usize,
        row: usize,
        amount: i64,
    },
    Reserved {
        account: String,
        amount: i64,
    },
}

/// How phase two of a branch went.
#[derive(Debug)]
pub(super) enum Branch {
    /// With this status.
    Ended(u8),
    /// With no result but a failure.
    Failed,
}

impl Books {
    pub(super) fn new(rows: usize) -> Self {
        Self { databases: [vec![1000; rows], vec![1000; rows]], ..Self::default() }
    }

    pub(super) fn rows(&self, database: usize) -> Vec<String> {
        let rows = self.databases[database].iter().enumerate();
        rows.map(|(index, money)| format!("{}|{money}", index + 1)).collect()
    }

    pub(super) fn change(&mut self, branch: u64, at_once: bool, database: usize, row: usize, amount: i64) {
        let work = if at_once {
            let money = &mut self.databases[database][row - 1];
            let before = *money;
            *money -= amount;
            Work::Changed { database, row, before, after: *money }
        } else {
            Work::Prepared { database, row, amount }
        };
        self.branches.insert(branch, work);
    }

    pub(super) fn open_account(&mut self, account: &str, balance: i64) {
        self.accounts.insert(account.to_owned(), Holdings { balance, ..Holdings::default() });
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &String> {
        self.accounts.keys()
    }

    pub(super) fn reserve(&mut self, branch: u64, account: &str, amount: i64) {
        let holdings = self.accounts.get_mut(account).expect("the account is open");
        holdings.balance -= amount;
        holdings.reserved += amount;
        self.branches.insert(branch, Work::Reserved { account: account.to_owned(), amount });
    }

    pub(super) fn holdings(&self, account: &str) -> Holdings {
        self.accounts.get(account).copied().unwrap_or_default()
    }

    pub(super) fn finish(&mut self, request: &BranchRequest) -> Branch {
        let Some(work) = self.branches.remove(&request.branch) else {
            return Branch::Ended(if request.is_commit {
                PHASE_TWO_COMMITTED
            } else {
                PHASE_TWO_ROLLED_BACK
            });
        };
        if request.is_commit {
            self.commit(request.branch, work)
        } else {
            self.roll_back(request.branch, work)
        }
    }

    fn commit(&mut self, branch: u64, work: Work) -> Branch {
        match &work {
            Work::Changed { .. } => {}
            Work::Prepared { database, row, amount } => self.databases[*database][row - 1] -= amount,
            Work::Reserved { .. } if self.failures > 0 => {
                self.failures -= 1;
                self.branches.insert(branch, work);
                // One of them as a failure without a result.
                let as_status = self.failures != 1;
                return if as_status { Branch::Ended(COMMIT_FAILED_RETRYABLE) } else { Branch::Failed };
            }
            Work::Reserved { account, amount } => {
                let holdings = self.accounts.get_mut(account).expect("the account is open");
                holdings.reserved -= amount;
                holdings.commits += 1;
            }
        }
        Branch::Ended(PHASE_TWO_COMMITTED)
    }

    fn roll_back(&mut self, branch: u64, work: Work) -> Branch {
        match &work {
            Work::Changed { database, row, before, after } => {
                let money = &mut self.databases[*database][row - 1];
                if money != after {
                    // As AT does with rows that somebody else has changed.
                    self.branches.insert(branch, work);
                    return Branch::Ended(ROLLBACK_FAILED_RETRYABLE);
                }
                *money = *before;
            }
            Work::Prepared { .. } => {}
            Work::Reserved { account, amount } => {
                let holdings = self.accounts.get_mut(account).expect("the account is open");
                holdings.reserved -= amount;
                holdings.balance += amount;
                holdings.rollbacks += 1;
            }
        }
        Branch::Ended(PHASE_TWO_ROLLED_BACK)
    }
}
