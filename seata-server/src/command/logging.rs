//! Log lines on the standard error.

use seata_config::value::ValueError;
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{LogFormat, Logging, log_level};

/// The log of this process.
#[derive(Debug)]
pub(super) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Starts to write.
    pub(super) fn start(logging: &Logging) -> Result<Self, ValueError> {
        let (filter, handle) = reload::Layer::new(log_level::filter(&logging.level)?);
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
        let registry = tracing_subscriber::registry().with(filter);
        let started = match logging.format {
            LogFormat::Text => registry.with(lines).try_init(),
            LogFormat::Json => registry.with(lines.json()).try_init(),
        };
        // Somebody else in this process writes the log: theirs goes on.
        drop(started);
        Ok(Self { filter: handle })
    }

    /// Goes on with another level.
    pub(super) fn set_level(&self, level: &str) -> Result<(), ValueError> {
        // Only a subscriber that is gone cannot be changed.
        let _ = self.filter.reload(log_level::filter(level)?);
        Ok(())
    }
}
