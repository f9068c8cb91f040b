//! Two global transactions and the rows that both want.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use seata::{
    GlobalStatus, GlobalTransaction, Propagation, TransactionOptions, Xid, coordinator::Event,
    coordinator::EventKind, global_lock, global_transactional,
};
use seata_tests::{
    bank::{Account, Bank, OPENING_BALANCE, Plan, TransferError},
    wait,
};
use tokio::sync::{Barrier, oneshot};

const FIRST: Account = Account { office: 0, number: 1 };
const SECOND: Account = Account { office: 0, number: 2 };

/// Waits for rows as long as it takes.
fn patient() -> Plan {
    Plan { offices: 1, lock_times: 10_000, ..Plan::default() }
}

/// Gives up soon.
fn impatient() -> Plan {
    Plan { offices: 1, lock_interval: Duration::from_millis(1), lock_times: 3, ..Plan::default() }
}

async fn open(directory: &tempfile::TempDir, plan: Plan) -> Bank {
    Bank::open(Path::new(directory.path()), plan).await.unwrap()
}

async fn add(bank: &Bank, account: Account, amount: i64) -> Result<(), TransferError> {
    sqlx::query("UPDATE account SET balance = balance + ? WHERE number = ?")
        .bind(amount)
        .bind(account.number)
        .execute(&bank.offices[account.office].at)
        .await?;
    Ok(())
}

#[global_transactional(name = "pay", client = bank.seata)]
async fn pay(bank: &Bank, account: Account, amount: i64) -> Result<(), TransferError> {
    add(bank, account, amount).await
}

#[global_lock]
async fn write_under_global_lock(bank: &Bank, account: Account, amount: i64) -> Result<(), TransferError> {
    add(bank, account, amount).await
}

/// A global transaction that has changed [`FIRST`] and is still open.
struct Holder {
    xid: Xid,
    end: oneshot::Sender<End>,
    ended: tokio::task::JoinHandle<Result<GlobalStatus, seata::Error>>,
}

enum End {
    Commit,
    Rollback,
}

impl Holder {
    async fn of_first(bank: &Bank, amount: i64) -> Self {
        let (held, hold) = oneshot::channel();
        let (end, ends) = oneshot::channel();
        let bank = bank.clone();
        let ended = tokio::spawn(async move {
            let seata = bank.seata.clone();
            seata
                .scope(async move {
                    let mut transaction = GlobalTransaction::begin(TransactionOptions::new("hold")).await?;
                    add(&bank, FIRST, amount).await.expect("nobody else has the row");
                    held.send(transaction.xid().clone()).expect("the test waits");
                    match ends.await.expect("the test says how it ends") {
                        End::Commit => transaction.commit().await,
                        End::Rollback => transaction.rollback().await,
                    }
                })
                .await
        });
        Self { xid: hold.await.expect("it is begun"), end, ended }
    }

    async fn end(self, end: End) -> Result<GlobalStatus, seata::Error> {
        self.end.send(end).ok().expect("it waits");
        self.ended.await.expect("it does not panic")
    }
}

fn assert_held_by(result: Result<(), TransferError>, holder: &Xid) {
    match result {
        Err(TransferError::Locked { row, holder: named }) => {
            assert!(row.starts_with("account:1 in jdbc:sqlite:"), "{row}");
            assert_eq!(named, holder.to_string());
        }
        other => panic!("expected a lock conflict, found {other:?}"),
    }
}

#[tokio::test]
async fn a_conflict_names_the_row_and_who_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory, impatient()).await;
    let holder = Holder::of_first(&bank, -10).await;

    assert_held_by(pay(&bank, FIRST, 1).await, &holder.xid);
    pay(&bank, SECOND, 1).await.expect("another row is free");

    assert_eq!(holder.end(End::Commit).await, Ok(GlobalStatus::Committed));
    pay(&bank, FIRST, 1).await.expect("the row is free from the decision on");
    bank.settle().await;
    assert_eq!(bank.balance(FIRST).await, OPENING_BALANCE - 10 + 1);
    assert_eq!(bank.balance(SECOND).await, OPENING_BALANCE + 1);
    bank.close().await;
}

#[global_transactional(name = "cross", client = bank.seata)]
async fn cross(bank: &Bank, rows: [Account; 2], both: &Barrier) -> Result<(), TransferError> {
    add(bank, rows[0], -5).await?;
    both.wait().await;
    add(bank, rows[1], 5).await
}

#[tokio::test]
async fn transfers_that_cross_on_two_rows_of_one_file_end_within_one_lock_wait() {
    let directory = tempfile::tempdir().unwrap();
    let plan =
        Plan { offices: 1, lock_interval: Duration::from_millis(20), lock_times: 50, ..Plan::default() };
    let lock_wait = plan.lock_interval * plan.lock_times;
    let bank = open(&directory, plan).await;
    let both = Barrier::new(2);

    let began = Instant::now();
    let (one, other) =
        tokio::join!(cross(&bank, [FIRST, SECOND], &both), cross(&bank, [SECOND, FIRST], &both));
    let took = began.elapsed();

    assert!(took < 2 * lock_wait, "one lock wait is {lock_wait:?}, they took {took:?}");
    let gave_way = [&one, &other].into_iter().filter(|end| matches!(end, Err(TransferError::Locked { .. })));
    let gave_way = gave_way.count();
    assert!(gave_way >= 1, "{one:?}, {other:?}");
    for end in [&one, &other] {
        assert!(matches!(end, Ok(()) | Err(TransferError::Locked { .. })), "{end:?}");
    }
    bank.settle().await;
    let sum = bank.balance(FIRST).await + bank.balance(SECOND).await;
    assert_eq!(sum, 2 * OPENING_BALANCE);
    bank.close().await;
}

