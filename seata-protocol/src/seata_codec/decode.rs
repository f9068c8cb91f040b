//! Bytes to messages.

use bytes::Bytes;

use super::reader::Reader;
use crate::{
    Batch, BranchId, BranchRegister, BranchRegistered, BranchReport, BranchRequest, BranchResponse,
    BranchStatus, BranchType, DecodeError, Decoded, GlobalBegin, GlobalBegun, GlobalReport, GlobalRequest,
    GlobalResponse, GlobalStatus, Limits, Lockable, Message, Outcome, RegisterRm, RegisterTm, Registered,
    ResultCode, SEATA_VERSION, Text, TransactionExceptionCode, UndoLogDelete,
};

type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// The shortest message inside a merged one: a type code, a result and an exception code.
const SHORTEST_MESSAGE: usize = 4;
/// What Java's undo log deletion says when the number of days did not come.
const DEFAULT_SAVE_DAYS: i16 = 7;

/// The message that a body holds, read with the same patience as Java's readers have.
pub(super) fn outermost(body: &Bytes, limits: &Limits) -> Result<Decoded> {
    let read = all(Reader::new(body, limits));
    if matches!(read, Ok(Decoded { trailing: 0, .. })) || !go_writes_short_messages(body) {
        return read;
    }
    let as_go_writes = all(Reader::of_go(body, limits)).ok().filter(|decoded| decoded.trailing == 0);
    as_go_writes.map_or(read, Ok)
}

fn all(mut reader: Reader<'_>) -> Result<Decoded> {
    let type_code = reader.i16("type code")?;
    let message = content(&mut reader, type_code)?;
    Ok(Decoded { message, trailing: reader.remaining() })
}

/// How long the message is that these bytes begin with, read without any patience.
pub(super) fn length(body: &Bytes, limits: &Limits) -> Result<usize> {
    let mut reader = Reader::strict(body, limits);
    let type_code = reader.i16("type code")?;
    content(&mut reader, type_code)?;
    Ok(reader.position())
}

/// The answers of resource managers in which Go gives the text of a failure a length of one byte, where Java
/// has two. Java's way of reading such bytes never ends just where they do: it takes characters of the text or
/// of the XID for a length.
fn go_writes_short_messages(body: &[u8]) -> bool {
    matches!(body, [0, 4 | 6, ..])
}

fn content(reader: &mut Reader<'_>, type_code: i16) -> Result<Message> {
    let Some(name) = Message::name_of(type_code) else {
        return Err(DecodeError::UnknownType { code: type_code });
    };
    reader.set_message(name);
    Ok(match type_code {
        101 => Message::RegisterTm(register_tm(reader)?),
        102 => Message::RegisterTmResponse(registered(reader)?),
        103 => Message::RegisterRm(register_rm(reader)?),
        104 => Message::RegisterRmResponse(registered(reader)?),
        1 => Message::GlobalBegin(global_begin(reader)?),
        2 => Message::GlobalBeginResponse(global_begun(reader)?),
        7 => Message::GlobalCommit(global_request(reader)?),
        8 => Message::GlobalCommitResponse(global_response(reader)?),
        9 => Message::GlobalRollback(global_request(reader)?),
        10 => Message::GlobalRollbackResponse(global_response(reader)?),
        15 => Message::GlobalStatus(global_request(reader)?),
        16 => Message::GlobalStatusResponse(global_response(reader)?),
        17 => Message::GlobalReport(global_report(reader)?),
        18 => Message::GlobalReportResponse(global_response(reader)?),
        11 => Message::BranchRegister(branch_register(reader)?),
        12 => Message::BranchRegisterResponse(branch_registered(reader)?),
        13 => Message::BranchReport(branch_report(reader)?),
        14 => Message::BranchReportResponse(outcome(reader)?),
        21 => Message::GlobalLockQuery(branch_register(reader)?),
        22 => Message::GlobalLockQueryResponse(lockable(reader)?),
        3 => Message::BranchCommit(branch_request(reader)?),
        4 => Message::BranchCommitResponse(branch_response(reader)?),
        5 => Message::BranchRollback(branch_request(reader)?),
        6 => Message::BranchRollbackResponse(branch_response(reader)?),
        111 => Message::UndoLogDelete(undo_log_delete(reader)?),
        59 => Message::Merged(merged(reader)?),
        60 => Message::MergeResult(merge_result(reader)?),
        121 => Message::BatchResult(batch_result(reader)?),
        code => return Err(DecodeError::UnknownType { code }),
    })
}

