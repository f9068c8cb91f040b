//! What work-stealing runtimes ask of our types, checked by the compiler.

use std::cell::Cell;

use seata_context::{
    Client, Finisher, GlobalTransaction, InCurrentTransaction as _, LockRetry, OnError, RootContext, Scope,
    Snapshot, Suspended, TransactionError, TransactionOptions, run, run_with_global_lock,
};

fn is_send<T: Send>(value: T) -> T {
    value
}

fn is_shared<T: Send + Sync + 'static>() {}

/// An error, and a value, that can move between threads but not be shared by them.
struct Lonely(#[expect(dead_code)] Cell<u32>);

impl From<TransactionError> for Lonely {
    fn from(_: TransactionError) -> Self {
        Self(Cell::new(0))
    }
}

#[test]
fn handles_can_be_kept_and_shared() {
    is_shared::<Client>();
    is_shared::<Scope>();
    is_shared::<Snapshot>();
    is_shared::<Suspended>();
    is_shared::<GlobalTransaction>();
    is_shared::<TransactionOptions>();
    is_shared::<TransactionError>();
}

#[test]
fn a_future_can_move_between_threads_when_its_body_can() {
    let body = || async {
        let held = Lonely(Cell::new(1));
        tokio::task::yield_now().await;
        Ok::<_, Lonely>(held)
    };
    let options = || TransactionOptions::new("pay");
    drop(is_send(run(options(), |_: &Lonely| OnError::Rollback, body())));
    drop(is_send(run_with_global_lock(LockRetry::default(), body())));
    drop(is_send(RootContext::suspended(body())));
    drop(is_send(body().in_current_transaction()));
    drop(is_send(async move {
        let mut transaction = GlobalTransaction::begin(options()).await?;
        transaction.status().await?;
        transaction.rollback().await?;
        transaction.commit().await?;
        Ok::<_, Lonely>(())
    }));
    let _ = |finisher: Finisher| is_send(finisher.run());
}
