//! Apache Seata for Rust: services and databases that commit together.

#![forbid(unsafe_code)]

pub use seata_context::{
    Client, ClientBuilder, CoordinationError, Failure, FailureHandler, GlobalTransaction, InCurrentTransaction,
    IntoClient, LockRetry, LockStrategy, LogAndWatch, NoClient, NoScope, NotInTransaction, OnError, Presence,
    Propagation, RootContext, Scope, Scoped, Snapshot, Suspended, TransactionError as Error, TransactionHook,
    TransactionOptions, Watch, run, run_with_global_lock, spawn, spawn_blocking,
};
pub use seata_macros::{global_lock, global_transactional};
pub use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, RowKey, RowLock, Xid};

/// What the macros expand to. Not for use by hand, and not stable.
#[doc(hidden)]
pub mod __private {
    pub use seata_context::{
        IntoClient, LockRetry, LockStrategy, OnError, Propagation, TransactionError, TransactionOptions,
        default_name, run, run_with_global_lock,
    };
}
