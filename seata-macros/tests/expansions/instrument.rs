#[global_transactional(name = "instrument below")]
#[tracing::instrument]
async fn instrument_below() -> Result<(), ShopError> {
    Ok(())
}

#[tracing::instrument]
#[global_transactional(name = "instrument above")]
async fn instrument_above() -> Result<(), ShopError> {
    Ok(())
}