fn register_tm(reader: &mut Reader<'_>) -> Result<RegisterTm> {
    let mut it = RegisterTm { version: Text::from_static(SEATA_VERSION), ..RegisterTm::default() };
    reader.as_far_as_it_goes(|reader| {
        it.version = reader.text16("version")?;
        it.application_id = reader.text16("applicationId")?;
        it.transaction_service_group = reader.text16("transactionServiceGroup")?;
        it.extra_data = reader.text16("extraData")?;
        Ok(())
    })?;
    Ok(it)
}

fn register_rm(reader: &mut Reader<'_>) -> Result<RegisterRm> {
    let mut it = RegisterRm { version: Text::from_static(SEATA_VERSION), ..RegisterRm::default() };
    reader.as_far_as_it_goes(|reader| {
        let version = reader.text16("version")?;
        if reader.stops_at(&version) {
            return Ok(());
        }
        it.version = version;
        it.application_id = reader.text16("applicationId")?;
        it.transaction_service_group = reader.text16("transactionServiceGroup")?;
        it.extra_data = reader.text16("extraData")?;
        it.resource_ids = reader.text32("resourceIds")?;
        Ok(())
    })?;
    Ok(it)
}

/// Without its outcome, which does not travel.
fn registered(reader: &mut Reader<'_>) -> Result<Registered> {
    let identified = reader.u8("identified")? == 1;
    let mut version = Text::from_static(SEATA_VERSION);
    reader.need(size_of::<i16>(), "version")?;
    reader.as_far_as_it_goes(|reader| {
        let found = reader.text16("version")?;
        if !found.is_empty() {
            version = found;
        }
        Ok(())
    })?;
    let outcome = if identified {
        Outcome::success()
    } else {
        Outcome::failed(TransactionExceptionCode::Unknown, Text::new())
    };
    Ok(Registered { identified, version, outcome, extra_data: Text::new() })
}

fn global_begin(reader: &mut Reader<'_>) -> Result<GlobalBegin> {
    Ok(GlobalBegin { timeout_ms: reader.i32("timeout")?, name: reader.text16("transactionName")? })
}

fn global_begun(reader: &mut Reader<'_>) -> Result<GlobalBegun> {
    Ok(GlobalBegun {
        outcome: outcome(reader)?,
        xid: reader.text16("xid")?,
        extra_data: reader.text16("extraData")?,
    })
}

fn global_request(reader: &mut Reader<'_>) -> Result<GlobalRequest> {
    Ok(GlobalRequest { xid: reader.text16("xid")?, extra_data: reader.text16("extraData")? })
}

fn global_response(reader: &mut Reader<'_>) -> Result<GlobalResponse> {
    Ok(GlobalResponse {
        outcome: outcome(reader)?,
        status: GlobalStatus::from_code(reader.u8("globalStatus")?),
    })
}

fn global_report(reader: &mut Reader<'_>) -> Result<GlobalReport> {
    Ok(GlobalReport {
        xid: reader.text16("xid")?,
        extra_data: reader.text16("extraData")?,
        status: Some(reader.u8("globalStatus")?).filter(|code| *code != u8::MAX).map(GlobalStatus::from_code),
    })
}

fn branch_register(reader: &mut Reader<'_>) -> Result<BranchRegister> {
    Ok(BranchRegister {
        xid: reader.text16("xid")?,
        branch_type: BranchType::from_code(reader.u8("branchType")?),
        resource_id: reader.text16("resourceId")?,
        lock_key: reader.text32("lockKey")?,
        application_data: reader.text32("applicationData")?,
    })
}

fn branch_registered(reader: &mut Reader<'_>) -> Result<BranchRegistered> {
    Ok(BranchRegistered { outcome: outcome(reader)?, branch_id: BranchId(reader.i64("branchId")?) })
}

fn branch_report(reader: &mut Reader<'_>) -> Result<BranchReport> {
    Ok(BranchReport {
        xid: reader.text16("xid")?,
        branch_id: BranchId(reader.i64("branchId")?),
        status: BranchStatus::from_code(reader.u8("status")?),
        resource_id: reader.text16("resourceId")?,
        application_data: reader.text32("applicationData")?,
        branch_type: BranchType::from_code(reader.u8("branchType")?),
    })
}

fn lockable(reader: &mut Reader<'_>) -> Result<Lockable> {
    Ok(Lockable { outcome: outcome(reader)?, lockable: reader.i16("lockable")? == 1 })
}

