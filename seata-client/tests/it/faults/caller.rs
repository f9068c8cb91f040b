//! A service that runs one transaction after the other, gives up waiting now and then, and knows which answers
//! are meant for it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use seata_client::RemoteCoordinator;
use seata_context::{
    BeginRequest, BranchRegistration, CoordinationError, ResourceManager as _, TransactionManager as _,
};
use seata_protocol::{BranchId, BranchStatus, BranchType, RowKey, RowLock, Xid};
use tokio::time::{sleep, timeout};

use super::{
    RESOURCES,
    server::{application_data, name, status, transaction_number, verdict},
};

/// One caller.
pub(super) struct Caller {
    pub(super) client: RemoteCoordinator,
    pub(super) number: i64,
    pub(super) transactions: i64,
    pub(super) numbers: StdRng,
    /// The longest that a call may take.
    pub(super) limit: Duration,
    pub(super) mood: Mood,
    /// A server whose absence is no surprise: what its XIDs name, and where the client finds it.
    pub(super) mortal: Option<(String, SocketAddr)>,
    /// The client may be shut down.
    pub(super) is_over: Arc<AtomicBool>,
}

/// What a caller does, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Drops calls half-way, and takes it that a server cannot be reached.
    Careless,
    /// Waits for each answer, and does not take no for one.
    Strict,
}

/// The transaction came to no end: a call was dropped or failed.
pub(super) struct Abandoned;

impl Caller {
    /// One transaction after the other until it is over, then the caller itself.
    pub(super) async fn run(mut self) -> Self {
        while !self.is_over.load(Ordering::SeqCst) {
            let _ = self.transaction().await;
            sleep(Duration::from_millis(self.numbers.random_range(0..10))).await;
        }
        self
    }

    /// One transaction, from its begin to its end.
    pub(super) async fn transaction(&mut self) -> Result<Xid, Abandoned> {
        let number = transaction_number(self.number, self.transactions);
        self.transactions += 1;
        let client = self.client.clone();
        let request = BeginRequest { name: name(number), timeout: Duration::from_secs(60) };
        let xid = self.wait("begin", None, client.begin(request)).await?.map_err(|_| Abandoned)?;
        assert_eq!(xid.transaction_id().0, number, "this is another caller's transaction");
        self.go_on(&client, &xid, number).await
    }

    /// All but the begin.
    async fn go_on(&mut self, client: &RemoteCoordinator, xid: &Xid, number: i64) -> Result<Xid, Abandoned> {
        for branch in number + 1..=number + self.numbers.random_range(0..4) {
            let resource = RESOURCES[branch as usize % RESOURCES.len()];
            let locks = vec![row(resource, branch)];
            if self.numbers.random_bool(0.3) {
                let query = self.wait("query", Some(xid), client.query_locks(Some(xid), &locks)).await?;
                assert_eq!(query, verdict("query", branch));
            }
            let registration = BranchRegistration {
                xid: xid.clone(),
                branch_type: BranchType::At,
                resource: resource.into(),
                locks,
                application_data: application_data(branch),
            };
            let registered = self.wait("branch", Some(xid), client.register_branch(registration)).await?;
            assert_eq!(registered, verdict("branch", branch).map(|()| BranchId(branch)));
            if self.numbers.random_bool(0.3) {
                let report = client.report_branch(xid, BranchId(branch), BranchStatus::PhaseOneDone);
                assert_eq!(self.wait("report", Some(xid), report).await?, verdict("report", branch));
            }
        }
        let asked = self.wait("status", Some(xid), client.status(xid)).await?;
        assert_eq!(asked, verdict("status", number).map(|()| status(number)));
        let (what, ended) = match self.numbers.random_bool(0.7) {
            true => ("commit", self.wait("commit", Some(xid), client.commit(xid)).await?),
            false => ("rollback", self.wait("rollback", Some(xid), client.rollback(xid)).await?),
        };
        assert_eq!(ended, verdict(what, number).map(|()| status(number)));
        Ok(xid.clone())
    }

    /// Waits for the answer, within the limit or not for long. The inner error is what the server said.
    async fn wait<T: fmt::Debug>(
        &mut self,
        what: &str,
        xid: Option<&Xid>,
        call: impl Future<Output = Result<T, CoordinationError>>,
    ) -> Result<Result<T, String>, Abandoned> {
        let done = if self.mood == Mood::Careless && self.numbers.random_bool(0.1) {
            let patience = Duration::from_micros(self.numbers.random_range(0..20_000));
            timeout(patience, call).await.map_err(|_| Abandoned)?
        } else {
            timeout(self.limit, call).await.unwrap_or_else(|_| panic!("a {what} hangs"))
        };
        match done {
            Ok(answer) => Ok(Ok(answer)),
            Err(CoordinationError::Refused { message, .. }) => Ok(Err(message)),
            Err(CoordinationError::ShuttingDown) if self.is_over.load(Ordering::SeqCst) => Err(Abandoned),
            Err(CoordinationError::Unreachable { reason }) if self.takes(xid, &reason) => Err(Abandoned),
            Err(error) => panic!("a {what} of {xid:?} failed: {error}"),
        }
    }

    /// Whether it is all right that a server could not be reached.
    fn takes(&self, xid: Option<&Xid>, reason: &str) -> bool {
        match (self.mood, &self.mortal, xid) {
            (Mood::Careless, ..) => !reason.is_empty(),
            (Mood::Strict, Some((name, address)), Some(xid)) => {
                xid.coordinator() == name && reason.contains(&address.to_string())
            }
            _ => false,
        }
    }
}

/// The row that a branch locks.
pub(super) fn row(resource: &str, branch: i64) -> RowLock {
    let key = RowKey::from_text(branch.to_string()).unwrap();
    RowLock { resource: resource.into(), table: "t_order".into(), key }
}
