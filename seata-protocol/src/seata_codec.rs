//! The `seata` codec: bodies in Seata's own layout.

mod decode;
mod encode;
mod reader;

use bytes::{Bytes, BytesMut};

use crate::{DecodeError, Decoded, EncodeError, Limits, Message, Text};

/// Appends the body of a message, type code first. On an error `out` holds what it held before.
///
/// # Errors
/// When the layout has no room for a text, a count or a merged message.
pub fn encode(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    let start = out.len();
    let written = encode::message(message, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Reads the message that a body holds.
///
/// # Errors
/// When the body holds no message, or more than `limits` allow.
pub fn decode(body: Bytes, limits: &Limits) -> Result<Decoded, DecodeError> {
    decode::outermost(body, limits)
}

/// As [`encode`], without the type code.
pub(crate) fn encode_without_type_code(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    encode::content(message, out)
}

/// How long the message is that these bytes begin with, type code included.
pub(crate) fn length(body: Bytes, limits: &Limits) -> Result<usize, DecodeError> {
    decode::length(body, limits)
}

/// A text that came; what is no UTF-8 becomes U+FFFD, as in Java.
pub(crate) fn text_of(bytes: Bytes) -> Text {
    Text::try_from(bytes.clone()).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
}
