//! The bytes that wait to be written.
//!
//! Callers encode into one buffer, under a lock that is held for as long as encoding takes; the writer takes
//! the whole buffer and gives its own, empty one. So whatever is said while a write is under way goes out
//! together in the next one.
//!
//! A caller who is alone gains nothing by that and would only wait for the writer's task to be woken: what it
//! says is handed to the socket at once, as far as the socket takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use seata_protocol::{EncodeError, Header, Message, frame};
use tokio::{net::tcp::OwnedWriteHalf, sync::Notify, time::Instant};

/// The largest buffer that is kept when it is empty.
pub(super) const KEPT_BUFFER: usize = 256 << 10;

/// What waits to be written to one connection.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    limit: usize,
    filled: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Queue {
    bytes: BytesMut,
    to_merge: Vec<(i32, Message)>,
    /// About how many bytes these will be.
    to_merge_size: usize,
    /// Where a caller who is alone writes to, until the end.
    socket: Option<Arc<OwnedWriteHalf>>,
    /// The writer has bytes that come before those here.
    is_writing: bool,
    /// When a caller last wrote.
    last_write: Option<Instant>,
    finished: bool,
    ended: bool,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It cannot be written.
    Unsendable(EncodeError),
    /// Nothing more will be written.
    Ended,
}

/// What the writer finds.
pub(super) enum Taken {
    /// There is something to write, in the buffer given or among the messages.
    Some,
    /// Nothing, for now.
    Nothing,
    /// Nothing, and nothing will come.
    Finished,
}

impl Outbox {
    /// An empty outbox of this socket that takes a further message while it holds less than `limit` bytes.
    pub(super) fn new(limit: usize, socket: Arc<OwnedWriteHalf>) -> Self {
        let queue = Mutex::new(Queue { socket: Some(socket), ..Queue::default() });
        Self { queue, limit, filled: Notify::new(), emptied: Notify::new() }
    }

    /// Takes a message once there is room. If the future is dropped before, it is not sent. Who is alone
    /// writes it, unless something else is to be written before.
    pub(super) async fn push(
        &self,
        header: &Header,
        message: &Message,
        is_alone: bool,
    ) -> Result<(), Refused> {
        self.put(|queue| {
            frame::write(&mut queue.bytes, header, message)?;
            if is_alone {
                queue.write_now();
            }
            Ok(())
        })
        .await
    }

    /// Takes a request of about so many bytes, to be merged with others, once there is room. If the future is
    /// dropped before, it is not sent.
    pub(super) async fn push_to_merge(&self, id: i32, message: Message, size: usize) -> Result<(), Refused> {
        let mut request = Some((id, message));
        self.put(|queue| {
            queue.to_merge.extend(request.take());
            queue.to_merge_size += size;
            Ok(())
        })
        .await
    }

    /// Takes a heartbeat if there is room. Its sender asks again, so one that is lost does no harm.
    pub(super) fn push_heartbeat(&self, header: &Header) {
        // With no room the peer is not reading, or the outbox is about to be written anyway.
        let _ = self.try_put(|queue| {
            frame::write_heartbeat(&mut queue.bytes, header);
            Ok(())
        });
    }

