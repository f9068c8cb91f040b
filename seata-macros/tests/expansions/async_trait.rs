impl Purchase for Shop {
    #[global_transactional(name = "purchase")]
    fn purchase<'life0, 'async_trait>(
        &'life0 self,
        count: u32,
    ) -> ::core::pin::Pin<
        Box<dyn ::core::future::Future<Output = Result<u32, ShopError>> + ::core::marker::Send + 'async_trait>,
    >
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let __self = self;
            let count = count;
            let __ret: Result<u32, ShopError> = { __self.take(count).await };
            #[allow(unreachable_code)]
            __ret
        })
    }
}
