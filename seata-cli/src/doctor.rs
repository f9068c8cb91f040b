//! `seata doctor`: walks the chain from a transaction group to a transaction, and names the link that broke.

mod json;

use std::{env, io, path::PathBuf, time::Duration};

use clap::Args;
use seata_client::{
    Credentials, Report, ServerAddress, Services, Settings, check,
    config::{Config, ConfigError, parse_duration},
};

use crate::{
    Outcome,
    terminal::{print, print_json},
};

/// Finds out why an application does not reach its Seata servers
///
/// Walks the chain that a client walks: group, cluster, address, TCP, handshake, registration as transaction
/// manager and as resource manager, and a transaction that is begun and rolled back. Names the link that
/// broke, the value found there, and what to do next.
#[derive(Args)]
pub(crate) struct Doctor {
    /// A server to look at, instead of those of the configuration; may be given several times
    /// [default without --config: 127.0.0.1:8091]
    #[arg(long = "server", value_name = "HOST:PORT")]
    servers: Vec<ServerAddress>,

    /// A client's configuration in TOML, under Java's key names; environment variables override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The transaction group [default: that of the configuration, else default_tx_group]
    #[arg(long)]
    group: Option<String>,

    /// The application to register as [default: that of the configuration, else seata-doctor]
    #[arg(long)]
    application: Option<String>,

    /// The access key, for servers that check it
    #[arg(long, value_name = "KEY", requires = "secret_key_env")]
    access_key: Option<String>,

    /// The environment variable that holds the secret key
    #[arg(long, value_name = "VAR", requires = "access_key")]
    secret_key_env: Option<String>,

    /// How long each step may take: 500ms, 5s, 1m [default: that of the configuration, else 5s]
    #[arg(long, value_name = "TIME", value_parser = step_limit)]
    timeout: Option<Duration>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoctorError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secret is not where it was said to be.
    #[error("--secret-key-env names {variable}, which is not set, or empty")]
    NoSecret { variable: String },
    /// The runtime does not start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// What is to be looked at.
struct Plan {
    application: String,
    group: String,
    settings: Settings,
}

const DEFAULT_SERVER: &str = "127.0.0.1:8091";
const DEFAULT_GROUP: &str = "default_tx_group";
const DEFAULT_APPLICATION: &str = "seata-doctor";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

impl Doctor {
    pub(crate) fn run(self) -> Result<Outcome, DoctorError> {
        let json = self.json;
        let Plan { application, group, settings } = self.plan()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(DoctorError::Runtime)?;
        let report = runtime.block_on(check(&application, &group, &settings));
        // A name service that still does not answer holds nobody up.
        runtime.shutdown_background();
        show(&report, json);
        Ok(if report.is_ok() { Outcome::Well } else { Outcome::NotWell })
    }

    fn plan(self) -> Result<Plan, DoctorError> {
        let mut plan = match &self.config {
            Some(path) => Plan::of(Config::read(path)?),
            None => Plan::default(),
        };
        if !self.servers.is_empty() {
            plan.settings.services = Services::servers(self.servers.iter().map(ToString::to_string));
        }
        if let (Some(access_key), Some(variable)) = (self.access_key, self.secret_key_env) {
            let secret_key = env::var(&variable).ok().filter(|secret| !secret.trim().is_empty());
            let secret_key = secret_key.ok_or(DoctorError::NoSecret { variable })?;
            plan.settings.credentials = Some(Credentials::new(access_key, secret_key));
        }
        if let Some(limit) = self.timeout {
            plan.limit_steps(limit);
        }
        plan.group = self.group.unwrap_or(plan.group);
        plan.application = self.application.unwrap_or(plan.application);
        Ok(plan)
    }
}

impl Default for Plan {
    fn default() -> Self {
        let mut plan = Self {
            application: DEFAULT_APPLICATION.to_owned(),
            group: DEFAULT_GROUP.to_owned(),
            settings: Settings::new(Services::servers([DEFAULT_SERVER])),
        };
        plan.limit_steps(DEFAULT_TIMEOUT);
        plan
    }
}

impl Plan {
    fn of(config: Config) -> Self {
        if !config.unused.is_empty() {
            eprintln!("warning: these keys have no effect on this client: {}", config.unused.join(", "));
        }
        Self {
            application: config.application_id.unwrap_or_else(|| DEFAULT_APPLICATION.to_owned()),
            group: config.tx_service_group,
            settings: config.settings,
        }
    }

    fn limit_steps(&mut self, limit: Duration) {
        self.settings.connect_timeout = limit;
        self.settings.transaction_request_timeout = limit;
    }
}

fn step_limit(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("a step needs some time".to_owned()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(error.to_string()),
    }
}

fn show(report: &Report, json: bool) {
    match json {
        true => print_json(&json::value(report), true),
        false => print(&format!("{report}\n")),
    }
}
