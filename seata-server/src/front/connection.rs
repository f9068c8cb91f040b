//! One client's connection: a task that reads, works and writes.
//!
//! Each time it is woken it reads what has come, goes on with the requests that are under way, and writes all
//! answers that are ready at once. Nothing in it is unbounded: with too many bytes to write it stops reading; a
//! client that does not read its answers is left, and so is one with too many requests that wait for others of
//! its own. To stop reading for these would keep back the very answers of phase two that they wait for.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, BytesMut};
use seata_protocol::{FrameDecoder, Release};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use self::{backlog::Backlog, end::End, flights::Flights};
use super::{
    clients::{Closing, Peer},
    desk::{Desk, Stage},
    incoming::{Merged, Origin},
    names::Names,
    requests::{Answer, Asker, Request, carry_out},
};

mod backlog;
mod end;
mod flights;
#[cfg(test)]
mod tests;
mod work;

/// How much is read at once.
const READ: usize = 64 << 10;
/// After so many reads others have their turn.
const READS_IN_A_ROW: usize = 4;
/// With so many bytes to write no more is read.
const MUCH_TO_WRITE: usize = 1 << 20;
/// With so many bytes of requests that wait for others of the same client it is left.
const TOO_MUCH_TO_DO: usize = 16 << 20;
/// What a buffer that is empty keeps for the next bytes, while they come.
const KEPT: usize = 16 << 10;
/// What the memory of a request or an answer is counted as, beside what it keeps.
const MESSAGE: usize = 256;

