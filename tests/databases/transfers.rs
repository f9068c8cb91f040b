//! Money between two databases.

use rand::Rng as _;
use seata::at::AtError;
use seata_tests::{amount, seed};
use tokio::task::JoinSet;

use crate::{
    engine::{Engine, on_each_database},
    world::{Options, World},
};

const ACCOUNTS: i64 = 6;
const TELLERS: u64 = 8;

async fn bank<E: Engine>() -> [World<E>; 2] {
    let schema = format!(
        "CREATE TABLE account (number BIGINT PRIMARY KEY, balance BIGINT NOT NULL);
         CREATE TABLE ledger (entry {}, account BIGINT NOT NULL, amount BIGINT NOT NULL);
         INSERT INTO account VALUES (1, 1000), (2, 1000), (3, 1000), (4, 1000), (5, 1000), (6, 1000)",
        E::COUNTS
    );
    let options = Options { lock_times: 100, ..Options::default() };
    let first = World::with(&schema, options).await;
    let second = first.beside(&schema).await;
    [first, second]
}

/// A local transaction of two statements in one database, and two statements by themselves in the other.
async fn transfer<E: Engine>(
    from: &World<E>,
    to: &World<E>,
    [payer, payee, amount]: [i64; 3],
) -> Result<(), sqlx::Error> {
    let mut local = from.begin().await?;
    for (sql, first) in [
        ("UPDATE account SET balance = balance - ? WHERE number = ?", amount),
        ("INSERT INTO ledger (amount, account) VALUES (0 - ?, ?)", amount),
    ] {
        E::local_execute(&mut local, &E::placed(sql), &[first.into(), payer.into()]).await?;
    }
    E::commit(local).await?;
    to.execute("UPDATE account SET balance = balance + ? WHERE number = ?", &[amount.into(), payee.into()])
        .await?;
    to.execute("INSERT INTO ledger (amount, account) VALUES (?, ?)", &[amount.into(), payee.into()]).await?;
    Ok(())
}

/// Another teller is: with a row, with the file, with the connections, or in a dead lock.
fn is_in_the_way(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: [&str; 3] = ["5", "261", "517"];
    const DEAD_LOCK: [&str; 2] = ["40001", "40P01"];
    if let Some(own) = AtError::from_sqlx(error) {
        return matches!(own, AtError::LockConflict { .. });
    }
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.as_deref().unwrap_or_default();
    matches!(error, sqlx::Error::PoolTimedOut) || SQLITE_BUSY.contains(&code) || DEAD_LOCK.contains(&code)
}

async fn money_is_kept<E: Engine>() {
    let seed = seed::seed();
    let bank = std::sync::Arc::new(bank::<E>().await);
    let mut tellers = JoinSet::new();
    for teller in 0..TELLERS {
        let bank = bank.clone();
        tellers.spawn(async move {
            let mut numbers = seed::numbers(seed, teller);
            let mut made = 0;
            for _ in 0..amount(10, 100) {
                let from = &bank[numbers.random_range(0..2)];
                let to = &bank[numbers.random_range(0..2)];
                let ends = [
                    numbers.random_range(1..=ACCOUNTS),
                    numbers.random_range(1..=ACCOUNTS),
                    numbers.random_range(1..50),
                ];
                let is_declined = numbers.random_bool(0.3);
                let transfer = from.seata.scope(async {
                    let mut transaction = from.begin_global().await;
                    let done = transfer(from, to, ends).await;
                    if let Err(error) = &done {
                        assert!(is_in_the_way(error), "{error}");
                    }
                    match (done, is_declined) {
                        (Ok(()), false) => transaction.commit().await.map(|_| true),
                        _ => transaction.rollback().await.map(|_| false),
                    }
                });
                made += usize::from(transfer.await.expect("it ends as it is told"));
            }
            made
        });
    }
    let made: usize = tellers.join_all().await.into_iter().sum();
    let (mut sum, mut entries) = (0, 0);
    for world in bank.iter() {
        world.assert_clean("after all transfers").await;
        sum += world.number(&format!("SELECT CAST(SUM(balance) AS {}) FROM account", E::LONG)).await;
        entries += world.number("SELECT count(*) FROM ledger").await;
        let differences = "SELECT count(*) FROM account WHERE balance <> 1000 + \
             COALESCE((SELECT SUM(amount) FROM ledger WHERE ledger.account = account.number), 0)";
        assert_eq!(world.number(differences).await, 0, "balances are what the ledger says");
    }
    assert_eq!(sum, 2 * 1000 * ACCOUNTS, "no money came or went");
    assert_eq!(entries, 2 * i64::try_from(made).expect("few"), "each transfer is wholly there");
    let tried = TELLERS as usize * amount(10, 100);
    println!("{made} made of {tried}");
    assert!(made >= tried / 4, "{made} made of {tried}");
}

on_each_database!(money_is_kept);
