//! What the tests share: a resource that can be told how to answer, and short forms of requests.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use seata_coordinator::{
    Coordinator, Participant,
    driver::{BeginRequest, BranchAnswer, BranchRequest, BranchTask, RegisterError},
    session::Phase,
};
use seata_protocol::{BranchId, BranchStatus, BranchType, ResourceId, RowKey, RowLock, Xid};

/// A resource that notes what it is asked and answers as it was told.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) calls: Mutex<Vec<(Phase, BranchId)>>,
    /// How the next calls for a branch are answered; done when there is no more.
    answers: Mutex<HashMap<BranchId, Vec<BranchAnswer>>>,
    pub(crate) delay: Option<Duration>,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn slow(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay: Some(delay), ..Self::default() })
    }

    pub(crate) fn will_answer(&self, branch: BranchId, status: BranchStatus, reason: &str) {
        let answer = BranchAnswer { status, reason: reason.into() };
        self.answers.lock().unwrap().entry(branch).or_default().push(answer);
    }

    pub(crate) fn calls(&self) -> Vec<(Phase, BranchId)> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn answer(&self, phase: Phase, branch: BranchId) -> BranchAnswer {
        self.calls.lock().unwrap().push((phase, branch));
        if let Some(answers) = self.answers.lock().unwrap().get_mut(&branch)
            && !answers.is_empty()
        {
            return answers.remove(0);
        }
        let status = match phase {
            Phase::Commit => BranchStatus::PhaseTwoCommitted,
            Phase::Rollback => BranchStatus::PhaseTwoRollbacked,
        };
        BranchAnswer { status, reason: String::new() }
    }

    async fn answer_slowly(&self, phase: Phase, branch: BranchId) -> BranchAnswer {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        self.answer(phase, branch)
    }
}

impl Participant for Recorder {
    fn commit(&self, task: BranchTask) -> Pin<Box<dyn Future<Output = BranchAnswer> + Send + '_>> {
        Box::pin(self.answer_slowly(Phase::Commit, task.branch))
    }

    fn rollback(&self, task: BranchTask) -> Pin<Box<dyn Future<Output = BranchAnswer> + Send + '_>> {
        Box::pin(self.answer_slowly(Phase::Rollback, task.branch))
    }
}

pub(crate) const DB: &str = "sqlite:/srv/stock.db";

pub(crate) fn begin(name: &str) -> BeginRequest {
    BeginRequest {
        application: "shop".into(),
        group: "default_tx_group".into(),
        name: name.into(),
        timeout: Duration::from_secs(60),
        is_local: true,
    }
}

pub(crate) fn row(resource: &str, key: &str) -> RowLock {
    RowLock { resource: resource.into(), table: "stock".into(), key: RowKey::from_text(key).unwrap() }
}

pub(crate) fn at(xid: &Xid, resource: &str, keys: &[&str]) -> BranchRequest {
    BranchRequest {
        xid: xid.clone(),
        branch_type: BranchType::At,
        resource: resource.into(),
        locks: keys.iter().map(|key| row(resource, key)).collect(),
        application_data: "".into(),
        client: "".into(),
        lock_wait: Duration::ZERO,
    }
}

pub(crate) fn tcc(xid: &Xid, resource: &str) -> BranchRequest {
    BranchRequest { branch_type: BranchType::Tcc, locks: Vec::new(), ..at(xid, resource, &[]) }
}

pub(crate) async fn attach(coordinator: &Coordinator, resource: &str) -> Arc<Recorder> {
    let recorder = Recorder::new();
    coordinator.attach(ResourceId::from(resource), recorder.clone()).await;
    recorder
}

/// Waits for what happens in the background, at most some seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    for _ in 0..500 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

pub(crate) async fn is_empty(coordinator: &Coordinator) -> bool {
    coordinator.transactions().await.unwrap().is_empty() && coordinator.locks().await.unwrap().is_empty()
}

#[track_caller]
pub(crate) fn assert_conflict(result: Result<BranchId, RegisterError>, holder: &Xid, key: &str) {
    match result {
        Err(RegisterError::LockConflict(conflict)) => {
            assert_eq!(conflict.holder, *holder);
            assert_eq!(conflict.lock.key.as_str(), key);
        }
        other => panic!("expected a lock conflict, found {other:?}"),
    }
}
