use std::future::Future;
use std::pin::Pin;

use seata::global_transactional;

#[global_transactional]
async fn nothing() {}

#[global_transactional]
async fn number() -> u32 {
    1
}

#[global_transactional]
fn boxed() -> Pin<Box<dyn Future<Output = Option<u32>>>> {
    Box::pin(async move { None })
}

fn main() {}
