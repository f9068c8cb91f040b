//! Frames and bodies that nobody recorded: limits, peers of other languages, and peers that lie.

use bytes::{BufMut, Bytes, BytesMut};
use seata_protocol::{
    Batch, BranchId, BranchRequest, BranchResponse, BranchStatus, BranchType, Codec, Compressor, DecodeError,
    EncodeError, FrameDecoder, FrameError, GlobalRequest, HeadMap, Header, Kind, Limits, Message, Outcome,
    RegisterTm, Text, TransactionExceptionCode, Version, frame, seata_codec,
};

use crate::stream;

#[test]
fn a_reply_repeats_what_the_request_said() {
    let mut request = Header::new(Kind::Request, 7);
    request.version = Version::V0;
    request.codec = Codec::Protobuf;
    request.compressor = Compressor::Zstd;
    request.head_map.insert("k", None).unwrap();
    let reply = request.reply();
    assert_eq!((reply.kind, reply.id, reply.version), (Kind::Response, 7, Version::V0));
    assert_eq!((reply.codec, reply.compressor), (Codec::Protobuf, Compressor::Zstd));
    assert!(reply.head_map.is_empty());
    assert_eq!(Header::new(Kind::Ping, 8).reply().kind, Kind::Pong);
}

#[test]
fn a_length_above_the_limit_is_refused_before_its_bytes_come() {
    let limits = Limits { frame: 100, ..Limits::default() };
    let mut buffer = BytesMut::from(&b"\xda\xda\x01\0\0\0\x65\0\x10"[..]);
    let capacity = buffer.capacity();
    let error = FrameDecoder::new(limits).next(&mut buffer).unwrap_err();
    assert_eq!(error, FrameError::TooLong { length: 101, limit: 100 });
    assert_eq!(buffer.capacity(), capacity, "nothing was allocated");

    let mut at_the_limit = BytesMut::from(&b"\xda\xda\x01\0\0\0\x64\0\x10\0\x01\0\0\0\0\x05"[..]);
    at_the_limit.put_bytes(b'x', 84);
    assert!(FrameDecoder::new(limits).next(&mut at_the_limit).unwrap().is_some());
}

/// A version 0 frame has no length: what its body asks for counts.
#[test]
fn a_version_zero_frame_above_the_limit_is_refused_as_soon_as_that_is_known() {
    let mut buffer = BytesMut::from(&b"\xda\xda\0\x90\0\x0f\0\0\0\0\0\0\0\x05\x7f\xff"[..]);
    let limits = Limits { frame: 100, ..Limits::default() };
    let error = FrameDecoder::new(limits).next(&mut buffer).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { limit: 100, .. }), "{error}");

    let header = Header { version: Version::V0, ..Header::new(Kind::Request, 1) };
    let mut seata = BytesMut::new();
    frame::write(&mut seata, &header, &status_request(&"x".repeat(100))).unwrap();
    let mut hessian = BytesMut::from(&b"\xda\xda\0\x80\0\x64\0\0\0\0\0\0\0\x02"[..]);
    hessian.put_bytes(b'x', 100);
    for bytes in [seata, hessian] {
        let next = |frame| FrameDecoder::new(Limits { frame, ..limits }).next(&mut bytes.clone());
        assert!(next(bytes.len()).unwrap().is_some());
        let limit = bytes.len() - 1;
        assert_eq!(next(limit).unwrap_err(), FrameError::TooLong { length: bytes.len(), limit });
    }
}

/// Java leaves it behind when it cannot encode an answer. Its lengths are those of an earlier frame.
#[test]
fn a_bare_header_does_not_take_the_next_frame_for_its_body() {
    let ping = Bytes::from_static(b"\xda\xda\x01\0\0\0\x10\0\x10\x03\x01\0\0\0\0\x07");
    for stale in [16, 18, 26, 32, 40, 5000] {
        let mut bytes = BytesMut::from(&b"\xda\xda\x01"[..]);
        bytes.put_u32(stale);
        bytes.put_slice(b"\0\x10\x01\x01\0\0\0\0\x02");
        bytes.put_slice(&ping);
        for read in [1, 7, bytes.len()] {
            let frames = stream::frames(&bytes, read);
            let [bare, next] = &frames[..] else { panic!("{stale}: {frames:?}") };
            assert_eq!(bare.header.id, 2);
            assert_eq!(bare.message(&Limits::default()), Err(DecodeError::NoBody));
            assert_eq!((next.header.kind, next.header.id), (Kind::Ping, 7));
        }
    }
}

