//! AT mode under the ways of the Java server.

use std::time::Duration;

use seata::{Error, GlobalStatus, GlobalTransaction, Seata, TransactionOptions};
use seata_tests::{java::Java, wait};

use crate::office::{Office, PIECES};

/// The Java server 2.0.0 asks the branches of a resource to roll back in the order of their registration.
#[tokio::test(flavor = "multi_thread")]
async fn two_updates_of_one_row_are_undone_though_the_oldest_is_asked_for_first() {
    let java = Java::shared().await;
    let office = Office::open(Seata::builder("twice").server(java.server()).start().await.unwrap()).await;
    office
        .seata
        .scope(async {
            let mut transaction = office.begin("takes twice").await;
            office.take(1).await.unwrap();
            office.take(1).await.unwrap();
            office.take(2).await.unwrap();
            assert_eq!((office.pieces(1).await, office.unfinished().await), (PIECES - 2, 3));
            assert_eq!(transaction.rollback().await.unwrap(), GlobalStatus::Rollbacked);
        })
        .await;
    assert_eq!((office.pieces(1).await, office.pieces(2).await), (PIECES, PIECES));
    assert_eq!(office.unfinished().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_rolled_back_can_be_changed_at_once() {
    let java = Java::shared().await;
    let office = Office::open(Seata::builder("again").server(java.server()).start().await.unwrap()).await;
    for _ in 0..5 {
        office
            .seata
            .scope(async {
                let mut given_up = office.begin("gives up").await;
                office.take(3).await.unwrap();
                assert_eq!(given_up.rollback().await.unwrap(), GlobalStatus::Rollbacked);
            })
            .await;
        office
            .seata
            .scope(async {
                let mut made = office.begin("is made").await;
                office.take(3).await.unwrap();
                assert_eq!(made.commit().await.unwrap(), GlobalStatus::Committed);
            })
            .await;
    }
    office.settle().await;
    assert_eq!(office.pieces(3).await, PIECES - 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_ends_is_rolled_back_by_the_server() {
    let java = Java::shared().await;
    let office = Office::open(Seata::builder("forgetful").server(java.server()).start().await.unwrap()).await;
    office
        .seata
        .scope(async {
            let options = TransactionOptions::new("is forgotten").timeout(Duration::from_secs(1));
            let mut transaction = GlobalTransaction::begin(options).await.unwrap();
            office.take(1).await.unwrap();
            wait::until("the server's time-out", || async {
                match transaction.status().await.map_err(|error| error.to_string())? {
                    // Java's server has forgotten how.
                    GlobalStatus::Finished | GlobalStatus::TimeoutRollbacked => Ok(()),
                    status => Err(status.to_string()),
                }
            })
            .await;
            // The server has forgotten it; who comes too late is told why.
            let late = transaction.commit().await;
            assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        })
        .await;
    assert_eq!((office.pieces(1).await, office.unfinished().await), (PIECES, 0));
}
