use std::future::Future;
use std::pin::Pin;

use seata::global_transactional;

struct ShopError;

#[global_transactional]
async fn purchase() -> Result<(), ShopError> {
    Err(ShopError)
}

#[global_transactional]
fn boxed() -> Pin<Box<dyn Future<Output = Result<(), ShopError>> + Send>> {
    Box::pin(async move { Ok(()) })
}

fn main() {}
