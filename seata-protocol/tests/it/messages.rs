//! Every message as Java writes it: the same bytes from the same fields, the same fields from the same bytes.

use bytes::{Bytes, BytesMut};
use seata_protocol::{Codec, Compressor, Header, Kind, Limits, Message, Version, frame, seata_codec};
use serde_json::Value;

use crate::{
    fields,
    golden::{bytes, entries, hex, name, number, string},
    stream::only_frame,
};

#[test]
fn bodies_are_written_as_java_writes_them() {
    for entry in messages("messages.json") {
        let called = name(&entry, "name");
        let mut body = BytesMut::new();
        seata_codec::encode(&fields::message(&entry), &mut body).expect(called);
        assert_eq!(hex(&body), name(&entry, "body_hex"), "{called}");
    }
}

#[test]
fn bodies_are_read_as_java_reads_them() {
    for entry in messages("messages.json") {
        let called = name(&entry, "name");
        let decoded = seata_codec::decode(bytes(&entry["body_hex"]).into(), &Limits::default());
        let decoded = decoded.expect(called);
        assert_eq!(decoded.message, fields::decoded_message(&entry), "{called}");
        assert_eq!(decoded.message.name(), name(&entry, "type"));
        assert_eq!(decoded.message.type_code(), number::<i16>(&entry, "type_code"));

        // What a message says is all there, so writing it again gives the same bytes, or Java's.
        let again = entry.get("reencoded_body_hex").unwrap_or(&entry["body_hex"]);
        let mut body = BytesMut::new();
        seata_codec::encode(&decoded.message, &mut body).expect(called);
        assert_eq!(hex(&body), again.as_str().unwrap(), "{called}");
        // Where Java reads on, nothing is left.
        if entry.get("reencoded_body_hex").is_none() {
            assert_eq!(decoded.trailing, 0, "{called}");
        }
    }
}

#[test]
fn frames_are_written_as_java_writes_them() {
    for file in ["messages.json", "messages_v0.json"] {
        for entry in entries(file) {
            let called = name(&entry, "name");
            let mut out = BytesMut::new();
            write(&mut out, &header(&entry), &entry);
            assert_eq!(hex(&out), name(&entry, "frame_hex"), "{file}: {called}");
        }
    }
}

#[test]
fn frames_are_read_as_java_reads_them() {
    for file in ["messages.json", "messages_v0.json"] {
        for entry in entries(file) {
            let called = name(&entry, "name");
            let frame = only_frame(&bytes(&entry["frame_hex"]));
            let expected = header(&entry);
            let kind = entry.get("decoded_message_type").unwrap_or(&entry["message_type"]);
            assert_eq!(frame.header.kind.code(), kind.as_u64().unwrap() as u8, "{file}: {called}");
            assert_eq!(Header { kind: frame.header.kind, ..expected }, frame.header, "{file}: {}", called);
            if is_heartbeat(&entry) {
                assert!(frame.body.is_empty(), "{called}");
            } else {
                let message = frame.message(&Limits::default()).expect(called).message;
                assert_eq!(message, fields::decoded_message(&entry), "{file}: {called}");
            }
        }
    }
}

#[test]
fn every_message_that_is_cut_short_is_an_error_or_what_java_takes() {
    let mut taken = std::collections::BTreeSet::new();
    for entry in messages("messages.json") {
        let called = name(&entry, "name");
        let body = Bytes::from(bytes(&entry["body_hex"]));
        let whole = seata_codec::decode(body.clone(), &Limits::default()).expect(called);
        for end in 0..body.len() - whole.trailing {
            if seata_codec::decode(body.slice(..end), &Limits::default()).is_ok() {
                taken.insert(whole.message.name());
            }
        }
    }
    let listed = [
        "BranchCommitRequest",
        "BranchRollbackRequest",
        "MergedWarpMessage",
        "RegisterRMRequest",
        "RegisterRMResponse",
        "RegisterTMRequest",
        "RegisterTMResponse",
        "UndoLogDeleteRequest",
    ];
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), listed);
}

fn messages(file: &str) -> Vec<Value> {
    entries(file).into_iter().filter(|entry| !is_heartbeat(entry)).collect()
}

fn is_heartbeat(entry: &Value) -> bool {
    entry["type"] == "HeartbeatMessage"
}

fn write(out: &mut BytesMut, header: &Header, entry: &Value) {
    let called = name(entry, "name");
    if is_heartbeat(entry) {
        frame::write_heartbeat(out, header);
    } else {
        let message: Message = fields::message(entry);
        frame::write(out, header, &message).expect(called);
    }
}

/// The header that an entry describes; pairs without a key are not written, and do not come back.
fn header(entry: &Value) -> Header {
    let mut header = Header::new(Kind::from_code(number(entry, "message_type")), number(entry, "request_id"));
    header.version = if entry["protocol_version"] == 0 { Version::V0 } else { Version::V1 };
    header.codec = Codec::from_code(number(entry, "codec"));
    header.compressor = Compressor::from_code(number(entry, "compressor"));
    for pair in entry["head_map"].as_array().expect("a head map") {
        if let Some(key) = string(&pair[0]) {
            header.head_map.insert(key, string(&pair[1]).map(Into::into)).expect("a head map that fits");
        }
    }
    header
}
