#[tracing::instrument]
async fn instrument_below() -> Result<(), ShopError> {
    let options = ::seata::__private::TransactionOptions::new("instrument below");
    let body = async move {
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
            Result<(), ShopError>,
        > {
            #[allow(unreachable_code)] return output;
        }
        Ok(())
    };
    ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
        .await
}
#[tracing::instrument]
async fn instrument_above() -> Result<(), ShopError> {
    let options = ::seata::__private::TransactionOptions::new("instrument above");
    let body = async move {
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
            Result<(), ShopError>,
        > {
            #[allow(unreachable_code)] return output;
        }
        Ok(())
    };
    ::seata::__private::run(options, |_| ::seata::__private::OnError::Rollback, body)
        .await
}
