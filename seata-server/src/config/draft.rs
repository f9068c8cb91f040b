//! Settings while they are read: what a key alone cannot decide is put together at the end.

use std::{path::PathBuf, time::Duration};

use seata_config::Entries;

use crate::{
    address,
    settings::{MAX_APPLICATION_DATA, Settings, TlsSettings},
};

use super::{ConfigError, Logging};

/// Java's key for whether clients are checked.
pub(super) const CHECK_AUTH: &str = "server.enableCheckAuth";

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
        }
    }
}

impl Draft {
    /// Puts together what several keys say; `written` is what stands somewhere.
    pub(super) fn finish(&mut self, written: &Entries) -> Result<(), ConfigError> {
        /// Of Java's Seata port above its HTTP port.
        const ABOVE: u16 = 1_000;
        let is_given = |key: &str| written.get(key).is_some();
        let settings = &mut self.settings;
        if let Some(port) = self.http_port {
            if !is_given("console.port") {
                settings.console.port = Some(port);
            }
            if !is_given("server.servicePort") {
                settings.front.port = if port == 0 { 0 } else { port + ABOVE };
            }
        }
        if !is_given("console.bind") {
            settings.console.bind.clone_from(&settings.front.bind);
        }
        if let Some(directory) = &self.directory {
            settings.store.directory.clone_from(directory);
        }
        let periods = self.retry_periods.iter().flatten();
        let coordinator = &mut settings.coordinator;
        coordinator.retry_period = periods.min().copied().unwrap_or(coordinator.retry_period);
        coordinator.max_retry_period = coordinator.max_retry_period.max(coordinator.retry_period);
        let limit = if self.application_data_limit_check {
            self.application_data_limit
        } else {
            MAX_APPLICATION_DATA
        };
        coordinator.max_application_data = limit;
        settings.front.tls = self.server_tls.settings("server.tls")?;
        settings.console.tls = self.console_tls.settings("console.tls")?;
        self.check_ports()?;
        self.check_access_keys(written)?;
        let host = address::advertised(&self.settings.front)?;
        self.settings.front.host = Some(host);
        Ok(())
    }

    /// Both say who may come in. What they say together must not be less than one of them alone says.
    fn check_access_keys(&self, written: &Entries) -> Result<(), ConfigError> {
        let has_keys = !self.settings.front.access_keys.is_empty();
        match (self.check_auth, written.get(CHECK_AUTH)) {
            (Some(check_auth), Some(entry)) if check_auth != has_keys => {
                let origin = entry.origin.clone();
                Err(if has_keys {
                    ConfigError::KeysUnchecked { origin }
                } else {
                    ConfigError::NoKeys { origin }
                })
            }
            _ => Ok(()),
        }
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
