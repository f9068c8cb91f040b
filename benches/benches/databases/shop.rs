//! The databases of a purchase, plain and in AT mode.

use std::future::Future;

use futures_util::future::BoxFuture;
use seata::{OnError, TransactionOptions};

/// More rows than workers, so that nobody waits for a row.
pub(crate) const ROWS: i64 = 128;

/// Whatever keeps a purchase from its end.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What somebody buys from.
pub(crate) trait Shop: Clone + Send + Sync + 'static {
    /// One purchase.
    fn purchase(&self, worker: usize) -> BoxFuture<'static, Result<(), Error>>;

    /// Whether phase two is not done with all purchases.
    fn has_undo_logs(&self) -> BoxFuture<'_, Result<bool, Error>>;
}

/// A purchase as one global transaction.
pub(crate) fn global(
    purchase: BoxFuture<'static, Result<(), Error>>,
) -> impl Future<Output = Result<(), Error>> + Send {
    seata::run(TransactionOptions::new("purchase"), |_: &Error| OnError::Rollback, purchase)
}

/// The shop on one kind of database.
macro_rules! shop {
    ($name:ident, $DB:ty, $schema:expr, $many:literal, $take:literal, $pay:literal, $order:literal) => {
        pub(crate) mod $name {
            use futures_util::future::BoxFuture;
            use seata::{Seata, at::AtPool};
            use sqlx::{Pool, pool::PoolOptions, query};

            use super::{Error, ROWS, Shop};
            use crate::many::Many;

            pub(crate) const SCHEMA: &str = $schema;
            /// Makes so many rows.
            pub(crate) fn many(rows: usize) -> String {
                format!($many, rows)
            }

            /// Storage and books, and their databases past AT mode.
            #[derive(Clone)]
            pub(crate) struct On<P>([P; 2], [Pool<$DB>; 2]);

            macro_rules! purchase {
                ($pool:ty) => {
                    impl Shop for On<$pool> {
                        fn purchase(&self, worker: usize) -> BoxFuture<'static, Result<(), Error>> {
                            let [storage, books] = self.0.clone();
                            let row = worker as i64 % ROWS;
                            Box::pin(async move {
                                query($take).bind(row).execute(&storage).await?;
                                query($pay).bind(row).execute(&books).await?;
                                query($order).bind(row).bind(row).execute(&books).await?;
                                Ok(())
                            })
                        }

                        fn has_undo_logs(&self) -> BoxFuture<'_, Result<bool, Error>> {
                            Box::pin(async {
                                for pool in &self.1 {
                                    let look = query("SELECT 1 FROM undo_log LIMIT 1");
                                    if look.fetch_optional(pool).await?.is_some() {
                                        return Ok(true);
                                    }
                                }
                                Ok(false)
                            })
                        }
                    }
                };
            }
            macro_rules! many {
                ($pool:ty) => {
                    impl Many for On<$pool> {
                        fn change(&self) -> BoxFuture<'static, Result<(), Error>> {
                            let [storage, _] = self.0.clone();
                            Box::pin(async move {
                                query("UPDATE many SET n = n + 1").execute(&storage).await?;
                                Ok(())
                            })
                        }
                    }
                };
            }
            many!(Pool<$DB>);
            many!(AtPool<$DB>);

            purchase!(Pool<$DB>);
            purchase!(AtPool<$DB>);

            async fn connect(urls: [String; 2]) -> [Pool<$DB>; 2] {
                /// As many as HikariCP opens where it is told nothing else, for each of two.
                const CONNECTIONS: u32 = 32;
                let [storage, books] = urls;
                let options = || PoolOptions::new().max_connections(CONNECTIONS);
                [options().connect(&storage).await, options().connect(&books).await]
                    .map(|pool| pool.expect("the server runs"))
            }

            pub(crate) async fn plain(urls: [String; 2]) -> On<Pool<$DB>> {
                let pools = connect(urls).await;
                On(pools.clone(), pools)
            }

            pub(crate) async fn at(urls: [String; 2], seata: &Seata) -> On<AtPool<$DB>> {
                let pools = connect(urls).await;
                let [storage, books] = pools.clone();
                let at = [
                    seata.at(storage).await.expect("a data source"),
                    seata.at(books).await.expect("a data source"),
                ];
                On(at, pools)
            }
        }
    };
}

shop!(
    on_mariadb,
    sqlx::MySql,
    "CREATE TABLE stock (id BIGINT PRIMARY KEY, count INT NOT NULL);
     INSERT INTO stock SELECT seq, 1000000 FROM seq_0_to_127;
     CREATE TABLE account (id BIGINT PRIMARY KEY, money INT NOT NULL);
     INSERT INTO account SELECT seq, 1000000 FROM seq_0_to_127;
     CREATE TABLE orders (id BIGINT PRIMARY KEY AUTO_INCREMENT, account BIGINT, product BIGINT, money INT);",
    "CREATE TABLE many (id BIGINT PRIMARY KEY, n BIGINT, name VARCHAR(100));
     INSERT INTO many SELECT seq, 0, REPEAT('x', 50) FROM seq_1_to_{};",
    "UPDATE stock SET count = count - 1 WHERE id = ?",
    "UPDATE account SET money = money - 5 WHERE id = ?",
    "INSERT INTO orders (account, product, money) VALUES (?, ?, 5)"
);
shop!(
    on_postgres,
    sqlx::Postgres,
    "CREATE TABLE stock (id BIGINT PRIMARY KEY, count INT NOT NULL);
     INSERT INTO stock SELECT n, 1000000 FROM generate_series(0, 127) n;
     CREATE TABLE account (id BIGINT PRIMARY KEY, money INT NOT NULL);
     INSERT INTO account SELECT n, 1000000 FROM generate_series(0, 127) n;
     CREATE TABLE orders (id BIGSERIAL PRIMARY KEY, account BIGINT, product BIGINT, money INT);",
    "CREATE TABLE many (id BIGINT PRIMARY KEY, n BIGINT, name VARCHAR(100));
     INSERT INTO many SELECT i, 0, repeat('x', 50) FROM generate_series(1, {}) i;",
    "UPDATE stock SET count = count - 1 WHERE id = $1",
    "UPDATE account SET money = money - 5 WHERE id = $1",
    "INSERT INTO orders (account, product, money) VALUES ($1, $2, 5)"
);
