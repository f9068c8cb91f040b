//! The transaction context of a call, for what is done after an await.

use futures_util::future::Either;
use seata_context::{Scope, Scoped, Snapshot};

/// The context in which a call was made. `None`: where no scope exists, which is told apart from an empty scope.
#[derive(Clone)]
pub(crate) struct Context(Option<Snapshot>);

impl Context {
    pub(crate) fn now() -> Self {
        Self(Scope::current().map(|scope| scope.snapshot()))
    }

    /// A future or stream that runs in it.
    pub(crate) fn scope<F>(self, inner: F) -> Either<Scoped<F>, F> {
        match self.0 {
            Some(snapshot) => Either::Left(snapshot.scope(inner)),
            None => Either::Right(inner),
        }
    }
}
