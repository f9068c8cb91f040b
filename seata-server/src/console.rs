//! The HTTP port: Java's console API, a REST API of our own, metrics, health.
//!
//! Nothing but `/health`, `/ready`, `/metrics` and the login answers without a token.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    Tc,
    front::Clients,
    listen::{ListenError, listen},
    metrics::Metrics,
    settings::{ConsoleSettings, Settings},
    tls,
};

use auth::Auth;

mod actions;
mod auth;
mod health;
mod http;
mod java;
mod reply;
mod rest;
mod token;
mod view;

/// Sockets of the HTTP port that listen already and accept nothing yet.
pub(crate) struct BoundConsole {
    listeners: Vec<TcpListener>,
    tls: Option<TlsAcceptor>,
}

/// The HTTP port at work.
#[derive(Debug)]
pub(crate) struct Console {
    server: http::HttpServer,
}

/// What the console shows and acts on.
#[derive(Clone)]
pub(crate) struct ConsoleState {
    pub(crate) tc: Tc,
    pub(crate) clients: Clients,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) started: SystemTime,
    pub(crate) readiness: Readiness,
}

/// Whether the Seata port takes requests. Cloning is cheap, and all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicU8>);

/// Why there is no HTTP port.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// An address could not be listened on.
    #[error(
        "the console port cannot be listened on: {address}: {error}; choose another with --console-port, or off for none"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What came of it.
        error: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("the console's {0}")]
    Tls(#[from] tls::TlsError),
    /// The password could not be read or kept.
    #[error(transparent)]
    Password(#[from] auth::PasswordError),
    /// The secret is too short to be one.
    #[error(
        "the console's token secret has {length} bytes, at least {MIN_SECRET} are needed; leave it out to have one made at each start"
    )]
    Secret {
        /// How many bytes it has.
        length: usize,
    },
}

/// The fewest bytes of a secret that signs tokens.
const MIN_SECRET: usize = 32;

impl Console {
    /// Listens on every address of `settings`, so that the port is known and taken. Nothing is answered yet.
    /// Without a port there are no sockets.
    ///
    /// # Errors
    /// [`ConsoleError`] names the cause.
    pub(crate) fn bind(settings: &ConsoleSettings) -> Result<BoundConsole, ConsoleError> {
        if let Some(secret) = settings.token_secret.as_ref().filter(|secret| secret.len() < MIN_SECRET) {
            return Err(ConsoleError::Secret { length: secret.len() });
        }
        let tls = settings.tls.as_ref().map(|tls| tls::acceptor(tls, &[b"http/1.1"])).transpose()?;
        let listeners = match settings.port {
            Some(port) => listen(&settings.bind, port)
                .map_err(|ListenError { address, error }| ConsoleError::Bind { address, error })?,
            None => Vec::new(),
        };
        Ok(BoundConsole { listeners, tls })
    }

    /// Answers no more new requests, lets those under way be answered for at most `limit`, then closes all.
    pub(crate) async fn shutdown(self, limit: Duration) {
        self.server.shutdown(limit).await;
    }
}

impl BoundConsole {
    /// Where it listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// [`ConsoleError::Password`] when the password file cannot be read or written.
    pub(crate) fn serve(self, state: ConsoleState) -> Result<Console, ConsoleError> {
        let auth = Arc::new(Auth::new(&state.settings)?);
        let router = http::router(state, auth);
        Ok(Console { server: http::HttpServer::start(self.listeners, self.tls, router) })
    }
}

impl Readiness {
    const SERVING: u8 = 1;
    const DRAINING: u8 = 2;

    /// The Seata port accepts.
    pub(crate) fn serving(&self) {
        self.0.store(Self::SERVING, Ordering::Release);
    }

    /// It takes nothing new any more.
    pub(crate) fn draining(&self) {
        self.0.store(Self::DRAINING, Ordering::Release);
    }

    /// `None` when the Seata port accepts, else why it does not.
    fn why_not(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Acquire) {
            Self::SERVING => None,
            Self::DRAINING => Some("the server is shutting down"),
            _ => Some("the Seata port does not accept yet"),
        }
    }
}
