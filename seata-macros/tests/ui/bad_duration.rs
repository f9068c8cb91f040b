use seata::{global_lock, global_transactional};

#[global_transactional(timeout = "30")]
async fn no_unit() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(timeout = "half a minute")]
async fn words() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(timeout = 0)]
async fn zero() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(timeout = "25000h")]
async fn too_long() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(timeout = 1.5)]
async fn fraction() -> Result<(), seata::Error> {
    Ok(())
}

#[global_lock(lock_retry_interval = -1)]
async fn negative() {}

fn main() {}
