#[global_transactional(name = "opaque")]
fn opaque(count: u32) -> impl Future<Output = Result<u32, ShopError>> + Send {
    async move { take(count).await }
}

#[global_transactional(name = "prepared")]
fn prepared(count: u32) -> impl Future<Output = Result<u32, ShopError>> + Send {
    let half = count / 2;
    async move { take(half).await }
}

#[global_transactional(name = "boxed")]
fn boxed(count: u32) -> Pin<Box<dyn Future<Output = Result<u32, ShopError>> + Send>> {
    if count == 0 {
        return Box::pin(ready(Err(ShopError::Nothing)));
    }
    take(count).boxed()
}

#[global_transactional(name = "alias")]
fn alias<'a>(shop: &'a Shop) -> BoxFuture<'a, Result<u32, ShopError>> {
    shop.take()
}
