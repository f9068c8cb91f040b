//! What a supervisor and a scraper ask, without a token.

use std::fmt::Display;

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use seata_coordinator::store::Store;

use crate::metrics;

use super::{ConsoleState, gate::Gate};

/// The process lives. Java's text.
pub(super) async fn health() -> &'static str {
    "ok"
}

/// Whether requests can be served: the store works and the Seata port accepts.
pub(super) async fn ready(State(gate): State<Gate>) -> (StatusCode, String) {
    let unavailable = |why: &dyn Display| (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"));
    if let Some(why) = gate.readiness().why_not() {
        return unavailable(&why);
    }
    let Some(tc) = gate.tc() else { return unavailable(&"the server is starting") };
    match tc.store().undecided(Vec::new()).await {
        Ok(_) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => unavailable(&error),
    }
}

pub(super) async fn metrics(State(state): State<ConsoleState>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], state.metrics.render(&state.tc, &state.clients))
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, http::header::RETRY_AFTER, routing::get};
    use seata_coordinator::{
        driver::{Driver, SystemClock},
        journal::{JournalStore, Options},
        settings::Settings,
        store::AnyStore,
    };

    use crate::{console::Readiness, console::gate, front::Clients};

    use super::*;

    #[tokio::test]
    async fn it_is_ready_when_it_serves_and_its_store_works() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = JournalStore::open(directory.path(), Options::default()).expect("a store");
        let (tc, _runner) = Driver::start(
            AnyStore::Journal(Box::new(store)),
            Clients::default(),
            SystemClock::new(),
            Box::new(|| 0.5),
            Settings::default(),
        )
        .await
        .expect("a coordinator");
        let readiness = Readiness::default();
        let gate = Gate::new(readiness.clone());
        let look = async |expected: StatusCode, part: &str| {
            let (status, text) = ready(State(gate.clone())).await;
            assert!(status == expected && text.contains(part), "{status} {text}");
        };
        let inside = async || gate::pass(State(gate.clone()), Request::new(Body::empty())).await;

        look(StatusCode::SERVICE_UNAVAILABLE, "it opens its store").await;
        let early = inside().await;
        assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(early.headers().contains_key(RETRY_AFTER));
        gate.open(tc.clone(), Router::new().route("/", get(|| async { "inside" })));
        look(StatusCode::SERVICE_UNAVAILABLE, "starting").await;
        assert_eq!(inside().await.status(), StatusCode::OK);
        readiness.serving();
        look(StatusCode::OK, "ready").await;
        tc.store().close().await.expect("closed");
        look(StatusCode::SERVICE_UNAVAILABLE, "closed").await;
        readiness.draining();
        look(StatusCode::SERVICE_UNAVAILABLE, "shutting down").await;
        assert_eq!(health().await, "ok");
    }
}
