//! A client's configuration from a TOML file and the environment, under the key names of Java's clients.
//!
//! ```
//! use std::time::Duration;
//!
//! use seata_client::config::Config;
//!
//! let config = Config::from_toml(
//!     r#"
//!     application-id = "order"
//!     tx-service-group = "default_tx_group"
//!
//!     [service]
//!     vgroupMapping.default_tx_group = "shanghai"
//!     shanghai.grouplist = "10.0.0.7:8091;10.0.0.8:8091"
//!
//!     [transport]
//!     rpcTmRequestTimeout = "10s"
//!     waitForServer = 2000
//!     "#,
//! )?;
//! assert_eq!(config.settings.services.resolve("default_tx_group")?.servers.len(), 2);
//! assert_eq!(config.settings.transaction_request_timeout, Duration::from_secs(10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Keys
//! | key | value | default |
//! |---|---|---|
//! | `application-id` or `seata.application-id` | name | none |
//! | `tx-service-group` or `seata.tx-service-group` | name | `default_tx_group` |
//! | `service.vgroupMapping.<group>` | name of the group's cluster | none |
//! | `service.<cluster>.grouplist` | `host:port`, several with `;` between them or as a list | none |
//! | `client.loadBalance.type` | `XID`, `RandomLoadBalance`, `RoundRobinLoadBalance`, `LeastActiveLoadBalance`, `ConsistentHashLoadBalance` | `XID` |
//! | `client.loadBalance.virtualNodes` | places of each server on the ring of `ConsistentHashLoadBalance` | 10 |
//! | `client.tm.defaultGlobalTransactionTimeout` | time | 60 s |
//! | `client.tm.commitRetryCount`, `client.tm.rollbackRetryCount` | number of tries | 5 |
//! | `client.tm.degradeCheck` | `true`, `false` | `false` |
//! | `client.tm.degradeCheckPeriod` | time | 2 s |
//! | `client.tm.degradeCheckAllowTimes` | number | 10 |
//! | `seata.accesskey`, `seata.secretkey` | text, both or none | none |
//! | `transport.rpcTmRequestTimeout` | time | 30 s |
//! | `transport.rpcRmRequestTimeout` | time | 15 s |
//! | `transport.serialization` | `seata`, `protobuf` | `seata` |
//! | `transport.compressor` | `none`, `gzip`, `zip`, `bzip2`, `lz4`, `deflater`, `zstd` | `none` |
//! | `transport.enableRmClientBatchSendRequest` | `true`, `false` | `false` (Java: `true`) |
//! | `transport.enableTmClientChannelCheckFailFast`, `transport.enableRmClientChannelCheckFailFast` | `true`, `false`: both, to [start without a server](Settings::start_without_server) | `true` |
//!
//! These are not Java's:
//!
//! | key | value | default |
//! |---|---|---|
//! | `transport.waitForServer` | time; zero fails at once | 5 s |
//! | `transport.connectTimeout` | time | 10 s |
//! | `transport.heartbeatInterval`, `transport.idleTimeout` | time | 5 s, 15 s |
//! | `transport.reconnectFirst`, `transport.reconnectMax` | time | 100 ms, 10 s |
//! | `transport.maxRequestsInFlight` | number | 65 536 |
//! | `transport.maxOutgoingBytes` | number | 16 777 216 |
//! | `transport.phaseTwoConcurrency`, `transport.phaseTwoQueue` | number | 8, 10 000 |
//! | `transport.phaseTwoCallLimit` | time | 5 min |
//!
//! A *time* is a number with `ms`, `s`, `m`, `h` or `d`, or a bare number of milliseconds.
//!
//! Other keys of Java's clients and servers are accepted and listed in [`Config::unused`]; a key that nobody
//! knows is an error that names the nearest one.
//!
//! # Environment
//! [`Config::read`] lets the environment override the file, as Java does: a variable named as the key, else
//! the key in upper case with `_` for `.` and `-`. `TRANSPORT_RPCTMREQUESTTIMEOUT=10s`,
//! `SERVICE_SHANGHAI_GROUPLIST=10.0.0.9:8091`. An empty variable counts as unset.

mod entries;
mod keys;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::BytesMut;
use seata_context::DegradeCheck;
use seata_protocol::{Codec, Compressor, Header, Kind, Message, frame};

use crate::{Credentials, LoadBalance, Services, Settings, balance::MOST_VIRTUAL_NODES};

