use seata::global_transactional;

#[global_transactional(name = purchase)]
async fn name() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(name = " ")]
async fn blank() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(propagation = REQUIRE_NEW)]
async fn propagation() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(lock_strategy = "eager")]
async fn strategy() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(lock_retry_times = -1)]
async fn times() -> Result<(), seata::Error> {
    Ok(())
}

fn main() {}
