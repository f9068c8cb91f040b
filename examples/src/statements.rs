//! What the services do in their databases. Each way of writing it is a file.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{ShopError, order::proto::NewOrder};

/// In a global transaction each of them is a branch: imaged, logged and locked.
#[async_trait]
pub trait Statements: Debug + Send + Sync {
    /// Takes pieces out of the stock. `false`: there are not as many.
    async fn deduct(&self, product: &str, pieces: u32) -> Result<bool, ShopError>;

    /// Writes an order down, and gives its number.
    async fn insert_order(&self, order: &NewOrder) -> Result<i64, ShopError>;

    /// Takes money out of an account. `false`: there is not as much.
    async fn debit(&self, owner: &str, amount: i64) -> Result<bool, ShopError>;

    /// Notes an attempt to buy.
    async fn note(&self, text: &str) -> Result<(), ShopError>;
}
