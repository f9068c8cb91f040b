//! Who is connected, and the way to resource managers.

use seata_coordinator::driver::{BranchTask, Participants, Reached};

/// All connected clients. Cloning is cheap, and all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {}

impl Participants for Clients {
    async fn commit(&self, _task: BranchTask) -> Reached {
        Reached::NoSuchResource
    }

    async fn rollback(&self, _task: BranchTask) -> Reached {
        Reached::NoSuchResource
    }
}
