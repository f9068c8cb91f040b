//! What holds for all bytes, one function a target.
//!
//! `cargo test -p seata-protocol` runs the same functions over the corpora, so that what was found once
//! stays found. It includes this file, so that both run the very same.

use bytes::{Bytes, BytesMut};
use seata_protocol::{
    Compressor, DecodeError, Decoded, EncodeError, Frame, FrameDecoder, Limits, Message, ResourceId,
    compress::{Lz4Form, compress_as, decompress as decompress_body},
    frame, lock_key_text, parse_lock_key, seata_codec,
};

/// The bytes of a connection give the same frames however they are cut into reads, and each message that
/// is read can be sent on and reads the same again.
pub fn frames(data: &[u8]) {
    let (frames, ended) = receive(data, data.len().max(1));
    assert_eq!(receive(data, 1), (frames.clone(), ended), "one byte a read");
    assert_eq!(receive(data, 7), (frames.clone(), ended), "seven bytes a read");
    for received in frames {
        let Ok(Decoded { message, .. }) = received.message(&limits()) else { continue };
        let mut out = BytesMut::new();
        if frame::write(&mut out, &received.header, &message).is_err() {
            assert!(out.is_empty(), "something of a refused message was written");
            continue;
        }
        let (again, ended) = receive(&out, out.len());
        assert!(!ended, "{again:?}");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].message(&limits()).map(|decoded| decoded.message), Ok(message));
    }
}

/// What is decoded and encoded decodes as the same.
pub fn seata_body(data: &[u8]) {
    comes_back(data, seata_codec::encode, seata_codec::decode);
}

/// What is decoded and encoded decodes as the same.
#[cfg(feature = "protobuf")]
pub fn protobuf_body(data: &[u8]) {
    use seata_protocol::protobuf;

    comes_back(data, protobuf::encode, protobuf::decode);
    if let Some(package) = protobuf::package_of(data) {
        comes_back(data, |message, out| protobuf::encode_as(package, message, out), protobuf::decode);
    }
}

/// The first byte chooses a compressor. Whatever the rest gives is within the limit, and comes back.
pub fn decompress(data: &[u8]) {
    let Some((&compressor, compressed)) = data.split_first() else { return };
    let compressor = Compressor::from_code(compressor % 8);
    let limit = limits().decompressed;
    let Ok(body) = decompress_body(compressor, Bytes::copy_from_slice(compressed), limit) else { return };
    assert!(body.len() <= limit);
    for form in [Lz4Form::BlockStream, Lz4Form::Frame] {
        let again = compress_as(compressor, form, &body).expect("a compressor that is there");
        assert_eq!(decompress_body(compressor, again, limit), Ok(body.clone()));
    }
}

/// The text of what is parsed is parsed as the same rows.
pub fn lock_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let resource = ResourceId::from("db");
    let Ok(rows) = parse_lock_key(&resource, text) else { return };
    let written = lock_key_text(&rows).expect("rows that came from a text");
    let again = parse_lock_key(&resource, &written).expect("a text of ours");
    assert_eq!(again.len(), rows.len());
    assert!(again.iter().all(|row| rows.contains(row)));
    assert_eq!(lock_key_text(&again), Ok(written));
}

/// Small, so that what should be refused for its size soon is.
fn limits() -> Limits {
    Limits { frame: 1 << 16, decompressed: 1 << 16, ..Limits::default() }
}

/// The frames of a connection whose bytes come in pieces, and whether it had to be closed.
fn receive(data: &[u8], piece: usize) -> (Vec<Frame>, bool) {
    let mut decoder = FrameDecoder::new(limits());
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in data.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fn comes_back(
    data: &[u8],
    encode: impl Fn(&Message, &mut BytesMut) -> Result<(), EncodeError>,
    decode: impl Fn(Bytes, &Limits) -> Result<Decoded, DecodeError>,
) {
    let Ok(Decoded { message, .. }) = decode(Bytes::copy_from_slice(data), &limits()) else { return };
    let mut out = BytesMut::new();
    if encode(&message, &mut out).is_err() {
        assert!(out.is_empty(), "something of a refused message was written");
        return;
    }
    assert_eq!(decode(out.freeze(), &limits()).map(|decoded| decoded.message), Ok(message));
}
