//! What holds for all messages, and for all bytes.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, option, prelude::*};
use seata_protocol::{
    Batch, BranchId, BranchRegister, BranchRegistered, BranchReport, BranchRequest, BranchResponse,
    BranchStatus, BranchType, FrameDecoder, GlobalBegin, GlobalBegun, GlobalReport, GlobalRequest,
    GlobalResponse, GlobalStatus, Header, Kind, Limits, Lockable, Message, Outcome, RegisterRm, RegisterTm,
    Registered, ResultCode, Text, TransactionExceptionCode, UndoLogDelete, Version, frame, seata_codec,
};

use crate::stream;

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(message in message()) {
        let mut body = BytesMut::new();
        seata_codec::encode(&message, &mut body).unwrap();
        let decoded = seata_codec::decode(body.freeze(), &Limits::default()).unwrap();
        prop_assert_eq!((decoded.message, decoded.trailing), (message, 0));
    }

    #[test]
    fn frames_come_back_as_they_were_however_they_are_cut(
        messages in vec((message(), any::<i32>(), 0_u8..3), 1..5),
        is_v0: bool,
        read in 1_usize..40,
    ) {
        let version = if is_v0 { Version::V0 } else { Version::V1 };
        let mut bytes = BytesMut::new();
        let mut written = Vec::new();
        for (message, id, kind) in messages {
            let header = Header { version, ..Header::new(Kind::from_code(kind), id) };
            frame::write(&mut bytes, &header, &message).unwrap();
            // Version 0 does not tell requests from oneway ones.
            let kind = if is_v0 && kind == 0 { Kind::Oneway } else { header.kind };
            written.push((Header { kind, ..header }, message));
        }

        let mut came = Vec::new();
        for frame in stream::frames(&bytes, read) {
            let message = frame.message(&Limits::default()).unwrap().message;
            came.push((frame.header, message));
        }
        prop_assert_eq!(came, written);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(type_code in type_code(), bytes: Vec<u8>) {
        let mut body = type_code.to_be_bytes().to_vec();
        body.extend(bytes);
        is_decoded_alike_again(body.into())?;
    }

    #[test]
    fn a_message_with_a_wrong_byte_is_a_message_or_an_error(message in message(), at: prop::sample::Index, byte: u8) {
        let mut body = BytesMut::new();
        seata_codec::encode(&message, &mut body).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        is_decoded_alike_again(body.freeze())?;
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(version in 0_u8..3, bytes: Vec<u8>, is_frame: bool) {
        let mut buffer = BytesMut::new();
        if is_frame {
            buffer.extend_from_slice(&[0xda, 0xda, version, 0, 0, 0]);
        }
        buffer.extend_from_slice(&bytes);
        let mut decoder = FrameDecoder::new(Limits::default());
        while let Ok(Some(frame)) = decoder.next(&mut buffer) {
            let _ = frame.message(&Limits::default());
        }
    }
}

/// What was read from a peer's bytes is read again from ours.
fn is_decoded_alike_again(body: Bytes) -> Result<(), TestCaseError> {
    let Ok(first) = seata_codec::decode(body, &Limits::default()) else { return Ok(()) };
    let mut again = BytesMut::new();
    seata_codec::encode(&first.message, &mut again)?;
    let second = seata_codec::decode(again.freeze(), &Limits::default())?;
    prop_assert_eq!(second.message, first.message);
    Ok(())
}

fn type_code() -> impl Strategy<Value = i16> {
    prop_oneof![0_i16..23, 59_i16..61, 101_i16..105, Just(111), Just(121), any::<i16>()]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => single(),
        1 => batch().prop_map(Message::Merged),
        1 => batch().prop_map(Message::BatchResult),
        1 => batch().prop_map(|batch| Message::MergeResult(batch.messages)),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    vec((single(), any::<i32>()), 0..4).prop_map(|both| {
        let (messages, ids) = both.into_iter().unzip();
        Batch { messages, ids }
    })
}

fn single() -> impl Strategy<Value = Message> {
    prop_oneof![register().boxed(), global().boxed(), branch().boxed(), phase_two().boxed()].boxed()
}

fn register() -> impl Strategy<Value = Message> {
    let texts = || (some_text(), text(), text(), text());
    let registered = || {
        (any::<bool>(), some_text()).prop_map(|(identified, version)| {
            let refused = || Outcome::failed(TransactionExceptionCode::Unknown, "");
            let outcome = if identified { Outcome::success() } else { refused() };
            Registered { identified, version, outcome, extra_data: Text::new() }
        })
    };
    prop_oneof![
        texts().prop_map(|(version, application_id, transaction_service_group, extra_data)| {
            Message::RegisterTm(RegisterTm { version, application_id, transaction_service_group, extra_data })
        }),
        (texts(), text()).prop_map(|(texts, resource_ids)| {
            let (version, application_id, transaction_service_group, extra_data) = texts;
            let it =
                RegisterRm { version, application_id, transaction_service_group, extra_data, resource_ids };
            Message::RegisterRm(it)
        }),
        registered().prop_map(Message::RegisterTmResponse),
        registered().prop_map(Message::RegisterRmResponse),
    ]
}

fn global() -> impl Strategy<Value = Message> {
    let request = || (text(), text()).prop_map(|(xid, extra_data)| GlobalRequest { xid, extra_data });
    let status = || any::<u8>().prop_map(GlobalStatus::from_code);
    let response =
        move || (outcome(), status()).prop_map(|(outcome, status)| GlobalResponse { outcome, status });
    prop_oneof![
        (any::<i32>(), text())
            .prop_map(|(timeout_ms, name)| Message::GlobalBegin(GlobalBegin { timeout_ms, name })),
        (outcome(), text(), text()).prop_map(|(outcome, xid, extra_data)| {
            Message::GlobalBeginResponse(GlobalBegun { outcome, xid, extra_data })
        }),
        request().prop_map(Message::GlobalCommit),
        request().prop_map(Message::GlobalRollback),
        request().prop_map(Message::GlobalStatus),
        response().prop_map(Message::GlobalCommitResponse),
        response().prop_map(Message::GlobalRollbackResponse),
        response().prop_map(Message::GlobalStatusResponse),
        response().prop_map(Message::GlobalReportResponse),
        (text(), text(), option::of((0..u8::MAX).prop_map(GlobalStatus::from_code))).prop_map(
            |(xid, extra_data, status)| Message::GlobalReport(GlobalReport { xid, extra_data, status })
        ),
    ]
}

fn branch() -> impl Strategy<Value = Message> {
    let register = || {
        (text(), branch_type(), text(), text(), text()).prop_map(
            |(xid, branch_type, resource_id, lock_key, application_data)| BranchRegister {
                xid,
                branch_type,
                resource_id,
                lock_key,
                application_data,
            },
        )
    };
    prop_oneof![
        register().prop_map(Message::BranchRegister),
        register().prop_map(Message::GlobalLockQuery),
        (outcome(), branch_id()).prop_map(|(outcome, branch_id)| {
            Message::BranchRegisterResponse(BranchRegistered { outcome, branch_id })
        }),
        (text(), branch_id(), branch_status(), text(), text(), branch_type()).prop_map(
            |(xid, branch_id, status, resource_id, application_data, branch_type)| {
                Message::BranchReport(BranchReport {
                    xid,
                    branch_id,
                    status,
                    resource_id,
                    application_data,
                    branch_type,
                })
            }
        ),
        outcome().prop_map(Message::BranchReportResponse),
        (outcome(), any::<bool>())
            .prop_map(|(outcome, lockable)| Message::GlobalLockQueryResponse(Lockable { outcome, lockable })),
    ]
}

fn phase_two() -> impl Strategy<Value = Message> {
    let request = || {
        (some_text(), branch_id(), branch_type(), some_text(), text()).prop_map(
            |(xid, branch_id, branch_type, resource_id, application_data)| BranchRequest {
                xid,
                branch_id,
                branch_type,
                resource_id,
                application_data,
            },
        )
    };
    let response = || {
        (outcome(), text(), branch_id(), branch_status())
            .prop_map(|(outcome, xid, branch_id, status)| BranchResponse { outcome, xid, branch_id, status })
    };
    prop_oneof![
        request().prop_map(Message::BranchCommit),
        request().prop_map(Message::BranchRollback),
        response().prop_map(Message::BranchCommitResponse),
        response().prop_map(Message::BranchRollbackResponse),
        (branch_type(), some_text(), any::<i16>()).prop_map(|(branch_type, resource_id, save_days)| {
            Message::UndoLogDelete(UndoLogDelete { branch_type, resource_id, save_days })
        }),
    ]
}

/// A message travels with a failure only.
fn outcome() -> impl Strategy<Value = Outcome> {
    let code = || any::<u8>().prop_map(TransactionExceptionCode::from_code);
    prop_oneof![
        (text(), code()).prop_map(|(message, code)| Outcome::failed(code, message)),
        (1..=u8::MAX, code()).prop_map(|(result, code)| {
            Outcome { result: ResultCode::from_code(result), message: Text::new(), code }
        }),
    ]
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![".{0,20}", "[a-z0-9:,;_.]{0,40}", "x{200,600}"].prop_map(Text::from)
}

/// A text that Java's readers, and so ours, do not take for "nothing follows".
fn some_text() -> impl Strategy<Value = Text> {
    text().prop_filter("empty", |text| !text.is_empty())
}

fn branch_id() -> impl Strategy<Value = BranchId> {
    any::<i64>().prop_map(BranchId)
}

fn branch_type() -> impl Strategy<Value = BranchType> {
    any::<u8>().prop_map(BranchType::from_code)
}

fn branch_status() -> impl Strategy<Value = BranchStatus> {
    any::<u8>().prop_map(BranchStatus::from_code)
}
