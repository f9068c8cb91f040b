//! Messages to protobuf.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{ANY, codes::ProtobufCode, name, wire};
use crate::{
    Batch, BranchRegister, BranchRegistered, BranchReport, BranchRequest, BranchResponse, EncodeError,
    GlobalBegin, GlobalBegun, GlobalReport, GlobalRequest, GlobalResponse, Lockable, Message, Outcome,
    ProtobufPackage, RegisterRm, RegisterTm, Registered, Text, UndoLogDelete,
};

type Written<T> = Result<T, EncodeError>;

/// The protobuf bytes of a message.
pub(super) fn content(message: &Message, package: ProtobufPackage, out: &mut BytesMut) -> Written<()> {
    let writer = Writer { message, package };
    match message {
        Message::RegisterTm(it) => put(out, writer.register_tm(it)),
        Message::RegisterRm(it) => put(out, writer.register_rm(it)),
        Message::RegisterTmResponse(it) | Message::RegisterRmResponse(it) => put(out, writer.registered(it)),
        Message::GlobalBegin(it) => put(out, writer.global_begin(it)),
        Message::GlobalBeginResponse(it) => put(out, writer.global_begun(it)),
        Message::GlobalCommit(it) | Message::GlobalRollback(it) | Message::GlobalStatus(it) => {
            put(out, writer.global_request(it))
        }
        Message::GlobalReport(it) => put(out, writer.global_report(it)),
        Message::GlobalCommitResponse(it)
        | Message::GlobalRollbackResponse(it)
        | Message::GlobalStatusResponse(it)
        | Message::GlobalReportResponse(it) => put(out, writer.global_response(it)),
        Message::BranchRegister(it) => put(out, writer.branch_register(it)),
        Message::BranchRegisterResponse(it) => put(out, writer.branch_registered(it)),
        Message::GlobalLockQuery(it) => put(out, writer.lock_query(it)),
        Message::GlobalLockQueryResponse(it) => put(out, writer.lockable(it)),
        Message::BranchReport(it) => put(out, writer.branch_report(it)),
        Message::BranchReportResponse(it) => put(out, writer.branch_reported(it)),
        Message::BranchCommit(it) | Message::BranchRollback(it) => put(out, writer.branch_request(it)),
        Message::BranchCommitResponse(it) | Message::BranchRollbackResponse(it) => {
            put(out, writer.branch_response(it))
        }
        Message::UndoLogDelete(it) => put(out, writer.undo_log_delete(it)),
        Message::Merged(it) if it.ids.is_empty() => put(out, writer.merged(&it.messages, &[])),
        Message::Merged(it) | Message::BatchResult(it) => put(out, writer.batch(it)),
        Message::MergeResult(messages) => put(out, writer.merged(messages, &[])),
    }
}

fn put(out: &mut BytesMut, message: Written<impl prost::Message>) -> Written<()> {
    message?.encode(out).expect("a buffer that grows has room");
    Ok(())
}

struct Writer<'a> {
    message: &'a Message,
    package: ProtobufPackage,
}