#[test]
fn a_head_map_may_begin_like_a_frame_but_is_none() {
    let mut bytes = BytesMut::from(&b"\xda\xda\x01\0\0\0\x14\0\x14\0\x01\0\0\0\0\x05\xda\xda\0\0"[..]);
    let error = FrameDecoder::new(Limits::default()).next(&mut bytes).unwrap_err();
    assert_eq!(error, FrameError::HeadMap);
}

#[test]
fn the_last_pair_of_a_key_counts() {
    let mut head = HeadMap::new();
    for (key, value) in [("k", Some("1")), ("n", None), ("k", Some("2"))] {
        head.insert(key, value.map(Text::from_static)).unwrap();
    }
    assert_eq!(head.get("k").map(|value| &**value), Some("2"));
    assert_eq!((head.get("n"), head.get("none")), (None, None));
    assert_eq!(head.iter().count(), 3);
}

#[test]
fn a_frame_longer_than_peers_take_is_not_written() {
    let text = "k".repeat(Limits::MAX_FRAME);
    let mut message = branch_register();
    let Message::BranchRegister(branch) = &mut message else { unreachable!() };
    branch.lock_key = text.into();
    let mut out = BytesMut::from(&b"before"[..]);
    let error = frame::write(&mut out, &Header::new(Kind::Request, 1), &message).unwrap_err();
    assert!(matches!(error, EncodeError::FrameTooLong { .. }), "{error}");
    assert_eq!(out, &b"before"[..]);
}

#[test]
fn a_text_above_the_limit_is_refused() {
    let limits = Limits { text: 3, ..Limits::default() };
    let body = encoded(&status_request("host"));
    let error = seata_codec::decode(body, &limits).unwrap_err();
    let message = "GlobalStatusRequest";
    assert_eq!(error, DecodeError::TextTooLong { message, field: "xid", length: 4, limit: 3 });
    seata_codec::decode(encoded(&status_request("hos")), &limits).unwrap();
}

#[test]
fn more_merged_messages_than_the_limit_are_refused() {
    let limits = Limits { merged: 2, ..Limits::default() };
    let merged = |count: i32| {
        let messages = vec![status_request("x"); usize::try_from(count).unwrap()];
        encoded(&Message::Merged(Batch { messages, ids: (0..count).collect() }))
    };
    let error = seata_codec::decode(merged(3), &limits).unwrap_err();
    assert_eq!(error, DecodeError::TooManyMerged { message: "MergedWarpMessage", count: 3, limit: 2 });
    seata_codec::decode(merged(2), &limits).unwrap();
}

/// As in Java, one byte is enough.
#[test]
fn a_merged_request_that_is_cut_short_holds_no_messages() {
    let request = Message::Merged(Batch { messages: vec![status_request("x")], ids: vec![1] });
    let whole = encoded(&request);
    for end in [6, whole.len() - 1] {
        let read = seata_codec::decode(whole.slice(..end), &Limits::default()).unwrap();
        assert_eq!(read.message, Message::Merged(Batch::default()), "{end} bytes");
    }
}

#[test]
fn a_merged_message_holds_none_itself() {
    let nested = Message::MergeResult(vec![Message::MergeResult(vec![])]);
    let error = seata_codec::encode(&nested, &mut BytesMut::new()).unwrap_err();
    let inner = "MergeResultMessage";
    assert_eq!(error, EncodeError::Nested { message: inner, inner });

    let body = Bytes::from_static(b"\0\x3c\0\0\0\x0a\0\x01\0\x3c\0\0\0\x02\0\0");
    let error = seata_codec::decode(body, &Limits::default()).unwrap_err();
    assert_eq!(error, DecodeError::Nested { message: inner, inner });
}

