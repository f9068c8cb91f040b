//! Real traffic between Java clients and servers.

use std::collections::BTreeMap;

use bytes::BytesMut;
use seata_protocol::{Codec, Compressor, DecodeError, Frame, Limits, frame};
use serde_json::Value;

use crate::{
    fields,
    golden::{bytes, entries, hex, name, number, text},
    stream,
};

/// One direction of one connection, as the bytes came.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    lines: Vec<Value>,
}

#[test]
fn every_frame_is_read_and_written_again() {
    let mut checked = 0;
    for conversation in entries("conversations/index.json") {
        let file = name(&conversation, "file");
        let streams = streams(file);
        let lines: usize = streams.values().map(|stream| stream.lines.len()).sum();
        assert_eq!(lines, number::<usize>(&conversation, "frames"), "{file}");
        for Stream { bytes, lines } in streams.values() {
            // An odd size, so that frames begin and end anywhere in a read.
            let frames = stream::frames(bytes, 61);
            assert_eq!(frames.len(), lines.len(), "{file}");
            for (frame, line) in frames.iter().zip(lines) {
                check(frame, line, file);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 723);
}

/// A frame that is no frame is what Java leaves behind when it cannot encode an answer: a bare header with
/// lengths of an earlier frame. It comes as a frame without a body, and those behind it are not lost.
fn check(frame: &Frame, line: &Value, file: &str) {
    let at = format!("{file} {}", line["seq"]);
    if line["not_a_frame"] == true {
        assert_eq!(frame.message(&Limits::default()), Err(DecodeError::NoBody), "{at}");
        return;
    }
    assert_eq!(frame.header.kind.code(), number::<u8>(line, "message_type"), "{at}");
    assert_eq!(frame.header.codec.code(), number::<u8>(line, "codec"), "{at}");
    assert_eq!(frame.header.compressor.code(), number::<u8>(line, "compressor"), "{at}");
    assert_eq!(frame.header.id, number::<i32>(line, "request_id"), "{at}");
    assert!(frame.header.head_map.is_empty() && line["head_map"].as_array().unwrap().is_empty(), "{at}");

    let mut again = BytesMut::new();
    if line["type"] == "HeartbeatMessage" {
        frame::write_heartbeat(&mut again, &frame.header);
    } else if frame.header.codec == Codec::Protobuf && cfg!(not(feature = "protobuf"))
        || frame.header.compressor == Compressor::Gzip && cfg!(not(feature = "gzip"))
    {
        // This build does not read them, and says so.
        let error = frame.message(&Limits::default()).expect_err(&at);
        assert!(error.to_string().contains("switch it on"), "{at}: {error}");
        return;
    } else {
        let decoded = frame.message(&Limits::default()).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!((&decoded.message, decoded.trailing), (&fields::message(line), 0), "{at}");
        frame::write(&mut again, &frame.header, &decoded.message)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
    }
    // Libraries compress differently.
    if frame.header.compressor == Compressor::None {
        assert_eq!(hex(&again), name(line, "hex"), "{at}");
    }
}

fn streams(file: &str) -> BTreeMap<(i64, String), Stream> {
    let mut streams: BTreeMap<_, Stream> = BTreeMap::new();
    for line in text(&format!("conversations/{file}")).lines() {
        let line: Value = serde_json::from_str(line).expect(file);
        let stream = streams.entry((number(&line, "conn"), name(&line, "dir").to_owned())).or_default();
        stream.bytes.extend(bytes(&line["hex"]));
        stream.lines.push(line);
    }
    streams
}
