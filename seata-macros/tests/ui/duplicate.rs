use seata::{global_lock, global_transactional};

#[global_transactional(name = "a", timeout = "1s", name = "b")]
async fn key() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional]
#[global_transactional(name = "again")]
async fn attribute() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional]
#[global_lock(lock_retry_times = many)]
async fn lock_below() -> Result<(), seata::Error> {
    Ok(())
}

fn main() {}
