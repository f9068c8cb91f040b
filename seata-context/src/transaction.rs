//! One global transaction, in the hands of who began it or joined it.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use seata_protocol::{GlobalStatus, Xid};
use tokio::{
    sync::mpsc::OwnedPermit,
    time::{Instant, timeout},
};

use crate::{
    BeginRequest, Client, CoordinationError, NoScope, RootContext, Scope, TransactionError,
    TransactionOptions, backoff::Backoff, client::MAX_NAME_LENGTH, finisher::Job, hooks::HookList,
    scope::Binding,
};

/// The longest time-out: the wire carries milliseconds in 31 bits.
const MAX_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// One global transaction.
///
/// Who begins it is its *launcher* and ends it. Dropping an open one rolls it back in the background;
/// once [`commit`](Self::commit) has been called, dropping the future does not reverse it. Everybody
/// else who holds it is a *participant*, who can look but not end it.
///
/// `#[global_transactional]` and [`run`](crate::run) do all this by themselves; this is for code that
/// needs the steps one by one.
///
/// ```no_run
/// # async fn example(client: seata_context::Client) -> Result<(), seata_context::TransactionError> {
/// use seata_context::{GlobalTransaction, TransactionOptions};
///
/// client.scope(async {
///     let mut transaction = GlobalTransaction::begin(TransactionOptions::new("purchase")).await?;
///     // … work in the transaction …
///     transaction.commit().await?;
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[must_use = "a transaction that is dropped is rolled back"]
pub struct GlobalTransaction {
    client: Client,
    xid: Xid,
    role: Role,
}

enum Role {
    Launcher(Launcher),
    Participant,
}

struct Launcher {
    name: Cow<'static, str>,
    timeout: Duration,
    began: Instant,
    hooks: Arc<HookList>,
    guard: Guard,
    ended: Option<GlobalStatus>,
    /// Where `begin` bound it, to be unbound at the end.
    bound: Option<Scope>,
}

impl GlobalTransaction {
    /// Begins a transaction and binds it, with its client, in the caller's scope. Its propagation is not
    /// looked at.
    ///
    /// # Errors
    /// [`NoScope`](TransactionError::NoScope) outside any scope, [`AlreadyBound`](TransactionError::AlreadyBound)
    /// inside another transaction, and whatever keeps a transaction from being begun. Nothing is begun then.
    pub async fn begin(options: TransactionOptions) -> Result<Self, TransactionError> {
        let scope = Scope::current().ok_or(NoScope)?;
        if let Some(xid) = scope.xid() {
            return Err(TransactionError::AlreadyBound { xid });
        }
        let client = options.client.clone().map_or_else(Client::current, Ok)?;
        let lock_retry = options.lock_retry;
        let lock_strategy = options.lock_strategy;
        let mut transaction = Self::launch(client.clone(), options).await?;
        // What is looked up in the scope from now on is to reach the same coordinator.
        let mut scoped = Some(client);
        let Role::Launcher(launcher) = &mut transaction.role else { unreachable!("launch makes launchers") };
        {
            let mut binding = Binding {
                xid: Some(transaction.xid.clone()),
                hooks: Some(launcher.hooks.clone()),
                lock_retry,
                lock_strategy: lock_strategy.unwrap_or_default(),
                ..Binding::default()
            };
            let mut state = scope.state();
            // Somebody else in this scope may have bound one while the coordinator was asked.
            if let Some(xid) = state.transaction.xid.clone() {
                return Err(TransactionError::AlreadyBound { xid });
            }
            // What is replaced is dropped when the scope is no longer locked.
            std::mem::swap(&mut state.transaction, &mut binding);
            std::mem::swap(&mut state.client, &mut scoped);
        }
        launcher.bound = Some(scope);
        Ok(transaction)
    }

    /// The transaction that the caller runs in, as a participant sees it.
    ///
    /// # Errors
    /// [`NoClient`](crate::NoClient) when nothing says how to reach its coordinator.
    pub fn current() -> Result<Option<Self>, TransactionError> {
        let Some(xid) = RootContext::xid() else { return Ok(None) };
        Ok(Some(Self { client: Client::current()?, xid, role: Role::Participant }))
    }

