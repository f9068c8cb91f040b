//! Business first: without a working coordinator, annotated functions run without a transaction.
//!
//! ```text
//!             `allowed_times` probes fail in a row
//!    Normal ───────────────────────────────────────▶ Degraded
//!           ◀───────────────────────────────────────
//!            `allowed_times` probes succeed in a row
//! ```
//!
//! A probe begins a transaction and commits it. No branch can ever join it, because nobody else learns
//! its XID; so one that is given up half-way needs nobody to end it, and its time-out removes it.

use std::{sync::Arc, time::Duration};

use seata_protocol::GlobalStatus;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{BeginRequest, CoordinationError, TransactionManager, transaction::is_committed};

/// What operators see a probe as. Java's name for it.
const PROBE_NAME: &str = "degradeCheck";

/// A shorter period would take any slow answer for a failure.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// A longer one does not fit into the probe's own time-out, whose milliseconds the wire carries in 31 bits.
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// How a coordinator is probed, and how often a probe may fail before annotated functions run without a
/// transaction (Java: `client.tm.degradeCheck`).
///
/// It trades consistency for availability: what runs while degraded is neither rolled back as a whole
/// nor isolated by global locks. So it is off unless [`ClientBuilder::degrade_check`] asks for it.
///
/// [`ClientBuilder::degrade_check`]: crate::ClientBuilder::degrade_check
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DegradeCheck {
    /// The time from one probe to the next, and the longest that a probe may take: an answer that is
    /// not there when the next probe is due has failed. Taken into 100 ms to 24 h. Default: 2 s.
    pub period: Duration,
    /// How many probes in a row have to fail before transactions are switched off, and how many have to
    /// succeed before they are on again; at least 1. Default: 10.
    pub allowed_times: u32,
}

impl Default for DegradeCheck {
    fn default() -> Self {
        Self { period: Duration::from_secs(2), allowed_times: 10 }
    }
}

/// Whether a client begins transactions, or runs annotated functions without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Degradation {
    /// Transactions are begun as ever.
    #[default]
    Normal,
    /// Annotated functions run without a transaction.
    Degraded {
        /// How many probes had failed in a row when it came to this.
        failures: u32,
        /// What the last of them met.
        cause: CoordinationError,
    },
}

impl Degradation {
    /// Whether annotated functions run without a transaction.
    pub fn is_degraded(&self) -> bool {
        matches!(self, Self::Degraded { .. })
    }
}

/// Probes a coordinator for as long as it runs. Whoever begins transactions reads what it finds.
pub(crate) struct Probe {
    check: DegradeCheck,
    transaction_manager: Arc<dyn TransactionManager>,
    state: watch::Sender<Degradation>,
    /// How many of the last probes in a row speak against the present state.
    against: u32,
}

impl Probe {
    pub(crate) fn new(
        check: DegradeCheck,
        transaction_manager: Arc<dyn TransactionManager>,
        state: watch::Sender<Degradation>,
    ) -> Self {
        let check = DegradeCheck {
            period: check.period.clamp(SHORTEST_PERIOD, LONGEST_PERIOD),
            allowed_times: check.allowed_times.max(1),
        };
        Self { check, transaction_manager, state, against: 0 }
    }

    pub(crate) async fn run(mut self) {
        let period = self.check.period;
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = timeout(period, self.probe()).await.unwrap_or_else(|_| {
                Err(CoordinationError::Unreachable { reason: format!("no answer within {period:?}") })
            });
            self.count(found);
        }
    }

    async fn probe(&self) -> Result<(), CoordinationError> {
        // A remote coordinator's begin waits for a server no longer than this. Its error, which names the
        // server, is to be there before the probe is given up.
        let timeout = self.check.period * 3 / 4;
        let request = BeginRequest { name: PROBE_NAME.to_owned(), timeout };
        let xid = self.transaction_manager.begin(request).await?;
        match self.transaction_manager.commit(&xid).await? {
            status if is_committed(status) => Ok(()),
            GlobalStatus::Finished => Err(CoordinationError::UnknownTransaction { xid }),
            status => Err(CoordinationError::NotActive { xid, status }),
        }
    }

    fn count(&mut self, found: Result<(), CoordinationError>) {
        let is_degraded = self.state.borrow().is_degraded();
        if found.is_ok() != is_degraded {
            self.against = 0;
            return;
        }
        self.against += 1;
        if let Err(error) = &found {
            tracing::debug!(%error, failures = self.against, "a probe of the coordinator failed");
        }
        if self.against < self.check.allowed_times {
            return;
        }
        let times = std::mem::take(&mut self.against);
        self.state.send_replace(match found {
            Ok(()) => {
                tracing::warn!(
                    successes = times,
                    "the coordinator works again: global transactions are switched on"
                );
                Degradation::Normal
            }
            Err(cause) => {
                tracing::error!(
                    failures = times,
                    error = %cause,
                    "the coordinator does not work: annotated functions run WITHOUT a global transaction"
                );
                Degradation::Degraded { failures: times, cause }
            }
        });
    }
}
