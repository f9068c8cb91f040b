#[global_transactional(
    name = "purchase",
    timeout = "30s",
    propagation = REQUIRES_NEW,
    rollback_for = ShopError::SoldOut { left } if *left == 0,
    no_rollback_for = |error| error.is_harmless(),
    lock_retry_interval = 10,
    lock_retry_times = 30,
    lock_strategy = Optimistic,
    client = shop.seata
)]
async fn purchase(shop: &Shop) -> Result<(), ShopError> {
    shop.buy().await
}
