//! Tower layers that carry the transaction context over HTTP.

#![forbid(unsafe_code)]

pub mod carrier;

mod body;
mod inbound;
mod join;
mod propagate;
mod refusal;
#[cfg(feature = "reqwest-middleware")]
mod middleware;

pub use body::ScopedBody;
pub use inbound::InboundXid;
pub use refusal::Refusal;
#[cfg(feature = "reqwest-middleware")]
pub use middleware::PropagateTransactionMiddleware;

/// The server layer: runs each handler in the transaction that its request names.
pub type JoinTransactionLayer = carrier::JoinLayer<carrier::Http>;

/// What [`JoinTransactionLayer`] makes of a service.
pub type JoinTransaction<S> = carrier::Join<S, carrier::Http>;

/// The client layer: names the caller's transaction in each request.
pub type PropagateTransactionLayer = carrier::PropagateLayer<carrier::Http>;

/// What [`PropagateTransactionLayer`] makes of a client.
pub type PropagateTransaction<S> = carrier::Propagate<S, carrier::Http>;
