//! What can be said about a global transaction before it begins.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use crate::{Client, TransactionHook};

/// How one annotated function takes part in global transactions.
///
/// ```
/// use std::time::Duration;
/// use seata_context::{Propagation, TransactionOptions};
///
/// let options = TransactionOptions::new("purchase")
///     .timeout(Duration::from_secs(30))
///     .propagation(Propagation::RequiresNew);
/// ```
#[derive(Clone)]
#[must_use]
pub struct TransactionOptions {
    pub(crate) name: Cow<'static, str>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) propagation: Propagation,
    pub(crate) lock_retry: LockRetry,
    pub(crate) lock_strategy: Option<LockStrategy>,
    pub(crate) client: Option<Client>,
    pub(crate) hooks: Vec<Arc<dyn TransactionHook>>,
}

impl TransactionOptions {
    /// Options for a transaction of this name, which operators see; the rest as by default.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            timeout: None,
            propagation: Propagation::default(),
            lock_retry: LockRetry::default(),
            lock_strategy: None,
            client: None,
            hooks: Vec::new(),
        }
    }

    /// How long the transaction may stay undecided. Default: the client's (60 s unless set).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What to do with a transaction that the caller is in already. Default: join it.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// How to wait for row locks of others. Default: as the data source is set.
    pub fn lock_retry(mut self, lock_retry: LockRetry) -> Self {
        self.lock_retry = lock_retry;
        self
    }

    /// Whether row locks are looked at before they are taken. Default: as in the transaction that is joined,
    /// else they are.
    pub fn lock_strategy(mut self, lock_strategy: LockStrategy) -> Self {
        self.lock_strategy = Some(lock_strategy);
        self
    }

    /// The client to begin with. Default: the scope's, else the installed one.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Calls this hook at each step of the transaction, if one is begun.
    pub fn hook(mut self, hook: impl TransactionHook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }
}

impl fmt::Debug for TransactionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionOptions")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("propagation", &self.propagation)
            .field("lock_retry", &self.lock_retry)
            .field("lock_strategy", &self.lock_strategy)
            .field("client", &self.client)
            .field("hooks", &self.hooks.len())
            .finish()
    }
}

/// What a function does with a global transaction that its caller is in, and what without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// Join the caller's; begin one if there is none.
    #[default]
    Required,
    /// Always begin one; the caller's is suspended until it has ended.
    RequiresNew,
    /// Run outside any; the caller's is suspended meanwhile.
    NotSupported,
    /// Join the caller's; run outside any if there is none.
    Supports,
    /// Run outside any; being called in one is an error.
    Never,
    /// Join the caller's; being called without one is an error.
    Mandatory,
}

/// How to wait when another global transaction holds a row. What is `None` is left to the data source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockRetry {
    /// The pause before the next try.
    pub interval: Option<Duration>,
    /// How many pauses are made before giving up; 0 gives up at the first conflict.
    pub times: Option<u32>,
}

/// Whether row locks are looked at before they are taken (Java: `LockStrategyMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockStrategy {
    /// Look first: a conflict is found without writing anything.
    #[default]
    Pessimistic,
    /// Take at once, and look only when that fails: cheaper where conflicts are rare.
    Optimistic,
}

/// What an error of the annotated function leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnError {
    /// Roll back, and return the error.
    Rollback,
    /// Commit all the same, and return the error.
    Commit,
}

/// The name of a transaction that was given none: module path and function, `shop.orders.create`.
///
/// Without colons: the Java client's balancing by XID takes a name with a colon for an address.
pub fn default_name(module: &str, function: &str) -> Cow<'static, str> {
    format!("{}.{function}", module.replace("::", ".")).into()
}