    /// Begins a transaction without binding it anywhere.
    pub(crate) async fn launch(
        client: Client,
        options: TransactionOptions,
    ) -> Result<Self, TransactionError> {
        let length = options.name.len();
        if length == 0 || length > MAX_NAME_LENGTH {
            return Err(TransactionError::InvalidName { length });
        }
        let timeout = options.timeout.unwrap_or(client.settings().timeout);
        if timeout.as_millis() == 0 || timeout > MAX_TIMEOUT {
            return Err(TransactionError::InvalidTimeout { timeout });
        }
        let permit = reserve(&client).await?;
        let hooks = HookList::of(client.hooks().iter().cloned().chain(options.hooks));
        let name = options.name;
        hooks.each("before_begin", |hook| hook.before_begin(&name));
        let began = Instant::now();
        let begun = begin(&client, &name, timeout, permit).await;
        let (xid, permit) =
            begun.map_err(|cause| TransactionError::Begin { name: name.to_string(), cause })?;
        // From this line on a drop rolls back.
        let guard = Guard { permit: Some(permit), xid: xid.clone(), phase: Phase::Open, began, timeout };
        tracing::info!(%xid, %name, ?timeout, "global transaction begun");
        hooks.each("after_begin", |hook| hook.after_begin(&xid));
        let launcher = Launcher { name, timeout, began, hooks, guard, ended: None, bound: None };
        Ok(Self { client, xid, role: Role::Launcher(launcher) })
    }

    /// The transaction's name.
    pub fn xid(&self) -> &Xid {
        &self.xid
    }

    /// Whether it was begun here, and so can be ended here.
    pub fn is_launcher(&self) -> bool {
        matches!(self.role, Role::Launcher(_))
    }

    /// Decides to commit. On success the decision stands, and phase two is done or goes on by itself.
    ///
    /// Dropping the returned future before its first poll changes nothing; later, the commit is
    /// driven to its end in the background.
    ///
    /// # Errors
    /// [`TimedOut`](TransactionError::TimedOut) when the time-out had passed: it is rolled back instead.
    /// [`RolledBack`](TransactionError::RolledBack) and others when the coordinator had decided otherwise.
    /// [`CommitUnanswered`](TransactionError::CommitUnanswered) when no answer came: calling this again asks
    /// again, and after a drop it is asked on in the background.
    pub async fn commit(&mut self) -> Result<GlobalStatus, TransactionError> {
        let launcher = self.launcher()?;
        let is_first = launcher.guard.phase == Phase::Open;
        // A commit that may have arrived in time is not for the time-out to reverse.
        if is_first && launcher.is_late() {
            return Err(self.roll_back_late().await);
        }
        let (client, xid) = (self.client.clone(), self.xid.clone());
        let launcher = self.launcher()?;
        if is_first {
            launcher.hooks.each("before_commit", |hook| hook.before_commit(&xid));
        }
        launcher.guard.phase = Phase::CommitSent;
        let manager = client.transaction_manager();
        let attempts = client.settings().commit_attempts;
        let answer = ask(&client, attempts, || manager.commit(&xid)).await;
        let status = answer.map_err(|cause| TransactionError::CommitUnanswered {
            xid: xid.clone(),
            attempts,
            cause,
        })?;
        launcher.end(status);
        let outcome = judge_commit(status, &xid, launcher);
        if outcome.is_ok() {
            tracing::info!(%xid, %status, "global transaction is committed");
            launcher.hooks.each("after_commit", |hook| hook.after_commit(&xid));
        }
        outcome
    }

    /// Decides to roll back. On success the decision stands; the status says whether every branch is undone.
    /// `Finished` says that the time-out came first, and that the coordinator has forgotten the transaction since.
    ///
    /// # Errors
    /// [`CommitSent`](TransactionError::CommitSent) after a commit that got no answer: it is not taken back.
    /// [`RollbackFailed`](TransactionError::RollbackFailed) when a branch cannot be undone,
    /// [`RollbackUnanswered`](TransactionError::RollbackUnanswered) when no answer came.
    pub async fn rollback(&mut self) -> Result<GlobalStatus, TransactionError> {
        let (client, xid) = (self.client.clone(), self.xid.clone());
        let launcher = self.launcher()?;
        if launcher.guard.phase == Phase::CommitSent {
            return Err(TransactionError::CommitSent { xid });
        }
        launcher.hooks.each("before_rollback", |hook| hook.before_rollback(&xid));
        let manager = client.transaction_manager();
        let attempts = client.settings().rollback_attempts;
        let answer = ask(&client, attempts, || manager.rollback(&xid)).await;
        let status = answer.map_err(|cause| TransactionError::RollbackUnanswered {
            xid: xid.clone(),
            attempts,
            cause,
        })?;
        launcher.end(status);
        let outcome = judge_rollback(status, &xid, launcher);
        if outcome.is_ok() {
            tracing::info!(%xid, %status, "global transaction is rolled back");
            launcher.hooks.each("after_rollback", |hook| hook.after_rollback(&xid));
        }
        outcome
    }

