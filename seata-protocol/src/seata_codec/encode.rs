//! Messages to bytes.

use bytes::{BufMut, BytesMut};

use crate::{
    Batch, BranchRegister, BranchReport, BranchRequest, BranchResponse, EncodeError, GlobalReport,
    GlobalRequest, Limits, Message, Outcome, RegisterRm, RegisterTm, Registered, ResultCode, UndoLogDelete,
};

/// The longest text whose length has 16 bits: Java takes them as signed.
const MAX_TEXT: usize = i16::MAX as usize;

/// The type code and the content.
pub(super) fn message(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    out.put_i16(message.type_code());
    content(message, out)
}

/// The content alone.
pub(super) fn content(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut writer = Writer { out, message: message.name() };
    match message {
        Message::RegisterTm(it) => writer.register_tm(it),
        Message::RegisterRm(it) => writer.register_rm(it),
        Message::RegisterTmResponse(it) | Message::RegisterRmResponse(it) => writer.registered(it),
        Message::GlobalBegin(it) => {
            writer.out.put_i32(it.timeout_ms);
            writer.text16("transactionName", &it.name)
        }
        Message::GlobalBeginResponse(it) => {
            writer.outcome(&it.outcome);
            writer.text16("xid", &it.xid)?;
            writer.text16("extraData", &it.extra_data)
        }
        Message::GlobalCommit(it) | Message::GlobalRollback(it) | Message::GlobalStatus(it) => {
            writer.global_request(it)
        }
        Message::GlobalReport(it) => writer.global_report(it),
        Message::GlobalCommitResponse(it)
        | Message::GlobalRollbackResponse(it)
        | Message::GlobalStatusResponse(it)
        | Message::GlobalReportResponse(it) => {
            writer.outcome(&it.outcome);
            writer.out.put_u8(it.status.code());
            Ok(())
        }
        Message::BranchRegister(it) | Message::GlobalLockQuery(it) => writer.branch_register(it),
        Message::BranchRegisterResponse(it) => {
            writer.outcome(&it.outcome);
            writer.out.put_i64(it.branch_id.0);
            Ok(())
        }
        Message::BranchReport(it) => writer.branch_report(it),
        Message::BranchReportResponse(it) => {
            writer.outcome(it);
            Ok(())
        }
        Message::GlobalLockQueryResponse(it) => {
            writer.outcome(&it.outcome);
            writer.out.put_i16(i16::from(it.lockable));
            Ok(())
        }
        Message::BranchCommit(it) | Message::BranchRollback(it) => writer.branch_request(it),
        Message::BranchCommitResponse(it) | Message::BranchRollbackResponse(it) => writer.branch_response(it),
        Message::UndoLogDelete(it) => writer.undo_log_delete(it),
        Message::Merged(it) => writer.batch(it, Ids::Optional),
        Message::MergeResult(it) => writer.in_region(|writer| writer.messages(it)),
        Message::BatchResult(it) => writer.batch(it, Ids::Required),
    }
}

struct Writer<'a> {
    out: &'a mut BytesMut,
    /// The Java name of the message, for errors.
    message: &'static str,
}

/// Whether a batch may leave out all of its ids.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    Required,
    Optional,
}

