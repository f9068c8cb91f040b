//! What callers and the writer share: the tables, the growing batch, and who waits for it.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    journal::batch::Batch,
    store::{Counts, StoreError, Tables},
};

/// How long a change that nobody waits for stays in memory only.
const LAZY_FLUSH: Duration = Duration::from_millis(50);
/// A batch that has grown to so many records is flushed, and holds back those who would let it grow.
const FULL_BATCH: usize = 4096;

/// One flush, for everybody who waits for it.
#[derive(Debug, Default)]
pub(super) struct Flush {
    result: OnceLock<Result<(), StoreError>>,
    waiters: Notify,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) tables: Tables,
    pub(super) batch: Batch,
    pub(super) next_id: i64,
    /// That of the batch that is growing.
    growing: Arc<Flush>,
    /// Somebody waits for it.
    is_wanted: bool,
    /// That of the batch that is being written.
    flushing: Arc<Flush>,
    /// The batch that is being written, if any, tells of something.
    flushing_settles: bool,
    writer: Writer,
    closing: Option<Arc<Flush>>,
    /// Set for good by the first flush that fails, and by closing.
    ended: Option<StoreError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It looks for work by itself when it is done.
    Busy,
    /// There is a batch, and nobody waits for it: it gives others time to join.
    Dozing,
    /// There is nothing to write.
    Sleeping,
}

/// What an answer has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    Nothing,
    /// A batch that is not full: the bound on what is in memory only.
    Room,
    /// Everything that an answer may tell of is durable.
    Settled,
}

impl Flush {
    /// Waits for its end.
    pub(super) async fn wait(&self) -> Result<(), StoreError> {
        // Made before the look, so that an end in between is not missed.
        let ended = self.waiters.notified();
        if self.result.get().is_none() {
            ended.await;
        }
        self.result.get().cloned().unwrap_or(Err(StoreError::Closed))
    }

    fn end(&self, result: Result<(), StoreError>) {
        let _ = self.result.set(result);
        self.waiters.notify_waiters();
    }
}

impl Shared {
    pub(super) fn new(tables: Tables, next_id: i64) -> Self {
        let state = State {
            tables,
            next_id,
            batch: Batch::default(),
            growing: Arc::default(),
            is_wanted: false,
            flushing: Arc::default(),
            flushing_settles: false,
            writer: Writer::Busy,
            closing: None,
            ended: None,
        };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }

    /// Runs `act` in the one order of all steps. The flush, if any, is to be awaited before the answer
    /// leaves.
    pub(super) fn step<T>(
        &self,
        wait: Wait,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<(T, Option<Arc<Flush>>), StoreError> {
        let mut state = self.lock();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        // The writer may have looked for the last time.
        if state.closing.is_some() {
            return Err(StoreError::Closed);
        }
        let answer = act(&mut state);
        let flushed = state.wait(wait);
        self.wake_writer(state);
        Ok((answer, flushed))
    }

    /// How much there is, also after the end.
    pub(super) fn counts(&self) -> Counts {
        self.lock().tables.counts()
    }

    /// Lets the writer finish; what is returned ends with it.
    pub(super) fn close(&self) -> Arc<Flush> {
        let mut state = self.lock();
        let closing = match &state.ended {
            None => Arc::clone(state.closing.get_or_insert_default()),
            Some(error) => {
                let closing = Flush::default();
                closing.end(if *error == StoreError::Closed { Ok(()) } else { Err(error.clone()) });
                Arc::new(closing)
            }
        };
        self.wake_writer(state);
        closing
    }

    /// For the writer: puts the next batch into `batch`, whose room is used again for the one after it. Says
    /// whether there is one, now or ever.
    pub(super) fn next_batch(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        let mut lazy_since = None;
        loop {
            if state.is_urgent() || (!state.batch.is_empty() && state.closing.is_some()) {
                break;
            }
            if state.closing.is_some() {
                return false;
            }
            if state.batch.is_empty() {
                state.writer = Writer::Sleeping;
                state = self.work.wait(state).expect("no step panics");
            } else {
                let since = *lazy_since.get_or_insert_with(Instant::now);
                let left = LAZY_FLUSH.saturating_sub(since.elapsed());
                if left.is_zero() {
                    break;
                }
                state.writer = Writer::Dozing;
                state = self.work.wait_timeout(state, left).expect("no step panics").0;
            }
        }
        state.writer = Writer::Busy;
        state.flushing = mem::take(&mut state.growing);
        state.is_wanted = false;
        mem::swap(&mut state.batch, batch);
        state.flushing_settles = batch.is_settling;
        true
    }

    /// For the writer: its batch is durable.
    pub(super) fn flushed(&self) {
        let flush = {
            let mut state = self.lock();
            state.flushing_settles = false;
            Arc::clone(&state.flushing)
        };
        flush.end(Ok(()));
    }

    /// For the writer: it ends, by closing or by a failure. Nothing can be done from here on.
    pub(super) fn end(&self, error: StoreError) {
        let mut state = self.lock();
        state.growing.end(Err(error.clone()));
        state.flushing.end(Err(error.clone()));
        if let Some(closing) = state.closing.take() {
            closing.end(if error == StoreError::Closed { Ok(()) } else { Err(error.clone()) });
        }
        state.ended = Some(error);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no step panics")
    }

    /// Only a writer that waits is woken: a busy one looks again by itself.
    fn wake_writer(&self, mut state: MutexGuard<'_, State>) {
        let is_urgent = state.is_urgent() || state.closing.is_some();
        let has_work = match state.writer {
            Writer::Busy => false,
            Writer::Dozing => is_urgent,
            Writer::Sleeping => is_urgent || !state.batch.is_empty(),
        };
        if has_work {
            state.writer = Writer::Busy;
            drop(state);
            self.work.notify_one();
        }
    }
}

impl State {
    fn is_urgent(&self) -> bool {
        self.is_wanted || self.batch.len() >= FULL_BATCH
    }

    fn wait(&mut self, wait: Wait) -> Option<Arc<Flush>> {
        match wait {
            Wait::Room if self.batch.len() >= FULL_BATCH => {}
            Wait::Settled if self.batch.is_settling => {}
            Wait::Settled if self.flushing_settles => return Some(Arc::clone(&self.flushing)),
            Wait::Nothing | Wait::Room | Wait::Settled => return None,
        }
        self.is_wanted = true;
        Some(Arc::clone(&self.growing))
    }
}

/// Ends the shared state even if the writer panics, so that nobody waits for ever.
pub(super) struct EndGuard(pub(super) Arc<Shared>, pub(super) Option<StoreError>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let panicked = || StoreError::Failed { reason: "the journal's writer panicked".into() };
        self.0.end(self.1.take().unwrap_or_else(panicked));
    }
}
