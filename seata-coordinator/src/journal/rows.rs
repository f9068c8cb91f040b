//! How records stand in the files, and how changes of them do.

use std::sync::Arc;

use redb::TableDefinition;
use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, TransactionId};

use crate::{
    journal::{
        batch::{Batch, Change, TransactionRecord},
        image::Names,
    },
    record::{Branch, Ended, LockSet, Millis, Transaction},
};

/// The version of everything below and of the log's records. A journal of another one is refused.
pub(super) const FORMAT_VERSION: u32 = 4;

/// Facts about the journal as a whole, in text.
pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
pub(super) const FORMAT: &str = "format";
pub(super) const IDENTITY: &str = "identity";
pub(super) const INCARNATION: &str = "incarnation";
pub(super) const NEXT_ID: &str = "next_id";
/// The generation of the log whose records are not in the tables yet, and the number of its first record.
pub(super) const GENERATION: &str = "generation";
pub(super) const SEQUENCE: &str = "sequence";

/// [`put_transaction`] by transaction.
pub(super) const TRANSACTIONS: TableDefinition<i64, &[u8]> = TableDefinition::new("transactions");
/// [`put_branch`] by branch.
pub(super) const BRANCHES: TableDefinition<i64, &[u8]> = TableDefinition::new("branches");
/// Outcomes in the order in which they came about, many in one row: how many, and [`put_ended`] of each.
pub(super) const ENDED: TableDefinition<u64, (u32, &[u8])> = TableDefinition::new("ended");

/// One change, as the log tells of it.
#[derive(Debug)]
pub(super) enum Step {
    Transaction(TransactionRecord),
    Status { id: TransactionId, status: GlobalStatus, parked: Option<Arc<str>> },
    TransactionGone(TransactionId),
    Branch(Branch),
    BranchGone(BranchId),
    NextId(i64),
    Ended { id: TransactionId, status: GlobalStatus, at: Millis, reason: Option<Arc<str>> },
}

/// Appends all changes of a batch.
pub(super) fn put_batch(out: &mut Vec<u8>, batch: &Batch) {
    // Before its transaction goes, which tells the rest of it.
    for (id, ended) in &batch.ended {
        out.push(6);
        put_number(out, id.0);
        out.push(ended.status.code());
        out.extend_from_slice(&ended.at.to_le_bytes());
        put_optional(out, ended.reason.as_deref());
    }
    for (id, change) in &batch.transactions {
        match change {
            Change::Add(record) => {
                out.push(0);
                put_transaction(out, record);
            }
            // What was said at its begin stands in the log or in the tables already.
            Change::Put(record) => {
                out.push(1);
                put_number(out, id.0);
                out.push(record.status.code());
                put_optional(out, record.parked.as_deref());
            }
            Change::Remove => {
                out.push(2);
                put_number(out, id.0);
            }
        }
    }
    for (id, change) in &batch.branches {
        match change {
            Change::Add(branch) | Change::Put(branch) => {
                out.push(3);
                put_branch(out, branch);
            }
            Change::Remove => {
                out.push(4);
                put_number(out, id.0);
            }
        }
    }
    if let Some(next_id) = batch.next_id {
        out.push(5);
        put_number(out, next_id);
    }
}

/// Calls `each` for every change that [`put_batch`] wrote. `None` for bytes that it cannot have written, or
/// when `each` says so.
pub(super) fn read_batch(
    bytes: &[u8],
    names: &mut Names,
    mut each: impl FnMut(Step) -> Option<()>,
) -> Option<()> {
    let mut input = Input { rest: bytes, names };
    while !input.rest.is_empty() {
        let step = match input.byte()? {
            0 => Step::Transaction(input.transaction()?),
            1 => Step::Status {
                id: TransactionId(input.number()?),
                status: GlobalStatus::from_code(input.byte()?),
                parked: input.optional()?,
            },
            2 => Step::TransactionGone(TransactionId(input.number()?)),
            3 => Step::Branch(input.branch()?),
            4 => Step::BranchGone(BranchId(input.number()?)),
            5 => Step::NextId(input.number()?),
            6 => Step::Ended {
                id: TransactionId(input.number()?),
                status: GlobalStatus::from_code(input.byte()?),
                at: input.unsigned()?,
                reason: input.optional()?,
            },
            _ => return None,
        };
        each(step)?;
    }
    Some(())
}

