//! Who waits for which rows, and in which order they get them.
//!
//! A store grants rows in one atomic step, to whoever comes; the queue says who may come. A registration
//! that met a conflict *enters*, and asks again only when nobody is *ahead* of it: no earlier one that
//! wants one of the same rows. It sleeps when it is ahead of all and the store still names a holder, and only
//! when it listened to that holder before it asked: what the holder frees from then on wakes it, what it freed
//! before the store has seen. So no step between a conflict and the sleep can be missed.
//!
//! An earlier one that waits, in the end, for the asker's own transaction is passed: it cannot go on
//! before the asker has. A holder that waits, in the end, for the asker is a dead lock.
//!
//! Nobody's turn depends on somebody waking up: a [`Place`] that is dropped wakes those behind it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;
use seata_protocol::{ResourceId, RowLock, TransactionId, Xid};
use tokio::sync::Notify;

use crate::{
    driver::LockWaiter,
    record::{LockSet, Millis, put_row_text, row_lock},
};

/// What a row's table and key together may be long, in bytes, to count as one row. So the limit of rows is one of
/// bytes, too.
const ROW: usize = 256;

/// The registrations that wait for rows.
#[derive(Debug, Default)]
pub(super) struct LockQueue {
    /// How many they are, so that nobody takes the lock when there is none.
    count: AtomicUsize,
    state: Mutex<State>,
}

/// Counts up from the first that ever waited: the age of a waiter.
type Ticket = u64;

#[derive(Debug, Default)]
struct State {
    next: Ticket,
    is_closed: bool,
    waiters: BTreeMap<Ticket, Waiter>,
    /// Who wants a row, from the oldest.
    rows: HashMap<ResourceId, HashMap<Box<str>, BTreeSet<Ticket>>>,
    /// The waiters of one transaction.
    of: HashMap<TransactionId, BTreeSet<Ticket>>,
    /// Who listens to a holder.
    on: HashMap<TransactionId, BTreeSet<Ticket>>,
    /// Who is behind a waiter.
    behind: HashMap<Ticket, BTreeSet<Ticket>>,
    /// How many rows all of them want, each counted for each of them, and a long one as several.
    wanted_rows: usize,
    /// How many waiters a client has.
    clients: HashMap<Arc<str>, usize>,
    #[cfg(test)]
    steps: std::cell::Cell<usize>,
}

#[derive(Debug)]
struct Waiter {
    transaction: TransactionId,
    wanted: Wanted,
    since: Millis,
    /// The row that it cannot have, as far as it knows, and because of whom.
    blocked: (RowLock, Xid),
    holders: Vec<TransactionId>,
    /// Sorted.
    ahead: Vec<Ticket>,
    /// Its own transaction may have been decided meanwhile.
    is_in_doubt: bool,
    wake: Arc<Notify>,
}

/// The rows that a registration wants, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) xid: Xid,
    pub(super) resource: ResourceId,
    pub(super) rows: LockSet,
    /// Who asks; empty for this process.
    pub(super) client: Arc<str>,
}

impl Wanted {
    /// How many rows it counts as.
    fn room(&self) -> usize {
        self.rows.rows().map(|row| row.len().div_ceil(ROW).max(1)).sum()
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) waiters: usize,
    pub(super) per_client: usize,
    pub(super) rows: usize,
}

/// A registration's place in the queue, given up when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    queue: &'a LockQueue,
    ticket: Ticket,
    wake: Arc<Notify>,
}

/// Why nobody can enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    Full,
    Closed,
}

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It asks the store.
    Ask,
    /// Somebody is ahead: it sleeps.
    Sleep,
    /// It looks whether its own transaction still takes branches.
    Check,
    /// There is nothing to wait for any more.
    Closed,
}

/// What a waiter does after the store has named the holders of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// It listened to them before it asked: it sleeps.
    Known,
    /// It listens to them from now on, and asks once more.
    New,
    /// They wait, in the end, for its own transaction: from the asker round to the asker.
    DeadLock(Vec<Xid>),
}

impl LockQueue {
    /// Whether nobody waits. A step of the store lies between a waiter's entering and its sleep, and another
    /// between freeing a row and this question, so that no stronger ordering is needed.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The first row that somebody wants who is ahead of a newcomer, and the transaction that is to have it next.
    pub(super) fn barrier(
        &self,
        asker: TransactionId,
        resource: &ResourceId,
        rows: &LockSet,
    ) -> Option<(RowLock, Xid)> {
        if self.is_empty() {
            return None;
        }
        let state = self.lock();
        let (row, nearest) = state.ahead(asker, resource, rows, Ticket::MAX, 1).into_iter().next()?;
        let tickets = state.rows.get(resource).and_then(|rows| rows.get(row));
        let first = tickets.and_then(BTreeSet::first).unwrap_or(&nearest);
        Some((row_lock(resource, row), state.waiters[first].wanted.xid.clone()))
    }

