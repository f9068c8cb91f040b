/// Buys.
#[must_use]
pub(crate) async fn purchase(count: u32) -> Result<Receipt, ShopError> {
    #![allow(clippy::unwrap_used)]
    let options = ::seata::__private::TransactionOptions::new(
        ::seata::__private::default_name(::core::module_path!(), "purchase"),
    );
    let body = async move {
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
            Result<Receipt, ShopError>,
        > {
            #[allow(unreachable_code)] return output;
        }
        if count == 0 {
            return Err(ShopError::Nothing);
        }
        pay(count).await?;
        Ok(Receipt)
    };
    ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
        .await
}
