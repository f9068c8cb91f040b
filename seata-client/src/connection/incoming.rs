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
}

/// The reader's end.
pub(super) struct Doorway {
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    limits: Limits,
}

struct Request {
    header: Header,
    message: Message,
    _room: OwnedSemaphorePermit,
}

pub(super) fn queue(limits: Limits) -> (Doorway, Incoming) {
    let (sender, receiver) = mpsc::channel(MAX_REQUESTS);
    let doorway =
        Doorway { requests: sender, room: Arc::new(Semaphore::new(MAX_BYTES.max(limits.frame))), limits };
    (doorway, Incoming { requests: receiver })
}

impl Incoming {
    /// The next request, or `None` once the connection has ended and all that came before is taken.
    pub(crate) async fn next(&mut self) -> Option<(Header, Message)> {
        let request = self.requests.recv().await?;
        Some((request.header, request.message))
    }
}

impl Doorway {
    /// Lets a request in if it can be read and there is room for it.
    pub(super) fn admit(&self, frame: Frame) {
        let id = frame.header.id;
        let message = match frame.message(&self.limits) {
            Ok(decoded) => decoded.message,
            Err(error) => {
                tracing::warn!(id, %error, "a request of the server cannot be read and is not answered");
                return;
            }
        };
        let bytes = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else {
            return refuse(id, &message);
        };
        let request = Request { header: frame.header, message, _room: room };
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(request)) => refuse(id, &request.message),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                tracing::debug!(id, "a request of the server came after the last receiver was gone");
            }
        }
    }
}

fn refuse(id: i32, message: &Message) {
    let request = message.name();
    tracing::warn!(id, request, "too many requests of the server wait, this one is left for it to repeat");
}