    /// Where the transaction stands, as the coordinator says. `Finished` when it does not know it.
    ///
    /// # Errors
    /// [`Query`](TransactionError::Query) when the coordinator cannot be asked.
    pub async fn status(&self) -> Result<GlobalStatus, TransactionError> {
        self.ask_once(self.client.transaction_manager().status(&self.xid)).await
    }

    /// Tells the coordinator an outcome that was decided here (Saga).
    ///
    /// # Errors
    /// [`Query`](TransactionError::Query) when the coordinator cannot be told.
    pub async fn report(&self, status: GlobalStatus) -> Result<GlobalStatus, TransactionError> {
        self.ask_once(self.client.transaction_manager().report(&self.xid, status)).await
    }

    pub(crate) fn hooks(&self) -> Option<&Arc<HookList>> {
        match &self.role {
            Role::Launcher(launcher) => Some(&launcher.hooks),
            Role::Participant => None,
        }
    }

    /// The launcher of a transaction that has not ended.
    fn launcher(&mut self) -> Result<&mut Launcher, TransactionError> {
        let xid = &self.xid;
        match &mut self.role {
            Role::Participant => Err(TransactionError::NotLauncher { xid: xid.clone() }),
            Role::Launcher(Launcher { ended: Some(status), .. }) => {
                Err(TransactionError::AlreadyEnded { xid: xid.clone(), status: *status })
            }
            Role::Launcher(launcher) => Ok(launcher),
        }
    }

    async fn roll_back_late(&mut self) -> TransactionError {
        match self.rollback().await {
            Err(error) => error,
            Ok(status) => match &self.role {
                Role::Launcher(launcher) => launcher.timed_out(&self.xid, status),
                Role::Participant => unreachable!("only a launcher gets here"),
            },
        }
    }

    async fn ask_once(
        &self,
        call: BoxFuture<'_, Result<GlobalStatus, CoordinationError>>,
    ) -> Result<GlobalStatus, TransactionError> {
        let limit = self.client.settings().request_timeout;
        let answer = timeout(limit, call).await.unwrap_or_else(|_| Err(no_answer(limit)));
        answer.map_err(|cause| TransactionError::Query { xid: self.xid.clone(), cause })
    }
}

impl fmt::Debug for GlobalTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalTransaction")
            .field("xid", &self.xid)
            .field("is_launcher", &self.is_launcher())
            .finish_non_exhaustive()
    }
}

impl Launcher {
    fn is_late(&self) -> bool {
        self.began.elapsed() > self.timeout
    }

    /// The decision is known: nothing is left to a drop, and the scope is free for another one.
    fn end(&mut self, status: GlobalStatus) {
        self.ended = Some(status);
        self.guard.permit = None;
        self.unbind();
    }

    fn unbind(&mut self) {
        if let Some(scope) = self.bound.take() {
            // Declared first, and so dropped when the scope is no longer locked.
            let mut _unbound = Binding::default();
            let mut state = scope.state();
            if state.transaction.xid.as_ref() == Some(&self.guard.xid) {
                std::mem::swap(&mut state.transaction, &mut _unbound);
            }
        }
    }

    fn timed_out(&self, xid: &Xid, status: GlobalStatus) -> TransactionError {
        let (name, timeout) = (self.name.to_string(), self.timeout);
        TransactionError::TimedOut { xid: xid.clone(), name, timeout, status }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.unbind();
    }
}

/// Where a transaction was when its launcher was dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was decided: roll back.
    Open,
    /// A commit may have arrived: it is never reversed.
    CommitSent,
}

/// Hands an undecided transaction over to the finisher when it is dropped.
struct Guard {
    permit: Option<OwnedPermit<Job>>,
    xid: Xid,
    phase: Phase,
    began: Instant,
    timeout: Duration,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        // Some time after the time-out the coordinator has decided by itself.
        let deadline = self.began + self.timeout + Duration::from_secs(60);
        let xid = self.xid.clone();
        permit.send(match self.phase {
            Phase::Open => Job::Rollback(xid, deadline),
            Phase::CommitSent => Job::Commit(xid, deadline),
        });
    }
}