    /// Takes the last place; `blocked` is the row that could not be had, and because of whom.
    pub(super) fn enter(
        &self,
        wanted: Wanted,
        blocked: (RowLock, Xid),
        since: Millis,
        limits: Limits,
    ) -> Result<Place<'_>, NoPlace> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(NoPlace::Closed);
        }
        let wanted_rows = state.wanted_rows + wanted.room();
        let of_client = state.clients.get(&wanted.client).map_or(0, |count| *count);
        if state.waiters.len() >= limits.waiters
            || wanted_rows > limits.rows
            || (of_client >= limits.per_client && !wanted.client.is_empty())
        {
            return Err(NoPlace::Full);
        }
        state.wanted_rows = wanted_rows;
        if !wanted.client.is_empty() {
            *state.clients.entry(Arc::clone(&wanted.client)).or_default() += 1;
        }
        let ticket = state.next;
        state.next += 1;
        let transaction = wanted.xid.transaction_id();
        let rows = state.rows.entry(wanted.resource.clone()).or_default();
        for row in wanted.rows.rows() {
            rows.entry(row.into()).or_default().insert(ticket);
        }
        state.of.entry(transaction).or_default().insert(ticket);
        let wake = Arc::new(Notify::new());
        let waiter = Waiter {
            transaction,
            wanted,
            since,
            blocked,
            holders: Vec::new(),
            ahead: Vec::new(),
            is_in_doubt: false,
            wake: Arc::clone(&wake),
        };
        state.waiters.insert(ticket, waiter);
        self.count.store(state.waiters.len(), Ordering::Relaxed);
        Ok(Place { queue: self, ticket, wake })
    }

    /// The transaction was decided, or rows of it were freed, or both may be so.
    pub(super) fn changed(&self, transaction: TransactionId) {
        if self.is_empty() {
            return;
        }
        let mut state = self.lock();
        let state = &mut *state;
        for ticket in state.of.get(&transaction).into_iter().flatten() {
            if let Some(waiter) = state.waiters.get_mut(ticket) {
                waiter.is_in_doubt = true;
                waiter.wake.notify_one();
            }
        }
        // They ask anew; until then nobody knows that they wait for it.
        let listeners = state.on.remove(&transaction);
        for ticket in listeners.iter().flatten() {
            if let Some(waiter) = state.waiters.get_mut(ticket) {
                waiter.holders.retain(|holder| *holder != transaction);
            }
        }
        state.wake(listeners.as_ref());
    }

    /// Carries out a step of the store that may decide the transaction or free rows of it, and tells of the
    /// change. First when the step waits for the disk: a decision has its place in the store's order by then, so
    /// that who gets the rows comes after it there, and one flush may do for both. A report may still be held back;
    /// whoever asks then finds the rows held, and listens. And again at its end, when it has been taken in any
    /// case: whatever it came to, and whoever stopped to wait for its answer.
    pub(super) async fn changes<T>(&self, transaction: TransactionId, step: impl Future<Output = T>) -> T {
        let _end = Changes { queue: self, transaction };
        let mut step = pin!(step);
        let mut is_told = false;
        poll_fn(|context| {
            let poll = step.as_mut().poll(context);
            if poll.is_pending() && !std::mem::replace(&mut is_told, true) {
                self.changed(transaction);
            }
            poll
        })
        .await
    }

    /// Nobody gets anything any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiters.values().for_each(|waiter| waiter.wake.notify_one());
    }

    /// Up to `limit` waiters, from the oldest.
    pub(super) fn list(&self, limit: usize) -> Vec<LockWaiter> {
        self.lock().waiters.values().take(limit).map(Waiter::view).collect()
    }

    /// The same of those that want this row.
    pub(super) fn list_for(&self, row: &RowLock, limit: usize) -> Vec<LockWaiter> {
        let mut text = String::new();
        put_row_text(&mut text, &row.table, row.key.as_str());
        let state = self.lock();
        let tickets = state.rows.get(&row.resource).and_then(|rows| rows.get(&*text)).into_iter().flatten();
        tickets.take(limit).map(|ticket| state.waiters[ticket].view()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }
}

