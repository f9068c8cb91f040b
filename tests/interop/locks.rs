//! One row that a Rust and a Java transaction want.

use std::time::Duration;

use seata::{GlobalStatus, Seata, at::AtError};
use seata_tests::java::{Ended, Java};

use crate::office::{Office, PIECES};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_rust_holds_is_refused_to_java() {
    let java = Java::shared().await;
    let peer = &java.peer;
    let office = Office::open(Seata::builder("holder").server(java.server()).start().await.unwrap()).await;
    let resource = office.resource();
    peer.open_rows(&resource).await.unwrap();
    office
        .seata
        .scope(async {
            let mut holding = office.begin("holds").await;
            office.take(1).await.unwrap();

            let wanting = peer.begin("wants").await.unwrap();
            let refused = peer.lock_rows(&wanting, &resource, "stock:1").await.unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("LockKeyConflict"), "{refused}");
            assert!(!peer.is_lockable(&wanting, &resource, "stock:1").await.unwrap());
            assert!(peer.is_lockable(&wanting, &resource, "stock:2").await.unwrap());

            assert_eq!(holding.commit().await.unwrap(), GlobalStatus::Committed);
            peer.lock_rows(&wanting, &resource, "stock:1").await.unwrap();
            assert_eq!(peer.rollback(&wanting).await.unwrap(), "Rollbacked");
        })
        .await;
    office.settle().await;
    assert_eq!(office.pieces(1).await, PIECES - 1);
    assert_eq!(peer.ended_rows(&resource).await.unwrap(), Ended { commits: 0, rollbacks: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_java_holds_is_refused_to_rust() {
    let java = Java::shared().await;
    let peer = &java.peer;
    let seata = Seata::builder("impatient").server(java.server()).start().await.unwrap();
    let office = Office::open_with(seata, 3).await;
    let resource = office.resource();
    peer.open_rows(&resource).await.unwrap();
    let holding = peer.begin("holds").await.unwrap();
    peer.lock_rows(&holding, &resource, "stock:1").await.unwrap();
    office
        .seata
        .scope(async {
            let mut wanting = office.begin("wants").await;
            let error = office.take(1).await.unwrap_err();
            match AtError::from_sqlx(&error) {
                Some(AtError::LockConflict { row, .. }) => assert!(row.starts_with("stock:1 in "), "{row}"),
                other => panic!("{other:?}"),
            }
            office.take(2).await.unwrap();
            assert_eq!(office.pieces(1).await, PIECES, "nothing was changed");

            assert_eq!(peer.rollback(&holding).await.unwrap(), "Rollbacked");
            office.take(1).await.unwrap();
            assert_eq!(wanting.commit().await.unwrap(), GlobalStatus::Committed);
        })
        .await;
    office.settle().await;
    assert_eq!((office.pieces(1).await, office.pieces(2).await), (PIECES - 1, PIECES - 1));
    assert_eq!(peer.ended_rows(&resource).await.unwrap(), Ended { commits: 0, rollbacks: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_waits_for_a_row_until_java_has_committed() {
    let java = Java::shared().await;
    let peer = &java.peer;
    let office = Office::open(Seata::builder("patient").server(java.server()).start().await.unwrap()).await;
    let resource = office.resource();
    peer.open_rows(&resource).await.unwrap();
    let holding = peer.begin("holds").await.unwrap();
    peer.lock_rows(&holding, &resource, "stock:1").await.unwrap();
    office
        .seata
        .scope(async {
            let mut wanting = office.begin("wants").await;
            let mut taking = std::pin::pin!(office.take(1));
            // However slow the machine is: it cannot have the row.
            let early = tokio::time::timeout(Duration::from_millis(200), &mut taking).await;
            assert!(early.is_err(), "{early:?}");
            assert_eq!(peer.commit(&holding).await.unwrap(), "Committed");
            taking.await.unwrap();
            assert_eq!(wanting.commit().await.unwrap(), GlobalStatus::Committed);
        })
        .await;
    office.settle().await;
    assert_eq!(office.pieces(1).await, PIECES - 1);
}
