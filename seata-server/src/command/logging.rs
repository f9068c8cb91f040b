//! Log lines on the standard error.

use tracing_subscriber::{
    EnvFilter, Registry, filter::ParseError, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Logging};

/// The log of this process.
#[derive(Debug)]
pub(super) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// The level is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "logging.level is {level:?}: expected error, warn, info, debug, trace, or a list such as info,seata_server=debug \
     ({source})"
)]
pub(super) struct LevelError {
    level: String,
    source: ParseError,
}

impl Log {
    /// Starts to write.
    pub(super) fn start(logging: &Logging) -> Result<Self, LevelError> {
        let (filter, handle) = reload::Layer::new(filter(&logging.level)?);
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
    pub(super) fn set_level(&self, level: &str) -> Result<(), LevelError> {
        // Only a subscriber that is gone cannot be changed.
        let _ = self.filter.reload(filter(level)?);
        Ok(())
    }
}

fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    EnvFilter::builder().parse(level).map_err(|source| LevelError { level: level.to_owned(), source })
}
