//! Settings from a file, the environment and flags.

use std::path::PathBuf;

use crate::settings::{Settings, StoreKind};

/// What a configuration says.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// For the server.
    pub settings: Settings,
    /// For its log.
    pub logging: Logging,
}

/// How the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// What is written, as `RUST_LOG` says it. Default: `info`.
    pub level: String,
    /// Default: text.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Where to read from, beside the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Flag, key and value; they go before everything else.
    pub flags: Vec<(&'static str, String, String)>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is not of the kind that its key takes.
    #[error("{key} is {value:?} ({origin}): expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Where it stands.
        origin: String,
        /// What would do.
        expected: String,
    },
}

impl Config {
    /// Reads the sources.
    ///
    /// # Errors
    /// [`ConfigError`] names the key, the value, where it stands and what was expected.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let settings = &mut config.settings;
        for (flag, key, value) in &sources.flags {
            let refused = |expected: &str| ConfigError::Value {
                key: key.clone(),
                value: value.clone(),
                origin: (*flag).to_owned(),
                expected: expected.to_owned(),
            };
            match key.as_str() {
                "server.bind" => {
                    let addresses = value.split(',').map(|text| text.trim().parse());
                    settings.front.bind =
                        addresses.collect::<Result<_, _>>().map_err(|_| refused("addresses"))?;
                    settings.console.bind.clone_from(&settings.front.bind);
                }
                "server.host" => settings.front.host = Some(value.clone()),
                "server.servicePort" => {
                    settings.front.port = value.parse().map_err(|_| refused("a port"))?;
                }
                "console.port" => {
                    settings.console.port = Some(value.parse().map_err(|_| refused("a port"))?);
                }
                "store.directory" => settings.store.directory = value.into(),
                "store.mode" => {
                    settings.store.kind = match value.as_str() {
                        "journal" | "file" => StoreKind::Journal,
                        "memory" => StoreKind::Memory,
                        _ => return Err(refused("journal or memory")),
                    };
                }
                _ if value == "json" => config.logging.format = LogFormat::Json,
                _ => {}
            }
        }
        Ok(config)
    }
}
