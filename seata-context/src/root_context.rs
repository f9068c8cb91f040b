//! The context of the running task, under the name that Seata users know.

use seata_protocol::{BranchType, Xid};

use crate::{
    LockRetry, LockStrategy, Presence, Scope, Scoped, Snapshot, TransactionHook,
    hooks::HookList,
    scope::{Binding, State},
};

/// The context of the running task: the XID of its global transaction, its branch type, its
/// global-lock flag.
///
/// Everything here reads or changes the innermost [`Scope`] that the caller runs in. Macros and
/// server layers open a scope each, so that the arms of a `join!` or `select!` never see each other's
/// binding; [`RootContext::scope`] opens one by hand. A task that is spawned starts outside any scope,
/// unless the future is wrapped by
/// [`in_current_transaction`](crate::InCurrentTransaction::in_current_transaction).
///
/// ```
/// use seata_context::RootContext;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let seen = RootContext::scope(async {
///     RootContext::bind("10.0.0.7:8091:42".parse().unwrap()).unwrap();
///     let audit = RootContext::suspended(async { RootContext::xid() }).await;
///     (audit, RootContext::xid().map(|xid| xid.to_string()))
/// })
/// .await;
/// assert_eq!(seen, (None, Some("10.0.0.7:8091:42".to_owned())));
/// # }
/// ```
#[derive(Debug)]
pub struct RootContext(());

/// The caller runs in no [`Scope`], so there is nothing to bind to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no transaction scope here: wrap the future in `RootContext::scope(..)` or `seata.scope(..)`, \
     or carry the caller's over with `.in_current_transaction()` or `seata::spawn`"
)]
pub struct NoScope;

/// No global transaction is bound in the caller's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no global transaction is bound here: call this inside `#[global_transactional]` or after `begin`")]
pub struct NotInTransaction;

impl RootContext {
    /// The global transaction that the caller runs in.
    pub fn xid() -> Option<Xid> {
        Scope::with_current(|state| state.transaction.xid.clone()).flatten()
    }

    /// Whether the caller runs in a global transaction.
    pub fn in_global_transaction() -> bool {
        Scope::with_current(|state| state.transaction.xid.is_some()).unwrap_or(false)
    }

    /// Whether the caller runs in a global transaction, and if not, why not.
    pub fn presence() -> Presence {
        Scope::with_current(|state| state.presence()).unwrap_or(Presence::NoScope)
    }

    /// Joins the innermost scope to a global transaction. Returns the one it was in before. Branch
    /// type, lock settings and hooks of that one do not carry over.
    ///
    /// # Errors
    /// [`NoScope`] outside any scope.
    pub fn bind(xid: Xid) -> Result<Option<Xid>, NoScope> {
        Scope::with_current(|state| {
            std::mem::replace(&mut state.transaction, Binding { xid: Some(xid), ..Binding::default() })
        })
        // Out here, so that hooks are not dropped while the scope is locked.
        .map(|replaced| replaced.xid)
        .ok_or(NoScope)
    }

    /// Takes the innermost scope out of its global transaction, and returns that one's XID. Nothing
    /// happens outside any scope.
    pub fn unbind() -> Option<Xid> {
        Scope::with_current(|state| state.transaction.xid.take()).flatten()
    }

    /// Leaves the global transaction until the returned value is resumed or dropped: XID, branch
    /// type, lock flag and hooks.
    ///
    /// It acts on the innermost scope, and so on everything that runs concurrently in that scope.
    /// [`suspended`](Self::suspended) acts on one future alone and cannot be forgotten; prefer it.
    pub fn suspend() -> Suspended {
        let scope = Scope::current();
        let taken = scope.as_ref().map(|scope| {
            let mut state = scope.state();
            let binding = std::mem::take(&mut state.transaction);
            (binding, std::mem::replace(&mut state.suspended, true))
        });
        Suspended { resume: scope.zip(taken) }
    }

