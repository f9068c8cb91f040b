//! What an operator can do with one transaction.

use std::sync::Arc;

use seata_protocol::{GlobalStatus, TransactionId, Xid};

use crate::{
    driver::{
        Clock, Driver, OperatorError,
        command::{Command, Done, Operated, Wish},
    },
    record::{Branch, FORCED},
    session::Decision,
    store::{Found, Store},
};

/// What giving a transaction up came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Its outcome, which says what was decided, not what was done.
    pub status: GlobalStatus,
    /// The branches that were not done: what they changed or reserved stays as it is. For a Saga one branch
    /// stands for all that its state machine had left.
    pub branches: Vec<Arc<Branch>>,
}

/// Each takes effect durably, in the order of everything else that happens to the transaction, and none is
/// undone by a restart.
impl<S: Store, C: Clock> Driver<S, C> {
    /// Tries a decided transaction again, now: one that is parked or was stopped, one that backs off, and one
    /// that waits for a resource that nobody has. Says where it then stands.
    ///
    /// # Errors
    /// [`OperatorError`]; nothing was changed.
    pub async fn retry(&self, xid: &Xid) -> Result<GlobalStatus, OperatorError> {
        self.operate(xid, Wish::Retry).await.map(|done| done.status)
    }

    /// Stops the tries of a decided transaction until somebody asks for one: it becomes
    /// `StopCommitOrCommitRetry` or `StopRollbackOrRollbackRetry` and keeps its locks. A call that is on its
    /// way may still end its branch.
    ///
    /// # Errors
    /// [`OperatorError::NotAllowed`] for one that is undecided or parked; nothing was changed.
    pub async fn park(&self, xid: &Xid, reason: Arc<str>) -> Result<GlobalStatus, OperatorError> {
        self.operate(xid, Wish::Park(reason)).await.map(|done| done.status)
    }

    /// Decides an undecided transaction, as its starter would, and keeps the reason with its outcome. One that
    /// is decided that way already stays as it is, and so this may be repeated. Says where it stands once that is
    /// durable; phase two is not waited for.
    ///
    /// # Errors
    /// [`OperatorError::NotAllowed`] when the opposite is decided, and for [`Decision::Timeout`]; nothing was
    /// changed.
    pub async fn force(
        &self,
        xid: &Xid,
        decision: Decision,
        reason: Arc<str>,
    ) -> Result<GlobalStatus, OperatorError> {
        self.check_running()?;
        let id = self.known(xid).await?;
        let mut status = match self.shared.store.find(id).await? {
            Found::Open(snapshot) => snapshot.status,
            Found::Ended(ended) => {
                return Err(OperatorError::Ended { xid: xid.clone(), status: ended.status });
            }
            Found::Unknown => return Err(OperatorError::Unknown { xid: xid.clone() }),
        };
        let not_allowed = |status, why| Err(OperatorError::NotAllowed { xid: xid.clone(), status, why });
        if decision == Decision::Timeout {
            return not_allowed(status, "a time-out cannot be forced");
        }
        if status == GlobalStatus::Begin {
            let note = format!("{FORCED}{reason}").into();
            // Others may decide meanwhile, and time may.
            status = self.settle(xid, decision, Some(note)).await?;
        }
        let is_opposite = match decision {
            Decision::Commit => status.is_rollback(),
            Decision::Rollback | Decision::Timeout => status.is_commit(),
        };
        if is_opposite {
            return not_allowed(status, "the opposite is decided, and stays so");
        }
        Ok(status)
    }

    /// Ends a decided transaction whose branches cannot be done. Those that are left are not asked (any more):
    /// their locks are freed and what they changed or reserved stays as it is, for somebody to repair by hand.
    /// The outcome is what was decided; the reason, and which branches were left, are kept with it.
    ///
    /// # Errors
    /// [`OperatorError::NotAllowed`] for one that is undecided; nothing was changed.
    pub async fn give_up(&self, xid: &Xid, reason: Arc<str>) -> Result<GivenUp, OperatorError> {
        let Done { status, given_up, .. } = self.operate(xid, Wish::GiveUp(reason)).await?;
        Ok(GivenUp { status, branches: given_up })
    }

    /// Frees the row locks of a parked transaction, which stays parked: others may change those rows before
    /// it is undone. Says how many there were. The reason is for whoever keeps a record of what operators do.
    ///
    /// # Errors
    /// [`OperatorError::NotAllowed`] for one that is still tried; nothing was changed.
    pub async fn release(&self, xid: &Xid, reason: Arc<str>) -> Result<usize, OperatorError> {
        let freed = self.operate(xid, Wish::Release).await?.freed;
        tracing::warn!(%xid, freed, %reason, "row locks released by an operator");
        Ok(freed)
    }

    async fn operate(&self, xid: &Xid, wish: Wish) -> Result<Done, OperatorError> {
        self.check_running()?;
        let id = self.known(xid).await?;
        let operated = self.ask(|reply| Command::Operate { id, wish, reply }).await?;
        // An answer of the store leaves only when all that it tells of is durable.
        let found = self.shared.store.find(id).await?;
        match operated {
            Operated::Done(done) => Ok(done),
            Operated::Refused(status, why) => {
                Err(OperatorError::NotAllowed { xid: xid.clone(), status, why })
            }
            Operated::NoSession => Err(no_session(xid, found)),
        }
    }

    async fn known(&self, xid: &Xid) -> Result<TransactionId, OperatorError> {
        self.own(xid).await?.ok_or_else(|| OperatorError::Unknown { xid: xid.clone() })
    }
}

fn no_session(xid: &Xid, found: Found) -> OperatorError {
    let xid = xid.clone();
    match found {
        Found::Open(snapshot) if snapshot.status == GlobalStatus::Begin => OperatorError::NotAllowed {
            xid,
            status: snapshot.status,
            why: "it is undecided; commit it or roll it back first",
        },
        Found::Open(snapshot) => OperatorError::NotAllowed {
            xid,
            status: snapshot.status,
            why: "it is being decided at this moment; try again",
        },
        Found::Ended(ended) => OperatorError::Ended { xid, status: ended.status },
        Found::Unknown => OperatorError::Unknown { xid },
    }
}
