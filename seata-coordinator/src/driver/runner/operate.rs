//! What operators want of a session, and what the starter of a Saga has reported of it.

use seata_protocol::{GlobalStatus, ResourceId, TransactionId};
use tokio::sync::oneshot;

use super::{Later, Runner};
use crate::{
    driver::{
        Clock, Participants,
        command::{self, Operated, Wish},
    },
    session::{Input, is_parked, outcome},
    store::{Found, Store, StoreError},
};

/// Where an operator waits.
pub(super) type Reply = oneshot::Sender<Operated>;

impl<S: Store, P: Participants, C: Clock> Runner<S, P, C> {
    pub(super) async fn operate(
        &mut self,
        id: TransactionId,
        wish: Wish,
        reply: Reply,
    ) -> Result<(), StoreError> {
        let Some(active) = self.sessions.get_mut(&id) else {
            let _ = reply.send(Operated::NoSession);
            return Ok(());
        };
        if active.is_keeping {
            active.later.push_back(Later::Wish(wish, reply));
            return Ok(());
        }
        let (status, is_parked) = (active.session.status(), active.session.is_parked());
        let refusal = match &wish {
            Wish::Park(_) if is_parked => Some("it is not tried any more already"),
            Wish::Release if !is_parked => Some("it is still tried; park it first"),
            _ => None,
        };
        if let Some(why) = refusal {
            let _ = reply.send(Operated::Refused(status, why));
            return Ok(());
        }
        match wish {
            Wish::Retry => {
                // Whoever says that nobody has the resource is asked once more.
                let resources: Vec<ResourceId> = active.session.resources().into_iter().cloned().collect();
                self.step(id, Input::Retry, Some(reply)).await?;
                self.try_again(resources);
                Ok(())
            }
            Wish::Park(reason) => self.step(id, Input::Park { reason }, Some(reply)).await,
            Wish::GiveUp(reason) => {
                let given_up = active.session.branches().cloned().collect();
                self.step(id, Input::GiveUp { reason }, None).await?;
                let done = command::Done { status: outcome(status), freed: 0, given_up };
                let _ = reply.send(Operated::Done(done));
                Ok(())
            }
            Wish::Release => {
                let freed = self.shared.store.release(id).await?;
                self.shared.lock_queue.changed(id);
                let done = command::Done { status, freed, given_up: Vec::new() };
                let _ = reply.send(Operated::Done(done));
                Ok(())
            }
        }
    }

    fn try_again(&mut self, resources: Vec<ResourceId>) {
        for resource in resources {
            if let Some(queue) = self.queues.get_mut(&resource) {
                queue.become_available();
                self.call(&resource);
            }
        }
    }

    /// Brings a session to where the store says that its transaction stands.
    pub(super) async fn follow(&mut self, id: TransactionId) -> Result<(), StoreError> {
        if let Some(active) = self.sessions.get_mut(&id).filter(|active| active.is_keeping) {
            active.later.push_back(Later::Follow);
            return Ok(());
        }
        let ended = match self.shared.store.find(id).await? {
            Found::Open(snapshot) if snapshot.status == GlobalStatus::Begin => return Ok(()),
            Found::Open(snapshot) => {
                let status = snapshot.status;
                if is_parked(status) {
                    self.shared.note_parking(&snapshot.transaction, self.shared.now());
                } else {
                    self.shared.forget_parking(&snapshot.transaction);
                }
                if !self.sessions.contains_key(&id) {
                    self.start_with(snapshot, None, None).await?;
                }
                return self.feed(id, Input::Reported(status)).await;
            }
            Found::Ended(ended) => ended.status,
            Found::Unknown => GlobalStatus::Finished,
        };
        self.withdraw(id);
        if let Some(active) = self.remove(id) {
            self.shared.forget_parking(active.session.transaction());
            active.dismiss(ended);
        }
        Ok(())
    }

    /// Calls that are not on their way yet do not go.
    pub(super) fn withdraw(&mut self, id: TransactionId) {
        let Some(active) = self.sessions.get_mut(&id) else { return };
        let resources: Vec<ResourceId> = active.session.resources().into_iter().cloned().collect();
        for resource in resources {
            let Some(queue) = self.queues.get_mut(&resource) else { continue };
            let withdrawn = queue.withdraw(id);
            self.shared.gauges.queued.take(withdrawn.len());
            if let Some(active) = self.sessions.get_mut(&id) {
                withdrawn.into_iter().for_each(|branch| active.session.take_back(branch));
            }
            self.prune(&resource);
        }
    }
}
