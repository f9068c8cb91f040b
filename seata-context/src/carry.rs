//! Taking the context along to other tasks and threads.

use std::future::Future;

use tokio::task::JoinHandle;

use crate::{RootContext, Scoped};

/// Carries the caller's transaction along with a future or a stream.
///
/// ```
/// use seata_context::{InCurrentTransaction as _, RootContext};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # RootContext::scope(async {
/// # RootContext::bind("10.0.0.7:8091:42".parse().unwrap()).unwrap();
/// let inside = tokio::spawn(async { RootContext::xid() }.in_current_transaction());
/// let outside = tokio::spawn(async { RootContext::xid() });
/// assert!(inside.await.unwrap().is_some() && outside.await.unwrap().is_none());
/// # }).await
/// # }
/// ```
pub trait InCurrentTransaction: Sized {
    /// Runs it in a scope of its own that starts with what the caller's holds now, when this is
    /// called. What either side binds or suspends later is not seen by the other.
    fn in_current_transaction(self) -> Scoped<Self> {
        RootContext::capture().scope(self)
    }
}

impl<F> InCurrentTransaction for F {}

/// [`tokio::spawn`] of a future that stays in the caller's transaction.
///
/// The transaction does not wait for the task: its work must be done (join it) before the annotated
/// function returns, or its branches are refused.
///
/// # Panics
/// As `tokio::spawn`, outside a tokio runtime.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.in_current_transaction())
}

/// [`tokio::task::spawn_blocking`] of a closure that stays in the caller's transaction.
///
/// # Panics
/// As `tokio::task::spawn_blocking`, outside a tokio runtime.
pub fn spawn_blocking<F, R>(run: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let scope = RootContext::capture().into_scope();
    tokio::task::spawn_blocking(move || scope.enter(run))
}
