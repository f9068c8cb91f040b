//! What the context costs where nothing happens: reading it, carrying it, and the HTTP layers.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use seata::{
    Coordinator, Presence, RootContext, Seata, Snapshot, Xid,
    coordinator::Settings,
    tower::{JoinTransactionLayer, PropagateTransactionLayer},
};
use seata_benches::{
    Table, is_measurement,
    load::{self, Turn},
    middle, ratio, rounds, runtime, turn,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
};
use tower::{Layer, Service, ServiceBuilder, layer::util::Identity, service_fn};

tokio::task_local! {
    static PLAIN: Arc<str>;
}

fn main() {
    let runtime = runtime();
    let seata = runtime.block_on(async {
        let coordinator = Coordinator::in_memory_with(Settings::default());
        Seata::builder("bench").coordinator(&coordinator).start().await.expect("an application")
    });
    let xid: Xid =
        format!("{}:1", seata.coordinator().expect("an embedded one").address()).parse().expect("an XID");
    reading(&xid);
    carrying(&xid);
    layers(&seata, &xid);
    for connections in [1, 16] {
        runtime.block_on(loopback(&seata, &xid, connections));
    }
}

/// `RootContext::xid()` beside tokio's own task-local with a text of the same length.
fn reading(xid: &Xid) {
    let plain: Arc<str> = xid.as_str().into();
    let idle = Snapshot::empty().into_scope();
    let bound = Snapshot::empty().with_xid(xid.clone()).into_scope();
    let figures = nanoseconds(&[
        &|| PLAIN.sync_scope(plain.clone(), || each(|| PLAIN.with(Arc::clone))),
        &|| each(RootContext::xid),
        &|| idle.enter(|| each(RootContext::xid)),
        &|| bound.enter(|| each(RootContext::xid)),
        &|| bound.enter(|| each(RootContext::in_global_transaction)),
        &|| bound.enter(|| each(|| matches!(RootContext::presence(), Presence::Bound(_)))),
    ]);
    print(
        "Reading the context",
        &figures,
        &[
            "a `tokio::task_local!` with an `Arc<str>`, cloned",
            "`RootContext::xid()` without a scope",
            "`RootContext::xid()` in a scope, no transaction",
            "`RootContext::xid()` in a transaction",
            "`RootContext::in_global_transaction()` in one",
            "`RootContext::presence()` in one",
        ],
    );
}

/// One poll of a future that is never ready.
fn carrying(xid: &Xid) {
    let snapshot = Snapshot::empty().with_xid(xid.clone());
    let plain: Arc<str> = xid.as_str().into();
    let figures = nanoseconds(&[
        &|| polls(Pending::default()),
        &|| polls(PLAIN.scope(plain.clone(), Pending::default())),
        &|| polls(snapshot.clone().scope(Pending::default())),
        &|| polls(snapshot.clone().scope(snapshot.clone().scope(Pending::default()))),
    ]);
    print(
        "One poll of a future",
        &figures,
        &["bare", "in a `tokio::task_local!` scope", "in a `Scope`", "in two of them"],
    );
}

/// A service that answers at once, called and awaited, with and without the layers around it.
fn layers(seata: &Seata, xid: &Xid) {
    let join = JoinTransactionLayer::new(seata);
    let both = || ServiceBuilder::new().layer(join.clone()).layer(PropagateTransactionLayer::new());
    let bare = service_fn(answer);
    let figures = nanoseconds(&[
        &|| calls(bare, None),
        &|| calls(PropagateTransactionLayer::new().layer(bare), None),
        &|| calls(both().service(bare), None),
        &|| calls(bare, Some(xid)),
        &|| calls(both().service(bare), Some(xid)),
    ]);
    print(
        "One call of a service that answers at once",
        &figures,
        &[
            "bare",
            "`PropagateTransaction`",
            "`JoinTransaction` + `PropagateTransaction`",
            "bare, the request names a transaction",
            "both layers, the request names a transaction",
        ],
    );
}

