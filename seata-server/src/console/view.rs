//! Transactions, branches, locks and clients as our own REST API shows them.

use std::time::{SystemTime, UNIX_EPOCH};

use seata_coordinator::{
    driver::{Known, TransactionView},
    record::{Branch, Ended, HeldLock, Millis, Transaction},
};
use serde::Serialize;

/// How many rows of one branch are named.
const MAX_ROWS: usize = 100;

/// One transaction, open or ended.
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
    locks: usize,
    branches: Vec<BranchBody>,
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
        let branches: Vec<_> = snapshot.branches.iter().map(|branch| BranchBody::of(branch)).collect();
        Self {
            status: snapshot.status.to_string(),
            age_ms: now.saturating_sub(snapshot.transaction.begun_at),
            parked: view.is_parked(),
            reason: view.reason.as_deref().map(str::to_owned),
            failures: view.failures,
            waits_for: view.waits_for.iter().map(ToString::to_string).collect(),
            locks: branches.iter().map(|branch| branch.lock_count).sum(),
            branches,
            ..Self::begun(&snapshot.transaction)
        }
    }

    pub(super) fn ended(ended: &Ended) -> Self {
        Self {
            status: ended.status.to_string(),
            age_ms: ended.at.saturating_sub(ended.transaction.begun_at),
            reason: Some(ended.why().into_owned()),
            ended_at: Some(ended.at),
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
            locks: 0,
            branches: Vec::new(),
        }
    }
}

impl BranchBody {
    fn of(branch: &Branch) -> Self {
        let rows = || branch.locks.on(&branch.resource);
        Self {
            id: branch.id.to_string(),
            branch_type: branch.branch_type.to_string(),
            resource: branch.resource.to_string(),
            status: branch.status.to_string(),
            client: branch.client.to_string(),
            registered_at: branch.registered_at,
            locks: rows().take(MAX_ROWS).map(|row| format!("{}:{}", row.table, row.key)).collect(),
            lock_count: rows().count(),
            application_data: branch.application_data.to_string(),
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

/// Now, in milliseconds since the epoch.
pub(super) fn now() -> Millis {
    millis(SystemTime::now())
}

pub(super) fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}
