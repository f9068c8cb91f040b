//! The transaction coordinator as a server that Java, Go and Rust clients use as it is.
//!
//! ```text
//!   Seata port ──▶ front ──▶ Tc (driver, journal) ◀── console ◀── HTTP port
//!                    ▲             │
//!                    └── clients ◀─┘  phase two
//! ```
//!
//! - `front` is the Seata port: connections, registration, requests and their answers, the way to
//!   resource managers.
//! - `console` is the HTTP port: Java's console API, a REST API of our own, metrics, health.
//! - [`settings`] is what can be set; [`config`] reads it from a file, the environment and flags.
//! - [`Server`] joins them, in a process of its own (`seata-server`) or in a test.

#![forbid(unsafe_code)]

mod address;
pub mod command;
pub mod config;
mod console;
mod front;
mod listen;
mod metrics;
mod server;
pub mod settings;
mod tls;

pub use address::AddressError;
pub use console::ConsoleError;
pub use server::{Server, StartError};
pub use tls::TlsError;

use seata_coordinator::{
    driver::{Driver, SystemClock},
    store::AnyStore,
};

/// The coordinator behind both ports.
type Tc = Driver<AnyStore, SystemClock>;