    /// Refuses everything from now on, and lets the writer stop when all is written.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.filled.notify_one();
    }

    /// Lets go of the socket: from now on only the writer has it.
    pub(super) fn let_go(&self) {
        self.lock().socket = None;
    }

    /// Drops what was not written, and refuses everything from now on.
    pub(super) fn end(&self) {
        let mut queue = self.lock();
        let dropped = std::mem::take(&mut *queue);
        queue.ended = true;
        drop(queue);
        drop(dropped);
        self.emptied.notify_waiters();
    }

    /// When a caller last wrote something itself.
    pub(super) fn last_write(&self) -> Option<Instant> {
        self.lock().last_write
    }

    /// Whether [`finish`](Self::finish) was called.
    pub(super) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The writer's side: swaps its empty buffer for the full one. It has written all that it took before.
    pub(super) fn take(&self, bytes: &mut BytesMut, to_merge: &mut Vec<(i32, Message)>) -> Taken {
        debug_assert!(bytes.is_empty() && to_merge.is_empty());
        let mut queue = self.lock();
        queue.is_writing = !queue.is_empty();
        if !queue.is_writing {
            return if queue.finished { Taken::Finished } else { Taken::Nothing };
        }
        let was_full = queue.len() >= self.limit;
        std::mem::swap(&mut queue.bytes, bytes);
        std::mem::swap(&mut queue.to_merge, to_merge);
        queue.to_merge_size = 0;
        drop(queue);
        if was_full {
            self.emptied.notify_waiters();
        }
        Taken::Some
    }

    /// The writer's side: resolves when there may be something to take.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    async fn put(&self, mut put: impl FnMut(&mut Queue) -> Result<(), EncodeError>) -> Result<(), Refused> {
        if self.try_put(&mut put)? {
            return Ok(());
        }
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Listens before it looks, so that room made in between is not missed.
            emptied.as_mut().enable();
            if self.try_put(&mut put)? {
                return Ok(());
            }
            emptied.await;
        }
    }

    /// Whether there was room.
    fn try_put(&self, put: impl FnOnce(&mut Queue) -> Result<(), EncodeError>) -> Result<bool, Refused> {
        let mut queue = self.lock();
        if queue.ended || queue.finished {
            return Err(Refused::Ended);
        }
        if queue.len() >= self.limit {
            return Ok(false);
        }
        let was_empty = queue.is_empty();
        put(&mut queue).map_err(Refused::Unsendable)?;
        let is_for_the_writer = was_empty && !queue.is_empty();
        drop(queue);
        if is_for_the_writer {
            self.filled.notify_one();
        }
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // `frame::write` leaves the buffer as it was on failure, so a poisoned queue is a whole one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.bytes.len() + self.to_merge_size
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.to_merge.is_empty()
    }

    /// Writes what the socket takes without waiting. The rest, and any error, is left to the writer.
    fn write_now(&mut self) {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.is_writing) else { return };
        let Ok(written) = socket.try_write(&self.bytes) else { return };
        self.last_write = Some(Instant::now());
        if written < self.bytes.len() {
            self.bytes.advance(written);
        } else if self.bytes.capacity() > KEPT_BUFFER {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use seata_protocol::{BranchRegister, BranchType, Kind};
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn outbox() -> (Outbox, Arc<OwnedWriteHalf>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let (read_half, write_half) = socket.into_split();
        // Dropping it changes nothing of the socket.
        drop(read_half);
        let socket = Arc::new(write_half);
        (Outbox::new(64 << 20, Arc::clone(&socket)), socket, peer)
    }

    fn message(lock_key: usize) -> Message {
        Message::BranchRegister(BranchRegister {
            xid: "127.0.0.1:8091:1".into(),
            branch_type: BranchType::At,
            resource_id: "r".into(),
            lock_key: "k".repeat(lock_key).into(),
            application_data: "".into(),
        })
    }

    fn header(id: i32) -> Header {
        Header::new(Kind::Request, id)
    }

    #[tokio::test]
    async fn who_is_alone_needs_no_writer() {
        let (outbox, _socket, mut peer) = outbox().await;
        let mut expected = BytesMut::new();
        for id in 0..100 {
            outbox.push(&header(id), &message(10), true).await.unwrap();
            frame::write(&mut expected, &header(id), &message(10)).unwrap();
        }
        assert_eq!(outbox.len(), 0);
        assert!(outbox.last_write().is_some());
        let mut received = vec![0; expected.len()];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!(received, expected);
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_the_writer_s_and_comes_before_what_is_said_later() {
        const LONG: usize = 7 << 20;
        let (outbox, socket, mut peer) = outbox().await;
        let mut expected = BytesMut::new();
        for (id, length) in [(0, LONG), (1, LONG), (2, 10)] {
            outbox.push(&header(id), &message(length), true).await.unwrap();
            frame::write(&mut expected, &header(id), &message(length)).unwrap();
        }
        let (mut bytes, mut to_merge) = (BytesMut::new(), Vec::new());
        assert!(matches!(outbox.take(&mut bytes, &mut to_merge), Taken::Some), "no socket holds so much");
        // The writer is not done yet, however much room the socket has by now.
        let total = expected.len();
        let mut received = vec![0; total - bytes.len()];
        peer.read_exact(&mut received).await.unwrap();
        outbox.push(&header(3), &message(10), true).await.unwrap();
        frame::write(&mut expected, &header(3), &message(10)).unwrap();
        assert_eq!(outbox.len(), expected.len() - total);

        let write = async {
            while !bytes.is_empty() {
                socket.writable().await.unwrap();
                if let Ok(written) = socket.try_write(&bytes) {
                    bytes.advance(written);
                }
            }
            assert!(matches!(outbox.take(&mut bytes, &mut to_merge), Taken::Some));
            socket.writable().await.unwrap();
            assert_eq!(socket.try_write(&bytes).unwrap(), bytes.len());
        };
        let mut rest = vec![0; expected.len() - received.len()];
        let (_, read) = tokio::join!(write, peer.read_exact(&mut rest));
        read.unwrap();
        received.append(&mut rest);
        assert!(received == expected, "the bytes come whole and in their order");
    }
}
