//! Phase two: what servers ask of the resources that are registered here.

mod lane;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use seata_context::Resource;
use seata_protocol::{
    BranchId, BranchRequest, BranchResponse, BranchStatus, BranchType, Header, Message, Outcome, ResourceId,
    Text, UndoLogDelete, Xid,
};
use tokio::{runtime, sync::watch, task::JoinSet};

use self::lane::Lane;
use crate::{
    Settings,
    connection::{Connection, Incoming},
};

/// Hands what servers ask to the resources, and their answers back.
pub(crate) struct PhaseTwo {
    lanes: Mutex<Lanes>,
    runtime: runtime::Handle,
    limits: lane::Limits,
    is_closing: AtomicBool,
    /// How many calls have not been answered.
    under_way: watch::Sender<usize>,
}

#[derive(Default)]
struct Lanes {
    /// One database may be a resource of several branch types.
    by_id: HashMap<ResourceId, Vec<Arc<Lane>>>,
    tasks: JoinSet<()>,
}

/// Whether a branch is to be committed or rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Commit,
    Rollback,
}

/// What a server asks of one branch. Two that are equal ask the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    kind: Kind,
    xid: Xid,
    branch: BranchId,
    /// Also says what is asked: Saga's requests for one XID differ in this alone.
    application_data: Arc<str>,
}

/// Who waits for the answer.
struct Asker {
    connection: Connection,
    header: Header,
}

impl PhaseTwo {
    /// Works on this runtime.
    pub(crate) fn new(settings: &Settings, runtime: runtime::Handle) -> Self {
        Self {
            lanes: Mutex::default(),
            runtime,
            limits: lane::Limits {
                concurrency: settings.phase_two_concurrency,
                queue: settings.phase_two_queue,
                call: settings.phase_two_call_limit,
            },
            is_closing: AtomicBool::new(false),
            under_way: watch::Sender::new(0),
        }
    }

    /// Sends the calls for this resource's id and branch type to it from now on.
    pub(crate) fn attach(&self, resource: Arc<dyn Resource>) {
        let mut lanes = self.lanes();
        let Lanes { by_id, tasks } = &mut *lanes;
        let of_id = by_id.entry(resource.id().clone()).or_default();
        if let Some(lane) = of_id.iter().find(|lane| lane.branch_type() == resource.branch_type()) {
            lane.replace(resource);
            return;
        }
        let lane = Arc::new(Lane::new(resource, self.limits, self.under_way.clone()));
        tasks.spawn_on(lane.clone().run(), &self.runtime);
        of_id.push(lane);
    }

    /// Takes what one server asks until its connection has ended.
    pub(crate) async fn serve(&self, connection: Connection, mut incoming: Incoming) {
        while let Some((header, message)) = incoming.next().await {
            let asker = Asker { connection: connection.clone(), header };
            match message {
                Message::BranchCommit(request) => self.accept(Kind::Commit, request, asker).await,
                Message::BranchRollback(request) => self.accept(Kind::Rollback, request, asker).await,
                Message::UndoLogDelete(request) => self.delete_undo_logs(&request),
                other => {
                    tracing::warn!(request = other.name(), "a server asked for what a client does not do");
                }
            }
        }
    }

    /// How many calls have not been answered.
    pub(crate) fn under_way(&self) -> usize {
        *self.under_way.borrow()
    }

    /// Takes no more calls, and returns when all have been answered that were taken.
    pub(crate) async fn drain(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        let mut under_way = self.under_way.subscribe();
        under_way.wait_for(|count| *count == 0).await.expect("the sender is in self");
    }

    /// Cuts off what runs, and forgets all resources.
    pub(crate) fn stop(&self) {
        let lanes = std::mem::take(&mut *self.lanes());
        // Resources are dropped here, outside the lock; dropping their tasks aborts them.
        drop(lanes);
        self.under_way.send_replace(0);
    }

    async fn accept(&self, kind: Kind, request: BranchRequest, asker: Asker) {
        let Err((asker, reason)) = self.offer(kind, &request, asker) else { return };
        let (xid, branch, resource) = (&request.xid, request.branch_id, &request.resource_id);
        tracing::warn!(%xid, %branch, %resource, ?kind, reason, "put off: the server is to ask again");
        asker.answer(kind, request.xid, request.branch_id, kind.retryable()).await;
    }

    /// Queues a call. On failure: why the server has to ask again.
    fn offer(&self, kind: Kind, request: &BranchRequest, asker: Asker) -> Result<(), (Asker, String)> {
        if self.is_closing.load(Ordering::Relaxed) {
            return Err((asker, "this client is shutting down".to_owned()));
        }
        let Some(lane) = self.lane(&request.resource_id, request.branch_type) else {
            let reason = format!("no {} resource of this id is registered here", request.branch_type);
            return Err((asker, reason));
        };
        let xid = match request.xid.parse() {
            Ok(xid) => xid,
            Err(error) => return Err((asker, format!("{error}"))),
        };
        // Not a slice of the frame, which would be kept for as long as this waits.
        let application_data = Arc::from(&*request.application_data);
        lane.offer(Request { kind, xid, branch: request.branch_id, application_data }, asker)
    }

    fn delete_undo_logs(&self, request: &UndoLogDelete) {
        let resource = &request.resource_id;
        match (self.lane(resource, request.branch_type), u16::try_from(request.save_days)) {
            (Some(lane), Ok(days)) => lane.delete_undo_logs(days),
            (None, _) => tracing::debug!(%resource, "no undo logs to delete: no such resource here"),
            (_, Err(_)) => {
                let save_days = request.save_days;
                tracing::warn!(%resource, save_days, "undo logs are not deleted: the age is negative");
            }
        }
    }

    fn lane(&self, resource: &str, branch_type: BranchType) -> Option<Arc<Lane>> {
        let lanes = self.lanes();
        lanes.by_id.get(resource)?.iter().find(|lane| lane.branch_type() == branch_type).cloned()
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    /// What is answered when the branch could not be finished now.
    fn retryable(self) -> BranchStatus {
        match self {
            Self::Commit => BranchStatus::PhaseTwoCommitFailedRetryable,
            Self::Rollback => BranchStatus::PhaseTwoRollbackFailedRetryable,
        }
    }
}

impl Asker {
    /// Answers as Java does: the request was handled, and the status says how that went.
    async fn answer(&self, kind: Kind, xid: Text, branch_id: BranchId, status: BranchStatus) {
        let response = BranchResponse { outcome: Outcome::success(), xid: xid.clone(), branch_id, status };
        let message = match kind {
            Kind::Commit => Message::BranchCommitResponse(response),
            Kind::Rollback => Message::BranchRollbackResponse(response),
        };
        if let Err(error) = self.connection.answer(&self.header, message).await {
            // The server asks again, over another connection if it has to.
            tracing::debug!(%xid, branch = %branch_id, %status, %error, "an answer of phase two is dropped");
        }
    }
}
