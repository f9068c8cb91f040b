//! Why bytes are no message, and why a message has no bytes.

use crate::{Codec, compress::CompressError};

/// Why bytes from a peer are no frame. Where the next frame would begin is lost: the connection has to
/// be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer speaks something else, such as HTTP or TLS.
    #[error("a frame begins with {found:02x?}, expected [da, da]: the peer does not speak Seata's protocol")]
    Magic {
        /// The first bytes, one or two.
        found: Vec<u8>,
    },
    /// The peer speaks a version that is neither 0 nor 1.
    #[error("a frame has protocol version {found}, expected 0 or 1: set the peer to one of these")]
    Version {
        /// Its version.
        found: u8,
    },
    /// A connection stays with the version of its first frame.
    #[error("a frame has protocol version {found}, but the connection began with version {expected}")]
    VersionChanged {
        /// The version of this frame.
        found: u8,
        /// The version of the first one.
        expected: u8,
    },
    /// The length is above the limit. A frame that long was meant, or the length is no length.
    #[error("a frame says it is {length} bytes long, at most {limit} are taken: raise the limit, or close")]
    TooLong {
        /// The length it gives.
        length: usize,
        /// [`Limits::frame`](crate::Limits::frame).
        limit: usize,
    },
    /// The length is less than that of a bare header. Java 2.x leaves such a header behind when it cannot
    /// encode an answer.
    #[error(
        "a frame says it is {length} bytes long, its header alone has 16: the peer failed to encode a message"
    )]
    TooShort {
        /// The length it gives.
        length: usize,
    },
    /// The header ends before its fixed part does, after the frame, or beyond what 15 bits can say.
    /// Java 2.x leaves such a header behind when it cannot encode an answer.
    #[error("a frame of {length} bytes says its header has {head}: the peer failed to encode a message")]
    HeadLength {
        /// The length of the header that it gives.
        head: usize,
        /// The length of the frame that it gives.
        length: usize,
    },
    /// The head map does not end where the header ends.
    #[error("the head map of a frame is cut short or too long: the peer's encoder is broken")]
    HeadMap,
    /// A version 0 frame has no length of its own, so a body that cannot be read hides where it ends.
    #[error("the body of a version 0 frame cannot be read, nor is it known where it ends")]
    VersionZeroBody(#[source] DecodeError),
}

/// Why a frame holds no message. Only this frame is concerned; the next one may be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A heartbeat holds no message.
    #[error("a heartbeat holds no message")]
    Heartbeat,
    /// Nothing follows the header. Java 2.x sends this when it cannot encode an answer.
    #[error("the frame has no body: the peer failed to encode its message, its log says why")]
    NoBody,
    /// The body ends within a message.
    #[error("{message} is cut short: {field} needs {missing} more byte(s)")]
    CutShort {
        /// The Java name of the message, or of the part that came before it was known.
        message: &'static str,
        /// What the missing bytes belong to.
        field: &'static str,
        /// How many are missing at least.
        missing: usize,
    },
    /// No message has this number.
    #[error("no message has type code {code}: the peer is of another version")]
    UnknownType {
        /// The number.
        code: i16,
    },
    /// A text is longer than the limit.
    #[error(
        "{field} of {message} has {length} bytes, at most {limit} are taken: raise the limit, or send less"
    )]
    TextTooLong {
        /// The Java name of the message.
        message: &'static str,
        /// Which text.
        field: &'static str,
        /// Its length.
        length: usize,
        /// [`Limits::text`](crate::Limits::text).
        limit: usize,
    },
    /// A merged message holds more messages than the limit.
    #[error("{message} holds {count} messages, at most {limit} are taken: raise the limit, or merge fewer")]
    TooManyMerged {
        /// The Java name of the merged message.
        message: &'static str,
        /// How many it holds.
        count: usize,
        /// [`Limits::merged`](crate::Limits::merged).
        limit: usize,
    },
    /// A merged message holds a merged message.
    #[error("{inner} stands inside {message}: merged messages hold single ones only")]
    Nested {
        /// The Java name of the outer message.
        message: &'static str,
        /// The Java name of the inner one.
        inner: &'static str,
    },
    /// A merged message counts less than no messages.
    #[error("{message} says that it holds {count} messages: the peer's encoder is broken")]
    NegativeCount {
        /// The Java name of the merged message.
        message: &'static str,
        /// How many it says.
        count: i16,
    },
    /// The content of a merged message is longer than the length that it gives.
    #[error("{message} ends within {inner}: {field} needs {missing} more byte(s) than its length says")]
    MergedCutShort {
        /// The Java name of the merged message.
        message: &'static str,
        /// The Java name of the message in it, or its own.
        inner: &'static str,
        /// What the missing bytes belong to.
        field: &'static str,
        /// How many are missing at least.
        missing: usize,
    },
    /// The content of a merged message does not fill the length that it gives.
    #[error("{message} gives {length} as the length of its content, which ends after {end} bytes")]
    MergedLength {
        /// The Java name of the merged message.
        message: &'static str,
        /// The length it gives, which is negative when the peer's encoder is broken.
        length: i64,
        /// Where its content ends.
        end: usize,
    },
    /// The body is serialized in a way that this crate does not read.
    #[error("{codec} bodies are not read: set the peer's serializer to seata")]
    Codec {
        /// How it is serialized.
        codec: Codec,
    },
    /// The body is serialized in a way that this build does not read.
    #[error("{codec} bodies are read only with the feature {feature:?} of seata-protocol: switch it on")]
    FeatureOff {
        /// How it is serialized.
        codec: Codec,
        /// The feature to switch on.
        feature: &'static str,
    },
    /// The body cannot be decompressed.
    #[error(transparent)]
    Compressed(#[from] CompressError),
    /// The body is no protobuf message of Seata's.
    #[error("the protobuf body cannot be read: {reason}")]
    Protobuf {
        /// What was found, and where.
        reason: String,
    },
}

