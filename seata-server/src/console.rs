//! The HTTP port: Java's console API, a REST API of our own, metrics, health.
//!
//! Nothing but `/health`, `/ready`, `/metrics` and the login answers without a token. While the server starts, `/health`
//! and `/ready` answer alone.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
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
use gate::Gate;

pub(crate) use readiness::Readiness;

mod actions;
mod auth;
mod entries;
mod gate;
mod health;
mod http;
mod java;
mod parameters;
mod places;
mod readiness;
mod reply;
mod rest;
mod router;
mod scans;
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
    gate: Gate,
}

/// What the console shows and acts on.
#[derive(Clone)]
pub(crate) struct ConsoleState {
    pub(crate) tc: Tc,
    pub(crate) clients: Clients,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) started: SystemTime,
}

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

    /// From now on everything is answered, not only whether the server lives and is ready.
    ///
    /// # Errors
    /// [`ConsoleError::Password`] when the password file cannot be read or written.
    pub(crate) fn open(&self, state: ConsoleState) -> Result<(), ConsoleError> {
        let auth = Arc::new(Auth::new(&state.settings)?);
        self.gate.open(state.tc.clone(), router::inside(state, auth));
        Ok(())
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

    /// Begins to answer that the process lives, and how far it is with its start.
    pub(crate) fn serve(self, readiness: Readiness) -> Console {
        let gate = Gate::new(readiness);
        let server = http::HttpServer::start(self.listeners, self.tls, router::outside(gate.clone()));
        Console { server, gate }
    }
}
