//! The requests that wait for an answer, by id.
//!
//! Three forms of answer reach a call: a response with its own id; its place in the one answer to the merged
//! frame it travelled in (no ids inside); its id in one of several batched answers to that frame. Whether a
//! server uses the one or the other depends on its version and its configuration, so all are understood.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use seata_protocol::frame::Frame;
use seata_protocol::{Batch, DecodeError, EncodeError, Limits, Message};
use tokio::sync::oneshot;

/// The calls of one connection that wait.
#[derive(Default)]
pub(super) struct Pending {
    table: Mutex<Table>,
    unclaimed: AtomicU64,
}

#[derive(Default)]
struct Table {
    ended: bool,
    calls: HashMap<i32, Waiting>,
    merged: HashMap<i32, Group>,
}

struct Waiting {
    answer: oneshot::Sender<Answer>,
    merged_in: Option<i32>,
}

/// The requests of one merged frame, in its order. It is forgotten with the last of its calls, so there are
/// never more groups than calls.
struct Group {
    ids: Vec<i32>,
    waiting: usize,
}

/// What came for a call.
#[derive(Debug)]
pub(super) enum Answer {
    /// A frame of its own. It is decoded by the caller: on the caller's thread, at the caller's risk.
    Frame(Frame),
    /// A part of a merged answer.
    Message(Message),
    /// The merged answer that should hold it cannot be read.
    Unreadable(DecodeError),
    /// The merged answer holds another number of results than the frame held requests.
    Unassignable { requests: usize, answers: usize },
    /// It could not be written after all.
    Unsendable(EncodeError),
}

/// A call's place in the table, given back on drop.
pub(super) struct Call<'a> {
    pending: &'a Pending,
    id: i32,
    answer: oneshot::Receiver<Answer>,
}

