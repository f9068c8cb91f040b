//! A Java application that takes part in global transactions, and does what it is told.

use std::{fmt, net::SocketAddr, path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use seata::tower::{PropagateTransaction, PropagateTransactionLayer};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;
use tower::{Layer as _, Service, ServiceExt as _};

use super::{SMALL, jvm};
use crate::process::Process;

/// How long one request may take. Java's client has shorter limits of its own for most things.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long a transaction that the peer begins may be open.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A release of Java's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// `org.apache.seata:seata-all:2.6.0`
    V2_6_0,
    /// `io.seata:seata-all:2.0.0`
    V2_0_0,
}

/// How statements reach a database of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As a branch that Seata undoes.
    At,
    /// As a branch of the database's own two-phase commit.
    Xa,
    /// Past Seata.
    Plain,
}

/// What became of the transfers of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loaded {
    /// Made.
    pub committed: u64,
    /// Made in phase one, then given up.
    pub rolled_back: u64,
    /// Given up because a row was locked for too long, or for another error.
    pub refused: u64,
}

/// The peer's process. Killed when it is dropped.
#[derive(Debug)]
pub struct PeerProcess {
    process: Process,
    http: u16,
    grpc: u16,
    _directory: TempDir,
}

impl PeerProcess {
    /// Starts a peer whose coordinator is the server at this address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(server: &str) -> Self {
        Self::start_on(Release::V2_6_0, "java-peer", server).await
    }

    /// As [`start`](Self::start), on this release of the client, under this name of an application.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_on(release: Release, name: &str, server: &str) -> Self {
        Self::start_with(release, name, server, &[]).await
    }

    /// As [`start_on`](Self::start_on), with options for the JVM: its time zone.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(release: Release, name: &str, server: &str, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = jvm(match release {
            Release::V2_6_0 => "peer",
            Release::V2_0_0 => "peer-2.0.0",
        });
        command
            .arg("-Xmx192m")
            .args(SMALL)
            .args(options)
            .arg(format!("-Dpeer.name={name}"))
            .arg("-Dlog.level=WARN")
            .arg(format!("-Dservice.default.grouplist={server}"))
            .arg("interop.Peer");
        let mut process = Process::start("Java peer", &mut command, directory.path().join("peer.log"));
        match process.ready(ports).await {
            Some((http, grpc)) => Self { process, http, grpc, _directory: directory },
            None => panic!("the peer does not start:\n{}", process.log()),
        }
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Reads "http PORT grpc PORT".
fn ports(log: &Path) -> Option<(u16, u16)> {
    let log = fs_err::read_to_string(log).ok()?;
    let line = log.lines().find(|line| line.starts_with("http ") && line.contains(" grpc "))?;
    let mut ports = line.split(' ').filter_map(|word| word.parse().ok());
    Some((ports.next()?, ports.next()?))
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// A way to the peer. Whether a call takes part in a global transaction, and in which, its documentation says.
#[derive(Clone, Debug)]
pub struct Peer {
    http_address: SocketAddr,
    http: Http,
    grpc: PropagateTransaction<Channel>,
}

/// What an account of the peer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Holdings {
    /// What may be spent.
    pub balance: i64,
    /// What is set aside by branches that are not finished.
    pub reserved: i64,
    /// How many branches were committed.
    pub commits: u64,
    /// How many branches were rolled back.
    pub rollbacks: u64,
}

/// How the branches of a resource of the peer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// Committed.
    pub commits: u64,
    /// Rolled back.
    pub rollbacks: u64,
}

/// What the peer, or Java's client in it, did not do.
#[derive(Clone, Debug, Deserialize)]
pub struct Refused {
    /// Why, in its own words.
    pub error: String,
    /// The name of the transaction exception's code, if it was one.
    pub code: Option<String>,
}

impl Peer {
    /// A way to this process, to be used on the runtime that makes it.
    pub fn new(process: &PeerProcess) -> Self {
        let propagate = PropagateTransactionLayer::new();
        let grpc = Uri::builder()
            .scheme("http")
            .authority(format!("127.0.0.1:{}", process.grpc))
            .path_and_query("/")
            .build()
            .expect("an address makes a URI");
        Self {
            http_address: ([127, 0, 0, 1], process.http).into(),
            http: Client::builder(TokioExecutor::new()).build_http(),
            grpc: propagate.layer(Channel::builder(grpc).timeout(CALL_LIMIT).connect_lazy()),
        }
    }

    /// Begins a transaction as Java's client does, and returns its XID.
    pub async fn begin(&self, name: &str) -> Result<String, Refused> {
        self.begin_for(name, TRANSACTION_TIMEOUT).await
    }

