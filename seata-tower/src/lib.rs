//! Tower layers that carry the transaction context over HTTP: one runs a handler in the transaction
//! that its request names, the other names the caller's transaction in each request.
//!
//! # A server
//! ```
//! use axum::{Router, routing::get};
//! use seata_context::{Client, RootContext};
//! use seata_tower::JoinTransactionLayer;
//!
//! /// `client` is what `&seata` converts to.
//! fn storage(client: Client) -> Router {
//!     Router::new().route("/deduct", get(deduct)).layer(JoinTransactionLayer::new(client))
//! }
//!
//! async fn deduct() -> String {
//!     // AT data sources and `#[global_transactional]` called from here take part by themselves.
//!     format!("in {:?}", RootContext::xid())
//! }
//! # mod coordinator {
//! #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/coordinator.rs"));
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # use tower::ServiceExt as _;
//! # use http_body_util::BodyExt as _;
//! # let request = http::Request::get("/deduct").header("TX_XID", "tc:0:7");
//! # let request = request.body(axum::body::Body::empty()).unwrap();
//! # let response = storage(coordinator::client()).oneshot(request).await.unwrap();
//! # assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "in Some(Xid(tc:0:7))");
//! # }
//! ```
//!
//! # A client
//! ```
//! use http::Request;
//! use http_body_util::{BodyExt as _, Empty};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use seata_tower::PropagateTransactionLayer;
//! use tower::{Service as _, ServiceBuilder, ServiceExt as _};
//!
//! # mod coordinator {
//! #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/coordinator.rs"));
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let http = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
//! let mut http = ServiceBuilder::new().layer(PropagateTransactionLayer::new()).service(http);
//!
//! # let app = axum::Router::new().route("/deduct", axum::routing::get(|headers: http::HeaderMap| async move {
//! #     headers["tx_xid"].to_str().unwrap().to_owned()
//! # })).layer(seata_tower::JoinTransactionLayer::new(coordinator::client()));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(async move { axum::serve(listener, app).await });
//! # let body = seata_context::Snapshot::empty().with_xid("tc:0:7".parse()?).scope(async {
//! // Inside `#[global_transactional]`:
//! let request = Request::get(format!("http://{address}/deduct")).body(Empty::new())?;
//! let response = http.ready().await?.call(request).await?;
//! # Ok::<_, Box<dyn std::error::Error>>(response.into_body().collect().await?.to_bytes())
//! # }).await?;
//! # assert_eq!(body, "tc:0:7");
//! # Ok(())
//! # }
//! ```
//!
//! # On the wire
//! The header is `TX_XID`, as Java and Go services read and write it; HTTP does not tell upper case
//! from lower. Some proxies drop header names with an underscore unless told otherwise (nginx:
//! `underscores_in_headers on`). gRPC has layers of its own in `seata-tonic`.
//!
//! # Features
//! - `reqwest-middleware`: `PropagateTransactionMiddleware`, for clients made of reqwest.

#![forbid(unsafe_code)]

pub mod carrier;

mod body;
mod inbound;
mod join;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod propagate;
mod refusal;

pub use body::ScopedBody;
pub use inbound::InboundXid;
#[cfg(feature = "reqwest-middleware")]
pub use middleware::PropagateTransactionMiddleware;
pub use refusal::Refusal;

/// The server layer: runs each handler in the transaction that its request names.
///
/// The handler, and a body that it streams, run in a scope of their own. The scope has the layer's
/// client, which `#[global_transactional]` inside the handler begins with, also when the request names
/// no transaction. It ends with the request, however that ends: nothing stays bound after an answer, a
/// panic or a caller that went away. A request body is passed on untouched.
///
/// | `TX_XID` | the handler |
/// |---|---|
/// | absent or blank | runs outside any transaction |
/// | one XID | runs in that transaction |
/// | not an XID, not UTF-8, several that differ | does not run: status 400, the [`Refusal`] as text |
/// | an XID of a coordinator that the client does not reach | does not run: status 400 |
///
/// [`inbound`](carrier::JoinLayer::inbound) changes this for an edge whose callers are not trusted.
/// Anybody who can send the header can take part in a transaction whose XID he knows or guesses.
///
/// Each joined request has a `joined_transaction` span with the fields `xid` and `X-TX-XID`, the name
/// in Java's log context. A handler that leaves another transaction bound than the one it was called
/// in is warned about; the binding ends with the scope.
///
/// ```
/// use seata_tower::{InboundXid, JoinTransactionLayer};
/// # fn edge(client: seata_context::Client) -> JoinTransactionLayer {
/// JoinTransactionLayer::new(client).inbound(InboundXid::Strip)
/// # }
/// ```
pub type JoinTransactionLayer = carrier::JoinLayer<carrier::Http>;

/// What [`JoinTransactionLayer`] makes of a service.
pub type JoinTransaction<S> = carrier::Join<S, carrier::Http>;

/// The client layer: names the caller's transaction in each request.
///
/// The context is read when `call` is called, on the caller's task, so a buffer or a connection task
/// behind this layer does no harm. One in front of it does: wrap it around the whole client.
///
/// | the caller | `TX_XID` of the request |
/// |---|---|
/// | is in a transaction | names it, once, in place of whatever was there |
/// | has suspended it | absent, removed if it was there |
/// | is in none | as the caller made it |
pub type PropagateTransactionLayer = carrier::PropagateLayer<carrier::Http>;

/// What [`PropagateTransactionLayer`] makes of a client; `PropagateTransaction::new(client)` does the
/// same without a layer.
pub type PropagateTransaction<S> = carrier::Propagate<S, carrier::Http>;
