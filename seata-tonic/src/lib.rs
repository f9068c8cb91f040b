//! Tower layers that carry the transaction context over gRPC.

#![forbid(unsafe_code)]

use bytes::Bytes;
use http::Response;
use seata_tower::carrier::{self, Carrier};
use tonic::Status;

pub use seata_tower::{InboundXid, Refusal, ScopedBody};

/// The server layer: runs each handler in the transaction that its request names.
pub type JoinTransactionLayer = carrier::JoinLayer<Grpc>;

/// What [`JoinTransactionLayer`] makes of a service.
pub type JoinTransaction<S> = carrier::Join<S, Grpc>;

/// The client layer: names the caller's transaction in each request.
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
