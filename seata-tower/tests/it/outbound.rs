//! What a client writes into its requests.

use http::{HeaderMap, HeaderValue, Request, Response};
use seata_context::{InCurrentTransaction as _, RootContext, Snapshot};
use seata_tower::{PropagateTransaction, PropagateTransactionLayer};
use tower::{Layer as _, Service as _, ServiceExt as _, buffer::Buffer, retry};
use tower_test::mock::{self, Handle};

use crate::xid;

type Server = Handle<Request<()>, Response<()>>;

/// Answers one request, and returns its headers.
async fn received(server: &mut Server) -> HeaderMap {
    let (request, respond) = server.next_request().await.unwrap();
    respond.send_response(Response::new(()));
    request.into_parts().0.headers
}

/// The headers that arrive when a request with these is sent from here.
async fn sent(headers: HeaderMap) -> HeaderMap {
    let (inner, mut server) = mock::pair::<Request<()>, Response<()>>();
    let mut client = PropagateTransactionLayer::new().layer(inner);
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let response = client.ready().await.unwrap().call(request);
    let (response, received) = tokio::join!(response, received(&mut server));
    response.unwrap();
    received
}

fn named(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("tx_xid"), HeaderValue::from_static(value))])
}

#[tokio::test]
async fn the_transaction_is_named_once() {
    let in_seven = Snapshot::empty().with_xid(xid(7));
    assert_eq!(in_seven.clone().scope(sent(HeaderMap::new())).await, named("tc:0:7"));

    let mut stale = named("tc:0:1");
    stale.append("tx_xid", HeaderValue::from_static("tc:0:2"));
    assert_eq!(in_seven.scope(sent(stale)).await, named("tc:0:7"));
}

#[tokio::test]
async fn outside_a_transaction_nothing_is_added_or_taken() {
    assert_eq!(sent(HeaderMap::new()).await, HeaderMap::new());
    assert_eq!(sent(named("tc:0:1")).await, named("tc:0:1"));
    assert_eq!(RootContext::scope(sent(HeaderMap::new())).await, HeaderMap::new());
    assert_eq!(RootContext::scope(sent(named("tc:0:1"))).await, named("tc:0:1"));
}

#[tokio::test]
async fn a_suspended_transaction_is_absent_also_from_a_request_made_before() {
    let suspended = async {
        assert_eq!(RootContext::suspended(sent(HeaderMap::new())).await, HeaderMap::new());
        assert_eq!(RootContext::suspended(sent(named("tc:0:7"))).await, HeaderMap::new());
        let suspension = RootContext::suspend();
        assert_eq!(sent(named("tc:0:7")).await, HeaderMap::new());
        suspension.resume();
        assert_eq!(sent(HeaderMap::new()).await, named("tc:0:7"));
    };
    Snapshot::empty().with_xid(xid(7)).scope(suspended).await;
}

#[tokio::test]
async fn the_context_is_read_where_the_call_is_made() {
    let (inner, mut server) = mock::pair::<Request<()>, Response<()>>();
    // The buffer's worker is a task of its own, outside any transaction.
    let mut client = PropagateTransaction::new(Buffer::new(inner, 8));
    let response = async {
        let response = client.ready().await.unwrap().call(Request::new(()));
        // Nor does it matter where the answer is awaited.
        RootContext::suspended(response).await.unwrap();
    };
    let response = Snapshot::empty().with_xid(xid(7)).scope(response);
    let ((), headers) = tokio::join!(response, received(&mut server));
    assert_eq!(headers, named("tc:0:7"));
}

#[tokio::test]
async fn concurrent_callers_name_their_own_transaction_each() {
    let call = |id| Snapshot::empty().with_xid(xid(id)).scope(sent(HeaderMap::new()));
    let (one, two, none) = tokio::join!(call(1), call(2), sent(HeaderMap::new()));
    assert_eq!((one, two, none), (named("tc:0:1"), named("tc:0:2"), HeaderMap::new()));

    let spawned = async { tokio::spawn(sent(HeaderMap::new()).in_current_transaction()).await.unwrap() };
    assert_eq!(Snapshot::empty().with_xid(xid(3)).scope(spawned).await, named("tc:0:3"));
}

#[derive(Clone)]
struct Once(bool);

impl retry::Policy<Request<()>, Response<()>, tower::BoxError> for Once {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        _: &mut Result<Response<()>, tower::BoxError>,
    ) -> Option<Self::Future> {
        std::mem::take(&mut self.0).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn a_second_try_names_the_transaction_once() {
    let again = retry::RetryLayer::new(Once(true));
    let propagate = PropagateTransactionLayer::new();

    let (inner, mut server) = mock::pair::<Request<()>, Response<()>>();
    let inside = again.layer(propagate.layer(inner)).oneshot(Request::new(()));
    let inside = Snapshot::empty().with_xid(xid(7)).scope(inside);
    let served = async { [received(&mut server).await, received(&mut server).await] };
    let (response, headers) = tokio::join!(inside, served);
    response.unwrap();
    assert_eq!(headers, [named("tc:0:7"), named("tc:0:7")]);

    let (inner, mut server) = mock::pair::<Request<()>, Response<()>>();
    let outside = propagate.layer(again.layer(propagate.layer(inner))).oneshot(Request::new(()));
    let outside = Snapshot::empty().with_xid(xid(7)).scope(outside);
    let served = async { [received(&mut server).await, received(&mut server).await] };
    let (response, headers) = tokio::join!(outside, served);
    response.unwrap();
    assert_eq!(headers, [named("tc:0:7"), named("tc:0:7")]);
}
