//! Both layers over real connections: axum and hyper servers, hyper-util's client, HTTP/1 and HTTP/2.

use std::{convert::Infallible, net::SocketAddr, panic::AssertUnwindSafe, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::IntoResponse,
    routing::get,
};
use futures_util::{FutureExt as _, stream};
use http::{HeaderValue, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use seata_context::{InCurrentTransaction as _, RootContext, Snapshot};
use seata_tower::{JoinTransactionLayer, PropagateTransaction};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};
use tower::{Layer as _, ServiceExt as _};

use crate::{coordinator, seen, xid};

type Http = PropagateTransaction<Client<HttpConnector, Empty<bytes::Bytes>>>;

/// One connection at a time, so that requests follow each other on it.
fn client(version: Version) -> Http {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(version == Version::HTTP_2).pool_max_idle_per_host(1);
    PropagateTransaction::new(builder.build_http())
}

fn request(server: SocketAddr, path: &str) -> http::Request<Empty<bytes::Bytes>> {
    http::Request::get(format!("http://{server}{path}")).body(Empty::new()).unwrap()
}

async fn text(client: &Http, request: http::Request<Empty<bytes::Bytes>>) -> (StatusCode, String) {
    let response = client.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A service with one route for each way to end; `dropped` hears what a dropped handler saw.
async fn start(dropped: mpsc::UnboundedSender<String>) -> SocketAddr {
    let app = Router::new()
        .route("/seen", get(|| async { seen() }))
        .route("/stream", get(streamed))
        .route("/panic", get(panicking))
        .route("/stuck", get(stuck))
        .with_state(dropped)
        .layer(JoinTransactionLayer::new(coordinator::client()))
        .layer(middleware::from_fn(catch_panic));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

async fn streamed() -> Body {
    Body::from_stream(stream::unfold(0, |sent| async move {
        tokio::task::yield_now().await;
        (sent < 3).then(|| (Ok::<_, Infallible>(format!("{} ", seen())), sent + 1))
    }))
}

async fn panicking() -> String {
    tokio::task::yield_now().await;
    panic!("in {}", seen())
}

async fn stuck(State(dropped): State<mpsc::UnboundedSender<String>>) {
    struct Guard(mpsc::UnboundedSender<String>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send(seen());
        }
    }
    let _guard = Guard(dropped);
    std::future::pending().await
}

/// Without it a panic ends an HTTP/1 connection, and no next request could show a leak.
async fn catch_panic(request: Request, next: Next) -> axum::response::Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| (StatusCode::INTERNAL_SERVER_ERROR, seen()).into_response())
}

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn a_transaction_travels_and_does_not_stay() {
    let server = start(mpsc::unbounded_channel().0).await;
    for version in VERSIONS {
        let client = client(version);
        let joined = Snapshot::empty().with_xid(xid(7)).scope(text(&client, request(server, "/seen"))).await;
        assert_eq!(joined, (StatusCode::OK, "tc:0:7".to_owned()), "{version:?}");
        assert_eq!(text(&client, request(server, "/seen")).await.1, "Idle", "{version:?}");
        let suspended = RootContext::suspended(text(&client, request(server, "/seen")));
        assert_eq!(Snapshot::empty().with_xid(xid(7)).scope(suspended).await.1, "Idle", "{version:?}");
    }
}

#[tokio::test]
async fn a_streamed_body_is_sent_in_the_transaction() {
    let server = start(mpsc::unbounded_channel().0).await;
    for version in VERSIONS {
        let client = client(version);
        let streamed = Snapshot::empty().with_xid(xid(7)).scope(text(&client, request(server, "/stream")));
        assert_eq!(streamed.await.1, "tc:0:7 tc:0:7 tc:0:7 ", "{version:?}");
    }
}

