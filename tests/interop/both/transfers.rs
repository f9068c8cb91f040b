//! Many of both kinds change the same few rows at the same time.

use rand::Rng as _;
use seata::{GlobalTransaction, Seata, TransactionOptions};
use seata_tests::{
    amount,
    java::{Java, Loaded},
    seed,
};
use tokio::task::JoinSet;

use super::database::{Database, Kind, Options};

/// Of Java threads, and of Rust tasks.
const TELLERS: usize = 16;
const ACCOUNTS: usize = 24;
const TABLES: &str = "
    CREATE TABLE account (id BIGINT PRIMARY KEY, money BIGINT NOT NULL);
    INSERT INTO account VALUES ";

#[tokio::test(flavor = "multi_thread")]
async fn money_is_kept_on_mariadb() {
    money_is_kept(Kind::MariaDb, "transfers_mariadb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_kept_on_postgresql() {
    money_is_kept(Kind::PostgreSql, "transfers_postgresql").await;
}

async fn money_is_kept(kind: Kind, name: &str) {
    let times = amount(6, 60);
    let java = Java::shared().await;
    let seata = Seata::builder("tellers").server(java.server()).start().await.unwrap();
    let rows: Vec<String> = (1..=ACCOUNTS).map(|id| format!("({id}, 1000)")).collect();
    kind.create(name, &format!("{TABLES}{}", rows.join(", ")));
    let database = std::sync::Arc::new(Database::open(kind, name, &seata, &Options::default()).await);
    database.open_in_java(&java.peer).await;

    let seed = seed::seed();
    let mut tellers = JoinSet::new();
    for teller in 0..TELLERS as u64 {
        let (seata, database) = (seata.clone(), database.clone());
        tellers.spawn(async move {
            let mut random = seed::numbers(seed, teller);
            let mut loaded = Loaded { committed: 0, rolled_back: 0, refused: 0 };
            for _ in 0..times {
                // Two rows: if one is changed twice, Java's server has Java undo the older change first.
                let payer = random.random_range(0..ACCOUNTS);
                let payee = (payer + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
                let ends = [payer + 1, payee + 1];
                let is_given_up = random.random_bool(0.125);
                seata.scope(transfer(&database, ends, is_given_up, &mut loaded)).await;
            }
            loaded
        });
    }
    let of_java = java.peer.load((TELLERS, times), false, [name, name], ACCOUNTS);
    let (of_java, of_rust) = tokio::join!(of_java, tellers.join_all());
    let of_java = of_java.unwrap();
    println!("{kind:?}: Java {of_java:?}, Rust {of_rust:?}");

    database.settle().await;
    let right = format!(
        "SELECT COUNT(*) FROM (SELECT SUM(money) AS money FROM account) AS sums WHERE money = {ACCOUNTS}000"
    );
    assert_eq!(database.number(&right).await, 1, "no money came or went");
    let keys: Vec<String> = (1..=ACCOUNTS).map(|id| id.to_string()).collect();
    database.assert_free(&java.peer, &format!("account:{}", keys.join(","))).await;
    assert!(of_java.committed > 0 && of_rust.iter().any(|loaded| loaded.committed > 0));
}

/// Two branches in one database, as Java makes them.
async fn transfer(database: &Database, [payer, payee]: [usize; 2], is_given_up: bool, loaded: &mut Loaded) {
    let mut transaction = GlobalTransaction::begin(TransactionOptions::new("transfer")).await.unwrap();
    let done = async {
        let take = format!("UPDATE account SET money = money - 1 WHERE id = {payer}");
        database.execute(&take).await?;
        let give = format!("UPDATE account SET money = money + 1 WHERE id = {payee}");
        database.run(&[give]).await
    };
    let is_refused = done.await.is_err();
    if is_refused || is_given_up {
        transaction.rollback().await.unwrap();
        loaded.refused += u64::from(is_refused);
        loaded.rolled_back += u64::from(!is_refused);
    } else {
        transaction.commit().await.unwrap();
        loaded.committed += 1;
    }
}