impl Pending {
    /// A place for a call, or `None` when the connection has ended.
    pub(super) fn register(&self) -> Option<Call<'_>> {
        let (sender, answer) = oneshot::channel();
        let mut table = self.lock();
        if table.ended {
            return None;
        }
        let id = table.free_id(next_id);
        let waiting = Waiting { answer: sender, merged_in: None };
        table.calls.insert(id, waiting);
        Some(Call { pending: self, id, answer })
    }

    /// An id for a frame that nobody waits for the answer of.
    pub(super) fn next_id(&self) -> i32 {
        self.lock().free_id(next_id)
    }

    /// How many answers came that nobody waited for, or waited for any more.
    pub(super) fn unclaimed(&self) -> u64 {
        self.unclaimed.load(Ordering::Relaxed)
    }

    /// Hands a response frame to whoever waits for it.
    pub(super) fn settle(&self, frame: Frame, limits: &Limits) {
        let id = frame.header.id;
        let mut table = self.lock();
        if let Some(waiting) = table.remove(id) {
            drop(table);
            self.deliver(waiting, Answer::Frame(frame));
            return;
        }
        let is_group = table.merged.contains_key(&id);
        drop(table);
        if is_group {
            self.settle_group(id, &frame, limits);
        } else {
            self.count_unclaimed(id);
        }
    }

    /// The call of `id` fails before it was sent.
    pub(super) fn refuse(&self, id: i32, error: EncodeError) {
        let waiting = self.lock().remove(id);
        if let Some(waiting) = waiting {
            self.deliver(waiting, Answer::Unsendable(error));
        }
    }

    /// Which of these requests still have somebody waiting for the answer.
    pub(super) fn retain_waiting(&self, requests: &mut Vec<(i32, Message)>) {
        let table = self.lock();
        requests.retain(|(id, _)| table.calls.contains_key(id));
    }

    /// Notes that the requests `ids` travel in the merged frame `frame`, in this order.
    pub(super) fn group(&self, frame: i32, ids: Vec<i32>) {
        let mut table = self.lock();
        let mut waiting = 0;
        for id in &ids {
            if let Some(call) = table.calls.get_mut(id) {
                call.merged_in = Some(frame);
                waiting += 1;
            }
        }
        if waiting > 0 {
            table.merged.insert(frame, Group { ids, waiting });
        }
    }

    /// Every call ends without an answer, and no new one is taken.
    pub(super) fn end(&self) {
        let mut table = self.lock();
        table.ended = true;
        table.merged.clear();
        let calls = std::mem::take(&mut table.calls);
        drop(table);
        // Dropping a sender wakes its caller; not under the lock.
        drop(calls);
    }

    fn settle_group(&self, frame_id: i32, frame: &Frame, limits: &Limits) {
        match frame.message(limits).map(|decoded| decoded.message) {
            Ok(Message::MergeResult(answers)) => self.settle_by_position(frame_id, answers),
            Ok(Message::BatchResult(batch)) => self.settle_by_id(frame_id, batch),
            // One answer to all of them.
            Ok(_) => self.fail_group(frame_id, |requests| Answer::Unassignable { requests, answers: 1 }),
            Err(error) => self.fail_group(frame_id, |_| Answer::Unreadable(error.clone())),
        }
    }

    fn settle_by_position(&self, frame_id: i32, answers: Vec<Message>) {
        let mut table = self.lock();
        let Some(group) = table.merged.get(&frame_id) else {
            return;
        };
        let ids = group.ids.clone();
        if ids.len() != answers.len() {
            drop(table);
            // Which ones are missing is nowhere said: better no answer than another's branch id.
            let answers = answers.len();
            self.fail_group(frame_id, |requests| Answer::Unassignable { requests, answers });
            return;
        }
        let settled: Vec<_> = ids.iter().map(|&id| table.remove(id)).collect();
        drop(table);
        for ((id, waiting), answer) in ids.into_iter().zip(settled).zip(answers) {
            match waiting {
                Some(waiting) => self.deliver(waiting, Answer::Message(answer)),
                None => self.count_unclaimed(id),
            }
        }
    }

    fn settle_by_id(&self, frame_id: i32, batch: Batch) {
        for (id, answer) in batch.ids.into_iter().zip(batch.messages) {
            let mut table = self.lock();
            let belongs = table.calls.get(&id).is_some_and(|call| call.merged_in == Some(frame_id));
            let waiting = if belongs { table.remove(id) } else { None };
            drop(table);
            match waiting {
                Some(waiting) => self.deliver(waiting, Answer::Message(answer)),
                None => self.count_unclaimed(id),
            }
        }
    }

    fn fail_group(&self, frame_id: i32, answer: impl Fn(usize) -> Answer) {
        let mut table = self.lock();
        let Some(ids) = table.merged.get(&frame_id).map(|group| group.ids.clone()) else {
            return;
        };
        let failed: Vec<_> = ids.iter().filter_map(|&id| table.remove(id)).collect();
        drop(table);
        for waiting in failed {
            self.deliver(waiting, answer(ids.len()));
        }
    }

    fn deliver(&self, waiting: Waiting, answer: Answer) {
        if waiting.answer.send(answer).is_err() {
            self.unclaimed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_unclaimed(&self, id: i32) {
        self.unclaimed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(id, "an answer came that nobody waits for");
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No code that can panic runs under the lock, so a poisoned table is a whole one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The first of these ids that neither a call nor a merged frame has.
    fn free_id(&self, mut ids: impl FnMut() -> i32) -> i32 {
        loop {
            let id = ids();
            if !self.calls.contains_key(&id) && !self.merged.contains_key(&id) {
                return id;
            }
        }
    }

    fn remove(&mut self, id: i32) -> Option<Waiting> {
        let waiting = self.calls.remove(&id)?;
        if let Some(frame) = waiting.merged_in
            && let Some(group) = self.merged.get_mut(&frame)
        {
            group.waiting -= 1;
            if group.waiting == 0 {
                self.merged.remove(&frame);
            }
        }
        Some(waiting)
    }
}

/// The next id of this process: from 0 to the largest `i32`, and from 0 again.
///
/// All connections count together. When a connection is gone, a Java server sends its answers over another one
/// of the same application: with a count of its own, some other call would take them for its own. The start is
/// random, as that may even be another process on the same host.
fn next_id() -> i32 {
    static COUNT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(rand::random()));
    to_id(COUNT.fetch_add(1, Ordering::Relaxed))
}

fn to_id(count: u32) -> i32 {
    i32::try_from(count & i32::MAX.unsigned_abs()).expect("the sign bit is off")
}

impl Call<'_> {
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// What came, or `None` when the connection ended first.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // An answered call has left the table, and its id may already be another call's.
        if !self.answer.is_terminated() {
            self.pending.lock().remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pending {
        /// Whether neither a call nor a merged frame is remembered.
        pub(in crate::connection) fn is_empty(&self) -> bool {
            let table = self.lock();
            table.calls.is_empty() && table.merged.is_empty()
        }
    }

    #[test]
    fn ids_wrap_to_zero_and_leave_out_those_in_flight() {
        let pending = Pending::default();
        let call = pending.register().unwrap();
        let group = pending.next_id();
        pending.group(group, vec![call.id()]);
        let mut ids = [call.id(), group, call.id(), 7].into_iter();
        assert_eq!(pending.lock().free_id(|| ids.next().unwrap()), 7);
        let wrapped = [i32::MAX as u32, i32::MAX as u32 + 1, u32::MAX, 0].map(to_id);
        assert_eq!(wrapped, [i32::MAX, 0, i32::MAX, 0]);
    }

    #[test]
    fn an_ended_table_takes_nobody() {
        let pending = Pending::default();
        pending.end();
        assert!(pending.register().is_none());
    }
}
