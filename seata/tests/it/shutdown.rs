use std::time::Duration;

use seata::{
    Error, GlobalStatus, GlobalTransaction, Seata, ShutdownError, TransactionOptions,
    coordinator::{Decision, EventKind},
};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(50);

/// An application on a coordinator of its own, with one transaction open. The directory goes last.
async fn open() -> (Seata, GlobalTransaction, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let seata = Seata::builder("shop").data_dir(directory.path()).start().await.unwrap();
    (seata.clone(), begin(&seata).await.unwrap(), directory)
}

async fn begin(seata: &Seata) -> Result<GlobalTransaction, Error> {
    seata.scope(GlobalTransaction::begin(TransactionOptions::new("purchase"))).await
}

#[tokio::test]
async fn it_waits_for_open_transactions_also_when_two_ask_for_it() {
    let (seata, mut transaction, _directory) = open().await;
    let ask = || {
        let seata = seata.clone();
        tokio::spawn(async move { seata.shutdown(LIMIT).await })
    };
    let (one, other) = (ask(), ask());
    sleep(MOMENT).await;
    assert!(!one.is_finished() && !other.is_finished());
    assert_eq!(begin(&seata).await.unwrap_err(), Error::ShuttingDown);
    assert_eq!(transaction.commit().await, Ok(GlobalStatus::Committed));
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    seata.shutdown(Duration::MAX).await.unwrap();
}

#[tokio::test]
async fn given_up_half_way_it_can_be_asked_for_again_and_nothing_is_lost() {
    let (seata, transaction, _directory) = open().await;
    timeout(MOMENT, seata.shutdown(LIMIT)).await.unwrap_err();
    let mut events = seata.coordinator().unwrap().events();
    drop(transaction);
    seata.shutdown(LIMIT).await.unwrap();
    let decided = events.try_recv().expect("the drop was still heard").kind;
    let rolled_back = EventKind::Decided { decision: Decision::Rollback, status: GlobalStatus::Rollbacked };
    assert_eq!(decided, rolled_back);
}

#[tokio::test]
async fn its_limit_is_kept_and_what_is_left_is_counted() {
    let (seata, transaction, directory) = open().await;
    let left = seata.shutdown(MOMENT).await;
    assert!(matches!(left, Err(ShutdownError::StillOpen { open: 1, limit: MOMENT })), "{left:?}");
    drop(transaction);
    drop(seata);
    // The directory is free, and the next life finds nothing to do but to roll back.
    let next = Seata::builder("shop").data_dir(directory.path()).start().await.unwrap();
    next.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn who_waits_longer_learns_that_another_cut_it_short() {
    let (seata, transaction, _directory) = open().await;
    let (short, long) = tokio::join!(seata.shutdown(MOMENT), seata.shutdown(LIMIT));
    for left in [short, long] {
        assert!(matches!(left, Err(ShutdownError::StillOpen { open: 1, .. })), "{left:?}");
    }
    drop(transaction);
}
