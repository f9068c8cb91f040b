//! What the server has in hand and has done, in numbers.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use seata_coordinator::record::Millis;
use serde::Serialize;

use crate::settings::StoreKind;

use super::super::{
    ConsoleState,
    view::{millis, now},
};

#[derive(Serialize)]
pub(super) struct Overview {
    version: &'static str,
    host: String,
    store: &'static str,
    started_at: Millis,
    now: Millis,
    open: usize,
    parked: usize,
    locks: usize,
    waiting: usize,
    by_status: BTreeMap<String, usize>,
    connections: usize,
    tm: usize,
    rm: usize,
    resources: usize,
    begun: u64,
    committed: u64,
    rolled_back: u64,
    failed: u64,
    given_up: u64,
    requests: BTreeMap<&'static str, u64>,
}

pub(super) async fn overview(State(state): State<ConsoleState>) -> Json<Overview> {
    let (stats, totals, clients) = (state.tc.stats(), state.metrics.totals(), state.clients.counts());
    Json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        host: state.tc.address().to_owned(),
        store: match state.settings.store.kind {
            StoreKind::Journal => "journal",
            StoreKind::Memory => "memory",
        },
        started_at: millis(state.started),
        now: now(),
        open: stats.open,
        parked: stats.parked,
        locks: stats.locks,
        waiting: stats.waiting,
        by_status: stats.by_status.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
        connections: clients.connections,
        tm: clients.tm,
        rm: clients.rm,
        resources: clients.resources,
        begun: totals.begun,
        committed: totals.committed,
        rolled_back: totals.rolled_back,
        failed: totals.failed,
        given_up: totals.given_up,
        requests: totals.requests.into_iter().collect(),
    })
}
