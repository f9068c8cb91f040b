//! The protobuf codec beside Java's: the same bytes from the same fields, the same fields from the same bytes.

use bytes::{BufMut, Bytes, BytesMut};
use seata_protocol::{
    Batch, BranchId, BranchReport, BranchStatus, BranchType, Codec, DecodeError, Dialect, EncodeError,
    GlobalReport, GlobalRequest, GlobalResponse, GlobalStatus, Header, Kind, Limits, Message, Outcome,
    ProtobufPackage, Release, TransactionExceptionCode, frame, protobuf,
};
use serde_json::Value;

use crate::{
    fields,
    golden::{bytes, entries, hex, name, number},
    stream::only_frame,
};

#[test]
fn bodies_and_frames_are_written_as_java_writes_them() {
    for entry in readable() {
        let called = name(&entry, "name");
        let message = fields::message(&entry);
        let mut body = BytesMut::new();
        protobuf::encode(&message, &mut body).expect(called);
        assert_eq!(hex(&body), name(&entry, "body_hex"), "{}", entry["name"]);

        let header = Header { codec: Codec::Protobuf, ..only_frame(&bytes(&entry["frame_hex"])).header };
        let mut out = BytesMut::new();
        frame::write(&mut out, &header, &message).expect(called);
        assert_eq!(hex(&out), name(&entry, "frame_hex"), "{}", entry["name"]);
    }
}

#[test]
fn bodies_and_frames_are_read_as_java_reads_them() {
    for entry in readable() {
        let called = name(&entry, "name");
        let body = Bytes::from(bytes(&entry["body_hex"]));
        let decoded = protobuf::decode(body, &Limits::default()).expect(called);
        assert_eq!(decoded.message, fields::decoded_message(&entry), "{}", entry["name"]);

        let frame = only_frame(&bytes(&entry["frame_hex"]));
        assert_eq!(frame.header.codec, Codec::Protobuf);
        assert_eq!(frame.header.id, number::<i32>(&entry, "request_id"));
        assert_eq!(frame.message(&Limits::default()), Ok(decoded), "{}", entry["name"]);
    }
}

/// What Java's encoder throws on for want of a name is refused here. A null text is not: it is empty.
#[test]
fn what_protobuf_has_no_name_for_is_refused() {
    let mut refused = Vec::new();
    for entry in entries("messages_protobuf.json").iter().filter(|entry| !is_readable(entry)) {
        let mut out = BytesMut::from("before");
        match protobuf::encode(&fields::message(entry), &mut out) {
            Err(EncodeError::Protobuf { reason }) => refused.push(reason),
            Err(other) => panic!("{}: {other}", entry["name"]),
            Ok(()) => assert_eq!(name(entry, "encode_error"), "NullPointerException", "{}", entry["name"]),
        }
        assert!(out.starts_with(b"before"));
    }
    let has_no_number = "for which protobuf has no number: use the seata codec";
    assert_eq!(
        refused,
        [
            format!("GlobalBeginResponse has BeginFailed, {has_no_number}"),
            format!("BranchRegisterRequest has XA, {has_no_number}"),
        ]
    );
}

/// Bytes come out of every code or none, and those read as the same code: never as another.
#[test]
fn every_code_comes_back_or_is_refused() {
    let outcome = |code| Message::BranchReportResponse(Outcome::failed(code, "why"));
    let written = TransactionExceptionCode::ALL.iter().filter(|code| comes_back(&outcome(**code))).count();
    assert_eq!(written, 18);

    let status =
        |status| Message::GlobalStatusResponse(GlobalResponse { outcome: Outcome::success(), status });
    assert_eq!(GlobalStatus::ALL.iter().filter(|code| comes_back(&status(**code))).count(), 16);

    let report = |status, branch_type| {
        Message::BranchReport(BranchReport {
            xid: "x:1:2".into(),
            branch_id: BranchId(3),
            status,
            resource_id: "db".into(),
            application_data: "".into(),
            branch_type,
        })
    };
    let of_status = |status| comes_back(&report(status, BranchType::At));
    assert_eq!(BranchStatus::ALL.iter().filter(|code| of_status(**code)).count(), 11);
    let of_type = |branch_type| comes_back(&report(BranchStatus::PhaseOneDone, branch_type));
    assert_eq!(BranchType::ALL.iter().filter(|code| of_type(**code)).count(), 3);
}