#[test]
fn inside_a_merged_message_everything_is_exact() {
    let request = encoded(&status_request("x"));
    let merged = |length: usize, count: i16, inner: &[&[u8]]| {
        let mut body = BytesMut::new();
        body.put_i16(60);
        body.put_i32(i32::try_from(length).unwrap());
        body.put_i16(count);
        inner.iter().for_each(|inner| body.put_slice(inner));
        seata_codec::decode(body.freeze(), &Limits::default())
    };
    let whole = 2 + request.len();
    assert_eq!(merged(whole, 1, &[&request]).unwrap().trailing, 0);
    assert_eq!(merged(whole, 1, &[&request, b"new"]).unwrap().trailing, 3, "behind all of them");

    let error = merged(whole + 3, 1, &[&request, b"new"]).unwrap_err();
    assert!(matches!(error, DecodeError::MergedLength { .. }), "{error}");
    let error = merged(whole, 2, &[&request]).unwrap_err();
    assert!(matches!(error, DecodeError::MergedCutShort { field: "type code", .. }), "{error}");
    let error = merged(whole - 1, 1, &[&request[..request.len() - 1]]).unwrap_err();
    assert!(matches!(error, DecodeError::MergedCutShort { field: "extraData", .. }), "{error}");
    let error = merged(whole, 1, &[&request[..request.len() - 1]]).unwrap_err();
    assert!(matches!(error, DecodeError::CutShort { field: "messages", missing: 1, .. }), "{error}");
    let error = merged(whole, -1, &[&request]).unwrap_err();
    assert!(matches!(error, DecodeError::NegativeCount { count: -1, .. }), "{error}");

    let result = encoded(&Message::BatchResult(Batch { messages: vec![status_request("x")], ids: vec![1] }));
    let mut without_ids = BytesMut::from(&result[..result.len() - 4]);
    without_ids[5] -= 4;
    let error = seata_codec::decode(without_ids.freeze(), &Limits::default()).unwrap_err();
    let (message, inner) = ("BatchResultMessage", "BatchResultMessage");
    assert_eq!(error, DecodeError::MergedCutShort { message, inner, field: "msgIds", missing: 4 });

    // What may be cut short alone may not be inside.
    let register =
        encoded(&Message::RegisterTm(RegisterTm { version: "2.6.0".into(), ..RegisterTm::default() }));
    let error = merged(2 + 4, 1, &[&register[..4]]).unwrap_err();
    assert!(matches!(error, DecodeError::MergedCutShort { inner: "RegisterTMRequest", .. }), "{error}");
}

#[test]
fn each_message_of_a_batch_needs_an_id_but_a_request_may_have_none_at_all() {
    let batch = |ids: &[i32]| Batch { messages: vec![status_request("x"); 2], ids: ids.to_vec() };
    for message in [Message::Merged(batch(&[1])), Message::BatchResult(batch(&[]))] {
        let error = seata_codec::encode(&message, &mut BytesMut::new()).unwrap_err();
        assert!(matches!(error, EncodeError::Ids { messages: 2, .. }), "{error}");
    }
    let without = Message::Merged(batch(&[]));
    let read = seata_codec::decode(encoded(&without), &Limits::default()).unwrap();
    assert_eq!(read.message, without);
}

/// Go gives the message of these failures a length of one byte.
#[test]
fn failures_from_go_are_read() {
    for code in [4_i16, 6] {
        let long = "分支回滚失败".repeat(10);
        for text in ["", "k", "branch 7 cannot be rolled back: no such resource", &long] {
            for exception in [0, 5] {
                let mut body = failure_from_go(code, text, exception);
                body.put_slice(b"\0\x1310.0.0.5:8091:42000\0\0\0\0\0\0\0\x2b\x0a");
                let decoded = seata_codec::decode(body.freeze(), &Limits::default()).unwrap();
                let (Message::BranchCommitResponse(answer) | Message::BranchRollbackResponse(answer)) =
                    decoded.message
                else {
                    panic!("no answer of phase two");
                };
                assert_eq!(
                    answer.outcome,
                    Outcome::failed(TransactionExceptionCode::from_code(exception), text)
                );
                assert_eq!((&*answer.xid, answer.branch_id), ("10.0.0.5:8091:42000", BranchId(43)));
                assert_eq!(answer.status, BranchStatus::PhaseTwoRollbackFailedUnretryable);
            }
        }
    }
}