pub(super) fn put_transaction(out: &mut Vec<u8>, record: &TransactionRecord) {
    let transaction = &*record.transaction;
    put_number(out, transaction.id.0);
    put_text(out, transaction.xid.as_str());
    put_text(out, &transaction.application);
    put_text(out, &transaction.group);
    put_text(out, &transaction.name);
    out.extend_from_slice(&transaction.begun_at.to_le_bytes());
    out.extend_from_slice(&transaction.timeout.to_le_bytes());
    out.push(u8::from(transaction.incarnation.is_some()));
    out.extend_from_slice(&transaction.incarnation.unwrap_or_default().to_le_bytes());
    out.push(record.status.code());
    put_optional(out, record.parked.as_deref());
}

pub(super) fn put_branch(out: &mut Vec<u8>, branch: &Branch) {
    put_number(out, branch.id.0);
    put_number(out, branch.transaction.0);
    out.push(branch.branch_type.code());
    put_text(out, branch.resource.as_str());
    out.push(branch.status.code());
    put_text(out, &branch.application_data);
    put_text(out, &branch.client);
    out.extend_from_slice(&branch.registered_at.to_le_bytes());
    put_bytes(out, branch.locks.as_bytes());
}

pub(super) fn put_ended(out: &mut Vec<u8>, ended: &Ended) {
    let Ended { transaction, status, reason, .. } = ended.clone();
    put_transaction(out, &TransactionRecord { transaction, status, parked: reason });
    out.extend_from_slice(&ended.at.to_le_bytes());
}

/// What [`put_transaction`] wrote.
pub(super) fn to_transaction(row: &[u8], names: &mut Names) -> Option<TransactionRecord> {
    let mut input = Input { rest: row, names };
    input.transaction().filter(|_| input.rest.is_empty())
}

/// What [`put_branch`] wrote.
pub(super) fn to_branch(row: &[u8], names: &mut Names) -> Option<Branch> {
    let mut input = Input { rest: row, names };
    input.branch().filter(|_| input.rest.is_empty())
}

/// What [`put_ended`] wrote, several times.
pub(super) fn to_ended(row: &[u8], names: &mut Names) -> Option<Vec<Ended>> {
    let (mut input, mut all) = (Input { rest: row, names }, Vec::new());
    while !input.rest.is_empty() {
        all.push(input.ended()?);
    }
    Some(all)
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("the driver bounds every text");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    put_text(out, text.unwrap_or_default());
}

/// What is left to be read. Each method takes from its front; `None` means that it makes no sense.
struct Input<'a, 'n> {
    rest: &'a [u8],
    names: &'n mut Names,
}

impl<'a> Input<'a, '_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn unsigned(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take()?) as usize;
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }

    /// A text that many records have.
    fn name(&mut self) -> Option<Arc<str>> {
        let text = self.text()?;
        Some(self.names.one(text))
    }

    fn optional(&mut self) -> Option<Option<Arc<str>>> {
        let is_some = self.byte()? != 0;
        let text = self.text()?;
        Some(is_some.then(|| text.into()))
    }

    fn transaction(&mut self) -> Option<TransactionRecord> {
        let transaction = Transaction {
            id: TransactionId(self.number()?),
            xid: self.text()?.parse().ok()?,
            application: self.name()?,
            group: self.name()?,
            name: self.name()?,
            begun_at: self.unsigned()?,
            timeout: self.unsigned()?,
            incarnation: {
                let is_some = self.byte()? != 0;
                let number = self.unsigned()?;
                is_some.then_some(number)
            },
        };
        let status = GlobalStatus::from_code(self.byte()?);
        Some(TransactionRecord { transaction: Arc::new(transaction), status, parked: self.optional()? })
    }

    fn branch(&mut self) -> Option<Branch> {
        Some(Branch {
            id: BranchId(self.number()?),
            transaction: TransactionId(self.number()?),
            branch_type: BranchType::from_code(self.byte()?),
            resource: ResourceId::new(self.name()?),
            status: BranchStatus::from_code(self.byte()?),
            application_data: self.name()?,
            client: self.name()?,
            registered_at: self.unsigned()?,
            locks: LockSet::from_bytes(self.bytes()?)?,
        })
    }

    fn ended(&mut self) -> Option<Ended> {
        let TransactionRecord { transaction, status, parked } = self.transaction()?;
        Some(Ended { transaction, status, at: self.unsigned()?, reason: parked })
    }
}
