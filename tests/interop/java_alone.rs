//! The Java side works by itself: what fails elsewhere is not its fault.

use seata_tests::java::{Holdings, Java};

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_between_java_and_java() {
    let java = Java::shared().await;
    let peer = &java.peer;
    peer.open_account("alone", 100).await.unwrap();

    let committed = peer.begin("commits").await.unwrap();
    peer.reserve_in(&committed, "alone", 30).await.unwrap();
    assert_eq!(peer.commit(&committed).await.unwrap(), "Committed");
    let rolled_back = peer.begin("rolls back").await.unwrap();
    peer.reserve_in(&rolled_back, "alone", 5).await.unwrap();
    assert_eq!(peer.rollback(&rolled_back).await.unwrap(), "Rollbacked");

    let expected = Holdings { balance: 70, reserved: 0, commits: 1, rollbacks: 1 };
    assert_eq!(peer.holdings("alone").await.unwrap(), expected);
}
