//! The `seata` codec: bodies in Seata's own layout.
//!
//! # Layout
//! A body is the type code (i16) and the fields below. Numbers are big-endian. `s16` and `s32` are texts: a
//! length in bytes with 16 or 32 bits, then UTF-8. Java's null and the empty text have length 0, a negative
//! length reads as 0. Bytes that are no UTF-8 read as U+FFFD. `R` is the head of answers: u8 result; s16
//! message, only if the result is Failed; u8 exception code.
//!
//! | code | message | fields |
//! |---|---|---|
//! | 101 | [`RegisterTm`](Message::RegisterTm) | s16 version, s16 application, s16 group, s16 extra data |
//! | 103 | [`RegisterRm`](Message::RegisterRm) | as 101, s32 resource ids |
//! | 102, 104 | their answers | u8 identified (1: yes), s16 version |
//! | 1 | [`GlobalBegin`](Message::GlobalBegin) | i32 timeout in ms, s16 name |
//! | 2 | its answer | R, s16 XID, s16 extra data |
//! | 7, 9, 15 | [`GlobalCommit`](Message::GlobalCommit), [`GlobalRollback`](Message::GlobalRollback), [`GlobalStatus`](Message::GlobalStatus) | s16 XID, s16 extra data |
//! | 17 | [`GlobalReport`](Message::GlobalReport) | s16 XID, s16 extra data, u8 status (255: null) |
//! | 8, 10, 16, 18 | their answers | R, u8 status |
//! | 11, 21 | [`BranchRegister`](Message::BranchRegister), [`GlobalLockQuery`](Message::GlobalLockQuery) | s16 XID, u8 branch type, s16 resource, s32 lock key, s32 application data |
//! | 12 | answer to 11 | R, i64 branch |
//! | 22 | answer to 21 | R, i16 lockable (1: yes) |
//! | 13 | [`BranchReport`](Message::BranchReport) | s16 XID, i64 branch, u8 status, s16 resource, s32 application data, u8 branch type |
//! | 14 | its answer | R |
//! | 3, 5 | [`BranchCommit`](Message::BranchCommit), [`BranchRollback`](Message::BranchRollback) | s16 XID, i64 branch, u8 branch type, s16 resource, s32 application data |
//! | 4, 6 | their answers | R, s16 XID, i64 branch, u8 status |
//! | 111 | [`UndoLogDelete`](Message::UndoLogDelete) | u8 branch type, s16 resource, i16 days |
//! | 59, 121 | [`Merged`](Message::Merged), [`BatchResult`](Message::BatchResult) | i32 length of all that follows, i16 count, messages with type codes, count × i32 id |
//! | 60 | [`MergeResult`](Message::MergeResult) | as 59, without ids |
//!
//! # What is taken although it is cut short or odd
//! A body that ends too early is an error, except where Java's readers take it:
//!
//! | message | what may be missing | what then stands there |
//! |---|---|---|
//! | 101 | any field and all behind it | version [`SEATA_VERSION`](crate::SEATA_VERSION), empty texts |
//! | 103 | any field and all behind it | as 101; an empty version has the same effect on all behind it |
//! | 102, 104 | the version, of which only the length came | [`SEATA_VERSION`](crate::SEATA_VERSION), as for an empty version |
//! | 3, 5 | any field and all behind it | branch 0, AT, empty texts; an empty XID or resource has the same effect on all behind it |
//! | 111 | any field and all behind it | AT, an empty resource, 7 days; an empty resource has the same effect on the days |
//! | 59 | all ids; or messages, of which only a length came that is too long | no ids; no messages |
//! | 4, 6 | with a failure, the first byte of the message's length (Go) | the message |
//!
//! Go also reads the answers to 13 and 21 with such a short length. Send it failures without a message there.
//!
//! Bytes behind a message are counted in [`Decoded::trailing`], not read: later versions may add fields.
//! None of this holds inside merged messages, where each message has to be whole, and all of it together has
//! the length given.

mod decode;
mod encode;
mod reader;

use std::ops::RangeBounds;

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
    decode::outermost(&body, limits)
}

/// As [`encode`], without the type code.
pub(crate) fn encode_without_type_code(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    encode::content(message, out)
}

/// How long the message is that these bytes begin with, type code included.
pub(crate) fn length(body: &Bytes, limits: &Limits) -> Result<usize, DecodeError> {
    decode::length(body, limits)
}

/// A text that came, without a copy; what is no UTF-8 becomes U+FFFD, as in Java.
pub(crate) fn text_of(bytes: &Bytes, range: impl RangeBounds<usize> + Clone) -> Text {
    let text = bytes.slice(range.clone());
    Text::try_from(text).unwrap_or_else(|_| String::from_utf8_lossy(&bytes.slice(range)).into_owned().into())
}
