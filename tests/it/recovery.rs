//! What the next start makes of a life that ended between phase one and phase two.

use std::path::Path;

use seata::{
    BranchType, Coordinator, GlobalStatus, GlobalTransaction, TransactionOptions, Xid,
    coordinator::TransactionView,
};
use seata_tests::{
    bank::{self, Account, Bank, OPENING_BALANCE, Plan, Transfer},
    wait,
};
use tokio::runtime::Runtime;

const FROM: Account = Account { office: 0, number: 1 };
const TO: Account = Account { office: 1, number: 1 };
const AMOUNT: i64 = 10;

/// Runs a life that ends at once and entirely, as in a crash: nothing of it is polled any more.
fn crash_after<T>(life: impl Future<Output = T>) -> T {
    let runtime = Runtime::new().unwrap();
    let last_words = runtime.block_on(life);
    drop(runtime);
    last_words
}

/// Opens a bank, does phase one of a transfer, and says which transaction it was made in. It stays open
/// on a task of its own.
async fn phase_one(directory: &Path) -> (Bank, GlobalTransaction) {
    let bank = Bank::open(directory, Plan::default()).await.unwrap();
    let transfer = Transfer { id: "half".to_owned(), from: FROM, to: TO, amount: AMOUNT, is_declined: false };
    let begun = async {
        let transaction = GlobalTransaction::begin(TransactionOptions::new("transfer")).await.unwrap();
        // It joins.
        bank.transfer(&transfer).await.unwrap();
        transaction
    };
    let transaction = bank.seata.scope(begun).await;
    (bank, transaction)
}

/// Takes the data sources away, so that phase two cannot happen.
fn detach(bank: &Bank) {
    for office in &bank.offices {
        bank.coordinator().detach(office.at.resource_id());
    }
}

async fn status_is(coordinator: &Coordinator, xid: &Xid, expected: GlobalStatus) {
    wait::until("the decision", || async {
        match coordinator.status(xid).await.unwrap() {
            status if status == expected => Ok(()),
            other => Err(format!("it is {other}")),
        }
    })
    .await;
}

async fn the_only_one(coordinator: &Coordinator) -> TransactionView {
    let mut open = coordinator.transactions().await.unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

/// Reopens the coordinator alone, checks that phase two waits in sight of everybody, opens the data
/// sources one after the other, and gives the bank when all is over.
async fn finish_in_sight(directory: &Path, xid: &Xid, expected: GlobalStatus) -> Bank {
    let coordinator = bank::open_coordinator(directory).await.unwrap();
    let view = wait::until("phase two that waits", || async {
        let view = the_only_one(&coordinator).await;
        if view.waits_for.is_empty() { Err(format!("{view:?}")) } else { Ok(view) }
    })
    .await;
    assert_eq!(&view.snapshot.transaction.xid, xid);
    assert!(view.snapshot.branches.iter().all(|branch| branch.branch_type == BranchType::At));
    assert!(view.waits_for.iter().all(|resource| resource.as_str().starts_with("jdbc:sqlite:")), "{view:?}");

    let half = Plan { offices: 1, ..Plan::default() };
    let first = Bank::open_on(&coordinator, directory, half).await.unwrap();
    let first_resource = first.offices[0].at.resource_id().clone();
    wait::until("the other resource alone is waited for", || async {
        let view = the_only_one(&coordinator).await;
        let is_other = !view.waits_for.is_empty() && !view.waits_for.contains(&first_resource);
        if is_other { Ok(()) } else { Err(format!("{view:?}")) }
    })
    .await;

    let bank = Bank::open_on(&coordinator, directory, Plan::default()).await.unwrap();
    bank.settle().await;
    assert_eq!(coordinator.status(xid).await, Ok(expected));
    bank
}

#[test]
fn a_decided_commit_goes_on_when_its_resources_are_back() {
    let directory = tempfile::tempdir().unwrap();
    let xid = crash_after(async {
        let (bank, mut transaction) = phase_one(directory.path()).await;
        detach(&bank);
        assert_eq!(transaction.commit().await, Ok(GlobalStatus::Committed));
        assert_eq!(bank.coordinator().locks().await.unwrap(), [], "locks are free from the decision on");
        assert_eq!(bank.books().await.unfinished, 3, "an undo row for each branch");
        transaction.xid().clone()
    });

    crash_after(async {
        let bank = finish_in_sight(directory.path(), &xid, GlobalStatus::Committed).await;
        let books = bank.settle().await;
        books.assert_balanced("after the commit");
        assert_eq!(books.balances[&FROM], OPENING_BALANCE - AMOUNT);
        assert_eq!(books.balances[&TO], OPENING_BALANCE + AMOUNT);
        bank.close().await;
    });
}

#[test]
fn a_decided_rollback_goes_on_when_its_resources_are_back() {
    let directory = tempfile::tempdir().unwrap();
    let xid = crash_after(async {
        let (bank, transaction) = phase_one(directory.path()).await;
        detach(&bank);
        let xid = transaction.xid().clone();
        drop(transaction);
        status_is(bank.coordinator(), &xid, GlobalStatus::Rollbacking).await;
        assert!(!bank.coordinator().locks().await.unwrap().is_empty(), "nothing is undone yet");
        xid
    });

    crash_after(async {
        let bank = finish_rollback(directory.path(), &xid).await;
        let books = bank.settle().await;
        books.assert_balanced("after the rollback");
        assert!(books.transfers.is_empty() && books.balances.values().all(|left| *left == OPENING_BALANCE));
        bank.close().await;
    });
}

/// A rollback goes backwards: it waits for the last branch's resource alone.
async fn finish_rollback(directory: &Path, xid: &Xid) -> Bank {
    let coordinator = bank::open_coordinator(directory).await.unwrap();
    wait::until("a rollback that waits", || async {
        let view = the_only_one(&coordinator).await;
        if view.waits_for.len() == 1 { Ok(()) } else { Err(format!("{view:?}")) }
    })
    .await;
    assert!(!coordinator.locks().await.unwrap().is_empty(), "it keeps its locks while it waits");
    let bank = Bank::open_on(&coordinator, directory, Plan::default()).await.unwrap();
    bank.settle().await;
    assert_eq!(coordinator.status(xid).await, Ok(GlobalStatus::Rollbacked));
    bank
}

#[test]
fn what_a_dead_process_left_undecided_is_rolled_back_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let xid = crash_after(async {
        let (_bank, transaction) = phase_one(directory.path()).await;
        let xid = transaction.xid().clone();
        // Its starter dies with its runtime, and nobody lives who could be told.
        tokio::spawn(async move {
            let _open = transaction;
            std::future::pending::<()>().await;
        });
        xid
    });

    crash_after(async {
        let bank = finish_rollback(directory.path(), &xid).await;
        let books = bank.settle().await;
        books.assert_balanced("after the restart");
        assert!(books.transfers.is_empty(), "{books:?}");
        bank.close().await;
    });
}

#[test]
fn an_orderly_end_needs_no_recovery() {
    let directory = tempfile::tempdir().unwrap();
    let books = crash_after(async {
        let (bank, mut transaction) = phase_one(directory.path()).await;
        transaction.commit().await.unwrap();
        drop(transaction);
        let books = bank.settle().await;
        bank.close().await;
        books
    });
    crash_after(async {
        let bank = Bank::open(directory.path(), Plan::default()).await.unwrap();
        assert_eq!(bank.coordinator().transactions().await.unwrap(), []);
        assert_eq!(bank.books().await.balances, books.balances);
        bank.close().await;
    });
}
