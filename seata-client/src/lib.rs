//! Transaction manager and resource manager of Seata over TCP: an application's way to a coordinator that
//! runs as a server of its own, the Java one included.
//!
//! [`RemoteCoordinator`] is what stands behind the traits of `seata-context`; [`Settings`] say where the
//! servers are ([`Services`]), which of them a call goes to ([`LoadBalance`]) and how long anything may take.
//! Where no call gets through, [`check()`] names the link that is broken.

#![forbid(unsafe_code)]

mod auth;
mod balance;
mod branches;
mod check;
#[cfg(feature = "config")]
pub mod config;
mod connection;
mod coordinator;
mod counted;
mod link;
mod pauses;
mod phase_two;
mod refusal;
mod registration;
#[cfg(test)]
#[path = "../tests/it/scripted.rs"]
mod scripted;
mod servers;
mod services;
mod settings;
mod state;
mod transactions;

pub use balance::LoadBalance;
/// What [`Settings`] say of messages.
pub use seata_protocol::{Codec, Compressor, Dialect, Limits, Release};

pub use check::{Broken, Link, LinkStatus, Report, ServerReport, Step, check};
pub use coordinator::{ConnectError, RemoteCoordinator, ShutdownError};
pub use services::{Cluster, InvalidAddress, ServerAddress, Services, ServicesError};
pub use settings::{Credentials, Reconnect, Settings, SettingsError};
pub use state::{RoleState, ServerState};
