//! One TCP connection to one server. It knows frames, ids and answers; what is said over it is its owner's.
//!
//! ```text
//!  callers ── register ──▶ Pending (id → who waits) ◀── settle ── reader ◀──┐
//!     │                                                             │       │
//!     └── encode ────────▶ Outbox (one buffer) ── take ──▶ writer ──┼───▶ socket
//!                                                                   │
//!  owner ◀── Incoming (bounded queue of the server's requests) ◀────┘
//! ```
//!
//! Reader and writer are one task. It ends with the last [`Connection`] handle, with [`Connection::close`], or
//! by itself when either side fails; whoever waits then learns why. A dropped call gives its place back at
//! once, and its answer, should it still come, is counted and ignored.
//!
//! Everything that waits is bounded: calls in flight by number, outgoing messages by bytes, the server's
//! requests by both; each wait ends with the caller's limit.

mod dial;
mod driver;
mod error;
mod incoming;
mod merge;
mod outbox;
mod pending;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use seata_protocol::{Codec, Compressor, Dialect, Frame, Header, Kind, Limits, Message};
use tokio::{
    sync::{Semaphore, SetOnce},
    task::AbortHandle,
    time::timeout,
};

use crate::{ServerAddress, Settings};

pub(crate) use self::{
    error::{CallError, CloseReason, OpenError},
    incoming::Incoming,
};
use self::{
    incoming::Doorway,
    outbox::{Outbox, Refused},
    pending::{Answer, Pending},
};

/// No connection has more ids than these, and a semaphore counts in 32 bits.
const MAX_IN_FLIGHT: usize = i32::MAX as usize;

/// A handle to a connection; all clones are the same one.
#[derive(Clone)]
pub(crate) struct Connection {
    owner: Arc<Owner>,
}

/// Stops the task when the last handle is gone.
struct Owner {
    shared: Arc<Shared>,
    driver: AbortHandle,
    local: SocketAddr,
    peer: SocketAddr,
}

/// What callers and the task have in common.
struct Shared {
    pending: Pending,
    outbox: Outbox,
    places: Semaphore,
    max_in_flight: usize,
    closing: AtomicBool,
    ended: SetOnce<Arc<CloseReason>>,
    codec: Codec,
    compressor: Compressor,
    dialect: Dialect,
    limits: Limits,
    heartbeat: Duration,
    idle: Duration,
    answer_limit: Duration,
    merge_requests: bool,
}

impl Connection {
    /// Connects within `settings.connect_timeout` and starts the connection's task. Nothing is sent yet.
    pub(crate) async fn open(
        address: &ServerAddress,
        settings: &Settings,
    ) -> Result<(Self, Incoming), OpenError> {
        let socket = dial::dial(&address.to_string(), settings.connect_timeout).await?;
        let unconnected = |source| OpenError::Lost { address: address.to_string(), source };
        let (local, peer) =
            (socket.local_addr().map_err(unconnected)?, socket.peer_addr().map_err(unconnected)?);
        let max_in_flight = settings.max_requests_in_flight.clamp(1, MAX_IN_FLIGHT);
        let (read_half, write_half) = socket.into_split();
        let write_half = Arc::new(write_half);
        let shared = Arc::new(Shared {
            pending: Pending::default(),
            outbox: Outbox::new(settings.max_outgoing_bytes, Arc::clone(&write_half)),
            places: Semaphore::new(max_in_flight),
            max_in_flight,
            closing: AtomicBool::new(false),
            ended: SetOnce::new(),
            codec: settings.codec,
            compressor: settings.compressor,
            dialect: settings.dialect,
            limits: settings.limits,
            heartbeat: settings.heartbeat,
            idle: settings.idle,
            answer_limit: settings.branch_request_timeout,
            merge_requests: settings.merge_requests,
        });
        let (doorway, incoming) = incoming::queue(settings.limits);
        let driver = driver::drive(Arc::clone(&shared), read_half, write_half, doorway);
        let driver = tokio::spawn(driver).abort_handle();
        Ok((Self { owner: Arc::new(Owner { shared, driver, local, peer }) }, incoming))
    }

