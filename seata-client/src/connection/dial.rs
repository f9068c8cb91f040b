//! The way to an open socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::OpenError;

/// Connects to the first address of `address` ("host:port") that accepts.
///
/// Each of several addresses gets an equal share of the time that is left, so that one that drops packets
/// does not use up the time of the others.
pub(super) async fn dial(address: &str, limit: Duration) -> Result<TcpStream, OpenError> {
    let timed_out = || OpenError::TimedOut { address: address.to_owned(), limit };
    let deadline = Instant::now() + limit;
    let found: Vec<SocketAddr> = match timeout_at(deadline, lookup_host(address)).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(source)) => {
            return Err(OpenError::Lookup { address: address.to_owned(), source });
        }
        Err(_) => return Err(timed_out()),
    };

    let mut failure = OpenError::NoAddress { address: address.to_owned() };
    for (position, &tried) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let untried = u32::try_from(found.len() - position).unwrap_or(u32::MAX);
        failure = match timeout(left / untried, connect(tried)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(source)) => OpenError::Connect { address: address.to_owned(), tried, source },
            Err(_) => timed_out(),
        };
    }
    Err(failure)
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.connect(address).await
}
