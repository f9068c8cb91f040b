//! Messages to protobuf.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{ANY, codes::ProtobufCode, name, wire};
use crate::{
    BranchRegister, BranchRequest, BranchResponse, EncodeError, GlobalReport, GlobalRequest, Message,
    Outcome, ProtobufPackage, Registered, Text,
};

/// The protobuf bytes of a message.
pub(super) fn content(
    message: &Message,
    package: ProtobufPackage,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let writer = Writer { message, package };
    match message {
        Message::RegisterTm(it) => put(
            out,
            &wire::RegisterTm {
                base: writer.identify(
                    &it.version,
                    &it.application_id,
                    &it.transaction_service_group,
                    &it.extra_data,
                ),
            },
        ),
        Message::RegisterRm(it) => put(
            out,
            &wire::RegisterRm {
                base: writer.identify(
                    &it.version,
                    &it.application_id,
                    &it.transaction_service_group,
                    &it.extra_data,
                ),
                resource_ids: bytes(&it.resource_ids),
            },
        ),
        Message::RegisterTmResponse(it) | Message::RegisterRmResponse(it) => {
            put(out, &writer.registered(it)?)
        }
        Message::GlobalBegin(it) => put(
            out,
            &wire::GlobalBegin {
                base: writer.request(),
                timeout: it.timeout_ms,
                transaction_name: bytes(&it.name),
            },
        ),
        Message::GlobalBeginResponse(it) => put(
            out,
            &wire::GlobalBegun {
                base: writer.response(&it.outcome)?,
                xid: bytes(&it.xid),
                extra_data: bytes(&it.extra_data),
            },
        ),
        Message::GlobalCommit(it) | Message::GlobalRollback(it) | Message::GlobalStatus(it) => {
            put(out, &wire::GlobalRequest { base: writer.global_end(it) });
        }
        Message::GlobalReport(it) => put(out, &writer.global_report(it)?),
        Message::GlobalCommitResponse(it)
        | Message::GlobalRollbackResponse(it)
        | Message::GlobalStatusResponse(it)
        | Message::GlobalReportResponse(it) => put(
            out,
            &wire::GlobalResponse {
                base: wire::GlobalEnded {
                    base: writer.response(&it.outcome)?,
                    global_status: writer.number(it.status)?,
                },
            },
        ),
        Message::BranchRegister(it) => put(out, &writer.branch_register(it)?),
        Message::GlobalLockQuery(it) => put(out, &wire::LockQuery { base: writer.branch_register(it)? }),
        Message::BranchRegisterResponse(it) => put(
            out,
            &wire::BranchRegistered { base: writer.response(&it.outcome)?, branch_id: it.branch_id.0 },
        ),
        Message::GlobalLockQueryResponse(it) => {
            put(out, &wire::Lockable { base: writer.response(&it.outcome)?, lockable: it.lockable })
        }
        Message::BranchReport(it) => put(
            out,
            &wire::BranchReport {
                base: writer.request(),
                xid: bytes(&it.xid),
                branch_id: it.branch_id.0,
                resource_id: bytes(&it.resource_id),
                status: writer.number(it.status)?,
                application_data: bytes(&it.application_data),
                branch_type: writer.number(it.branch_type)?,
            },
        ),
        Message::BranchReportResponse(it) => put(out, &wire::BranchReported { base: writer.response(it)? }),
        Message::BranchCommit(it) | Message::BranchRollback(it) => put(out, &writer.branch_request(it)?),
        Message::BranchCommitResponse(it) | Message::BranchRollbackResponse(it) => {
            put(out, &writer.branch_response(it)?);
        }
        Message::UndoLogDelete(it) => put(
            out,
            &wire::UndoLogDelete {
                base: writer.request(),
                resource_id: bytes(&it.resource_id),
                save_days: it.save_days.into(),
                branch_type: writer.number(it.branch_type)?,
            },
        ),
        Message::MergeResult(messages) => put(out, &writer.merged(messages, &[])?),
        Message::Merged(it) if it.ids.is_empty() => put(out, &writer.merged(&it.messages, &[])?),
        Message::Merged(it) | Message::BatchResult(it) if it.ids.len() == it.messages.len() => {
            put(out, &writer.merged(&it.messages, &it.ids)?);
        }
        Message::Merged(it) | Message::BatchResult(it) => {
            let (message, messages, ids) = (message.name(), it.messages.len(), it.ids.len());
            return Err(EncodeError::Ids { message, messages, ids });
        }
    }
    Ok(())
}

