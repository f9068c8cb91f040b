//! The server side: running a handler in the transaction that its request names.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use seata_context::{Client, Scoped, Snapshot};
use seata_protocol::Xid;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument as _, Span, instrument::Instrumented};

use crate::{InboundXid, ScopedBody, carrier::Carrier, inbound};

/// Adds [`Join`] to a service. See [`JoinTransactionLayer`](crate::JoinTransactionLayer).
pub struct JoinLayer<C> {
    client: Client,
    inbound: InboundXid,
    carrier: PhantomData<fn() -> C>,
}

/// A service whose handlers run in the transaction that the request names. See
/// [`JoinTransaction`](crate::JoinTransaction).
pub struct Join<S, C> {
    inner: S,
    client: Client,
    inbound: InboundXid,
    carrier: PhantomData<fn() -> C>,
}

impl<C: Carrier> JoinLayer<C> {
    /// A layer whose handlers begin transactions with this client, and join those of its
    /// coordinator.
    pub fn new(client: impl Into<Client>) -> Self {
        Self { client: client.into(), inbound: InboundXid::default(), carrier: PhantomData }
    }

    /// What to do with the transaction that a request names. Default: [`InboundXid::Join`].
    #[must_use]
    pub fn inbound(mut self, inbound: InboundXid) -> Self {
        self.inbound = inbound;
        self
    }
}

impl<S, C> Layer<S> for JoinLayer<C> {
    type Service = Join<S, C>;

    fn layer(&self, inner: S) -> Join<S, C> {
        Join { inner, client: self.client.clone(), inbound: self.inbound, carrier: PhantomData }
    }
}

impl<S, C, RequestBody, ResponseBody> Service<Request<RequestBody>> for Join<S, C>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    C: Carrier,
{
    type Response = Response<ScopedBody<ResponseBody>>;
    type Error = S::Error;
    type Future = JoinFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> JoinFuture<S::Future> {
        let admitted = inbound::admit(request.headers_mut(), self.inbound, &self.client, C::BRANCH_TYPE);
        match admitted {
            Ok(start) => JoinFuture::handler(start, || self.inner.call(request)),
            Err(refusal) => {
                tracing::warn!(application = self.client.application_id(), %refusal, "request refused");
                JoinFuture::refused(C::refuse(&refusal))
            }
        }
    }
}

pin_project! {
    /// The answer of [`Join`]: the handler's, in its scope, or a refusal.
    #[must_use = "futures do nothing unless polled"]
    pub struct JoinFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<F> {
        Handler { #[pin] future: Instrumented<Scoped<F>>, joined: Option<Xid> },
        Refused { response: Option<Response<Bytes>> },
    }
}

impl<F> JoinFuture<F> {
    fn handler(start: Snapshot, call: impl FnOnce() -> F) -> Self {
        let joined = start.xid().cloned();
        let span = span(joined.as_ref());
        let scope = start.into_scope();
        let future = span.in_scope(|| scope.enter(call));
        Self { answer: Answer::Handler { future: scope.scope(future).instrument(span), joined } }
    }

    fn refused(response: Response<Bytes>) -> Self {
        Self { answer: Answer::Refused { response: Some(response) } }
    }
}

impl<F, B, E> Future for JoinFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ScopedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProjection::Handler { mut future, joined } => {
                let result = ready!(future.as_mut().poll(cx));
                let scope = future.inner().scope();
                warn_of_another(joined.as_ref(), scope.xid());
                Poll::Ready(result.map(|response| {
                    response.map(|body| ScopedBody::new(scope.clone(), future.span().clone(), body))
                }))
            }
            AnswerProjection::Refused { response } => {
                let response = response.take().expect("a future is not polled after it is ready");
                Poll::Ready(Ok(response.map(ScopedBody::refusal)))
            }
        }
    }
}

/// Under the names that Java's log context and ours give it.
fn span(xid: Option<&Xid>) -> Span {
    match xid {
        Some(xid) => tracing::info_span!("joined_transaction", %xid, "X-TX-XID" = %xid),
        None => Span::none(),
    }
}

/// It ends with the scope, but whoever bound it may have meant it to last.
fn warn_of_another(joined: Option<&Xid>, left: Option<Xid>) {
    if let Some(left) = left.filter(|left| Some(left) != joined) {
        tracing::warn!(
            left = %left,
            joined = joined.map(tracing::field::display),
            "the handler left another transaction bound than the one it was called in"
        );
    }
}

impl<C> Clone for JoinLayer<C> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), inbound: self.inbound, carrier: PhantomData }
    }
}

impl<S: Clone, C> Clone for Join<S, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            client: self.client.clone(),
            inbound: self.inbound,
            carrier: PhantomData,
        }
    }
}

impl<C> fmt::Debug for JoinLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinLayer").field("inbound", &self.inbound).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Join<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("inner", &self.inner)
            .field("inbound", &self.inbound)
            .finish_non_exhaustive()
    }
}
