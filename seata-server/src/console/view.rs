//! Transactions, branches, locks and clients as our own REST API shows them.

use std::time::{SystemTime, UNIX_EPOCH};

use seata_coordinator::{
    driver::{Known, TransactionView},
    record::{Branch, Ended, HeldLock, Millis, Transaction},
};
use seata_protocol::BranchId;
use serde::Serialize;

use super::entries::Entries;

/// How many rows of one branch are named, and how much of each.
const MAX_ROWS: usize = 100;
const MAX_ROW: usize = 256;
/// How many resources are named that a transaction waits for.
const MAX_RESOURCES: usize = 100;
/// How much is shown of texts that others wrote, in bytes.
const MAX_REASON: usize = 4_096;
const MAX_DATA: usize = 2_000;

/// One transaction, open or ended, without its branches.
#[derive(Debug, Serialize)]
pub(super) struct TransactionBody {
    xid: String,
    id: String,
    status: String,
    application: String,
    group: String,
    name: String,
    begun_at: Millis,
    timeout_ms: Millis,
    age_ms: Millis,
    parked: bool,
    reason: Option<String>,
    failures: u32,
    waits_for: Vec<String>,
    ended_at: Option<Millis>,
    /// An operator ended it without its branches: the status says what was decided, not what was done.
    given_up: bool,
    locks: usize,
    branch_count: usize,
}

/// One transaction with its branches, or with some of many.
#[derive(Debug, Serialize)]
pub(super) struct WholeTransaction {
    #[serde(flatten)]
    transaction: TransactionBody,
    branches: Entries,
    /// Where they go on.
    next_branch: Option<String>,
}

#[derive(Debug, Serialize)]
struct BranchBody {
    id: String,
    #[serde(rename = "type")]
    branch_type: String,
    resource: String,
    status: String,
    client: String,
    registered_at: Millis,
    locks: Vec<String>,
    lock_count: usize,
    application_data: String,
    /// In bytes; what is shown may be less.
    application_data_length: usize,
}

/// One row lock.
#[derive(Debug, Serialize)]
pub(super) struct LockBody {
    resource: String,
    table: String,
    key: String,
    holder: String,
    branch: String,
    since: Millis,
}

impl TransactionBody {
    pub(super) fn of(known: &Known, now: Millis) -> Self {
        match known {
            Known::Open(view) => Self::open(view, now),
            Known::Ended(ended) => Self::ended(ended),
        }
    }

    pub(super) fn open(view: &TransactionView, now: Millis) -> Self {
        let snapshot = &view.snapshot;
        let waits_for = view.waits_for.iter().take(MAX_RESOURCES);
        Self {
            status: snapshot.status.to_string(),
            age_ms: now.saturating_sub(snapshot.transaction.begun_at),
            parked: view.is_parked(),
            reason: view.reason.as_deref().map(|reason| cut(reason, MAX_REASON)),
            failures: view.failures,
            waits_for: waits_for.map(ToString::to_string).collect(),
            locks: snapshot.branches.iter().map(|branch| branch.locks.len()).sum(),
            branch_count: snapshot.branches.len(),
            ..Self::begun(&snapshot.transaction)
        }
    }

    pub(super) fn ended(ended: &Ended) -> Self {
        Self {
            status: ended.status.to_string(),
            age_ms: ended.at.saturating_sub(ended.transaction.begun_at),
            reason: Some(cut(&ended.why(), MAX_REASON)),
            ended_at: Some(ended.at),
            given_up: ended.is_given_up(),
            ..Self::begun(&ended.transaction)
        }
    }

    /// What is known of it from its begin on.
    fn begun(transaction: &Transaction) -> Self {
        Self {
            xid: transaction.xid.to_string(),
            id: transaction.id.to_string(),
            application: transaction.application.to_string(),
            group: transaction.group.to_string(),
            name: transaction.name.to_string(),
            begun_at: transaction.begun_at,
            timeout_ms: transaction.timeout,
            status: String::new(),
            age_ms: 0,
            parked: false,
            reason: None,
            failures: 0,
            waits_for: Vec::new(),
            ended_at: None,
            given_up: false,
            locks: 0,
            branch_count: 0,
        }
    }
}

impl WholeTransaction {
    /// With up to `limit` branches that were registered behind `after`.
    pub(super) fn of(known: &Known, after: Option<BranchId>, limit: usize, now: Millis) -> Self {
        let transaction = TransactionBody::of(known, now);
        let (mut branches, mut next_branch) = (Entries::default(), None);
        if let Known::Open(view) = known {
            let all = &view.snapshot.branches;
            let first = after.map_or(0, |after| all.partition_point(|branch| branch.id <= after));
            for (at, branch) in all.iter().enumerate().skip(first) {
                branches.push(&BranchBody::of(branch));
                if branches.len() == limit || branches.is_full() {
                    next_branch = (at + 1 < all.len()).then(|| branch.id.to_string());
                    break;
                }
            }
        }
        Self { transaction, branches, next_branch }
    }
}

impl BranchBody {
    fn of(branch: &Branch) -> Self {
        let rows = branch.locks.on(&branch.resource).take(MAX_ROWS);
        Self {
            id: branch.id.to_string(),
            branch_type: branch.branch_type.to_string(),
            resource: branch.resource.to_string(),
            status: branch.status.to_string(),
            client: branch.client.to_string(),
            registered_at: branch.registered_at,
            locks: rows.map(|row| cut(&format!("{}:{}", row.table, row.key), MAX_ROW)).collect(),
            lock_count: branch.locks.len(),
            application_data: cut(&branch.application_data, MAX_DATA),
            application_data_length: branch.application_data.len(),
        }
    }
}

impl From<HeldLock> for LockBody {
    fn from(held: HeldLock) -> Self {
        Self {
            resource: held.lock.resource.to_string(),
            table: held.lock.table.to_string(),
            key: held.lock.key.to_string(),
            holder: held.holder.to_string(),
            branch: held.branch.to_string(),
            since: held.since,
        }
    }
}

/// Its first `limit` bytes or some fewer, and a sign that there is more.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}

/// Now, in milliseconds since the epoch.
pub(super) fn now() -> Millis {
    millis(SystemTime::now())
}

pub(super) fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}
