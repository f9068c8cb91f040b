//! One client's connection: a task that reads, works and writes.
//!
//! Each time it is woken it reads what has come, goes on with the requests that are under way, and writes all
//! answers that are ready at once. Nothing in it is unbounded: with too many bytes to write, or too many requests
//! that wait for others of the same client, it stops reading; a client that does not read its answers is left.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use seata_protocol::{
    Batch, DecodeError, Frame, FrameDecoder, FrameError, Header, Kind, Message, Version, frame,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    clients::{Answer, Peer, Role},
    desk::{Desk, Stage},
    incoming::{Done, Job, Names, Part, Parts, Task, Weight, carry_out, resource_of},
    registration,
    requests::{Asker, Request},
};

/// How much is read at once.
const READ: usize = 64 << 10;
/// After so many reads others have their turn.
const READS_IN_A_ROW: usize = 4;
/// With so many bytes to write no more is read.
const MUCH_TO_WRITE: usize = 1 << 20;
/// With so many bytes of requests that wait for others of the same client no more is read.
const MUCH_TO_DO: usize = 4 << 20;
/// A buffer that is empty keeps this much.
const KEPT: usize = 64 << 10;
/// What the memory of a message is counted as, beside its bytes.
const MESSAGE: usize = 200;
/// In what steps the bytes of a connection are counted among all.
const STEP: usize = 64 << 10;

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

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("closed by the client")]
    ClosedByClient,
    #[error("closed by the client within a frame")]
    CutShort,
    #[error("closed on request")]
    Asked,
    #[error("the server stops")]
    Stopping,
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("it did not register within {0:?}")]
    Anonymous(Duration),
    #[error("it took nothing of its answers for {0:?}")]
    Deaf(Duration),
    #[error("it sent {0} without having registered for it")]
    Unregistered(&'static str),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Message(#[from] DecodeError),
    #[error("the buffers of all connections are full, and it wants more")]
    Greedy,
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl End {
    /// For metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::ClosedByClient => "closed",
            Self::CutShort => "cut_short",
            Self::Asked => "asked",
            Self::Stopping => "stopping",
            Self::Silent(_) => "silent",
            Self::Anonymous(_) => "anonymous",
            Self::Deaf(_) => "deaf",
            Self::Unregistered(_) => "unregistered",
            Self::Frame(_) => "frame",
            Self::Message(_) => "message",
            Self::Greedy => "greedy",
            Self::Broken(_) => "broken",
        }
    }

    /// Whether the client did what none should.
    fn is_fault(&self) -> bool {
        !matches!(self, Self::ClosedByClient | Self::Asked | Self::Stopping | Self::Broken(_))
    }
}

struct Connection<S, F> {
    stream: S,
    peer: Arc<Peer>,
    desk: Arc<Desk>,
    /// Who it is, once it is registered.
    asker: Option<Asker>,
    decoder: FrameDecoder,
    incoming: BytesMut,
    out: BytesMut,
    carry_out: fn(Arc<Desk>, Asker, Job) -> F,
    work: FuturesUnordered<F>,
    load: Weight,
    /// Requests beyond those that are worked on at a time. What else comes is taken at once, above all the
    /// answers of phase two, for which a client's own requests may be waiting.
    parked: VecDeque<Frame>,
    parked_bytes: usize,
    parts: Parts,
    names: Names,
    /// Reading has stopped because too much is kept.
    is_blocked: bool,
    /// Something in front of the socket keeps bytes back.
    is_to_flush: bool,
    /// What of its bytes is counted among those of all.
    counted: usize,
    since: Instant,
    last_read: Instant,
    /// Since when nothing of what is to be written was taken.
    stuck: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    reason: &'static str,
}

