//! Resource managers that do as they are told.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

use seata_protocol::{BranchId, ResourceId};
use tokio::sync::oneshot;

use super::done;
use crate::{
    driver::{BranchAnswer, BranchTask, Participants, Reached},
    session::Phase,
};

#[derive(Debug, Default)]
pub(super) struct Scripted {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<BranchId, VecDeque<Reached>>,
    hanging: HashSet<BranchId>,
    held: HashMap<BranchId, oneshot::Receiver<Reached>>,
    lost: HashSet<ResourceId>,
    calls: Vec<(Phase, BranchId)>,
    data: Vec<Arc<str>>,
    batches: usize,
}

impl Scripted {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn will(&self, branch: BranchId, answer: Reached) {
        self.state().answers.entry(branch).or_default().push_back(answer);
    }

    pub(super) fn hang_once(&self, branch: BranchId) {
        self.state().hanging.insert(branch);
    }

    /// The next call for the branch is answered with what is sent.
    pub(super) fn hold(&self, branch: BranchId) -> oneshot::Sender<Reached> {
        let (sender, receiver) = oneshot::channel();
        self.state().held.insert(branch, receiver);
        sender
    }

    pub(super) fn lose_resource(&self, resource: &str) {
        self.state().lost.insert(resource.into());
    }

    pub(super) fn find_resource(&self, resource: &str) {
        self.state().lost.remove(resource);
    }

    pub(super) fn calls(&self) -> Vec<(Phase, BranchId)> {
        self.state().calls.clone()
    }

    /// The application data of each call.
    pub(super) fn data(&self) -> Vec<Arc<str>> {
        self.state().data.clone()
    }

    pub(super) fn batches(&self) -> usize {
        self.state().batches
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn note(&self, phase: Phase, task: &BranchTask) {
        let mut state = self.state();
        state.calls.push((phase, task.branch));
        state.data.push(Arc::clone(&task.application_data));
    }

    async fn answer(&self, phase: Phase, task: BranchTask) -> Reached {
        let hangs = self.state().hanging.remove(&task.branch);
        if hangs {
            pending::<()>().await;
        }
        let held = self.state().held.remove(&task.branch);
        if let Some(held) = held {
            self.note(phase, &task);
            return held.await.expect("the test answers");
        }
        let is_lost = self.state().lost.contains(&task.resource);
        if is_lost {
            // What was asked for meanwhile waits behind this call.
            tokio::task::yield_now().await;
            return Reached::NoSuchResource;
        }
        self.note(phase, &task);
        let scripted = self.state().answers.get_mut(&task.branch).and_then(VecDeque::pop_front);
        scripted
            .unwrap_or_else(|| Reached::Answered(BranchAnswer { status: done(phase), reason: String::new() }))
    }
}

impl Participants for Arc<Scripted> {
    async fn commit(&self, task: BranchTask) -> Reached {
        self.answer(Phase::Commit, task).await
    }

    async fn rollback(&self, task: BranchTask) -> Reached {
        self.answer(Phase::Rollback, task).await
    }

    async fn commit_many(&self, tasks: Vec<BranchTask>) -> Vec<Reached> {
        self.state().batches += 1;
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(self.answer(Phase::Commit, task).await);
        }
        answers
    }
}
