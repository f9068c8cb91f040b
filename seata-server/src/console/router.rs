//! What is answered where, and who gets in.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::timeout;

use super::{
    ConsoleState,
    auth::Auth,
    gate::{self, Gate},
    health, java,
    reply::Refusal,
    rest,
    scans::Scans,
};

/// The longest body of a request.
const MAX_BODY: usize = 64 << 10;
/// How long one request may take, its body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// What is answered from the first moment on, with the way to the rest.
pub(super) fn outside(gate: Gate) -> Router {
    Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .fallback(gate::pass)
        .method_not_allowed_fallback(wrong_method)
        .with_state(gate)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(limit_time))
}

/// Everything that needs a coordinator.
pub(super) fn inside(state: ConsoleState, auth: Arc<Auth>) -> Router {
    let open =
        Router::new().route("/metrics", get(health::metrics)).merge(java::open()).with_state(state.clone());
    let guarded = Router::new()
        .merge(java::guarded())
        .merge(rest::routes())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&auth), java::guard))
        .with_state(state);
    open.merge(guarded)
        .fallback(nothing_there)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(auth))
        .layer(Extension(Scans::new()))
}

async fn nothing_there(uri: Uri) -> Response {
    let text = "there is nothing under this path; docs/console.md lists what there is";
    refuse(&uri, Refusal::new(StatusCode::NOT_FOUND, text))
}

/// The header `Allow` is the router's.
async fn wrong_method(method: Method, uri: Uri) -> Response {
    let text = format!("{method} is not answered here; the header Allow says what is");
    refuse(&uri, Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text))
}

/// In the shape of the API that the path belongs to.
fn refuse(uri: &Uri, refusal: Refusal) -> Response {
    match uri.path().starts_with("/api/") {
        true => java::failure(&refusal),
        false => refusal.into_response(),
    }
}

async fn limit_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let text = format!("this took longer than {} s; ask for less", REQUEST_LIMIT.as_secs());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, text).into_response()
        }
    }
}
