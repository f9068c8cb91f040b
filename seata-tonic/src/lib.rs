//! Tower layers that carry the transaction context over gRPC: one runs a handler in the transaction
//! that its call names, the other names the caller's transaction in each call.
//!
//! ```
//! use seata_context::Client;
//! use seata_tonic::{JoinTransactionLayer, PropagateTransactionLayer};
//! use tonic::transport::{Channel, Server, server::TcpIncoming};
//! use tower::ServiceBuilder;
//!
//! # mod coordinator {
//! #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../seata-tower/tests/it/coordinator.rs"));
//! # }
//! # #[allow(dead_code)] mod service {
//! #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/service.rs"));
//! # }
//! # use service::{Storage, StorageClient, Text};
//! /// `client` is what `&seata` converts to, `Storage` any tonic service.
//! async fn serve(client: Client, incoming: TcpIncoming, storage: Storage) -> Result<(), tonic::transport::Error> {
//!     Server::builder()
//!         .layer(JoinTransactionLayer::new(client))
//!         .add_service(storage)
//!         .serve_with_incoming(incoming)
//!         .await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
//! # let address = incoming.local_addr()?;
//! # let storage = Storage { dropped: tokio::sync::mpsc::unbounded_channel().0 };
//! # tokio::spawn(serve(coordinator::client(), incoming, storage));
//! # let seen = seata_context::Snapshot::empty().with_xid("tc:0:7".parse()?).scope(async {
//! // In the calling service, inside `#[global_transactional]`:
//! let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
//! let channel = ServiceBuilder::new().layer(PropagateTransactionLayer::new()).service(channel);
//! let mut storage = StorageClient::new(channel);
//! # Ok::<_, Box<dyn std::error::Error>>(
//! storage.unary("/test.Storage/Seen", tonic::Request::new(Text::new("deduct"))).await?
//! # )}).await?;
//! # assert_eq!(seen, "tc:0:7 AT");
//! # Ok(())
//! # }
//! ```
//!
//! The metadata keys are `tx_xid` and `tx_branch_type`, as Java and Go services read and write them.
//! The layers are those of `seata-tower`; what differs between the protocols is [`Grpc`].

#![forbid(unsafe_code)]

use bytes::Bytes;
use http::Response;
use seata_tower::carrier::{self, Carrier};
use tonic::Status;

pub use seata_tower::{InboundXid, Refusal, ScopedBody};

/// The server layer, for `Server::builder().layer(..)`: runs each
/// handler in the transaction that its call names.
///
/// The handler, and the messages that it streams, run in a scope of their own. The scope has the
/// layer's client, which `#[global_transactional]` inside the handler begins with, also when the call
/// names no transaction. It ends with the call, however that ends. Of the branch types on the wire
/// TCC alone is taken, as in Java.
///
/// | `tx_xid` | the handler |
/// |---|---|
/// | absent or blank | runs outside any transaction |
/// | one XID | runs in that transaction |
/// | not an XID, not UTF-8, several that differ | does not run: `INVALID_ARGUMENT`, the [`Refusal`] as message |
/// | an XID of a coordinator that the client does not reach | does not run: `FAILED_PRECONDITION` |
///
/// At an edge with [`InboundXid::Refuse`] any XID is `PERMISSION_DENIED`. A tonic interceptor could
/// not do this layer's work: it returns before the handler runs.
pub type JoinTransactionLayer = carrier::JoinLayer<Grpc>;

/// What [`JoinTransactionLayer`] makes of a service.
pub type JoinTransaction<S> = carrier::Join<S, Grpc>;

/// The client layer: names the caller's transaction, and the type of its branches, in each call.
///
/// Wrap it around the `Channel`: what stands inside a channel runs on a task of the channel's own,
/// outside the caller's transaction.
///
/// | the caller | `tx_xid` and `tx_branch_type` of the call |
/// |---|---|
/// | is in a transaction | name it, once, in place of whatever was there |
/// | has suspended it | absent, removed if they were there |
/// | is in none | as the caller made them |
pub type PropagateTransactionLayer = carrier::PropagateLayer<Grpc>;

/// What [`PropagateTransactionLayer`] makes of a channel.
pub type PropagateTransaction<S> = carrier::Propagate<S, Grpc>;

/// gRPC: the branch type travels beside the XID, as in Java, and a refusal is a [`Status`].
#[derive(Clone, Copy, Debug)]
pub enum Grpc {}

impl Carrier for Grpc {
    const BRANCH_TYPE: bool = true;

    fn refuse(refusal: &Refusal) -> Response<Bytes> {
        let text = refusal.to_string();
        let status = match refusal {
            Refusal::UnknownCoordinator { .. } => Status::failed_precondition(text),
            Refusal::Untrusted => Status::permission_denied(text),
            _ => Status::invalid_argument(text),
        };
        status.into_http()
    }
}
