async fn purchase(shop: &Shop) -> Result<(), ShopError> {
    let options = ::seata::__private::TransactionOptions::new("purchase")
        .timeout(::core::time::Duration::from_millis(30000u64))
        .propagation(::seata::__private::Propagation::RequiresNew)
        .lock_retry(::seata::__private::LockRetry {
            interval: ::core::option::Option::Some(
                ::core::time::Duration::from_millis(10u64),
            ),
            times: ::core::option::Option::Some(30u32),
        })
        .lock_strategy(::seata::__private::LockStrategy::Optimistic)
        .client(::seata::__private::IntoClient::into_client(&(shop.seata)));
    let body = async move {
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
            Result<(), ShopError>,
        > {
            #[allow(unreachable_code)] return output;
        }
        shop.buy().await
    };
    ::seata::__private::run(
            options,
            |error| {
                #[allow(unreachable_patterns)]
                match error {
                    ShopError::SoldOut { left } if *left == 0 => {
                        ::seata::__private::OnError::Rollback
                    }
                    error if ::core::option::Option::is_some_and(
                        ::core::option::Option::Some(error),
                        |error| error.is_harmless(),
                    ) => ::seata::__private::OnError::Commit,
                    _ => ::seata::__private::OnError::Rollback,
                }
            },
            body,
        )
        .await
}
