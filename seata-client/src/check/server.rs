//! The links of one server.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use seata_protocol::{
    Codec, Compressor, GlobalBegin, GlobalBegun, GlobalRequest, GlobalResponse, GlobalStatus, Message,
    Outcome, Registered, Text, TransactionExceptionCode, Xid,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    probe::{Probe, ProbeError},
    report::{Link, ServerReport, Step},
};
use crate::{LoadBalance, ServerAddress, Settings, registration::Identity};

/// The links of a server, in their order.
const STEPS: [Step; 6] = [
    Step::Address,
    Step::Tcp,
    Step::Handshake,
    Step::TransactionManager,
    Step::ResourceManager,
    Step::Transaction,
];

/// How long the server keeps the transaction of a check that does not come back for it.
const TRANSACTION_TIMEOUT_MS: i32 = 10_000;

/// What a check needs to know at every server.
pub(super) struct Walk<'a> {
    pub(super) identity: Identity,
    pub(super) settings: &'a Settings,
    /// Whether the cluster has more than one server.
    pub(super) several: bool,
}

/// A link that held, with what the next one needs; or the one that broke.
type Tried<T> = Result<(Link, T), Link>;

impl Walk<'_> {
    /// Tries the links one after the other, up to the first that breaks.
    pub(super) async fn server(&self, address: &ServerAddress) -> ServerReport {
        let mut report = ServerReport { address: address.to_string(), ..ServerReport::default() };
        self.walk(address, &mut report).await;
        for step in STEPS.into_iter().skip(report.links.len()) {
            report.links.push(Link::skipped(step));
        }
        report
    }

    async fn walk(&self, address: &ServerAddress, report: &mut ServerReport) -> Option<()> {
        let links = &mut report.links;
        let found = keep(links, self.look_up(address).await)?;
        let (stream, dialled) = keep(links, self.connect(&found).await)?;
        let mut probe = Probe::new(stream, self.settings);
        keep(links, self.handshake(&mut probe, dialled).await)?;

        let version = keep(links, self.register_tm(&mut probe).await);
        keep(links, self.register_rm(dialled).await);
        report.version = Some(shown(&version?)).filter(|version| !version.is_empty());
        keep(links, self.transaction(&mut probe, address, &found).await)
    }

    async fn look_up(&self, address: &ServerAddress) -> Tried<Vec<SocketAddr>> {
        let started = Instant::now();
        let limit = self.settings.connect_timeout;
        let broke = |cause: String| {
            let found = format!("the host name {:?} does not resolve: {cause}", address.host());
            let advice = "correct the name in the list of servers, or the name service of this machine";
            Link::failed(Step::Address, found, advice, started.elapsed())
        };
        let found: Vec<_> = match timeout(limit, lookup_host((address.host(), address.port()))).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => return Err(broke(error.to_string())),
            Err(_) => return Err(broke(format!("no answer within {limit:?}"))),
        };
        if found.is_empty() {
            return Err(broke("it has no address".into()));
        }
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        Ok((Link::ok(Step::Address, texts.join(", "), started.elapsed()), found))
    }

    /// Connects to the first address that accepts; each has an equal share of the limit.
    async fn connect(&self, found: &[SocketAddr]) -> Tried<(TcpStream, SocketAddr)> {
        let started = Instant::now();
        let share = self.settings.connect_timeout / u32::try_from(found.len()).unwrap_or(u32::MAX);
        let mut broke = Vec::new();
        for dialled in found {
            match timeout(share, TcpStream::connect(dialled)).await {
                Ok(Ok(stream)) => {
                    let link = Link::ok(Step::Tcp, format!("connected to {dialled}"), started.elapsed());
                    return Ok((link, (stream, *dialled)));
                }
                Ok(Err(error)) => broke.push((dialled, error)),
                Err(_) => broke.push((dialled, io::ErrorKind::TimedOut.into())),
            }
        }
        let texts: Vec<_> = broke.iter().map(|(dialled, error)| refusal(dialled, error, share)).collect();
        let advice = broke.last().map_or("", |(_, error)| advice_on_tcp(error.kind()));
        Err(Link::failed(Step::Tcp, texts.join("; "), advice, started.elapsed()))
    }

    async fn handshake(&self, probe: &mut Probe<'_>, dialled: SocketAddr) -> Tried<()> {
        let started = Instant::now();
        match probe.ping(self.settings.connect_timeout).await {
            Ok(()) => Ok((Link::ok(Step::Handshake, "speaks Seata: answered a ping", started.elapsed()), ())),
            Err(error) => {
                let advice = advice_on_handshake(&error, dialled.port());
                Err(Link::failed(Step::Handshake, error.to_string(), advice, started.elapsed()))
            }
        }
    }

    async fn register_tm(&self, probe: &mut Probe<'_>) -> Tried<Text> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let timestamp = u64::try_from(now).unwrap_or(u64::MAX);
        let request = self.identity.transaction_manager(probe.local_ip(), timestamp);
        self.register(Step::TransactionManager, probe, &request).await
    }

    /// On a connection of its own, as the client's is.
    async fn register_rm(&self, dialled: SocketAddr) -> Tried<Text> {
        let (_, (stream, _)) =
            self.connect(&[dialled]).await.map_err(|link| Link { step: Step::ResourceManager, ..link })?;
        let mut probe = Probe::new(stream, self.settings);
        self.register(Step::ResourceManager, &mut probe, &self.identity.resource_manager(&[])).await
    }

    async fn register(&self, step: Step, probe: &mut Probe<'_>, request: &Message) -> Tried<Text> {
        let started = Instant::now();
        let broke = |found: String, advice: String| Link::failed(step, found, advice, started.elapsed());
        let answer = match probe.call(request, self.settings.connect_timeout).await {
            Ok(Message::RegisterTmResponse(answer) | Message::RegisterRmResponse(answer)) => answer,
            Ok(other) => return Err(odd_answer(step, request, &other, started.elapsed())),
            Err(error) => return Err(broke(error.to_string(), self.advice_on_message(&error))),
        };
        if !answer.identified {
            return Err(broke(self.refused(&answer), self.advice_on_refusal()));
        }
        let found =
            format!("registered as {:?} in group {:?}", self.identity.application, self.identity.group);
        Ok((Link::ok(step, found, started.elapsed()), answer.version))
    }

    async fn transaction(
        &self,
        probe: &mut Probe<'_>,
        address: &ServerAddress,
        found: &[SocketAddr],
    ) -> Tried<()> {
        let started = Instant::now();
        let begun = self.begin(probe).await?;
        let begin_took = started.elapsed();
        let status = self.roll_back(probe, &begun.xid, started).await?;
        let took = started.elapsed();
        if !matches!(status, GlobalStatus::Rollbacked | GlobalStatus::Rollbacking | GlobalStatus::Finished) {
            let text = format!("the rollback of {} ended as {status}", shown(&begun.xid));
            return Err(Link::failed(Step::Transaction, text, LOOK_AT_LOG, took));
        }
        let Ok(xid) = begun.xid.parse::<Xid>() else {
            let text = format!(
                "the server calls a transaction \"{}\": expected host:port:number",
                shown(&begun.xid)
            );
            return Err(Link::failed(Step::Transaction, text, LOOK_AT_LOG, took));
        };
        let text = format!("begin {}, rollback {}", millis(begin_took), millis(took - begin_took));
        if names(&xid, address, found) {
            return Ok((Link::ok(Step::Transaction, text, took), ()));
        }
        let text = format!("{text}; its XIDs name {}:{}, {address} was dialled", xid.host(), xid.port());
        if self.several && self.settings.load_balance == LoadBalance::Xid {
            return Ok((Link::warning(Step::Transaction, text, LIST_AS_NAMED, took), ()));
        }
        Ok((Link::ok(Step::Transaction, text, took), ()))
    }

    async fn begin(&self, probe: &mut Probe<'_>) -> Result<GlobalBegun, Link> {
        let started = Instant::now();
        let request = Message::GlobalBegin(GlobalBegin {
            timeout_ms: TRANSACTION_TIMEOUT_MS,
            name: "seata check".into(),
        });
        match probe.call(&request, self.settings.transaction_request_timeout).await {
            Ok(Message::GlobalBeginResponse(begun)) if begun.outcome.is_success() => Ok(begun),
            Ok(Message::GlobalBeginResponse(begun)) => Err(no("a begin", &begun.outcome, started.elapsed())),
            Ok(other) => Err(odd_answer(Step::Transaction, &request, &other, started.elapsed())),
            Err(error) => {
                let advice = self.advice_on_message(&error);
                Err(Link::failed(Step::Transaction, error.to_string(), advice, started.elapsed()))
            }
        }
    }

    async fn roll_back(
        &self,
        probe: &mut Probe<'_>,
        xid: &Text,
        started: Instant,
    ) -> Result<GlobalStatus, Link> {
        let request = Message::GlobalRollback(GlobalRequest { xid: xid.clone(), extra_data: Text::new() });
        match probe.call(&request, self.settings.transaction_request_timeout).await {
            Ok(Message::GlobalRollbackResponse(GlobalResponse { outcome, status }))
                if outcome.is_success() =>
            {
                Ok(status)
            }
            Ok(Message::GlobalRollbackResponse(GlobalResponse { outcome, .. })) => {
                Err(no("a rollback", &outcome, started.elapsed()))
            }
            Ok(other) => Err(odd_answer(Step::Transaction, &request, &other, started.elapsed())),
            Err(error) => {
                let found = format!("{} was begun, but {error}", shown(xid));
                let advice = self.advice_on_message(&error);
                Err(Link::failed(Step::Transaction, found, advice, started.elapsed()))
            }
        }
    }

    fn refused(&self, answer: &Registered) -> String {
        let Identity { application, group, .. } = &self.identity;
        let mut text = format!("the server did not accept application {application:?} in group {group:?}");
        for (what, value) in [("its reason", &answer.outcome.message), ("its version", &answer.version)] {
            if !value.is_empty() {
                text = format!("{text} ({what}: {})", shown(value));
            }
        }
        text
    }

    fn advice_on_refusal(&self) -> String {
        match &self.settings.credentials {
            None => {
                "look at the server's log; if it checks access keys, set seata.accesskey and seata.secretkey"
                    .into()
            }
            Some(credentials) => format!(
                "look at the server's log; check access key {:?}, its secret, and the clock of this machine, which \
                 is signed with it",
                credentials.access_key
            ),
        }
    }

    /// What to do when a message gets no answer, though pings do.
    fn advice_on_message(&self, error: &ProbeError) -> String {
        let Settings { codec, compressor, .. } = self.settings;
        match error {
            ProbeError::Unsendable { .. } => "correct the settings named".into(),
            _ if *codec != Codec::Seata || *compressor != Compressor::None => format!(
                "look at the server's log; it may not read {codec} with compressor {compressor}: set \
                 transport.serialization to seata and transport.compressor to none, or change the server"
            ),
            _ => LOOK_AT_LOG.into(),
        }
    }
}

