//! AT mode on sqlx.
#![forbid(unsafe_code)]

mod branch;
mod caller;
mod change;
mod committed;
mod connection;
mod data_source;
mod dialect;
mod error;
mod executor;
mod image;
mod phase_two;
mod session;
mod sql;
mod sqlite;
mod structure;
mod transaction;
pub mod undo;

pub use committed::GlobalCommitted;
pub use connection::AtConnection;
pub use data_source::{AtPool, AtPoolBuilder, Outside};
pub use error::{AtError, AtOpenError};
pub use sql::Refusal;
pub use transaction::AtTransaction;
