/// Buys.
#[global_transactional]
#[must_use]
pub(crate) async fn purchase(count: u32) -> Result<Receipt, ShopError> {
    #![allow(clippy::unwrap_used)]
    if count == 0 {
        return Err(ShopError::Nothing);
    }
    pay(count).await?;
    Ok(Receipt)
}
