//! What a client of a remote coordinator can be told.

use std::{fmt, time::Duration};

use bytes::BytesMut;
use seata_protocol::{
    Codec, Compressor, Dialect, EncodeError, GlobalRequest, Header, Kind, Limits, Message, frame,
};

use crate::{LoadBalance, Services, ServicesError, balance::MOST_VIRTUAL_NODES};

/// What a client of a remote coordinator can be told. [`Settings::new`] gives every field its default, which
/// is Java's where Java has the setting.
///
/// ```
/// use std::time::Duration;
///
/// use seata_client::{Services, Settings};
///
/// let mut settings = Settings::new(Services::servers(["127.0.0.1:8091"])).wait_for_server(Duration::ZERO);
/// settings.merge_requests = true;
/// assert_eq!(settings.heartbeat, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Which servers serve which transaction service group.
    pub services: Services,
    /// Which server of several a call goes to. Default: [`LoadBalance::Xid`].
    pub load_balance: LoadBalance,
    /// Who the application is, for servers that check it. Default: nobody.
    pub credentials: Option<Credentials>,
    /// How long a call waits while no server that could serve it is connected; zero fails at once. The longer,
    /// the longer a restart of the server may last unnoticed, and the later callers learn of an outage. A begin
    /// waits no longer than its transaction may last. Default: 5 s.
    pub wait_for_server: Duration,
    /// Whether a client is there at once, and its resources with it, while no server is: both are made known
    /// when one comes, and calls wait for it as ever. Default: off, so that a wrong address is seen at the start.
    pub start_without_server: bool,
    /// How long connecting to a server may take, name lookup and registration included. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long a begin, commit, rollback, status or report waits for its answer. A commit or rollback may run
    /// phase two before it is answered. Default: 30 s.
    pub transaction_request_timeout: Duration,
    /// How long a branch registration, branch report or lock query waits for its answer. Default: 15 s.
    pub branch_request_timeout: Duration,
    /// How long a connection may be silent before a heartbeat is sent. Default: 5 s.
    pub heartbeat: Duration,
    /// How long a server may be silent before its connection is given up. Java's servers do the same after
    /// 15 s. Default: 15 s.
    pub idle: Duration,
    /// The pauses between attempts to reach a server. A call that waits for one shortens them.
    pub reconnect: Reconnect,
    /// How messages are written. Default: [`Codec::Seata`].
    pub codec: Codec,
    /// How messages are compressed. Default: [`Compressor::None`].
    pub compressor: Compressor,
    /// What releases of the server read differently. With [`Codec::Protobuf`] or [`Compressor::Lz4`], set it to
    /// the [dialect](crate::Release::dialect) of the release. A request of the server is answered as it came.
    /// Default: that of releases up to 2.0.
    pub dialect: Dialect,
    /// Branch requests that are waiting at the same moment travel in one frame, as Java's resource managers
    /// send them. Default: off.
    pub merge_requests: bool,
    /// How many requests of one connection may wait for their answers; further callers wait for a place.
    /// Default: 65 536.
    pub max_requests_in_flight: usize,
    /// How many bytes may wait to be written to one connection; further callers wait for room. Default: 16 MiB.
    pub max_outgoing_bytes: usize,
    /// How many calls of phase two run at the same time on one resource. Default: 8.
    pub phase_two_concurrency: usize,
    /// How long one call of phase two may take. One that takes longer is dropped and answered "ask again", so
    /// that a resource that hangs does not keep its place for ever. Servers wait for 15 s and then ask again,
    /// but such a question joins the call that is under way. Default: 5 min.
    pub phase_two_call_limit: Duration,
    /// How many calls of phase two may wait for one resource; further ones are answered "ask again".
    /// Default: 10 000.
    pub phase_two_queue: usize,
    /// What is refused before memory is allocated for it.
    pub limits: Limits,
}

/// The pauses between attempts to reach a server: each twice as long as the one before, up to a limit. Each
/// pause is shortened by a random part of up to one half, so that the clients of a restarted server do not
/// come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first pause. Default: 100 ms.
    pub first: Duration,
    /// The longest pause. Default: 10 s.
    pub max: Duration,
}

