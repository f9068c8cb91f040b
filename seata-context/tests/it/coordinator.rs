//! A coordinator that writes down what it is asked, and answers as it is told.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use seata_context::{
    BeginRequest, BranchRegistration, Client, CoordinationError, Finisher, Resource, ResourceManager,
    TransactionError, TransactionManager, TransactionOptions,
};
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, Xid};

type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, CoordinationError>> + Send + 'a>>;
pub(crate) type Answer = Result<GlobalStatus, CoordinationError>;

#[derive(Default)]
pub(crate) struct Coordinator {
    calls: Mutex<Vec<String>>,
    begun: Mutex<u64>,
    commits: Mutex<VecDeque<Answer>>,
    rollbacks: Mutex<VecDeque<Answer>>,
    begin_error: Mutex<Option<CoordinationError>>,
    delay: Mutex<Duration>,
}

impl Coordinator {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn client(self: &Arc<Self>) -> (Client, Finisher) {
        Client::builder("test", self.clone(), self.clone()).retry_interval(Duration::from_millis(1)).build()
    }

    /// A client whose finisher runs on the current runtime.
    pub(crate) fn running_client(self: &Arc<Self>) -> Client {
        let (client, finisher) = self.client();
        tokio::spawn(finisher.run());
        client
    }

    /// Each call takes this long before it is written down and answered.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    pub(crate) fn answer_commits(&self, answers: impl IntoIterator<Item = Answer>) {
        self.commits.lock().unwrap().extend(answers);
    }

    pub(crate) fn answer_rollbacks(&self, answers: impl IntoIterator<Item = Answer>) {
        self.rollbacks.lock().unwrap().extend(answers);
    }

    pub(crate) fn refuse_begin(&self, error: CoordinationError) {
        *self.begin_error.lock().unwrap() = Some(error);
    }

    pub(crate) fn accept_begin(&self) {
        *self.begin_error.lock().unwrap() = None;
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until that many calls have been written down.
    pub(crate) async fn settled(&self, count: usize) -> Vec<String> {
        for _ in 0..2000 {
            if self.calls().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.calls()
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    async fn wait(&self) {
        let delay = *self.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

impl TransactionManager for Coordinator {
    fn begin(&self, request: BeginRequest) -> Call<'_, Xid> {
        Box::pin(async move {
            self.wait().await;
            if let Some(error) = self.begin_error.lock().unwrap().clone() {
                self.note(format!("begin {} refused", request.name));
                return Err(error);
            }
            let id = {
                let mut begun = self.begun.lock().unwrap();
                *begun += 1;
                *begun
            };
            self.note(format!("begin {} {id}", request.name));
            Ok(format!("tc:0:{id}").parse().unwrap())
        })
    }

    fn commit<'a>(&'a self, xid: &'a Xid) -> Call<'a, GlobalStatus> {
        Box::pin(async move {
            self.wait().await;
            self.note(format!("commit {}", xid.transaction_id()));
            self.commits.lock().unwrap().pop_front().unwrap_or(Ok(GlobalStatus::Committed))
        })
    }

    fn rollback<'a>(&'a self, xid: &'a Xid) -> Call<'a, GlobalStatus> {
        Box::pin(async move {
            self.wait().await;
            self.note(format!("rollback {}", xid.transaction_id()));
            self.rollbacks.lock().unwrap().pop_front().unwrap_or(Ok(GlobalStatus::Rollbacked))
        })
    }

    fn status<'a>(&'a self, xid: &'a Xid) -> Call<'a, GlobalStatus> {
        Box::pin(async move {
            self.note(format!("status {}", xid.transaction_id()));
            Ok(GlobalStatus::Begin)
        })
    }

    fn report<'a>(&'a self, xid: &'a Xid, status: GlobalStatus) -> Call<'a, GlobalStatus> {
        Box::pin(async move {
            self.note(format!("report {} {status}", xid.transaction_id()));
            Ok(status)
        })
    }

    fn knows(&self, xid: &Xid) -> bool {
        xid.coordinator() == "tc:0"
    }
}

impl ResourceManager for Coordinator {
    fn register_resource(&self, _resource: Arc<dyn Resource>) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn register_branch(&self, _registration: BranchRegistration) -> Call<'_, BranchId> {
        Box::pin(async { Ok(BranchId(1)) })
    }

    fn report_branch<'a>(&'a self, _xid: &'a Xid, _branch: BranchId, _status: BranchStatus) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn query_locks<'a>(&'a self, _xid: Option<&'a Xid>, _locks: &'a [RowLock]) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

pub(crate) fn unreachable() -> CoordinationError {
    CoordinationError::Unreachable { reason: "the cable is cut".into() }
}

pub(crate) fn named(name: &'static str, client: &Client) -> TransactionOptions {
    TransactionOptions::new(name).client(client.clone())
}

/// What a body fails with.
#[derive(Debug, PartialEq)]
pub(crate) enum Failed {
    Business(&'static str),
    Transaction(TransactionError),
}

impl From<TransactionError> for Failed {
    fn from(error: TransactionError) -> Self {
        Self::Transaction(error)
    }
}