use self::entries::Entries;

/// The group of a configuration that names none: Java's default.
const DEFAULT_GROUP: &str = "default_tx_group";

/// The keys that have two spellings. A variable may have either.
const ALIASES: [(&str, &str); 2] =
    [("seata.application-id", "application-id"), ("seata.tx-service-group", "tx-service-group")];

/// What a configuration says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The application's name, if it is given.
    pub application_id: Option<String>,
    /// The transaction group; `default_tx_group` if it is not given.
    pub tx_service_group: String,
    /// How servers are found and spoken to.
    pub settings: Settings,
    /// How long a transaction may stay undecided when it names no time-out, if it is given.
    pub default_timeout: Option<Duration>,
    /// How often a commit is asked for before its caller gets an error, if it is given.
    pub commit_attempts: Option<u32>,
    /// How often a rollback is asked for before its caller gets an error, if it is given.
    pub rollback_attempts: Option<u32>,
    /// Whether the coordinator is probed, so that functions run without a transaction while it does not work.
    pub degrade_check: Option<DegradeCheck>,
    /// The keys that are there, known in a Seata installation, and without effect on this client.
    pub unused: Vec<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not TOML.
    #[error("the configuration is not TOML: {message}")]
    Syntax {
        /// Where, and what was expected there.
        message: String,
    },
    /// Nobody knows this key.
    #[error("unknown key {key}{}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// Two keys say the same thing.
    #[error("{key} is given twice, the second time as {again}: leave one out")]
    Twice {
        /// The first key.
        key: String,
        /// The second key.
        again: String,
    },
    /// A value is not of the kind that its key takes.
    #[error("{}expected {expected}", found(key, value))]
    Value {
        /// The key; empty for a text that stood alone.
        key: String,
        /// The value.
        value: String,
        /// What would do.
        expected: String,
    },
    /// A value that means something in Java, which this client does not do.
    #[error("{key} is {value:?}, which this client cannot do: {instead}")]
    Unsupported {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What to write instead.
        instead: String,
    },
    /// One of two keys that belong together.
    #[error("{key} is given without {missing}: they belong together")]
    Incomplete {
        /// The key that is there.
        key: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
}

impl Config {
    /// Reads a TOML file; the environment overrides it. Keys without effect are logged as a warning.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key or the value, and what was expected.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        // Bytes that are no text are seen, and refused, as the value they were meant to be.
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let config = Self::from_toml_with(&text, variable)?;
        if !config.unused.is_empty() {
            tracing::warn!(keys = config.unused.join(", "), file = %path.display(), "configuration keys without effect");
        }
        Ok(config)
    }

    /// Reads TOML text, and nothing else.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_toml_with(text, |_| None)
    }

    /// Reads TOML text, with `variable` in place of the environment.
    ///
    /// ```
    /// use seata_client::config::Config;
    ///
    /// let variable = |name: &str| (name == "TX_SERVICE_GROUP").then(|| "orders".to_owned());
    /// assert_eq!(Config::from_toml_with("", variable)?.tx_service_group, "orders");
    /// # Ok::<(), seata_client::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_toml_with(
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut entries = Entries::read(text)?;
        let mut unused = entries.take_unused()?;
        for (alias, key) in ALIASES {
            entries.rename(alias, key)?;
        }
        entries.override_each(keys::READ, &variable);
        refuse_unsupported(&entries)?;

        let named = |(alias, key)| Ok::<_, ConfigError>(entries.name(alias)?.or(entries.name(key)?));
        let [application_id, tx_service_group] = ALIASES.map(named);
        let application_id = application_id?;
        let tx_service_group = tx_service_group?.unwrap_or_else(|| DEFAULT_GROUP.to_owned());

        entries.override_services(&tx_service_group, &variable);
        let settings = settings(&entries)?;
        unused.extend(switches_without_effect(&entries)?);
        Ok(Self {
            application_id,
            tx_service_group,
            settings,
            default_timeout: entries.positive_duration("client.tm.defaultGlobalTransactionTimeout")?,
            commit_attempts: entries.count("client.tm.commitRetryCount")?,
            rollback_attempts: entries.count("client.tm.rollbackRetryCount")?,
            degrade_check: degrade_check(&entries)?,
            unused,
        })
    }
}

