async fn read(id: u64) -> u32 {
    let options = ::seata::__private::LockRetry {
        interval: ::core::option::Option::Some(
            ::core::time::Duration::from_millis(20u64),
        ),
        times: ::core::option::Option::Some(3u32),
    };
    let body = async move {
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
            u32,
        > {
            #[allow(unreachable_code)] return output;
        }
        query(id).await
    };
    ::seata::__private::run_with_global_lock(options, body).await
}
async fn nothing() {
    let options = ::seata::__private::LockRetry {
        interval: ::core::option::Option::None,
        times: ::core::option::Option::None,
    };
    let body = async move {
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<
            (),
        > {
            #[allow(unreachable_code)] return output;
        }
    };
    ::seata::__private::run_with_global_lock(options, body).await
}
fn boxed() -> BoxFuture<'static, u32> {
    let options = ::seata::__private::LockRetry {
        interval: ::core::option::Option::None,
        times: ::core::option::Option::None,
    };
    #[allow(clippy::redundant_closure_call)]
    let body = (move || -> BoxFuture<'static, u32> { Box::pin(query(1)) })();
    ::std::boxed::Box::pin(::seata::__private::run_with_global_lock(options, body))
}