/// Who the application is. The secret never travels: it signs the registration.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key (Java: `seata.accesskey`).
    pub access_key: String,
    /// The secret key (Java: `seata.secretkey`).
    pub secret_key: String,
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The group leads to no server.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The name of the application, of the group, or an access key cannot be registered.
    #[error("the {what} {name:?} cannot be registered: {reason}")]
    InvalidName {
        /// `application id`, `transaction service group` or `access key`.
        what: &'static str,
        /// The text.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no tokio runtime here to run the client's tasks on.
    #[error("no tokio runtime here: start the client inside one")]
    NoRuntime,
    /// Messages cannot be written with this codec and compressor: the feature of this name is off, or this client
    /// does not know it.
    #[error("no message can be written with codec {codec} and compressor {compressor}: {source}")]
    Unwritable {
        /// The codec.
        codec: Codec,
        /// The compressor.
        compressor: Compressor,
        /// Which of them, and what to do.
        source: EncodeError,
    },
    /// A setting is zero that must not be.
    #[error("{setting} is zero: nothing would ever get through")]
    Zero {
        /// Its name.
        setting: &'static str,
    },
    /// A setting is higher than it can be.
    #[error("{setting} is {found}: at most {most} are allowed")]
    TooHigh {
        /// Its name.
        setting: &'static str,
        /// What it was set to.
        found: usize,
        /// The highest that is allowed.
        most: usize,
    },
    /// A server that is well would be taken for dead before it is asked for a sign of life.
    #[error("heartbeat is {heartbeat:?} and idle is {idle:?}: the heartbeat must be shorter")]
    HeartbeatTooLong {
        /// The pause before a heartbeat.
        heartbeat: Duration,
        /// The silence after which a connection is given up.
        idle: Duration,
    },
}

impl Settings {
    /// Every setting at its default.
    pub fn new(services: Services) -> Self {
        Self {
            services,
            load_balance: LoadBalance::Xid,
            credentials: None,
            wait_for_server: Duration::from_secs(5),
            start_without_server: false,
            connect_timeout: Duration::from_secs(10),
            transaction_request_timeout: Duration::from_secs(30),
            branch_request_timeout: Duration::from_secs(15),
            heartbeat: Duration::from_secs(5),
            idle: Duration::from_secs(15),
            reconnect: Reconnect::default(),
            codec: Codec::Seata,
            compressor: Compressor::None,
            dialect: Dialect::default(),
            merge_requests: false,
            max_requests_in_flight: 65_536,
            max_outgoing_bytes: 16 << 20,
            phase_two_concurrency: 8,
            phase_two_call_limit: Duration::from_secs(300),
            phase_two_queue: 10_000,
            limits: Limits::default(),
        }
    }

    /// Sets [`load_balance`](Self::load_balance).
    #[must_use]
    pub fn load_balance(mut self, load_balance: LoadBalance) -> Self {
        self.load_balance = load_balance;
        self
    }

    /// Sets [`credentials`](Self::credentials).
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets [`wait_for_server`](Self::wait_for_server).
    #[must_use]
    pub fn wait_for_server(mut self, limit: Duration) -> Self {
        self.wait_for_server = limit;
        self
    }

    /// Switches [`start_without_server`](Self#structfield.start_without_server) on.
    #[must_use]
    pub fn start_without_server(mut self) -> Self {
        self.start_without_server = true;
        self
    }

    /// Whether a client of this application and group could work with these settings.
    pub(crate) fn validate(&self, application: &str, group: &str) -> Result<(), SettingsError> {
        check_name("application id", application)?;
        if application.contains(':') {
            let reason =
                "a server ends the name at the first colon, and would not find the application again";
            return Err(invalid_name("application id", application, reason));
        }
        check_name("transaction service group", group)?;
        if let Some(credentials) = &self.credentials {
            check_name("access key", &credentials.access_key)?;
        }
        self.services.resolve(group)?;
        self.write_a_message()?;
        let zero = [
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("transaction_request_timeout", self.transaction_request_timeout.is_zero()),
            ("branch_request_timeout", self.branch_request_timeout.is_zero()),
            ("heartbeat", self.heartbeat.is_zero()),
            ("reconnect.first", self.reconnect.first.is_zero()),
            ("max_requests_in_flight", self.max_requests_in_flight == 0),
            ("max_outgoing_bytes", self.max_outgoing_bytes == 0),
            ("phase_two_call_limit", self.phase_two_call_limit.is_zero()),
            ("phase_two_concurrency", self.phase_two_concurrency == 0),
            ("phase_two_queue", self.phase_two_queue == 0),
            ("virtual_nodes", self.load_balance == LoadBalance::ConsistentHash { virtual_nodes: 0 }),
        ];
        if let Some((setting, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(SettingsError::Zero { setting });
        }
        let most = MOST_VIRTUAL_NODES as usize;
        if let LoadBalance::ConsistentHash { virtual_nodes: found } = self.load_balance
            && found > most
        {
            return Err(SettingsError::TooHigh { setting: "virtual_nodes", found, most });
        }
        if self.heartbeat >= self.idle {
            return Err(SettingsError::HeartbeatTooLong { heartbeat: self.heartbeat, idle: self.idle });
        }
        Ok(())
    }
}

impl Settings {
    /// The same, with every time so short that it can be added to any other.
    pub(crate) fn bounded(mut self) -> Self {
        let times = [
            &mut self.wait_for_server,
            &mut self.connect_timeout,
            &mut self.transaction_request_timeout,
            &mut self.branch_request_timeout,
            &mut self.heartbeat,
            &mut self.idle,
            &mut self.reconnect.first,
            &mut self.reconnect.max,
            &mut self.phase_two_call_limit,
        ];
        times.into_iter().for_each(|time| *time = (*time).min(FOREVER));
        self
    }