impl Writer<'_> {
    fn register_tm(&mut self, it: &RegisterTm) -> Result<(), EncodeError> {
        self.text16("version", &it.version)?;
        self.text16("applicationId", &it.application_id)?;
        self.text16("transactionServiceGroup", &it.transaction_service_group)?;
        self.text16("extraData", &it.extra_data)
    }

    fn register_rm(&mut self, it: &RegisterRm) -> Result<(), EncodeError> {
        self.text16("version", &it.version)?;
        self.text16("applicationId", &it.application_id)?;
        self.text16("transactionServiceGroup", &it.transaction_service_group)?;
        self.text16("extraData", &it.extra_data)?;
        self.text32("resourceIds", &it.resource_ids)
    }

    fn registered(&mut self, it: &Registered) -> Result<(), EncodeError> {
        self.out.put_u8(u8::from(it.identified));
        self.text16("version", &it.version)
    }

    fn global_request(&mut self, it: &GlobalRequest) -> Result<(), EncodeError> {
        self.text16("xid", &it.xid)?;
        self.text16("extraData", &it.extra_data)
    }

    fn global_report(&mut self, it: &GlobalReport) -> Result<(), EncodeError> {
        self.text16("xid", &it.xid)?;
        self.text16("extraData", &it.extra_data)?;
        self.out.put_u8(it.status.map_or(u8::MAX, |status| status.code()));
        Ok(())
    }

    fn branch_register(&mut self, it: &BranchRegister) -> Result<(), EncodeError> {
        self.text16("xid", &it.xid)?;
        self.out.put_u8(it.branch_type.code());
        self.text16("resourceId", &it.resource_id)?;
        self.text32("lockKey", &it.lock_key)?;
        self.text32("applicationData", &it.application_data)
    }

    fn branch_report(&mut self, it: &BranchReport) -> Result<(), EncodeError> {
        self.text16("xid", &it.xid)?;
        self.out.put_i64(it.branch_id.0);
        self.out.put_u8(it.status.code());
        self.text16("resourceId", &it.resource_id)?;
        self.text32("applicationData", &it.application_data)?;
        self.out.put_u8(it.branch_type.code());
        Ok(())
    }

    fn branch_request(&mut self, it: &BranchRequest) -> Result<(), EncodeError> {
        self.text16("xid", &it.xid)?;
        self.out.put_i64(it.branch_id.0);
        self.out.put_u8(it.branch_type.code());
        self.text16("resourceId", &it.resource_id)?;
        self.text32("applicationData", &it.application_data)
    }

    fn branch_response(&mut self, it: &BranchResponse) -> Result<(), EncodeError> {
        self.outcome(&it.outcome);
        self.text16("xid", &it.xid)?;
        self.out.put_i64(it.branch_id.0);
        self.out.put_u8(it.status.code());
        Ok(())
    }

    fn undo_log_delete(&mut self, it: &UndoLogDelete) -> Result<(), EncodeError> {
        self.out.put_u8(it.branch_type.code());
        self.text16("resourceId", &it.resource_id)?;
        self.out.put_i16(it.save_days);
        Ok(())
    }

    fn batch(&mut self, it: &Batch, ids: Ids) -> Result<(), EncodeError> {
        let may_be_left_out = ids == Ids::Optional && it.ids.is_empty();
        if it.ids.len() != it.messages.len() && !may_be_left_out {
            return Err(EncodeError::Ids {
                message: self.message,
                messages: it.messages.len(),
                ids: it.ids.len(),
            });
        }
        self.in_region(|writer| {
            writer.messages(&it.messages)?;
            it.ids.iter().for_each(|id| writer.out.put_i32(*id));
            Ok(())
        })
    }

    /// The length of what `write` writes, and that.
    fn in_region(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = self.out.len();
        self.out.put_i32(0); // the length, once it is known
        write(self)?;
        let length = self.out.len() - start - size_of::<i32>();
        // A length beyond 31 bits is beyond the limit of a frame as well.
        let length = i32::try_from(length)
            .map_err(|_| EncodeError::FrameTooLong { length, limit: Limits::MAX_FRAME })?;
        self.out[start..start + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// The count, and each message with its type code.
    fn messages(&mut self, messages: &[Message]) -> Result<(), EncodeError> {
        let count = i16::try_from(messages.len())
            .map_err(|_| EncodeError::TooManyMerged { message: self.message, count: messages.len() })?;
        self.out.put_i16(count);
        for inner in messages {
            if inner.is_merged() {
                return Err(EncodeError::Nested { message: self.message, inner: inner.name() });
            }
            message(inner, self.out)?;
        }
        Ok(())
    }

    /// The head of every answer. Its message is for people: cut where it is too long.
    fn outcome(&mut self, it: &Outcome) {
        self.out.put_u8(it.result.code());
        if it.result == ResultCode::Failed {
            let message = &it.message[..it.message.floor_char_boundary(MAX_TEXT)];
            self.out.put_i16(message.len() as i16);
            self.out.put_slice(message.as_bytes());
        }
        self.out.put_u8(it.code.code());
    }

    fn text16(&mut self, field: &'static str, text: &str) -> Result<(), EncodeError> {
        let length = i16::try_from(text.len()).map_err(|_| self.too_long(field, text, MAX_TEXT))?;
        self.out.put_i16(length);
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    fn text32(&mut self, field: &'static str, text: &str) -> Result<(), EncodeError> {
        let length = i32::try_from(text.len()).map_err(|_| self.too_long(field, text, i32::MAX as usize))?;
        self.out.put_i32(length);
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    fn too_long(&self, field: &'static str, text: &str, limit: usize) -> EncodeError {
        EncodeError::TextTooLong { message: self.message, field, length: text.len(), limit }
    }
}
