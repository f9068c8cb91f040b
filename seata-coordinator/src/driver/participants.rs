//! The way to the resource managers in phase two.

use std::{future::Future, sync::Arc};

use seata_protocol::{BranchId, BranchStatus, BranchType, ResourceId, Xid};

/// One call of phase two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchTask {
    /// The global transaction.
    pub xid: Xid,
    /// The branch.
    pub branch: BranchId,
    /// How it takes part.
    pub branch_type: BranchType,
    /// The resource it works on.
    pub resource: ResourceId,
    /// What was given at registration.
    pub application_data: Arc<str>,
    /// Who registered the branch, as Java writes it: `application:ip:port`. Empty for a branch of this process.
    pub client: Arc<str>,
}

/// A resource manager's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchAnswer {
    /// What became of the branch: `PhaseTwoCommitted` and `PhaseTwoRollbacked` end it, `…Unretryable` parks its
    /// transaction, everything else means: ask again later.
    pub status: BranchStatus,
    /// Why it did not end well; empty on success.
    pub reason: String,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The resource manager answered.
    Answered(BranchAnswer),
    /// It did not, and is asked again after a pause.
    Unreachable {
        /// What was tried.
        reason: String,
    },
    /// Nobody has this resource now: all calls on it wait, and are made when
    /// [`resource_available`](crate::driver::Driver::resource_available) names it. For a resource that somebody
    /// has who may not be asked for this branch, answer [`Unreachable`](Self::Unreachable).
    NoSuchResource,
}

/// How resource managers are reached. A call may be dropped when it takes too long, and comes again then.
///
/// A resource gets [`calls_per_resource`](crate::settings::Settings::calls_per_resource) calls at a time, and
/// one that does not answer gives its place up after
/// [`call_limit`](crate::settings::Settings::call_limit): that bounds what a slow client costs the others of its
/// resource. Phase two of a Saga is one call, on [`SAGA_BRANCH`](crate::session::SAGA_BRANCH).
pub trait Participants: Send + Sync + 'static {
    /// Makes a branch final.
    fn commit(&self, task: BranchTask) -> impl Future<Output = Reached> + Send;

    /// Undoes a branch.
    fn rollback(&self, task: BranchTask) -> impl Future<Output = Reached> + Send;

    /// Makes AT branches of one resource final, which deletes their undo logs. They may be of different
    /// clients: each task names its own. One answer for each, in the same order, and each is taken for itself; a
    /// missing one counts as unreachable.
    fn commit_many(&self, tasks: Vec<BranchTask>) -> impl Future<Output = Vec<Reached>> + Send {
        async move {
            let mut answers = Vec::with_capacity(tasks.len());
            for task in tasks {
                answers.push(self.commit(task).await);
            }
            answers
        }
    }
}
