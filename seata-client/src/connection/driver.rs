//! The one task of a connection: it reads, writes, and watches the clock.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use seata_protocol::{FrameDecoder, Kind};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    Shared,
    error::CloseReason,
    incoming::Doorway,
    merge,
    outbox::{KEPT_BUFFER, Taken},
};

/// How much is read at once. Answers keep the chunk they came in alive, so it is not large.
const READ_CHUNK: usize = 16 << 10;
/// The least room that is worth a read.
const READ_ROOM: usize = 2 << 10;
/// How long the server may take to close its side after this one said that it is done.
const LINGER: Duration = Duration::from_secs(1);

/// Drives the connection until either side ends it. If the future is dropped, polled or not, the connection
/// has ended too.
pub(super) fn drive(
    shared: Arc<Shared>,
    read_half: OwnedReadHalf,
    write_half: Arc<OwnedWriteHalf>,
    doorway: Doorway,
) -> impl Future<Output = ()> {
    let end = EndOnDrop(shared);
    async move {
        let shared = &*end.0;
        let last_answer = LastAnswer::new();
        let reason = tokio::select! {
            reason = read(shared, read_half, &doorway, &last_answer) => reason,
            reason = write(shared, write_half, &last_answer) => reason,
            _ = shared.ended.wait() => return,
        };
        shared.end(reason);
    }
}

/// Nobody waits for a connection whose task is gone.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(CloseReason::Stopped);
    }
}

/// When the server last showed that it hears us, to the millisecond. The reader notes it, both ask.
struct LastAnswer {
    started: Instant,
    millis: AtomicU64,
}

impl LastAnswer {
    fn new() -> Self {
        Self { started: Instant::now(), millis: AtomicU64::new(0) }
    }

    fn set_to_now(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn at(&self) -> Instant {
        self.started + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

async fn read(
    shared: &Shared,
    mut socket: OwnedReadHalf,
    doorway: &Doorway,
    last_answer: &LastAnswer,
) -> CloseReason {
    let mut decoder = FrameDecoder::new(shared.limits);
    let mut buffer = BytesMut::new();
    let mut last_read = Instant::now();
    let silence = sleep_until(last_answer.at() + shared.idle);
    tokio::pin!(silence);
    loop {
        make_room(&mut buffer);
        let read = tokio::select! {
            // What has come counts, even if this task was kept from looking at it for long.
            biased;
            read = socket.read_buf(&mut buffer) => read,
            () = &mut silence => {
                // The timer is not moved by each read, so it may be early.
                if last_answer.at().elapsed() >= shared.idle {
                    let limit = shared.idle;
                    let is_silent = last_read.elapsed() >= limit;
                    return if is_silent { CloseReason::Silent { limit } } else { CloseReason::Deaf { limit } };
                }
                silence.as_mut().reset(last_answer.at() + shared.idle);
                continue;
            }
        };
        match read {
            Ok(0) if shared.outbox.is_finished() => return CloseReason::Asked,
            Ok(0) if buffer.is_empty() => return CloseReason::ClosedByServer,
            Ok(0) => return CloseReason::CutShort { received: buffer.len() },
            Ok(_) => last_read = Instant::now(),
            Err(error) => return CloseReason::Read(error),
        }
        // The server's requests come even where what we say is lost on the way.
        let mut is_answered = false;
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(frame)) => {
                    is_answered |= matches!(frame.header.kind, Kind::Response | Kind::Pong);
                    shared.accept(frame, doorway);
                }
                Ok(None) => break,
                Err(error) => return CloseReason::Broken(error),
            }
        }
        // A long frame that is coming may be an answer.
        if is_answered || buffer.len() > READ_CHUNK {
            last_answer.set_to_now();
        }
    }
}

/// A buffer grows with what has come, never with what a length promises, and shrinks when it is empty.
fn make_room(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > READ_CHUNK {
        *buffer = BytesMut::new();
    }
    if buffer.capacity() - buffer.len() < READ_ROOM {
        buffer.reserve(READ_CHUNK);
    }
}

