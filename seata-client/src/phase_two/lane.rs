//! The calls for one resource: queued, joined with their repetitions, and run side by side.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all};
use seata_context::{BranchAnswer, BranchTask, Resource};
use seata_protocol::{BranchType, ResourceId};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::Instrument as _;

use super::{Asker, Kind, Request};

/// A server that asks once more no longer waits for its earlier questions, so only the latest are answered.
const MAX_ASKERS: usize = 8;

/// The most commits that are handed to a resource at once.
const MAX_BATCH: usize = 1000;

/// The calls for one resource.
pub(super) struct Lane {
    id: ResourceId,
    branch_type: BranchType,
    resource: Mutex<Arc<dyn Resource>>,
    waiting: Mutex<Waiting>,
    arrived: Notify,
    limits: Limits,
    under_way: watch::Sender<usize>,
}

/// What is allowed to the calls for one resource.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How many run at the same time.
    pub(super) concurrency: usize,
    /// How many wait.
    pub(super) queue: usize,
    /// How long one may take.
    pub(super) call: Duration,
}

#[derive(Default)]
struct Waiting {
    commits: VecDeque<Request>,
    rollbacks: VecDeque<Request>,
    /// Of both kinds, neither waits behind all of the other.
    is_turn_of_commits: bool,
    /// The age in days from which undo logs are to be deleted.
    undo_logs: Option<u16>,
    /// Who asked, for each request that is queued or runs.
    askers: HashMap<Request, Vec<Asker>>,
}

/// What is run at one go.
enum Job {
    One(Request),
    /// More than one.
    Commits(Vec<Request>),
    DeleteUndoLogs(u16),
}

impl Lane {
    pub(super) fn new(resource: Arc<dyn Resource>, limits: Limits, under_way: watch::Sender<usize>) -> Self {
        Self {
            id: resource.id().clone(),
            branch_type: resource.branch_type(),
            resource: Mutex::new(resource),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            limits,
            under_way,
        }
    }

    pub(super) fn branch_type(&self) -> BranchType {
        self.branch_type
    }