fn put(out: &mut BytesMut, message: &impl prost::Message) {
    message.encode(out).expect("a buffer that grows has room");
}

struct Writer<'a> {
    message: &'a Message,
    package: ProtobufPackage,
}

impl Writer<'_> {
    fn base(&self) -> wire::Base {
        wire::Base { message_type: self.message.type_code().into() }
    }

    fn request(&self) -> wire::Request {
        wire::Request { base: self.base() }
    }

    fn result(&self, outcome: &Outcome) -> Result<wire::ResultBase, EncodeError> {
        Ok(wire::ResultBase {
            base: self.base(),
            result_code: self.number(outcome.result)?,
            message: bytes(&outcome.message),
        })
    }

    fn response(&self, outcome: &Outcome) -> Result<wire::Response, EncodeError> {
        Ok(wire::Response { base: self.result(outcome)?, exception_code: self.number(outcome.code)? })
    }

    fn identify(
        &self,
        version: &Text,
        application: &Text,
        group: &Text,
        extra: &Text,
    ) -> wire::IdentifyRequest {
        wire::IdentifyRequest {
            base: self.base(),
            version: bytes(version),
            application_id: bytes(application),
            transaction_service_group: bytes(group),
            extra_data: bytes(extra),
        }
    }

    fn registered(&self, it: &Registered) -> Result<wire::Registered, EncodeError> {
        Ok(wire::Registered {
            base: wire::IdentifyResponse {
                base: self.result(&it.outcome)?,
                version: bytes(&it.version),
                extra_data: bytes(&it.extra_data),
                identified: it.identified,
            },
        })
    }

    fn global_end(&self, it: &GlobalRequest) -> wire::GlobalEnd {
        wire::GlobalEnd { base: self.request(), xid: bytes(&it.xid), extra_data: bytes(&it.extra_data) }
    }

    fn global_report(&self, it: &GlobalReport) -> Result<wire::GlobalReport, EncodeError> {
        let Some(status) = it.status else {
            return Err(self.cannot_say("no status"));
        };
        let base =
            wire::GlobalEnd { base: self.request(), xid: bytes(&it.xid), extra_data: bytes(&it.extra_data) };
        Ok(wire::GlobalReport { base, global_status: self.number(status)? })
    }

    fn branch_register(&self, it: &BranchRegister) -> Result<wire::BranchRegister, EncodeError> {
        Ok(wire::BranchRegister {
            base: self.request(),
            xid: bytes(&it.xid),
            branch_type: self.number(it.branch_type)?,
            resource_id: bytes(&it.resource_id),
            lock_key: bytes(&it.lock_key),
            application_data: bytes(&it.application_data),
        })
    }

    fn branch_request(&self, it: &BranchRequest) -> Result<wire::BranchRequest, EncodeError> {
        Ok(wire::BranchRequest {
            base: wire::BranchEnd {
                base: self.request(),
                xid: bytes(&it.xid),
                branch_id: it.branch_id.0,
                branch_type: self.number(it.branch_type)?,
                resource_id: bytes(&it.resource_id),
                application_data: bytes(&it.application_data),
            },
        })
    }

    fn branch_response(&self, it: &BranchResponse) -> Result<wire::BranchResponse, EncodeError> {
        Ok(wire::BranchResponse {
            base: wire::BranchEnded {
                base: self.response(&it.outcome)?,
                xid: bytes(&it.xid),
                branch_id: it.branch_id.0,
                branch_status: self.number(it.status)?,
            },
        })
    }

    fn merged(&self, messages: &[Message], ids: &[i32]) -> Result<wire::Merged, EncodeError> {
        let messages = messages.iter().map(|inner| self.any(inner)).collect::<Result<_, _>>()?;
        Ok(wire::Merged { base: self.base(), messages, ids: ids.to_vec() })
    }

    fn any(&self, inner: &Message) -> Result<wire::Any, EncodeError> {
        if inner.is_merged() {
            return Err(EncodeError::Nested { message: self.message.name(), inner: inner.name() });
        }
        let mut value = BytesMut::new();
        content(inner, self.package, &mut value)?;
        let type_url = format!("{ANY}{}{}", self.package.prefix(), name(inner));
        Ok(wire::Any { type_url: type_url.into(), value: value.freeze() })
    }

    fn number<C: ProtobufCode + Copy + fmt::Display>(&self, code: C) -> Result<i32, EncodeError> {
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