async fn write(shared: &Shared, socket: Arc<OwnedWriteHalf>, last_answer: &LastAnswer) -> CloseReason {
    let mut bytes = BytesMut::new();
    let mut to_merge = Vec::new();
    let mut ping_id = 0;
    let mut last_write = Instant::now();
    let mut last_ping = last_write;
    let quiet = sleep_until(last_write + shared.heartbeat);
    tokio::pin!(quiet);
    loop {
        match shared.outbox.take(&mut bytes, &mut to_merge) {
            Taken::Some => {}
            Taken::Finished => break,
            Taken::Nothing => {
                tokio::select! {
                    () = shared.outbox.filled() => {
                        if shared.in_flight() > 1 {
                            // Those who are about to say something do so now, and one write serves them all.
                            tokio::task::yield_now().await;
                        }
                        continue;
                    }
                    () = &mut quiet => {
                        // The server wants to hear of us, and we of it: it may be busy with what we sent long
                        // ago, and then only a ping tells it from a dead one.
                        last_write = shared.outbox.last_write().map_or(last_write, |last| last.max(last_write));
                        let quiet_since = last_write.min(last_ping.max(last_answer.at()));
                        if quiet_since.elapsed() < shared.heartbeat {
                            quiet.as_mut().reset(quiet_since + shared.heartbeat);
                            continue;
                        }
                        last_ping = Instant::now();
                        ping_id = (ping_id + 1) & i32::MAX;
                        shared.outbox.push_heartbeat(&shared.header(Kind::Ping, ping_id));
                        quiet.as_mut().reset(last_ping + shared.heartbeat);
                        continue;
                    }
                }
            }
        }
        loop {
            merge::write_next(shared, &mut to_merge, &mut bytes);
            if !bytes.is_empty() {
                if let Err(reason) = write_all(shared, &socket, &bytes).await {
                    return reason;
                }
                last_write = Instant::now();
                bytes.clear();
            }
            if to_merge.is_empty() {
                break;
            }
        }
        if bytes.capacity() > KEPT_BUFFER {
            bytes = BytesMut::new();
        }
    }
    finish(shared, socket).await
}

async fn write_all(shared: &Shared, socket: &OwnedWriteHalf, bytes: &[u8]) -> Result<(), CloseReason> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.try_write(&bytes[written..]) {
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Each step of progress starts the time anew: slow is not stalled.
                match timeout(shared.idle, socket.writable()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(CloseReason::Write(error)),
                    Err(_) => {
                        let waiting = bytes.len() - written + shared.outbox.len();
                        return Err(CloseReason::Stalled { limit: shared.idle, waiting });
                    }
                }
            }
            Err(error) => return Err(CloseReason::Write(error)),
        }
    }
    Ok(())
}

/// Closing the socket at once, with unread bytes in it, could take back what the server has not read yet. So
/// the server is told that nothing more comes, and its own end is awaited; the reader sees it.
async fn finish(shared: &Shared, socket: Arc<OwnedWriteHalf>) -> CloseReason {
    shared.outbox.let_go();
    // The last half to write is gone with this one, which the server is told.
    drop(socket);
    sleep(LINGER).await;
    CloseReason::Asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_buffer_grows_by_what_came_and_shrinks_when_it_is_empty() {
        let mut buffer = BytesMut::new();
        make_room(&mut buffer);
        assert!((READ_ROOM..=2 * READ_CHUNK).contains(&buffer.capacity()));
        // Whatever length its frame claims to have.
        buffer.extend_from_slice(&[0; READ_CHUNK]);
        make_room(&mut buffer);
        assert!((READ_CHUNK + READ_ROOM..=3 * READ_CHUNK).contains(&buffer.capacity()));

        buffer.extend_from_slice(&[0; 1 << 20]);
        let frame = buffer.split().freeze();
        make_room(&mut buffer);
        drop(frame);
        assert!(buffer.capacity() <= 2 * READ_CHUNK, "{} bytes are kept", buffer.capacity());

        let mut reclaimed = BytesMut::with_capacity(8 << 20);
        make_room(&mut reclaimed);
        assert!(reclaimed.capacity() <= 2 * READ_CHUNK);
    }

    #[test]
    fn the_last_answer_is_known_to_the_millisecond() {
        let last_answer = LastAnswer::new();
        let before = Instant::now();
        last_answer.set_to_now();
        assert!(last_answer.at() + Duration::from_millis(1) >= before);
        assert!(last_answer.at() <= Instant::now());
    }
}