/// Reads a length of time as Seata's configuration writes it: a whole number with a unit, `500ms`, `30s`,
/// `5m`, `2h`, `1d`, or a bare number of milliseconds.
///
/// # Errors
/// [`ConfigError::Value`] with an empty key, when the text is nothing of the kind or does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, ConfigError> {
    seata_config::value::duration(text).map_err(|error| ConfigError::value("", error.value, error.expected))
}

/// Values that would be ignored at the user's cost.
fn refuse_unsupported(entries: &Entries) -> Result<(), ConfigError> {
    let do_without = "leave the coordinator out of the application instead, or use client.tm.degradeCheck";
    let file_only = "list the servers under service.<cluster>.grouplist, and write \"file\" or nothing here";
    for (key, accepted, instead) in [
        ("registry.type", "file", file_only),
        ("config.type", "file", "put the keys into this file, and write \"file\" or nothing here"),
        ("transport.protocol", "seata", "write \"seata\" or nothing: servers speak it beside grpc"),
        ("seata.enabled", "true", do_without),
        ("service.disableGlobalTransaction", "false", do_without),
    ] {
        if let Some(value) = entries.text(key)
            && !value.trim().eq_ignore_ascii_case(accepted)
        {
            return Err(ConfigError::Unsupported {
                key: key.into(),
                value: value.into(),
                instead: instead.into(),
            });
        }
    }
    Ok(())
}

/// Switches that are off or on for good here.
fn switches_without_effect(entries: &Entries) -> Result<Vec<String>, ConfigError> {
    let mut found = Vec::new();
    for (key, always) in [("transport.heartbeat", true), ("transport.enableTmClientBatchSendRequest", false)]
    {
        if entries.flag(key)?.is_some_and(|switch| switch != always) {
            found.push(key.to_owned());
        }
    }
    let not_checked = roles_not_checked(entries)?;
    if not_checked.len() < ROLE_CHECKS.len() {
        // The other role stops a start without a server, as in Java.
        found.extend(not_checked.into_iter().map(str::to_owned));
    }
    Ok(found)
}

/// Whether a start without a server fails: Java has a switch for each of its two connections.
const ROLE_CHECKS: [&str; 2] =
    ["transport.enableTmClientChannelCheckFailFast", "transport.enableRmClientChannelCheckFailFast"];

fn roles_not_checked(entries: &Entries) -> Result<Vec<&'static str>, ConfigError> {
    let mut found = Vec::new();
    for key in ROLE_CHECKS {
        if entries.flag(key)? == Some(false) {
            found.push(key);
        }
    }
    Ok(found)
}

