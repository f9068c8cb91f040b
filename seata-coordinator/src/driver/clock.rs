//! The time, as the driver sees it.

use std::{
    future::Future,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::record::Millis;

/// Where the driver gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. Never goes backwards within one process.
    fn now(&self) -> Millis;

    /// Returns so long after this call, not after its first poll.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// The computer's clock, read once; from then on it runs evenly, whoever sets the computer's.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    started_at: Millis,
}

impl SystemClock {
    /// The clock as it stands now.
    #[expect(clippy::new_without_default, reason = "two values made at different times differ")]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: millis(since_epoch) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        self.started_at + millis(self.started.elapsed())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
