//! The transaction context of a task, and the template that begins, commits and rolls back.
//!
//! - [`RootContext`] says which global transaction the running task is in. It lives in a [`Scope`]
//!   that each future carries along, never in the thread.
//! - [`run`] is the template behind `#[global_transactional]`; [`GlobalTransaction`] are its steps.
//! - [`Client`] is an application's side of its coordinator, which stands behind the
//!   [`TransactionManager`] and [`ResourceManager`] traits; a data source that takes part implements
//!   [`Resource`].
//!
//! The crate knows no network and no database.

#![forbid(unsafe_code)]

mod backoff;
mod carry;
mod client;
mod coordination;
mod degrade;
mod error;
mod failure;
mod finisher;
mod hooks;
mod options;
mod root_context;
mod scope;
mod template;
mod transaction;

pub use carry::{InCurrentTransaction, spawn, spawn_blocking};
pub use client::{Client, ClientBuilder, IntoClient, NoClient};
pub use coordination::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, CoordinationError, Resource, ResourceManager,
    TransactionManager,
};
pub use degrade::{Degradation, DegradeCheck};
pub use error::TransactionError;
pub use failure::{Failure, FailureHandler, LogAndWatch};
pub use finisher::{Finisher, Watch};
pub use hooks::TransactionHook;
pub use options::{LockRetry, LockStrategy, OnError, Propagation, TransactionOptions, default_name};
pub use root_context::{NoScope, NotInTransaction, RootContext, Suspended};
pub use scope::{Presence, Scope, Scoped, Snapshot};
pub use template::{run, run_with_global_lock};
pub use transaction::GlobalTransaction;
