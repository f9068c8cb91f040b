// The service `test.Storage`, written by hand as `tonic-prost-build` would generate it. Plain comments,
// as the examples of the documentation include this file.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, stream};
use seata_context::{Presence, RootContext};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, body::Body, client::GrpcService, server::NamedService};
use tonic_prost::ProstCodec;
use tower::Service;

/// The one message of the service, in both directions.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

impl Text {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// What the caller's scope says of transaction and branch type.
pub(crate) fn seen() -> Text {
    Text::new(match (RootContext::presence(), RootContext::branch_type()) {
        (Presence::Bound(xid), Some(branch_type)) => format!("{xid} {branch_type}"),
        (other, _) => format!("{other:?}"),
    })
}

/// The server's side. `dropped` hears what a dropped handler saw.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) dropped: mpsc::UnboundedSender<String>,
}

impl NamedService for Storage {
    const NAME: &'static str = "test.Storage";
}

impl Service<http::Request<Body>> for Storage {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let dropped = self.dropped.clone();
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<Text, Text>::default());
        match request.uri().path() {
            "/test.Storage/Seen" => {
                let unary = tower::service_fn(|_: Request<Text>| async {
                    tokio::task::yield_now().await;
                    Ok::<_, Status>(Response::new(seen()))
                });
                async move { Ok(grpc.unary(unary, request).await) }.boxed()
            }
            "/test.Storage/Stream" => {
                let streaming = tower::service_fn(|_: Request<Text>| async {
                    let three = stream::unfold(0, |sent| async move {
                        tokio::task::yield_now().await;
                        (sent < 3).then(|| (Ok::<_, Status>(seen()), sent + 1))
                    });
                    Ok::<_, Status>(Response::new(three))
                });
                async move { Ok(grpc.server_streaming(streaming, request).await) }.boxed()
            }
            "/test.Storage/Panic" => {
                let unary = tower::service_fn(|_: Request<Text>| async {
                    tokio::task::yield_now().await;
                    panicking()
                });
                async move { Ok(grpc.unary(unary, request).await) }.boxed()
            }
            "/test.Storage/Stuck" => {
                let unary = tower::service_fn(move |_: Request<Text>| {
                    let guard = DropGuard(dropped.clone());
                    async move {
                        let _guard = guard;
                        std::future::pending::<Result<Response<Text>, Status>>().await
                    }
                });
                async move { Ok(grpc.unary(unary, request).await) }.boxed()
            }
            _ => async { Ok(Status::unimplemented("").into_http()) }.boxed(),
        }
    }
}

fn panicking() -> Result<Response<Text>, Status> {
    panic!("in {}", seen().text)
}

struct DropGuard(mpsc::UnboundedSender<String>);

impl Drop for DropGuard {
    fn drop(&mut self) {
        // Nobody may be listening.
        let _ = self.0.send(seen().text);
    }
}

/// The client's side.
#[derive(Clone)]
pub(crate) struct StorageClient<T>(tonic::client::Grpc<T>);

impl<T> StorageClient<T>
where
    T: GrpcService<Body>,
    T::ResponseBody: Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) fn new(service: T) -> Self {
        Self(tonic::client::Grpc::new(service))
    }

    /// A call with one answer.
    pub(crate) async fn unary(
        &mut self,
        method: &'static str,
        request: Request<Text>,
    ) -> Result<String, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static(method);
        let answer = self.0.unary(request, path, ProstCodec::<Text, Text>::default()).await?;
        Ok(answer.into_inner().text)
    }

    /// A call with a stream of answers.
    pub(crate) async fn streaming(&mut self, request: Request<Text>) -> Result<Vec<String>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static("/test.Storage/Stream");
        let codec = ProstCodec::<Text, Text>::default();
        let mut answers = self.0.server_streaming(request, path, codec).await?.into_inner();
        let mut seen = Vec::new();
        while let Some(answer) = answers.message().await? {
            seen.push(answer.text);
        }
        Ok(seen)
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.into().to_string()))
    }
}