    /// Runs a future outside the caller's global transaction.
    pub fn suspended<F>(inner: F) -> Scoped<F> {
        Self::capture().suspended().scope(inner)
    }

    /// Runs a future in a scope of its own that starts without a transaction. The client is the
    /// caller's.
    pub fn scope<F>(inner: F) -> Scoped<F> {
        let client = Scope::with_current(|state| state.client.clone()).flatten();
        Snapshot(State { client, ..State::default() }).scope(inner)
    }

    /// A copy of the innermost scope's content, to be carried elsewhere; empty outside any scope.
    pub fn capture() -> Snapshot {
        Snapshot(Scope::with_current(|state| state.clone()).unwrap_or_default())
    }

    /// How branches registered here take part: what was bound, or AT. `None` outside a global
    /// transaction, as in Java, even when a type is bound.
    pub fn branch_type() -> Option<BranchType> {
        Scope::with_current(|state| {
            let binding = &state.transaction;
            binding.xid.as_ref().map(|_| binding.branch_type.unwrap_or(BranchType::At))
        })
        .flatten()
    }

    /// Sets how branches registered in the innermost scope take part; returns what was set before.
    ///
    /// # Errors
    /// [`NoScope`] outside any scope.
    pub fn bind_branch_type(branch_type: BranchType) -> Result<Option<BranchType>, NoScope> {
        Scope::with_current(|state| state.transaction.branch_type.replace(branch_type)).ok_or(NoScope)
    }

    /// Removes and returns the branch type that was bound.
    pub fn unbind_branch_type() -> Option<BranchType> {
        Scope::with_current(|state| state.transaction.branch_type.take()).flatten()
    }

    /// The lock settings of the enclosing `#[global_lock]`; `None` when there is none.
    pub fn global_lock() -> Option<LockRetry> {
        Scope::with_current(|state| state.transaction.global_lock).flatten()
    }

    /// What the enclosing transaction says about waiting for row locks.
    pub fn lock_retry() -> LockRetry {
        Scope::with_current(|state| state.transaction.lock_retry).unwrap_or_default()
    }

    /// Whether row locks are looked at before they are taken.
    pub fn lock_strategy() -> LockStrategy {
        Scope::with_current(|state| state.transaction.lock_strategy).unwrap_or_default()
    }

    /// Calls `hook` from now on at each step of the transaction that the caller runs in. It has an
    /// effect in the process that began the transaction.
    ///
    /// # Errors
    /// [`NotInTransaction`] when no transaction is bound.
    pub fn register_hook(hook: impl TransactionHook) -> Result<(), NotInTransaction> {
        let hooks = Scope::with_current(|state| {
            let binding = &mut state.transaction;
            binding.xid.as_ref()?;
            Some(binding.hooks.get_or_insert_with(HookList::shared).clone())
        });
        hooks.flatten().ok_or(NotInTransaction)?.push(hook);
        Ok(())
    }
}

/// A suspended transaction. It is resumed, in the scope that it was taken from, by
/// [`resume`](Self::resume) or when this is dropped.
#[must_use = "the transaction is resumed as soon as this is dropped"]
#[derive(Debug)]
pub struct Suspended {
    resume: Option<(Scope, (Binding, bool))>,
}

impl Suspended {
    /// Goes back into the transaction. Whatever was bound in its scope meanwhile is replaced.
    pub fn resume(self) {}

    /// The transaction that is suspended.
    pub fn xid(&self) -> Option<&Xid> {
        self.resume.as_ref().and_then(|(_, (binding, _))| binding.xid.as_ref())
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        if let Some((scope, (binding, suspended))) = self.resume.take() {
            let mut state = scope.state();
            let replaced = std::mem::replace(&mut state.transaction, binding);
            state.suspended = suspended;
            drop(state);
            if let Some(left) = replaced.xid {
                tracing::warn!(xid = %left, "still bound when the suspended transaction was resumed; unbound now");
            }
        }
    }
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Binding").field(&self.xid).finish()
    }
}