impl Place<'_> {
    /// Whether it is this one's turn.
    pub(super) fn turn(&self) -> Turn {
        let mut state = self.queue.lock();
        if state.is_closed {
            return Turn::Closed;
        }
        if std::mem::take(&mut state.waiter(self.ticket).is_in_doubt) {
            return Turn::Check;
        }
        let waiter = &state.waiters[&self.ticket];
        let Wanted { resource, rows, .. } = &waiter.wanted;
        let ahead = state.ahead(waiter.transaction, resource, rows, self.ticket, usize::MAX);
        let Some((row, first)) = ahead.first() else {
            state.follow(self.ticket, Vec::new());
            return Turn::Ask;
        };
        let blocked = (row_lock(resource, row), state.waiters[first].wanted.xid.clone());
        let mut ahead: Vec<Ticket> = ahead.iter().map(|(_, ticket)| *ticket).collect();
        ahead.sort_unstable();
        ahead.dedup();
        state.waiter(self.ticket).blocked = blocked;
        state.listen(self.ticket, Vec::new());
        state.follow(self.ticket, ahead);
        Turn::Sleep
    }

    /// The store has refused the rows because of these holders; the first of them has `row`.
    pub(super) fn is_blocked(&self, row: RowLock, holders: &[Xid]) -> Blocked {
        let mut state = self.queue.lock();
        let transactions: Vec<_> = holders.iter().map(Xid::transaction_id).collect();
        if state.waiters[&self.ticket].holders == transactions {
            return Blocked::Known;
        }
        let asker = state.waiters[&self.ticket].transaction;
        if let Some(way) = state.way(&transactions, asker)
            && let Some(holder) = holders.iter().find(|holder| Some(&holder.transaction_id()) == way.first())
        {
            return Blocked::DeadLock(state.cycle(self.ticket, holder, &way));
        }
        if let Some(first) = holders.first() {
            state.waiter(self.ticket).blocked = (row, first.clone());
        }
        state.listen(self.ticket, transactions);
        Blocked::New
    }

    /// Sleeps until something changed. Nothing that changes before this call is missed.
    pub(super) async fn wake(&self) {
        self.wake.notified().await;
    }

    /// What it waited for last.
    pub(super) fn blocked(&self) -> (RowLock, Xid) {
        self.queue.lock().waiters[&self.ticket].blocked.clone()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.leave(self.ticket);
        self.queue.count.store(state.waiters.len(), Ordering::Relaxed);
    }
}

/// Tells of a change when it is dropped.
#[derive(Debug)]
struct Changes<'a> {
    queue: &'a LockQueue,
    transaction: TransactionId,
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        self.queue.changed(self.transaction);
    }
}

