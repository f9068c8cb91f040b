use std::future::Future;

use seata::global_transactional;

#[global_transactional]
async fn tail(count: u32) -> Result<String, seata::Error> {
    let doubled = count * 2;
    Ok(doubled)
}

#[global_transactional]
async fn early(count: u32) -> Result<String, seata::Error> {
    if count == 0 {
        return Ok(count);
    }
    Ok(String::new())
}

#[global_transactional]
fn future(count: u32) -> impl Future<Output = Result<String, seata::Error>> {
    let doubled = count * 2;
    async move { Ok(doubled) }
}

#[global_transactional]
async fn no_tail() -> Result<(), seata::Error> {
    tail(1).await?;
}

fn main() {}
