//! A coordinator on servers of its own: described, checked, connected.

use std::time::Duration;

use seata_client::{ConnectError, RemoteCoordinator, Report, Services, Settings};

/// How a remote coordinator is described.
#[derive(Default)]
pub(crate) struct Servers {
    /// If there are any, they stand in for the services of the settings.
    addresses: Vec<String>,
    settings: Option<Settings>,
    /// Whatever the settings say.
    starts_without: bool,
}

/// A remote coordinator that a client can use.
pub(crate) struct Connected {
    pub(crate) coordinator: RemoteCoordinator,
    application: String,
    group: String,
    settings: Settings,
}

impl Servers {
    pub(crate) fn add(&mut self, address: String) {
        self.addresses.push(address);
    }

    pub(crate) fn set(&mut self, settings: Settings) {
        self.settings = Some(settings);
    }

    pub(crate) fn start_without(&mut self) {
        self.starts_without = true;
    }

    pub(crate) async fn connect(&self, application: &str, group: &str) -> Result<Connected, ConnectError> {
        let settings = self.settings();
        let coordinator = RemoteCoordinator::connect(application, group, settings.clone()).await?;
        let (application, group) = (application.to_owned(), group.to_owned());
        Ok(Connected { coordinator, application, group, settings })
    }

    pub(crate) async fn check(&self, application: &str, group: &str) -> Report {
        seata_client::check(application, group, &self.settings()).await
    }

    fn settings(&self) -> Settings {
        let named = Services::servers(&self.addresses);
        let mut settings = match &self.settings {
            None => Settings::new(named),
            Some(settings) if self.addresses.is_empty() => settings.clone(),
            Some(settings) => {
                let mut settings = settings.clone();
                settings.services = named;
                settings
            }
        };
        settings.start_without_server |= self.starts_without;
        settings
    }
}

impl Connected {
    /// Longer than any request of the coordinator's own takes: its errors name the server.
    pub(crate) fn request_timeout(&self) -> Duration {
        const MARGIN: Duration = Duration::from_secs(1);
        let Settings { wait_for_server, transaction_request_timeout, .. } = &self.settings;
        wait_for_server.saturating_add(*transaction_request_timeout).saturating_add(MARGIN)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        self.coordinator.servers().into_iter().map(|server| server.address.to_string())
    }

    pub(crate) async fn check(&self) -> Report {
        seata_client::check(&self.application, &self.group, &self.settings).await
    }
}