    /// As [`begin`](Self::begin), with this time-out.
    pub async fn begin_for(&self, name: &str, timeout: Duration) -> Result<String, Refused> {
        #[derive(Deserialize)]
        struct Begun {
            xid: String,
        }
        let timeout = u64::try_from(timeout.as_millis()).expect("it is short");
        let begun: Begun = self.ask(None, "/begin", json!({ "name": name, "timeout": timeout })).await?;
        Ok(begun.xid)
    }

    /// Commits a transaction as Java's client does. Returns the name of its status.
    pub async fn commit(&self, xid: &str) -> Result<String, Refused> {
        self.decide("/commit", xid).await
    }

    /// Rolls a transaction back as Java's client does. Returns the name of its status.
    pub async fn rollback(&self, xid: &str) -> Result<String, Refused> {
        self.decide("/rollback", xid).await
    }

    /// The name of a transaction's status.
    pub async fn status(&self, xid: &str) -> Result<String, Refused> {
        self.decide("/status", xid).await
    }

    /// Tells how a state machine of Saga ended. Returns the name of the transaction's status.
    pub async fn report(&self, xid: &str, status: &str) -> Result<String, Refused> {
        #[derive(Deserialize)]
        struct Reported {
            status: String,
        }
        let reported: Reported = self.ask(None, "/report", json!({ "xid": xid, "status": status })).await?;
        Ok(reported.status)
    }

    /// A branch of a state machine of Saga.
    pub async fn saga_branch(&self, xid: &str) -> Result<String, Refused> {
        #[derive(Deserialize)]
        struct Registered {
            branch: String,
        }
        let branch: Registered = self.ask(Some(xid), "/saga/branch", json!({ "data": "{}" })).await?;
        Ok(branch.branch)
    }

    /// Tells how the service of a branch of Saga ended, by the name of a branch status.
    pub async fn report_branch(&self, xid: &str, branch: &str, status: &str) -> Result<(), Refused> {
        let report = json!({ "branch": branch, "status": status, "data": "{}" });
        self.ask::<Value>(Some(xid), "/saga/report", report).await.map(drop)
    }

    /// Makes a database known, as a resource of AT and of XA.
    pub async fn open_database(&self, name: &str, url: &str) -> Result<(), Refused> {
        self.ask::<Value>(None, "/database/open", json!({ "name": name, "url": url })).await.map(drop)
    }

    /// Runs statements in one local transaction. Returns the rows of the last, columns apart by `|`.
    pub async fn run(
        &self,
        xid: Option<&str>,
        database: &str,
        mode: Mode,
        statements: &[&str],
    ) -> Result<Vec<String>, Refused> {
        #[derive(Deserialize)]
        struct Ran {
            rows: Vec<String>,
        }
        let mode = match mode {
            Mode::At => "AT",
            Mode::Xa => "XA",
            Mode::Plain => "PLAIN",
        };
        let run = json!({ "name": database, "mode": mode, "statements": statements });
        let ran: Ran = self.ask(xid, "/database/run", run).await?;
        Ok(ran.rows)
    }

    /// Makes so many transfers in each of so many threads, from one database to another, or to itself.
    pub async fn load(
        &self,
        (threads, times): (usize, usize),
        merging: bool,
        [left, right]: [&str; 2],
        accounts: usize,
    ) -> Result<Loaded, Refused> {
        let load = json!({
            "threads": threads, "times": times, "merging": merging,
            "left": left, "right": right, "accounts": accounts,
        });
        self.ask(None, "/load", load).await
    }

    /// Has this many of the next commits of an account fail.
    pub async fn fail_commits(&self, account: &str, times: u64) -> Result<(), Refused> {
        let fail = json!({ "account": account, "times": times });
        self.ask::<Value>(None, "/account/fail", fail).await.map(drop)
    }

    /// Makes an account, a TCC resource.
    pub async fn open_account(&self, account: &str, balance: i64) -> Result<Holdings, Refused> {
        self.ask(None, "/account/open", json!({ "account": account, "balance": balance })).await
    }

    /// What an account holds.
    pub async fn holdings(&self, account: &str) -> Result<Holdings, Refused> {
        self.ask(None, "/account", json!({ "account": account })).await
    }

    /// A TCC branch of this transaction: sets money aside.
    pub async fn reserve_in(&self, xid: &str, account: &str, amount: i64) -> Result<Holdings, Refused> {
        self.ask(Some(xid), "/account/reserve", json!({ "account": account, "amount": amount })).await
    }

    /// A TCC branch of the caller's transaction, over HTTP. Returns what is left in the account.
    pub async fn reserve_by_http(&self, account: &str, amount: i64) -> Result<i64, Refused> {
        let http = PropagateTransactionLayer::new().layer(self.http.clone());
        let reservation = json!({ "account": account, "amount": amount });
        let request = self.request("/account/reserve", None, &reservation)?;
        exchange(http, request).await.map(|Holdings { balance, .. }| balance)
    }