#[test]
fn a_report_without_a_status_is_refused() {
    let report = GlobalReport { xid: "x:1:2".into(), ..GlobalReport::default() };
    let refused = protobuf::encode(&Message::GlobalReport(report), &mut BytesMut::new());
    assert!(matches!(refused, Err(EncodeError::Protobuf { .. })), "{refused:?}");
}

/// A code of a later release: kept where protobuf counts as the seata codec does, else unknown.
#[test]
fn a_number_without_a_name_is_no_error() {
    // GlobalStatusResponse: a failure with exception code 99, and status 99.
    let content = [0x0a, 0x08, 0x0a, 0x04, 0x0a, 0x02, 0x08, 0x10, 0x10, 0x63, 0x10, 0x63];
    let content = [&[0x0a, content.len() as u8][..], &content[..]].concat();
    let decoded = decode("io.seata.protocol.protobuf.GlobalStatusResponseProto", &content).unwrap();
    let outcome = Outcome::failed(TransactionExceptionCode::Unknown, "");
    let expected = GlobalResponse { outcome, status: GlobalStatus::Other(99) };
    assert_eq!(decoded, Message::GlobalStatusResponse(expected));
}

#[test]
fn an_answer_is_named_like_its_request() {
    let request = Message::GlobalCommit(GlobalRequest { xid: "x:1:2".into(), extra_data: "".into() });
    for (package, release) in
        [(ProtobufPackage::IoSeata, "2.0.0"), (ProtobufPackage::OrgApacheSeata, "2.6.0")]
    {
        let mut body = BytesMut::new();
        protobuf::encode_as(package, &request, &mut body).unwrap();
        assert_eq!(protobuf::package_of(&body), Some(package));
        assert_eq!(protobuf::decode(body.clone().freeze(), &Limits::default()).unwrap().message, request);

        let mut out = BytesMut::new();
        let dialect = Release::of(release).dialect();
        let header = Header { codec: Codec::Protobuf, dialect, ..Header::new(Kind::Request, 1) };
        frame::write(&mut out, &header, &request).unwrap();
        let frame = only_frame(&out);
        assert_eq!(frame.body, body);
        assert_eq!(frame.header.reply().dialect, Dialect { protobuf: package, ..Dialect::default() });
    }
    assert_eq!(protobuf::package_of(b"\0\0\0\x04else"), None);
}

/// Compressed or not, one frame is enough: those behind it, and what is asked of the peer, have it too.
#[cfg(feature = "gzip")]
#[test]
fn a_connection_keeps_the_package_that_it_has_seen() {
    let request = Message::GlobalCommit(GlobalRequest { xid: "x:1:2".into(), extra_data: "".into() });
    let dialect = Dialect { protobuf: ProtobufPackage::OrgApacheSeata, ..Dialect::default() };
    let mut bytes = BytesMut::new();
    let compressor = seata_protocol::Compressor::Gzip;
    let seen = Header { codec: Codec::Protobuf, compressor, dialect, ..Header::new(Kind::Request, 1) };
    frame::write(&mut bytes, &seen, &request).unwrap();
    frame::write(&mut bytes, &Header::new(Kind::Request, 2), &request).unwrap();

    for frame in crate::stream::frames(&bytes, bytes.len()) {
        assert_eq!(frame.header.dialect, dialect);
    }
}

/// Merged messages hold messages of their own package.
#[test]
fn merged_messages_are_named_in_one_package() {
    let inner = Message::GlobalCommit(GlobalRequest { xid: "x:1:2".into(), extra_data: "".into() });
    let merged = Message::Merged(Batch { messages: vec![inner.clone(), inner], ids: vec![1, -1] });
    let mut body = BytesMut::new();
    protobuf::encode_as(ProtobufPackage::OrgApacheSeata, &merged, &mut body).unwrap();
    assert_eq!(String::from_utf8_lossy(&body).matches("org.apache.seata.").count(), 3);
    assert_eq!(protobuf::decode(body.freeze(), &Limits::default()).unwrap().message, merged);
}

