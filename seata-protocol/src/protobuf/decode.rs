//! Protobuf to messages.

use bytes::{Buf, Bytes};

use super::{ANY, codes::ProtobufCode, split_name, wire};
use crate::{
    Batch, BranchId, BranchRegister, BranchRegistered, BranchReport, BranchRequest, BranchResponse,
    DecodeError, GlobalBegin, GlobalBegun, GlobalReport, GlobalRequest, GlobalResponse, Limits, Lockable,
    Message, Outcome, RegisterRm, RegisterTm, Registered, Text, TransactionExceptionCode, UndoLogDelete,
    seata_codec::text_of,
};

/// The longest that an id can be on the wire, in bytes.
const MAX_ID: usize = 10;

type Result<T> = std::result::Result<T, DecodeError>;

/// The message whose protobuf has this name and these bytes.
pub(super) fn content(type_code: i16, name: &'static str, bytes: Bytes, limits: &Limits) -> Result<Message> {
    let reader = Reader { message: name, limits };
    Ok(match type_code {
        1 => Message::GlobalBegin(reader.global_begin(bytes)?),
        2 => Message::GlobalBeginResponse(reader.global_begun(bytes)?),
        3 => Message::BranchCommit(reader.branch_request(bytes)?),
        4 => Message::BranchCommitResponse(reader.branch_response(bytes)?),
        5 => Message::BranchRollback(reader.branch_request(bytes)?),
        6 => Message::BranchRollbackResponse(reader.branch_response(bytes)?),
        7 => Message::GlobalCommit(reader.global_request(bytes)?),
        8 => Message::GlobalCommitResponse(reader.global_response(bytes)?),
        9 => Message::GlobalRollback(reader.global_request(bytes)?),
        10 => Message::GlobalRollbackResponse(reader.global_response(bytes)?),
        11 => Message::BranchRegister(reader.branch_register(reader.parse(bytes)?)?),
        12 => Message::BranchRegisterResponse(reader.branch_registered(bytes)?),
        13 => Message::BranchReport(reader.branch_report(bytes)?),
        14 => Message::BranchReportResponse(reader.branch_reported(bytes)?),
        15 => Message::GlobalStatus(reader.global_request(bytes)?),
        16 => Message::GlobalStatusResponse(reader.global_response(bytes)?),
        17 => Message::GlobalReport(reader.global_report(bytes)?),
        18 => Message::GlobalReportResponse(reader.global_response(bytes)?),
        21 => Message::GlobalLockQuery(reader.lock_query(bytes)?),
        22 => Message::GlobalLockQueryResponse(reader.lockable(bytes)?),
        59 => Message::Merged(reader.merged(bytes)?),
        60 => Message::MergeResult(reader.merged(bytes)?.messages),
        101 => Message::RegisterTm(reader.register_tm(bytes)?),
        102 => Message::RegisterTmResponse(reader.registered(bytes)?),
        103 => Message::RegisterRm(reader.register_rm(bytes)?),
        104 => Message::RegisterRmResponse(reader.registered(bytes)?),
        111 => Message::UndoLogDelete(reader.undo_log_delete(bytes)?),
        121 => Message::BatchResult(reader.merged(bytes)?),
        code => return Err(DecodeError::UnknownType { code }),
    })
}