thread_local! {
    /// What a read goes to first: connections that are idle need no memory of their own for it.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Serves a client until one of both ends the connection. If the future is dropped, it has ended too.
pub(super) async fn serve<S>(stream: S, address: SocketAddr, desk: Arc<Desk>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection::new(stream, address, desk, carry_out);
    let end = poll_fn(|context| connection.poll(context)).await;
    connection.note(&end);
}

struct Connection<S, F: Future> {
    stream: S,
    peer: Arc<Peer>,
    desk: Arc<Desk>,
    /// Who it is, once it is registered.
    asker: Option<Asker>,
    decoder: FrameDecoder,
    incoming: BytesMut,
    /// The most that `incoming` has held since its memory was new.
    incoming_peak: usize,
    out: BytesMut,
    carry_out: fn(Arc<Desk>, Release, Request) -> F,
    work: Flights<Origin, F>,
    /// How many requests are under way, and what they keep.
    under_way: usize,
    under_way_bytes: usize,
    /// Requests beyond those that are worked on at a time. What else comes is taken at once, above all the
    /// answers of phase two, for which a client's own requests may be waiting.
    backlog: Backlog,
    merged: Merged,
    names: Names,
    /// What ends it once all that is ready is written.
    end: Option<End>,
    /// Reading has stopped because too much is kept.
    is_blocked: bool,
    /// Something in front of the socket keeps bytes back.
    is_to_flush: bool,
    since: Instant,
    /// When it was last woken.
    now: Instant,
    last_read: Instant,
    /// Since when nothing of what is to be written was taken.
    stuck: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    /// Whom the alarm wakes.
    alarmed: Option<Waker>,
    reason: &'static str,
}

impl<S, F> Connection<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Option<Answer>>,
{
    fn new(
        stream: S,
        address: SocketAddr,
        desk: Arc<Desk>,
        carry_out: fn(Arc<Desk>, Release, Request) -> F,
    ) -> Self {
        desk.metrics.connection_opened();
        let now = Instant::now();
        Self {
            stream,
            peer: desk.clients.welcome(address),
            asker: None,
            decoder: FrameDecoder::new(desk.limits),
            incoming: BytesMut::new(),
            incoming_peak: 0,
            out: BytesMut::new(),
            carry_out,
            work: Flights::new(),
            under_way: 0,
            under_way_bytes: 0,
            backlog: Backlog::default(),
            merged: Merged::default(),
            names: Names::default(),
            end: None,
            is_blocked: false,
            is_to_flush: false,
            since: now,
            now,
            last_read: now,
            stuck: None,
            alarm: Box::pin(sleep_until(now + desk.settings.patience.min(desk.settings.read_idle))),
            alarmed: None,
            desk,
            reason: "stopping",
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        match self.advance(context) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(End::Stopping),
            Err(end) => Poll::Ready(end),
        }
    }

    /// Does all that can be done now. Returns whether this was the last.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        match self.peer.watch(context.waker()) {
            None => {}
            Some(Closing::Asked) => return Err(End::Asked),
            Some(Closing::Greedy) => return Err(End::Greedy),
        }
        self.now = Instant::now();
        let is_last = self.desk.stage() == Stage::Closing;
        let mut waiting_elsewhere = 0;
        for turn in 1.. {
            let has_read = !is_last && self.read(context)?;
            self.collect(context);
            let has_room = self.out.len() < MUCH_TO_WRITE;
            waiting_elsewhere = self.peer.take_outgoing(has_room.then_some(&mut self.out));
            if !has_read && (is_last || !self.can_go_on()) {
                break;
            }
            if turn >= READS_IN_A_ROW {
                context.waker().wake_by_ref();
                break;
            }
        }
        self.write(context)?;
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.count(waiting_elsewhere);
        self.look_at_clock(context)?;
        Ok(is_last && self.out.is_empty() && !self.is_to_flush)
    }

    /// Takes in what has come. Returns whether there may be more.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        self.take_backlog()?;
        self.take_frames()?;
        self.is_blocked = !self.reads_on();
        if self.is_blocked {
            return Ok(false);
        }
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                Poll::Pending => Ok(None),
                Poll::Ready(Err(error)) => Err(End::Broken(error)),
                Poll::Ready(Ok(())) => {
                    self.incoming.extend_from_slice(read.filled());
                    Ok(Some(read.filled().len()))
                }
            }
        })?;
        match read {
            None => Ok(false),
            Some(0) if self.incoming.is_empty() => Err(End::ClosedByClient),
            Some(0) => Err(End::CutShort),
            Some(_) => {
                self.last_read = self.now;
                self.incoming_peak = self.incoming_peak.max(self.incoming.len());
                self.take_frames()?;
                Ok(true)
            }
        }
    }

    fn take_frames(&mut self) -> Result<(), End> {
        while !self.incoming.is_empty() && self.reads_on() {
            let Some(frame) = self.decoder.next(&mut self.incoming)? else { break };
            if work::is_request(&frame) && (!self.backlog.is_empty() || !self.takes_requests()) {
                self.backlog.push_frame(frame, self.now.into_std());
            } else {
                self.take(frame, self.now.into_std())?;
            }
        }
        if self.backlog.bytes() > TOO_MUCH_TO_DO {
            return Err(End::Flooding(self.backlog.bytes()));
        }
        if self.incoming.is_empty() && self.incoming_peak > KEPT {
            (self.incoming, self.incoming_peak) = (BytesMut::new(), 0);
        }
        Ok(())
    }

    fn reads_on(&self) -> bool {
        self.out.len() < MUCH_TO_WRITE
    }

    fn takes_requests(&self) -> bool {
        self.out.len() < MUCH_TO_WRITE && self.under_way < self.desk.settings.max_requests_per_connection
    }

    /// Whether something that had stopped may go on: nothing else would wake the task for it.
    fn can_go_on(&self) -> bool {
        self.is_blocked && self.reads_on() || !self.backlog.is_empty() && self.takes_requests()
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        if self.out.is_empty() && !self.is_to_flush {
            return Ok(());
        }
        let had_much = self.out.len() >= MUCH_TO_WRITE;
        while !self.out.is_empty() {
            self.is_to_flush = true;
            match Pin::new(&mut self.stream).poll_write(context, &self.out) {
                Poll::Ready(Ok(0)) => return Err(End::ClosedByClient),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.stuck = None;
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => {
                    self.stuck.get_or_insert(self.now);
                    return Ok(());
                }
            }
        }
        if self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        }
        // What others want to send waited for the room.
        if had_much || self.can_go_on() {
            context.waker().wake_by_ref();
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(Err(error)) => return Err(error.into()),
            Poll::Ready(Ok(())) => {
                self.is_to_flush = false;
                self.stuck = None;
            }
            Poll::Pending => {
                self.stuck.get_or_insert(self.now);
            }
        }
        Ok(())
    }

    /// Counts its bytes among those of all connections.
    fn count(&self, waiting_elsewhere: usize) {
        let kept = self.backlog.bytes() + self.under_way_bytes + self.names.bytes();
        let answers = self.merged.waiting() * MESSAGE;
        let bytes = self.incoming.len() + self.out.len() + waiting_elsewhere + kept + answers;
        self.desk.count(&self.peer, bytes);
    }

    fn look_at_clock(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        let (at, _) = self.next_limit();
        let is_set = self.alarmed.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_set && at >= self.alarm.deadline() && self.now < self.alarm.deadline() {
            return Ok(());
        }
        self.alarmed = Some(context.waker().clone());
        loop {
            let (at, end) = self.next_limit();
            if at < self.alarm.deadline() {
                self.alarm.as_mut().reset(at);
            }
            if self.alarm.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= at {
                if !matches!(end, End::Silent(_)) || self.reads_on() {
                    return Err(end);
                }
                // It may have spoken: nobody listened.
                self.last_read = now;
            }
            self.give_memory_back();
            let (at, _) = self.next_limit();
            self.alarm.as_mut().reset(at);
        }
    }

    fn next_limit(&self) -> (Instant, End) {
        let settings = &self.desk.settings;
        let silent = (self.last_read + settings.read_idle, End::Silent(settings.read_idle));
        let anonymous = match self.asker {
            None => Some((self.since + settings.patience, End::Anonymous(settings.patience))),
            Some(_) => None,
        };
        let deaf = self.stuck.map(|since| (since + settings.patience, End::Deaf(settings.patience)));
        let others = anonymous.into_iter().chain(deaf);
        others.fold(silent, |first, other| if other.0 < first.0 { other } else { first })
    }

    fn give_memory_back(&mut self) {
        if self.incoming.is_empty() {
            (self.incoming, self.incoming_peak) = (BytesMut::new(), 0);
        }
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
        self.work.release_memory();
        self.peer.release_memory();
    }

    fn note(&mut self, end: &End) {
        self.reason = end.reason();
        let peer = self.peer.address;
        if end.is_fault() && self.desk.complaints.is_due(peer.ip(), self.reason) {
            tracing::warn!(%peer, reason = %end, "a connection was closed");
        } else {
            tracing::debug!(%peer, reason = %end, "a connection has ended");
        }
    }
}

impl<S, F: Future> Drop for Connection<S, F> {
    fn drop(&mut self) {
        self.desk.clients.forget(&self.peer);
        self.desk.count(&self.peer, 0);
        self.desk.metrics.connection_closed(self.reason);
    }
}
