//! Log lines on the standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Logging};

/// Starts to write. `RUST_LOG` goes before the configuration's level.
pub(super) fn start(logging: &Logging) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&logging.level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match logging.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
