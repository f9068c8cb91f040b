//! What is wrong is refused by name, and changes nothing.

use std::{fs, path::Path, process::Command};

use seata::{
    GlobalStatus, GlobalTransaction, Propagation, RootContext, Seata, Snapshot, StartError,
    TransactionOptions, Xid, coordinator::OpenError, global_transactional,
};
use seata_tests::{
    bank::{Account, Bank, OPENING_BALANCE, Plan, TransferError},
    wait,
};

const ACCOUNT: Account = Account { office: 0, number: 1 };

async fn open(directory: &tempfile::TempDir) -> Bank {
    Bank::open(directory.path(), Plan { offices: 1, ..Plan::default() }).await.unwrap()
}

async fn add(bank: &Bank, amount: i64) -> Result<(), TransferError> {
    let update = sqlx::query("UPDATE account SET balance = balance + ? WHERE number = ?").bind(amount);
    update.bind(ACCOUNT.number).execute(&bank.offices[0].at).await?;
    Ok(())
}

fn named(name: &'static str) -> TransactionOptions {
    TransactionOptions::new(name)
}

#[tokio::test]
async fn a_write_under_what_is_no_open_transaction_is_refused_and_undone() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;
    let (committed, rolled_back) = bank
        .seata
        .scope(async {
            let mut committed = GlobalTransaction::begin(named("committed")).await.unwrap();
            committed.commit().await.unwrap();
            let mut rolled_back = GlobalTransaction::begin(named("rolled back")).await.unwrap();
            rolled_back.rollback().await.unwrap();
            (committed.xid().clone(), rolled_back.xid().clone())
        })
        .await;
    let never: Xid = format!("{}:987654321", bank.coordinator().address()).parse().unwrap();
    let foreign: Xid = "10.0.0.7:8091:1".parse().unwrap();

    for (what, xid, expected) in [
        ("committed", committed, "could not be registered"),
        ("rolled back", rolled_back, "could not be registered"),
        ("never begun", never, "is unknown to the coordinator"),
        ("of another coordinator", foreign, "belongs to a coordinator that the data source"),
    ] {
        let scope = Snapshot::empty().with_client(bank.seata.client().clone()).with_xid(xid.clone());
        let error = scope.scope(add(&bank, 1)).await.expect_err(what).to_string();
        assert!(error.contains(&xid.to_string()) && error.contains(expected), "{what}: {error}");
        bank.settle().await;
        assert_eq!(bank.balance(ACCOUNT).await, OPENING_BALANCE, "{what}");
    }
    bank.close().await;
}

#[tokio::test]
async fn a_transaction_ends_once() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;
    bank.seata
        .scope(async {
            let mut transaction = GlobalTransaction::begin(named("once")).await.unwrap();
            let xid = transaction.xid().clone();
            add(&bank, 1).await.unwrap();
            assert_eq!(transaction.commit().await, Ok(GlobalStatus::Committed));
            let ended = seata::Error::AlreadyEnded { xid, status: GlobalStatus::Committed };
            assert_eq!(transaction.commit().await, Err(ended.clone()));
            assert_eq!(transaction.rollback().await, Err(ended));
        })
        .await;
    bank.settle().await;
    assert_eq!(bank.balance(ACCOUNT).await, OPENING_BALANCE + 1, "the first end stands");
    bank.close().await;
}

#[global_transactional(name = "launcher", client = bank.seata)]
async fn launcher(bank: &Bank) -> Result<(), TransferError> {
    add(bank, 1).await?;
    let xid = RootContext::xid().expect("in a transaction");

    let mut joined = GlobalTransaction::current()?.expect("in a transaction");
    assert_eq!(joined.commit().await, Err(seata::Error::NotLauncher { xid: xid.clone() }));
    assert_eq!(joined.rollback().await, Err(seata::Error::NotLauncher { xid: xid.clone() }));

    let begun = GlobalTransaction::begin(named("second")).await.map(drop);
    assert_eq!(begun, Err(seata::Error::AlreadyBound { xid: xid.clone() }));
    let new = named("new").propagation(Propagation::RequiresNew);
    let begun = GlobalTransaction::begin(new).await.map(drop);
    assert_eq!(begun, Err(seata::Error::AlreadyBound { xid }), "propagation is the template's");

    add(bank, 1).await
}