    /// The address on this side.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.owner.local
    }

    /// The server's address, resolved.
    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.owner.peer
    }

    /// Sends a request and waits for its answer, `limit` at most, waiting for a place included.
    ///
    /// Dropping the future gives the place back. What was sent stays sent: the server may act on it, and its
    /// answer will be ignored.
    pub(crate) async fn call(&self, message: &Message, limit: Duration) -> Result<Message, CallError> {
        let request = message.name();
        let mut stage = Stage::Place;
        match timeout(limit, self.shared().exchange(message, &mut stage)).await {
            Ok(result) => result,
            Err(_) => Err(match stage {
                Stage::Place => CallError::TooMany { request, in_flight: self.shared().max_in_flight, limit },
                Stage::Room => CallError::NoRoom { request, limit },
                Stage::Answer => CallError::NoAnswer { request, limit },
            }),
        }
    }

    /// Answers a request of the server; also while the connection is being closed. Returns once the answer
    /// stands among what is to be written, which may take as long as a branch request may.
    pub(crate) async fn answer(&self, request: &Header, message: Message) -> Result<(), CallError> {
        let shared = self.shared();
        let limit = shared.answer_limit;
        match timeout(limit, shared.push(&request.reply(), &message)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::NoRoom { request: message.name(), limit }),
        }
    }

    /// How many calls are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.shared().in_flight()
    }

    /// Whether it takes calls.
    pub(crate) fn is_open(&self) -> bool {
        !self.shared().closing.load(Ordering::Acquire) && self.shared().ended.get().is_none()
    }

    /// Resolves when the connection has ended, with the cause.
    pub(crate) async fn closed(&self) -> Arc<CloseReason> {
        Arc::clone(self.shared().ended.wait().await)
    }

    /// Takes no more calls, waits until those in flight are answered and everything is written, and ends the
    /// connection; after `limit` it ends as it is. Whoever drops the future has stopped new calls and nothing
    /// more.
    pub(crate) async fn close(&self, limit: Duration) {
        let shared = self.shared();
        shared.closing.store(true, Ordering::Release);
        let drained = async {
            let all = u32::try_from(shared.max_in_flight).expect("at most MAX_IN_FLIGHT");
            // Calls that wait for a place came earlier and are served before. Fails when it has ended.
            let _ = shared.places.acquire_many(all).await;
            shared.outbox.finish();
            shared.ended.wait().await;
        };
        let _ = timeout(limit, drained).await;
        shared.end(CloseReason::Asked);
    }

    fn shared(&self) -> &Shared {
        &self.owner.shared
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What a call waits for.
enum Stage {
    Place,
    Room,
    Answer,
}

impl Shared {
    async fn exchange(&self, message: &Message, stage: &mut Stage) -> Result<Message, CallError> {
        let request = message.name();
        // In Seata the answer to a request has the next type code.
        let expected = message.type_code() + 1;
        if self.closing.load(Ordering::Acquire) {
            return Err(self.closed_to(request));
        }
        let _place = self.places.acquire().await.map_err(|_| self.ended_before(request, false))?;
        let mut call = self.pending.register().ok_or_else(|| self.ended_before(request, false))?;
        *stage = Stage::Room;
        self.send_request(call.id(), message).await?;
        *stage = Stage::Answer;
        let answer = call.answer().await.ok_or_else(|| self.ended_before(request, true))?;
        let answer = self.read_answer(request, answer)?;
        if answer.type_code() != expected {
            return Err(CallError::WrongAnswer { request, answer: answer.name() });
        }
        Ok(answer)
    }

    async fn send_request(&self, id: i32, message: &Message) -> Result<(), CallError> {
        if self.merge_requests
            && let Some(size) = merge::mergeable_size(message)
        {
            let pushed = self.outbox.push_to_merge(id, message.clone(), size).await;
            return pushed.map_err(|refused| self.refused(message.name(), refused));
        }
        self.push(&self.header(Kind::Request, id), message).await
    }

    async fn push(&self, header: &Header, message: &Message) -> Result<(), CallError> {
        let pushed = self.outbox.push(header, message, self.in_flight() <= 1).await;
        pushed.map_err(|refused| self.refused(message.name(), refused))
    }

    fn read_answer(&self, request: &'static str, answer: Answer) -> Result<Message, CallError> {
        match answer {
            Answer::Frame(frame) => match frame.message(&self.limits) {
                Ok(decoded) => Ok(decoded.message),
                Err(source) => Err(CallError::Unreadable { request, source }),
            },
            Answer::Message(message) => Ok(message),
            Answer::Unreadable(source) => Err(CallError::Unreadable { request, source }),
            Answer::Unassignable { requests, answers } => {
                Err(CallError::Unassignable { request, requests, answers })
            }
            Answer::Unsendable(source) => Err(CallError::Unsendable { request, source }),
        }
    }

    /// The reader's side: a frame has come.
    fn accept(&self, frame: Frame, doorway: &Doorway) {
        match frame.header.kind {
            Kind::Response => self.pending.settle(frame, &self.limits),
            Kind::Request | Kind::Oneway => doorway.admit(frame),
            Kind::Ping => self.outbox.push_heartbeat(&frame.header.reply()),
            Kind::Pong => {}
            kind => tracing::debug!(%kind, "a frame of an unknown kind was ignored"),
        }
    }

    fn header(&self, kind: Kind, id: i32) -> Header {
        let (codec, compressor, dialect) = (self.codec, self.compressor, self.dialect);
        Header { codec, compressor, dialect, ..Header::new(kind, id) }
    }

    fn in_flight(&self) -> usize {
        self.max_in_flight - self.places.available_permits()
    }

    /// Ends the connection, once; the first reason stays.
    fn end(&self, reason: CloseReason) {
        let reason = Arc::new(reason);
        if self.ended.set(Arc::clone(&reason)).is_err() {
            return;
        }
        tracing::debug!(%reason, unclaimed_answers = self.pending.unclaimed(), "a connection ended");
        self.places.close();
        self.outbox.end();
        self.pending.end();
    }

    fn closed_to(&self, request: &'static str) -> CallError {
        match self.ended.get() {
            Some(reason) => CallError::Ended { request, reason: Arc::clone(reason), sent: false },
            None => CallError::Closing { request },
        }
    }

    fn ended_before(&self, request: &'static str, sent: bool) -> CallError {
        // The reason is set before anybody is told of the end.
        let reason = self.ended.get().map_or_else(|| Arc::new(CloseReason::Stopped), Arc::clone);
        CallError::Ended { request, reason, sent }
    }

    fn refused(&self, request: &'static str, refused: Refused) -> CallError {
        match refused {
            Refused::Unsendable(source) => CallError::Unsendable { request, source },
            Refused::Ended => self.closed_to(request),
        }
    }
}
