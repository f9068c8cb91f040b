//! The body of a response whose handler ran in a scope.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seata_context::Scope;
use tracing::Span;

pin_project! {
    /// A response body that runs in the scope of its handler: a streamed body sees the handler's
    /// transaction on every poll, and when it is dropped.
    ///
    /// Where the request was refused, it is the text of the refusal. That is why the data of `B` must
    /// be something that [`Bytes`] can become.
    pub struct ScopedBody<B> {
        #[pin]
        source: Source<B>,
    }
}

pin_project! {
    #[project = SourceProjection]
    enum Source<B> {
        Handler { scope: Scope, span: Span, #[pin] body: Option<B> },
        Refusal { text: Option<Bytes> },
    }

    impl<B> PinnedDrop for Source<B> {
        fn drop(this: Pin<&mut Self>) {
            if let SourceProjection::Handler { scope, span, mut body } = this.project()
                && body.is_some()
            {
                let _entered = span.enter();
                scope.enter(|| body.set(None));
            }
        }
    }
}

impl<B> ScopedBody<B> {
    pub(crate) fn new(scope: Scope, span: Span, body: B) -> Self {
        Self { source: Source::Handler { scope, span, body: Some(body) } }
    }

    pub(crate) fn refusal(text: Bytes) -> Self {
        Self { source: Source::Refusal { text: Some(text).filter(|text| !text.is_empty()) } }
    }
}

/// An empty body, which other layers answer with when they do not ask the handler.
impl<B> Default for ScopedBody<B> {
    fn default() -> Self {
        Self::refusal(Bytes::new())
    }
}

impl<B: fmt::Debug> fmt::Debug for ScopedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Handler { body, .. } => f.debug_tuple("ScopedBody").field(body).finish(),
            Source::Refusal { text } => f.debug_tuple("ScopedBody").field(text).finish(),
        }
    }
}

impl<B> Body for ScopedBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().source.project() {
            SourceProjection::Handler { scope, span, body } => {
                let Some(body) = body.as_pin_mut() else { return Poll::Ready(None) };
                let _entered = span.enter();
                scope.enter(|| body.poll_frame(cx))
            }
            SourceProjection::Refusal { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(text.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Handler { body, .. } => body.as_ref().is_none_or(Body::is_end_stream),
            Source::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Handler { body, .. } => body.as_ref().map_or_else(SizeHint::default, Body::size_hint),
            Source::Refusal { text } => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}
