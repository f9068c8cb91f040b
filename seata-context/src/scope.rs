//! Where the context of a task lives, and how a future carries it.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use seata_protocol::{BranchType, Xid};

use crate::{Client, LockRetry, LockStrategy, hooks::HookList};

thread_local! {
    // The scope that is entered at this moment on this thread. It is set around every poll and every
    // drop of a `Scoped`, exactly as tokio's `task_local!` does it. It is a cell of our own because
    // tokio's panics when it is entered while a thread is torn down, which a drop must never do.
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// The live context of one task, or of one part of it: which global transaction it is in, and how.
///
/// Clones are handles to the same scope. What is bound or unbound in a scope is seen by everything
/// that runs in it, and by nothing else.
#[derive(Clone)]
pub struct Scope(Arc<Mutex<State>>);

/// What a new scope starts with: a copy of another scope's content, or one put together by hand.
#[derive(Clone, Default)]
pub struct Snapshot(pub(crate) State);

/// Whether a task is in a global transaction, and if not, why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// There is no scope at all: a task that was spawned without
    /// [`in_current_transaction`](crate::InCurrentTransaction::in_current_transaction), or a thread.
    NoScope,
    /// There is a scope, and no transaction in it.
    Idle,
    /// The transaction was suspended on purpose.
    Suspended,
    /// The task is in this transaction.
    Bound(Xid),
}

#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) transaction: Binding,
    pub(crate) suspended: bool,
    pub(crate) client: Option<Client>,
}

impl State {
    pub(crate) fn presence(&self) -> Presence {
        match &self.transaction.xid {
            Some(xid) => Presence::Bound(xid.clone()),
            None if self.suspended => Presence::Suspended,
            None => Presence::Idle,
        }
    }
}

/// All that belongs to a transaction, and so is suspended with it.
#[derive(Clone, Default)]
pub(crate) struct Binding {
    pub(crate) xid: Option<Xid>,
    pub(crate) branch_type: Option<BranchType>,
    pub(crate) global_lock: Option<LockRetry>,
    pub(crate) lock_retry: LockRetry,
    pub(crate) lock_strategy: LockStrategy,
    pub(crate) hooks: Option<Arc<HookList>>,
}

impl Scope {
    /// A new scope with this content. It takes effect when it is entered.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(Mutex::new(snapshot.0)))
    }

    /// The innermost scope that the caller runs in.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Runs a closure in this scope. The scope that was entered before is back when it returns or
    /// panics.
    pub fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(self.clone());
        run()
    }

    /// A future or stream that runs in this scope, wherever it is polled.
    pub fn scope<F>(self, inner: F) -> Scoped<F> {
        Scoped { scope: self, inner: Some(inner) }
    }

    /// A copy of the content.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state().clone())
    }

    /// The transaction that is bound in this scope.
    pub fn xid(&self) -> Option<Xid> {
        self.state().transaction.xid.clone()
    }

    /// Whether there is a transaction in this scope, and if not, why not.
    pub fn presence(&self) -> Presence {
        self.state().presence()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No code of users runs under this lock, not even a drop, and a half-made change is not possible.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the current scope without counting a reference.
    pub(crate) fn with_current<R>(read: impl FnOnce(&mut State) -> R) -> Option<R> {
        CURRENT
            .try_with(|current| current.borrow().as_ref().map(|scope| read(&mut scope.state())))
            .ok()
            .flatten()
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.presence()).finish()
    }
}

impl Snapshot {
    /// No transaction, no client.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The same, in this transaction. Hooks, branch type and lock settings of another transaction
    /// are dropped.
    #[must_use]
    pub fn with_xid(mut self, xid: Xid) -> Self {
        self.0.suspended = false;
        self.0.transaction = Binding { xid: Some(xid), ..Binding::default() };
        self
    }

    /// The same, with branches of this type.
    #[must_use]
    pub fn with_branch_type(mut self, branch_type: BranchType) -> Self {
        self.0.transaction.branch_type = Some(branch_type);
        self
    }

    /// The same, with the client that transactions begun in the scope use.
    #[must_use]
    pub fn with_client(mut self, client: Client) -> Self {
        self.0.client = Some(client);
        self
    }

    /// The same, outside any transaction, on purpose.
    #[must_use]
    pub fn suspended(mut self) -> Self {
        self.0.transaction = Binding::default();
        self.0.suspended = true;
        self
    }

    /// The transaction.
    pub fn xid(&self) -> Option<&Xid> {
        self.0.transaction.xid.as_ref()
    }

    /// A new scope that starts with this.
    pub fn into_scope(self) -> Scope {
        Scope::new(self)
    }

    /// A future or stream in a new scope that starts with this.
    pub fn scope<F>(self, inner: F) -> Scoped<F> {
        self.into_scope().scope(inner)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("xid", &self.0.transaction.xid)
            .field("branch_type", &self.0.transaction.branch_type)
            .field("suspended", &self.0.suspended)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A future or stream that runs in a [`Scope`]: the scope is entered on each poll, and when it is
    /// dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        scope: Scope,
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                let _entered = Entered::new(this.scope.clone());
                this.inner.set(None);
            }
        }
    }
}

impl<F> Scoped<F> {
    /// The scope it runs in.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl<F: fmt::Debug> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("scope", &self.scope).field("inner", &self.inner).finish()
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let inner = this.inner.as_pin_mut().expect("the inner future is taken only by drop");
        let _entered = Entered::new(this.scope.clone());
        inner.poll(cx)
    }
}

impl<S: Stream> Stream for Scoped<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let inner = this.inner.as_pin_mut().expect("the inner stream is taken only by drop");
        let _entered = Entered::new(this.scope.clone());
        inner.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

/// Puts the previous scope back when it is dropped, also by a panic.
struct Entered {
    previous: Option<Scope>,
}

impl Entered {
    fn new(scope: Scope) -> Self {
        let previous = CURRENT.try_with(|current| current.replace(Some(scope))).ok().flatten();
        Self { previous }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // The scope that is left is dropped out here, when the cell is no longer borrowed.
        let _left = CURRENT.try_with(|current| current.replace(previous));
    }
}
