//! What users run at each step of a global transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use seata_protocol::Xid;

/// Called at each step of a global transaction, by the process that began it.
///
/// Calls are synchronous and stand in the transaction's way: hand longer work to a task. A panic in
/// a hook is logged and changes nothing.
///
/// A transaction that is dropped, or panics, is rolled back in the background without further calls,
/// `after_completion` among them: what has to be freed in any case is freed by the drop of a value.
#[expect(unused_variables, reason = "the defaults do nothing; the names are documentation")]
pub trait TransactionHook: Send + Sync + 'static {
    /// Before the coordinator is asked for a new transaction of this name.
    fn before_begin(&self, name: &str) {}
    /// The transaction is open.
    fn after_begin(&self, xid: &Xid) {}
    /// Before the coordinator is asked to commit.
    fn before_commit(&self, xid: &Xid) {}
    /// The decision to commit is made.
    fn after_commit(&self, xid: &Xid) {}
    /// Before the coordinator is asked to roll back.
    fn before_rollback(&self, xid: &Xid) {}
    /// The decision to roll back is made.
    fn after_rollback(&self, xid: &Xid) {}
    /// The annotated function is about to return, whatever became of it; no XID when begin failed.
    fn after_completion(&self, xid: Option<&Xid>) {}
}

/// The hooks of one transaction. They can be added to while it runs, also by those who join it.
#[derive(Default)]
pub(crate) struct HookList(Mutex<Vec<Arc<dyn TransactionHook>>>);

impl HookList {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn of(hooks: impl IntoIterator<Item = Arc<dyn TransactionHook>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(hooks.into_iter().collect())))
    }

    pub(crate) fn push(&self, hook: impl TransactionHook) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(hook));
    }

    /// Calls every hook. The list is copied first, so that a hook may register another.
    pub(crate) fn each(&self, step: &'static str, call: impl Fn(&dyn TransactionHook)) {
        let hooks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for hook in hooks {
            if catch_unwind(AssertUnwindSafe(|| call(&*hook))).is_err() {
                tracing::error!(step, "a transaction hook panicked; the transaction goes on");
            }
        }
    }
}
