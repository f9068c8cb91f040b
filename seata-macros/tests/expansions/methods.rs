impl<'s, S: Storage> Shop<'s, S> {
    #[seata::global_transactional(client = self.seata)]
    pub async fn purchase<'a, T, const N: usize>(
        &'a mut self,
        mut items: [T; N],
        log: impl Log,
    ) -> Result<impl Iterator<Item = &'a T>, ShopError>
    where
        T: Item,
    {
        self.take(&mut items, log).await
    }

    #[seata::global_transactional]
    async unsafe fn raw(self: Arc<Self>, _: u32) -> shop::Result {
        unsafe { self.write().await }
    }
}
