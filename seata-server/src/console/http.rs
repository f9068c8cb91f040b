//! Sockets and connections.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::places::Places;

/// The tasks behind the HTTP port. Dropping it stops them at once.
#[derive(Debug)]
pub(super) struct HttpServer {
    acceptors: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// How long a handshake or the head of a request may take; also how long a connection may be idle.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How old a connection may become, whatever it does: one whose client takes no bytes ends too.
const CONNECTION_LIMIT: Duration = Duration::from_secs(600);
/// How long a connection that has to end may still answer.
const LAST_ANSWER: Duration = Duration::from_secs(5);
/// After a failure to accept, as when file descriptors are used up.
const PAUSE: Duration = Duration::from_millis(100);

impl HttpServer {
    pub(super) fn start(listeners: Vec<TcpListener>, tls: Option<TlsAcceptor>, router: Router) -> Self {
        let (stop, stopped) = watch::channel(false);
        let places = Places::default();
        let mut acceptors = JoinSet::new();
        for listener in listeners {
            acceptors.spawn(accept(listener, tls.clone(), router.clone(), places.clone(), stopped.clone()));
        }
        Self { acceptors, stop }
    }

    pub(super) async fn shutdown(mut self, limit: Duration) {
        self.stop.send_replace(true);
        let ended = async { while self.acceptors.join_next().await.is_some() {} };
        let _ = timeout(limit, ended).await;
        self.acceptors.shutdown().await;
    }
}

/// Owns the connections of one socket.
async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Places,
    stopped: watch::Receiver<bool>,
) {
    let mut stop = stopped.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = places.take(peer.ip()) else { continue };
                    let (tls, router, stopped) = (tls.clone(), router.clone(), stopped.clone());
                    connections.spawn(async move {
                        let _place = place;
                        if let Err(error) = serve(stream, peer, tls, router, stopped).await {
                            tracing::debug!(%peer, %error, "a console connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "no console connection can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = until_stopped(&mut stop) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => answer(stream, peer, router, stopped).await,
        Some(tls) => {
            let stream = timeout(HEAD_LIMIT, tls.accept(stream)).await??;
            answer(stream, peer, router, stopped).await
        }
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(peer))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result.map_err(io::Error::other),
        () = until_stopped(&mut stopped) => {}
        () = tokio::time::sleep(CONNECTION_LIMIT) => {}
    }
    connection.as_mut().graceful_shutdown();
    timeout(LAST_ANSWER, connection).await?.map_err(io::Error::other)
}

/// Also when the server was dropped.
async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
