//! The Seata port.
//!
//! ```text
//!   listener ─▶ connection ─▶ requests ─▶ Tc
//!                 │    ▲
//!   registration ◀┘    └── clients ◀── phase two
//! ```
//!
//! A connection is one task. It reads frames, keeps the requests that are under way, and writes every answer that
//! is ready with one call. Registrations take effect while their frame is read, so whatever follows finds them.

mod access;
mod answers;
mod clients;
mod connection;
mod desk;
mod incoming;
mod listener;
mod names;
mod registration;
mod requests;

#[allow(unused_imports, reason = "the console names them")]
pub(crate) use clients::{ClientCounts, ClientView, Clients};
pub(crate) use listener::{BindError, Bound, Front};