#[test]
fn merged_messages_are_limited_and_never_nest() {
    let empty_members = [0x12, 0x00].repeat(1_000);
    let limits = Limits { merged: 999, ..Limits::default() };
    let body = self::body("io.seata.protocol.protobuf.MergedWarpMessageProto", &empty_members);
    let refused = protobuf::decode(body, &limits).unwrap_err();
    let message = "MergedWarpMessage";
    assert_eq!(refused, DecodeError::TooManyMerged { message, count: 1_000, limit: 999 });

    let at_the_limit = Limits { merged: 1_000, ..limits };
    let body = self::body("io.seata.protocol.protobuf.MergedWarpMessageProto", &empty_members);
    let refused = protobuf::decode(body, &at_the_limit).unwrap_err();
    assert!(matches!(refused, DecodeError::Protobuf { .. }), "members without a name: {refused}");

    // Ten bytes an id, the most that one can have; packed, and one by one.
    let id = [&[0xff; 9][..], &[0x01]].concat();
    let packed = [&[0x1a, 30][..], &id.repeat(3)].concat();
    let single = [&[0x18][..], &id].concat().repeat(3);
    for ids in [packed, single] {
        let body = self::body("io.seata.protocol.protobuf.MergedWarpMessageProto", &ids);
        let refused = protobuf::decode(body, &Limits { merged: 2, ..limits }).unwrap_err();
        assert_eq!(refused, DecodeError::TooManyMerged { message, count: 3, limit: 2 });
    }

    let ids = [&[0x1a, 0x90, 0x4e][..], &[0x01; 10_000]].concat();
    let refused = decode("io.seata.protocol.protobuf.MergedWarpMessageProto", &ids).unwrap_err();
    assert!(matches!(refused, DecodeError::Protobuf { .. }), "ids without messages: {refused}");

    let nested = Message::Merged(Batch { messages: vec![Message::MergeResult(vec![])], ids: vec![1] });
    let inner = "MergeResultMessage";
    assert_eq!(protobuf::encode(&nested, &mut BytesMut::new()), Err(EncodeError::Nested { message, inner }));
    let name = "type.googleapis.com/io.seata.protocol.protobuf.MergedResultMessageProto";
    let any = [&[0x0a, name.len() as u8], name.as_bytes()].concat();
    let nested = [&[0x12, any.len() as u8][..], &any].concat();
    let refused = decode("io.seata.protocol.protobuf.MergedWarpMessageProto", &nested).unwrap_err();
    assert_eq!(refused, DecodeError::Nested { message, inner });
}

#[test]
fn a_body_that_is_cut_short_or_no_message_is_an_error() {
    for entry in readable() {
        let body = Bytes::from(bytes(&entry["body_hex"]));
        let named = 4 + name(&entry, "proto_name").len();
        for end in 0..named {
            protobuf::decode(body.slice(..end), &Limits::default()).expect_err("a name that is cut short");
        }
    }
    for bad in [
        "",
        "GlobalBeginRequestProto",
        "java.lang.Runtime",
        "io.seata.protocol.protobuf.HeartbeatMessageProto",
    ] {
        let refused = decode(bad, &[]).unwrap_err();
        assert!(refused.to_string().contains(&format!("{bad:?}")), "{refused}");
    }
    decode("io.seata.protocol.protobuf.GlobalBeginRequestProto", &[0x0a, 0x7f]).unwrap_err();
}

#[test]
fn a_text_above_the_limit_is_refused() {
    let request = Message::GlobalCommit(GlobalRequest { xid: "x:1:2".into(), extra_data: "".into() });
    let mut body = BytesMut::new();
    protobuf::encode(&request, &mut body).unwrap();
    let limits = |text| Limits { text, ..Limits::default() };
    protobuf::decode(body.clone().freeze(), &limits(5)).unwrap();
    let refused = protobuf::decode(body.freeze(), &limits(4)).unwrap_err();
    let expected =
        DecodeError::TextTooLong { message: "GlobalCommitRequest", field: "xid", length: 5, limit: 4 };
    assert_eq!(refused, expected);
}

fn comes_back(message: &Message) -> bool {
    let mut body = BytesMut::new();
    if protobuf::encode(message, &mut body).is_err() {
        return false;
    }
    assert_eq!(&protobuf::decode(body.freeze(), &Limits::default()).unwrap().message, message);
    true
}

fn decode(name: &str, content: &[u8]) -> Result<Message, DecodeError> {
    protobuf::decode(body(name, content), &Limits::default()).map(|decoded| decoded.message)
}

fn body(name: &str, content: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u32(name.len() as u32);
    body.put_slice(name.as_bytes());
    body.put_slice(content);
    body.freeze()
}

fn readable() -> Vec<Value> {
    entries("messages_protobuf.json").into_iter().filter(is_readable).collect()
}

fn is_readable(entry: &Value) -> bool {
    entry.get("encode_error").is_none()
}
