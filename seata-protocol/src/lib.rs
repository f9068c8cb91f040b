//! The vocabulary of Seata: what a global transaction, its branches and its row locks are called,
//! and how they are written.
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
mod ids;
mod lock;
mod xid;

pub use codes::{BranchStatus, BranchType, GlobalStatus, TransactionExceptionCode};
pub use ids::{BranchId, ResourceId, TransactionId};
pub use lock::{InvalidRowKey, KeyPart, RowKey, RowLock};
pub use xid::{InvalidXid, Xid};
