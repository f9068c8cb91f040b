//! Ends the transactions whose futures were dropped, and probes the coordinator if that was asked for.
//!
//! A `Drop` can neither wait nor spawn: at runtime shutdown a spawned task never runs, and on a
//! thread without a runtime the spawn panics. So a transaction reserves a slot in this queue when it
//! begins, and its drop only fills that slot, which cannot fail. What is in the queue is read by one
//! task, which the client's owner runs and awaits at shutdown. If that task is gone, the coordinator's
//! time-out decides.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use seata_protocol::{GlobalStatus, Xid};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{CoordinationError, TransactionManager, backoff::Backoff, client::Settings, degrade::Probe};

/// How many dropped transactions are ended at the same time.
const CONCURRENT_ENDINGS: usize = 64;

/// How many failed transactions are watched at the same time; further ones are only logged.
const CONCURRENT_WATCHES: usize = 256;

/// One thing to be done after its starter has gone.
pub(crate) enum Job {
    /// The begin was sent, and its answer will find nobody: roll back what it brings.
    Begin(BoxFuture<'static, Result<Xid, CoordinationError>>, Duration),
    /// Never asked to end: roll back.
    Rollback(Xid, Instant),
    /// Asked to commit, without having seen the answer: ask until there is one.
    Commit(Xid, Instant),
    /// Ended badly: look from time to time, and say what becomes of it.
    Watch(Xid, Watch),
}

/// How a failed transaction is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The pause before each look.
    pub interval: Duration,
    /// How many looks are made before giving up.
    pub times: u32,
}

impl Default for Watch {
    /// A look each 10 s, for an hour.
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), times: 360 }
    }
}

/// Ends, in the background, the transactions whose futures were dropped.
///
/// It also probes the coordinator, if the client has a [`DegradeCheck`](crate::DegradeCheck).
///
/// The owner of a [`Client`](crate::Client) runs it as a task of its own. It ends after
/// [`Client::close`](crate::Client::close), as soon as every open transaction has ended. When it is
/// dropped instead, the client begins no more transactions, and those that are dropped from then on
/// are decided by the coordinator's time-out.
#[must_use = "dropped transactions are not rolled back before their time-out unless this runs"]
pub struct Finisher {
    jobs: mpsc::Receiver<Job>,
    closing: Arc<Notify>,
    /// How many endings are under way, for [`Client::open_transactions`](crate::Client::open_transactions).
    under_way: Arc<AtomicUsize>,
    probe: Option<Probe>,
    worker: Worker,
}

#[derive(Clone)]
struct Worker {
    transaction_manager: Arc<dyn TransactionManager>,
    request_timeout: Duration,
    retry_interval: Duration,
}

impl Finisher {
    pub(crate) fn new(
        jobs: mpsc::Receiver<Job>,
        closing: Arc<Notify>,
        under_way: Arc<AtomicUsize>,
        transaction_manager: Arc<dyn TransactionManager>,
        probe: Option<Probe>,
        settings: &Settings,
    ) -> Self {
        let worker = Worker {
            transaction_manager,
            request_timeout: settings.request_timeout,
            retry_interval: settings.retry_interval,
        };
        Self { jobs, closing, under_way, probe, worker }
    }

    /// Works until the client is closed and every open transaction has ended.
    pub async fn run(mut self) {
        let mut endings = JoinSet::new();
        let mut watches = JoinSet::new();
        // A task of its own, so that a panic in it is nobody else's; gone with this set.
        let mut probe = JoinSet::new();
        if let Some(check) = self.probe.take() {
            probe.spawn(check.run());
        }
        let mut closing = false;
        loop {
            self.under_way.store(endings.len(), Ordering::Relaxed);
            tokio::select! {
                job = self.jobs.recv(), if endings.len() < CONCURRENT_ENDINGS => match job {
                    None => break,
                    Some(Job::Watch(xid, watch)) if !closing => {
                        if watches.len() < CONCURRENT_WATCHES {
                            watches.spawn(self.worker.clone().watch(xid, watch));
                        } else {
                            tracing::warn!(%xid, "not watched: {CONCURRENT_WATCHES} others are");
                        }
                    }
                    Some(Job::Watch(..)) => {}
                    Some(job) => { endings.spawn(self.worker.clone().end(job)); }
                },
                Some(_) = endings.join_next() => {}
                Some(_) = watches.join_next() => {}
                () = self.closing.notified(), if !closing => {
                    // From here on nothing is begun, and `recv` gives `None` once no transaction is open.
                    self.jobs.close();
                    watches.abort_all();
                    probe.abort_all();
                    closing = true;
                }
            }
        }
        while endings.join_next().await.is_some() {
            self.under_way.store(endings.len(), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Finisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finisher").field("queued", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl Worker {
    async fn end(self, job: Job) {
        match job {
            Job::Begin(begin, limit) => match timeout(self.request_timeout, begin).await {
                Ok(Ok(xid)) => self.drive(xid, Ending::Rollback, Instant::now() + limit).await,
                Ok(Err(error)) => tracing::debug!(%error, "a dropped begin came to nothing"),
                Err(_) => tracing::warn!(
                    "a dropped begin got no answer; its time-out decides, if it came to anything"
                ),
            },
            Job::Rollback(xid, deadline) => self.drive(xid, Ending::Rollback, deadline).await,
            Job::Commit(xid, deadline) => self.drive(xid, Ending::Commit, deadline).await,
            Job::Watch(..) => unreachable!("the loop hands watches to `watch`"),
        }
    }

    /// Asks until there is an answer, or until the coordinator has decided by itself.
    async fn drive(self, xid: Xid, ending: Ending, deadline: Instant) {
        let mut backoff = Backoff::new(self.retry_interval);
        loop {
            let answer = timeout(self.request_timeout, async {
                match ending {
                    Ending::Commit => self.transaction_manager.commit(&xid).await,
                    Ending::Rollback => self.transaction_manager.rollback(&xid).await,
                }
            });
            let error = match answer.await {
                Ok(Ok(status)) => {
                    tracing::warn!(%xid, %status, asked = ?ending, "global transaction was dropped by its starter");
                    return;
                }
                Ok(Err(CoordinationError::UnknownTransaction { .. })) => {
                    tracing::warn!(%xid, asked = ?ending, "dropped global transaction is unknown to the coordinator");
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {:?}", self.request_timeout),
            };
            let pause = backoff.next();
            if Instant::now() + pause > deadline {
                tracing::error!(%xid, error, asked = ?ending, "dropped global transaction got no answer; its time-out decides");
                return;
            }
            sleep(pause).await;
        }
    }

    async fn watch(self, xid: Xid, watch: Watch) {
        let mut last = GlobalStatus::Unknown;
        for _ in 0..watch.times {
            sleep(watch.interval).await;
            match timeout(self.request_timeout, self.transaction_manager.status(&xid)).await {
                Ok(Ok(status)) if status.is_complete() || status == GlobalStatus::Finished => {
                    tracing::info!(%xid, %status, "global transaction has ended after all");
                    return;
                }
                Ok(Ok(status)) => {
                    last = status;
                    tracing::info!(%xid, %status, "global transaction has not ended yet");
                }
                Ok(Err(error)) => tracing::info!(%xid, %error, "could not ask for the status"),
                Err(_) => tracing::info!(%xid, "no answer when asked for the status"),
            }
        }
        tracing::error!(%xid, status = %last, "global transaction has not ended; it is watched no longer");
    }
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Commit,
    Rollback,
}
