//! The requests that the server sent.
//!
//! They wait in a queue that is bounded in number and in bytes. When it is full, a further request is dropped,
//! and the server asks again when its time for the answer is over. Waiting for room instead would hold up the
//! answers that come behind it on the same connection, maybe the very ones that the queue waits for.

use std::sync::Arc;

use seata_protocol::{Frame, Header, Limits, Message};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many requests may wait to be looked at.
const MAX_REQUESTS: usize = 1024;
/// How many bytes their frames may have together; one frame always fits.
const MAX_BYTES: usize = 16 << 20;

/// The requests that the server sent, in their order.
pub(crate) struct Incoming {
    requests: mpsc::Receiver<Request>,
    limits: Limits,
}

/// The reader's end.
pub(super) struct Doorway {
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
}

/// A request as it came: decompressed, it could be much larger than the room it was given.
struct Request {
    frame: Frame,
    _room: OwnedSemaphorePermit,
}

pub(super) fn queue(limits: Limits) -> (Doorway, Incoming) {
    let (sender, receiver) = mpsc::channel(MAX_REQUESTS);
    let room = Arc::new(Semaphore::new(limits.frame.clamp(MAX_BYTES, Semaphore::MAX_PERMITS)));
    (Doorway { requests: sender, room }, Incoming { requests: receiver, limits })
}

impl Incoming {
    /// The next request that can be read, or `None` once the connection has ended and all that came before is
    /// taken.
    pub(crate) async fn next(&mut self) -> Option<(Header, Message)> {
        loop {
            let Request { frame, .. } = self.requests.recv().await?;
            match frame.message(&self.limits) {
                Ok(decoded) => return Some((frame.header, decoded.message)),
                Err(error) => {
                    let id = frame.header.id;
                    tracing::warn!(id, %error, "a request of the server cannot be read and is not answered");
                }
            }
        }
    }
}

impl Doorway {
    /// Lets a request in if there is room for it.
    pub(super) fn admit(&self, frame: Frame) {
        let id = frame.header.id;
        let bytes = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
        let admitted = Arc::clone(&self.room)
            .try_acquire_many_owned(bytes)
            .is_ok_and(|room| self.requests.try_send(Request { frame, _room: room }).is_ok());
        if !admitted {
            tracing::warn!(id, "too many requests of the server wait, this one is left for it to repeat");
        }
    }
}