const LOOK_AT_LOG: &str = "look at the server's log";

const LIST_AS_NAMED: &str = "an XID that comes from another service may be sent to the wrong server: list the \
    address that stands in the XIDs, or start the server so that it names the one in the list (-h)";

/// Takes a link into the report.
fn keep<T>(links: &mut Vec<Link>, tried: Tried<T>) -> Option<T> {
    match tried {
        Ok((link, value)) => {
            links.push(link);
            Some(value)
        }
        Err(link) => {
            links.push(link);
            None
        }
    }
}

fn refusal(dialled: &SocketAddr, error: &io::Error, limit: Duration) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{dialled} refused the connection"),
        io::ErrorKind::TimedOut => format!("{dialled} did not answer within {limit:?}"),
        io::ErrorKind::ConnectionReset => format!("{dialled} reset the connection"),
        _ => format!("{dialled}: {error}"),
    }
}

fn advice_on_tcp(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there: start the server, or correct the port (8091 by default, else the one after -p)"
        }
        io::ErrorKind::TimedOut => {
            "packets get lost: a firewall drops them, or the host is down or another one"
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no way to that address from here: check it, and this machine's routes"
        }
        _ => "check the address, and what stands between",
    }
}

fn advice_on_handshake(error: &ProbeError, port: u16) -> String {
    match error {
        ProbeError::Foreign(peer) => peer.advice(port),
        ProbeError::Silent { .. } => "something accepts connections and says nothing: a server that hangs, a proxy \
                                      without a server behind it, or another program's port"
            .into(),
        ProbeError::Closed { .. } | ProbeError::Lost { .. } => {
            "another program's port, a proxy without a server behind it, or a server that is starting or stopping"
                .into()
        }
        _ => "what listens there is no Seata server, or one of a version that this client does not know".into(),
    }
}

fn odd_answer(step: Step, request: &Message, answer: &Message, took: Duration) -> Link {
    let found = format!("{} was answered by {}", request.name(), answer.name());
    Link::failed(step, found, "what listens there is no Seata server", took)
}

/// A request that the server understood and did not carry out.
fn no(what: &str, outcome: &Outcome, took: Duration) -> Link {
    let advice = match outcome.code {
        TransactionExceptionCode::NotRaftLeader => "list the leader of the cluster first",
        TransactionExceptionCode::FailedStore | TransactionExceptionCode::FailedWriteSession => {
            "the server cannot write to its store: look at its log"
        }
        _ => LOOK_AT_LOG,
    };
    let found = format!("the server refused {what} ({}): {}", outcome.code, shown(&outcome.message));
    Link::failed(Step::Transaction, found, advice, took)
}

/// A server's text as it may stand in a table: on one line, and not a book.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether an XID names the address that was dialled, under its name or its number.
fn names(xid: &Xid, address: &ServerAddress, found: &[SocketAddr]) -> bool {
    let host_is = |ip: &SocketAddr| xid.host().parse() == Ok(ip.ip());
    xid.port() == address.port() && (xid.host() == address.host() || found.iter().any(host_is))
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}