    fn write_a_message(&self) -> Result<(), SettingsError> {
        let (codec, compressor) = (self.codec, self.compressor);
        let header = Header { codec, compressor, ..Header::new(Kind::Request, 0) };
        let message = Message::GlobalStatus(GlobalRequest::default());
        frame::write(&mut BytesMut::new(), &header, &message).map_err(|source| SettingsError::Unwritable {
            codec,
            compressor,
            source,
        })
    }
}

/// As good as no limit.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The longest name that fits the columns of Java's tables.
const MAX_NAME_LENGTH: usize = 128;

fn check_name(what: &'static str, name: &str) -> Result<(), SettingsError> {
    let reason = if name.trim().is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_LENGTH {
        "it is longer than 128 bytes"
    } else if name.chars().any(char::is_control) {
        // Registration is a text of lines.
        "it contains a control character"
    } else {
        return Ok(());
    };
    Err(invalid_name(what, name, reason))
}

fn invalid_name(what: &'static str, name: &str, reason: &'static str) -> SettingsError {
    SettingsError::InvalidName { what, name: name.to_owned(), reason }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl Credentials {
    /// These keys.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Settings);

    fn settings() -> Settings {
        Settings::new(Services::servers(["127.0.0.1:8091"]))
    }

    #[test]
    fn the_defaults_are_valid_and_a_setting_that_cannot_work_is_named() {
        assert_eq!(settings().validate("order", "default_tx_group"), Ok(()));
        let cases: [(Change, &str); 7] = [
            (
                |s| s.codec = Codec::Kryo,
                "no message can be written with codec KRYO and compressor NONE: KRYO bodies are not written: use SEATA",
            ),
            (
                |s| s.connect_timeout = Duration::ZERO,
                "connect_timeout is zero: nothing would ever get through",
            ),
            (
                |s| s.phase_two_concurrency = 0,
                "phase_two_concurrency is zero: nothing would ever get through",
            ),
            (
                |s| s.load_balance = LoadBalance::ConsistentHash { virtual_nodes: 10_001 },
                "virtual_nodes is 10001: at most 10000 are allowed",
            ),
            (|s| s.idle = s.heartbeat, "heartbeat is 5s and idle is 5s: the heartbeat must be shorter"),
            (
                |s| s.credentials = Some(Credentials::new("a\nip=1", "secret")),
                "the access key \"a\\nip=1\" cannot be registered: it contains a control character",
            ),
            (
                |s| s.services = Services::servers(["nonsense"]),
                "\"nonsense\" is no server address: the port is missing; expected host:port, as in 127.0.0.1:8091",
            ),
        ];
        for (change, expected) in cases {
            let mut settings = settings();
            change(&mut settings);
            let error = settings.validate("order", "default_tx_group").unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn names_that_a_server_would_misread_are_refused() {
        for (application, group, reason) in [
            ("", "g", "it is empty"),
            ("a", " ", "it is empty"),
            ("a", "g\nip=1", "it contains a control character"),
            (
                "a:b",
                "g",
                "a server ends the name at the first colon, and would not find the application again",
            ),
        ] {
            let error = settings().validate(application, group).unwrap_err();
            assert!(error.to_string().ends_with(reason), "{error}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = format!("{:?}", settings().credentials(Credentials::new("key", "s3cret")));
        assert!(shown.contains("key") && !shown.contains("s3cret"), "{shown}");
    }
}
