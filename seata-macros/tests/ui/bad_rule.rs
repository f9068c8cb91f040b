use seata::global_transactional;

#[global_transactional(rollback_for = is_fatal)]
async fn function() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(rollback_for = "ShopError")]
async fn name() -> Result<(), seata::Error> {
    Ok(())
}

fn main() {}
