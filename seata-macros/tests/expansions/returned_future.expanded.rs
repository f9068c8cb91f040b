fn opaque(count: u32) -> impl Future<Output = Result<u32, ShopError>> + Send {
    async move {
        let options = ::seata::__private::TransactionOptions::new("opaque");
        let body = async move {
            if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
                Result<u32, ShopError>,
            > {
                #[allow(unreachable_code)] return output;
            }
            take(count).await
        };
        ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
            .await
    }
}
fn prepared(count: u32) -> impl Future<Output = Result<u32, ShopError>> + Send {
    let options = ::seata::__private::TransactionOptions::new("prepared");
    #[allow(clippy::redundant_closure_call)]
    let body = (move || -> _ {
        let half = count / 2;
        async move {
            if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
                Result<u32, ShopError>,
            > {
                #[allow(unreachable_code)] return output;
            }
            take(half).await
        }
    })();
    ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
}
fn boxed(count: u32) -> Pin<Box<dyn Future<Output = Result<u32, ShopError>> + Send>> {
    let options = ::seata::__private::TransactionOptions::new("boxed");
    #[allow(clippy::redundant_closure_call)]
    let body = (move || -> Pin<Box<dyn Future<Output = Result<u32, ShopError>> + Send>> {
        if count == 0 {
            return Box::pin(ready(Err(ShopError::Nothing)));
        }
        take(count).boxed()
    })();
    ::std::boxed::Box::pin(
        ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body),
    )
}
fn alias<'a>(shop: &'a Shop) -> BoxFuture<'a, Result<u32, ShopError>> {
    let options = ::seata::__private::TransactionOptions::new("alias");
    #[allow(clippy::redundant_closure_call)]
    let body = (move || -> BoxFuture<'a, Result<u32, ShopError>> { shop.take() })();
    ::std::boxed::Box::pin(
        ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body),
    )
}
