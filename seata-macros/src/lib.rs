//! The attribute macros [`macro@global_transactional`] and [`macro@global_lock`].
//!
//! Both are a veneer over a function that can be called by hand, `seata::run` and
//! `seata::run_with_global_lock`: they wrap the body of a function in a future and hand it over. When to
//! begin, join, commit or roll back is decided there. Use them through the `seata` crate, which the
//! expansion refers to.
//!
//! | stage | file |
//! |---|---|
//! | arguments, checked | `args.rs` |
//! | the function, and where its future is | `function.rs` |
//! | the call of the runtime | `expand.rs` |

mod args;
mod expand;
#[cfg(test)]
mod expansions;
mod function;

use proc_macro::TokenStream;

/// Runs a function inside a global transaction: `Ok` commits; `Err`, a panic, a drop and the time-out roll back.
///
/// ```
/// use seata::global_transactional;
///
/// #[derive(Debug, thiserror::Error)]
/// enum ShopError {
///     #[error("only {left} left")]
///     SoldOut { left: u32 },
///     #[error(transparent)]
///     Transaction(#[from] seata::Error),
/// }
///
/// #[global_transactional(name = "purchase", timeout = "30s")]
/// async fn purchase(count: u32) -> Result<u32, ShopError> {
///     if count > 3 {
///         return Err(ShopError::SoldOut { left: 3 });
///     }
///     Ok(3 - count)
/// }
/// ```
///
/// The function is an `async fn` or method, a method of an `#[async_trait]` implementation, or a function that
/// returns `impl Future` or a boxed future (`Pin<Box<dyn Future<..>>>`, or an alias whose name ends in
/// `BoxFuture`). Of the last kind the returned future runs in the transaction, and what the function does before it
/// returns the future does not. Generics, lifetimes, `impl Trait`, `?` and `return` work as without the attribute, and
/// `#[tracing::instrument]` stands above or below.
///
/// The output is a `Result<T, E>` with `E: From<seata::Error>`, because beginning and committing can fail too.
///
/// # Arguments
/// All are optional.
///
/// **`name`**: what operators see. Default: module path and function, `shop.orders.create`.
/// ```
/// # use seata::global_transactional;
/// #[global_transactional(name = "purchase")]
/// # async fn buy() -> Result<(), seata::Error> { Ok(()) }
/// ```
///
/// **`timeout`**: how long the transaction may stay undecided, with a unit (`ms`, `s`, `m`, `h`) or as a number of
/// milliseconds. Default: the client's.
/// ```
/// # use seata::global_transactional;
/// #[global_transactional(timeout = "30s")]
/// # async fn buy() -> Result<(), seata::Error> { Ok(()) }
/// #[global_transactional(timeout = 30_000)]
/// # async fn sell() -> Result<(), seata::Error> { Ok(()) }
/// ```
///
/// **`propagation`**: what to do with the transaction that the caller is in: `Required` (the default), `RequiresNew`,
/// `NotSupported`, `Supports`, `Never`, `Mandatory`. Java's spelling and strings are understood.
/// ```
/// # use seata::global_transactional;
/// #[global_transactional(propagation = RequiresNew)]
/// # async fn buy() -> Result<(), seata::Error> { Ok(()) }
/// #[global_transactional(propagation = REQUIRES_NEW)]
/// # async fn sell() -> Result<(), seata::Error> { Ok(()) }
/// ```
///
/// **`no_rollback_for`**: errors that commit all the same: a pattern, with a guard if needed, or a closure from the
/// error to `bool`. Every other error rolls back.
/// ```
/// # use seata::global_transactional;
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("no")]
/// # enum ShopError { SoldOut { left: u32 }, Odd, Transaction(#[from] seata::Error) }
/// # impl ShopError { fn is_harmless(&self) -> bool { true } }
/// #[global_transactional(no_rollback_for = ShopError::SoldOut { left } if *left > 0)]
/// # async fn buy() -> Result<(), ShopError> { Ok(()) }
/// #[global_transactional(no_rollback_for = |error| error.is_harmless())]
/// # async fn sell() -> Result<(), ShopError> { Ok(()) }
/// ```
///
/// **`rollback_for`**: exceptions from `no_rollback_for`, in the same form. Alone it changes nothing, as errors roll
/// back anyway (Java would commit on all others).
/// ```
/// # use seata::global_transactional;
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("no")]
/// # enum ShopError { Odd, Transaction(#[from] seata::Error) }
/// #[global_transactional(rollback_for = ShopError::Odd, no_rollback_for = _)]
/// # async fn buy() -> Result<(), ShopError> { Ok(()) }
/// ```
///
/// **`lock_retry_interval`**, **`lock_retry_times`**: the pause before a row lock that another transaction holds is
/// asked for again, and how often that is done (0: never). Default: the data source's.
/// ```
/// # use seata::global_transactional;
/// #[global_transactional(lock_retry_interval = "10ms", lock_retry_times = 30)]
/// # async fn buy() -> Result<(), seata::Error> { Ok(()) }
/// ```
///
/// **`lock_strategy`**: `Pessimistic` (the default) looks at row locks before it writes; `Optimistic` takes them at once
/// and looks only when that fails.
/// ```
/// # use seata::global_transactional;
/// #[global_transactional(lock_strategy = Optimistic)]
/// # async fn buy() -> Result<(), seata::Error> { Ok(()) }
/// ```
///
/// **`client`**: the `Seata` or `Client` to begin with, by value or reference; arguments and `self` may be named.
/// Default: the scope's, else the installed one.
/// ```
/// # use seata::global_transactional;
/// struct Shop {
///     client: seata::Client,
/// }
///
/// impl Shop {
///     #[global_transactional(client = self.client)]
///     async fn purchase(&self) -> Result<(), seata::Error> {
///         Ok(())
///     }
/// }
/// ```
///
/// # Errors
/// A function that is not async:
/// ```compile_fail
/// # use seata::global_transactional;
/// #[global_transactional]
/// fn purchase() -> Result<(), seata::Error> {
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn global_transactional(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::global_transactional(args.into(), item.into()).into()
}

/// Makes a function outside any global transaction respect the row locks of those that are running.
///
/// A local transaction inside waits for the locks of the rows that it is about to change, and so never builds on a row
/// that may yet be rolled back. It costs no global transaction and no branch. The function has any output, and any
/// of the forms that [`macro@global_transactional`] accepts; with both attributes on one function, that one counts.
///
/// ```
/// use seata::global_lock;
///
/// #[global_lock]
/// async fn restock(count: u32) -> u32 {
///     count
/// }
/// ```
///
/// # Arguments
/// **`lock_retry_interval`**, **`lock_retry_times`**: the pause before a held lock is asked for again, with a unit or in
/// milliseconds, and how often that is done. Default: the data source's.
/// ```
/// # use seata::global_lock;
/// #[global_lock(lock_retry_interval = "10ms", lock_retry_times = 30)]
/// # async fn restock() {}
/// ```
#[proc_macro_attribute]
pub fn global_lock(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::global_lock(args.into(), item.into()).into()
}
