//! Version 0: frames without a length.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Frame, HeadMap, Header, MAGIC, Version};
use crate::{
    Codec, Compressor, DecodeError, Dialect, EncodeError, FrameError, Kind, Limits, Message, seata_codec,
};

/// The length of a header: magic, flags, type code or body length, id.
const HEADER: usize = 14;
const REQUEST: u16 = 0x80;
const HEARTBEAT: u16 = 0x20;
const SEATA_CODEC: u16 = 0x10;
/// How much of the bytes behind a header is read at first to learn where the body ends.
const FIRST_LOOK: usize = 512;

pub(super) fn next(
    buffer: &mut BytesMut,
    limits: &Limits,
    needed: &mut usize,
) -> Result<Option<Frame>, FrameError> {
    if buffer.len() < HEADER.max(*needed) {
        return Ok(None);
    }
    *needed = 0;
    let flags = u16::from_be_bytes([buffer[2], buffer[3]]);
    let type_code_or_length = [buffer[4], buffer[5]];
    // The id has 64 bits here and 32 everywhere else; Java cuts it as well.
    let id = i32::from_be_bytes([buffer[10], buffer[11], buffer[12], buffer[13]]);
    let codec = if flags & SEATA_CODEC != 0 { Codec::Seata } else { Codec::Hessian };
    let found = if flags & HEARTBEAT != 0 {
        Body::Whole { body: Bytes::new(), end: HEADER }
    } else if codec == Codec::Seata {
        seata_body(buffer, type_code_or_length, limits)?
    } else {
        plain_body(buffer, usize::from(u16::from_be_bytes(type_code_or_length)), limits)?
    };
    match found {
        Body::Whole { body, end } => {
            let _ = buffer.split_to(end);
            Ok(Some(Frame { header: header(flags, codec, id), body }))
        }
        Body::Needs(bytes) => {
            *needed = bytes;
            Ok(None)
        }
    }
}

pub(super) fn write(out: &mut BytesMut, header: &Header, message: &Message) -> Result<(), EncodeError> {
    if !header.head_map.is_empty() {
        return Err(EncodeError::NotInVersionZero { what: "a head map" });
    }
    if header.compressor != Compressor::None {
        return Err(EncodeError::NotInVersionZero { what: "a compressed body" });
    }
    if header.codec != Codec::Seata {
        return Err(EncodeError::NotInVersionZero { what: "a codec but SEATA" });
    }
    let request = if header.kind == Kind::Response { 0 } else { REQUEST };
    put_header(out, SEATA_CODEC | request, message.type_code(), header.id);
    seata_codec::encode_without_type_code(message, out)
}

pub(super) fn write_heartbeat(out: &mut BytesMut, header: &Header) {
    put_header(out, SEATA_CODEC | HEARTBEAT, 0, header.id);
}

fn put_header(out: &mut BytesMut, flags: u16, type_code: i16, id: i32) {
    out.put_slice(&MAGIC);
    out.put_u16(flags);
    out.put_i16(type_code);
    out.put_i64(i64::from(id));
}

fn header(flags: u16, codec: Codec, id: i32) -> Header {
    let kind = match (flags & HEARTBEAT != 0, flags & REQUEST != 0) {
        (true, true) => Kind::Ping,
        (true, false) => Kind::Pong,
        (false, true) => Kind::Oneway,
        (false, false) => Kind::Response,
    };
    Header {
        version: Version::V0,
        kind,
        codec,
        compressor: Compressor::None,
        id,
        head_map: HeadMap::new(),
        dialect: Dialect::new(),
    }
}

enum Body {
    /// It is there, and ends at this place of the buffer.
    Whole { body: Bytes, end: usize },
    /// At least so many bytes have to be in the buffer.
    Needs(usize),
}

/// Reads the message to learn its end. The look at it grows with what the message asks for, so that neither
/// one byte at a time nor a thousand frames at once make the same bytes be read over and over.
fn seata_body(buffer: &BytesMut, type_code: [u8; 2], limits: &Limits) -> Result<Body, FrameError> {
    let most = buffer.len().min(limits.frame.max(HEADER));
    let mut looked_at = most.min(HEADER + FIRST_LOOK);
    loop {
        let mut body = BytesMut::with_capacity(type_code.len() + looked_at - HEADER);
        body.put_slice(&type_code);
        body.put_slice(&buffer[HEADER..looked_at]);
        let body = body.freeze();
        match seata_codec::length(&body, limits) {
            Ok(length) => {
                return Ok(Body::Whole {
                    end: HEADER + length - type_code.len(),
                    body: body.slice(..length),
                });
            }
            Err(DecodeError::CutShort { missing, .. }) => {
                let needed = looked_at.saturating_add(missing);
                if needed > limits.frame {
                    return Err(FrameError::TooLong { length: needed, limit: limits.frame });
                }
                if needed > buffer.len() {
                    return Ok(Body::Needs(needed));
                }
                looked_at = needed.max(2 * looked_at).min(most);
            }
            Err(error) => return Err(FrameError::VersionZeroBody(error)),
        }
    }
}

/// A body that gives its length, as those of other codecs do.
fn plain_body(buffer: &BytesMut, length: usize, limits: &Limits) -> Result<Body, FrameError> {
    let end = HEADER + length;
    if end > limits.frame {
        return Err(FrameError::TooLong { length: end, limit: limits.frame });
    }
    match buffer.get(HEADER..end) {
        Some(body) => Ok(Body::Whole { body: Bytes::copy_from_slice(body), end }),
        None => Ok(Body::Needs(end)),
    }
}