    /// What is called from now on. Calls that run go on with the one before.
    pub(super) fn replace(&self, resource: Arc<dyn Resource>) {
        let mut place = self.resource.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *place, resource);
        // A resource's drop is code of its own, not to be run under the lock.
        drop(place);
        drop(replaced);
    }

    /// Queues a call, or lets it share the answer of the same call that is under way.
    pub(super) fn offer(&self, request: Request, asker: Asker) -> Result<(), (Asker, String)> {
        let mut waiting = self.waiting();
        if let Some(askers) = waiting.askers.get_mut(&request) {
            if askers.len() == MAX_ASKERS {
                askers.remove(0);
            }
            askers.push(asker);
            let Request { kind, xid, branch, .. } = &request;
            tracing::warn!(%xid, %branch, resource = %self.id, ?kind, "asked again for what is still under way");
            return Ok(());
        }
        if waiting.commits.len() + waiting.rollbacks.len() >= self.limits.queue {
            return Err((asker, format!("{} calls wait for this resource already", self.limits.queue)));
        }
        waiting.askers.insert(request.clone(), vec![asker]);
        match request.kind {
            Kind::Commit => waiting.commits.push_back(request),
            Kind::Rollback => waiting.rollbacks.push_back(request),
        }
        // Counted before anybody can take it, and with it be done.
        self.under_way.send_modify(|count| *count += 1);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Has undo logs deleted that are older than so many days.
    pub(super) fn delete_undo_logs(&self, days: u16) {
        self.waiting().undo_logs = Some(days);
        self.arrived.notify_one();
    }

    /// Runs calls for as long as it is polled.
    pub(super) async fn run(self: Arc<Self>) {
        let mut running = JoinSet::new();
        loop {
            while running.len() < self.limits.concurrency
                && let Some(job) = self.take()
            {
                running.spawn(self.clone().perform(job));
            }
            tokio::select! {
                Some(_) = running.join_next() => {}
                () = self.arrived.notified(), if running.len() < self.limits.concurrency => {}
            }
        }
    }

    fn take(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        if let Some(days) = waiting.undo_logs.take() {
            return Some(Job::DeleteUndoLogs(days));
        }
        let takes_commits =
            !waiting.commits.is_empty() && (waiting.is_turn_of_commits || waiting.rollbacks.is_empty());
        waiting.is_turn_of_commits = !takes_commits;
        if !takes_commits {
            return waiting.rollbacks.pop_front().map(Job::One);
        }
        // For AT one statement does for many. All others are code of the user's: none is to wait for another.
        let share = match self.branch_type {
            BranchType::At => waiting.commits.len().div_ceil(self.limits.concurrency).min(MAX_BATCH),
            _ => 1,
        };
        match share {
            1 => waiting.commits.pop_front().map(Job::One),
            _ => Some(Job::Commits(waiting.commits.drain(..share).collect())),
        }
    }

    async fn perform(self: Arc<Self>, job: Job) {
        let resource = self.resource.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match job {
            Job::One(request) => {
                let span = tracing::info_span!("phase_two", xid = %request.xid, branch = %request.branch);
                let task = self.task(&request);
                let call = async {
                    match request.kind {
                        Kind::Commit => resource.commit(task).await,
                        Kind::Rollback => resource.rollback(task).await,
                    }
                };
                let answer = self.contained(call.instrument(span)).await;
                let answer = answer.unwrap_or_else(|reason| not_now(request.kind, reason));
                self.answer(request, answer).await;
            }
            Job::Commits(requests) => {
                let tasks = requests.iter().map(|request| self.task(request)).collect();
                let answers = self.contained(async { resource.commit_many(tasks).await }).await;
                let answers = answers.and_then(|answers| match answers.len() == requests.len() {
                    true => Ok(answers),
                    false => Err(format!("{} answers came for {} commits", answers.len(), requests.len())),
                });
                let answers = answers
                    .unwrap_or_else(|reason| vec![not_now(Kind::Commit, reason); requests.len()])
                    .into_iter();
                let answered = requests.into_iter().zip(answers);
                join_all(answered.map(|(request, answer)| self.answer(request, answer))).await;
            }
            Job::DeleteUndoLogs(days) => {
                if let Err(reason) = self.contained(async { resource.delete_undo_logs(days).await }).await {
                    tracing::error!(resource = %self.id, days, reason, "undo logs are not deleted");
                }
            }
        }
    }

    fn task(&self, request: &Request) -> BranchTask {
        BranchTask {
            xid: request.xid.clone(),
            branch: request.branch,
            branch_type: self.branch_type,
            resource: self.id.clone(),
            application_data: request.application_data.to_string(),
        }
    }

    async fn answer(&self, request: Request, answer: BranchAnswer) {
        let Request { kind, xid, branch, .. } = &request;
        let (resource, status) = (&self.id, answer.status);
        if answer.reason.is_empty() {
            // Commits are the rule, and change nothing that anybody sees.
            match kind {
                Kind::Commit => tracing::debug!(%xid, %branch, %resource, %status, "branch is committed"),
                Kind::Rollback => tracing::info!(%xid, %branch, %resource, %status, "branch is rolled back"),
            }
        } else {
            let reason = &answer.reason;
            tracing::warn!(%xid, %branch, %resource, %status, reason, "phase two did not end well");
        }
        // From here on the same request is a new one.
        let askers = self.waiting().askers.remove(&request).unwrap_or_default();
        join_all(askers.iter().map(|asker| asker.answer(*kind, xid.as_str().into(), *branch, status))).await;
        // A call that is cut off is no longer counted.
        self.under_way.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// What a resource's code gives, or why it gives nothing.
    async fn contained<T>(&self, call: impl Future<Output = T>) -> Result<T, String> {
        let limit = self.limits.call;
        match timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
            Ok(Ok(given)) => Ok(given),
            Ok(Err(panic)) => Err(format!("the resource panicked: {}", text(&*panic))),
            Err(_) => Err(format!("the resource did not return within {limit:?}, and its call was dropped")),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_now(kind: Kind, reason: String) -> BranchAnswer {
    BranchAnswer::failed(kind.retryable(), reason)
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
