//! What a server does with the headers of a request.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use seata_context::{Client, RootContext};
use seata_protocol::BranchType;
use seata_tower::{InboundXid, JoinTransactionLayer};
use tower::{Layer as _, Service as _, ServiceExt as _};
use tower_test::{assert_request_eq, mock};

use crate::{coordinator::client, seen};

fn headers(values: &[&[u8]]) -> HeaderMap {
    values.iter().map(|value| ("tx_xid".parse().unwrap(), HeaderValue::from_bytes(value).unwrap())).collect()
}

fn request(values: &[&[u8]]) -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = headers(values);
    request
}

/// What a handler under this layer sees of its context, or the refusal.
async fn answer(layer: &JoinTransactionLayer, request: Request<()>) -> (StatusCode, String) {
    let handler = tower::service_fn(|request: Request<()>| async move {
        let copies = request.headers().get_all("tx_xid").iter().count();
        Ok::<_, std::convert::Infallible>(Response::new(format!("{} of {copies}", seen())))
    });
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_named_transaction_is_joined_and_a_blank_one_is_absent() {
    let layer = JoinTransactionLayer::new(client());
    let ok = |text: &str| (StatusCode::OK, text.to_owned());
    assert_eq!(answer(&layer, request(&[b"tc:0:7"])).await, ok("tc:0:7 of 1"));
    assert_eq!(answer(&layer, request(&[b"tc:0:7", b"tc:0:7"])).await, ok("tc:0:7 of 2"));
    assert_eq!(answer(&layer, request(&[])).await, ok("Idle of 0"));
    assert_eq!(answer(&layer, request(&[b"  "])).await, ok("Idle of 1"));

    let upper_case = Request::builder().header("TX_XID", "tc:0:7").body(()).unwrap();
    assert_eq!(answer(&layer, upper_case).await, ok("tc:0:7 of 1"));
}

#[tokio::test]
async fn what_cannot_be_joined_is_refused_before_the_handler_runs() {
    let long = "h".repeat(64 * 1024);
    let cases: [(&[&[u8]], &str); 6] = [
        (&[b"tc:0"], "the tx_xid header was refused: \"tc:0\" is no XID: expected host:port:id\n"),
        (&[b"\xc3\x28"], "the tx_xid header is not text: expected an XID host:port:id\n"),
        (
            &[long.as_bytes()],
            "the tx_xid header was refused: an XID of 65536 bytes is refused: at most 128 are allowed\n",
        ),
        (
            &[b"tc:0:7", b"tc:0:8"],
            "two tx_xid headers name different transactions, tc:0:7 and tc:0:8: expected one\n",
        ),
        (
            &[b"tc:0:7, tc:0:7"],
            "the tx_xid header was refused: \"tc:0:7, tc:0:7\" is no XID: its host is neither a name nor an IP address\n",
        ),
        (
            &[b"10.0.0.7:8091:7"],
            "global transaction 10.0.0.7:8091:7 belongs to coordinator 10.0.0.7:8091, which storage does not \
             use: connect both services to one coordinator\n",
        ),
    ];
    for (values, expected) in cases {
        let (inner, mut handler) = mock::pair::<Request<()>, Response<String>>();
        let mut service = JoinTransactionLayer::new(client()).layer(inner);
        handler.allow(1);
        let response = service.ready().await.unwrap().call(request(values)).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), expected);

        // The service is not harmed: the first request that the handler sees is the next good one.
        let good = service.ready().await.unwrap().call(request(&[b"tc:0:7"]));
        let served = async {
            let (request, respond) = handler.next_request().await.unwrap();
            assert_eq!(request.headers()["tx_xid"], "tc:0:7");
            respond.send_response(Response::new("served".to_owned()));
        };
        let (response, ()) = tokio::join!(good, served);
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn an_untrusted_edge_strips_or_refuses() {
    let layer = JoinTransactionLayer::new(client());
    let strip = layer.clone().inbound(InboundXid::Strip);
    for value in [&b"tc:0:7"[..], b"nonsense", b"\xff", b""] {
        assert_eq!(answer(&strip, request(&[value])).await, (StatusCode::OK, "Idle of 0".to_owned()));
    }

    let refuse = layer.inbound(InboundXid::Refuse);
    let refused = "a tx_xid header is not accepted here: send the request without it\n".to_owned();
    for value in [&b"tc:0:7"[..], b"nonsense", b"\xff"] {
        assert_eq!(answer(&refuse, request(&[value])).await, (StatusCode::FORBIDDEN, refused.clone()));
    }
    assert_eq!(answer(&refuse, request(&[])).await.0, StatusCode::OK);
    assert_eq!(answer(&refuse, request(&[b" "])).await.0, StatusCode::OK);
}

#[tokio::test]
async fn http_takes_no_branch_type_from_the_wire() {
    let handler = tower::service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(RootContext::branch_type().unwrap().to_string()))
    });
    let mut tcc = request(&[b"tc:0:7"]);
    tcc.headers_mut().insert("tx_branch_type", HeaderValue::from_static("TCC"));
    let response = JoinTransactionLayer::new(client()).layer(handler).oneshot(tcc).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, BranchType::At.to_string());
}

#[tokio::test]
async fn handlers_begin_transactions_with_the_client_of_the_layer() {
    let handler = tower::service_fn(|_: Request<()>| async {
        let application = Client::current().map(|client| client.application_id().to_owned());
        Ok::<_, std::convert::Infallible>(Response::new(application.unwrap()))
    });
    for values in [&[][..], &[&b"tc:0:7"[..]]] {
        let response =
            JoinTransactionLayer::new(client()).layer(handler).oneshot(request(values)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "storage");
    }
}

#[tokio::test]
async fn the_request_reaches_the_handler_as_it_came() {
    let (inner, mut handler) = mock::pair::<Request<&'static str>, Response<String>>();
    let mut service = JoinTransactionLayer::new(client())
        .layer(inner.map_request(|request: Request<&'static str>| request));
    let request = Request::builder().header("tx_xid", "tc:0:7").body("the body").unwrap();
    let response = service.ready().await.unwrap().call(request);
    let served = async {
        let (request, respond) = handler.next_request().await.unwrap();
        assert_eq!(
            (*request.body(), &request.headers()["tx_xid"]),
            ("the body", &HeaderValue::from_static("tc:0:7"))
        );
        respond.send_response(Response::new(String::new()));
    };
    tokio::join!(response, served).0.unwrap();
}

#[tokio::test]
async fn an_error_of_the_handler_stays_what_it_is() {
    let (inner, mut handler) = mock::pair::<&'static str, Response<String>>();
    let inner = inner.map_request(|_: Request<()>| "asked");
    let mut service = JoinTransactionLayer::new(client()).layer(inner);
    let response = service.ready().await.unwrap().call(request(&[]));
    let served = async { assert_request_eq!(handler, "asked").send_error("out of order") };
    assert_eq!(tokio::join!(response, served).0.err().unwrap().to_string(), "out of order");
}