async fn read_committed(bank: &Bank) -> Result<i64, TransferError> {
    let row = sqlx::query_scalar("SELECT balance FROM account WHERE number = ?").bind(FIRST.number);
    Ok(row.fetch_one(bank.offices[0].at.global_committed()).await?)
}

#[tokio::test]
async fn a_global_committed_read_waits_for_the_writers_outcome() {
    for (end, expected) in [(End::Commit, OPENING_BALANCE - 10), (End::Rollback, OPENING_BALANCE)] {
        let directory = tempfile::tempdir().unwrap();
        let bank = open(&directory, patient()).await;
        let holder = Holder::of_first(&bank, -10).await;
        assert_eq!(
            bank.balance(FIRST).await,
            OPENING_BALANCE - 10,
            "an ordinary read sees what is undecided"
        );

        let reading = bank.seata.scope(read_committed(&bank));
        tokio::pin!(reading);
        let early = tokio::time::timeout(Duration::from_millis(100), &mut reading).await;
        assert!(early.is_err(), "it read {early:?} while the writer was undecided");
        holder.end(end).await.unwrap();
        assert_eq!(reading.await.unwrap(), expected);
        bank.settle().await;
        bank.close().await;
    }
}

#[tokio::test]
async fn a_writer_under_global_lock_respects_the_rows_of_global_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory, impatient()).await;
    let holder = Holder::of_first(&bank, -10).await;

    assert_held_by(bank.seata.scope(write_under_global_lock(&bank, FIRST, 1)).await, &holder.xid);
    assert_eq!(bank.balance(FIRST).await, OPENING_BALANCE - 10, "it changed nothing");

    assert_eq!(holder.end(End::Rollback).await, Ok(GlobalStatus::Rollbacked));
    bank.seata.scope(write_under_global_lock(&bank, FIRST, 1)).await.unwrap();
    assert_eq!(bank.balance(FIRST).await, OPENING_BALANCE + 1);
    bank.settle().await;
    bank.close().await;
}

#[tokio::test]
async fn a_dirty_row_is_parked_with_its_reason_and_finished_when_it_is_put_right() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory, impatient()).await;
    let coordinator = bank.coordinator().clone();
    let mut events = coordinator.events();
    let holder = Holder::of_first(&bank, -10).await;
    let xid = holder.xid.clone();
    set_past_seata(&bank, 7).await;

    let ended = holder.end(End::Rollback).await;
    let status = GlobalStatus::RollbackFailed;
    assert_eq!(ended, Err(seata::Error::RollbackFailed { xid: xid.clone(), status }));
    let parked = coordinator.parked().await.unwrap();
    let [view] = &parked[..] else { panic!("one is parked: {parked:?}") };
    assert_eq!(view.snapshot.transaction.xid, xid);
    let reason = view.reason.as_deref().expect("it has a reason");
    for part in ["row number=1 of table account", "column balance", "before 1000", "after 990", "now 7"] {
        assert!(reason.contains(part), "{part:?} is missing in {reason:?}");
    }
    assert_held_by(pay(&bank, FIRST, 1).await, &xid);
    assert_eq!(bank.balance(FIRST).await, 7, "it is left as it was found");

    assert_eq!(coordinator.retry(&xid).await, Ok(true));
    let parked_again = |event: &Event| event.xid == xid && matches!(event.kind, EventKind::Parked { .. });
    for _ in 0..2 {
        let waits = async { while !parked_again(&events.recv().await.unwrap()) {} };
        tokio::time::timeout(wait::LIMIT, waits).await.expect("it is parked again: nothing has changed");
    }

    set_past_seata(&bank, OPENING_BALANCE - 10).await;
    assert_eq!(coordinator.retry(&xid).await, Ok(true));
    bank.settle().await;
    assert_eq!(bank.balance(FIRST).await, OPENING_BALANCE);
    assert_eq!(coordinator.status(&xid).await, Ok(GlobalStatus::Rollbacked));
    bank.close().await;
}

async fn set_past_seata(bank: &Bank, balance: i64) {
    let update = sqlx::query("UPDATE account SET balance = ? WHERE number = ?").bind(balance);
    update.bind(FIRST.number).execute(&bank.offices[0].raw).await.unwrap();
}

#[global_transactional(name = "outer", client = bank.seata)]
async fn pay_twice(bank: &Bank) -> Result<(), TransferError> {
    pay(bank, FIRST, 1).await?;
    let other = TransactionOptions::new("other").propagation(Propagation::RequiresNew);
    seata::run(other, |_: &TransferError| seata::OnError::Rollback, add(bank, FIRST, 1)).await
}

#[tokio::test]
async fn a_transaction_within_a_transaction_conflicts_with_it_as_with_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let bank = open(&directory, impatient()).await;
    let end = pay_twice(&bank).await;
    assert!(
        matches!(&end, Err(TransferError::Locked { row, .. }) if row.starts_with("account:1")),
        "{end:?}"
    );
    bank.settle().await;
    assert_eq!(bank.balance(FIRST).await, OPENING_BALANCE);
    bank.close().await;
}
