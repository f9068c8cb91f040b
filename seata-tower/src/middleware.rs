//! The client side for reqwest.

use http::Extensions;
use reqwest_middleware::{
    Middleware, Next, Result,
    reqwest::{Request, Response},
};

use crate::{carrier::Http, propagate::name_transaction};

/// Names the caller's transaction in the requests of a `reqwest_middleware` client, as
/// [`PropagateTransaction`](crate::PropagateTransaction) does it for tower clients.
///
/// The context is read on the task that awaits the request. Attached before a retry middleware or
/// after it, each attempt has the header once.
///
/// ```
/// use reqwest_middleware::{ClientBuilder, reqwest};
/// use seata_tower::PropagateTransactionMiddleware;
///
/// let client = ClientBuilder::new(reqwest::Client::new()).with(PropagateTransactionMiddleware).build();
/// # drop(client);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateTransactionMiddleware;

#[async_trait::async_trait]
impl Middleware for PropagateTransactionMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        name_transaction::<Http>(request.headers_mut());
        next.run(request, extensions).await
    }
}
