//! Which errors roll back.

use seata::{GlobalStatus, global_transactional};

use crate::coordinator::{Coordinator, ShopError};

/// What the coordinator was told after a body that ended so.
async fn decision<F>(purchase: impl FnOnce(ShopError) -> F, error: ShopError) -> GlobalStatus
where
    F: Future<Output = Result<(), ShopError>>,
{
    let coordinator = Coordinator::new();
    assert_eq!(coordinator.scope(purchase(error.clone())).await, Err(error));
    coordinator.log().decisions[0]
}

#[tokio::test]
async fn no_rule_rolls_back() {
    #[global_transactional]
    async fn purchase(error: ShopError) -> Result<(), ShopError> {
        Err(error)
    }

    assert_eq!(decision(purchase, ShopError::Odd).await, GlobalStatus::Rollbacked);
}

#[tokio::test]
async fn a_pattern_spares_what_it_matches_and_nothing_else() {
    #[global_transactional(no_rollback_for = ShopError::SoldOut { .. } | ShopError::Odd)]
    async fn purchase(error: ShopError) -> Result<(), ShopError> {
        Err(error)
    }

    assert_eq!(decision(purchase, ShopError::Odd).await, GlobalStatus::Committed);
    assert_eq!(decision(purchase, ShopError::SoldOut { left: 1 }).await, GlobalStatus::Committed);
    assert_eq!(decision(purchase, ShopError::Unpaid).await, GlobalStatus::Rollbacked);
}

#[tokio::test]
async fn a_guard_narrows_a_pattern() {
    #[global_transactional(no_rollback_for = ShopError::SoldOut { left } if *left > 5)]
    async fn purchase(error: ShopError) -> Result<(), ShopError> {
        Err(error)
    }

    assert_eq!(decision(purchase, ShopError::SoldOut { left: 6 }).await, GlobalStatus::Committed);
    assert_eq!(decision(purchase, ShopError::SoldOut { left: 5 }).await, GlobalStatus::Rollbacked);
}

#[tokio::test]
async fn a_closure_needs_no_type() {
    #[global_transactional(no_rollback_for = |error| error.is_harmless())]
    async fn purchase(error: ShopError) -> Result<(), ShopError> {
        Err(error)
    }

    assert_eq!(decision(purchase, ShopError::Odd).await, GlobalStatus::Committed);
    assert_eq!(decision(purchase, ShopError::Unpaid).await, GlobalStatus::Rollbacked);
}

#[tokio::test]
async fn rollback_for_beats_no_rollback_for() {
    #[global_transactional(rollback_for = ShopError::Odd, no_rollback_for = _)]
    async fn purchase(error: ShopError) -> Result<(), ShopError> {
        Err(error)
    }

    assert_eq!(decision(purchase, ShopError::Odd).await, GlobalStatus::Rollbacked);
    assert_eq!(decision(purchase, ShopError::Unpaid).await, GlobalStatus::Committed);
}

#[tokio::test]
async fn an_error_outside_rollback_for_rolls_back_too() {
    #[global_transactional(rollback_for = ShopError::Odd)]
    async fn purchase(error: ShopError) -> Result<(), ShopError> {
        Err(error)
    }

    assert_eq!(decision(purchase, ShopError::Unpaid).await, GlobalStatus::Rollbacked);
}

#[tokio::test]
async fn a_closure_looks_into_a_boxed_error() {
    type BoxError = Box<dyn std::error::Error + Send + Sync>;

    #[global_transactional(no_rollback_for = |error: &BoxError| error.is::<ShopError>())]
    async fn purchase() -> Result<(), BoxError> {
        Err(ShopError::Odd.into())
    }

    let coordinator = Coordinator::new();
    coordinator.scope(purchase()).await.unwrap_err();
    assert_eq!(coordinator.log().decisions, [GlobalStatus::Committed]);
}
