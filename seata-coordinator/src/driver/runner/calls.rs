//! Calls to resource managers: sent out, answered, and put back when nobody has the resource.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt;
use seata_protocol::{ResourceId, TransactionId};

use super::{
    Active, Done, Runner,
    queue::{Call, Queue, Reach},
};
use crate::{
    driver::{Clock, EventKind, Participants, Reached},
    record::Branch,
    session::{Answer, Input, Phase, answer_for},
    store::{Store, StoreError},
};

impl<S: Store, P: Participants, C: Clock> Runner<S, P, C> {
    /// Sends out what this turn has asked for.
    pub(super) fn call_wanted(&mut self) {
        while let Some(resource) = self.wanted.pop() {
            self.call(&resource);
        }
    }

    /// Sends out as many of a resource's calls as may be under way.
    pub(super) fn call(&mut self, resource: &ResourceId) {
        if self.is_stopping {
            return;
        }
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let (parallel, together, limit) = {
            let settings = self.shared.settings();
            (settings.calls_per_resource, settings.commits_per_call, settings.call_limit)
        };
        queue.no_longer_wanted();
        while let Some((calls, generation)) = queue.next(parallel, together) {
            self.shared.gauges.queued.take(calls.len());
            self.shared.gauges.under_way.add(calls.len());
            let participants = Arc::clone(&self.participants);
            let (shared, resource) = (Arc::clone(&self.shared), resource.clone());
            let begun = Instant::now();
            self.jobs.push(Box::pin(async move {
                let answers = tokio::select! {
                    answers = AssertUnwindSafe(ask(&*participants, &calls)).catch_unwind() => {
                        answers.unwrap_or_else(|panic| vec![panicked(&*panic); calls.len()])
                    }
                    () = shared.clock.sleep(limit) => {
                        let reason = format!("no answer within {limit:?}");
                        vec![Reached::Unreachable { reason }; calls.len()]
                    }
                };
                if let Some(call) = calls.first() {
                    shared.observer.asked(&resource, call.phase, calls.len(), begun.elapsed());
                }
                Done::Asked { resource, generation, calls, answers }
            }));
        }
    }

    pub(super) async fn take_answers(
        &mut self,
        resource: ResourceId,
        generation: u64,
        calls: Vec<Call>,
        answers: Vec<Reached>,
    ) -> Result<(), StoreError> {
        self.shared.gauges.under_way.take(calls.len());
        let (mut missing, mut is_reached) = (Vec::new(), false);
        let mut answers = answers.into_iter();
        for call in calls {
            let answer = match answers.next() {
                Some(Reached::NoSuchResource) => {
                    if self.still_wants(&call) {
                        missing.push(call);
                    }
                    continue;
                }
                Some(Reached::Answered(answer)) => {
                    Answer::Status { status: answer.status, reason: answer.reason }
                }
                Some(Reached::Unreachable { reason }) => Answer::Unreachable { reason },
                None => Answer::Unreachable {
                    reason: "the resource manager gave fewer answers than asked for".into(),
                },
            };
            is_reached = true;
            let (id, branch) = (call.transaction.id, call.branch.id);
            // A Saga may have turned meanwhile; what it was asked before says nothing then.
            let turned = |active: &Active| active.session.phase() != call.phase;
            let answer = match self.sessions.get(&id).is_some_and(turned) {
                true => Answer::Unreachable { reason: "it was asked for the opposite before".into() },
                false => answer,
            };
            self.feed(id, Input::Answer { branch, answer }).await?;
        }
        let Some(queue) = self.queues.get_mut(&resource) else { return Ok(()) };
        self.shared.gauges.queued.add(missing.len());
        let waiting = queue.answered(missing, generation);
        match queue.note_reach(is_reached, self.now) {
            Some(Reach::Lost { waiting }) => {
                tracing::warn!(%resource, waiting, "nobody has this resource: phase two on it waits");
            }
            Some(Reach::Back { since }) => {
                let after_ms = self.now.saturating_sub(since);
                tracing::info!(%resource, after_ms, "the resource is back: phase two on it goes on");
            }
            None => {}
        }
        if !queue.is_missing() && queue.want() {
            self.wanted.push(resource.clone());
        }
        for (id, branch) in waiting {
            self.note_waiting(id, &branch);
        }
        self.prune(&resource);
        Ok(())
    }

    /// Whether a call that found no resource is to be made once it is there.
    fn still_wants(&mut self, call: &Call) -> bool {
        let Some(active) = self.sessions.get_mut(&call.transaction.id) else { return false };
        let wants = active.session.phase() == call.phase && !active.session.is_at_rest();
        if !wants {
            active.session.take_back(call.branch.id);
        }
        wants
    }

    /// A starter that waits is told that it goes on without it.
    pub(super) fn note_waiting(&mut self, id: TransactionId, branch: &Branch) {
        let Some(active) = self.sessions.get_mut(&id) else { return };
        active.tell(answer_for(active.session.status()));
        let (branch, resource) = (branch.id, &branch.resource);
        let transaction = active.session.transaction();
        tracing::debug!(xid = %transaction.xid, %branch, %resource, "phase two waits for a resource that nobody has");
        self.shared.emit(transaction, || EventKind::Waiting { branch, resource: resource.clone() });
    }

    /// Resource ids come from strangers: nothing is kept for one that nobody waits for.
    pub(super) fn prune(&mut self, resource: &ResourceId) {
        if self.queues.get(resource).is_some_and(Queue::is_idle) {
            self.queues.remove(resource);
        }
    }
}

async fn ask<P: Participants>(participants: &P, calls: &[Call]) -> Vec<Reached> {
    match calls {
        [call] if call.phase == Phase::Rollback => vec![participants.rollback(call.task()).await],
        [call] => vec![participants.commit(call.task()).await],
        calls => participants.commit_many(calls.iter().map(Call::task).collect()).await,
    }
}

/// A resource manager's panic is its own: nobody else's phase two ends with it.
fn panicked(panic: &(dyn Any + Send)) -> Reached {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text");
    Reached::Unreachable { reason: format!("the resource manager panicked: {text}") }
}
