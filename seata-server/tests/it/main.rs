//! The Seata port, as clients see it: a server in this process, and clients that write frames.

mod console;
mod conversations;
mod hostile;
mod merged;
mod peer;
mod phase_two;
#[cfg(unix)]
mod process;
mod registration;
mod secure;
mod store;
mod transactions;

use std::{net::SocketAddr, time::Duration};

use seata_server::{
    Server,
    settings::{Settings, StoreKind},
};

/// A server on a free port.
async fn server(change: impl FnOnce(&mut Settings)) -> (Server, SocketAddr) {
    let mut settings = Settings::default();
    settings.front.port = 0;
    settings.console.port = None;
    settings.store.kind = StoreKind::Memory;
    settings.coordinator.retry_period = Duration::from_millis(50);
    change(&mut settings);
    let server = Server::start(settings).await.unwrap();
    let address = server.addresses()[0];
    (server, address)
}

async fn stop(server: Server) {
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}
