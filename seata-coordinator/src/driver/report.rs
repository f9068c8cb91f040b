//! What the starter of a Saga reports.

use seata_protocol::{GlobalStatus, Xid};

use crate::{
    driver::{Clock, Driver, Unavailable, command::FollowUp},
    session::{Decision, is_parked},
    store::{Noted, Store},
};

impl<S: Store, C: Clock> Driver<S, C> {
    /// Takes note of where a transaction stands that is carried out elsewhere, which only a Saga is, in one
    /// durable step; phase two follows it. Of any other transaction the status is just returned, and of one
    /// that is not known (any more) the reported one.
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn report(&self, xid: &Xid, status: GlobalStatus) -> Result<GlobalStatus, Unavailable> {
        self.check_running()?;
        let Some(id) = self.own(xid).await? else { return Ok(status) };
        let Ok(permit) = self.inbox.reserve().await else { return Err(self.why_ended().await) };
        let follow_up = FollowUp::new(permit, id);
        let shared = &*self.shared;
        let noted = shared.lock_queue.changes(id, shared.store.note(id, status, shared.now())).await;
        let snapshot = match noted {
            Ok(Noted::Now(snapshot)) => snapshot,
            Ok(Noted::Unchanged(status)) => {
                follow_up.cancel();
                return Ok(status);
            }
            Ok(Noted::Ended(_) | Noted::Unknown) => {
                follow_up.cancel();
                return Ok(status);
            }
            Err(error) => {
                follow_up.cancel();
                return Err(error.into());
            }
        };
        let transaction = &snapshot.transaction;
        shared.deadlines.forget(transaction);
        let decision = if snapshot.status.is_commit() { Decision::Commit } else { Decision::Rollback };
        if snapshot.status == GlobalStatus::Finished {
            shared.tell_finished(transaction, snapshot.status);
        } else if is_parked(snapshot.status) {
            let reason = snapshot.parked.clone().unwrap_or_default();
            shared.tell_parked(transaction, snapshot.status, reason);
        } else {
            shared.tell_decided(&snapshot, decision);
        }
        drop(follow_up);
        Ok(snapshot.status)
    }
}
