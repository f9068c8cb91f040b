//! Why a connection could not be opened, why a call on it failed, and why it ended.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seata_protocol::DecodeError;
use seata_protocol::EncodeError;
use seata_protocol::FrameError;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The host name could not be looked up.
    #[error("the host of {address} cannot be looked up: {source}")]
    Lookup { address: String, source: io::Error },

    /// The name service knows the host and has no address for it.
    #[error("the host of {address} has no address")]
    NoAddress { address: String },

    /// Nobody accepted at any address of the host; the last one is named.
    #[error("cannot connect to {address} (tried {tried}): {source}")]
    Connect { address: String, tried: SocketAddr, source: io::Error },

    /// The server closed the connection as soon as it had accepted it.
    #[error("the connection to {address} was lost at once: {source}")]
    Lost { address: String, source: io::Error },

    /// Neither accepted nor refused in time: a firewall that drops, a host that is down.
    #[error("no connection to {address} within {limit:?}")]
    TimedOut { address: String, limit: Duration },
}

/// Why a connection ended. Every call that was waiting then gets it as its cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseReason {
    /// This side asked for it.
    #[error("it was closed by this side")]
    Asked,

    /// The task behind the connection is gone: its runtime was shut down.
    #[error("its task was stopped")]
    Stopped,

    /// The server closed it between two frames.
    #[error("the server closed it")]
    ClosedByServer,

    /// The server closed it inside a frame.
    #[error("the server closed it {received} bytes into a frame")]
    CutShort { received: usize },

    /// The server sent what is no frame. What follows in the stream cannot be told apart any more.
    #[error("the server sent what is no frame: {}", no_frame(.0))]
    Broken(FrameError),

    /// The server said nothing for too long, pings included.
    #[error("the server sent nothing for {limit:?}")]
    Silent { limit: Duration },

    /// The server sent requests and answered none of ours, not even a ping: they do not reach it.
    #[error("the server answered nothing for {limit:?}, though it sends requests")]
    Deaf { limit: Duration },

    /// The server took nothing for too long while there was something to send.
    #[error("the server read nothing for {limit:?}, {waiting} bytes wait to be sent")]
    Stalled { limit: Duration, waiting: usize },

    /// Reading failed.
    #[error("reading failed: {0}")]
    Read(io::Error),

    /// Writing failed.
    #[error("writing failed: {0}")]
    Write(io::Error),
}

/// The usual stranger is the console of a Seata server, whose port stands beside the one that was meant.
fn no_frame(error: &FrameError) -> String {
    match error {
        FrameError::Magic { found } if found.starts_with(b"HT") => {
            "it answers HTTP: is this the console's port (7091 by default)? Seata's is 8091 by default"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// Why a message has no answer, or was not sent.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The message cannot be written. Nothing was sent.
    #[error("{request} cannot be sent: {source}")]
    Unsendable { request: &'static str, source: EncodeError },

    /// The connection is being closed and takes no more calls. Nothing was sent.
    #[error("{request} was not sent, the connection is being closed")]
    Closing { request: &'static str },

    /// As many requests as are allowed were in flight the whole time. Nothing was sent.
    #[error("{request} was not sent, {in_flight} other requests were in flight for {limit:?}")]
    TooMany { request: &'static str, in_flight: usize, limit: Duration },

    /// The server did not read: there was no room among the bytes to be sent the whole time. Nothing was sent.
    #[error("{request} was not sent, the server did not read for {limit:?}")]
    NoRoom { request: &'static str, limit: Duration },

    /// The request was sent and no answer came in time. An answer that comes later is ignored.
    #[error("no answer to {request} within {:?}", rounded(.limit))]
    NoAnswer { request: &'static str, limit: Duration },

    /// The connection ended before the answer came; `sent` if the server may have the message.
    #[error("{request} has no answer, the connection ended: {reason}")]
    Ended { request: &'static str, reason: Arc<CloseReason>, sent: bool },

    /// The answer cannot be read. Other calls are not touched by it.
    #[error("the answer to {request} cannot be read: {source}")]
    Unreadable { request: &'static str, source: DecodeError },

    /// The server answered with a message that answers something else.
    #[error("{request} was answered by a {answer}")]
    WrongAnswer { request: &'static str, answer: &'static str },

    /// A merged answer has another number of results than there were requests, so that no result can be
    /// assigned to its request.
    #[error("{request} was sent merged with others, {requests} in all, and {answers} answer(s) came back")]
    Unassignable { request: &'static str, requests: usize, answers: usize },
}

/// A limit may be what is left of a longer one: the same cause has the same words each time.
fn rounded(limit: &Duration) -> Duration {
    match limit.as_millis() {
        short if short < 1000 => *limit,
        millis => Duration::from_millis(millis.div_ceil(100) as u64 * 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_limit_is_told_as_the_limit() {
        for micros in [9_999_752, 9_990_001, 10_000_000] {
            let error = CallError::NoAnswer { request: "Ping", limit: Duration::from_micros(micros) };
            assert_eq!(error.to_string(), "no answer to Ping within 10s");
        }
        let error = CallError::NoAnswer { request: "Ping", limit: Duration::from_millis(15) };
        assert_eq!(error.to_string(), "no answer to Ping within 15ms");
    }
}
