//! What is counted and timed.

use seata_coordinator::driver::Observer;

/// All counters of this server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {}

impl Observer for Metrics {}
