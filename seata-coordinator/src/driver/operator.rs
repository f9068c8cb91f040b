//! What an operator can do with one transaction.

use std::sync::Arc;

use seata_protocol::{GlobalStatus, Xid};

use crate::{
    driver::{
        Clock, Driver, OperatorError,
        command::{Command, Operated, Wish},
    },
    session::{Decision, Phase},
    store::{Found, Store},
};

/// Each takes effect durably, in the order of everything else that happens to the transaction, and none is
/// undone by a restart.
impl<S: Store, C: Clock> Driver<S, C> {
    /// Tries a decided transaction again, now: one that is parked or was stopped, one that backs off, and one
    /// that waits for a resource that nobody has. Says where it then stands.
    ///
    /// # Errors
    /// [`OperatorError`]; nothing was changed.
    pub async fn retry(&self, xid: &Xid) -> Result<GlobalStatus, OperatorError> {
        self.operate(xid, Wish::Retry).await.map(|(status, _)| status)
    }

    /// Stops the tries of a decided transaction until somebody asks for one: it becomes
    /// `StopCommitOrCommitRetry` or `StopRollbackOrRollbackRetry` and keeps its locks. A call that is on its
    /// way may still end its branch.
    ///
    /// # Errors
    /// [`OperatorError::NotAllowed`] for one that is undecided or parked; nothing was changed.
    pub async fn park(&self, xid: &Xid, reason: Arc<str>) -> Result<GlobalStatus, OperatorError> {
        self.operate(xid, Wish::Park(reason)).await.map(|(status, _)| status)
    }

    /// Decides an undecided transaction, as its starter would. Of one that is decided that way already the
    /// branches that are left are given up: they are not asked, their rows stay as they are, their locks are
    /// freed, and the transaction ends as if all were done, with the reason in the history.
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
        let id = self.own(xid).await?.ok_or_else(|| OperatorError::Unknown { xid: xid.clone() })?;
        let phase = match decision {
            Decision::Commit => Phase::Commit,
            Decision::Rollback => Phase::Rollback,
            Decision::Timeout => {
                let (xid, status) = (xid.clone(), self.status(xid).await?);
                return Err(OperatorError::NotAllowed { xid, status, why: "a time-out cannot be forced" });
            }
        };
        let is_undecided = match self.shared.store.find(id).await? {
            Found::Open(snapshot) => snapshot.status == GlobalStatus::Begin,
            Found::Ended(_) | Found::Unknown => false,
        };
        if is_undecided {
            let note = format!("forced by operator: {reason}").into();
            let status = self.settle(xid, decision, Some(note)).await?;
            // Others may have decided meanwhile, and time may have.
            if !is_opposite(status, phase) {
                return Ok(status);
            }
            return Err(OperatorError::NotAllowed { xid: xid.clone(), status, why: OPPOSITE });
        }
        self.operate(xid, Wish::GiveUp(phase, reason)).await.map(|(status, _)| status)
    }

    /// Frees the row locks of a parked transaction, which stays parked: others may change those rows before
    /// it is undone. Says how many there were. The reason is for whoever keeps a record of what operators do.
    ///
    /// # Errors
    /// [`OperatorError::NotAllowed`] for one that is still tried; nothing was changed.
    pub async fn release(&self, xid: &Xid, reason: Arc<str>) -> Result<usize, OperatorError> {
        let freed = self.operate(xid, Wish::Release).await.map(|(_, freed)| freed)?;
        tracing::warn!(%xid, freed, %reason, "row locks released by an operator");
        Ok(freed)
    }

    async fn operate(&self, xid: &Xid, wish: Wish) -> Result<(GlobalStatus, usize), OperatorError> {
        self.check_running()?;
        let id = self.own(xid).await?.ok_or_else(|| OperatorError::Unknown { xid: xid.clone() })?;
        let operated = self.ask(|reply| Command::Operate { id, wish, reply }).await?;
        // An answer of the store leaves only when all that it tells of is durable.
        let found = self.shared.store.find(id).await?;
        match operated {
            Operated::Done(status, freed) => Ok((status, freed)),
            Operated::Refused(status, why) => {
                Err(OperatorError::NotAllowed { xid: xid.clone(), status, why })
            }
            Operated::NoSession => Err(no_session(xid, found)),
        }
    }
}

pub(super) const OPPOSITE: &str = "the opposite is decided, and stays so";

fn is_opposite(status: GlobalStatus, phase: Phase) -> bool {
    match phase {
        Phase::Commit => status.is_rollback(),
        Phase::Rollback => status.is_commit(),
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
