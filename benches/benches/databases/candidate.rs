//! Who makes purchases.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use seata::Seata;
use seata_benches::{
    load::{self, Turn},
    turn,
};

use crate::shop::{self, Shop};

/// How long a turn is.
pub(crate) fn length() -> Duration {
    turn(Duration::from_millis(500))
}

/// One of those that are compared.
pub(crate) trait Candidate {
    /// What the table calls it.
    fn name(&self) -> &str;

    /// Purchases of so many workers for a while, and their phase two.
    fn turn(&mut self, concurrency: usize) -> LocalBoxFuture<'_, Turn>;

    /// What is done before anything is measured: caches, connections, compilers.
    fn warm_up(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            self.turn(64).await;
        })
    }
}

/// Purchases with sqlx, in global transactions of the application if there is one.
pub(crate) struct Ours<S> {
    pub(crate) name: &'static str,
    pub(crate) shop: S,
    pub(crate) application: Option<Seata>,
}

impl<S: Shop> Candidate for Ours<S> {
    fn name(&self) -> &str {
        self.name
    }

    fn turn(&mut self, concurrency: usize) -> LocalBoxFuture<'_, Turn> {
        let (shop, client) = (self.shop.clone(), self.application.as_ref().map(Seata::client).cloned());
        let work = move |worker, _| {
            let (shop, client) = (shop.clone(), client.clone());
            async move {
                let purchase = shop.purchase(worker);
                match client {
                    Some(client) => client.scope(shop::global(purchase)).await.expect("a purchase"),
                    None => purchase.await.expect("a purchase"),
                }
            }
        };
        let drain = async {
            while self.shop.has_undo_logs().await.expect("a database") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        Box::pin(load::run(concurrency, length(), work, drain))
    }
}
