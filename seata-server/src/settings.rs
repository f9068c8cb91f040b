//! What can be set, as the parts of the server take it. [`config`](crate::config) reads it.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use seata_coordinator::settings::Settings as CoordinatorSettings;
use seata_protocol::Limits;

use crate::listen;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Seata port.
    pub front: FrontSettings,
    /// The HTTP port.
    pub console: ConsoleSettings,
    /// Where records live.
    pub store: StoreSettings,
    /// How the coordinator behaves. Its `address` is filled in from the front. Application data is not limited
    /// beside the length of a frame, as on Java's server.
    pub coordinator: CoordinatorSettings,
    /// How long a stop waits for requests under way. Default: 13 s, as Java's.
    pub stop_limit: Duration,
}

/// The Seata port.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// Where to listen; several for IPv4 and IPv6. Default: 127.0.0.1 and, where there is one, ::1.
    pub bind: Vec<IpAddr>,
    /// The port; 0 for any free one. Default: 8091.
    pub port: u16,
    /// What stands in XIDs: a name or address under which clients reach this server. Default: the address
    /// listened on; for a wildcard the first address of this machine that is not loopback.
    pub host: Option<String>,
    /// TLS on the Seata port. Default: none.
    pub tls: Option<TlsSettings>,
    /// Access keys; empty: everybody is welcome.
    pub access_keys: Vec<AccessKey>,
    /// How many connections there may be. Default: 20 000.
    pub max_connections: usize,
    /// How many requests of one connection, each part of a merged one for itself, are worked on at a time; more
    /// wait. Default: 1 024.
    pub max_requests_per_connection: usize,
    /// How many bytes all connections together may hold in frames that are read or written; beyond that the one that
    /// holds the most is closed. Default: 256 MiB.
    pub max_buffered_bytes: usize,
    /// After how long without a byte a connection is closed. Default: 15 s, as Java's.
    pub read_idle: Duration,
    /// How long a connection may take to register, or to take its answers. Default: 10 s.
    pub patience: Duration,
    /// How long a registration waits for rows that others hold before the conflict is told; must stay below
    /// the clients' RPC time-out. Default: zero, as Java; more than 10 s counts as 10 s.
    pub lock_wait: Duration,
    /// Answers to merged requests of clients from 1.5 to 2.2 as batch results, each when it is ready
    /// (`transport.enableTcServerBatchSendResponse`). Default: false.
    pub batch_results: bool,
    /// The longest lock key text of a branch, in bytes. Default: 4 MiB.
    pub max_lock_key: usize,
    /// How many resource ids one client may name; a registration that goes beyond is refused. Default: 1 024.
    pub max_resources_per_client: usize,
    /// How often undo logs are asked to be deleted, and how many days old they must be
    /// (`server.undo.logDeletePeriod`, `server.undo.logSaveDays`). Defaults: 24 h, 7 days.
    pub undo_log_delete_period: Duration,
    /// See `undo_log_delete_period`.
    pub undo_log_save_days: i16,
}

/// Who may register for a transaction service group.
#[derive(Clone)]
pub struct AccessKey {
    /// The transaction service group; `None`: every group that has no key of its own.
    pub group: Option<String>,
    /// The access key.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

/// Certificates.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities whose client certificates are accepted, PEM; a client without one is refused.
    /// `None`: clients need no certificate.
    pub client_authorities: Option<PathBuf>,
}

/// The HTTP port.
#[derive(Clone)]
pub struct ConsoleSettings {
    /// Where to listen. Default: 127.0.0.1 and, where there is one, ::1.
    pub bind: Vec<IpAddr>,
    /// The port; 0 for any free one; `None`: no HTTP port. Default: 7091.
    pub port: Option<u16>,
    /// HTTPS. Default: none.
    pub tls: Option<TlsSettings>,
    /// The user. Default: `seata`.
    pub user: String,
    /// The password. Default: none; then one is made at random at the first start and kept in the data
    /// directory, readable by its owner alone.
    pub password: Option<String>,
    /// What signs tokens; at least 32 bytes. Default: made at random at each start.
    pub token_secret: Option<String>,
    /// How long a token is valid. Default: 30 min.
    pub token_validity: Duration,
}

/// Where records live.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Which store. Default: the journal.
    pub kind: StoreKind,
    /// The data directory. Default: `seata-data`.
    pub directory: PathBuf,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// What is acknowledged survives.
    Journal,
    /// Everything is forgotten when the process ends: for tests.
    Memory,
}

/// The longest application data where no limit is set: what is still a frame with the rest of its message.
pub(crate) const MAX_APPLICATION_DATA: usize = Limits::MAX_FRAME - (64 << 10);

impl Default for Settings {
    fn default() -> Self {
        let mut coordinator = CoordinatorSettings::default();
        coordinator.max_application_data = MAX_APPLICATION_DATA;
        Self {
            front: FrontSettings::default(),
            console: ConsoleSettings::default(),
            store: StoreSettings::default(),
            coordinator,
            stop_limit: Duration::from_secs(13),
        }
    }
}

impl Default for FrontSettings {
    fn default() -> Self {
        Self {
            bind: listen::loopback(),
            port: 8091,
            host: None,
            tls: None,
            access_keys: Vec::new(),
            max_connections: 20_000,
            max_requests_per_connection: 1_024,
            max_buffered_bytes: 256 << 20,
            read_idle: Duration::from_secs(15),
            patience: Duration::from_secs(10),
            lock_wait: Duration::ZERO,
            batch_results: false,
            max_lock_key: 4 << 20,
            max_resources_per_client: 1_024,
            undo_log_delete_period: Duration::from_secs(86_400),
            undo_log_save_days: 7,
        }
    }
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            bind: listen::loopback(),
            port: Some(7091),
            tls: None,
            user: "seata".to_owned(),
            password: None,
            token_secret: None,
            token_validity: Duration::from_secs(1_800),
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { kind: StoreKind::Journal, directory: PathBuf::from("seata-data") }
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("group", &self.group)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ConsoleSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleSettings")
            .field("bind", &self.bind)
            .field("port", &self.port)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
