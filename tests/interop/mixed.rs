//! One transaction with branches in Rust and in Java, begun on either side; the XID travels over HTTP and gRPC.

use seata::{Seata, global_transactional};
use seata_examples::{
    books::Books,
    order::proto::{CreatedOrder, NewOrder},
    server::ServeError,
    storage::StorageClient,
};
use seata_tests::java::{Holdings, Java, Peer};
use serde_json::json;

use crate::services::Services;

const CHAIRS: u32 = 2;
const AMOUNT: i64 = 25;

/// How the caller's transaction gets to the callee.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    Http,
    Grpc,
}

/// A transaction of a Rust application: chairs in Rust, money in Java.
#[global_transactional(name = "chairs-for-money", timeout = "60s", client = business)]
async fn buy(
    business: &Seata,
    storage: &StorageClient,
    peer: &Peer,
    account: &str,
    carrier: Carrier,
    fails: bool,
) -> Result<i64, ServeError> {
    storage.deduct("chair", CHAIRS).await?;
    let left = match carrier {
        Carrier::Http => peer.reserve_by_http(account, AMOUNT).await?,
        Carrier::Grpc => peer.reserve_by_grpc(account, AMOUNT).await?,
    };
    if fails { Err("the buyer thinks better of it".into()) } else { Ok(left) }
}

async fn begun_in_rust(carrier: Carrier, account: &str) {
    let java = Java::shared().await;
    let (peer, services) = (&java.peer, Services::start(&java.server()).await);
    peer.open_account(account, 100).await.unwrap();
    let before = services.settle().await;

    let Services { business, storage, .. } = &services;
    let bought = buy(business, storage, peer, account, carrier, false).await;
    assert_eq!(bought.unwrap(), 75);
    let after = services.settle().await;
    assert_eq!(after, Books { chairs: before.chairs - i64::from(CHAIRS), ..before });
    let paid = Holdings { balance: 75, reserved: 0, commits: 1, rollbacks: 0 };
    assert_eq!(peer.holdings(account).await.unwrap(), paid);

    let given_up = buy(business, storage, peer, account, carrier, true).await;
    assert_eq!(given_up.unwrap_err().to_string(), "the buyer thinks better of it");
    assert_eq!(services.settle().await, after);
    assert_eq!(peer.holdings(account).await.unwrap(), Holdings { rollbacks: 1, ..paid });
}

#[tokio::test(flavor = "multi_thread")]
async fn begun_in_rust_with_a_java_branch_over_http() {
    begun_in_rust(Carrier::Http, "rust-http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn begun_in_rust_with_a_java_branch_over_grpc() {
    begun_in_rust(Carrier::Grpc, "rust-grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn begun_in_java_with_a_rust_branch_over_http() {
    let java = Java::shared().await;
    let (peer, services) = (&java.peer, Services::start(&java.server()).await);
    peer.open_account("java-http", 100).await.unwrap();
    let before = services.settle().await;
    let phase_one = async |name| {
        let xid = peer.begin(name).await.unwrap();
        peer.reserve_in(&xid, "java-http", AMOUNT).await.unwrap();
        let chairs = json!({ "product": "chair", "pieces": CHAIRS });
        peer.call_http(&xid, services.storage_address(), "/deduct", chairs).await.unwrap();
        xid
    };

    let xid = phase_one("commits").await;
    assert_eq!(peer.commit(&xid).await.unwrap(), "Committed");
    let after = services.settle().await;
    assert_eq!(after, Books { chairs: before.chairs - i64::from(CHAIRS), ..before });
    let paid = Holdings { balance: 75, reserved: 0, commits: 1, rollbacks: 0 };
    assert_eq!(peer.holdings("java-http").await.unwrap(), paid);

    let xid = phase_one("rolls back").await;
    assert_eq!(peer.rollback(&xid).await.unwrap(), "Rollbacked");
    assert_eq!(services.settle().await, after);
    assert_eq!(peer.holdings("java-http").await.unwrap(), Holdings { rollbacks: 1, ..paid });
}

#[tokio::test(flavor = "multi_thread")]
async fn begun_in_java_with_two_rust_branches_over_grpc() {
    let java = Java::shared().await;
    let (peer, services) = (&java.peer, Services::start(&java.server()).await);
    let before = services.settle().await;
    // The order service has the account service debited, in the same transaction.
    let order =
        NewOrder { buyer: "alice".to_owned(), product: "chair".to_owned(), pieces: 2, amount: AMOUNT };
    let phase_one = async |name| {
        let xid = peer.begin(name).await.unwrap();
        let service = services.order_address();
        let created: CreatedOrder =
            peer.call_grpc(&xid, service, "shop.Orders/Create", &order).await.unwrap();
        (xid, created.id)
    };

    let (xid, order) = phase_one("commits").await;
    assert_eq!(peer.commit(&xid).await.unwrap(), "Committed");
    let after = services.settle().await;
    let expected = Books {
        orders: before.orders + 1,
        ordered: before.ordered + 2,
        paid: before.paid + AMOUNT,
        money: before.money - AMOUNT,
        ..before
    };
    assert_eq!((order, after), (1, expected));

    let (xid, _) = phase_one("rolls back").await;
    assert_eq!(peer.rollback(&xid).await.unwrap(), "Rollbacked");
    assert_eq!(services.settle().await, after);
}
