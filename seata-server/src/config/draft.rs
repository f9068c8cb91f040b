//! Settings while they are read: what a key alone cannot decide is put together at the end.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use seata_config::Entries;

use crate::{
    address::{self, AddressError},
    settings::{MAX_APPLICATION_DATA, Settings, TlsSettings},
};

use super::{ConfigError, Logging};

/// Java's key for whether clients are checked.
pub(super) const CHECK_AUTH: &str = "server.enableCheckAuth";

/// The pauses of committing, asynchronous committing and rolling back.
pub(super) const RETRY_PERIODS: [&str; 3] = [
    "server.recovery.committingRetryPeriod",
    "server.recovery.asyncCommittingRetryPeriod",
    "server.recovery.rollbackingRetryPeriod",
];

/// Java's clients send a byte about each 10 s, and may be late.
const LEAST_IDLE: Duration = Duration::from_secs(15);

/// The settings and what several keys say together.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) settings: Settings,
    pub(super) logging: Logging,
    pub(super) server_tls: TlsFiles,
    pub(super) console_tls: TlsFiles,
    pub(super) directory: Option<PathBuf>,
    /// Java's `server.port`.
    pub(super) http_port: Option<u16>,
    /// Committing, asynchronous committing, rolling back.
    pub(super) retry_periods: [Option<Duration>; 3],
    /// Java's `server.enableCheckAuth`.
    pub(super) check_auth: Option<bool>,
    pub(super) application_data_limit: usize,
    pub(super) application_data_limit_check: bool,
    /// What nobody wrote and follows from another key.
    pub(super) followed: BTreeMap<&'static str, &'static str>,
    /// What was written and does not hold as it stands.
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct TlsFiles {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_authorities: Option<PathBuf>,
}

impl Default for Draft {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            directory: Some(settings.store.directory.clone()),
            settings,
            logging: Logging::default(),
            server_tls: TlsFiles::default(),
            console_tls: TlsFiles::default(),
            http_port: None,
            retry_periods: [None; 3],
            check_auth: None,
            application_data_limit: 64_000,
            application_data_limit_check: false,
            followed: BTreeMap::new(),
            notes: Vec::new(),
        }
    }
}

impl Draft {
    /// Puts together what several keys say; `written` is what stands somewhere.
    pub(super) fn finish(&mut self, written: &Entries) -> Result<(), ConfigError> {
        let is_given = |key: &str| written.get(key).is_some();
        self.finish_ports(is_given);
        self.finish_retries(is_given);
        self.finish_limits(is_given);
        let settings = &mut self.settings;
        if let Some(directory) = &self.directory {
            settings.store.directory.clone_from(directory);
        }
        settings.front.tls = self.server_tls.settings("server.tls")?;
        settings.console.tls = self.console_tls.settings("console.tls")?;
        self.check_ports()?;
        self.check_access_keys(written)?;
        if !is_given(CHECK_AUTH) && is_given("server.accessKeys") {
            self.followed.insert(CHECK_AUTH, "server.accessKeys");
        }
        let host = address::advertised(&self.settings.front);
        self.finish_host(host, is_given)
    }

