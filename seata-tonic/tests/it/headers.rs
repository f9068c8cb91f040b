//! What stands on the wire, with both ends in hand.

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body as _;
use seata_context::{RootContext, Snapshot};
use seata_protocol::BranchType;
use seata_tonic::{JoinTransactionLayer, PropagateTransactionLayer};
use tonic::body::Body;
use tower::{Layer as _, Service as _, ServiceExt as _};
use tower_test::mock;

use crate::{coordinator, xid};

/// The headers that arrive when a request with these is sent from here.
async fn sent(headers: HeaderMap) -> HeaderMap {
    let (inner, mut server) = mock::pair::<Request<()>, Response<()>>();
    let mut client = PropagateTransactionLayer::new().layer(inner);
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let response = client.ready().await.unwrap().call(request);
    let (request, respond) = server.next_request().await.unwrap();
    respond.send_response(Response::new(()));
    response.await.unwrap();
    request.into_parts().0.headers
}

fn both(xid: &'static str, branch_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (http::HeaderName::from_static("tx_xid"), HeaderValue::from_static(xid)),
        (http::HeaderName::from_static("tx_branch_type"), HeaderValue::from_static(branch_type)),
    ])
}

#[tokio::test]
async fn a_client_names_transaction_and_branch_type_once_each() {
    let in_seven = Snapshot::empty().with_xid(xid(7));
    let tcc = in_seven.clone().with_branch_type(BranchType::Tcc);
    assert_eq!(in_seven.clone().scope(sent(HeaderMap::new())).await, both("tc:0:7", "AT"));
    assert_eq!(tcc.clone().scope(sent(HeaderMap::new())).await, both("tc:0:7", "TCC"));
    assert_eq!(tcc.scope(sent(both("tc:0:1", "AT"))).await, both("tc:0:7", "TCC"));

    assert_eq!(sent(HeaderMap::new()).await, HeaderMap::new());
    assert_eq!(sent(both("tc:0:1", "TCC")).await, both("tc:0:1", "TCC"));
    let suspended = RootContext::suspended(sent(both("tc:0:7", "TCC")));
    assert_eq!(in_seven.scope(suspended).await, HeaderMap::new());
}

#[tokio::test]
async fn a_refusal_is_a_response_of_trailers_alone() {
    for (value, status) in [(&b"tc:0"[..], "3"), (b"\xff", "3"), (b"elsewhere:8091:7", "9")] {
        let (inner, mut handler) = mock::pair::<Request<()>, Response<Body>>();
        let mut service = JoinTransactionLayer::new(coordinator::client()).layer(inner);
        handler.allow(1);
        let mut request = Request::new(());
        request.headers_mut().insert("tx_xid", HeaderValue::from_bytes(value).unwrap());
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], status);
        assert!(response.headers().contains_key("grpc-message"));
        assert!(response.body().is_end_stream());

        drop(service);
        assert!(handler.next_request().await.is_none(), "the handler did not run");
    }
}
