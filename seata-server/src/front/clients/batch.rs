//! Answers to requests that were asked together.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
};

use futures_util::task::AtomicWaker;
use seata_coordinator::driver::Reached;

/// One place for each answer.
pub(super) struct Batch {
    state: Mutex<State>,
    waker: AtomicWaker,
}

struct State {
    answers: Vec<Option<Reached>>,
    missing: usize,
}

impl Batch {
    pub(super) fn new(length: usize) -> Arc<Self> {
        let answers = (0..length).map(|_| None).collect();
        Arc::new(Self { state: Mutex::new(State { answers, missing: length }), waker: AtomicWaker::new() })
    }

    /// The answer to the request at `index`; the first one counts.
    pub(super) fn settle(&self, index: usize, answer: Reached) {
        let mut state = self.state.lock().expect("nothing panics under it");
        let State { answers, missing } = &mut *state;
        if let Some(place @ None) = answers.get_mut(index) {
            *place = Some(answer);
            *missing -= 1;
            if *missing == 0 {
                drop(state);
                self.waker.wake();
            }
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state.lock().expect("nothing panics under it").missing == 0
    }

    /// The answers that are there, and for those that are not that nobody was reached; what comes later is lost.
    pub(super) fn answers_so_far(&self, reason: &str) -> Vec<Reached> {
        let mut state = self.state.lock().expect("nothing panics under it");
        let answers = std::mem::take(&mut state.answers).into_iter();
        let missing = || Reached::Unreachable { reason: reason.to_owned() };
        answers.map(|answer| answer.unwrap_or_else(missing)).collect()
    }

    /// All answers, once they are there.
    pub(super) async fn answers(&self) -> Vec<Reached> {
        poll_fn(|context| {
            self.waker.register(context.waker());
            let mut state = self.state.lock().expect("nothing panics under it");
            if state.missing > 0 {
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut state.answers).into_iter().flatten().collect())
        })
        .await
    }
}
