//! The business service: the caller, which begins the global transactions.

use std::future::Future;

use seata::{RootContext, Seata, at::AtOpenError, global_transactional};

use crate::{
    ShopError,
    database::{Database, Databases},
    order::{OrderClient, proto::NewOrder},
    storage::StorageClient,
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS audit (id {number}, text VARCHAR(200) NOT NULL);
";

/// What somebody wants to buy.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// Who pays.
    pub buyer: &'static str,
    /// What.
    pub product: &'static str,
    /// How many.
    pub pieces: u32,
    /// The price of one.
    pub price: i64,
}

/// What the service has: its database, and ways to the services it calls.
#[derive(Clone, Debug)]
pub struct Business {
    seata: Seata,
    database: Database,
    storage: StorageClient,
    orders: OrderClient,
}

impl Business {
    /// Opens the service's database.
    ///
    /// # Errors
    /// When it cannot be opened, or cannot take part in global transactions.
    pub async fn open(
        databases: &Databases,
        seata: &Seata,
        storage: StorageClient,
        orders: OrderClient,
    ) -> Result<Self, AtOpenError> {
        let database = databases.open("business", SCHEMA, seata).await?;
        Ok(Self { seata: seata.clone(), database, storage, orders })
    }

    /// What begins this service's transactions.
    pub fn seata(&self) -> &Seata {
        &self.seata
    }

    /// Buys, and returns the number of the order. `Ok` commits in three databases; an error, a panic, a
    /// drop and the time-out roll all of them back.
    ///
    /// # Errors
    /// What a service refused, or what failed.
    #[global_transactional(name = "purchase", timeout = "30s", client = self.seata)]
    pub async fn purchase(&self, purchase: &Purchase) -> Result<i64, ShopError> {
        self.storage.deduct(purchase.product, purchase.pieces).await?;
        self.orders.create(purchase.order()).await
    }

    /// Sets the pieces aside, and buys them once the buyer has confirmed.
    ///
    /// # Errors
    /// As for [`purchase`](Self::purchase).
    #[global_transactional(name = "confirmed-purchase", timeout = "30s", client = self.seata)]
    pub async fn purchase_once(
        &self,
        purchase: &Purchase,
        confirmed: impl Future<Output = ()>,
    ) -> Result<i64, ShopError> {
        self.storage.deduct(purchase.product, purchase.pieces).await?;
        confirmed.await;
        self.orders.create(purchase.order()).await
    }

    /// Buys, and notes the attempt outside the transaction, so that the note stays whatever becomes of it.
    ///
    /// # Errors
    /// As for [`purchase`](Self::purchase).
    #[global_transactional(name = "audited-purchase", timeout = "30s", client = self.seata)]
    pub async fn audited_purchase(&self, purchase: &Purchase) -> Result<i64, ShopError> {
        RootContext::suspended(self.note(purchase)).await?;
        self.purchase(purchase).await // joins
    }

    async fn note(&self, purchase: &Purchase) -> Result<(), ShopError> {
        let Purchase { buyer, product, pieces, .. } = purchase;
        self.database.statements().note(&format!("{buyer} wants {pieces} of {product}")).await
    }
}

impl Purchase {
    fn order(&self) -> NewOrder {
        NewOrder {
            buyer: self.buyer.to_owned(),
            product: self.product.to_owned(),
            pieces: self.pieces,
            amount: i64::from(self.pieces) * self.price,
        }
    }
}
