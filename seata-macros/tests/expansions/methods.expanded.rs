impl<'s, S: Storage> Shop<'s, S> {
    pub async fn purchase<'a, T, const N: usize>(
        &'a mut self,
        mut items: [T; N],
        log: impl Log,
    ) -> Result<impl Iterator<Item = &'a T>, ShopError>
    where
        T: Item,
    {
        let options = ::seata::__private::TransactionOptions::new(
                ::seata::__private::default_name(::core::module_path!(), "purchase"),
            )
            .client(::seata::__private::IntoClient::into_client(&(self.seata)));
        let body = async move {
            if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
                Result<_, ShopError>,
            > {
                #[allow(unreachable_code)] return output;
            }
            self.take(&mut items, log).await
        };
        ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
            .await
    }
    async unsafe fn raw(self: Arc<Self>, _: u32) -> shop::Result {
        let options = ::seata::__private::TransactionOptions::new(
            ::seata::__private::default_name(::core::module_path!(), "raw"),
        );
        let body = async move {
            if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
                shop::Result,
            > {
                #[allow(unreachable_code)] return output;
            }
            unsafe { self.write().await }
        };
        ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
            .await
    }
}
