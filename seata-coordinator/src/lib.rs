//! The transaction coordinator: state machine, lock table, driver, stores.

#![forbid(unsafe_code)]

#[cfg(feature = "embedded")]
mod coordinator;
#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "journal")]
pub mod journal;
pub mod record;
pub mod session;
pub mod settings;
pub mod store;

#[cfg(feature = "embedded")]
pub use coordinator::{Coordinator, Participant};