fn branch_request(reader: &mut Reader<'_>) -> Result<BranchRequest> {
    let mut it = BranchRequest {
        xid: Text::new(),
        branch_id: BranchId(0),
        branch_type: BranchType::At,
        resource_id: Text::new(),
        application_data: Text::new(),
    };
    reader.as_far_as_it_goes(|reader| {
        it.xid = reader.text16("xid")?;
        if reader.stops_at(&it.xid) {
            return Ok(());
        }
        it.branch_id = BranchId(reader.i64("branchId")?);
        it.branch_type = BranchType::from_code(reader.u8("branchType")?);
        it.resource_id = reader.text16("resourceId")?;
        if reader.stops_at(&it.resource_id) {
            return Ok(());
        }
        it.application_data = reader.text32("applicationData")?;
        Ok(())
    })?;
    Ok(it)
}

fn branch_response(reader: &mut Reader<'_>) -> Result<BranchResponse> {
    Ok(BranchResponse {
        outcome: outcome(reader)?,
        xid: reader.text16("xid")?,
        branch_id: BranchId(reader.i64("branchId")?),
        status: BranchStatus::from_code(reader.u8("branchStatus")?),
    })
}

fn undo_log_delete(reader: &mut Reader<'_>) -> Result<UndoLogDelete> {
    let mut it =
        UndoLogDelete { branch_type: BranchType::At, resource_id: Text::new(), save_days: DEFAULT_SAVE_DAYS };
    reader.as_far_as_it_goes(|reader| {
        it.branch_type = BranchType::from_code(reader.u8("branchType")?);
        it.resource_id = reader.text16("resourceId")?;
        if reader.stops_at(&it.resource_id) {
            return Ok(());
        }
        it.save_days = reader.i16("saveDays")?;
        Ok(())
    })?;
    Ok(it)
}

fn outcome(reader: &mut Reader<'_>) -> Result<Outcome> {
    let result = ResultCode::from_code(reader.u8("resultCode")?);
    let message = if result == ResultCode::Failed { reader.failure_message()? } else { Text::new() };
    Ok(Outcome {
        result,
        message,
        code: TransactionExceptionCode::from_code(reader.u8("transactionExceptionCode")?),
    })
}

fn merged(reader: &mut Reader<'_>) -> Result<Batch> {
    if reader.is_patient() && reader.next_length_is_beyond_the_end()? {
        return Ok(Batch::default());
    }
    in_region(reader, |reader| {
        let messages = messages(reader)?;
        let ids = if reader.remaining() == 0 { Vec::new() } else { ids(reader, messages.len())? };
        Ok(Batch { messages, ids })
    })
}

fn merge_result(reader: &mut Reader<'_>) -> Result<Vec<Message>> {
    in_region(reader, messages)
}

fn batch_result(reader: &mut Reader<'_>) -> Result<Batch> {
    in_region(reader, |reader| {
        let messages = messages(reader)?;
        let ids = ids(reader, messages.len())?;
        Ok(Batch { messages, ids })
    })
}

/// Reads a length and just so many bytes, strictly.
fn in_region<T>(reader: &mut Reader<'_>, read: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> Result<T> {
    let message = reader.message();
    let length = reader.i32("length")?;
    let Ok(region) = usize::try_from(length) else {
        return Err(DecodeError::MergedLength { message, length: i64::from(length), end: 0 });
    };
    reader.need(region, "messages")?;
    let mut inner = reader.region(region);
    let found = read(&mut inner).map_err(|error| match error {
        // More bytes behind the region would not help.
        DecodeError::CutShort { message: inner, field, missing } => {
            DecodeError::MergedCutShort { message, inner, field, missing }
        }
        error => error,
    })?;
    if inner.remaining() > 0 {
        let end = inner.position() - reader.position();
        return Err(DecodeError::MergedLength { message, length: i64::from(length), end });
    }
    reader.skip(region);
    Ok(found)
}

/// A count and so many messages, each with its type code.
fn messages(reader: &mut Reader<'_>) -> Result<Vec<Message>> {
    let name = reader.message();
    let count = reader.i16("count")?;
    let count = usize::try_from(count).map_err(|_| DecodeError::NegativeCount { message: name, count })?;
    reader.check_merged(count)?;

    let mut messages = Vec::with_capacity(count.min(reader.remaining() / SHORTEST_MESSAGE));
    for _ in 0..count {
        let type_code = reader.i16("type code")?;
        if Message::is_merged_code(type_code) {
            let inner = Message::name_of(type_code).expect("merged messages have names");
            return Err(DecodeError::Nested { message: name, inner });
        }
        messages.push(content(reader, type_code)?);
        reader.set_message(name);
    }
    Ok(messages)
}

fn ids(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i32>> {
    reader.need(count * size_of::<i32>(), "msgIds")?;
    (0..count).map(|_| reader.i32("msgIds")).collect()
}
