//! Every accepted form of function runs its body inside a transaction and returns what the body returns.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use seata::{GlobalStatus, LockRetry, LockStrategy, RootContext, global_lock, global_transactional};

use crate::coordinator::{Coordinator, ShopError};

fn inside() -> bool {
    RootContext::in_global_transaction()
}

#[tokio::test]
async fn an_async_function_commits_under_its_default_name() {
    #[global_transactional]
    async fn purchase(count: u32) -> Result<u32, ShopError> {
        assert!(inside());
        if count == 0 {
            return Err(ShopError::SoldOut { left: 0 });
        }
        let half = checked_half(count)?;
        Ok(half)
    }
    fn checked_half(count: u32) -> Result<u32, ShopError> {
        if count.is_multiple_of(2) { Ok(count / 2) } else { Err(ShopError::Odd) }
    }

    let coordinator = Coordinator::new();
    assert_eq!(coordinator.scope(purchase(8)).await, Ok(4));
    assert_eq!(coordinator.scope(purchase(0)).await, Err(ShopError::SoldOut { left: 0 }));
    assert_eq!(coordinator.scope(purchase(3)).await, Err(ShopError::Odd));

    let log = coordinator.log();
    assert_eq!(log.names, ["it.forms.purchase"; 3]);
    assert_eq!(log.decisions, [GlobalStatus::Committed, GlobalStatus::Rollbacked, GlobalStatus::Rollbacked]);
    assert!(!log.names[0].contains(':'));
}

#[tokio::test]
async fn name_and_timeout_reach_the_coordinator() {
    #[global_transactional(name = "buy", timeout = "30s")]
    async fn by_text() -> Result<(), ShopError> {
        Ok(())
    }
    #[global_transactional(name = "buy", timeout = 1_500)]
    async fn by_number() -> Result<(), ShopError> {
        Ok(())
    }

    let coordinator = Coordinator::new();
    coordinator.scope(by_text()).await.unwrap();
    coordinator.scope(by_number()).await.unwrap();

    let log = coordinator.log();
    assert_eq!(log.names, ["buy", "buy"]);
    assert_eq!(log.timeouts, [Duration::from_secs(30), Duration::from_millis(1_500)]);
}

#[tokio::test]
async fn every_spelling_of_a_propagation_is_the_same() {
    #[global_transactional(propagation = RequiresNew)]
    async fn variant() -> Result<(), ShopError> {
        Ok(())
    }
    #[global_transactional(propagation = seata::Propagation::RequiresNew)]
    async fn path() -> Result<(), ShopError> {
        Ok(())
    }
    #[global_transactional(propagation = REQUIRES_NEW)]
    async fn java() -> Result<(), ShopError> {
        Ok(())
    }
    #[global_transactional(propagation = "REQUIRES_NEW")]
    async fn text() -> Result<(), ShopError> {
        Ok(())
    }
    #[global_transactional(name = "outer")]
    async fn outer() -> Result<(), ShopError> {
        variant().await?;
        path().await?;
        java().await?;
        text().await
    }

    let coordinator = Coordinator::new();
    coordinator.scope(outer()).await.unwrap();
    assert_eq!(coordinator.log().names.len(), 5);
}

#[tokio::test]
async fn lock_settings_hold_inside_the_body() {
    #[global_transactional(lock_retry_interval = "10ms", lock_retry_times = 3, lock_strategy = Optimistic)]
    async fn transaction() -> Result<(LockRetry, LockStrategy), ShopError> {
        Ok((RootContext::lock_retry(), RootContext::lock_strategy()))
    }
    #[global_lock(lock_retry_interval = 20)]
    async fn lock() -> Option<LockRetry> {
        RootContext::global_lock()
    }

    let coordinator = Coordinator::new();
    let retry = LockRetry { interval: Some(Duration::from_millis(10)), times: Some(3) };
    assert_eq!(coordinator.scope(transaction()).await, Ok((retry, LockStrategy::Optimistic)));
    let retry = LockRetry { interval: Some(Duration::from_millis(20)), times: None };
    assert_eq!(lock().await, Some(retry));
}

/// A service that names its client itself.
struct Shop {
    client: seata::Client,
    stock: u32,
}

