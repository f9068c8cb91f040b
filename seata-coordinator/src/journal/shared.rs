//! What callers and the writer share: the tables, the growing batch, and who waits for it.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    journal::batch::Batch,
    store::{Counts, StoreError, Tables},
};

/// How long a change that nobody waits for stays in memory only.
const LAZY_FLUSH: Duration = Duration::from_millis(50);
/// A batch that has grown to so many records is flushed, and holds back those who would let it grow.
const FULL_BATCH: usize = 4096;

/// The end of a flush, told to everybody who waits for it.
pub(super) type Flushed = oneshot::Receiver<Result<(), StoreError>>;
pub(super) type Waiters = Vec<oneshot::Sender<Result<(), StoreError>>>;

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
    /// Who waits for the batch that is growing.
    waiters: Waiters,
    /// The batch that is being written, if any, tells of something.
    flushing_settles: bool,
    /// Who waits for the batch that is being written.
    flushing: Waiters,
    writer: Writer,
    closing: Option<Waiters>,
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

impl Shared {
    pub(super) fn new(tables: Tables, next_id: i64) -> Self {
        let state = State {
            tables,
            next_id,
            batch: Batch::default(),
            waiters: Vec::new(),
            flushing_settles: false,
            flushing: Vec::new(),
            writer: Writer::Busy,
            closing: None,
            ended: None,
        };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }

    /// Runs `act` in the one order of all steps. The receiver, if any, is to be awaited before the answer
    /// leaves.
    pub(super) fn step<T>(
        &self,
        wait: Wait,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<(T, Option<Flushed>), StoreError> {
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

    /// Lets the writer finish; the receiver hears of its end.
    pub(super) fn close(&self) -> Flushed {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        match &state.ended {
            None => state.closing.get_or_insert_default().push(sender),
            Some(StoreError::Closed) => drop(sender.send(Ok(()))),
            Some(error) => drop(sender.send(Err(error.clone()))),
        }
        self.wake_writer(state);
        receiver
    }

    /// For the writer: the next batch, or `None` when there will be no more.
    pub(super) fn next_batch(&self) -> Option<Batch> {
        let mut state = self.lock();
        let mut lazy_since = None;
        loop {
            if state.is_urgent() || (!state.batch.is_empty() && state.closing.is_some()) {
                break;
            }
            if state.closing.is_some() {
                return None;
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
        state.flushing = mem::take(&mut state.waiters);
        let batch = mem::take(&mut state.batch);
        state.flushing_settles = batch.is_settling;
        Some(batch)
    }

    /// For the writer: its batch is durable.
    pub(super) fn flushed(&self) {
        let waiters = {
            let mut state = self.lock();
            state.flushing_settles = false;
            mem::take(&mut state.flushing)
        };
        for waiter in waiters {
            let _ = waiter.send(Ok(()));
        }
    }

    /// For the writer: it ends, by closing or by a failure. Nothing can be done from here on.
    pub(super) fn end(&self, error: StoreError) {
        let mut state = self.lock();
        let closing = state.closing.take().unwrap_or_default();
        let waiters = mem::take(&mut state.waiters).into_iter().chain(mem::take(&mut state.flushing));
        for waiter in waiters {
            let _ = waiter.send(Err(error.clone()));
        }
        let closed = if error == StoreError::Closed { Ok(()) } else { Err(error.clone()) };
        for waiter in closing {
            let _ = waiter.send(closed.clone());
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
        !self.waiters.is_empty() || self.batch.len() >= FULL_BATCH
    }

    fn wait(&mut self, wait: Wait) -> Option<Flushed> {
        let waiters = match wait {
            Wait::Nothing => return None,
            Wait::Room if self.batch.len() >= FULL_BATCH => &mut self.waiters,
            Wait::Room => return None,
            Wait::Settled if self.batch.is_settling => &mut self.waiters,
            Wait::Settled if self.flushing_settles => &mut self.flushing,
            Wait::Settled => return None,
        };
        let (sender, receiver) = oneshot::channel();
        waiters.push(sender);
        Some(receiver)
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
