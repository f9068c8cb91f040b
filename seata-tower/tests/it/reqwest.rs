//! The middleware for reqwest, against a real server.

use axum::{Router, http::HeaderMap, routing::get};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, reqwest};
use seata_context::{RootContext, Snapshot};
use seata_tower::PropagateTransactionMiddleware;
use tokio::net::TcpListener;

use crate::xid;

/// A server that answers with the `tx_xid` headers it received.
async fn echo() -> String {
    let headers = |headers: HeaderMap| async move {
        let values: Vec<_> = headers.get_all("tx_xid").iter().map(|value| value.to_str().unwrap()).collect();
        values.join(" and ")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().route("/", get(headers))).into_future());
    format!("http://{address}/")
}

async fn received(client: &ClientWithMiddleware, server: &str, header: Option<&str>) -> String {
    let mut request = client.get(server);
    if let Some(header) = header {
        request = request.header("tx_xid", header);
    }
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn the_transaction_is_named_once_and_only_when_there_is_one() {
    let server = echo().await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(PropagateTransactionMiddleware)
        .with(PropagateTransactionMiddleware)
        .build();
    let in_seven = Snapshot::empty().with_xid(xid(7));
    assert_eq!(in_seven.clone().scope(received(&client, &server, None)).await, "tc:0:7");
    assert_eq!(in_seven.clone().scope(received(&client, &server, Some("tc:0:1"))).await, "tc:0:7");
    assert_eq!(received(&client, &server, None).await, "");
    assert_eq!(received(&client, &server, Some("tc:0:1")).await, "tc:0:1");
    let suspended = RootContext::suspended(received(&client, &server, Some("tc:0:7")));
    assert_eq!(in_seven.scope(suspended).await, "");
}
