//! A purchase dropped at every one of its awaits.

use seata_tests::{
    amount,
    bank::{Account, Bank, Plan, Transfer, TransferError},
    polls::{Drop, poll_at_most},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_dropped_at_any_await_is_made_wholly_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let bank = Bank::open(directory.path(), Plan::default()).await.unwrap();
    // What is answered before it is waited for is no await in that round, but in others.
    let mut most = 0;
    for round in 0..amount(4, 40) {
        for drop in [Drop::AtOnce, Drop::OnceWoken] {
            most = most.max(drop_at_each_await(&bank, drop, round).await);
        }
    }
    assert!(most > 10, "two databases and a coordinator are waited for more often than {most} times");
    bank.close().await;
}

/// Returns how many there are.
async fn drop_at_each_await(bank: &Bank, drop: Drop, round: usize) -> usize {
    for polls in 0.. {
        let transfer = Transfer {
            id: format!("{round}-{drop:?}-{polls}"),
            from: Account { office: 0, number: 1 },
            to: Account { office: 1, number: 1 },
            amount: 1,
            is_declined: false,
        };
        let done = bank.seata.scope(poll_at_most(polls, drop, bank.transfer(&transfer))).await;

        let books = bank.settle().await;
        books.assert_balanced(&format!("dropped {drop:?} after {polls} polls"));
        if let Some(result) = done {
            result.unwrap();
            assert!(books.made().contains(transfer.id.as_str()), "it was acknowledged");
            return polls;
        }
    }
    unreachable!("a transfer is done sooner or later")
}

#[seata::global_transactional(name = "panicking", client = bank.seata)]
async fn panicking(bank: Bank, transfer: Transfer) -> Result<(), TransferError> {
    bank.transfer(&transfer).await?;
    panic!("on purpose, after {}", transfer.id)
}

#[tokio::test]
async fn a_transfer_that_panics_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let bank = Bank::open(directory.path(), Plan::default()).await.unwrap();
    let from = Account { office: 0, number: 1 };
    let to = Account { office: 1, number: 1 };
    let transfer = Transfer { id: "panics".to_owned(), from, to, amount: 1, is_declined: false };
    let ended = tokio::spawn(panicking(bank.clone(), transfer)).await;
    assert!(ended.unwrap_err().is_panic());
    let books = bank.settle().await;
    books.assert_balanced("after a panic");
    assert!(books.transfers.is_empty());
    bank.close().await;
}
