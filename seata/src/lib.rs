//! Services and databases that commit together, for people who write async Rust.
//!
//! Annotate an async function, add a layer to each service, wrap the databases: what happens in them
//! commits or rolls back as one. The coordinator lives in the process, with nothing to install, or on a server
//! of its own, such as the Java one: `.server("127.0.0.1:8091")`.
//!
//! ```
//! use seata::{Seata, global_transactional};
//!
//! #[derive(Debug)]
//! enum ShopError {
//!     NoStock,
//!     Transaction(seata::Error),
//! }
//!
//! impl From<seata::Error> for ShopError {
//!     fn from(error: seata::Error) -> Self {
//!         Self::Transaction(error)
//!     }
//! }
//!
//! /// `Ok` commits; an `Err`, a panic, a drop and the time-out roll back.
//! #[global_transactional(name = "purchase", timeout = "30s")]
//! async fn purchase(pieces: u32) -> Result<String, ShopError> {
//!     if pieces == 0 {
//!         return Err(ShopError::NoStock);
//!     }
//!     // … calls to services and databases that take part …
//!     Ok(format!("bought {pieces} in {}", seata::RootContext::xid().expect("in a transaction")))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("seata-data");
//! let seata = Seata::builder("business").data_dir(path).start().await?;
//! seata.install();
//! let receipt = purchase(3).await.expect("it commits");
//! assert!(receipt.starts_with("bought 3 in tc-"));
//! assert!(matches!(purchase(0).await, Err(ShopError::NoStock)));
//! seata.shutdown(std::time::Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! | feature | gives |
//! |---|---|
//! | `embedded` (default) | `Coordinator`: a coordinator in the process |
//! | `remote` (default) | `.server("127.0.0.1:8091")`: a coordinator on a server of its own, in the module `remote` |
//! | `config` | `.config(Config::read(path)?)`: its settings from TOML and the environment |
//! | `compressors`, `protobuf` | further forms of its messages; with `compressors` also of undo logs that Java wrote |
//! | `mysql`, `postgres`, `sqlite` | `seata.at(pool)`: AT mode for sqlx on these databases, in the module `at` |
//! | `sea-orm` | `AtDatabase::from(seata.at(pool).await?)`: the same for SeaORM, in the module `sea_orm` |
//! | `tower` | the HTTP layers, in the module `tower` |
//! | `tonic` | the gRPC layers, in the module `tonic` |
//! | `reqwest-middleware` | the same for reqwest |
//!
//! The [`manual`] says how things work, and where they are other than in Java Seata.

#![forbid(unsafe_code)]

#[cfg(any(feature = "embedded", feature = "remote"))]
mod builder;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(any(feature = "embedded", feature = "remote"))]
mod error;
#[cfg(any(doc, doctest))]
pub mod manual;
#[cfg(any(feature = "embedded", feature = "remote"))]
mod place;
#[cfg(feature = "remote")]
mod servers;

#[cfg(any(feature = "embedded", feature = "remote"))]
pub use builder::{Seata, SeataBuilder};
#[cfg(any(feature = "embedded", feature = "remote"))]
pub use error::{ShutdownError, StartError};
pub use seata_context::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, Client, ClientBuilder, CoordinationError,
    Degradation, DegradeCheck, Failure, FailureHandler, Finisher, GlobalTransaction, InCurrentTransaction,
    IntoClient, LockRetry, LockStrategy, LogAndWatch, NoClient, NoScope, NotInTransaction, OnError, Presence,
    Propagation, Resource, ResourceManager, RootContext, Scope, Scoped, Snapshot, Suspended,
    TransactionError as Error, TransactionHook, TransactionManager, TransactionOptions, Watch, run,
    run_with_global_lock, spawn, spawn_blocking,
};
#[cfg(feature = "embedded")]
pub use seata_coordinator::Coordinator;
pub use seata_macros::{global_lock, global_transactional};
pub use seata_protocol::{
    BranchId, BranchStatus, BranchType, GlobalStatus, InvalidXid, KeyPart, ResourceId, RowKey, RowLock,
    TransactionExceptionCode, TransactionId, Xid,
};

/// The embedded coordinator in detail: settings, events, listings, errors.
#[cfg(feature = "embedded")]
pub mod coordinator {
    pub use seata_coordinator::{
        Coordinator, Participant,
        driver::{
            BeginError, Event, EventKind, LocksError, RegisterError, ReportError, TransactionView,
            Unavailable,
        },
        journal::OpenError,
        record::{Branch, HeldLock, LockSet, Snapshot, Transaction},
        session::Decision,
        settings::Settings,
        store::StoreError,
    };
}

#[cfg(feature = "remote")]
pub use seata_client as remote;
#[cfg(feature = "sea-orm")]
pub use seata_sea_orm as sea_orm;
#[cfg(feature = "at")]
pub use seata_sqlx as at;
#[cfg(feature = "tonic")]
pub use seata_tonic as tonic;
#[cfg(feature = "tower")]
pub use seata_tower as tower;

/// What the macros expand to. Not for use by hand, and not stable.
#[doc(hidden)]
pub mod __private {
    pub use seata_context::{
        IntoClient, LockRetry, LockStrategy, OnError, Propagation, TransactionError, TransactionOptions,
        default_name, run, run_with_global_lock,
    };
}
