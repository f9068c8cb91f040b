//! What the services do in their databases, with sqlx: ordinary statements. In a global transaction each is a branch:
//! imaged, logged and locked.

use seata::at::AtSqlitePool;

use crate::order::proto::NewOrder;

/// Takes pieces out of the stock. `false`: there are not as many.
pub(crate) async fn deduct(database: &AtSqlitePool, product: &str, pieces: u32) -> sqlx::Result<bool> {
    let updated = sqlx::query("UPDATE stock SET pieces = pieces - ?1 WHERE product = ?2 AND pieces >= ?1")
        .bind(pieces)
        .bind(product)
        .execute(database)
        .await?;
    Ok(updated.rows_affected() > 0)
}

/// Writes an order down, and gives its number.
pub(crate) async fn insert_order(database: &AtSqlitePool, order: &NewOrder) -> sqlx::Result<i64> {
    sqlx::query_scalar("INSERT INTO orders (buyer, product, pieces, amount) VALUES (?, ?, ?, ?) RETURNING id")
        .bind(&order.buyer)
        .bind(&order.product)
        .bind(order.pieces)
        .bind(order.amount)
        .fetch_one(database)
        .await
}

/// Takes money out of an account. `false`: there is not as much.
pub(crate) async fn debit(database: &AtSqlitePool, owner: &str, amount: i64) -> sqlx::Result<bool> {
    let updated = sqlx::query("UPDATE account SET money = money - ?1 WHERE owner = ?2 AND money >= ?1")
        .bind(amount)
        .bind(owner)
        .execute(database)
        .await?;
    Ok(updated.rows_affected() > 0)
}

/// Notes an attempt to buy.
pub(crate) async fn note(database: &AtSqlitePool, text: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO audit (text) VALUES (?)").bind(text).execute(database).await?;
    Ok(())
}
