//! The operations of Java's later consoles that mean here what they mean there.
//!
//! Deleting single branches and locks is not offered: it leaves data behind without a trace.

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::{delete, get, put},
};
use seata_coordinator::driver::Known;
use seata_protocol::{BranchId, GlobalStatus};
use serde::Deserialize;

use super::{
    super::{
        ConsoleState,
        actions::{Action, act, parse_xid},
        reply::Refusal,
    },
    Parameters, Single, User, failure,
};

pub(super) fn routes() -> Router<ConsoleState> {
    let path = |name: &str| format!("/api/v1/console/{name}");
    Router::new()
        .route(&path("globalSession/stopGlobalSession"), put(stop))
        .route(&path("globalSession/startGlobalSession"), put(retry))
        .route(&path("globalSession/sendCommitOrRollback"), put(retry))
        .route(&path("globalSession/changeGlobalStatus"), put(retry))
        .route(&path("globalSession/forceDeleteGlobalSession"), delete(give_up))
        .route(&path("globalLock/check"), get(check))
}

#[derive(Deserialize)]
struct Named {
    xid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedBranch {
    xid: String,
    branch_id: i64,
}

/// Java's console does not ask why.
const REASON: &str = "through Java's console API";

async fn stop(state: State<ConsoleState>, user: Extension<User>, query: Parameters<Named>) -> Response {
    answer(run(state, user, query, Action::Park).await)
}

async fn retry(state: State<ConsoleState>, user: Extension<User>, query: Parameters<Named>) -> Response {
    answer(run(state, user, query, Action::Retry).await)
}

/// Ends it the way it is decided, without asking anybody; an undecided one is rolled back.
async fn give_up(state: State<ConsoleState>, user: Extension<User>, query: Parameters<Named>) -> Response {
    let action = async {
        let Query(Named { xid }) = query.as_ref().map_err(|error| Refusal::bad_request(error.body_text()))?;
        let is_undecided = match state.tc.find(&parse_xid(xid)?).await? {
            Some(Known::Open(view)) => view.snapshot.status == GlobalStatus::Begin,
            Some(Known::Ended(_)) | None => false,
        };
        Ok(if is_undecided { Action::Rollback } else { Action::GiveUp })
    };
    match action.await {
        Ok(action) => answer(run(state, user, query, action).await),
        Err(refusal) => answer(Err(refusal)),
    }
}

async fn run(
    State(state): State<ConsoleState>,
    Extension(User(user)): Extension<User>,
    query: Parameters<Named>,
    action: Action,
) -> Result<String, Refusal> {
    let Query(Named { xid }) = query?;
    Ok(act(&state, &user, action, &xid, REASON).await?.message)
}

async fn check(State(state): State<ConsoleState>, query: Parameters<NamedBranch>) -> Response {
    let exists = async {
        let Query(NamedBranch { xid, branch_id }) = query?;
        Ok(match state.tc.find(&parse_xid(&xid)?).await? {
            Some(Known::Open(view)) => {
                view.snapshot.branches.iter().any(|branch| branch.id == BranchId(branch_id))
            }
            Some(Known::Ended(_)) | None => false,
        })
    };
    match exists.await {
        Ok(exists) => Json(Single::success(exists)).into_response(),
        Err(refusal) => failure(&refusal),
    }
}

fn answer(done: Result<String, Refusal>) -> Response {
    match done {
        Ok(message) => Json(Single::success(message)).into_response(),
        Err(refusal) => failure(&refusal),
    }
}