#[tokio::test]
async fn who_joined_cannot_end_it_and_a_second_one_is_not_begun_in_its_scope() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;
    launcher(&bank).await.expect("none of it harmed the transaction");
    bank.settle().await;
    assert_eq!(bank.balance(ACCOUNT).await, OPENING_BALANCE + 2);
    bank.close().await;
}

#[tokio::test]
async fn two_begins_in_one_scope_leave_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;
    bank.seata
        .scope(async {
            let (first, second) =
                tokio::join!(GlobalTransaction::begin(named("one")), GlobalTransaction::begin(named("two")));
            let (mut one, refused) = match (first, second) {
                (Ok(one), Err(refused)) | (Err(refused), Ok(one)) => (one, refused),
                other => panic!("expected one of each, found {other:?}"),
            };
            assert_eq!(refused, seata::Error::AlreadyBound { xid: one.xid().clone() });
            add(&bank, 1).await.unwrap();
            one.commit().await.unwrap();
        })
        .await;
    bank.settle().await;
    assert_eq!(bank.balance(ACCOUNT).await, OPENING_BALANCE + 1);
    bank.close().await;
}

#[global_transactional(name = "ended by others", client = bank.seata)]
async fn ended_by_others(bank: &Bank) -> Result<(), TransferError> {
    add(bank, 1).await?;
    let xid = RootContext::xid().expect("in a transaction");
    bank.coordinator().rollback(&xid).await.expect("the coordinator runs");
    let late = add(bank, 1).await.expect_err("nothing joins any more").to_string();
    assert!(late.contains("could not be registered"), "{late}");
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_somebody_else_rolled_back_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;
    let ended = ended_by_others(&bank).await;
    assert!(matches!(&ended, Err(TransferError::Transaction(seata::Error::RolledBack { .. }))), "{ended:?}");
    bank.settle().await;
    assert_eq!(bank.balance(ACCOUNT).await, OPENING_BALANCE);
    bank.close().await;
}

#[global_transactional(name = "late", timeout = "50ms", client = bank.seata)]
async fn late(bank: &Bank) -> Result<(), TransferError> {
    add(bank, 1).await?;
    let xid = RootContext::xid().expect("in a transaction");
    wait::until("the time-out", || async {
        match bank.coordinator().status(&xid).await.expect("the coordinator runs") {
            GlobalStatus::TimeoutRollbacked => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let refused = add(bank, 1).await.expect_err("nothing joins any more").to_string();
    assert!(refused.contains("could not be registered"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn what_takes_too_long_is_rolled_back_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;
    let ended = late(&bank).await;
    let Err(TransferError::Transaction(error @ seata::Error::TimedOut { .. })) = &ended else {
        panic!("{ended:?}")
    };
    assert!(error.to_string().contains("50ms"), "{error}");
    bank.settle().await;
    assert_eq!(bank.balance(ACCOUNT).await, OPENING_BALANCE);
    bank.close().await;
}

async fn start(directory: &Path) -> Result<Seata, StartError> {
    Seata::builder("shop").data_dir(directory).start().await
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();

    let refused = start(&file).await.expect_err("it is a file");
    assert!(matches!(refused, StartError::Open(OpenError::NotADirectory { .. })), "{refused:?}");
    assert!(refused.to_string().contains(file.to_str().unwrap()), "{refused}");
    let below = file.join("data");
    let refused = start(&below).await.expect_err("it is below a file");
    assert!(refused.to_string().contains(below.to_str().unwrap()), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn an_application_without_a_usable_name_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    for length in [0, 33] {
        let data = directory.path().join("data");
        let started = Seata::builder("n".repeat(length)).data_dir(&data).start().await;
        assert!(
            matches!(&started, Err(StartError::InvalidApplicationId { length: found }) if *found == length),
            "{started:?}"
        );
        assert!(!data.exists(), "refused before anything is done");
    }
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_to_every_other_process() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory).await;

    let refused = start(&directory.path().join("seata-data")).await.expect_err("this process has it");
    assert!(matches!(refused, StartError::Open(OpenError::InUse { .. })), "{refused:?}");
    let other = Command::new(env!("CARGO_BIN_EXE_bank")).arg("recover").arg(directory.path()).output();
    let other = other.unwrap();
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(!other.status.success() && said.contains("is in use by process"), "{said}");
    assert!(said.contains(&std::process::id().to_string()), "it names the holder: {said}");

    bank.close().await;
    let seata = start(&directory.path().join("seata-data")).await.expect("it is free again");
    seata.shutdown(wait::LIMIT).await.unwrap();
}
