//! The sockets that listen, of the Seata port and of the HTTP port.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {error}")]
pub(crate) struct ListenError {
    pub(crate) address: SocketAddr,
    pub(crate) error: io::Error,
}

/// How many connections may wait to be accepted: all clients come back at once after a restart.
const BACKLOG: i32 = 4_096;
/// How often a free port is looked for that is free at every address.
const ATTEMPTS: usize = 16;

/// Listens on all of them; port 0 finds one that is free for all.
///
/// # Errors
/// [`ListenError`] names the first address that cannot be listened on.
pub(crate) fn listen(bind: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut attempt = 1;
    loop {
        match listen_once(bind, port) {
            // The port was free at the first address and is taken at another one.
            Err(error)
                if port == 0 && attempt < ATTEMPTS && error.error.kind() == io::ErrorKind::AddrInUse =>
            {
                attempt += 1;
            }
            listening => return listening,
        }
    }
}

fn listen_once(bind: &[IpAddr], mut port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::with_capacity(bind.len());
    for ip in bind {
        let address = SocketAddr::new(*ip, port);
        let listening = listen_at(address).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (found, listener) = listening.map_err(|error| ListenError { address, error })?;
        port = found;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Else `::` takes IPv4 on some systems, where 0.0.0.0 beside it is then in use.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // After a restart the old connections still fade away. On Windows the option means that anybody may take
    // the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// The loopback addresses that this machine has: 127.0.0.1, and mostly ::1.
pub(crate) fn loopback() -> Vec<IpAddr> {
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let v6 = has_v6.then_some(IpAddr::V6(Ipv6Addr::LOCALHOST));
    [IpAddr::V4(Ipv4Addr::LOCALHOST)].into_iter().chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
        listeners.iter().map(|listener| listener.local_addr().expect("an address")).collect()
    }

    #[tokio::test]
    async fn all_of_ipv4_and_all_of_ipv6_stand_beside_each_other() {
        let bind: Vec<IpAddr> = match loopback().len() {
            1 => vec![Ipv4Addr::UNSPECIFIED.into()],
            _ => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        for bind in [bind.clone(), bind.into_iter().rev().collect()] {
            let listeners = listen(&bind, 0).expect("sockets");
            let port = addresses(&listeners)[0].port();
            for (ip, address) in bind.iter().zip(addresses(&listeners)) {
                assert_eq!(address, SocketAddr::new(*ip, port));
            }
            for ip in loopback() {
                let of_its_family = listeners.iter().zip(&bind).find(|(_, at)| at.is_ipv4() == ip.is_ipv4());
                let (listener, _) = of_its_family.expect("one of its family");
                let _client = std::net::TcpStream::connect((ip, port)).expect("connected");
                let (_, from) = listener.accept().await.expect("accepted");
                assert_eq!(from.ip(), ip, "as it is, never mapped into the other family");
            }
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_address() {
        let taken = listen(&[Ipv4Addr::LOCALHOST.into()], 0).expect("a socket");
        let at = addresses(&taken)[0];
        let error = listen(&[at.ip()], at.port()).expect_err("in use");
        assert_eq!((error.address, error.error.kind()), (at, io::ErrorKind::AddrInUse));
    }
}
