//! What callers and the writer share: the tables, the growing batch, and who waits for it.

use std::{
    future::Future,
    mem,
    ops::Range,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use crate::{
    journal::batch::Batch,
    store::{Counts, StoreError, Tables},
};

/// How long a change that nobody waits for stays in memory only.
const LAZY_FLUSH: Duration = Duration::from_millis(50);
/// How long a flush is put off at most so that more can share it; never longer than the last one took.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);
/// A batch that has grown to so many records is flushed without waiting for more.
const LARGE_BATCH: usize = 4096;
/// One that has grown to so many bytes holds back the clients who would let it grow.
const FULL_BATCH: usize = 8 * 1024 * 1024;

/// When fewer blocks of numbers are kept than this, more are, with whatever is written next.
const FEW_BLOCKS: i64 = 4;
const MANY_BLOCKS: i64 = 8;

/// One flush, for everybody who waits for it.
#[derive(Debug, Default)]
pub(super) struct Flush {
    result: OnceLock<Result<(), StoreError>>,
    waiters: Mutex<Vec<Waker>>,
}

/// An answer, which leaves when what it tells of is durable. The step itself has been taken, unless it is held back:
/// dropping this gives up the answer alone.
#[must_use = "the answer may not be relied on before the flush"]
pub(super) struct Step<'a, T> {
    /// `None` once it has left, and as long as the step is held back.
    answer: Option<Result<T, StoreError>>,
    flush: Option<Arc<Flush>>,
    /// Where this one waits for that flush.
    place: Option<usize>,
    held_back: Option<HeldBack<'a, T>>,
}

/// Takes the step, or is held back again.
type HeldBack<'a, T> = Box<dyn FnOnce() -> Step<'a, T> + Send + 'a>;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) tables: Tables,
    pub(super) batch: Batch,
    ids: Ids,
    /// That of the batch that is growing.
    growing: Arc<Flush>,
    /// So many wait for it.
    waiting: usize,
    /// A flush is put off until so many wait for it, or until then: those whom the last one let go are back
    /// soon where they work in turns, and one flush for all costs as much as one for the first of them.
    gathering: (usize, Instant),
    /// That of the batch that is being written.
    flushing: Arc<Flush>,
    /// So many wait for it.
    released: usize,
    /// The batch that is being written, if any, tells of something.
    flushing_settles: bool,
    writer: Writer,
    closing: Option<Arc<Flush>>,
    /// Set for good by the first flush that fails, and by closing.
    ended: Option<StoreError>,
}

/// Up to where numbers are given out, and kept for that: more than were asked for, so that who needs some next
/// need not wait for the disk.
#[derive(Debug)]
struct Ids {
    next: i64,
    /// What the batch that is growing tells, or an earlier one did.
    kept: i64,
    /// What the batch that is being written tells, or an earlier one did.
    written: i64,
    durable: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It looks for work by itself when it is done.
    Busy,
    /// Somebody waits, and it gives those who were let go last time to join.
    Gathering,
    /// Nobody waits: what there is has time.
    Dozing,
    /// There has been nothing to write for a while.
    Sleeping,
}

/// What an answer has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    Nothing,
    /// Everything that it may tell of is durable.
    Settled,
}

impl Flush {
    /// Its end, or somebody to be woken then. The same waiter keeps its `place`.
    fn poll(&self, place: &mut Option<usize>, context: &Context<'_>) -> Poll<Result<(), StoreError>> {
        if let Some(result) = self.result.get() {
            return Poll::Ready(result.clone());
        }
        let mut waiters = self.waiters.lock().expect("nothing panics under it");
        // The end sets the result before it takes the waiters.
        if let Some(result) = self.result.get() {
            return Poll::Ready(result.clone());
        }
        match *place {
            Some(place) => waiters[place].clone_from(context.waker()),
            None => {
                *place = Some(waiters.len());
                waiters.push(context.waker().clone());
            }
        }
        Poll::Pending
    }

    fn end(&self, result: Result<(), StoreError>) {
        let _ = self.result.set(result);
        let waiters = mem::take(&mut *self.waiters.lock().expect("nothing panics under it"));
        waiters.into_iter().for_each(Waker::wake);
    }
}

