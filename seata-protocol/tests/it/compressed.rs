//! Compressed frames of Java's: read with the compressor's feature, else refused by its name.

use bytes::BytesMut;
use seata_protocol::{Compressor, DecodeError, Kind, Limits, compress::CompressError, frame};
use serde_json::Value;

use crate::{
    fields,
    golden::{bytes, entries, name, number},
    stream::only_frame,
};

#[test]
fn java_s_frames_are_read() {
    for entry in entries("messages_compressed.json") {
        let called = name(&entry, "name");
        let frame = only_frame(&bytes(&entry["frame_hex"]));
        let compressor = Compressor::from_code(number(&entry, "compressor"));
        assert_eq!(frame.header.compressor, compressor);
        match feature(compressor) {
            (_, true) => {
                let message = frame.message(&Limits::default()).expect(called).message;
                assert_eq!(message, fields::decoded_message(&entry), "{}", entry["name"]);
            }
            (feature, false) => {
                let refused = DecodeError::Compressed(CompressError::FeatureOff { compressor, feature });
                assert_eq!(frame.message(&Limits::default()), Err(refused), "{}", entry["name"]);
            }
        }
    }
}

#[test]
fn what_is_written_is_read_back_and_an_answer_is_written_like_its_request() {
    for entry in built_in() {
        let called = name(&entry, "name");
        let request = only_frame(&bytes(&entry["frame_hex"]));
        let message = fields::decoded_message(&entry);
        let mut out = BytesMut::new();
        frame::write(&mut out, &request.header.reply(), &message).expect(called);

        let answer = only_frame(&out);
        assert_eq!(answer.header.kind, Kind::Response);
        assert_eq!(answer.header.compressor, request.header.compressor);
        assert_eq!(answer.header.dialect, request.header.dialect);
        assert_eq!(answer.message(&Limits::default()).expect(called).message, message);
        assert_eq!(answer.body[0], request.body[0], "{}: the first byte of the form", entry["name"]);
    }
}

/// The golden frames are those of release 2.6.0.
#[cfg(feature = "lz4")]
#[test]
fn the_form_of_lz4_is_seen() {
    use seata_protocol::compress::Lz4Form;

    let lz4 = built_in().into_iter().filter(|entry| entry["compressor"] == Compressor::Lz4.code());
    for entry in lz4 {
        let seen = only_frame(&bytes(&entry["frame_hex"])).header.dialect;
        assert_eq!(seen.lz4, Lz4Form::Frame, "{}", entry["name"]);
    }
}

#[test]
fn a_body_above_the_limit_is_refused_whatever_compressed_it() {
    for entry in built_in() {
        let length = bytes(&entry["body_hex"]).len();
        let frame = only_frame(&bytes(&entry["frame_hex"]));
        let limits = |decompressed| Limits { decompressed, ..Limits::default() };
        frame.message(&limits(length)).expect("a body at the limit");
        let refused = DecodeError::Compressed(CompressError::TooLong { limit: length - 1 });
        assert_eq!(frame.message(&limits(length - 1)), Err(refused), "{}", entry["name"]);
    }
}

fn built_in() -> Vec<Value> {
    let is_on = |entry: &Value| feature(Compressor::from_code(number(entry, "compressor"))).1;
    entries("messages_compressed.json").into_iter().filter(is_on).collect()
}

/// The feature of a compressor, and whether it is on.
fn feature(compressor: Compressor) -> (&'static str, bool) {
    match compressor {
        Compressor::Gzip => ("gzip", cfg!(feature = "gzip")),
        Compressor::Zip => ("zip", cfg!(feature = "zip")),
        Compressor::Bzip2 => ("bzip2", cfg!(feature = "bzip2")),
        Compressor::Lz4 => ("lz4", cfg!(feature = "lz4")),
        Compressor::Deflater => ("deflate", cfg!(feature = "deflate")),
        Compressor::Zstd => ("zstd", cfg!(feature = "zstd")),
        other => panic!("there is no golden frame with {other}"),
    }
}
