#[global_transactional(name = "lock below")]
#[global_lock(lock_retry_times = 3)]
async fn lock_below() -> Result<(), ShopError> {
    Ok(())
}

#[global_lock]
#[global_transactional(name = "lock above")]
async fn lock_above() -> Result<(), ShopError> {
    Ok(())
}
