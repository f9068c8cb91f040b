//! Many transfers at once, on few rows.

use std::collections::BTreeSet;

use rand::Rng as _;
use seata_tests::{
    amount,
    bank::{Bank, Plan, TransferError},
    polls::{Drop, poll_at_most},
    seed,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_kept_under_64_concurrent_transfers() {
    const TELLERS: u64 = 64;
    let seed = seed::seed();
    let directory = tempfile::tempdir().unwrap();
    let plan = Plan { offices: 3, accounts: 8, lock_times: 10, ..Plan::default() };
    let bank = Bank::open(directory.path(), plan).await.unwrap();

    let mut tellers = tokio::task::JoinSet::new();
    for teller in 0..TELLERS {
        let bank = bank.clone();
        tellers.spawn(async move {
            let mut numbers = seed::numbers(seed, teller);
            let mut ends = Vec::new();
            for number in 0..amount(5, 50) {
                let transfer = plan.any_transfer(format!("{teller}-{number}"), &mut numbers);
                let end = bank.transfer(&transfer).await;
                ends.push((transfer, end));
            }
            ends
        });
    }
    let ends: Vec<_> = tellers.join_all().await.into_iter().flatten().collect();

    let books = bank.settle().await;
    books.assert_balanced("after all transfers");
    let mut made = BTreeSet::new();
    let mut conflicts = 0;
    for (transfer, end) in &ends {
        match end {
            Ok(()) => assert!(made.insert(transfer.id.as_str())),
            Err(TransferError::Declined) => assert!(transfer.is_declined),
            Err(TransferError::Locked { row, holder }) => {
                assert!(row.contains(":") && holder.starts_with("tc-"), "{row} {holder}");
                conflicts += 1;
            }
            Err(TransferError::Busy | TransferError::NoFunds(_)) => {}
            Err(error) => panic!("transfer {} ended with {error:?}", transfer.id),
        }
    }
    assert_eq!(books.made(), made, "what is in the ledger, and what was acknowledged");
    println!("{} made, {conflicts} gave way, of {}", made.len(), ends.len());
    assert!(!made.is_empty());
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_kept_when_callers_go_away_at_any_moment() {
    const TELLERS: u64 = 16;
    let seed = seed::seed();
    let directory = tempfile::tempdir().unwrap();
    let plan = Plan { offices: 3, accounts: 8, lock_times: 10, ..Plan::default() };
    let bank = Bank::open(directory.path(), plan).await.unwrap();

    let mut tellers = tokio::task::JoinSet::new();
    for teller in 0..TELLERS {
        let bank = bank.clone();
        tellers.spawn(async move {
            let mut numbers = seed::numbers(seed, teller);
            let (mut made, mut refused) = (Vec::new(), Vec::new());
            for number in 0..amount(10, 200) {
                let transfer = plan.any_transfer(format!("{teller}-{number}"), &mut numbers);
                let drop = if numbers.random() { Drop::AtOnce } else { Drop::OnceWoken };
                match poll_at_most(numbers.random_range(0..60), drop, bank.transfer(&transfer)).await {
                    Some(Ok(())) => made.push(transfer.id),
                    Some(Err(_)) => refused.push(transfer.id),
                    // It may be made or not, but wholly.
                    None => {}
                }
            }
            (made, refused)
        });
    }
    let ends = tellers.join_all().await;

    let books = bank.settle().await;
    books.assert_balanced("after all transfers");
    let in_ledger = books.made();
    for (made, refused) in &ends {
        for id in made {
            assert!(in_ledger.contains(id.as_str()), "{id} was acknowledged and is not in the ledger");
        }
        for id in refused {
            assert!(!in_ledger.contains(id.as_str()), "{id} was refused and is in the ledger");
        }
    }
    assert!(!in_ledger.is_empty());
    bank.close().await;
}