impl Shop {
    /// Documented, and with a lint attribute.
    #[global_transactional(client = self.client)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) async fn take(&mut self, mut count: u32, _: &str) -> Result<u32, ShopError> {
        count += 1;
        self.stock -= count;
        Ok(self.stock)
    }

    #[global_transactional(client = &self.client, name = "by value")]
    async fn close(self) -> Result<u32, ShopError> {
        assert!(inside());
        Ok(self.stock)
    }

    #[global_transactional(client = self.client.clone())]
    async fn longest<'a>(&self, left: &'a str, right: &'a str) -> Result<&'a str, ShopError> {
        Ok(if left.len() > right.len() { left } else { right })
    }
}

#[tokio::test]
async fn methods_take_self_in_every_way_and_name_their_client() {
    let coordinator = Coordinator::new();
    let mut shop = Shop { client: coordinator.client(), stock: 10 };
    assert_eq!(shop.take(2, "").await, Ok(7));
    assert_eq!(shop.longest("abc", "de").await, Ok("abc"));
    assert_eq!(shop.close().await, Ok(7));
    assert_eq!(coordinator.log().decisions, [GlobalStatus::Committed; 3]);
}

#[tokio::test]
async fn generics_where_clauses_and_impl_trait_are_kept() {
    #[global_transactional]
    async fn show<T, const N: usize>(
        values: [T; N],
        suffix: impl Display + Send,
    ) -> Result<impl Display + Debug, ShopError>
    where
        T: Display,
    {
        assert!(inside());
        Ok(values.iter().map(|value| format!("{value}{suffix}")).collect::<String>())
    }

    let coordinator = Coordinator::new();
    let shown = coordinator.scope(show([1, 2], ';')).await.unwrap();
    assert_eq!(shown.to_string(), "1;2;");
}

#[tokio::test]
async fn a_boxed_error_is_coerced_at_return_and_at_the_end() {
    #[global_transactional]
    async fn purchase(early: bool) -> Result<(), Box<dyn Error + Send + Sync>> {
        if early {
            return Err(Box::new(ShopError::Odd));
        }
        Err(Box::new(ShopError::SoldOut { left: 1 }))
    }

    let coordinator = Coordinator::new();
    assert_eq!(coordinator.scope(purchase(true)).await.unwrap_err().to_string(), "odd");
    assert_eq!(coordinator.scope(purchase(false)).await.unwrap_err().to_string(), "1 left");
}

#[tokio::test]
async fn an_alias_of_result_is_a_result() {
    type Shopping<T> = Result<T, ShopError>;

    #[global_transactional]
    async fn purchase() -> Shopping<u32> {
        Ok(1)
    }

    assert_eq!(Coordinator::new().scope(purchase()).await, Ok(1));
}

#[async_trait::async_trait]
trait Purchase {
    async fn purchase(&self, count: u32) -> Result<u32, ShopError>;
    async fn traced(&self, count: u32) -> Result<u32, ShopError>;
}

#[async_trait::async_trait]
impl Purchase for Shop {
    #[global_transactional(client = self.client)]
    async fn purchase(&self, count: u32) -> Result<u32, ShopError> {
        assert!(inside());
        if count > self.stock {
            return Err(ShopError::SoldOut { left: self.stock });
        }
        Ok(self.stock - count)
    }

    #[tracing::instrument(skip(self))]
    #[global_transactional(client = self.client)]
    async fn traced(&self, count: u32) -> Result<u32, ShopError> {
        assert!(inside());
        if count == 0 {
            Err(ShopError::Odd)?;
        }
        Ok(count)
    }
}

#[tokio::test]
async fn a_method_of_async_trait_is_wrapped_inside_its_box() {
    let coordinator = Coordinator::new();
    let shop: Box<dyn Purchase + Send + Sync> = Box::new(Shop { client: coordinator.client(), stock: 3 });
    assert_eq!(shop.purchase(1).await, Ok(2));
    assert_eq!(shop.purchase(4).await, Err(ShopError::SoldOut { left: 3 }));
    assert_eq!(shop.traced(5).await, Ok(5));
    assert_eq!(
        coordinator.log().decisions,
        [GlobalStatus::Committed, GlobalStatus::Rollbacked, GlobalStatus::Committed]
    );
}

#[tokio::test]
async fn instrument_stands_on_either_side() {
    #[global_transactional]
    #[tracing::instrument(err)]
    async fn inner(count: u32) -> Result<u32, ShopError> {
        assert!(inside());
        Ok(count)
    }
    #[tracing::instrument(err)]
    #[global_transactional]
    async fn outer(count: u32) -> Result<u32, ShopError> {
        assert!(inside());
        Ok(count)
    }

    let coordinator = Coordinator::new();
    assert_eq!(coordinator.scope(inner(1)).await, Ok(1));
    assert_eq!(coordinator.scope(outer(2)).await, Ok(2));
    assert_eq!(coordinator.log().decisions, [GlobalStatus::Committed; 2]);
}

