//! What the tests of the whole client have in common.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_core::future::BoxFuture;
use seata_client::{RemoteCoordinator, RoleState, Services, Settings};
use seata_context::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, CoordinationError, Resource, ResourceManager,
    TransactionManager,
};
use seata_protocol::{BranchId, BranchRequest, BranchType, Message, ResourceId, Xid};
use tokio::{
    net::TcpSocket,
    sync::{Notify, Semaphore},
    time::timeout,
};

use crate::scripted::{Received, ScriptedTc};

/// A limit that is never reached unless a test has failed.
pub(crate) const LONG: Duration = Duration::from_secs(10);

pub(crate) const APPLICATION: &str = "order";
pub(crate) const GROUP: &str = "default_tx_group";

/// Settings that make a test wait for nothing that it does not want to see.
pub(crate) fn settings(servers: &[SocketAddr]) -> Settings {
    let mut settings = Settings::new(Services::servers(servers.iter().map(ToString::to_string)));
    settings.reconnect.first = Duration::from_millis(20);
    settings.reconnect.max = Duration::from_millis(100);
    settings
}

/// A client that is connected to one of these servers.
pub(crate) async fn connect(servers: &[&ScriptedTc]) -> RemoteCoordinator {
    connect_with(servers, |_| {}).await
}

pub(crate) async fn connect_with(
    servers: &[&ScriptedTc],
    change: impl FnOnce(&mut Settings),
) -> RemoteCoordinator {
    let addresses: Vec<_> = servers.iter().map(|tc| tc.address()).collect();
    let mut settings = settings(&addresses);
    change(&mut settings);
    RemoteCoordinator::connect(APPLICATION, GROUP, settings).await.expect("a server is there")
}

/// A client whose TM is connected to each of these servers.
pub(crate) async fn connect_to_all(
    servers: &[&ScriptedTc],
    change: impl FnOnce(&mut Settings),
) -> RemoteCoordinator {
    let client = connect_with(servers, change).await;
    until("every server is connected", || {
        client.servers().iter().all(|server| is_connected(&server.transaction_manager))
    })
    .await;
    client
}

pub(crate) fn is_connected(state: &RoleState) -> bool {
    matches!(state, RoleState::Connected { .. })
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
}

pub(crate) async fn begin(client: &RemoteCoordinator) -> Result<Xid, CoordinationError> {
    client.begin(BeginRequest { name: "purchase".into(), timeout: Duration::from_secs(60) }).await
}

pub(crate) async fn register_branch(
    client: &RemoteCoordinator,
    xid: &Xid,
    resource: &str,
) -> Result<BranchId, CoordinationError> {
    let registration = BranchRegistration {
        xid: xid.clone(),
        branch_type: BranchType::At,
        resource: resource.into(),
        locks: Vec::new(),
        application_data: String::new(),
    };
    client.register_branch(registration).await
}

/// An address at which nobody listens, and which nobody else is given while this is there.
pub(crate) struct Nobody {
    socket: TcpSocket,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        Self::bind("127.0.0.1:0".parse().unwrap()).expect("there is a free port")
    }

    /// Ends a coordinator, and keeps its place free.
    pub(crate) async fn instead_of(tc: ScriptedTc) -> Self {
        let address = tc.address();
        drop(tc);
        loop {
            match Self::bind(address) {
                Ok(nobody) => return nobody,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Starts a coordinator there.
    pub(crate) async fn start(self) -> ScriptedTc {
        let address = self.address();
        drop(self);
        ScriptedTc::start_at(address).await
    }

    fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket })
    }
}

pub(crate) fn is<'a>(name: &'a str) -> impl Fn(&Received) -> bool + 'a {
    move |received| received.message.as_ref().is_some_and(|message| message.name() == name)
}

/// The resource ids of every RM registration so far.
pub(crate) fn registered_resources(tc: &ScriptedTc) -> Vec<String> {
    let ids = |message| match message {
        Message::RegisterRm(request) => Some(request.resource_ids.to_string()),
        _ => None,
    };
    tc.messages().into_iter().filter_map(ids).collect()
}

/// What a server asks in phase two of this branch.
pub(crate) fn branch(resource: &str, number: i64) -> BranchRequest {
    BranchRequest {
        xid: format!("10.0.0.9:8091:{number}").into(),
        branch_id: BranchId(number),
        branch_type: BranchType::At,
        resource_id: resource.into(),
        application_data: "data".into(),
    }
}

/// A resource that notes what it is asked. Its calls wait for [`finish`](Self::finish) if it was made to.
pub(crate) struct Notes {
    id: ResourceId,
    branch_type: BranchType,
    calls: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<BranchAnswer>>,
    called: Notify,
    finished: Semaphore,
    panics: bool,
}

impl Notes {
    /// Answers at once, and well.
    pub(crate) fn new(id: &str) -> Arc<Self> {
        Arc::new(Self { finished: Semaphore::new(Semaphore::MAX_PERMITS), ..Self::waiting(id) })
    }

    /// Answers a call for each time that it is told to.
    pub(crate) fn held(id: &str) -> Arc<Self> {
        Arc::new(Self::waiting(id))
    }

    pub(crate) fn of_type(id: &str, branch_type: BranchType) -> Arc<Self> {
        let finished = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self { branch_type, finished, ..Self::waiting(id) })
    }

    pub(crate) fn panicking(id: &str) -> Arc<Self> {
        Arc::new(Self { panics: true, ..Self::waiting(id) })
    }

    fn waiting(id: &str) -> Self {
        Self {
            id: id.into(),
            branch_type: BranchType::At,
            calls: Mutex::default(),
            answers: Mutex::default(),
            called: Notify::new(),
            finished: Semaphore::new(0),
            panics: false,
        }
    }

    /// What is answered next instead of success.
    pub(crate) fn answer_next(&self, answer: BranchAnswer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// Lets so many calls return.
    pub(crate) fn finish(&self, calls: usize) {
        self.finished.add_permits(calls);
    }

    /// Every call so far, as `commit 7` or `commit 7 8`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits for so many calls, whether they have returned or not.
    pub(crate) async fn wait_for_calls(&self, count: usize) -> Vec<String> {
        until("the resource is called", || self.calls().len() >= count).await;
        self.calls()
    }

    async fn take_part(&self, call: String, success: BranchAnswer) -> BranchAnswer {
        self.calls.lock().unwrap().push(call);
        self.called.notify_waiters();
        assert!(!self.panics, "the resource is not well");
        self.finished.acquire().await.unwrap().forget();
        self.answers.lock().unwrap().pop_front().unwrap_or(success)
    }
}

impl Resource for Notes {
    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn branch_type(&self) -> BranchType {
        self.branch_type
    }

    fn commit(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(self.take_part(format!("commit {}", task.branch), BranchAnswer::committed()))
    }

    fn commit_many(&self, tasks: Vec<BranchTask>) -> BoxFuture<'_, Vec<BranchAnswer>> {
        Box::pin(async move {
            let numbers: Vec<_> = tasks.iter().map(|task| task.branch.to_string()).collect();
            let call = format!("commit {}", numbers.join(" "));
            let first = self.take_part(call, BranchAnswer::committed()).await;
            let others = tasks.iter().skip(1).map(|_| BranchAnswer::committed());
            std::iter::once(first).chain(others).collect()
        })
    }

    fn rollback(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(self.take_part(format!("rollback {}", task.branch), BranchAnswer::rollbacked()))
    }

    fn delete_undo_logs(&self, save_days: u16) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.take_part(format!("delete {save_days}"), BranchAnswer::committed()).await;
        })
    }
}
