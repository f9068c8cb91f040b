//! The sockets of the Seata port.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;

use crate::{Tc, front::Clients, metrics::Metrics, settings::FrontSettings};

/// Sockets that listen already, so that the port is known, and accept nothing yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listeners: Vec<TcpListener>,
    settings: FrontSettings,
}

/// The Seata port at work.
#[derive(Debug)]
pub(crate) struct Front {}

impl Bound {
    pub(crate) async fn bind(settings: FrontSettings) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for ip in &settings.bind {
            listeners.push(TcpListener::bind((*ip, settings.port)).await?);
        }
        Ok(Self { listeners, settings })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Begins to accept.
    pub(crate) fn serve(self, _tc: Tc, _clients: Clients, _metrics: Arc<Metrics>) -> Front {
        drop(self.settings);
        Front {}
    }
}

impl Front {
    /// Takes no more connections and requests, lets those under way be answered for at most `limit`, then
    /// closes all.
    pub(crate) async fn shutdown(self, _limit: Duration) {}
}
