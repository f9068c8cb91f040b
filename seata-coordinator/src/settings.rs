//! What can be set, and to what it is set unless told otherwise.

use std::time::Duration;

use crate::session::RetryLimits;

/// How a coordinator behaves. Every field has a default that suits an application's own process.
///
/// A running coordinator takes new ones ([`Driver::reconfigure`](crate::driver::Driver::reconfigure)), except
/// for `address`, `history`, `ids_per_block`, `inbox` and `events`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `host` and `port` in the XIDs given out: where a server can be reached. Default: the store's own
    /// identity (`tc-5f3a9c1e`) and port 0, which says that it does not listen. Change it only when nothing is open: the XIDs of the old address are
    /// not known any more, and their transactions end by their time-outs.
    pub address: Option<(String, u16)>,
    /// How late a time-out may be noticed. Shorter costs idle wake-ups. Default: 200 ms.
    pub timeout_check_period: Duration,
    /// The pause before a branch that could not finish is asked again; it doubles from try to try, and up
    /// to half of it is added at random. Default: 1 s.
    pub retry_period: Duration,
    /// What that pause grows to at most. Default: 60 s.
    pub max_retry_period: Duration,
    /// After how long phase two is given up and the transaction parked. Default: never.
    pub retry_limits: RetryLimits,
    /// How long a resource may take to answer in phase two before it is asked again. Default: 15 s.
    pub call_limit: Duration,
    /// How long a commit or rollback request waits for phase two; the transaction goes on either way.
    /// Default: 18 s, which is above `call_limit` and below the 20 s after which a client in Go gives a request up; one
    /// in Java does after 30 s.
    pub answer_limit: Duration,
    /// How many calls one resource gets at a time. Default: 8.
    pub calls_per_resource: usize,
    /// How many AT commits are handed to a resource together. Default: 256.
    pub commits_per_call: usize,
    /// Of how many ended transactions the outcome is kept. About 90 bytes each, and its reason. Default: 65 536.
    pub history: usize,
    /// How many numbers are taken from the store at once. A journal keeps some blocks ahead of need, which a restart
    /// leaves out. Default: 16 384.
    pub ids_per_block: u32,
    /// The longest application data of a branch, in bytes. Default: 64 000, as in Java.
    pub max_application_data: usize,
    /// How many rows one branch may lock. Default: 100 000.
    pub max_locks: usize,
    /// How many branches one global transaction may have; those of a Saga's compensation may come on top.
    /// Default: 10 000.
    pub max_branches: usize,
    /// How many registrations may wait for rows that others hold; a further one is told of the conflict at
    /// once. Default: 10 000.
    pub max_waiters: usize,
    /// How many of them may be of one client, told apart as [`BranchRequest::client`] names it; those of this
    /// process are not counted. Default: 1 000.
    ///
    /// [`BranchRequest::client`]: crate::driver::BranchRequest::client
    pub max_waiters_per_client: usize,
    /// How many rows they may wait for together. One whose table and key are longer than 256 bytes counts as one
    /// more for each further 256. Default: 200 000.
    pub max_waiting_rows: usize,
    /// How many commit and rollback requests may be on their way to phase two. Default: 4 096.
    pub inbox: usize,
    /// How many events a slow subscriber may lag behind before it loses the oldest. Default: 1 024.
    pub events: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: None,
            timeout_check_period: Duration::from_millis(200),
            retry_period: Duration::from_secs(1),
            max_retry_period: Duration::from_secs(60),
            retry_limits: RetryLimits::default(),
            call_limit: Duration::from_secs(15),
            answer_limit: Duration::from_secs(18),
            calls_per_resource: 8,
            commits_per_call: 256,
            history: 65_536,
            ids_per_block: 16_384,
            max_application_data: 64_000,
            max_locks: 100_000,
            max_branches: 10_000,
            max_waiters: 10_000,
            max_waiters_per_client: 1_000,
            max_waiting_rows: 200_000,
            inbox: 4_096,
            events: 1_024,
        }
    }
}
