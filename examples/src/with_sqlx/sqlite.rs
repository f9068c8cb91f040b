//! On SQLite.

use async_trait::async_trait;
use seata::at::AtSqlitePool;

use crate::{ShopError, order::proto::NewOrder, statements::Statements};

#[async_trait]
impl Statements for AtSqlitePool {
    async fn deduct(&self, product: &str, pieces: u32) -> Result<bool, ShopError> {
        let updated =
            sqlx::query("UPDATE stock SET pieces = pieces - ?1 WHERE product = ?2 AND pieces >= ?1")
                .bind(pieces)
                .bind(product)
                .execute(self)
                .await?;
        Ok(updated.rows_affected() > 0)
    }

    async fn insert_order(&self, order: &NewOrder) -> Result<i64, ShopError> {
        let insert = "INSERT INTO orders (buyer, product, pieces, amount) VALUES (?, ?, ?, ?) RETURNING id";
        let id = sqlx::query_scalar(insert)
            .bind(&order.buyer)
            .bind(&order.product)
            .bind(order.pieces)
            .bind(order.amount)
            .fetch_one(self)
            .await?;
        Ok(id)
    }

    async fn debit(&self, owner: &str, amount: i64) -> Result<bool, ShopError> {
        let updated = sqlx::query("UPDATE account SET money = money - ?1 WHERE owner = ?2 AND money >= ?1")
            .bind(amount)
            .bind(owner)
            .execute(self)
            .await?;
        Ok(updated.rows_affected() > 0)
    }

    async fn note(&self, text: &str) -> Result<(), ShopError> {
        sqlx::query("INSERT INTO audit (text) VALUES (?)").bind(text).execute(self).await?;
        Ok(())
    }
}