impl Shop {
    #[global_transactional(client = self.client)]
    fn opaque(&self, count: u32) -> impl Future<Output = Result<u32, ShopError>> + Send {
        let stock = self.stock;
        async move {
            assert!(inside());
            if count > stock {
                return Err(ShopError::SoldOut { left: stock })?;
            }
            Ok(stock - count)
        }
    }

    #[global_transactional(client = self.client)]
    fn boxed<'a>(
        &'a self,
        early: bool,
    ) -> Pin<Box<dyn Future<Output = Result<&'a u32, ShopError>> + Send + 'a>> {
        if early {
            return Box::pin(std::future::ready(Err(ShopError::Odd)));
        }
        self.stock().into()
    }

    fn stock(&self) -> Box<dyn Future<Output = Result<&u32, ShopError>> + Send + '_> {
        Box::new(async {
            assert!(inside());
            Ok(&self.stock)
        })
    }

    #[global_transactional(client = self.client)]
    fn aliased(&self) -> BoxFuture<'_, Result<u32, Box<dyn Error + Send + Sync>>> {
        let before = self.stock;
        Box::pin(async move {
            assert!(inside());
            if before == 0 {
                return Err(Box::new(ShopError::Odd));
            }
            Ok(self.stock)
        })
    }
}

#[tokio::test]
async fn a_returned_future_is_wrapped_whichever_way_it_was_made() {
    let coordinator = Coordinator::new();
    let shop = Shop { client: coordinator.client(), stock: 3 };
    assert_eq!(shop.opaque(1).await, Ok(2));
    assert_eq!(shop.opaque(4).await, Err(ShopError::SoldOut { left: 3 }));
    assert_eq!(shop.boxed(false).await, Ok(&3));
    assert_eq!(shop.boxed(true).await, Err(ShopError::Odd));
    assert_eq!(shop.aliased().await.unwrap(), 3);

    use GlobalStatus::{Committed, Rollbacked};
    assert_eq!(coordinator.log().decisions, [Committed, Rollbacked, Committed, Rollbacked, Committed]);
}

#[tokio::test]
async fn global_lock_needs_no_result_and_no_coordinator() {
    #[global_lock]
    async fn nothing() {
        assert!(RootContext::global_lock().is_some());
        assert!(!inside());
    }
    #[global_lock(lock_retry_times = 0)]
    #[allow(clippy::manual_async_fn)]
    fn opaque() -> impl Future<Output = Option<u32>> {
        async { RootContext::lock_retry().times.or(RootContext::global_lock()?.times) }
    }

    nothing().await;
    assert_eq!(opaque().await, Some(0));
    assert!(RootContext::global_lock().is_none());
}

#[tokio::test]
async fn with_both_attributes_the_transaction_counts() {
    #[global_transactional]
    #[global_lock(lock_retry_times = 3)]
    async fn lock_below() -> Result<bool, ShopError> {
        Ok(inside() && RootContext::global_lock().is_none())
    }
    #[global_lock]
    #[global_transactional]
    async fn lock_above() -> Result<bool, ShopError> {
        Ok(inside() && RootContext::global_lock().is_none())
    }

    let coordinator = Coordinator::new();
    assert_eq!(coordinator.scope(lock_below()).await, Ok(true));
    assert_eq!(coordinator.scope(lock_above()).await, Ok(true));
}

#[tokio::test]
async fn names_of_the_body_and_of_the_expansion_do_not_meet() {
    #[global_transactional(rollback_for = _ if options > body)]
    async fn purchase(options: u32, body: u32) -> Result<u32, ShopError> {
        let error = options + body;
        Ok(error)
    }

    assert_eq!(Coordinator::new().scope(purchase(1, 2)).await, Ok(3));
}

#[tokio::test]
async fn the_future_can_be_sent_where_the_body_can() {
    #[global_transactional(no_rollback_for = ShopError::Odd)]
    async fn purchase(shop: &Shop) -> Result<u32, ShopError> {
        tokio::task::yield_now().await;
        Ok(shop.stock)
    }

    fn send<F: Send>(future: F) -> F {
        future
    }
    let coordinator = Coordinator::new();
    let shop = Shop { client: coordinator.client(), stock: 3 };
    assert_eq!(send(coordinator.scope(purchase(&shop))).await, Ok(3));
}