struct Reader<'a> {
    /// The Java name of the message, for errors.
    message: &'static str,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn register_tm(&self, bytes: Bytes) -> Result<RegisterTm> {
        let wire::RegisterTm { base } = self.parse(bytes)?;
        Ok(RegisterTm {
            version: self.text("version", base.version)?,
            application_id: self.text("applicationId", base.application_id)?,
            transaction_service_group: self
                .text("transactionServiceGroup", base.transaction_service_group)?,
            extra_data: self.text("extraData", base.extra_data)?,
        })
    }

    fn register_rm(&self, bytes: Bytes) -> Result<RegisterRm> {
        let wire::RegisterRm { base, resource_ids } = self.parse(bytes)?;
        Ok(RegisterRm {
            version: self.text("version", base.version)?,
            application_id: self.text("applicationId", base.application_id)?,
            transaction_service_group: self
                .text("transactionServiceGroup", base.transaction_service_group)?,
            extra_data: self.text("extraData", base.extra_data)?,
            resource_ids: self.text("resourceIds", resource_ids)?,
        })
    }

    fn registered(&self, bytes: Bytes) -> Result<Registered> {
        let wire::Registered { base } = self.parse(bytes)?;
        Ok(Registered {
            identified: base.identified,
            version: self.text("version", base.version)?,
            outcome: self.outcome(base.base, TransactionExceptionCode::Unknown)?,
            extra_data: self.text("extraData", base.extra_data)?,
        })
    }

    fn global_begin(&self, bytes: Bytes) -> Result<GlobalBegin> {
        let it: wire::GlobalBegin = self.parse(bytes)?;
        Ok(GlobalBegin { timeout_ms: it.timeout, name: self.text("transactionName", it.transaction_name)? })
    }

    fn global_begun(&self, bytes: Bytes) -> Result<GlobalBegun> {
        let it: wire::GlobalBegun = self.parse(bytes)?;
        Ok(GlobalBegun {
            outcome: self.response(it.base)?,
            xid: self.text("xid", it.xid)?,
            extra_data: self.text("extraData", it.extra_data)?,
        })
    }

    fn global_request(&self, bytes: Bytes) -> Result<GlobalRequest> {
        let wire::GlobalRequest { base } = self.parse(bytes)?;
        Ok(GlobalRequest {
            xid: self.text("xid", base.xid)?,
            extra_data: self.text("extraData", base.extra_data)?,
        })
    }

    fn global_report(&self, bytes: Bytes) -> Result<GlobalReport> {
        let wire::GlobalReport { base, global_status } = self.parse(bytes)?;
        Ok(GlobalReport {
            xid: self.text("xid", base.xid)?,
            extra_data: self.text("extraData", base.extra_data)?,
            status: Some(self.code("globalStatus", global_status)?),
        })
    }

    fn global_response(&self, bytes: Bytes) -> Result<GlobalResponse> {
        let wire::GlobalResponse { base } = self.parse(bytes)?;
        Ok(GlobalResponse {
            outcome: self.response(base.base)?,
            status: self.code("globalStatus", base.global_status)?,
        })
    }

    fn branch_register(&self, it: wire::BranchRegister) -> Result<BranchRegister> {
        Ok(BranchRegister {
            xid: self.text("xid", it.xid)?,
            branch_type: self.code("branchType", it.branch_type)?,
            resource_id: self.text("resourceId", it.resource_id)?,
            lock_key: self.text("lockKey", it.lock_key)?,
            application_data: self.text("applicationData", it.application_data)?,
        })
    }

    fn branch_registered(&self, bytes: Bytes) -> Result<BranchRegistered> {
        let it: wire::BranchRegistered = self.parse(bytes)?;
        Ok(BranchRegistered { outcome: self.response(it.base)?, branch_id: BranchId(it.branch_id) })
    }

    fn lock_query(&self, bytes: Bytes) -> Result<BranchRegister> {
        let wire::LockQuery { base } = self.parse(bytes)?;
        self.branch_register(base)
    }

    fn lockable(&self, bytes: Bytes) -> Result<Lockable> {
        let it: wire::Lockable = self.parse(bytes)?;
        Ok(Lockable { outcome: self.response(it.base)?, lockable: it.lockable })
    }

    fn branch_report(&self, bytes: Bytes) -> Result<BranchReport> {
        let it: wire::BranchReport = self.parse(bytes)?;
        Ok(BranchReport {
            xid: self.text("xid", it.xid)?,
            branch_id: BranchId(it.branch_id),
            status: self.code("status", it.status)?,
            resource_id: self.text("resourceId", it.resource_id)?,
            application_data: self.text("applicationData", it.application_data)?,
            branch_type: self.code("branchType", it.branch_type)?,
        })
    }

    fn branch_reported(&self, bytes: Bytes) -> Result<Outcome> {
        let wire::BranchReported { base } = self.parse(bytes)?;
        self.response(base)
    }

    fn branch_request(&self, bytes: Bytes) -> Result<BranchRequest> {
        let wire::BranchRequest { base } = self.parse(bytes)?;
        Ok(BranchRequest {
            xid: self.text("xid", base.xid)?,
            branch_id: BranchId(base.branch_id),
            branch_type: self.code("branchType", base.branch_type)?,
            resource_id: self.text("resourceId", base.resource_id)?,
            application_data: self.text("applicationData", base.application_data)?,
        })
    }

    fn branch_response(&self, bytes: Bytes) -> Result<BranchResponse> {
        let wire::BranchResponse { base } = self.parse(bytes)?;
        Ok(BranchResponse {
            outcome: self.response(base.base)?,
            xid: self.text("xid", base.xid)?,
            branch_id: BranchId(base.branch_id),
            status: self.code("branchStatus", base.branch_status)?,
        })
    }

    fn undo_log_delete(&self, bytes: Bytes) -> Result<UndoLogDelete> {
        let it: wire::UndoLogDelete = self.parse(bytes)?;
        let save_days = i16::try_from(it.save_days).map_err(|_| {
            self.broken(format_args!("saveDays is {}, which 16 bits cannot hold", it.save_days))
        })?;
        Ok(UndoLogDelete {
            branch_type: self.code("branchType", it.branch_type)?,
            resource_id: self.text("resourceId", it.resource_id)?,
            save_days,
        })
    }

    /// The messages of a merged one, and their ids: one each or, where Java leaves them out, none.
    fn merged(&self, bytes: Bytes) -> Result<Batch> {
        self.check_counts(&bytes)?;
        let it: wire::Merged = self.parse(bytes)?;
        if !it.ids.is_empty() && it.ids.len() != it.messages.len() {
            return Err(self.broken(format_args!(
                "it holds {} messages and {} ids",
                it.messages.len(),
                it.ids.len()
            )));
        }
        let messages = it.messages.into_iter().map(|any| self.any(any)).collect::<Result<_>>()?;
        Ok(Batch { messages, ids: it.ids })
    }

    fn any(&self, any: wire::Any) -> Result<Message> {
        let url = String::from_utf8_lossy(&any.type_url);
        let (type_code, name) = url
            .strip_prefix(ANY)
            .and_then(split_name)
            .map(|(_, type_code, name)| (type_code, name))
            .ok_or_else(|| self.broken(format_args!("it holds a {url:?}, which is no message")))?;
        if Message::is_merged_code(type_code) {
            return Err(DecodeError::Nested { message: self.message, inner: name });
        }
        content(type_code, name, any.value, self.limits)
    }

    /// Looks at the fields of a merged message without reading them: a message of two bytes takes many
    /// times that in memory.
    fn check_counts(&self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        let (mut messages, mut id_bytes) = (0, 0);
        while rest.has_remaining() {
            let key = self.varint(&mut rest)?;
            let length = match key & 7 {
                0 => {
                    let start = rest.len();
                    self.varint(&mut rest)?;
                    id_bytes += if key >> 3 == 3 { start - rest.len() } else { 0 };
                    continue;
                }
                1 => 8,
                2 => self.varint(&mut rest)?,
                5 => 4,
                kind => return Err(self.broken(format_args!("a field has wire type {kind}"))),
            };
            match key >> 3 {
                2 => messages += 1,
                3 => id_bytes += length.min(rest.len()),
                _ => {}
            }
            rest = rest.get(length..).ok_or_else(|| self.broken("a field is cut short"))?;
        }
        let limit = self.limits.merged;
        let count = messages.max(id_bytes.div_ceil(MAX_ID));
        if count > limit {
            return Err(DecodeError::TooManyMerged { message: self.message, count, limit });
        }
        Ok(())
    }

    fn varint(&self, rest: &mut &[u8]) -> Result<usize> {
        prost::decode_length_delimiter(rest).map_err(|error| self.broken(error))
    }

    fn response(&self, it: wire::Response) -> Result<Outcome> {
        self.outcome(it.base, self.code("transactionExceptionCode", it.exception_code)?)
    }

    fn outcome(&self, it: wire::ResultBase, code: TransactionExceptionCode) -> Result<Outcome> {
        Ok(Outcome {
            result: self.code("resultCode", it.result_code)?,
            message: self.text("msg", it.message)?,
            code,
        })
    }

    fn parse<W: prost::Message + Default>(&self, bytes: Bytes) -> Result<W> {
        W::decode(bytes).map_err(|error| self.broken(error))
    }

    fn text(&self, field: &'static str, bytes: Bytes) -> Result<Text> {
        let (length, limit) = (bytes.len(), self.limits.text);
        match length {
            0 => Ok(Text::new()),
            _ if length > limit => {
                Err(DecodeError::TextTooLong { message: self.message, field, length, limit })
            }
            _ => Ok(text_of(&bytes, ..)),
        }
    }

    fn code<C: ProtobufCode>(&self, field: &'static str, number: i32) -> Result<C> {
        C::from_number(number)
            .ok_or_else(|| self.broken(format_args!("{field} is {number}, which no code is")))
    }

    fn broken(&self, found: impl std::fmt::Display) -> DecodeError {
        DecodeError::Protobuf { reason: format!("{}: {found}", self.message) }
    }
}