#[test]
fn failures_of_a_later_java_are_not_taken_for_gos() {
    let message = Message::BranchRollbackResponse(BranchResponse {
        outcome: Outcome::failed(TransactionExceptionCode::Io, "no"),
        xid: "10.0.0.5:8091:42".into(),
        branch_id: BranchId(43),
        status: BranchStatus::PhaseTwoRollbackFailedRetryable,
    });
    let mut body = BytesMut::from(&encoded(&message)[..]);
    body.put_slice(b"new");
    let decoded = seata_codec::decode(body.freeze(), &Limits::default()).unwrap();
    assert_eq!((decoded.message, decoded.trailing), (message, 3));
}

#[test]
fn a_failure_that_nobody_writes_is_an_error() {
    let mut body = failure_from_go(4, "no", 7);
    body.put_slice(b"\0\x01x\0\0\0\0\0\0\0\x2b\x0amore");
    let error = seata_codec::decode(body.freeze(), &Limits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::CutShort { field: "msg", .. }), "{error}");
}

#[test]
fn codecs_of_java_objects_are_refused_by_name() {
    for codec in [Codec::Kryo, Codec::Fst, Codec::Hessian, Codec::Jackson, Codec::Fory, Codec::Other(99)] {
        let header = Header { codec, ..Header::new(Kind::Request, 1) };
        let error = frame::write(&mut BytesMut::new(), &header, &status_request("x")).unwrap_err();
        assert_eq!(error, EncodeError::Codec { codec });
        let frame = frame::Frame { header, body: encoded(&status_request("x")) };
        let error = frame.message(&Limits::default()).unwrap_err();
        assert!(error.to_string().contains(&codec.to_string()), "{error}");
    }
}

#[test]
fn a_heartbeat_carries_no_message() {
    let header = Header::new(Kind::Ping, 1);
    let error = frame::write(&mut BytesMut::new(), &header, &status_request("x")).unwrap_err();
    assert_eq!(error, EncodeError::Heartbeat);
    let with_a_body = b"\xda\xda\x01\0\0\0\x12\0\x10\x03\x01\0\0\0\0\x07\0\x0f";
    let frame = stream::only_frame(with_a_body);
    assert!(frame.body.is_empty());
    assert_eq!(frame.message(&Limits::default()), Err(DecodeError::Heartbeat));
}

#[test]
fn version_zero_says_what_it_cannot_carry() {
    let v0 = || Header { version: Version::V0, ..Header::new(Kind::Request, 1) };
    let mut with_head = v0();
    with_head.head_map.insert("k", None).unwrap();
    for header in [
        with_head,
        Header { compressor: Compressor::Gzip, ..v0() },
        Header { codec: Codec::Protobuf, ..v0() },
    ] {
        let error = frame::write(&mut BytesMut::new(), &header, &status_request("x")).unwrap_err();
        assert!(matches!(error, EncodeError::NotInVersionZero { .. }), "{error}");
    }
}

#[test]
fn version_zero_finds_the_end_of_long_and_of_foreign_bodies() {
    let header = Header { version: Version::V0, ..Header::new(Kind::Oneway, 1) };
    let long = Message::Merged(Batch {
        messages: vec![status_request(&"x".repeat(900)); 90],
        ids: (0..90).collect(),
    });
    let mut bytes = BytesMut::new();
    frame::write(&mut bytes, &header, &long).unwrap();
    // Hessian: the flag of the seata codec is off, the field of the type code holds the length of the body.
    bytes.put_slice(b"\xda\xda\0\x80\0\x03\0\0\0\0\0\0\0\x02abc");
    frame::write(&mut bytes, &header, &status_request("x")).unwrap();

    for read in [1, bytes.len()] {
        let frames = stream::frames(&bytes, read);
        let came: Vec<_> =
            frames.iter().map(|frame| frame.message(&Limits::default()).map(|it| it.message)).collect();
        let foreign = Err(DecodeError::Codec { codec: Codec::Hessian });
        assert!(came == [Ok(long.clone()), foreign, Ok(status_request("x"))], "in reads of {read}");
    }
}