    /// A TCC branch of the caller's transaction, over gRPC. Returns what is left in the account.
    pub async fn reserve_by_grpc(&self, account: &str, amount: i64) -> Result<i64, Refused> {
        let mut grpc = tonic::client::Grpc::new(self.grpc.clone());
        grpc.ready().await.map_err(Refused::call)?;
        // Protobuf's own wrappers of one value are what prost takes these types for.
        let codec = ProstCodec::<String, i64>::default();
        let path = http::uri::PathAndQuery::from_static("/interop.Accounts/Reserve");
        let request = tonic::Request::new(format!("{account} {amount}"));
        let answer = grpc.unary(request, path, codec).await.map_err(Refused::call)?;
        Ok(answer.into_inner())
    }

    /// Makes an AT resource known.
    pub async fn open_rows(&self, resource: &str) -> Result<(), Refused> {
        self.ask::<Value>(None, "/rows/open", json!({ "resource": resource })).await.map(drop)
    }

    /// An AT branch that locks these rows, without changing them.
    pub async fn lock_rows(&self, xid: &str, resource: &str, keys: &str) -> Result<(), Refused> {
        let rows = json!({ "resource": resource, "keys": keys });
        self.ask::<Value>(Some(xid), "/rows/register", rows).await.map(drop)
    }

    /// Whether this transaction could lock these rows.
    pub async fn is_lockable(&self, xid: &str, resource: &str, keys: &str) -> Result<bool, Refused> {
        #[derive(Deserialize)]
        struct Lockable {
            lockable: bool,
        }
        let rows = json!({ "resource": resource, "keys": keys });
        self.ask(Some(xid), "/rows/lockable", rows).await.map(|Lockable { lockable }| lockable)
    }

    /// How the branches of an AT resource ended.
    pub async fn ended_rows(&self, resource: &str) -> Result<Ended, Refused> {
        self.ask(None, "/rows", json!({ "resource": resource })).await
    }

    /// Has the peer call a service over HTTP, in the transaction of this XID.
    pub async fn call_http(
        &self,
        xid: &str,
        service: SocketAddr,
        path: &str,
        body: Value,
    ) -> Result<(), Refused> {
        let call = json!({ "address": service.to_string(), "path": path, "body": body });
        self.ask::<Value>(Some(xid), "/call/http", call).await.map(drop)
    }

    /// Has the peer call a service over gRPC, in the transaction of this XID.
    pub async fn call_grpc<Reply: prost::Message + Default>(
        &self,
        xid: &str,
        service: SocketAddr,
        method: &str,
        message: &impl prost::Message,
    ) -> Result<Reply, Refused> {
        #[derive(Deserialize)]
        struct Called {
            reply: String,
        }
        let message = BASE64_STANDARD.encode(message.encode_to_vec());
        let call = json!({ "address": service.to_string(), "method": method, "message": message });
        let called: Called = self.ask(Some(xid), "/call/grpc", call).await?;
        let reply = BASE64_STANDARD.decode(called.reply).map_err(Refused::call)?;
        Reply::decode(&reply[..]).map_err(Refused::call)
    }

    async fn decide(&self, path: &str, xid: &str) -> Result<String, Refused> {
        #[derive(Deserialize)]
        struct Decided {
            status: String,
        }
        self.ask(None, path, json!({ "xid": xid })).await.map(|Decided { status }| status)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        xid: Option<&str>,
        path: &str,
        parameters: Value,
    ) -> Result<T, Refused> {
        exchange(self.http.clone(), self.request(path, xid, &parameters)?).await
    }

    fn request(
        &self,
        path: &str,
        xid: Option<&str>,
        parameters: &Value,
    ) -> Result<Request<Full<Bytes>>, Refused> {
        let mut request = Request::post(format!("http://{}{path}", self.http_address));
        if let Some(xid) = xid {
            request = request.header("TX_XID", xid);
        }
        request.body(Full::from(parameters.to_string())).map_err(Refused::call)
    }
}

async fn exchange<S, B, T>(http: S, request: Request<Full<Bytes>>) -> Result<T, Refused>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: fmt::Display,
    B: BodyExt,
    B::Error: fmt::Display,
    T: DeserializeOwned,
{
    let exchanged = async {
        let response = http.oneshot(request).await.map_err(Refused::call)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(Refused::call)?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(Refused::call);
        }
        let words = || Refused::call(String::from_utf8_lossy(&body));
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| words()))
    };
    tokio::time::timeout(CALL_LIMIT, exchanged).await.map_err(Refused::call)?
}

impl Refused {
    /// The call itself failed.
    pub(crate) fn call(reason: impl fmt::Display) -> Self {
        Self { error: reason.to_string(), code: None }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{code}: {}", self.error),
            None => f.write_str(&self.error),
        }
    }
}

impl std::error::Error for Refused {}
