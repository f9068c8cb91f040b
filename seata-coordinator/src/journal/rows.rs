//! How records stand in the file.

use std::sync::Arc;

use redb::TableDefinition;
use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, TransactionId};

use crate::{
    journal::batch::TransactionRecord,
    record::{Branch, LockSet, Snapshot, Transaction},
};

/// The version of everything below. A journal of a higher one is refused.
pub(super) const FORMAT_VERSION: u32 = 2;

/// Facts about the journal as a whole, in text.
pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
pub(super) const FORMAT: &str = "format";
pub(super) const IDENTITY: &str = "identity";
pub(super) const INCARNATION: &str = "incarnation";
pub(super) const NEXT_ID: &str = "next_id";

/// By transaction: xid, application, group, name, begun at, timeout, incarnation, status, why parked.
pub(super) const TRANSACTIONS: TableDefinition<i64, TransactionRow<'static>> =
    TableDefinition::new("transactions");
pub(super) type TransactionRow<'a> =
    (&'a str, &'a str, &'a str, &'a str, u64, u64, Option<u64>, u8, Option<&'a str>);

/// By branch: transaction, type, resource, status, application data, client, registered at, locks.
pub(super) const BRANCHES: TableDefinition<i64, BranchRow<'static>> = TableDefinition::new("branches");
pub(super) type BranchRow<'a> = (i64, u8, &'a str, u8, &'a str, &'a str, u64, &'a [u8]);

pub(super) fn of_transaction(record: &TransactionRecord) -> TransactionRow<'_> {
    let transaction = &*record.transaction;
    (
        transaction.xid.as_str(),
        &transaction.application,
        &transaction.group,
        &transaction.name,
        transaction.begun_at,
        transaction.timeout,
        transaction.incarnation,
        record.status.code(),
        record.parked.as_deref(),
    )
}

pub(super) fn of_branch(branch: &Branch) -> BranchRow<'_> {
    (
        branch.transaction.0,
        branch.branch_type.code(),
        branch.resource.as_str(),
        branch.status.code(),
        &branch.application_data,
        &branch.client,
        branch.registered_at,
        branch.locks.as_bytes(),
    )
}

/// `None` for a row that this version cannot have written.
pub(super) fn to_snapshot(id: i64, row: TransactionRow<'_>) -> Option<Snapshot> {
    let (xid, application, group, name, begun_at, timeout, incarnation, status, parked) = row;
    let transaction = Transaction {
        id: TransactionId(id),
        xid: xid.parse().ok()?,
        application: application.into(),
        group: group.into(),
        name: name.into(),
        begun_at,
        timeout,
        incarnation,
    };
    let status = GlobalStatus::from_code(status);
    Some(Snapshot {
        transaction: Arc::new(transaction),
        status,
        parked: parked.map(Into::into),
        branches: Vec::new(),
    })
}

/// `None` for a row that this version cannot have written.
pub(super) fn to_branch(id: i64, row: BranchRow<'_>) -> Option<Branch> {
    let (transaction, branch_type, resource, status, application_data, client, registered_at, locks) = row;
    Some(Branch {
        id: BranchId(id),
        transaction: TransactionId(transaction),
        branch_type: BranchType::from_code(branch_type),
        resource: resource.into(),
        status: BranchStatus::from_code(status),
        application_data: application_data.into(),
        client: client.into(),
        registered_at,
        locks: LockSet::from_bytes(locks)?,
    })
}
