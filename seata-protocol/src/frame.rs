//! Frames: how messages follow each other on a connection.
//!
//! Version 1, which every peer since 0.7.1 speaks; all numbers are big-endian:
//!
//! ```text
//!  0        2         3             7             9      10      11           12   16         head      length
//!  ├─ da da ┼ version ┼─ length u32 ┼─ head i16 ──┼ kind ─┼ codec ┼ compressor ┼ id ┼ head map ┼── body ──┤
//! ```
//!
//! The head map is pairs of texts, each an i16 length (-1 for null) and UTF-8. The body is compressed as one
//! piece. Ping and pong have no body.
//!
//! Version 0 has no length: where its body ends is learned by reading the message. The body lacks the type
//! code, which stands in the header.
//!
//! ```text
//!  0        2       4           6         14
//!  ├─ da da ┼ flags ┼ type code ┼── id i64 ┼── body
//! ```
//!
//! Whoever dials chooses the version by its first frame, and the other side answers in the same one.

mod decoder;
mod head_map;
mod version_zero;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{DecodeError, Dialect, EncodeError, Limits, Message, compress, seata_codec};

pub use crate::codes::{Codec, Compressor, Kind};
pub use decoder::FrameDecoder;
pub use head_map::{HeadMap, HeadMapTooLong};

/// The first bytes of every frame.
const MAGIC: [u8; 2] = [0xda, 0xda];
/// The length of a version 1 header without its head map.
const HEADER: usize = 16;

/// The version of a frame's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// That of clients before 0.7.1.
    V0,
    /// That of everybody else.
    V1,
}

impl Version {
    /// The number that stands for it on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }
}

/// What a frame says of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The layout of the frame.
    pub version: Version,
    /// What the frame is for.
    pub kind: Kind,
    /// How the body is serialized.
    pub codec: Codec,
    /// How the body is compressed.
    pub compressor: Compressor,
    /// The number that joins a request and its answer. Each side of a connection counts its own requests.
    pub id: i32,
    /// Texts beside the message. Known peers send none.
    pub head_map: HeadMap,
    /// What the body is written like where releases differ. It does not travel: a [`FrameDecoder`] fills in
    /// what the peer's frames on this connection have shown so far, else the default.
    pub dialect: Dialect,
}

impl Header {
    /// A header of version 1, with the `seata` codec, no compressor and an empty head map.
    pub const fn new(kind: Kind, id: i32) -> Self {
        Self {
            version: Version::V1,
            kind,
            codec: Codec::Seata,
            compressor: Compressor::None,
            id,
            head_map: HeadMap::new(),
            dialect: Dialect::new(),
        }
    }

    /// The header of the answer to a frame with this one: a pong to a ping, else a response, with the same
    /// id, version, codec, compressor and dialect.
    pub fn reply(&self) -> Self {
        let kind = if self.kind == Kind::Ping { Kind::Pong } else { Kind::Response };
        Self { kind, head_map: HeadMap::new(), ..*self }
    }
}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it says of its body.
    pub header: Header,
    /// The body, still compressed and serialized. With the `seata` codec it begins with the type code, also
    /// in version 0. Always empty in a heartbeat.
    pub body: Bytes,
}

impl Frame {
    /// Reads the message. Its texts are slices of the body.
    ///
    /// # Errors
    /// When the body holds no message that this build can read within `limits`; the connection can go on.
    pub fn message(&self, limits: &Limits) -> Result<Decoded, DecodeError> {
        if matches!(self.header.kind, Kind::Ping | Kind::Pong) {
            return Err(DecodeError::Heartbeat);
        }
        if self.body.is_empty() {
            return Err(DecodeError::NoBody);
        }
        let body = match self.header.compressor {
            Compressor::None => self.body.clone(),
            compressor => compress::decompress(compressor, self.body.clone(), limits.decompressed)?,
        };
        decode_body(self.header.codec, body, limits)
    }
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub message: Message,
    /// How many bytes stood behind it, unread: later versions may add fields.
    pub trailing: usize,
}

/// Appends a frame with this message. On an error `out` holds what it held before.
///
/// # Errors
/// When the message cannot be said in the header's codec and version, when its compressor or codec is none
/// of this build's, and when the frame would be longer than [`Limits::MAX_FRAME`].
pub fn write(out: &mut BytesMut, header: &Header, message: &Message) -> Result<(), EncodeError> {
    let start = out.len();
    let written = match (header.kind, header.version) {
        (Kind::Ping | Kind::Pong, _) => Err(EncodeError::Heartbeat),
        (_, Version::V0) => version_zero::write(out, header, message),
        (_, Version::V1) => write_version_one(out, header, message),
    };
    let length = out.len() - start;
    let written = match written {
        Ok(()) if length > Limits::MAX_FRAME => {
            Err(EncodeError::FrameTooLong { length, limit: Limits::MAX_FRAME })
        }
        written => written,
    };
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends a frame without a body: a [ping](Kind::Ping) or, as its [reply](Header::reply), a pong.
///
/// Version 0 writes both alike, as Java does; a reader takes them for a pong.
pub fn write_heartbeat(out: &mut BytesMut, header: &Header) {
    match header.version {
        Version::V0 => version_zero::write_heartbeat(out, header),
        Version::V1 => {
            let start = out.len();
            put_header(out, header);
            put_length(out, start);
        }
    }
}

fn write_version_one(out: &mut BytesMut, header: &Header, message: &Message) -> Result<(), EncodeError> {
    let start = out.len();
    put_header(out, header);
    if header.compressor == Compressor::None {
        encode_body(header, message, out)?;
    } else {
        let mut body = BytesMut::new();
        encode_body(header, message, &mut body)?;
        out.extend_from_slice(&compress::compress_as(header.compressor, header.dialect.lz4, &body)?);
    }
    put_length(out, start);
    Ok(())
}

fn put_header(out: &mut BytesMut, header: &Header) {
    let head = HEADER + header.head_map.encoded_length();
    out.put_slice(&MAGIC);
    out.put_u8(header.version.code());
    out.put_u32(0); // the length, once it is known
    out.put_u16(u16::try_from(head).expect("a head map is at most HeadMap::MAX_LENGTH bytes long"));
    out.put_u8(header.kind.code());
    out.put_u8(header.codec.code());
    out.put_u8(header.compressor.code());
    out.put_i32(header.id);
    header.head_map.encode(out);
}

fn put_length(out: &mut BytesMut, start: usize) {
    // A length beyond 32 bits is beyond the limit as well, and refused by the caller.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start + 3..start + 7].copy_from_slice(&length.to_be_bytes());
}

fn encode_body(header: &Header, message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    match header.codec {
        Codec::Seata => seata_codec::encode(message, out),
        #[cfg(feature = "protobuf")]
        Codec::Protobuf => crate::protobuf::encode_as(header.dialect.protobuf, message, out),
        #[cfg(not(feature = "protobuf"))]
        codec @ Codec::Protobuf => Err(EncodeError::FeatureOff { codec, feature: "protobuf" }),
        codec => Err(EncodeError::Codec { codec }),
    }
}

fn decode_body(codec: Codec, body: Bytes, limits: &Limits) -> Result<Decoded, DecodeError> {
    match codec {
        Codec::Seata => seata_codec::decode(body, limits),
        #[cfg(feature = "protobuf")]
        Codec::Protobuf => crate::protobuf::decode(body, limits),
        #[cfg(not(feature = "protobuf"))]
        Codec::Protobuf => Err(DecodeError::FeatureOff { codec, feature: "protobuf" }),
        codec => Err(DecodeError::Codec { codec }),
    }
}
