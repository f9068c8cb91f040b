//! What can be seen of the connections.

use std::fmt;

use crate::ServerAddress;

/// How an application stands with one server of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerState {
    /// Where the server listens.
    pub address: ServerAddress,
    /// The connection over which transactions are begun and ended.
    pub transaction_manager: RoleState,
    /// The connection over which branches are registered and finished.
    pub resource_manager: RoleState,
}

/// How one of the two connections to a server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleState {
    /// Not needed: the application has no resource yet.
    Unused,
    /// The first attempt is under way.
    Connecting,
    /// The first attempt is under way: the server has accepted the connection and not yet the application.
    Registering,
    /// Connected and registered.
    Connected {
        /// The version that the server gave.
        version: String,
        /// Why the latest resource could not be registered there, until it is.
        refused: Option<String>,
    },
    /// Not connected; attempts go on.
    Disconnected {
        /// What came of the last attempt, or how the connection was lost.
        error: String,
    },
    /// Shut down.
    Stopped,
}

impl RoleState {
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

impl fmt::Display for RoleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unused => f.write_str("not needed yet"),
            Self::Connecting => f.write_str("neither accepted nor refused the connection yet"),
            Self::Registering => {
                f.write_str("accepted the connection, but has not answered the registration yet")
            }
            Self::Connected { version, refused: None } => write!(f, "connected to version {version}"),
            Self::Connected { version, refused: Some(error) } => {
                write!(f, "connected to version {version}, but a resource is not registered: {error}")
            }
            Self::Disconnected { error } => f.write_str(error),
            Self::Stopped => f.write_str("shut down"),
        }
    }
}
