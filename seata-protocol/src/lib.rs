//! Seata on the wire: what a global transaction, its branches and its row locks are called, and how clients
//! and coordinators speak of them.
//!
//! Everything else in the workspace speaks in these types. The crate has no runtime, does no IO and
//! depends on nothing of ours.
//!
//! # Names
//! ```
//! use seata_protocol::{BranchType, GlobalStatus, Xid};
//!
//! let xid: Xid = "10.0.0.7:8091:2612341069705662465".parse()?;
//! assert_eq!((xid.host(), xid.port()), ("10.0.0.7", 8091));
//! assert_eq!(GlobalStatus::from_code(9), GlobalStatus::Committed);
//! assert_eq!(BranchType::At.to_string(), "AT");
//! # Ok::<(), seata_protocol::InvalidXid>(())
//! ```
//!
//! # Messages and frames
//! A [`Message`] is what one side says; a [`Frame`] is how it travels. [`frame::write`] appends a frame to the
//! bytes that are to be sent, a [`FrameDecoder`] cuts those that came into frames, and [`Frame::message`] reads one.
//!
//! ```
//! use bytes::BytesMut;
//! use seata_protocol::{FrameDecoder, GlobalBegin, Header, Kind, Limits, Message, frame};
//!
//! let begin = Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: "buy".into() });
//! let mut bytes = BytesMut::new();
//! frame::write(&mut bytes, &Header::new(Kind::Request, 1), &begin)?;
//!
//! // On the other side; `bytes` may end anywhere.
//! let limits = Limits::default();
//! let mut decoder = FrameDecoder::new(limits);
//! while let Some(frame) = decoder.next(&mut bytes)? {
//!     assert_eq!(frame.message(&limits)?.message, begin);
//!     assert_eq!(frame.header.reply().kind, Kind::Response);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`FrameError`] ends the connection. A [`DecodeError`] concerns its frame only. An [`EncodeError`] leaves
//! the bytes as they were. Numbers that this version has no name for are kept as they came.
//!
//! Releases of Seata differ. What a peer reads and expects follows from its [`Release`]; what only its frames
//! show is its [`Dialect`], which [`Header::reply`] repeats.
//!
//! # Features
//! | feature | what it adds |
//! |---|---|
//! | `gzip`, `deflate`, `zip`, `lz4`, `zstd`, `bzip2` | one [compressor](Compressor) each |
//! | `protobuf` | the [codec](Codec::Protobuf) of this name |
//! | `signature` | `sign`, which proves that a client knows the secret of its access key |
//!
//! None is on by default. What is off is refused with the name of the feature to switch on.

#![forbid(unsafe_code)]

mod codes;
pub mod compress;
mod dialect;
mod error;
pub mod frame;
mod ids;
mod limits;
mod lock;
pub mod message;
#[cfg(feature = "protobuf")]
pub mod protobuf;
mod release;
pub mod seata_codec;
#[cfg(feature = "signature")]
mod signature;
mod xid;

pub use codes::{
    BranchStatus, BranchType, Codec, Compressor, GlobalStatus, Kind, ResultCode, TransactionExceptionCode,
};
pub use dialect::{Dialect, ProtobufPackage};
pub use error::{DecodeError, EncodeError, FrameError};
pub use frame::{Decoded, Frame, FrameDecoder, HeadMap, Header, Version};
pub use ids::{BranchId, ResourceId, TransactionId};
pub use limits::Limits;
pub use lock::{InvalidLockKey, InvalidRowKey, KeyPart, RowKey, RowLock, lock_key_text, parse_lock_key};
pub use message::{
    Batch, BranchRegister, BranchRegistered, BranchReport, BranchRequest, BranchResponse, GlobalBegin,
    GlobalBegun, GlobalReport, GlobalRequest, GlobalResponse, Lockable, Message, Outcome, RegisterRm,
    RegisterTm, Registered, Text, UndoLogDelete,
};
pub use release::Release;
#[cfg(feature = "signature")]
pub use signature::sign;
pub use xid::{InvalidXid, Xid};

/// The release of Seata whose behaviour on the wire this crate has. It stands where a peer left its own
/// version out, as in Java.
pub const SEATA_VERSION: &str = "2.6.0";
