//! On MySQL and MariaDB.

use async_trait::async_trait;
use seata::at::AtMySqlPool;

use crate::{ShopError, order::proto::NewOrder, statements::Statements};

#[async_trait]
impl Statements for AtMySqlPool {
    async fn deduct(&self, product: &str, pieces: u32) -> Result<bool, ShopError> {
        let updated = sqlx::query("UPDATE stock SET pieces = pieces - ? WHERE product = ? AND pieces >= ?")
            .bind(pieces)
            .bind(product)
            .bind(pieces)
            .execute(self)
            .await?;
        Ok(updated.rows_affected() > 0)
    }

    async fn insert_order(&self, order: &NewOrder) -> Result<i64, ShopError> {
        let insert = "INSERT INTO orders (buyer, product, pieces, amount) VALUES (?, ?, ?, ?)";
        let inserted = sqlx::query(insert)
            .bind(&order.buyer)
            .bind(&order.product)
            .bind(order.pieces)
            .bind(order.amount)
            .execute(self)
            .await?;
        Ok(inserted.last_insert_id().cast_signed())
    }

    async fn debit(&self, owner: &str, amount: i64) -> Result<bool, ShopError> {
        let updated = sqlx::query("UPDATE account SET money = money - ? WHERE owner = ? AND money >= ?")
            .bind(amount)
            .bind(owner)
            .bind(amount)
            .execute(self)
            .await?;
        Ok(updated.rows_affected() > 0)
    }

    async fn note(&self, text: &str) -> Result<(), ShopError> {
        sqlx::query("INSERT INTO audit (text) VALUES (?)").bind(text).execute(self).await?;
        Ok(())
    }
}