fn settings(entries: &Entries) -> Result<Settings, ConfigError> {
    let mut settings = Settings::new(services(entries));
    settings.credentials = credentials(entries)?;
    settings.load_balance = load_balance(entries)?;
    set(&mut settings.codec, codec(entries)?);
    set(&mut settings.compressor, compressor(entries)?);
    let merge = ["transport.enableRmClientBatchSendRequest", "transport.enableClientBatchSendRequest"];
    for key in merge.into_iter().rev() {
        set(&mut settings.merge_requests, entries.flag(key)?);
    }
    set(&mut settings.wait_for_server, entries.duration("transport.waitForServer")?);
    settings.start_without_server = roles_not_checked(entries)?.len() == ROLE_CHECKS.len();
    for (key, field) in [
        ("transport.connectTimeout", &mut settings.connect_timeout),
        ("transport.rpcTmRequestTimeout", &mut settings.transaction_request_timeout),
        ("transport.rpcRmRequestTimeout", &mut settings.branch_request_timeout),
        ("transport.heartbeatInterval", &mut settings.heartbeat),
        ("transport.idleTimeout", &mut settings.idle),
        ("transport.reconnectFirst", &mut settings.reconnect.first),
        ("transport.reconnectMax", &mut settings.reconnect.max),
        ("transport.phaseTwoCallLimit", &mut settings.phase_two_call_limit),
    ] {
        set(field, entries.positive_duration(key)?);
    }
    for (key, field) in [
        ("transport.maxRequestsInFlight", &mut settings.max_requests_in_flight),
        ("transport.maxOutgoingBytes", &mut settings.max_outgoing_bytes),
        ("transport.phaseTwoConcurrency", &mut settings.phase_two_concurrency),
        ("transport.phaseTwoQueue", &mut settings.phase_two_queue),
    ] {
        set(field, entries.count(key)?.map(|count| count as usize));
    }
    if settings.heartbeat >= settings.idle {
        let idle = format!("a time shorter than transport.idleTimeout ({:?})", settings.idle);
        let found = format!("{:?}", settings.heartbeat);
        return Err(ConfigError::value("transport.heartbeatInterval", found, idle));
    }
    Ok(settings)
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn services(entries: &Entries) -> Services {
    let services =
        entries.groups().fold(Services::new(), |services, (group, cluster)| services.group(group, cluster));
    entries.server_lists().fold(services, |services, (cluster, list)| {
        let addresses = list.split(';').map(str::trim).filter(|address| !address.is_empty());
        services.cluster(cluster, addresses)
    })
}

fn credentials(entries: &Entries) -> Result<Option<Credentials>, ConfigError> {
    const ACCESS: &str = "seata.accesskey";
    const SECRET: &str = "seata.secretkey";
    let given = |key| entries.text(key).filter(|text| !text.trim().is_empty());
    match (given(ACCESS), given(SECRET)) {
        (Some(access), Some(secret)) => Ok(Some(Credentials::new(access, secret))),
        (Some(_), None) => Err(ConfigError::Incomplete { key: ACCESS, missing: SECRET }),
        (None, Some(_)) => Err(ConfigError::Incomplete { key: SECRET, missing: ACCESS }),
        (None, None) => Ok(None),
    }
}

fn load_balance(entries: &Entries) -> Result<LoadBalance, ConfigError> {
    const VIRTUAL_NODES: &str = "client.loadBalance.virtualNodes";
    const DEFAULT_VIRTUAL_NODES: usize = 10;
    let virtual_nodes = entries.count_up_to(MOST_VIRTUAL_NODES, VIRTUAL_NODES)?;
    let virtual_nodes = virtual_nodes.map_or(DEFAULT_VIRTUAL_NODES, |count| count as usize);
    let words = [
        ("XID", LoadBalance::Xid),
        ("RandomLoadBalance", LoadBalance::Random),
        ("RoundRobinLoadBalance", LoadBalance::RoundRobin),
        ("LeastActiveLoadBalance", LoadBalance::LeastActive),
        ("ConsistentHashLoadBalance", LoadBalance::ConsistentHash { virtual_nodes }),
    ];
    Ok(entries.choice("client.loadBalance.type", &words)?.unwrap_or_default())
}

fn degrade_check(entries: &Entries) -> Result<Option<DegradeCheck>, ConfigError> {
    let mut check = DegradeCheck::default();
    set(&mut check.period, entries.positive_duration("client.tm.degradeCheckPeriod")?);
    set(&mut check.allowed_times, entries.count("client.tm.degradeCheckAllowTimes")?);
    Ok(entries.flag("client.tm.degradeCheck")?.unwrap_or_default().then_some(check))
}

fn codec(entries: &Entries) -> Result<Option<Codec>, ConfigError> {
    let key = "transport.serialization";
    let Some(codec) = entries.choice(key, &named(Codec::ALL))? else { return Ok(None) };
    writable(key, codec, Header { codec, ..plain() }).map(Some)
}

fn compressor(entries: &Entries) -> Result<Option<Compressor>, ConfigError> {
    let key = "transport.compressor";
    let Some(compressor) = entries.choice(key, &named(Compressor::ALL))? else { return Ok(None) };
    writable(key, compressor, Header { compressor, ..plain() }).map(Some)
}

fn named<T: Copy + ToString>(values: &[T]) -> Vec<(String, T)> {
    values.iter().map(|value| (value.to_string().to_lowercase(), *value)).collect()
}

fn plain() -> Header {
    Header::new(Kind::Request, 0)
}

/// A value of `key` under which this build can write a frame.
fn writable<T: ToString>(key: &str, value: T, header: Header) -> Result<T, ConfigError> {
    let message = Message::GlobalStatus(Default::default());
    match frame::write(&mut BytesMut::new(), &header, &message) {
        Ok(()) => Ok(value),
        Err(error) => Err(ConfigError::Unsupported {
            key: key.into(),
            value: value.to_string().to_lowercase(),
            instead: error.to_string(),
        }),
    }
}

impl ConfigError {
    fn value(key: impl Into<String>, value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Value { key: key.into(), value: value.into(), expected: expected.into() }
    }
}

fn found(key: &str, value: &str) -> String {
    if key.is_empty() { format!("{value:?}: ") } else { format!("{key} is {value:?}: ") }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}
