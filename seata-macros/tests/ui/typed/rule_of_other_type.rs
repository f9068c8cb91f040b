use seata::global_transactional;

fn is_fatal(_: &seata::Error) -> bool {
    true
}

#[global_transactional(no_rollback_for = Some(_))]
async fn other_type() -> Result<(), seata::Error> {
    Ok(())
}

#[global_transactional(no_rollback_for = |error| is_fatal(error) as u8)]
async fn no_bool() -> Result<(), seata::Error> {
    Ok(())
}

fn main() {}
