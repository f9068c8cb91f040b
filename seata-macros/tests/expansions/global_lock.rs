#[global_lock(lock_retry_interval = "20ms", lock_retry_times = 3)]
async fn read(id: u64) -> u32 {
    query(id).await
}

#[global_lock]
async fn nothing() {}

#[global_lock]
fn boxed() -> BoxFuture<'static, u32> {
    Box::pin(query(1))
}