/// The flags of a heartbeat, without and with that of a request.
#[test]
fn version_zero_tells_a_ping_from_a_pong() {
    for (flags, kind) in [(0x30, Kind::Pong), (0xb0, Kind::Ping)] {
        let mut bytes = *b"\xda\xda\0\0\0\0\0\0\0\0\0\0\0\x05";
        bytes[3] = flags;
        let header = stream::only_frame(&bytes).header;
        assert_eq!((header.kind, header.id, header.version), (kind, 5, Version::V0));
    }
}

/// Java reads nothing of what follows an empty resource. That it is there still counts for the next frame.
#[test]
fn version_zero_finds_the_end_of_what_is_not_read() {
    let header = Header { version: Version::V0, ..Header::new(Kind::Oneway, 1) };
    let commit = Message::BranchCommit(BranchRequest {
        xid: "x:1:2".into(),
        branch_id: BranchId(3),
        branch_type: BranchType::Tcc,
        resource_id: "".into(),
        application_data: "lost".into(),
    });
    let mut bytes = BytesMut::new();
    frame::write(&mut bytes, &header, &commit).unwrap();
    frame::write(&mut bytes, &header, &status_request("x")).unwrap();
    let [first, second] = &stream::frames(&bytes, 1)[..] else { panic!("not two frames") };
    assert_eq!(first.message(&Limits::default()).unwrap().trailing, 4 + "lost".len());
    assert_eq!(second.message(&Limits::default()).unwrap().message, status_request("x"));
}

#[test]
fn a_version_zero_body_that_cannot_be_read_ends_the_connection() {
    let mut bytes = BytesMut::from(&b"\xda\xda\0\x90\0\x63\0\0\0\0\0\0\0\x05"[..]);
    let error = FrameDecoder::new(Limits::default()).next(&mut bytes).unwrap_err();
    assert_eq!(error, FrameError::VersionZeroBody(DecodeError::UnknownType { code: 99 }));

    // Two messages are counted where there is room for none: no byte to come can help.
    let mut bytes = BytesMut::from(&b"\xda\xda\0\x10\0\x3c\0\0\0\0\0\0\0\x05\0\0\0\x02\0\x02"[..]);
    let error = FrameDecoder::new(Limits::default()).next(&mut bytes).unwrap_err();
    assert!(matches!(error, FrameError::VersionZeroBody(DecodeError::MergedCutShort { .. })), "{error}");
}

#[test]
fn texts_are_slices_of_the_frame() {
    let body = encoded(&status_request("10.0.0.5:8091:42"));
    let Message::GlobalStatus(request) =
        seata_codec::decode(body.clone(), &Limits::default()).unwrap().message
    else {
        panic!("no status request");
    };
    assert!(body.as_ptr_range().contains(&request.xid.as_ptr()));
}

fn failure_from_go(code: i16, text: &str, exception: u8) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_i16(code);
    body.put_u8(0);
    body.put_u8(u8::try_from(text.len()).unwrap());
    body.put_slice(text.as_bytes());
    body.put_u8(exception);
    body
}

fn status_request(xid: &str) -> Message {
    Message::GlobalStatus(GlobalRequest { xid: xid.into(), ..GlobalRequest::default() })
}

fn branch_register() -> Message {
    Message::BranchRegister(seata_protocol::BranchRegister {
        xid: "10.0.0.5:8091:42".into(),
        branch_type: seata_protocol::BranchType::At,
        resource_id: "jdbc:a".into(),
        lock_key: "t:1,2".into(),
        application_data: "".into(),
    })
}

fn encoded(message: &Message) -> Bytes {
    let mut body = BytesMut::new();
    seata_codec::encode(message, &mut body).unwrap();
    body.freeze()
}
