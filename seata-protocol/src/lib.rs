//! Seata on the wire: what a global transaction, its branches and its row locks are called, how they
//! are written, and how clients and coordinators speak of them.
//!
//! Everything else in the workspace speaks in these types. The crate has no runtime, does no IO and
//! depends on nothing of ours.
//!
//! ```
//! use seata_protocol::{BranchType, GlobalStatus, Xid};
//!
//! let xid: Xid = "10.0.0.7:8091:2612341069705662465".parse()?;
//! assert_eq!((xid.host(), xid.port()), ("10.0.0.7", 8091));
//! assert_eq!(GlobalStatus::from_code(9), GlobalStatus::Committed);
//! assert_eq!(BranchType::At.to_string(), "AT");
//! # Ok::<(), seata_protocol::InvalidXid>(())
//! ```

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
pub mod seata_codec;
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
pub use xid::{InvalidXid, Xid};

/// The release of Seata whose behaviour on the wire this crate has. It stands where a peer left its own
/// version out, as in Java.
pub const SEATA_VERSION: &str = "2.6.0";
