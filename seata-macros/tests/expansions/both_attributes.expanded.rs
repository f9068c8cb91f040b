async fn lock_below() -> Result<(), ShopError> {
    let options = ::seata::__private::TransactionOptions::new("lock below");
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
#[global_transactional(name = "lock above")]
async fn lock_above() -> Result<(), ShopError> {
    Ok(())
}