/// Ends the waiting when there is no runner any more.
#[derive(Debug)]
pub(super) struct Closes(pub(super) Arc<LockQueue>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Waiter {
    fn view(&self) -> LockWaiter {
        LockWaiter {
            xid: self.wanted.xid.clone(),
            resource: self.wanted.resource.clone(),
            row: self.blocked.0.clone(),
            holder: self.blocked.1.clone(),
            since: self.since,
        }
    }
}

impl State {
    fn waiter(&mut self, ticket: Ticket) -> &mut Waiter {
        self.waiters.get_mut(&ticket).expect("it waits until its place is dropped")
    }

    /// For each row, for up to `limit` of them, the nearest one before `ticket` that has to have it first. One
    /// that waits for the asker's own transaction is passed.
    fn ahead<'a>(
        &self,
        asker: TransactionId,
        resource: &ResourceId,
        rows: &'a LockSet,
        ticket: Ticket,
        limit: usize,
    ) -> Vec<(&'a str, Ticket)> {
        let mut ahead = Vec::new();
        let Some(wanted) = self.rows.get(resource) else { return ahead };
        // Found out once, and only when somebody came earlier.
        let mut waiting = None;
        for row in rows.rows() {
            if ahead.len() == limit {
                break;
            }
            let Some(tickets) = wanted.get(row) else { continue };
            let nearest = tickets.range(..ticket).rev().find(|earlier| {
                self.count_step();
                let earlier = self.waiters[earlier].transaction;
                !waiting.get_or_insert_with(|| self.waiting_for(asker)).contains(&earlier)
            });
            if let Some(nearest) = nearest {
                ahead.push((row, *nearest));
            }
        }
        ahead
    }

    /// The other transactions that wait, in the end, for this one.
    fn waiting_for(&self, transaction: TransactionId) -> HashSet<TransactionId, RandomState> {
        let (mut seen, mut open) = (HashSet::default(), vec![transaction]);
        while let Some(current) = open.pop() {
            let own = self.of.get(&current).into_iter().flatten();
            let behind = own.filter_map(|ticket| self.behind.get(ticket)).flatten();
            for ticket in self.on.get(&current).into_iter().flatten().chain(behind) {
                self.count_step();
                let next = self.waiters[ticket].transaction;
                if next != transaction && seen.insert(next) {
                    open.push(next);
                }
            }
        }
        seen
    }

    /// From whom to whom the waiting goes from one of `from` until `to`, without `to`; `None` if none of them
    /// waits for it.
    fn way(&self, from: &[TransactionId], to: TransactionId) -> Option<Vec<TransactionId>> {
        let mut came_from = HashMap::<_, _, RandomState>::default();
        let mut seen: HashSet<TransactionId, RandomState> = from.iter().copied().collect();
        let mut open = from.to_vec();
        while let Some(current) = open.pop() {
            if current == to {
                let back = std::iter::successors(Some(to), |at| came_from.get(at).copied());
                let mut way: Vec<_> = back.skip(1).collect();
                way.reverse();
                return Some(way);
            }
            for ticket in self.of.get(&current).into_iter().flatten() {
                let waiter = &self.waiters[ticket];
                let ahead = waiter.ahead.iter().filter_map(|ticket| self.waiters.get(ticket));
                for next in waiter.holders.iter().copied().chain(ahead.map(|ahead| ahead.transaction)) {
                    self.count_step();
                    if seen.insert(next) {
                        came_from.insert(next, current);
                        open.push(next);
                    }
                }
            }
        }
        None
    }

    /// For tests of how much work it is.
    fn count_step(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    /// The asker, the holder, and so on round to the asker.
    fn cycle(&self, asker: Ticket, holder: &Xid, way: &[TransactionId]) -> Vec<Xid> {
        let asker = &self.waiters[&asker].wanted.xid;
        let between = way.iter().skip(1).filter_map(|transaction| {
            let ticket = self.of.get(transaction)?.first()?;
            Some(self.waiters[ticket].wanted.xid.clone())
        });
        let mut cycle = vec![asker.clone(), holder.clone()];
        cycle.extend(between);
        cycle.push(asker.clone());
        cycle
    }

    fn listen(&mut self, ticket: Ticket, holders: Vec<TransactionId>) {
        for holder in &holders {
            self.on.entry(*holder).or_default().insert(ticket);
        }
        let before = std::mem::replace(&mut self.waiter(ticket).holders, holders);
        let now = &self.waiters[&ticket].holders;
        for holder in before.iter().filter(|holder| !now.contains(holder)) {
            remove(&mut self.on, holder, ticket);
        }
    }

    fn follow(&mut self, ticket: Ticket, ahead: Vec<Ticket>) {
        for ahead in &ahead {
            self.behind.entry(*ahead).or_default().insert(ticket);
        }
        let before = std::mem::replace(&mut self.waiter(ticket).ahead, ahead);
        let now = &self.waiters[&ticket].ahead;
        for ahead in before.iter().filter(|ahead| now.binary_search(ahead).is_err()) {
            remove(&mut self.behind, ahead, ticket);
        }
    }

    fn leave(&mut self, ticket: Ticket) {
        self.listen(ticket, Vec::new());
        self.follow(ticket, Vec::new());
        let Some(waiter) = self.waiters.remove(&ticket) else { return };
        remove(&mut self.of, &waiter.transaction, ticket);
        self.wanted_rows -= waiter.wanted.room();
        if let Some(count) = self.clients.get_mut(&waiter.wanted.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&waiter.wanted.client);
            }
        }
        if let Some(rows) = self.rows.get_mut(&waiter.wanted.resource) {
            for row in waiter.wanted.rows.rows() {
                remove(rows, row, ticket);
            }
            if rows.is_empty() {
                self.rows.remove(&waiter.wanted.resource);
            }
        }
        let behind = self.behind.remove(&ticket);
        self.wake(behind.as_ref());
    }

    fn wake(&self, tickets: Option<&BTreeSet<Ticket>>) {
        for waiter in tickets.into_iter().flatten().filter_map(|ticket| self.waiters.get(ticket)) {
            waiter.wake.notify_one();
        }
    }
}

/// Takes `ticket` out of the set of `key`, and an empty set away.
fn remove<K, Q>(sets: &mut HashMap<K, BTreeSet<Ticket>>, key: &Q, ticket: Ticket)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(tickets) = sets.get_mut(key) {
        tickets.remove(&ticket);
        if tickets.is_empty() {
            sets.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