/// A trivial axum handler on a loopback connection, as clients see it.
async fn loopback(seata: &Seata, xid: &Xid, connections: usize) {
    let router = || Router::new().route("/", get(|| async { "ok" }));
    let layered = || router().layer(JoinTransactionLayer::new(seata)).layer(PropagateTransactionLayer::new());
    let same = || router().layer(Identity::new()).layer(Identity::new());
    let bare = Server::start(router(), None, connections).await;
    let same = Server::start(same(), None, connections).await;
    let idle = Server::start(layered(), None, connections).await;
    let joined = Server::start(layered(), Some(xid), connections).await;
    let mut turns: [Vec<Turn>; 4] = Default::default();
    for _ in 0..if is_measurement() { 15 } else { 1 } {
        for (turns, server) in turns.iter_mut().zip([&bare, &same, &idle, &joined]) {
            turns.push(server.turn().await);
        }
    }
    let mut table =
        Table::new(&["trivial axum handler", "µs/request", "ratio", "CPU µs/request", "CPU ratio"]);
    let names = ["bare", "two layers that do nothing", "both layers", "both layers, a transaction named"];
    for (name, candidate) in names.into_iter().zip(&turns) {
        table.row([
            name.to_owned(),
            format!("{:.2}", middle(candidate, |turn| turn.latency(connections))),
            format!("{:.3}", ratio(candidate, &turns[0], |turn| turn.latency(connections))),
            format!("{:.2}", middle(candidate, Turn::cpu_each)),
            format!("{:.3}", ratio(candidate, &turns[0], Turn::cpu_each)),
        ]);
    }
    table.print(&format!(
        "HTTP/1 over loopback, connections: {connections}; client and server on the same two cores"
    ));
}

struct Server {
    connections: Arc<Vec<Mutex<SendRequest<Empty<Bytes>>>>>,
    address: SocketAddr,
    xid: Option<Xid>,
}

impl Server {
    async fn start(router: Router, xid: Option<&Xid>, connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut senders = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.expect("the server listens");
            stream.set_nodelay(true).expect("a socket");
            let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(connection);
            senders.push(Mutex::new(sender));
        }
        Self { connections: Arc::new(senders), address, xid: xid.cloned() }
    }

    async fn turn(&self) -> Turn {
        let (connections, address, xid) = (self.connections.clone(), self.address, self.xid.clone());
        let work = move |worker: usize, _| {
            let (connections, xid) = (Arc::clone(&connections), xid.clone());
            async move {
                let mut request = Request::get("/").header("host", address.to_string());
                if let Some(xid) = &xid {
                    request = request.header("tx_xid", xid.as_str());
                }
                let request = request.body(Empty::new()).expect("a request");
                let mut connection = connections[worker].lock().await;
                let response = connection.send_request(request).await.expect("an answer");
                assert!(response.status().is_success());
                let body = response.into_body().collect().await.expect("a body");
                assert_eq!(body.to_bytes(), "ok");
            }
        };
        load::run(self.connections.len(), turn(Duration::from_millis(500)), work, async {}).await
    }
}

fn answer(request: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    black_box(request);
    ready(Ok(Response::new(Full::new(Bytes::from_static(b"ok")))))
}

/// Ready never; wakes nobody.
#[derive(Default)]
struct Pending(Cell<u64>);

impl Future for Pending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.set(black_box(self.0.get() + 1));
        Poll::Pending
    }
}

/// How often something short is done between two looks at the clock.
const TIMES: u32 = 100_000;

fn each<T>(mut call: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..TIMES {
        black_box(call());
    }
    start.elapsed()
}

fn polls(future: impl Future<Output = ()>) -> Duration {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    each(|| future.as_mut().poll(&mut context))
}

fn calls<S, B>(mut service: S, xid: Option<&Xid>) -> Duration
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    each(|| {
        let mut request = Request::new(());
        if let Some(xid) = xid {
            let value = xid.as_str().parse().expect("an XID is visible ASCII");
            request.headers_mut().insert("tx_xid", value);
        }
        match pin!(service.call(request)).poll(&mut context) {
            Poll::Ready(Ok(response)) => response.status(),
            Poll::Pending => unreachable!("the service answers at once"),
        }
    })
}

/// Nanoseconds of each candidate in each round.
fn nanoseconds(candidates: &[&dyn Fn() -> Duration]) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::new(); candidates.len()];
    for _ in 0..4 * rounds() {
        for (figures, candidate) in figures.iter_mut().zip(candidates) {
            figures.push(candidate().as_secs_f64() * 1e9 / f64::from(TIMES));
        }
    }
    figures
}

/// With ratios to the first.
fn print(title: &str, figures: &[Vec<f64>], names: &[&str]) {
    let mut table = Table::new(&["", "ns", "ratio"]);
    for (name, candidate) in names.iter().zip(figures) {
        let each = middle(candidate, |figure| *figure);
        let ratio = ratio(candidate, &figures[0], |figure| *figure);
        table.row([(*name).to_owned(), format!("{each:.1}"), format!("{ratio:.2}")]);
    }
    table.print(title);
}
