//! The client side: naming the caller's transaction in its requests.

use std::{
    fmt,
    marker::PhantomData,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request};
use seata_context::{Presence, RootContext};
use tower_layer::Layer;
use tower_service::Service;

use crate::carrier::{BRANCH_TYPE, Carrier, XID};

/// Adds [`Propagate`] to a client. See
/// [`PropagateTransactionLayer`](crate::PropagateTransactionLayer).
pub struct PropagateLayer<C> {
    carrier: PhantomData<fn() -> C>,
}

/// A client whose requests name the caller's transaction. See
/// [`PropagateTransaction`](crate::PropagateTransaction).
pub struct Propagate<S, C> {
    inner: S,
    carrier: PhantomData<fn() -> C>,
}

impl<C: Carrier> PropagateLayer<C> {
    /// The layer; it has no settings.
    pub fn new() -> Self {
        Self { carrier: PhantomData }
    }
}

impl<S, C: Carrier> Propagate<S, C> {
    /// The client inside, with each request naming the caller's transaction.
    pub fn new(inner: S) -> Self {
        Self { inner, carrier: PhantomData }
    }
}

impl<S, C> Layer<S> for PropagateLayer<C> {
    type Service = Propagate<S, C>;

    fn layer(&self, inner: S) -> Propagate<S, C> {
        Propagate { inner, carrier: PhantomData }
    }
}

impl<S, C, B> Service<Request<B>> for Propagate<S, C>
where
    S: Service<Request<B>>,
    C: Carrier,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        // Here and not in a future: what the inner service returns may run on another task.
        name_transaction::<C>(request.headers_mut());
        self.inner.call(request)
    }
}

/// Writes the transaction of the running task into the headers of its request.
pub(crate) fn name_transaction<C: Carrier>(headers: &mut HeaderMap) {
    match RootContext::presence() {
        Presence::Bound(xid) => {
            let value = HeaderValue::from_str(xid.as_str()).expect("an XID is visible ASCII");
            // Not appended: the request may be the second try of one that has the header.
            headers.insert(XID, value);
            if C::BRANCH_TYPE {
                let name = RootContext::branch_type().and_then(|branch_type| branch_type.name());
                headers.insert(BRANCH_TYPE, HeaderValue::from_static(name.unwrap_or("AT")));
            }
        }
        Presence::Suspended => {
            headers.remove(XID);
            headers.remove(BRANCH_TYPE);
        }
        Presence::Idle | Presence::NoScope => {}
    }
}

impl<C> Clone for PropagateLayer<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for PropagateLayer<C> {}

impl<C: Carrier> Default for PropagateLayer<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone, C> Clone for Propagate<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), carrier: PhantomData }
    }
}

impl<C> fmt::Debug for PropagateLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropagateLayer").finish()
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Propagate<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Propagate").field("inner", &self.inner).finish()
    }
}