impl Writer<'_> {
    fn register_tm(&self, it: &RegisterTm) -> Written<wire::RegisterTm> {
        let texts = [&it.version, &it.application_id, &it.transaction_service_group, &it.extra_data];
        Ok(wire::RegisterTm { base: self.identify(texts) })
    }

    fn register_rm(&self, it: &RegisterRm) -> Written<wire::RegisterRm> {
        let texts = [&it.version, &it.application_id, &it.transaction_service_group, &it.extra_data];
        Ok(wire::RegisterRm { base: self.identify(texts), resource_ids: bytes(&it.resource_ids) })
    }

    fn registered(&self, it: &Registered) -> Written<wire::Registered> {
        let base = wire::IdentifyResponse {
            base: self.result(&it.outcome)?,
            version: bytes(&it.version),
            extra_data: bytes(&it.extra_data),
            identified: it.identified,
        };
        Ok(wire::Registered { base })
    }

    fn global_begin(&self, it: &GlobalBegin) -> Written<wire::GlobalBegin> {
        let (timeout, transaction_name) = (it.timeout_ms, bytes(&it.name));
        Ok(wire::GlobalBegin { base: self.request(), timeout, transaction_name })
    }

    fn global_begun(&self, it: &GlobalBegun) -> Written<wire::GlobalBegun> {
        let (xid, extra_data) = (bytes(&it.xid), bytes(&it.extra_data));
        Ok(wire::GlobalBegun { base: self.response(&it.outcome)?, xid, extra_data })
    }

    fn global_request(&self, it: &GlobalRequest) -> Written<wire::GlobalRequest> {
        Ok(wire::GlobalRequest { base: self.global_end(&it.xid, &it.extra_data) })
    }

    fn global_report(&self, it: &GlobalReport) -> Written<wire::GlobalReport> {
        let status = it.status.ok_or_else(|| self.cannot_say("no status"))?;
        let base = self.global_end(&it.xid, &it.extra_data);
        Ok(wire::GlobalReport { base, global_status: self.number(status)? })
    }

    fn global_response(&self, it: &GlobalResponse) -> Written<wire::GlobalResponse> {
        let global_status = self.number(it.status)?;
        let base = wire::GlobalEnded { base: self.response(&it.outcome)?, global_status };
        Ok(wire::GlobalResponse { base })
    }

    fn branch_register(&self, it: &BranchRegister) -> Written<wire::BranchRegister> {
        Ok(wire::BranchRegister {
            base: self.request(),
            xid: bytes(&it.xid),
            branch_type: self.number(it.branch_type)?,
            resource_id: bytes(&it.resource_id),
            lock_key: bytes(&it.lock_key),
            application_data: bytes(&it.application_data),
        })
    }

    fn branch_registered(&self, it: &BranchRegistered) -> Written<wire::BranchRegistered> {
        Ok(wire::BranchRegistered { base: self.response(&it.outcome)?, branch_id: it.branch_id.0 })
    }

    fn lock_query(&self, it: &BranchRegister) -> Written<wire::LockQuery> {
        Ok(wire::LockQuery { base: self.branch_register(it)? })
    }

    fn lockable(&self, it: &Lockable) -> Written<wire::Lockable> {
        Ok(wire::Lockable { base: self.response(&it.outcome)?, lockable: it.lockable })
    }

    fn branch_report(&self, it: &BranchReport) -> Written<wire::BranchReport> {
        Ok(wire::BranchReport {
            base: self.request(),
            xid: bytes(&it.xid),
            branch_id: it.branch_id.0,
            resource_id: bytes(&it.resource_id),
            status: self.number(it.status)?,
            application_data: bytes(&it.application_data),
            branch_type: self.number(it.branch_type)?,
        })
    }

    fn branch_reported(&self, it: &Outcome) -> Written<wire::BranchReported> {
        Ok(wire::BranchReported { base: self.response(it)? })
    }

    fn branch_request(&self, it: &BranchRequest) -> Written<wire::BranchRequest> {
        let base = wire::BranchEnd {
            base: self.request(),
            xid: bytes(&it.xid),
            branch_id: it.branch_id.0,
            branch_type: self.number(it.branch_type)?,
            resource_id: bytes(&it.resource_id),
            application_data: bytes(&it.application_data),
        };
        Ok(wire::BranchRequest { base })
    }

    fn branch_response(&self, it: &BranchResponse) -> Written<wire::BranchResponse> {
        let base = wire::BranchEnded {
            base: self.response(&it.outcome)?,
            xid: bytes(&it.xid),
            branch_id: it.branch_id.0,
            branch_status: self.number(it.status)?,
        };
        Ok(wire::BranchResponse { base })
    }

    fn undo_log_delete(&self, it: &UndoLogDelete) -> Written<wire::UndoLogDelete> {
        Ok(wire::UndoLogDelete {
            base: self.request(),
            resource_id: bytes(&it.resource_id),
            save_days: it.save_days.into(),
            branch_type: self.number(it.branch_type)?,
        })
    }

    fn batch(&self, it: &Batch) -> Written<wire::Merged> {
        let (message, messages, ids) = (self.message.name(), it.messages.len(), it.ids.len());
        if messages != ids {
            return Err(EncodeError::Ids { message, messages, ids });
        }
        self.merged(&it.messages, &it.ids)
    }

    fn merged(&self, messages: &[Message], ids: &[i32]) -> Written<wire::Merged> {
        let messages = messages.iter().map(|inner| self.any(inner)).collect::<Written<_>>()?;
        Ok(wire::Merged { base: self.base(), messages, ids: ids.to_vec() })
    }

    fn any(&self, inner: &Message) -> Written<wire::Any> {
        if inner.is_merged() {
            return Err(EncodeError::Nested { message: self.message.name(), inner: inner.name() });
        }
        let mut value = BytesMut::new();
        content(inner, self.package, &mut value)?;
        let type_url = format!("{ANY}{}{}", self.package.prefix(), name(inner));
        Ok(wire::Any { type_url: type_url.into(), value: value.freeze() })
    }

    fn base(&self) -> wire::Base {
        wire::Base { message_type: self.message.type_code().into() }
    }

    fn request(&self) -> wire::Request {
        wire::Request { base: self.base() }
    }

    fn result(&self, outcome: &Outcome) -> Written<wire::ResultBase> {
        let (result_code, message) = (self.number(outcome.result)?, bytes(&outcome.message));
        Ok(wire::ResultBase { base: self.base(), result_code, message })
    }

    fn response(&self, outcome: &Outcome) -> Written<wire::Response> {
        Ok(wire::Response { base: self.result(outcome)?, exception_code: self.number(outcome.code)? })
    }

    fn identify(&self, texts: [&Text; 4]) -> wire::IdentifyRequest {
        let [version, application_id, transaction_service_group, extra_data] = texts.map(bytes);
        let base = self.base();
        wire::IdentifyRequest { base, version, application_id, transaction_service_group, extra_data }
    }

    fn global_end(&self, xid: &Text, extra_data: &Text) -> wire::GlobalEnd {
        wire::GlobalEnd { base: self.request(), xid: bytes(xid), extra_data: bytes(extra_data) }
    }

    fn number<C: ProtobufCode + Copy + fmt::Display>(&self, code: C) -> Written<i32> {
        code.number().ok_or_else(|| self.cannot_say(code))
    }

    fn cannot_say(&self, what: impl fmt::Display) -> EncodeError {
        let message = self.message.name();
        EncodeError::Protobuf {
            reason: format!("{message} has {what}, for which protobuf has no number: use the seata codec"),
        }
    }
}

fn bytes(text: &Text) -> Bytes {
    text.as_bytes().clone()
}
