//! What a supervisor and a scraper ask, without a token.

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use seata_coordinator::store::Store;

use crate::metrics;

use super::ConsoleState;

/// The process lives. Java's text.
pub(super) async fn health() -> &'static str {
    "ok"
}

/// Whether requests can be served: the store works and the Seata port accepts.
pub(super) async fn ready(State(state): State<ConsoleState>) -> (StatusCode, String) {
    let unavailable = |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"));
    if let Some(why) = state.readiness.why_not() {
        return unavailable(why.to_owned());
    }
    match state.tc.store().undecided(Vec::new()).await {
        Ok(_) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => unavailable(error.to_string()),
    }
}

pub(super) async fn metrics(State(state): State<ConsoleState>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], state.metrics.render(&state.tc, &state.clients))
}