    /// A network that is not up yet is no mistake of whoever wrote this: the start looks again.
    pub(super) fn finish_host(
        &mut self,
        host: Result<String, AddressError>,
        is_given: impl Fn(&str) -> bool,
    ) -> Result<(), ConfigError> {
        match host {
            Ok(host) => self.settings.front.host = Some(host),
            Err(error @ AddressError::NotFound { .. }) => {
                self.notes.push(format!("server.host: not known yet, {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        if !is_given("server.host") && is_given("server.bind") {
            self.followed.insert("server.host", "server.bind");
        }
        Ok(())
    }

    fn finish_ports(&mut self, is_given: impl Fn(&str) -> bool) {
        /// Of Java's Seata port above its HTTP port.
        const ABOVE: u16 = 1_000;
        let settings = &mut self.settings;
        if let Some(port) = self.http_port {
            if !is_given("console.port") {
                settings.console.port = Some(port);
                self.followed.insert("console.port", "server.port");
            }
            if !is_given("server.servicePort") {
                settings.front.port = if port == 0 { 0 } else { port + ABOVE };
                self.followed.insert("server.servicePort", "server.port");
            }
        }
        if !is_given("console.bind") && is_given("server.bind") {
            settings.console.bind.clone_from(&settings.front.bind);
            self.followed.insert("console.bind", "server.bind");
        }
    }

    /// One pause holds for all kinds: the shortest that is given.
    fn finish_retries(&mut self, is_given: impl Fn(&str) -> bool) {
        const LONGEST: &str = "server.recovery.maxRetryPeriod";
        let coordinator = &mut self.settings.coordinator;
        let given = self.retry_periods.iter().zip(RETRY_PERIODS);
        let shortest = given.clone().filter_map(|(period, key)| Some(((*period)?, key))).min();
        let Some((period, shortest)) = shortest else { return };
        coordinator.retry_period = period;
        for (own, key) in given {
            match own {
                None => drop(self.followed.insert(key, shortest)),
                Some(own) if *own > period => self.notes.push(format!(
                    "{key}: no effect, one pause holds for all kinds, and {shortest} is shorter"
                )),
                Some(_) => {}
            }
        }
        if coordinator.max_retry_period < period {
            coordinator.max_retry_period = period;
            match is_given(LONGEST) {
                true => self.notes.push(format!("{LONGEST}: no effect, {shortest} is longer and holds")),
                false => drop(self.followed.insert(LONGEST, shortest)),
            }
        }
    }

    fn finish_limits(&mut self, is_given: impl Fn(&str) -> bool) {
        const LIMIT: &str = "server.applicationDataLimit";
        let (limit, is_on) = (self.application_data_limit, self.application_data_limit_check);
        self.settings.coordinator.max_application_data = if is_on { limit } else { MAX_APPLICATION_DATA };
        // Java's example has its default there.
        if !is_on && is_given(LIMIT) && limit != Self::default().application_data_limit {
            self.notes.push(format!("{LIMIT}: no effect, server.applicationDataLimitCheck is off"));
        }
        if self.settings.front.read_idle < LEAST_IDLE {
            self.notes.push(
                "server.idleTimeout: below 15 s a client that has nothing to say may be cut off again and again: Java's \
                 send a byte about each 10 s, Go's each 5 s"
                    .to_owned(),
            );
        }
    }

    /// Both say who may come in. What they say together must not be less than one of them alone says.
    fn check_access_keys(&mut self, written: &Entries) -> Result<(), ConfigError> {
        let has_keys = !self.settings.front.access_keys.is_empty();
        match (self.check_auth, written.get(CHECK_AUTH)) {
            (Some(false), Some(entry)) if has_keys => {
                return Err(ConfigError::KeysUnchecked { origin: entry.origin.clone() });
            }
            // Java's default, and in many a file of its.
            (Some(true), _) if !has_keys => self.notes.push(format!(
                "{CHECK_AUTH}: no effect, server.accessKeys names nobody, so that everybody may register, as with \
                 Java's server; to have them checked write server.accessKeys = [\"group=key:secret\"]"
            )),
            _ => {}
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), ConfigError> {
        let (front, console) = (&self.settings.front, &self.settings.console);
        let Some(port) = console.port.filter(|port| *port != 0 && *port == front.port) else { return Ok(()) };
        let meets = |address: &std::net::IpAddr| {
            front
                .bind
                .iter()
                .any(|other| other == address || other.is_unspecified() || address.is_unspecified())
        };
        if console.bind.iter().any(meets) { Err(ConfigError::SamePort { port }) } else { Ok(()) }
    }
}

impl TlsFiles {
    fn settings(&self, keys: &str) -> Result<Option<TlsSettings>, ConfigError> {
        let incomplete = |given: &str, missing: &str| ConfigError::Incomplete {
            given: format!("{keys}.{given}"),
            missing: format!("{keys}.{missing}"),
        };
        match (&self.certificate, &self.key, &self.client_authorities) {
            (Some(certificate), Some(key), client_authorities) => Ok(Some(TlsSettings {
                certificate: certificate.clone(),
                key: key.clone(),
                client_authorities: client_authorities.clone(),
            })),
            (Some(_), None, _) => Err(incomplete("certificate", "key")),
            (None, Some(_), _) => Err(incomplete("key", "certificate")),
            (None, None, Some(_)) => Err(incomplete("clientAuthorities", "certificate")),
            (None, None, None) => Ok(None),
        }
    }
}