impl<T> Step<'_, T> {
    fn new(answer: Result<T, StoreError>, flush: Option<Arc<Flush>>) -> Self {
        Self { answer: Some(answer), flush, place: None, held_back: None }
    }
}

impl<T: Unpin> Future for Step<'_, T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let step = self.get_mut();
        loop {
            if let Some(flush) = &step.flush {
                ready!(flush.poll(&mut step.place, context))?;
            }
            match step.held_back.take() {
                Some(take) => *step = take(),
                None => {
                    return Poll::Ready(step.answer.take().expect("it is not polled again after its end"));
                }
            }
        }
    }
}

impl Shared {
    pub(super) fn new(tables: Tables, next_id: i64) -> Self {
        let state = State {
            tables,
            ids: Ids { next: next_id, kept: next_id, written: next_id, durable: next_id },
            batch: Batch::default(),
            growing: Arc::default(),
            waiting: 0,
            gathering: (0, Instant::now()),
            flushing: Arc::default(),
            released: 0,
            flushing_settles: false,
            writer: Writer::Busy,
            closing: None,
            ended: None,
        };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }

    /// Runs `act` now in the one order of all steps. For those of which there are only so many as there are
    /// transactions and branches: they end what is open, and never wait behind what is to be opened.
    pub(super) fn step<T>(&self, wait: Wait, act: impl FnOnce(&mut State) -> T) -> Step<'static, T> {
        let mut state = match self.open() {
            Ok(state) => state,
            Err(error) => return Step::new(Err(error), None),
        };
        let answer = act(&mut state);
        let flush = state.wait(wait);
        self.wake_writer(state);
        Step::new(Ok(answer), flush)
    }

    /// The same of a step of which clients may ask for as many as they like, with as much data: held back as long
    /// as the batch is full.
    pub(super) fn growing_step<'a, T>(
        &'a self,
        wait: Wait,
        act: impl FnOnce(&mut State) -> T + Send + 'a,
    ) -> Step<'a, T> {
        let mut state = match self.open() {
            Ok(state) => state,
            Err(error) => return Step::new(Err(error), None),
        };
        if state.is_full() {
            let room = state.wait_for_growing();
            self.wake_writer(state);
            let again: HeldBack<'a, T> = Box::new(move || self.growing_step(wait, act));
            return Step { answer: None, flush: Some(room), place: None, held_back: Some(again) };
        }
        let answer = act(&mut state);
        let flush = state.wait(wait);
        self.wake_writer(state);
        Step::new(Ok(answer), flush)
    }

    /// Runs `act`, which changes nothing, now in the one order of all steps.
    pub(super) fn look<T>(&self, wait: Wait, act: impl FnOnce(&State) -> T) -> Step<'static, T> {
        let mut state = match self.open() {
            Ok(state) => state,
            Err(error) => return Step::new(Err(error), None),
        };
        let answer = act(&state);
        let flush = state.wait(wait);
        self.wake_writer(state);
        Step::new(Ok(answer), flush)
    }

    /// Numbers that no one was given before.
    pub(super) fn reserve_ids(&self, count: u32) -> Step<'_, Range<i64>> {
        let mut state = match self.open() {
            Ok(state) => state,
            Err(error) => return Step::new(Err(error), None),
        };
        let (ids, flush) = state.reserve_ids(count.into());
        self.wake_writer(state);
        Step::new(Ok(ids), flush)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.lock();
        match &state.ended {
            Some(error) => Err(error.clone()),
            // The writer may have looked for the last time.
            None if state.closing.is_some() => Err(StoreError::Closed),
            None => Ok(state),
        }
    }

    /// How much there is, also after the end.
    pub(super) fn counts(&self) -> Counts {
        self.lock().tables.counts()
    }

    /// Lets the writer finish; what is returned ends with it.
    pub(super) fn close(&self) -> Step<'_, ()> {
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
        Step::new(Ok(()), Some(closing))
    }

    /// For the writer: puts the next batch into `batch`, whose room is used again for the one after it. Says
    /// whether there is one, now or ever.
    pub(super) fn next_batch(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        let mut lazy_until = Instant::now() + LAZY_FLUSH;
        loop {
            let now = Instant::now();
            if state.is_urgent(now) || (!state.batch.is_empty() && state.closing.is_some()) {
                break;
            }
            if state.closing.is_some() {
                return false;
            }
            let (writer, until) = match state.waiting {
                0 => (Writer::Dozing, lazy_until),
                _ => (Writer::Gathering, state.gathering.1),
            };
            if until > now {
                state.writer = writer;
                state = self.work.wait_timeout(state, until - now).expect("no step panics").0;
            } else if state.batch.is_empty() {
                state.writer = Writer::Sleeping;
                state = self.work.wait(state).expect("no step panics");
                lazy_until = Instant::now() + LAZY_FLUSH;
            } else {
                break;
            }
        }
        state.writer = Writer::Busy;
        state.flushing = mem::take(&mut state.growing);
        state.released = mem::take(&mut state.waiting);
        mem::swap(&mut state.batch, batch);
        state.flushing_settles = batch.is_settling;
        state.ids.written = state.ids.kept;
        true
    }

    /// For the writer: its batch is durable, which the disk took so long for.
    pub(super) fn flushed(&self, took: Duration) {
        let flush = {
            let mut state = self.lock();
            state.flushing_settles = false;
            state.ids.durable = state.ids.written;
            let limit = took.min(LONGEST_GATHERING);
            state.gathering = (state.released + state.waiting, Instant::now() + limit);
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
        let is_pressing = state.is_large() || state.closing.is_some();
        let has_work = match state.writer {
            Writer::Busy => false,
            Writer::Gathering => is_pressing || state.waiting >= state.gathering.0,
            Writer::Dozing => is_pressing || state.waiting > 0,
            Writer::Sleeping => is_pressing || !state.batch.is_empty(),
        };
        if has_work {
            state.writer = Writer::Busy;
            drop(state);
            self.work.notify_one();
        }
    }
}

