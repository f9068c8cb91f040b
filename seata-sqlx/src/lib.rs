//! AT mode on sqlx.
#![forbid(unsafe_code)]
#![allow(dead_code)]

mod error;
mod sql;
pub mod undo;

pub use error::{AtError, AtOpenError};
pub use sql::Refusal;