#[tokio::test]
async fn after_a_panic_the_connection_serves_on_and_nothing_is_bound() {
    let server = start(mpsc::unbounded_channel().0).await;
    let stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut send = async |path: &str, header: Option<&str>| {
        let mut request = http::Request::get(path).header("host", "storage");
        if let Some(header) = header {
            request = request.header("tx_xid", header);
        }
        sender.ready().await.unwrap();
        let response =
            sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    };
    let panicked = send("/panic", Some("tc:0:7")).await;
    assert_eq!(panicked, (StatusCode::INTERNAL_SERVER_ERROR, "NoScope".into()));
    assert_eq!(send("/seen", None).await, (StatusCode::OK, "Idle".into()));
    assert_eq!(send("/seen", Some("tc:0:8")).await, (StatusCode::OK, "tc:0:8".into()));
    assert_eq!(send("/seen", Some("tc:0")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(send("/seen", Some("")).await, (StatusCode::OK, "Idle".into()));
}

#[tokio::test]
async fn a_caller_that_gives_up_drops_the_handler_in_its_transaction() {
    let (dropped, mut heard) = mpsc::unbounded_channel();
    let server = start(dropped).await;
    for version in VERSIONS {
        let client = client(version);
        let call = Snapshot::empty().with_xid(xid(7)).scope(text(&client, request(server, "/stuck")));
        timeout(Duration::from_millis(100), call).await.unwrap_err();
        let seen = timeout(Duration::from_secs(10), heard.recv()).await.expect("the handler is dropped");
        assert_eq!(seen.as_deref(), Some("tc:0:7"), "{version:?}");
    }
}

#[tokio::test]
async fn callers_side_by_side_keep_apart() {
    let server = start(mpsc::unbounded_channel().0).await;
    for version in VERSIONS {
        let client = client(version);
        let call = |id| Snapshot::empty().with_xid(xid(id)).scope(text(&client, request(server, "/stream")));
        let answers = futures_util::future::join_all((1..=8).map(call)).await;
        for (id, (_, seen)) in (1..=8).zip(answers) {
            assert_eq!(seen, format!("{0} {0} {0} ", xid(id)), "{version:?}");
        }
    }
}

#[tokio::test]
async fn bad_headers_are_refused_over_the_wire() {
    let server = start(mpsc::unbounded_channel().0).await;
    let with = |value: &[u8]| {
        let mut request = request(server, "/seen");
        request.headers_mut().insert("tx_xid", HeaderValue::from_bytes(value).unwrap());
        request
    };
    for version in VERSIONS {
        let client = client(version);
        for value in [&b"tc:0"[..], b"\xff\xfe", b"elsewhere:8091:7"] {
            let (status, refusal) = text(&client, with(value)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{version:?} {refusal}");
        }
        assert_eq!(text(&client, with(b" ")).await, (StatusCode::OK, "Idle".to_owned()));
    }
}

#[tokio::test]
async fn a_handler_passes_its_transaction_on() {
    let last = start(mpsc::unbounded_channel().0).await;
    let onward = client(Version::HTTP_11);
    let app = Router::new()
        .route("/", get(move || async move { text(&onward, request(last, "/seen")).await.1 }))
        .layer(JoinTransactionLayer::new(coordinator::client()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());

    let client = client(Version::HTTP_11);
    let seen = Snapshot::empty().with_xid(xid(7)).scope(text(&client, request(first, "/"))).await.1;
    assert_eq!(seen, "tc:0:7");
}

#[tokio::test]
async fn a_bare_hyper_server_joins_too_and_refuses_what_is_long() {
    let handler = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
        Ok::<_, Infallible>(Response::new(seen()))
    });
    let service = JoinTransactionLayer::new(coordinator::client()).layer(handler);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let mut http = auto::Builder::new(TokioExecutor::new());
                // By default hyper ends an HTTP/2 connection at such a header, before any layer sees it.
                http.http2().max_header_list_size(1024 * 1024);
                http.serve_connection(TokioIo::new(stream), service).await.ok();
            });
        }
    });
    for version in VERSIONS {
        let client = client(version);
        let joined = Snapshot::empty().with_xid(xid(7)).scope(text(&client, request(server, "/"))).await;
        assert_eq!(joined, (StatusCode::OK, "tc:0:7".to_owned()), "{version:?}");

        let mut long = request(server, "/");
        long.headers_mut().insert("tx_xid", HeaderValue::try_from("h".repeat(64 * 1024)).unwrap());
        let (status, refusal) = text(&client, long).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{version:?}");
        assert!(refusal.contains("65536 bytes"), "{version:?} {refusal}");
    }
}

#[tokio::test]
async fn a_head_request_is_answered_without_a_body() {
    let server = start(mpsc::unbounded_channel().0).await;
    for version in VERSIONS {
        let client = client(version);
        for (value, status) in [("tc:0:7", StatusCode::OK), ("tc:0", StatusCode::BAD_REQUEST)] {
            let mut head = request(server, "/seen");
            *head.method_mut() = http::Method::HEAD;
            head.headers_mut().insert("tx_xid", HeaderValue::from_static(value));
            assert_eq!(text(&client, head).await, (status, String::new()), "{version:?}");
        }
        // The connection is still in step.
        assert_eq!(text(&client, request(server, "/seen")).await.1, "Idle", "{version:?}");
    }
}

#[tokio::test]
async fn a_connection_can_be_upgraded_and_its_task_can_take_the_transaction_along() {
    let handler = tower::service_fn(|request: http::Request<hyper::body::Incoming>| async {
        let talk = async {
            let mut upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            upgraded.write_all(seen().as_bytes()).await.unwrap();
        };
        tokio::spawn(talk.in_current_transaction());
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        Ok::<_, Infallible>(response.header("connection", "upgrade").body(String::new()).unwrap())
    });
    let service = JoinTransactionLayer::new(coordinator::client()).layer(handler);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let http = hyper::server::conn::http1::Builder::new();
        http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).with_upgrades().await
    });

    let stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = http::Request::get("/").header("host", "storage").header("connection", "upgrade");
    let request = request.header("upgrade", "talk").header("tx_xid", "tc:0:7");
    let response = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut said = String::new();
    let mut upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    upgraded.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "tc:0:7");
}
