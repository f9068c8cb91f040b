//! A resource that counts what it is asked, and never wants to be asked the same thing twice at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_core::future::BoxFuture;
use seata_context::{BranchAnswer, BranchTask, Resource};
use seata_protocol::{BranchRequest, BranchStatus, BranchType, Message, ResourceId};

use super::server::application_data;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decision {
    Commit,
    Rollback,
}

/// Counts the calls for each branch.
pub(super) struct Counting {
    id: ResourceId,
    calls: Mutex<HashMap<(i64, Decision), Calls>>,
}

#[derive(Clone, Copy, Default)]
struct Calls {
    running: usize,
    begun: usize,
}

impl Decision {
    pub(super) fn request(self, request: BranchRequest) -> Message {
        match self {
            Self::Commit => Message::BranchCommit(request),
            Self::Rollback => Message::BranchRollback(request),
        }
    }

    pub(super) fn done(self) -> BranchStatus {
        match self {
            Self::Commit => BranchStatus::PhaseTwoCommitted,
            Self::Rollback => BranchStatus::PhaseTwoRollbacked,
        }
    }

    pub(super) fn not_now(self) -> BranchStatus {
        match self {
            Self::Commit => BranchStatus::PhaseTwoCommitFailedRetryable,
            Self::Rollback => BranchStatus::PhaseTwoRollbackFailedRetryable,
        }
    }
}

impl Counting {
    pub(super) fn new(id: &str) -> Arc<Self> {
        Arc::new(Self { id: id.into(), calls: Mutex::default() })
    }

    /// How many calls have begun.
    pub(super) fn begun(&self) -> usize {
        self.calls.lock().unwrap().values().map(|calls| calls.begun).sum()
    }

    /// How many calls run.
    pub(super) fn running(&self) -> usize {
        self.calls.lock().unwrap().values().map(|calls| calls.running).sum()
    }

    async fn work(&self, task: BranchTask, decision: Decision) -> BranchAnswer {
        let number = task.branch.0;
        assert_eq!((&task.resource, task.branch_type), (&self.id, BranchType::At));
        assert_eq!(task.application_data, application_data(number), "what was given at registration");
        let call = Call::begin(self, (number, decision));
        tokio::time::sleep(Duration::from_millis(number as u64 % 7)).await;
        let status = if number % 3 == 0 && call.is_first { decision.not_now() } else { decision.done() };
        BranchAnswer { status, reason: String::new() }
    }
}

/// A call that runs, until it ends or is cut off.
struct Call<'a> {
    resource: &'a Counting,
    key: (i64, Decision),
    is_first: bool,
}

impl<'a> Call<'a> {
    fn begin(resource: &'a Counting, key: (i64, Decision)) -> Self {
        let mut calls = resource.calls.lock().unwrap();
        let of_key = calls.entry(key).or_default();
        of_key.running += 1;
        of_key.begun += 1;
        let Calls { running, begun } = *of_key;
        drop(calls);
        let call = Self { resource, key, is_first: begun == 1 };
        assert_eq!(running, 1, "{key:?} runs twice at once");
        call
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.resource.calls.lock().unwrap().get_mut(&self.key).unwrap().running -= 1;
    }
}

impl Resource for Counting {
    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn branch_type(&self) -> BranchType {
        BranchType::At
    }

    fn commit(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(self.work(task, Decision::Commit))
    }

    fn rollback(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(self.work(task, Decision::Rollback))
    }
}
