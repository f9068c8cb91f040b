impl Purchase for Shop {
    fn purchase<'life0, 'async_trait>(
        &'life0 self,
        count: u32,
    ) -> ::core::pin::Pin<
        Box<
            dyn ::core::future::Future<
                Output = Result<u32, ShopError>,
            > + ::core::marker::Send + 'async_trait,
        >,
    >
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let options = ::seata::__private::TransactionOptions::new("purchase");
            let body = async move {
                if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
                    Result<u32, ShopError>,
                > {
                    #[allow(unreachable_code)] return output;
                }
                let __self = self;
                let count = count;
                let __ret: Result<u32, ShopError> = { __self.take(count).await };
                #[allow(unreachable_code)] __ret
            };
            ::seata::__private::run(
                    options,
                    |_| ::seata::__private::OnError::Rollback,
                    body,
                )
                .await
        })
    }
}
