//! Transaction manager and resource manager of Seata over TCP: an application's way to a coordinator that
//! runs as a server of its own, the Java one included.
//!
//! [`RemoteCoordinator`] is what stands behind the traits of `seata-context`; [`Settings`] say where the
//! servers are ([`Services`]), which of them a call goes to ([`LoadBalance`]) and how long anything may take.

#![forbid(unsafe_code)]

mod auth;
mod balance;
mod branches;
mod connection;
mod coordinator;
mod link;
mod pauses;
mod phase_two;
mod refusal;
mod registration;
mod servers;
mod services;
mod settings;
mod state;
mod transactions;

pub use balance::LoadBalance;
pub use coordinator::{ConnectError, RemoteCoordinator, ShutdownError};
pub use services::{Cluster, InvalidAddress, ServerAddress, Services, ServicesError};
pub use settings::{Credentials, Reconnect, Settings, SettingsError};
pub use state::{RoleState, ServerState};
