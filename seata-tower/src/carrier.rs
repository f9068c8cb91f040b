//! What differs between the protocols that carry a transaction, and the layers over any of them.
//!
//! Users of HTTP and gRPC need nothing from here: the aliases at the root of this crate and of
//! `seata-tonic` name their protocol. Another one whose requests are [`http::Request`]s implements
//! [`Carrier`].

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode, header};

use crate::refusal::Refusal;
pub use crate::{
    join::{Join, JoinFuture, JoinLayer},
    propagate::{Propagate, PropagateLayer},
};

/// The header that carries the XID. Java writes `TX_XID`, which is the same name on HTTP.
pub const XID: HeaderName = HeaderName::from_static("tx_xid");

/// The header that carries the branch type, where a protocol has one.
pub const BRANCH_TYPE: HeaderName = HeaderName::from_static("tx_branch_type");

/// A protocol over [`http::Request`] that carries a transaction in its headers.
pub trait Carrier: 'static {
    /// Whether the branch type travels beside the XID.
    const BRANCH_TYPE: bool;

    /// The answer to a request that is refused, in the protocol's own form. An empty body ends the
    /// response with its headers.
    fn refuse(refusal: &Refusal) -> Response<Bytes>;
}

/// Plain HTTP: the XID alone travels, as in Java, and a refusal is a status with a line of text.
#[derive(Clone, Copy, Debug)]
pub enum Http {}

impl Carrier for Http {
    const BRANCH_TYPE: bool = false;

    fn refuse(refusal: &Refusal) -> Response<Bytes> {
        let status = match refusal {
            Refusal::Untrusted => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = Response::new(Bytes::from(format!("{refusal}\n")));
        *response.status_mut() = status;
        let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    }
}
