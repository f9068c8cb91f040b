//! The `protobuf` codec: a body is the length of a name, the name of the message, and its bytes.

use bytes::{Bytes, BytesMut};

use crate::{DecodeError, Decoded, EncodeError, Limits, Message};

/// Appends the body of a message.
///
/// # Errors
/// When protobuf cannot say it.
pub fn encode(message: &Message, _out: &mut BytesMut) -> Result<(), EncodeError> {
    Err(EncodeError::Protobuf { reason: format!("{} has no protobuf form", message.name()) })
}

/// Reads the message that a body holds.
///
/// # Errors
/// When the body holds none.
pub fn decode(body: Bytes, _limits: &Limits) -> Result<Decoded, DecodeError> {
    Err(DecodeError::Protobuf { reason: format!("{} bytes hold no message that is known", body.len()) })
}
