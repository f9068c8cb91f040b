//! Dropping a future at each of its awaits.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// When a future that used up its polls is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// At once: what it asked for last is under way.
    AtOnce,
    /// When it is woken: what it asked for last is done, and it has not seen it.
    OnceWoken,
}

/// Polls a future as a runtime would, at most so often, and drops it. `None` if it was not done by then.
pub async fn poll_at_most<F: Future>(polls: usize, drop: Drop, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 && drop == Drop::AtOnce => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
