use seata::{global_lock, global_transactional};

#[global_transactional(tiemout = "30s")]
async fn typo() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(noRollbackFor = _)]
async fn java() -> Result<(), seata::Error> {
    Ok(())
}

#[global_lock(name = "read")]
async fn other() {}

#[global_transactional("purchase")]
async fn no_key() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(name)]
async fn no_value() -> Result<(), seata::Error> {
    Ok(())
}

fn main() {}