/// Why a message cannot be written. Nothing of it has been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A text is longer than its length on the wire can say.
    #[error("{field} of {message} has {length} bytes, at most {limit} can be sent: send less")]
    TextTooLong {
        /// The Java name of the message.
        message: &'static str,
        /// Which text.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The longest that can be sent.
        limit: usize,
    },
    /// A merged message holds more messages than its count can say.
    #[error("{message} holds {count} messages, at most 32767 can be sent: merge fewer")]
    TooManyMerged {
        /// The Java name of the merged message.
        message: &'static str,
        /// How many it holds.
        count: usize,
    },
    /// A merged message holds a merged message, which no peer reads.
    #[error("{inner} stands inside {message}: merged messages hold single ones only")]
    Nested {
        /// The Java name of the outer message.
        message: &'static str,
        /// The Java name of the inner one.
        inner: &'static str,
    },
    /// Each message in a batch needs its id.
    #[error("{message} holds {messages} messages and {ids} ids: give each message its id")]
    Ids {
        /// The Java name of the merged message.
        message: &'static str,
        /// How many messages it holds.
        messages: usize,
        /// How many ids it holds.
        ids: usize,
    },
    /// The whole frame would be longer than peers take.
    #[error("the frame would have {length} bytes, peers take at most {limit}: send less")]
    FrameTooLong {
        /// Its length.
        length: usize,
        /// The longest that can be sent.
        limit: usize,
    },
    /// A ping or pong carries no message.
    #[error("a heartbeat carries no message: use write_heartbeat")]
    Heartbeat,
    /// Version 0 frames have no place for this.
    #[error("a version 0 frame cannot carry {what}: leave it out for this peer")]
    NotInVersionZero {
        /// What there is no place for.
        what: &'static str,
    },
    /// Bodies are not written in this serialization.
    #[error("{codec} bodies are not written: use SEATA")]
    Codec {
        /// The serialization.
        codec: Codec,
    },
    /// This build does not write bodies in this serialization.
    #[error("{codec} bodies are written only with the feature {feature:?} of seata-protocol: switch it on")]
    FeatureOff {
        /// The serialization.
        codec: Codec,
        /// The feature to switch on.
        feature: &'static str,
    },
    /// The body cannot be compressed.
    #[error(transparent)]
    Compressed(#[from] CompressError),
    /// Seata's protobuf messages cannot say this.
    #[error("the message cannot be written as protobuf: {reason}")]
    Protobuf {
        /// What cannot be said.
        reason: String,
    },
}
