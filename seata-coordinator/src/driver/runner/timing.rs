//! What is due: tries after a back-off, branches whose resource is back, and time-outs.

use std::sync::Arc;

use seata_protocol::{BranchId, TransactionId};

use super::{Active, Done, Runner};
use crate::{
    driver::{Clock, Participants},
    record::Millis,
    session::{Decision, Input, Timer},
    store::{Store, StoreError},
};

/// How much of what is due one turn does. The rest comes in the next turns, between which others have theirs.
const SLICE: usize = 1024;
/// How many decisions of the coordinator's own are made at a time: enough to share flushes.
const DECISIONS: usize = 512;

impl<S: Store, P: Participants, C: Clock> Runner<S, P, C> {
    /// Does a part of what is due. Says whether there is more.
    pub(super) async fn do_what_is_due(&mut self) -> Result<bool, StoreError> {
        let mut left = SLICE;
        while left > 0
            && let Some(&(at, id)) = self.retries.first()
            && at <= self.now
        {
            left -= 1;
            self.retries.pop_first();
            if let Some(active) = self.sessions.get_mut(&id) {
                active.retry_at = None;
            }
            self.feed(id, Input::Timer(Timer::Retry)).await?;
        }
        while left > 0
            && let Some((id, branch)) = self.next_returned()
        {
            left -= 1;
            self.feed(id, Input::Available(branch)).await?;
        }
        if self.looks_for_timeouts() {
            let due = self.shared.deadlines.due(self.now, SLICE);
            if due.is_empty() {
                let period = self.shared.settings().timeout_check_period;
                self.next_check = self.now + (period.as_millis() as Millis).max(1);
            } else {
                let undecided = self.shared.store.undecided(due).await?;
                self.undecided.extend(undecided.into_iter().map(|id| (id, Decision::Timeout, None)));
            }
        }
        self.decide_some();
        Ok(left == 0 || self.looks_for_timeouts())
    }

    /// When something will be due.
    pub(super) fn next_time(&self) -> Millis {
        let check = self.next_check.max(self.now + 1);
        self.retries.first().map_or(check, |(at, _)| check.min(*at))
    }

    /// Wakes a session then. A time that is set and comes earlier wakes it for all that it waits for.
    pub(super) fn arm(&mut self, id: TransactionId, at: Millis) {
        let Some(active) = self.sessions.get_mut(&id) else { return };
        if active.retry_at.is_some_and(|set| set <= at) {
            return;
        }
        if let Some(set) = active.retry_at.replace(at) {
            self.retries.remove(&(set, id));
        }
        self.retries.insert((at, id));
    }

    pub(super) fn remove(&mut self, id: TransactionId) -> Option<Active> {
        let active = self.sessions.remove(&id)?;
        if let Some(at) = active.retry_at {
            self.retries.remove(&(at, id));
        }
        Some(active)
    }

    /// How long a session waits after so many failures in a row.
    pub(super) fn back_off(&mut self, failures: u32) -> Millis {
        let factor = 1u32 << failures.saturating_sub(1).min(20);
        let pause = {
            let settings = self.shared.settings();
            settings.retry_period.saturating_mul(factor).min(settings.max_retry_period)
        };
        let spread = (self.jitter)().clamp(0.0, 1.0) / 2.0;
        (pause.as_millis() as f64 * (1.0 + spread)) as Millis
    }

    fn next_returned(&mut self) -> Option<(TransactionId, BranchId)> {
        loop {
            if let Some(next) = self.returned.front_mut()?.1.next() {
                return Some(next);
            }
            // Only now: its queue knows since when the resource was lost, which its next answer tells.
            if let Some((resource, _)) = self.returned.pop_front() {
                self.prune(&resource);
            }
        }
    }

    /// Not while enough are still to be decided: the end of each decision leads here again.
    fn looks_for_timeouts(&self) -> bool {
        self.now >= self.next_check && self.undecided.len() < SLICE
    }

    fn decide_some(&mut self) {
        while self.deciding < DECISIONS
            && let Some((id, decision, note)) = self.undecided.pop_front()
        {
            self.deciding += 1;
            let shared = Arc::clone(&self.shared);
            self.jobs.push(Box::pin(async move {
                let decide = shared.store.decide(id, decision, note, shared.now());
                let decided = shared.lock_queue.changes(id, decide).await;
                Done::Decided { id, decision, decided }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use seata_protocol::{BranchId, ResourceId, TransactionId};

    use crate::{
        driver::{BranchTask, Driver, Participants, Reached, SystemClock},
        settings::Settings,
        store::MemoryStore,
    };

    struct Nobody;

    impl Participants for Nobody {
        async fn commit(&self, _: BranchTask) -> Reached {
            Reached::NoSuchResource
        }

        async fn rollback(&self, _: BranchTask) -> Reached {
            Reached::NoSuchResource
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_resource_that_returns_to_nobody() {
        let (store, settings) = (MemoryStore::new("test", 0), Settings::default());
        let started = Driver::start(store, Nobody, SystemClock::new(), Box::new(|| 0.0), settings).await;
        let (driver, mut runner) = started.unwrap();
        let resource = ResourceId::from("db");
        runner.queues.entry(resource.clone()).or_default().note_back_off(TransactionId(1), BranchId(2));
        driver.resource_available(&resource);
        runner.welcome();
        runner.do_what_is_due().await.unwrap();
        assert!(runner.queues.is_empty());
    }
}
