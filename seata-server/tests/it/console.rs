//! The HTTP port, as browsers, scrapers and operators see it.

mod browser;
mod limits;
mod login;
mod metrics;
mod operators;
mod prometheus;
mod queries;
mod sizes;

use std::net::SocketAddr;

use seata_protocol::{BranchStatus, BranchType, GlobalStatus};
use seata_server::{Server, settings::Settings};

use crate::peer::Peer;

use browser::{Browser, PASSWORD};

/// A server with an HTTP port, and somebody who is logged in.
async fn console(change: impl FnOnce(&mut Settings)) -> (Server, SocketAddr, Browser) {
    let (server, address) = crate::server(|settings| {
        settings.console.port = Some(0);
        settings.console.password = Some(PASSWORD.to_owned());
        change(settings);
    })
    .await;
    let browser = Browser::login(server.console_addresses()[0]).await;
    (server, address, browser)
}

/// A transaction whose branch, with rows `stock:1` and `stock:2`, can never be rolled back.
async fn parked(address: SocketAddr) -> (Peer, Peer, String) {
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::At, "jdbc:a", "stock:1,2").await;
    let dirty = BranchStatus::PhaseTwoRollbackFailedUnretryable;
    let (status, _) = tokio::join!(tm.rollback(&xid), rm.serve_phase_two(dirty));
    assert_eq!(status, GlobalStatus::RollbackFailed);
    (tm, rm, xid)
}