/// A begin that has been sent. Dropped before the answer, the rest is the finisher's.
struct Beginning {
    call: Option<BoxFuture<'static, Result<Xid, CoordinationError>>>,
    permit: Option<OwnedPermit<Job>>,
    timeout: Duration,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let (Some(call), Some(permit)) = (self.call.take(), self.permit.take()) {
            permit.send(Job::Begin(call, self.timeout));
        }
    }
}

/// A place among the open transactions, and with it the slot that a drop needs.
async fn reserve(client: &Client) -> Result<OwnedPermit<Job>, TransactionError> {
    let place = client.jobs().clone().reserve_owned();
    match timeout(client.settings().request_timeout, place).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) => Err(TransactionError::ShuttingDown),
        Err(_) => Err(TransactionError::TooManyOpen { open: client.settings().max_open }),
    }
}

async fn begin(
    client: &Client,
    name: &str,
    transaction_timeout: Duration,
    permit: OwnedPermit<Job>,
) -> Result<(Xid, OwnedPermit<Job>), CoordinationError> {
    let request = BeginRequest { name: name.to_owned(), timeout: transaction_timeout };
    let manager = client.transaction_manager().clone();
    let mut beginning = Beginning {
        call: Some(Box::pin(async move { manager.begin(request).await })),
        permit: Some(permit),
        timeout: transaction_timeout,
    };
    let limit = client.settings().request_timeout;
    let call = beginning.call.as_mut().expect("it was put there above");
    // On time-out `beginning` is dropped with its call, whose late answer is then rolled back.
    let answer = timeout(limit, call).await.map_err(|_| no_answer(limit))?;
    beginning.call = None;
    let permit = beginning.permit.take().expect("it was put there above");
    answer.map(|xid| (xid, permit))
}

/// Asks up to `attempts` times, with pauses, until there is an answer. A transaction that the coordinator
/// does not know is `Finished`, however it says so.
async fn ask<'a, F>(client: &Client, attempts: u32, mut call: F) -> Result<GlobalStatus, CoordinationError>
where
    F: FnMut() -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>>,
{
    let limit = client.settings().request_timeout;
    let mut backoff = Backoff::new(client.settings().retry_interval);
    let mut attempt = 1;
    loop {
        let answer = timeout(limit, call()).await.unwrap_or_else(|_| Err(no_answer(limit)));
        match answer {
            Err(CoordinationError::UnknownTransaction { .. }) => return Ok(GlobalStatus::Finished),
            Err(error) if attempt < attempts => {
                tracing::warn!(%error, attempt, attempts, "the coordinator did not answer; asking again");
            }
            last => return last,
        }
        attempt += 1;
        tokio::time::sleep(backoff.next()).await;
    }
}

fn no_answer(limit: Duration) -> CoordinationError {
    CoordinationError::Unreachable { reason: format!("no answer within {limit:?}") }
}

/// Whether this answer to a commit says that the decision to commit stands.
pub(crate) fn is_committed(status: GlobalStatus) -> bool {
    use GlobalStatus::*;
    matches!(status, Committed | Committing | CommitRetrying | AsyncCommitting)
}

/// What an answer to a commit means. Java takes everything it does not know for success.
fn judge_commit(
    status: GlobalStatus,
    xid: &Xid,
    launcher: &Launcher,
) -> Result<GlobalStatus, TransactionError> {
    use GlobalStatus::*;
    let xid = xid.clone();
    match status {
        status if is_committed(status) => Ok(status),
        CommitFailed | CommitRetryTimeout | StopCommitOrCommitRetry => {
            Err(TransactionError::CommitFailed { xid, status })
        }
        status if status.is_timeout() => Err(launcher.timed_out(&xid, status)),
        status if status.is_rollback() => Err(TransactionError::RolledBack { xid, status }),
        Finished => Err(TransactionError::Unknown { xid }),
        _ => Err(TransactionError::UnexpectedStatus { xid, status }),
    }
}

fn judge_rollback(
    status: GlobalStatus,
    xid: &Xid,
    launcher: &Launcher,
) -> Result<GlobalStatus, TransactionError> {
    use GlobalStatus::*;
    let xid = xid.clone();
    match status {
        RollbackFailed | TimeoutRollbackFailed | RollbackRetryTimeout | StopRollbackOrRollbackRetry => {
            Err(TransactionError::RollbackFailed { xid, status })
        }
        status if status.is_rollback() => Ok(status),
        // Nobody asked for a commit, so it ended at its time-out; Java's server then forgets it.
        Finished if launcher.is_late() => Ok(status),
        Finished => Err(TransactionError::Unknown { xid }),
        _ => Err(TransactionError::UnexpectedStatus { xid, status }),
    }
}