impl State {
    /// The batch is to be written now.
    fn is_urgent(&self, now: Instant) -> bool {
        let (enough, until) = self.gathering;
        self.is_large() || (self.waiting > 0 && (self.waiting >= enough || now >= until))
    }

    fn is_large(&self) -> bool {
        self.batch.len() >= LARGE_BATCH || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.batch.bytes >= FULL_BATCH
    }

    fn wait(&mut self, wait: Wait) -> Option<Arc<Flush>> {
        match wait {
            Wait::Settled if self.batch.is_settling => {}
            Wait::Settled if self.flushing_settles => return Some(Arc::clone(&self.flushing)),
            Wait::Nothing | Wait::Settled => return None,
        }
        Some(self.wait_for_growing())
    }

    fn wait_for_growing(&mut self) -> Arc<Flush> {
        self.waiting += 1;
        Arc::clone(&self.growing)
    }

    fn reserve_ids(&mut self, count: i64) -> (Range<i64>, Option<Arc<Flush>>) {
        let ids = &mut self.ids;
        let taken = ids.next..ids.next + count;
        ids.next = taken.end;
        if ids.kept < taken.end + FEW_BLOCKS * count {
            ids.kept = taken.end + MANY_BLOCKS * count;
            self.batch.next_id = Some(ids.kept);
        }
        let flush = if taken.end <= ids.durable {
            None
        } else if taken.end <= ids.written {
            Some(Arc::clone(&self.flushing))
        } else {
            Some(self.wait_for_growing())
        };
        (taken, flush)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody waits for a change.
    fn change(shared: &Shared) {
        let step = shared.step(Wait::Settled, |state| {
            state.batch.next_id = Some(2);
            state.batch.is_settling = true;
        });
        assert!(step.flush.is_some());
    }

    fn poll<T: Unpin>(step: &mut Step<'_, T>) -> Poll<Result<T, StoreError>> {
        Pin::new(step).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_answer_leaves_with_its_flush_whoever_waits_for_it() {
        let (shared, mut batch) = (Shared::new(Tables::new(0), 1), Batch::default());
        let mut step = shared.reserve_ids(1);
        assert!(poll(&mut step).is_pending());
        assert!(shared.next_batch(&mut batch));
        assert!(poll(&mut step).is_pending(), "it is being written");
        shared.flushed(Duration::ZERO);
        assert_eq!(poll(&mut step), Poll::Ready(Ok(1..2)));
    }

    /// A begin that needs a new block finds it on disk already.
    #[test]
    fn numbers_are_kept_ahead_of_need() {
        let (shared, mut batch) = (Shared::new(Tables::new(0), 1), Batch::default());
        let first = shared.reserve_ids(10);
        assert!(first.flush.is_some());
        let mut flushes = 0;
        for block in 1..100 {
            if !shared.lock().batch.is_empty() {
                flushes += 1;
                assert!(
                    shared.lock().batch.next_id >= Some(block * 10 + 10),
                    "more than was given out is kept"
                );
                shared.lock().waiting += 1;
                assert!(shared.next_batch(&mut batch));
                shared.flushed(Duration::ZERO);
                batch = Batch::default();
            }
            let mut step = shared.reserve_ids(10);
            assert_eq!(poll(&mut step), Poll::Ready(Ok(block * 10 + 1..block * 10 + 11)));
        }
        assert!(flushes < 100 / 3, "{flushes}");
    }

    /// However many come and however much they bring, a batch is written before it has grown much beyond its bound.
    #[test]
    fn who_would_let_a_full_batch_grow_waits_for_its_flush() {
        let (shared, mut batch) = (Shared::new(Tables::new(0), 1), Batch::default());
        let bring = |state: &mut State| {
            state.batch.next_id = Some(1);
            state.batch.bytes += FULL_BATCH / 2 + 1;
        };
        let mut steps: Vec<_> = (0..5).map(|_| shared.growing_step(Wait::Nothing, bring)).collect();
        let mut rounds = Vec::new();
        while !steps.is_empty() {
            let before = steps.len();
            steps.retain_mut(|step| poll(step).is_pending());
            rounds.push(before - steps.len());
            assert!(shared.lock().batch.bytes <= FULL_BATCH * 3 / 2);
            assert!(shared.next_batch(&mut batch));
            shared.flushed(Duration::ZERO);
            batch = Batch::default();
        }
        assert_eq!(rounds, [2, 2, 1]);
        let held_back = [
            shared.growing_step(Wait::Nothing, bring),
            shared.growing_step(Wait::Nothing, bring),
            shared.growing_step(Wait::Nothing, bring),
        ];
        assert!(shared.lock().is_full());
        assert_eq!(poll(&mut shared.step(Wait::Nothing, |_| 7)), Poll::Ready(Ok(7)), "it ends something");
        shared.end(StoreError::Closed);
        let ends = held_back.map(|mut step| poll(&mut step));
        assert_eq!(ends, [Poll::Ready(Ok(())), Poll::Ready(Ok(())), Poll::Ready(Err(StoreError::Closed))]);
    }

    /// It is moved into the future of each request.
    #[test]
    fn a_step_is_small() {
        use crate::store::{Decided, Found, Registered};
        let sizes = [
            size_of::<Step<Registered>>(),
            size_of::<Step<Decided>>(),
            size_of::<Step<Found>>(),
            size_of::<Step<()>>(),
        ];
        assert!(sizes.iter().all(|size| *size <= 192), "{sizes:?}");
    }

    #[test]
    fn a_flush_is_put_off_until_those_are_back_whom_the_last_one_let_go() {
        let shared = Shared::new(Tables::new(0), 1);
        let far = Instant::now() + Duration::from_secs(60);
        shared.lock().gathering = (2, far);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| shared.next_batch(&mut Batch::default()));
            change(&shared);
            while shared.lock().writer != Writer::Gathering {
                std::thread::yield_now();
            }
            assert!(!writer.is_finished(), "the second is not back");
            change(&shared);
            assert!(writer.join().unwrap());
        });
        assert!(Instant::now() < far);
        shared.flushed(Duration::from_secs(60));
        let (enough, until) = shared.lock().gathering;
        assert_eq!(enough, 2);
        assert!(until <= Instant::now() + LONGEST_GATHERING, "a slow disk does not make it wait for long");
    }

    #[test]
    fn a_flush_is_not_put_off_for_one_alone_nor_beyond_its_time() {
        let shared = Shared::new(Tables::new(0), 1);
        for gathering in [(1, Instant::now() + Duration::from_secs(60)), (2, Instant::now())] {
            change(&shared);
            shared.lock().gathering = gathering;
            let start = Instant::now();
            assert!(shared.next_batch(&mut Batch::default()));
            assert!(start.elapsed() < Duration::from_secs(30));
            shared.flushed(Duration::ZERO);
        }
    }
}
