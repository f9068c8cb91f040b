//! Requests that are under way.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::stream::{FuturesUnordered, StreamExt};

/// So many places are kept for requests to come.
const KEPT: usize = 16;

/// Futures, each in a place of its own that the next one takes over when it is done: what is done at once, and
/// most is, costs no memory and no waker of its own.
///
/// With each goes something that comes back when it is done, and is not moved with it.
pub(super) struct Flights<T, F: Future> {
    fresh: VecDeque<(T, Pin<Box<F>>)>,
    waiting: FuturesUnordered<Flight<T, F>>,
    places: Vec<Pin<Box<F>>>,
}

/// One that was not done at once.
struct Flight<T, F>(Option<(T, Pin<Box<F>>)>);

impl<T, F> Unpin for Flight<T, F> {}

impl<T, F: Future> Flights<T, F> {
    pub(super) fn new() -> Self {
        Self { fresh: VecDeque::new(), waiting: FuturesUnordered::new(), places: Vec::new() }
    }

    /// It goes on with [`poll_next`](Self::poll_next).
    pub(super) fn push(&mut self, with: T, future: F) {
        let place = match self.places.pop() {
            Some(mut place) => {
                place.set(future);
                place
            }
            None => Box::pin(future),
        };
        self.fresh.push_back((with, place));
    }

    /// What one of them gives that is done. Pending when none is.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(T, F::Output)> {
        while let Some((with, mut place)) = self.fresh.pop_front() {
            match place.as_mut().poll(context) {
                Poll::Ready(output) => {
                    self.keep(place);
                    return Poll::Ready((with, output));
                }
                Poll::Pending => self.waiting.push(Flight(Some((with, place)))),
            }
        }
        match self.waiting.poll_next_unpin(context) {
            Poll::Ready(Some((with, output, place))) => {
                self.keep(place);
                Poll::Ready((with, output))
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Keeps no more memory than it needs.
    pub(super) fn release_memory(&mut self) {
        self.places = Vec::new();
        if self.fresh.is_empty() {
            self.fresh = VecDeque::new();
        }
    }

    fn keep(&mut self, place: Pin<Box<F>>) {
        if self.places.len() < KEPT {
            self.places.push(place);
        }
    }
}

impl<T, F: Future> Future for Flight<T, F> {
    type Output = (T, F::Output, Pin<Box<F>>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (_, place) = self.0.as_mut().expect("it is not polled once it is done");
        let output = ready!(place.as_mut().poll(context));
        let (with, place) = self.0.take().expect("it is there still");
        Poll::Ready((with, output, place))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Waker,
    };

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_done_at_once_and_what_waits_both_come() {
        let mut flights = Flights::new();
        let mut senders = Vec::new();
        for number in 0..100 {
            let (sender, receiver) = oneshot::channel();
            if number % 2 == 0 {
                sender.send(number).unwrap();
            } else {
                senders.push((sender, number));
            }
            flights.push((), receiver);
        }
        let mut next = async || std::future::poll_fn(|context| flights.poll_next(context)).await.1.unwrap();
        let mut seen = Vec::new();
        for _ in 0..50 {
            seen.push(next().await);
        }
        let late = tokio::spawn(async move {
            for (sender, number) in senders {
                tokio::task::yield_now().await;
                sender.send(number).unwrap();
            }
        });
        for _ in 0..50 {
            seen.push(next().await);
        }
        late.await.unwrap();
        assert!(seen[..50].iter().all(|number| number % 2 == 0));
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(flights.places.len() <= KEPT);
    }

    #[test]
    fn what_a_future_holds_goes_when_it_is_done() {
        struct Held(Arc<AtomicUsize>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let future = |held: Held, waits: bool| async move {
            if waits {
                std::future::pending::<()>().await;
            }
            drop(held);
        };
        let mut flights = Flights::new();
        for waits in [false, false, true] {
            flights.push((), future(Held(Arc::clone(&dropped)), waits));
        }
        let mut context = Context::from_waker(Waker::noop());
        assert!(flights.poll_next(&mut context).is_ready() && flights.poll_next(&mut context).is_ready());
        assert!(flights.poll_next(&mut context).is_pending());
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "also while its place is kept");
        drop(flights);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }
}
