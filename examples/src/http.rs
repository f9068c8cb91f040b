//! A client for JSON over HTTP whose requests carry the caller's global transaction.

use std::{net::SocketAddr, time::Duration};

use ::http::{Request, header::CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use seata::tower::{PropagateTransaction, PropagateTransactionLayer};
use serde::Serialize;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::ShopError;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// A connection to one service.
#[derive(Clone, Debug)]
pub struct JsonClient {
    service: &'static str,
    address: SocketAddr,
    http: PropagateTransaction<Client<HttpConnector, Full<Bytes>>>,
}

impl JsonClient {
    /// A client of the service with this name at this address.
    pub fn new(service: &'static str, address: SocketAddr) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        let http = ServiceBuilder::new().layer(PropagateTransactionLayer::new()).service(http);
        Self { service, address, http }
    }

    /// Sends `body` to `path` and waits for the answer.
    ///
    /// # Errors
    /// The service's refusal, or what became of the call.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), ShopError> {
        match tokio::time::timeout(CALL_LIMIT, self.exchange(path, body)).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(self.failed(elapsed)),
        }
    }

    async fn exchange(&self, path: &str, body: &impl Serialize) -> Result<(), ShopError> {
        let body = serde_json::to_vec(body).map_err(|error| self.failed(error))?;
        let request = Request::post(format!("http://{}{path}", self.address))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| self.failed(error))?;
        let response = self.http.clone().oneshot(request).await.map_err(|error| self.failed(error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| self.failed(error))?.to_bytes();
        if status.is_success() {
            return Ok(());
        }
        Err(ShopError::from_http(self.service, status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn failed(&self, reason: impl ToString) -> ShopError {
        ShopError::service(self.service, reason)
    }
}
