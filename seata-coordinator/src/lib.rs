//! The transaction coordinator (TC) as a library: it decides the outcome of global transactions, holds
//! their row locks, and carries every decision out, whoever crashes.
//!
//! ```text
//!   requests ──▶ driver ──▶ store      one durable step each: begin, register, decide, …
//!                  │ ▲
//!                  ▼ │ effects / inputs
//!                session               pure: (state, input, now) → effects
//!                  │
//!                  ▼
//!             participants             phase two: commit or roll back a branch
//! ```
//!
//! - [`session`] is the state machine of one global transaction, without clock, runtime or IO.
//! - [`store`] is where records live: a trait, its guarantees, and a store in memory.
//! - `journal` (feature `journal`) is the store in one file, with one flush for many callers.
//! - `driver` (feature `driver`) takes requests, watches the time and runs phase two. It is generic over
//!   the store, the clock and the way to resource managers.
//! - `Coordinator` (feature `embedded`) is all of it inside the caller's own process.
//!
//! Without features the crate needs no runtime.
//!
//! # What is promised
//! - A branch that was registered, a lock, and a decision survive the death of the process and of the
//!   machine. What is unfinished goes on at the next start.
//! - No answer tells of something that a crash could undo.
//! - A late registration is refused as a whole; a conflict names the row and its holder.
//! - A registration that is willing to wait for rows gets them all together and in its turn, or is told why not;
//!   it never waits in a dead lock, and never gets anything after it was given up.
//! - Rollback goes strictly backwards through the branches, also after a restart.
//! - A transaction that cannot finish is parked: visible, with its reason and its locks, never dropped.
//! - What an operator does is durable before it is answered, and is judged in the order of everything else that
//!   happens to the transaction. Nobody is asked for a branch that was given up.

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
