//! Where one frame ends and the next begins.

use bytes::{Bytes, BytesMut};

use super::{Frame, HEADER, HeadMap, Header, MAGIC, Version, version_zero};
use crate::{Codec, Compressor, Dialect, FrameError, Kind, Limits, compress::Lz4Form};
#[cfg(feature = "protobuf")]
use crate::{compress, protobuf};

/// Cuts the bytes of one connection into frames.
///
/// ```
/// use bytes::BytesMut;
/// use seata_protocol::{FrameDecoder, Kind, Limits};
///
/// let mut decoder = FrameDecoder::new(Limits::default());
/// let mut buffer = BytesMut::from(&b"\xda\xda\x01\0\0\0\x10\0"[..]);
/// assert!(decoder.next(&mut buffer)?.is_none(), "half a ping");
///
/// buffer.extend_from_slice(b"\x10\x03\x01\0\0\0\0\x07");
/// let ping = decoder.next(&mut buffer)?.expect("the whole ping");
/// assert_eq!((ping.header.kind, ping.header.id), (Kind::Ping, 7));
/// # Ok::<(), seata_protocol::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    limits: Limits,
    version: Option<Version>,
    /// What the peer writes like, as far as its frames have shown.
    dialect: Dialect,
    #[cfg(feature = "protobuf")]
    is_package_known: bool,
    /// How many bytes have to be there before reading a version 0 body again can lead further.
    needed: usize,
}

impl FrameDecoder {
    /// A decoder at the beginning of a connection.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            version: None,
            dialect: Dialect::new(),
            #[cfg(feature = "protobuf")]
            is_package_known: false,
            needed: 0,
        }
    }

    /// The version of the connection, once its first frame has begun.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes the next whole frame out of `buffer`, without copying it; `None` when more bytes have to come.
    /// The buffer then holds less than [`Limits::frame`] bytes.
    ///
    /// # Errors
    /// When the bytes are no frame. The place of the next frame is lost then: close the connection.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let magic = &buffer[..buffer.len().min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return Err(FrameError::Magic { found: magic.to_vec() });
        }
        let Some(&found) = buffer.get(MAGIC.len()) else { return Ok(None) };
        let mut frame = match self.settle(found)? {
            Version::V0 => version_zero::next(buffer, &self.limits, &mut self.needed)?,
            Version::V1 => next_version_one(buffer, &self.limits)?,
        };
        if let Some(frame) = &mut frame {
            self.learn_dialect(frame);
            frame.header.dialect = self.dialect;
        }
        Ok(frame)
    }

    fn learn_dialect(&mut self, Frame { header, body }: &Frame) {
        if header.compressor == Compressor::Lz4 {
            self.dialect.lz4 = Lz4Form::of(body).unwrap_or(self.dialect.lz4);
        }
        #[cfg(feature = "protobuf")]
        if header.codec == Codec::Protobuf && !self.is_package_known {
            let body = compress::decompress(header.compressor, body.clone(), self.limits.decompressed);
            if let Some(package) = body.ok().and_then(|body| protobuf::package_of(&body)) {
                self.dialect.protobuf = package;
                self.is_package_known = true;
            }
        }
    }

    fn settle(&mut self, found: u8) -> Result<Version, FrameError> {
        match self.version {
            Some(version) if version.code() == found => Ok(version),
            Some(version) => Err(FrameError::VersionChanged { found, expected: version.code() }),
            None => {
                let version = match found {
                    0 => Version::V0,
                    1 => Version::V1,
                    found => return Err(FrameError::Version { found }),
                };
                self.version = Some(version);
                Ok(version)
            }
        }
    }
}

fn next_version_one(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, FrameError> {
    let Some(&[l0, l1, l2, l3, h0, h1]) = buffer.get(3..9) else { return Ok(None) };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    let head = usize::from(u16::from_be_bytes([h0, h1]));
    if length > limits.frame {
        return Err(FrameError::TooLong { length, limit: limits.frame });
    }
    if length < HEADER {
        return Err(FrameError::TooShort { length });
    }
    if !(HEADER..=HEADER + HeadMap::MAX_LENGTH).contains(&head) || head > length {
        return Err(FrameError::HeadLength { head, length });
    }
    // When Java cannot encode an answer it leaves a bare header behind, with lengths from an earlier frame.
    // No body begins like a frame, so this is the next one.
    let is_bare = head == HEADER
        && buffer[..buffer.len().min(length)].get(HEADER..).is_some_and(|body| body.starts_with(&MAGIC));
    let length = if is_bare { HEADER } else { length };
    if buffer.len() < length {
        return Ok(None);
    }

    let mut frame = buffer.split_to(length).freeze();
    let body = frame.split_off(head);
    let head_map = if head == HEADER { HeadMap::new() } else { HeadMap::decode(frame.slice(HEADER..))? };
    let kind = Kind::from_code(frame[9]);
    let header = Header {
        version: Version::V1,
        kind,
        codec: Codec::from_code(frame[10]),
        compressor: Compressor::from_code(frame[11]),
        id: i32::from_be_bytes([frame[12], frame[13], frame[14], frame[15]]),
        head_map,
        dialect: Dialect::new(),
    };
    let body = if matches!(kind, Kind::Ping | Kind::Pong) { Bytes::new() } else { body };
    Ok(Some(Frame { header, body }))
}
