//! Both layers over real connections: a tonic server and a tonic channel.

use std::{net::SocketAddr, time::Duration};

use seata_context::{RootContext, Snapshot};
use seata_protocol::BranchType;
use seata_tonic::{InboundXid, JoinTransactionLayer, PropagateTransaction, PropagateTransactionLayer};
use tokio::{sync::mpsc, time::timeout};
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Server, server::TcpIncoming},
};
use tower::ServiceBuilder;

use crate::{
    coordinator,
    service::{Storage, StorageClient, Text},
    xid,
};

const SEEN: &str = "/test.Storage/Seen";

/// A tonic server under this layer; `dropped` hears what a dropped handler saw.
fn start(layer: JoinTransactionLayer, dropped: mpsc::UnboundedSender<String>) -> SocketAddr {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Storage { dropped });
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

fn joining() -> SocketAddr {
    start(JoinTransactionLayer::new(coordinator::client()), mpsc::unbounded_channel().0)
}

async fn channel(server: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{server}")).unwrap().connect().await.unwrap()
}

async fn client(server: SocketAddr) -> StorageClient<PropagateTransaction<Channel>> {
    let channel = channel(server).await;
    StorageClient::new(ServiceBuilder::new().layer(PropagateTransactionLayer::new()).service(channel))
}

fn request() -> Request<Text> {
    Request::new(Text::new("deduct"))
}

fn with(values: &[&'static str]) -> Request<Text> {
    let mut request = request();
    for value in values {
        request.metadata_mut().append("tx_xid", MetadataValue::from_static(value));
    }
    request
}

#[tokio::test]
async fn transaction_and_branch_type_travel_and_do_not_stay() {
    let mut client = client(joining()).await;
    let in_seven = Snapshot::empty().with_xid(xid(7));
    let tcc = in_seven.clone().with_branch_type(BranchType::Tcc);
    assert_eq!(in_seven.clone().scope(client.unary(SEEN, request())).await.unwrap(), "tc:0:7 AT");
    assert_eq!(tcc.scope(client.unary(SEEN, request())).await.unwrap(), "tc:0:7 TCC");
    // Of the types that may stand on the wire, TCC alone is taken.
    let xa = in_seven.clone().with_branch_type(BranchType::Xa);
    assert_eq!(xa.scope(client.unary(SEEN, request())).await.unwrap(), "tc:0:7 AT");
    assert_eq!(client.unary(SEEN, request()).await.unwrap(), "Idle");
    let suspended = RootContext::suspended(client.unary(SEEN, request()));
    assert_eq!(in_seven.scope(suspended).await.unwrap(), "Idle");
}

#[tokio::test]
async fn a_server_stream_runs_in_the_transaction() {
    let mut client = client(joining()).await;
    let streamed = Snapshot::empty().with_xid(xid(7)).scope(client.streaming(request())).await.unwrap();
    assert_eq!(streamed, ["tc:0:7 AT"; 3]);
    assert_eq!(client.streaming(request()).await.unwrap(), ["Idle"; 3]);
}

#[tokio::test]
async fn calls_side_by_side_on_one_channel_keep_apart() {
    let client = client(joining()).await;
    let call = |id| {
        let mut client = client.clone();
        let call = async move { client.streaming(request()).await.unwrap() };
        Snapshot::empty().with_xid(xid(id)).scope(call)
    };
    let answers = futures_util::future::join_all((1..=8).map(call)).await;
    for (id, seen) in (1..=8).zip(answers) {
        assert_eq!(seen, vec![format!("tc:0:{id} AT"); 3]);
    }
}

#[tokio::test]
async fn a_retried_call_names_the_transaction_once() {
    let mut client = client(joining()).await;
    let stale = with(&["tc:0:1", "tc:0:2"]);
    let joined = Snapshot::empty().with_xid(xid(7)).scope(client.unary(SEEN, stale)).await;
    assert_eq!(joined.unwrap(), "tc:0:7 AT");
}

#[tokio::test]
async fn what_cannot_be_joined_is_a_status() {
    let mut client = StorageClient::new(channel(joining()).await);
    for (values, code, message) in [
        (&["tc:0"][..], Code::InvalidArgument, "\"tc:0\" is no XID: expected host:port:id"),
        (&["tc:0:7", "tc:0:8"], Code::InvalidArgument, "tc:0:7 and tc:0:8: expected one"),
        (&["10.0.0.7:8091:7"], Code::FailedPrecondition, "belongs to coordinator 10.0.0.7:8091"),
    ] {
        for status in [
            client.unary(SEEN, with(values)).await.unwrap_err(),
            client.streaming(with(values)).await.unwrap_err(),
        ] {
            assert_eq!(status.code(), code, "{values:?}");
            assert!(status.message().contains(message), "{status:?}");
        }
    }
    // seata-go sends an empty value when it is in no transaction. The channel is still good.
    assert_eq!(client.unary(SEEN, with(&[""])).await.unwrap(), "Idle");
    assert_eq!(client.unary(SEEN, with(&["tc:0:7"])).await.unwrap(), "tc:0:7 AT");
}

#[tokio::test]
async fn an_untrusted_edge_strips_or_refuses() {
    let layer = |inbound| JoinTransactionLayer::new(coordinator::client()).inbound(inbound);
    let strip = start(layer(InboundXid::Strip), mpsc::unbounded_channel().0);
    let mut client = StorageClient::new(channel(strip).await);
    assert_eq!(client.unary(SEEN, with(&["tc:0:7"])).await.unwrap(), "Idle");

    let refuse = start(layer(InboundXid::Refuse), mpsc::unbounded_channel().0);
    let mut client = StorageClient::new(channel(refuse).await);
    let status: Status = client.unary(SEEN, with(&["tc:0:7"])).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(client.unary(SEEN, request()).await.unwrap(), "Idle");
}

#[tokio::test]
async fn after_a_panic_the_connection_serves_on_and_nothing_is_bound() {
    let mut client = client(joining()).await;
    let panicked = Snapshot::empty().with_xid(xid(7)).scope(client.unary("/test.Storage/Panic", request()));
    panicked.await.unwrap_err();
    assert_eq!(client.unary(SEEN, request()).await.unwrap(), "Idle");
    let joined = Snapshot::empty().with_xid(xid(8)).scope(client.unary(SEEN, request())).await;
    assert_eq!(joined.unwrap(), "tc:0:8 AT");
}

#[tokio::test]
async fn a_caller_that_gives_up_drops_the_handler_in_its_transaction() {
    let (dropped, mut heard) = mpsc::unbounded_channel();
    let server = start(JoinTransactionLayer::new(coordinator::client()), dropped);
    let mut client = client(server).await;
    let call = Snapshot::empty().with_xid(xid(7)).scope(client.unary("/test.Storage/Stuck", request()));
    timeout(Duration::from_millis(100), call).await.unwrap_err();
    let seen = timeout(Duration::from_secs(10), heard.recv()).await.expect("the handler is dropped");
    assert_eq!(seen.as_deref(), Some("tc:0:7 AT"));
}
