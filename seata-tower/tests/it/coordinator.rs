// A client whose coordinator is called `tc:0` and begins nothing: layers only ask whether it knows an
// XID. Plain comments, as the examples of the documentation include this file.

use std::{future::Future, pin::Pin, sync::Arc};

use seata_context::{
    BeginRequest, BranchRegistration, Client, CoordinationError, Resource, ResourceManager,
    TransactionManager,
};
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, Xid};

type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, CoordinationError>> + Send + 'a>>;

struct Coordinator;

/// The client of service `storage`.
pub(crate) fn client() -> Client {
    Client::builder("storage", Arc::new(Coordinator), Arc::new(Coordinator)).build().0
}

fn refused<'a, T>() -> Call<'a, T> {
    Box::pin(async { Err(CoordinationError::ShuttingDown) })
}

impl TransactionManager for Coordinator {
    fn begin(&self, _request: BeginRequest) -> Call<'_, Xid> {
        refused()
    }

    fn commit<'a>(&'a self, _xid: &'a Xid) -> Call<'a, GlobalStatus> {
        refused()
    }

    fn rollback<'a>(&'a self, _xid: &'a Xid) -> Call<'a, GlobalStatus> {
        refused()
    }

    fn status<'a>(&'a self, _xid: &'a Xid) -> Call<'a, GlobalStatus> {
        refused()
    }

    fn report<'a>(&'a self, _xid: &'a Xid, _status: GlobalStatus) -> Call<'a, GlobalStatus> {
        refused()
    }

    fn knows(&self, xid: &Xid) -> bool {
        xid.coordinator() == "tc:0"
    }
}

impl ResourceManager for Coordinator {
    fn register_resource(&self, _resource: Arc<dyn Resource>) -> Call<'_, ()> {
        refused()
    }

    fn register_branch(&self, _registration: BranchRegistration) -> Call<'_, BranchId> {
        refused()
    }

    fn report_branch<'a>(&'a self, _xid: &'a Xid, _branch: BranchId, _status: BranchStatus) -> Call<'a, ()> {
        refused()
    }

    fn query_locks<'a>(&'a self, _xid: Option<&'a Xid>, _locks: &'a [RowLock]) -> Call<'a, ()> {
        refused()
    }
}
