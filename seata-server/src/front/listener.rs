//! The sockets of the Seata port.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use crate::{
    Tc,
    front::{
        Clients, connection,
        desk::{Desk, Stage},
    },
    listen::{ListenError, listen},
    metrics::Metrics,
    settings::FrontSettings,
    tls::{self, TlsError},
};

/// The pauses after an accept that failed, as without free file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a port that ends looks whether all is answered.
const DRAIN_CHECK: Duration = Duration::from_millis(5);
/// When undo logs are first asked to be deleted.
const FIRST_UNDO_LOG_DELETE: Duration = Duration::from_secs(180);
/// How long connections may take to write their last bytes.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Sockets that listen already, so that the port is known, and accept nothing yet.
pub(crate) struct Bound {
    listeners: Vec<TcpListener>,
    tls: Option<TlsAcceptor>,
    settings: FrontSettings,
}

/// The Seata port at work. Dropping it ends all connections at once.
pub(crate) struct Front {
    desk: Arc<Desk>,
    /// One for each socket, which owns its connections; and the one that deletes undo logs.
    tasks: JoinSet<()>,
}

/// Why the Seata port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

impl Bound {
    pub(crate) fn bind(settings: FrontSettings) -> Result<Self, BindError> {
        let tls = settings.tls.as_ref().map(|tls| tls::acceptor(tls, &[])).transpose()?;
        let listeners = listen(&settings.bind, settings.port)?;
        Ok(Self { listeners, tls, settings })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Begins to accept.
    pub(crate) fn serve(self, tc: Tc, clients: Clients, metrics: Arc<Metrics>) -> Front {
        let desk = Arc::new(Desk::new(tc, clients, metrics, self.settings));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(listener, self.tls.clone(), Arc::clone(&desk)));
        }
        tasks.spawn(delete_undo_logs(Arc::clone(&desk)));
        Front { desk, tasks }
    }
}

impl Front {
    /// Registrations from now on wait this long for rows that others hold.
    pub(crate) fn set_lock_wait(&self, wait: Duration) {
        self.desk.set_lock_wait(wait);
    }

    /// How long the coordinator waits for a call of phase two from now on.
    pub(crate) fn set_call_limit(&self, limit: Duration) {
        self.desk.clients.set_call_limit(limit);
    }

    /// Takes no more connections and requests, lets those under way be answered for at most `limit`, then
    /// closes all.
    pub(crate) async fn shutdown(mut self, limit: Duration) {
        let end = Instant::now() + limit;
        self.desk.enter(Stage::Draining);
        while Instant::now() < end && !self.desk.clients.peers().iter().all(|peer| peer.is_at_rest()) {
            sleep(DRAIN_CHECK).await;
        }
        self.desk.enter(Stage::Closing);
        let end = Instant::now() + LAST_WORDS;
        while Instant::now() < end && self.desk.connections.load(Ordering::Acquire) > 0 {
            self.desk.enter(Stage::Closing);
            sleep(DRAIN_CHECK).await;
        }
        self.tasks.shutdown().await;
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("stage", &self.desk.stage()).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                report_panic(ended);
                continue;
            }
        };
        match accepted {
            Ok((stream, address)) => {
                pause = FIRST_PAUSE;
                take_in(stream, address, tls.as_ref(), &desk, &mut connections);
            }
            Err(error) => {
                desk.metrics.refused("accept");
                tracing::warn!(%error, ?pause, "no connection can be accepted now");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn take_in(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<&TlsAcceptor>,
    desk: &Arc<Desk>,
    connections: &mut JoinSet<()>,
) {
    if desk.stage() != Stage::Open {
        return;
    }
    let seat = Seat::take(desk);
    if desk.connections.load(Ordering::Acquire) > desk.settings.max_connections {
        desk.metrics.refused("connections");
        if desk.complaints.is_due(address.ip(), "connections") {
            let limit = desk.settings.max_connections;
            tracing::warn!(peer = %address, limit, "refused: there are as many connections as there may be");
        }
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %address, %error, "the connection ended before it began");
        return;
    }
    let (desk, tls) = (Arc::clone(desk), tls.cloned());
    match tls {
        None => connections.spawn(async move {
            let _seat = seat;
            connection::serve(stream, address, desk).await;
        }),
        Some(tls) => connections.spawn(async move {
            let _seat = seat;
            if let Some(stream) = shake_hands(&tls, stream, address, &desk).await {
                connection::serve(stream, address, desk).await;
            }
        }),
    };
}

async fn shake_hands(
    tls: &TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    desk: &Desk,
) -> Option<TlsStream<TcpStream>> {
    let limit = desk.settings.patience;
    let reason = match timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) if speaks_plainly(&error) => {
            format!("{error}; the client seems to speak without TLS: set it to use it")
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not done within {limit:?}"),
    };
    desk.metrics.refused("handshake");
    if desk.complaints.is_due(address.ip(), "handshake") {
        tracing::warn!(peer = %address, %reason, "a TLS handshake failed");
    }
    None
}

/// Whether what came is nothing of TLS.
fn speaks_plainly(error: &std::io::Error) -> bool {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}

/// One of the connections that there may be.
struct Seat(Arc<Desk>);

impl Seat {
    fn take(desk: &Arc<Desk>) -> Self {
        desk.connections.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(desk))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended by a fault of this server; please report it");
    }
}

async fn delete_undo_logs(desk: Arc<Desk>) {
    let period = desk.settings.undo_log_delete_period;
    if period.is_zero() {
        return;
    }
    sleep(FIRST_UNDO_LOG_DELETE.min(period)).await;
    loop {
        desk.clients.delete_undo_logs(desk.settings.undo_log_save_days);
        sleep(period).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::settings::TlsSettings;

    #[tokio::test]
    async fn who_speaks_without_tls_is_told_apart() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("certificate"), made.cert.pem()).expect("written");
        std::fs::write(path("key"), made.signing_key.serialize_pem()).expect("written");
        let settings =
            TlsSettings { certificate: path("certificate"), key: path("key"), client_authorities: None };
        let acceptor = tls::acceptor(&settings, &[]).expect("an acceptor");
        for (bytes, is_plain) in [
            (&b"\xda\xda\x01\0\0\0\x10\0\x10\x03\x01\0\0\0\0\x07"[..], true),
            (b"\x16\x03\x01\0\x01\x01", false),
        ] {
            let (mut client, server) = tokio::io::duplex(1_024);
            client.write_all(bytes).await.expect("written");
            client.shutdown().await.expect("shut down");
            let error = acceptor.accept(server).await.expect_err("no handshake");
            assert_eq!(speaks_plainly(&error), is_plain, "{error}");
        }
    }
}
