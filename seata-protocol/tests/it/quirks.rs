//! What Java's encoder refuses, or writes so that its own decoder cannot read it.

use bytes::BytesMut;
use seata_protocol::{
    EncodeError, FrameDecoder, FrameError, HeadMap, Limits, Message, Outcome, Text, TransactionExceptionCode,
    frame, seata_codec,
};
use serde_json::{Value, json};

use crate::{
    fields,
    golden::{bytes, entries, hex, name, number},
};

/// What there is nothing to write of here: no field of a message can be null that Java needs.
const CANNOT_BE_SAID: [&str; 7] = [
    "branch_register_request_null_branch_type",
    "branch_commit_response_null_status",
    "branch_rollback_response_null_status",
    "global_commit_response_null_status",
    "response_null_result_code",
    "response_null_exception_code",
    "version_not_support_message",
];

#[test]
fn every_quirk_is_looked_at_here() {
    let mut looked_at = CANNOT_BE_SAID.map(str::to_owned).to_vec();
    looked_at.extend(
        [
            "string_of_32767_bytes_with_a_short_length",
            "string_of_32768_bytes_with_a_short_length",
            "string_of_65536_bytes_with_a_short_length",
            "string_of_65541_bytes_with_a_short_length",
            "msg_cut_at_32767_characters_not_bytes",
            "head_map_of_32752_bytes",
            "head_map_value_of_32768_bytes",
        ]
        .map(str::to_owned),
    );
    looked_at.sort();
    let mut quirks: Vec<_> = entries("quirks.json").iter().map(|it| name(it, "name").to_owned()).collect();
    quirks.sort();
    assert_eq!(looked_at, quirks);
}

#[test]
fn the_longest_text_of_a_short_length_is_written_and_read() {
    let quirk = quirk("string_of_32767_bytes_with_a_short_length");
    let mut body = BytesMut::new();
    seata_codec::encode(&fields::message(&quirk), &mut body).unwrap();
    assert_eq!(body.len(), number::<usize>(&quirk, "body_length"));
    assert_eq!(hex(&body[..48]), name(&quirk, "body_first_48_bytes_hex"));
    let decoded = seata_codec::decode(body.freeze(), &Limits::default()).unwrap();
    assert_eq!(decoded.message, fields::decoded_message(&quirk));
}

#[test]
fn a_longer_text_is_refused_where_java_writes_rubbish() {
    for (quirk, field, length) in [
        ("string_of_32768_bytes_with_a_short_length", "transactionName", 32768),
        ("string_of_65536_bytes_with_a_short_length", "transactionName", 65536),
        ("string_of_65541_bytes_with_a_short_length", "xid", 65541),
    ] {
        let message = fields::message(&self::quirk(quirk));
        let mut out = BytesMut::from(&b"before"[..]);
        let error = seata_codec::encode(&message, &mut out).expect_err(quirk);
        assert_eq!(error, EncodeError::TextTooLong { message: message.name(), field, length, limit: 32767 });
        assert_eq!(out, &b"before"[..], "{quirk}");
    }
}

#[test]
fn the_rubbish_is_read_as_java_reads_it() {
    for (quirk, text_at, end) in [
        ("string_of_32768_bytes_with_a_short_length", 8, &b""[..]),
        ("string_of_65536_bytes_with_a_short_length", 8, b""),
        ("string_of_65541_bytes_with_a_short_length", 4, b"\0\x05extra"),
    ] {
        let quirk = self::quirk(quirk);
        let length = number::<usize>(&quirk, "body_length");
        let mut body = bytes(&quirk["body_first_48_bytes_hex"])[..text_at].to_vec();
        body.resize(length - end.len(), b'n');
        body.extend_from_slice(end);
        let decoded = seata_codec::decode(body.into(), &Limits::default()).unwrap();
        assert_eq!(decoded.message, fields::decoded_message(&quirk), "{}", quirk["name"]);
    }
}

#[test]
fn the_message_of_a_failure_is_cut_at_a_length_that_can_be_read() {
    let quirk = quirk("msg_cut_at_32767_characters_not_bytes");
    let Message::GlobalBeginResponse(mut answer) = fields::message(&quirk) else { panic!("no answer") };
    let mut body = BytesMut::new();
    seata_codec::encode(&Message::GlobalBeginResponse(answer.clone()), &mut body).unwrap();
    let decoded = seata_codec::decode(body.freeze(), &Limits::default()).unwrap();

    let whole_characters = 32767 / "错".len();
    answer.outcome = Outcome::failed(TransactionExceptionCode::BeginFailed, "错".repeat(whole_characters));
    assert_eq!((decoded.message, decoded.trailing), (Message::GlobalBeginResponse(answer), 0));
}

/// Lengths are what the buffer held before.
#[test]
fn the_bare_header_that_java_sends_instead_is_told_from_a_frame() {
    let quirks = entries("quirks.json");
    let bare: Vec<_> = quirks.iter().filter_map(|it| it["sent_by_pipeline_hex"].as_str()).collect();
    assert_eq!(bare.len(), CANNOT_BE_SAID.len());
    for (lengths, error) in [
        ("000000000000", FrameError::TooShort { length: 0 }),
        ("0000000f0010", FrameError::TooShort { length: 15 }),
        ("000000100000", FrameError::HeadLength { head: 0, length: 16 }),
        ("00000010000f", FrameError::HeadLength { head: 15, length: 16 }),
        ("000000100011", FrameError::HeadLength { head: 17, length: 16 }),
        ("ffffffff0010", FrameError::TooLong { length: u32::MAX as usize, limit: Limits::MAX_FRAME }),
    ] {
        for bare in &bare {
            let bytes = bytes(&json!(bare.replace("xxxxxxxxxxxx", lengths)));
            let error_found = FrameDecoder::new(Limits::default()).next(&mut BytesMut::from(&bytes[..]));
            assert_eq!(error_found, Err(error.clone()), "{lengths}");
        }
    }
}

#[test]
fn a_head_map_beyond_15_bits_cannot_be_made() {
    for quirk in ["head_map_of_32752_bytes", "head_map_value_of_32768_bytes"] {
        let first = bytes(&self::quirk(quirk)["frame_first_48_bytes_hex"]);
        let mut buffer = BytesMut::from(&first[..]);
        let error = FrameDecoder::new(Limits::default()).next(&mut buffer).expect_err(quirk);
        assert!(matches!(error, FrameError::HeadLength { .. }), "{quirk}: {error}");
    }

    let value = |length: usize| Some(Text::from("v".repeat(length)));
    let mut head = HeadMap::new();
    let most = HeadMap::MAX_LENGTH - 2 - "k".len() - 2;
    assert_eq!(head.insert("k", value(most + 1)).unwrap_err().length, HeadMap::MAX_LENGTH + 1);
    assert!(head.is_empty());
    head.insert("k", value(most)).unwrap();

    let mut out = BytesMut::new();
    let mut header = frame::Header::new(frame::Kind::Ping, 1);
    header.head_map = head;
    frame::write_heartbeat(&mut out, &header);
    let read = FrameDecoder::new(Limits::default()).next(&mut out).unwrap().unwrap();
    assert_eq!(read.header, header);
}

fn quirk(called: &str) -> Value {
    let mut quirks = entries("quirks.json").into_iter();
    quirks.find(|it| it["name"] == called).unwrap_or_else(|| panic!("no quirk {called}"))
}
