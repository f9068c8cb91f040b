//! The one way in which an annotated function runs.
//!
//! ```text
//!   propagation    caller in a transaction            caller in none
//!   Required       join it                            begin one
//!   RequiresNew    suspend it, begin another          begin one
//!   NotSupported   suspend it, run outside            run outside
//!   Supports       join it                            run outside
//!   Never          error, the body is not run         run outside
//!   Mandatory      join it                            error, the body is not run
//! ```
//!
//! While the coordinator is found not to work ([`DegradeCheck`](crate::DegradeCheck)), the body runs
//! outside any transaction wherever the table says "begin" or "error" for want of one. A caller's
//! transaction is joined all the same: leaving it would let its other parts commit without this one.
//!
//! Whatever is done, the body runs in a scope of its own. Suspending takes everything: the XID, the
//! branch type, the lock flag and the hooks.

use std::future::Future;

use seata_protocol::{GlobalStatus, Xid};
use tokio::sync::mpsc::error::TrySendError;
use tracing::Instrument as _;

use crate::{
    Client, Failure, GlobalTransaction, LockRetry, OnError, Propagation, RootContext, Snapshot,
    TransactionError, TransactionOptions, finisher::Job,
};

/// Runs `body` as a global transaction, or as a part of one. This is what
/// `#[global_transactional]` expands to.
///
/// `Ok` commits. An `Err` for which `rule` says [`OnError::Rollback`], a panic and a drop of the
/// returned future roll back. The transaction is begun at the first poll. When the caller's
/// transaction is joined, nothing is ended here: whoever began it sees the error if it is passed on.
///
/// # Errors
/// The body's own error whenever the transaction is rolled back because of it. An error made from
/// [`TransactionError`] when the transaction could not be begun or did not commit, or when the
/// propagation forbids the call. Never for want of a coordinator while the client is
/// [degraded](Client::degraded): the body then runs without a transaction, and nothing is rolled back.
/// A rollback that fails is reported to the client's
/// [`FailureHandler`](crate::FailureHandler), and the caller gets the body's error.
///
/// ```no_run
/// # async fn example(client: seata_context::Client) -> Result<(), seata_context::TransactionError> {
/// use seata_context::{OnError, TransactionOptions, run};
///
/// let options = TransactionOptions::new("purchase").client(client);
/// run(options, |_error| OnError::Rollback, async {
///     // … work in the transaction …
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub async fn run<T, E, F, R>(options: TransactionOptions, rule: R, body: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: From<TransactionError>,
    R: FnOnce(&E) -> OnError,
{
    let mut outer = RootContext::capture();
    if let Some(client) = &options.client {
        outer = outer.with_client(client.clone());
    }
    let existing = outer.xid().cloned();
    match (options.propagation, existing) {
        (Propagation::Never, Some(xid)) => {
            Err(TransactionError::Never { name: options.name.into_owned(), xid }.into())
        }
        // Its caller may run without a transaction for the same reason.
        (Propagation::Mandatory, None) if is_degraded(&outer) => outer.scope(body).await,
        (Propagation::Mandatory, None) => {
            Err(TransactionError::Mandatory { name: options.name.into_owned() }.into())
        }
        (Propagation::Required | Propagation::Supports | Propagation::Mandatory, Some(xid)) => {
            tracing::debug!(%xid, name = %options.name, "joins a global transaction");
            join(outer, options).scope(body).await
        }
        (Propagation::NotSupported, Some(_)) => outer.suspended().scope(body).await,
        (Propagation::NotSupported | Propagation::Supports | Propagation::Never, None) => {
            outer.scope(body).await
        }
        (Propagation::RequiresNew, _) | (Propagation::Required, None) => {
            launch(outer, options, rule, body).await
        }
    }
}

/// Runs `body` so that its reads and writes outside a global transaction respect the row locks of
/// those inside one. This is what `#[global_lock]` expands to. Inside a global transaction only the
/// lock settings change. Outside one, while the client is [degraded](Client::degraded), nobody can be
/// asked for locks, and the body runs as if it had not been annotated.
pub async fn run_with_global_lock<F: Future>(retry: LockRetry, body: F) -> F::Output {
    let mut snapshot = RootContext::capture();
    if snapshot.xid().is_none() && is_degraded(&snapshot) {
        tracing::debug!("runs without global locks: the coordinator does not work");
        return snapshot.scope(body).await;
    }
    snapshot.0.transaction.global_lock = Some(retry);
    if snapshot.xid().is_some() {
        snapshot.0.transaction.lock_retry = over(retry, snapshot.0.transaction.lock_retry);
    }
    snapshot.scope(body).await
}

/// Whether the client that would begin a transaction here runs without for the time being.
fn is_degraded(outer: &Snapshot) -> bool {
    match &outer.0.client {
        Some(client) => client.degraded(),
        None => Client::current().is_ok_and(|client| client.degraded()),
    }
}

/// What a participant's scope starts with: the caller's, but for the settings that it names itself.
fn join(mut outer: Snapshot, options: TransactionOptions) -> Snapshot {
    let binding = &mut outer.0.transaction;
    binding.lock_retry = over(options.lock_retry, binding.lock_retry);
    binding.lock_strategy = options.lock_strategy.unwrap_or(binding.lock_strategy);
    outer
}

fn over(own: LockRetry, outer: LockRetry) -> LockRetry {
    LockRetry { interval: own.interval.or(outer.interval), times: own.times.or(outer.times) }
}

async fn launch<T, E, F, R>(outer: Snapshot, options: TransactionOptions, rule: R, body: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: From<TransactionError>,
    R: FnOnce(&E) -> OnError,
{
    let client = match outer.0.client.clone() {
        Some(client) => client,
        None => Client::current().map_err(TransactionError::from)?,
    };
    if client.degraded() {
        tracing::debug!(name = %options.name, "runs without a global transaction: the coordinator does not work");
        return outer.suspended().scope(body).await;
    }
    let (lock_retry, lock_strategy) = (options.lock_retry, options.lock_strategy);
    let (name, own_hooks) = (options.name.clone(), options.hooks.clone());
    let mut transaction = match GlobalTransaction::launch(client.clone(), options).await {
        Ok(transaction) => transaction,
        Err(error) => {
            client.failure_handler().handle(&Failure::Begin { name: &name, error: &error });
            let hooks = crate::hooks::HookList::of(client.hooks().iter().cloned().chain(own_hooks));
            hooks.each("after_completion", |hook| hook.after_completion(None));
            return Err(error.into());
        }
    };
    let xid = transaction.xid().clone();
    let mut inner = outer.with_xid(xid.clone()).with_client(client.clone());
    let binding = &mut inner.0.transaction;
    (binding.lock_retry, binding.lock_strategy) = (lock_retry, lock_strategy.unwrap_or_default());
    binding.hooks = transaction.hooks().cloned();

    // The span carries the XID under our name and under the one that Java's log patterns use.
    let span = tracing::info_span!("global_transaction", %xid, "X-TX-XID" = %xid, %name);
    let result = inner.scope(body.instrument(span)).await;
    let result = end(&client, &mut transaction, rule, result).await;
    if let Some(hooks) = transaction.hooks() {
        hooks.each("after_completion", |hook| hook.after_completion(Some(&xid)));
    }
    result
}

/// Commits or rolls back as the body's result says, and gives what the caller is to see.
async fn end<T, E, R>(
    client: &Client,
    transaction: &mut GlobalTransaction,
    rule: R,
    result: Result<T, E>,
) -> Result<T, E>
where
    E: From<TransactionError>,
    R: FnOnce(&E) -> OnError,
{
    let xid = transaction.xid().clone();
    if let Err(error) = &result
        && rule(error) == OnError::Rollback
    {
        match transaction.rollback().await {
            Err(error) => tell(client, &Failure::Rollback { xid: &xid, error: &error }),
            Ok(status) => still_rolling_back(client, &xid, status),
        }
        return result;
    }
    match transaction.commit().await {
        Ok(_) => result,
        Err(error) => {
            match &error {
                TransactionError::TimedOut { status, .. } | TransactionError::RolledBack { status, .. } => {
                    still_rolling_back(client, &xid, *status);
                }
                TransactionError::RollbackFailed { .. } | TransactionError::RollbackUnanswered { .. } => {
                    tell(client, &Failure::Rollback { xid: &xid, error: &error });
                }
                _ => tell(client, &Failure::Commit { xid: &xid, error: &error }),
            }
            Err(error.into())
        }
    }
}

fn still_rolling_back(client: &Client, xid: &Xid, status: GlobalStatus) {
    // One that is forgotten has nothing left either.
    if !status.is_complete() && status != GlobalStatus::Finished {
        tell(client, &Failure::Rollbacking { xid, status });
    }
}

fn tell(client: &Client, failure: &Failure<'_>) {
    let Some((watch, xid)) = client.failure_handler().handle(failure).zip(failure.xid()) else { return };
    // A full queue means that thousands of transactions are open: a watch more would not help.
    if let Err(error) = client.jobs().try_send(Job::Watch(xid.clone(), watch)) {
        let why = match error {
            TrySendError::Full(_) => "too many transactions are open",
            TrySendError::Closed(_) => "the client is shutting down",
        };
        tracing::warn!(%xid, why, "not watched");
    }
}