impl<S, F> Connection<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Done>,
{
    fn new(
        stream: S,
        address: SocketAddr,
        desk: Arc<Desk>,
        carry_out: fn(Arc<Desk>, Asker, Job) -> F,
    ) -> Self {
        desk.metrics.connection_opened();
        let now = Instant::now();
        Self {
            stream,
            peer: desk.clients.welcome(address),
            asker: None,
            decoder: FrameDecoder::new(desk.limits),
            incoming: BytesMut::new(),
            out: BytesMut::new(),
            carry_out,
            work: FuturesUnordered::new(),
            load: Weight::default(),
            parked: VecDeque::new(),
            parked_bytes: 0,
            parts: Parts::default(),
            names: Names::default(),
            is_blocked: false,
            is_to_flush: false,
            counted: 0,
            since: now,
            last_read: now,
            stuck: None,
            alarm: Box::pin(sleep_until(now + desk.settings.patience.min(desk.settings.read_idle))),
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
        if self.peer.watch(context.waker()) {
            return Err(End::Asked);
        }
        let is_last = self.desk.stage() == Stage::Closing;
        for turn in 1.. {
            let has_read = !is_last && self.read(context)?;
            self.collect(context);
            if self.out.len() < MUCH_TO_WRITE {
                self.peer.take_outgoing(&mut self.out);
            }
            if !has_read && (is_last || !self.can_go_on()) {
                break;
            }
            if turn >= READS_IN_A_ROW {
                context.waker().wake_by_ref();
                break;
            }
        }
        self.peer.set_in_flight(self.load.requests);
        self.write(context)?;
        self.count()?;
        self.look_at_clock(context)?;
        Ok(is_last && self.out.is_empty() && !self.is_to_flush)
    }

    /// Takes in what has come. Returns whether there may be more.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        self.take_parked()?;
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
                self.last_read = Instant::now();
                self.take_frames()?;
                Ok(true)
            }
        }
    }

    fn reads_on(&self) -> bool {
        self.out.len() < MUCH_TO_WRITE && self.parked_bytes < MUCH_TO_DO
    }

    fn takes_requests(&self) -> bool {
        self.out.len() < MUCH_TO_WRITE && self.load.requests < self.desk.settings.max_requests_per_connection
    }

    /// Whether something that had stopped may go on: nothing else would wake the task for it.
    fn can_go_on(&self) -> bool {
        self.is_blocked && self.reads_on() || !self.parked.is_empty() && self.takes_requests()
    }

    fn take_parked(&mut self) -> Result<(), End> {
        while self.takes_requests()
            && let Some(frame) = self.parked.pop_front()
        {
            self.parked_bytes -= frame.body.len() + MESSAGE;
            self.take(frame)?;
        }
        if self.parked.is_empty() && self.parked.capacity() > 0 {
            self.parked = VecDeque::new();
        }
        Ok(())
    }

    fn take_frames(&mut self) -> Result<(), End> {
        while !self.incoming.is_empty() && self.reads_on() {
            let Some(frame) = self.decoder.next(&mut self.incoming)? else { break };
            let is_request = matches!(frame.header.kind, Kind::Request | Kind::Oneway);
            if is_request && (!self.parked.is_empty() || !self.takes_requests()) {
                self.parked_bytes += frame.body.len() + MESSAGE;
                self.parked.push_back(frame);
            } else {
                self.take(frame)?;
            }
        }
        if self.incoming.is_empty() {
            self.incoming = BytesMut::new();
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) -> Result<(), End> {
        if frame.header.version == Version::V0 {
            self.peer.set_version_zero();
        }
        match frame.header.kind {
            Kind::Ping => {
                frame::write_heartbeat(&mut self.out, &frame.header.reply());
                return Ok(());
            }
            Kind::Pong => return Ok(()),
            _ => {}
        }
        let bytes = frame.body.len();
        let message = match frame.message(&self.desk.limits) {
            Ok(decoded) => decoded.message,
            // Java leaves this behind when it cannot write its answer down.
            Err(DecodeError::NoBody) if frame.header.kind == Kind::Response => {
                let reason = "it answered without saying what: its own log tells why".to_owned();
                self.peer.answered(frame.header.id, Answer::Unreadable(reason));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (id, header) = (frame.header.id, frame.header.reply());
        match message {
            Message::BranchCommitResponse(response) | Message::BranchRollbackResponse(response) => {
                self.take_answer(id, &response);
                Ok(())
            }
            Message::Merged(batch) => self.take_merged(header, batch, bytes),
            message => self.take_single(header, message, bytes),
        }
    }

    fn take_answer(&self, id: i32, response: &seata_protocol::BranchResponse) {
        let is_expected = self.asker.is_some()
            && (self.peer.answered(id, Answer::of(response))
                || self.desk.clients.answered_elsewhere(&self.peer, id, Answer::of(response)));
        if !is_expected {
            self.desk.metrics.refused("answer");
        }
    }

    fn take_single(&mut self, header: Header, message: Message, bytes: usize) -> Result<(), End> {
        let weight = Weight { requests: 1, bytes: bytes + MESSAGE };
        match self.look_at(message, true)? {
            None => {}
            Some(Part::Answered(answer)) => self.answer(&header, &answer),
            Some(Part::Open(request)) => self.start(Job { header, task: Task::Single(request), weight }),
        }
        Ok(())
    }

    /// Clients of different releases read different answers.
    fn take_merged(&mut self, header: Header, batch: Batch, bytes: usize) -> Result<(), End> {
        let Batch { messages, ids } = batch;
        let has_ids = ids.len() == messages.len();
        // What it may register as within the batch does not change how the batch is answered.
        let release = self.asker.as_ref().map(|asker| asker.release);
        let are_single = has_ids && release.is_none_or(|release| release.expects_single_answers());
        let are_parts = has_ids
            && !are_single
            && self.desk.settings.batch_results
            && release.is_some_and(|release| release.reads_batch_results());
        let weight = Weight { requests: 1, bytes: bytes / messages.len().max(1) + MESSAGE };
        if are_single || are_parts {
            for (message, id) in messages.into_iter().zip(ids) {
                let header = if are_single { Header { id, ..header.clone() } } else { header.clone() };
                match self.look_at(message, true)? {
                    None => {}
                    Some(Part::Answered(answer)) if are_single => self.answer(&header, &answer),
                    Some(Part::Answered(answer)) => self.parts.add(header, id, answer),
                    Some(Part::Open(request)) => {
                        let task = if are_single { Task::Single(request) } else { Task::Part(id, request) };
                        self.start(Job { header, task, weight });
                    }
                }
            }
            return Ok(());
        }
        let weight = Weight { requests: messages.len(), bytes: bytes + MESSAGE * messages.len() };
        let mut parts = Vec::with_capacity(messages.len());
        for message in messages {
            parts.extend(self.look_at(message, false)?);
        }
        if self.asker.is_some() {
            self.start(Job { header, task: Task::Whole(parts), weight });
        }
        Ok(())
    }

    /// Registrations take effect here; all else becomes work. `None` for what is not answered.
    fn look_at(&mut self, message: Message, may_wait: bool) -> Result<Option<Part>, End> {
        if let Some((answer, release)) = registration::register(&self.desk, &self.peer, &message) {
            if let (Some(release), Some(identity)) = (release, self.peer.identity()) {
                self.asker = Some(Asker { identity: Arc::clone(identity), release });
            }
            return Ok(Some(Part::Answered(answer)));
        }
        let is_for_starters =
            !self.desk.settings.access_keys.is_empty() && Request::is_for_starters(&message);
        if self.asker.is_none() || is_for_starters && !self.peer.has_role(Role::Tm) {
            return Err(End::Unregistered(message.name()));
        }
        if !Request::is_one(&message) {
            self.desk.metrics.refused("message");
            return Ok(None);
        }
        let resource = resource_of(&message).map(|name| self.names.intern(name));
        Ok(Some(Part::Open(Request { message, resource, may_wait })))
    }

    fn start(&mut self, job: Job) {
        if self.desk.stage() != Stage::Open {
            return;
        }
        let Some(asker) = self.asker.clone() else { return };
        self.load.requests += job.weight.requests;
        self.load.bytes += job.weight.bytes;
        self.work.push((self.carry_out)(Arc::clone(&self.desk), asker, job));
    }

    /// Goes on with what is under way.
    fn collect(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(context) {
            let Done { header, part, answer, weight } = done;
            self.load.requests -= weight.requests;
            self.load.bytes -= weight.bytes;
            match part {
                Some(id) => self.parts.add(header, id, answer),
                None => self.answer(&header, &answer),
            }
        }
        let mut parts = std::mem::take(&mut self.parts);
        for (header, answer) in parts.drain() {
            self.answer(&header, &answer);
        }
        self.parts = parts;
    }

    fn answer(&mut self, header: &Header, answer: &Message) {
        if let Err(error) = frame::write(&mut self.out, header, answer) {
            self.desk.metrics.refused("encoding");
            tracing::warn!(peer = %self.peer.address, answer = answer.name(), %error, "an answer cannot be written");
        }
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
                    self.stuck.get_or_insert_with(Instant::now);
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
                self.stuck.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    /// Counts its bytes among those of all connections.
    fn count(&mut self) -> Result<(), End> {
        let held = (self.incoming.len() + self.out.len() + self.load.bytes + self.parked_bytes) / STEP * STEP;
        if held == self.counted {
            return Ok(());
        }
        let all = &self.desk.buffered;
        if held < self.counted {
            all.fetch_sub(self.counted - held, Ordering::Relaxed);
            self.desk.metrics.buffered(held as i64 - self.counted as i64);
            self.counted = held;
            return Ok(());
        }
        let before = all.fetch_add(held - self.counted, Ordering::Relaxed);
        self.desk.metrics.buffered((held - self.counted) as i64);
        let total = before + held - self.counted;
        self.counted = held;
        if total > self.desk.settings.max_buffered_bytes { Err(End::Greedy) } else { Ok(()) }
    }

    fn look_at_clock(&mut self, context: &mut Context<'_>) -> Result<(), End> {
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
            self.incoming = BytesMut::new();
        }
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
        self.peer.release_memory();
    }

    fn note(&mut self, end: &End) {
        self.reason = end.reason();
        let peer = self.peer.address;
        if end.is_fault() && self.desk.complaints.is_due(peer.ip()) {
            tracing::warn!(%peer, reason = %end, "a connection was closed");
        } else {
            tracing::debug!(%peer, reason = %end, "a connection has ended");
        }
    }
}

impl<S, F> Drop for Connection<S, F> {
    fn drop(&mut self) {
        self.desk.clients.forget(&self.peer);
        self.desk.buffered.fetch_sub(self.counted, Ordering::Relaxed);
        self.desk.metrics.buffered(-(self.counted as i64));
        self.desk.metrics.connection_closed(self.reason);
    }
}

#[cfg(test)]
mod tests;
