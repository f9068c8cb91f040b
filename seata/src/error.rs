//! Why an application did not start, or did not end in order.

use std::time::Duration;

/// The longest application id in bytes: the width of `application_id` in Java's tables.
pub(crate) const MAX_APPLICATION_ID: usize = 32;

/// Why an application could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The application's name does not fit.
    #[error("an application id of {length} bytes is refused: 1 to {MAX_APPLICATION_ID} are allowed")]
    InvalidApplicationId {
        /// Its length in bytes.
        length: usize,
    },
    /// `start` was not awaited inside a tokio runtime.
    #[error("no tokio runtime here: start inside `#[tokio::main]` or `Runtime::block_on`")]
    NoRuntime,
    /// The embedded coordinator's data directory could not be opened.
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    Open(#[from] seata_coordinator::journal::OpenError),
    /// No coordinator's server can be used: the error names each of them and what came of it.
    /// [`SeataBuilder::check`](crate::SeataBuilder::check) looks closer.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    Connect(#[from] seata_client::ConnectError),
}

/// Why a shutdown was not complete. Everything acknowledged is safe; what is missing is done at the next
/// start, or at a time-out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Transactions that were begun here did not end in time.
    #[error(
        "global transactions still open after {limit:?}: {open}; the coordinator decides them: by the commit, if one \
         was sent, else it rolls back at the time-out, or at the next start of an embedded one"
    )]
    StillOpen {
        /// How many.
        open: usize,
        /// How long was waited.
        limit: Duration,
    },
    /// The embedded coordinator's store had failed.
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    Store(#[from] seata_coordinator::store::StoreError),
    /// Requests to a coordinator's server, or answers to it, were still under way.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    Remote(#[from] seata_client::ShutdownError),
}
