//! A bank in a process of its own, to be killed.
//!
//! `bank run DIRECTORY SEED` makes transfers until it dies, and prints `open`, then `committed ID` for
//! each that it was told is made, `failed ID` for each that it was told is not. `bank recover DIRECTORY`
//! finishes what an earlier life left, and ends.

#![forbid(unsafe_code)]

use std::{error::Error, path::Path, process::ExitCode};

use seata_tests::{
    bank::{Bank, Plan, TransferError},
    seed,
};

/// How many transfers are under way at a time.
const TELLERS: u64 = 8;

/// Enough accounts that most transfers are made, few enough that some are in each other's way.
fn plan() -> Plan {
    Plan { accounts: 12, lock_times: 10, ..Plan::default() }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["run", directory, seed] => run(directory.as_ref(), seed).await,
        ["recover", directory] => recover(directory.as_ref()).await,
        _ => Err("usage: bank run DIRECTORY SEED | bank recover DIRECTORY".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bank: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(directory: &Path, seed: &str) -> Result<(), Box<dyn Error>> {
    let seed: u64 = seed.parse()?;
    let bank = Bank::open(directory, plan()).await?;
    println!("open");
    let mut tellers = tokio::task::JoinSet::new();
    for teller in 0..TELLERS {
        tellers.spawn(serve(bank.clone(), seed, teller));
    }
    while let Some(ended) = tellers.join_next().await {
        ended?;
    }
    Ok(())
}

async fn serve(bank: Bank, seed: u64, teller: u64) {
    let mut numbers = seed::numbers(seed, teller);
    for number in 0_u64.. {
        let transfer = plan().any_transfer(format!("{seed}-{teller}-{number}"), &mut numbers);
        match bank.transfer(&transfer).await {
            Ok(()) => println!("committed {}", transfer.id),
            // What an error of the transaction itself means is not always known.
            Err(TransferError::Transaction(error)) => eprintln!("{}: {error}", transfer.id),
            Err(_) => println!("failed {}", transfer.id),
        }
    }
}

async fn recover(directory: &Path) -> Result<(), Box<dyn Error>> {
    let bank = Bank::open(directory, plan()).await?;
    bank.settle().await;
    bank.close().await;
    Ok(())
}
