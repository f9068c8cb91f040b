//! Our own REST API. Ids and XIDs are texts, times are milliseconds since the epoch.

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    ConsoleState,
    actions::{Action, act},
    java::User,
    reply::{PathOf, Refusal, Reply},
};

mod clients;
mod locks;
mod overview;
mod transactions;

/// All paths, which need a token.
pub(super) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/v1/overview", get(overview::overview))
        .route("/v1/transactions", get(transactions::list))
        .route("/v1/transactions/{xid}", get(transactions::show))
        .route("/v1/transactions/{xid}/{action}", post(action))
        .route("/v1/locks", get(locks::list))
        .route("/v1/locks/who", get(locks::who))
        .route("/v1/clients", get(clients::list))
}

/// How many entries a list has unless told, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

fn parse_limit(text: &str, default: usize) -> Result<usize, Refusal> {
    if text.is_empty() {
        return Ok(default);
    }
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Refusal::bad_request(format!("limit is {text:?}, expected 1 to {MAX_LIMIT}")))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Why {
    reason: String,
}

#[derive(Serialize)]
struct ActedBody {
    xid: String,
    status: String,
    message: String,
}

async fn action(
    State(state): State<ConsoleState>,
    Extension(User(user)): Extension<User>,
    path: PathOf<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Reply<ActedBody> {
    let (xid, name) = path?.0;
    let action = Action::named(&name).ok_or_else(|| {
        let text =
            format!("{name:?} is no action, expected retry, park, commit, rollback, give-up or release");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })?;
    let body = body?;
    let Why { reason } = if body.is_empty() {
        Why::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Refusal::bad_request(format!(r#"the body is not {{"reason": "…"}}: {error}"#)))?
    };
    let acted = act(&state, &user, action, &xid, &reason).await?;
    Ok(Json(ActedBody { xid, status: acted.status.to_string(), message: acted.message }))
}
