//! Our own REST API. Ids and XIDs are texts, times are milliseconds since the epoch.

use std::collections::BTreeMap;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use seata_coordinator::{
    driver::Known,
    record::{Ended, Millis, Snapshot},
    store::{LockCursor, LockFilter},
};
use seata_protocol::{GlobalStatus, RowKey, RowLock, TransactionId};
use serde::{Deserialize, Serialize};

use crate::settings::StoreKind;

use super::{
    ConsoleState,
    actions::{Action, act, parse_xid},
    java::User,
    reply::{Parameters, PathOf, Refusal, Reply},
    view::{LockBody, TransactionBody, millis, now},
};

/// All paths, which need a token.
pub(super) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/v1/overview", get(overview))
        .route("/v1/transactions", get(transactions))
        .route("/v1/transactions/{xid}", get(transaction))
        .route("/v1/transactions/{xid}/{action}", post(action))
        .route("/v1/locks", get(locks))
        .route("/v1/locks/who", get(who))
        .route("/v1/clients", get(clients))
}

/// How many entries an answer has unless told, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// How many waiters of one row are named.
const MAX_WAITERS: usize = 1_000;

#[derive(Serialize)]
struct Overview {
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
    requests: BTreeMap<&'static str, u64>,
}

async fn overview(State(state): State<ConsoleState>) -> Json<Overview> {
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
        requests: totals.requests.into_iter().collect(),
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TransactionQuery {
    state: Option<String>,
    status: Option<String>,
    application: Option<String>,
    name: Option<String>,
    xid: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
struct Transactions {
    transactions: Vec<TransactionBody>,
    next: Option<String>,
}

/// Which transactions are asked for.
struct Wanted {
    parked_only: bool,
    status: Option<GlobalStatus>,
    application: Option<String>,
    name: Option<String>,
}

async fn transactions(
    State(state): State<ConsoleState>,
    query: Parameters<TransactionQuery>,
) -> Reply<Transactions> {
    let query = query?.0;
    let (mut open, mut ended) = match query.state.as_deref().unwrap_or("open") {
        "open" | "parked" => (true, false),
        "ended" => (false, true),
        "all" => (true, true),
        other => {
            let text = format!("state is {other:?}, expected open, parked, ended or all");
            return Err(Refusal::bad_request(text));
        }
    };
    let wanted = Wanted {
        parked_only: query.state.as_deref() == Some("parked"),
        status: query.status.as_deref().filter(|text| !text.is_empty()).map(parse_status).transpose()?,
        application: query.application.filter(|text| !text.is_empty()),
        name: query.name.filter(|text| !text.is_empty()),
    };
    let limit = limit_of(query.limit)?;
    if let Some(xid) = query.xid.filter(|text| !text.is_empty()) {
        let known = state.tc.find(&parse_xid(&xid)?).await?;
        let known = known.filter(|known| match known {
            Known::Open(view) => open && wanted.allows(&view.snapshot),
            Known::Ended(found) => ended && wanted.allows_ended(found),
        });
        let transactions = known.iter().map(|known| TransactionBody::of(known, now())).collect();
        return Ok(Json(Transactions { transactions, next: None }));
    }
    let (mut after_open, mut after_ended) = (None, None);
    match query.after.as_deref().filter(|text| !text.is_empty()).map(parse_cursor).transpose()? {
        Some(Cursor::Open(id)) if open => after_open = Some(id),
        Some(Cursor::Ended(id)) if ended => (open, after_ended) = (false, id),
        Some(_) => return Err(Refusal::bad_request("after is a cursor of another state; begin without it")),
        None => {}
    }
    let mut bodies = Vec::new();
    if open {
        let page = state.tc.page_where(after_open, limit, |snapshot| wanted.allows(snapshot)).await?;
        let time = now();
        bodies.extend(page.iter().map(|view| TransactionBody::open(view, time)));
        if page.len() == limit {
            let next = page.last().map(|view| format!("open.{}", view.snapshot.transaction.id));
            return Ok(Json(Transactions { transactions: bodies, next }));
        }
    }
    let mut next = None;
    while ended && next.is_none() {
        let part = state.tc.ended(after_ended, MAX_LIMIT).await?;
        ended = part.len() == MAX_LIMIT;
        for found in &part {
            after_ended = Some(found.transaction.id);
            if bodies.len() == limit {
                break;
            }
            if wanted.allows_ended(found) {
                bodies.push(TransactionBody::ended(found));
                if bodies.len() == limit {
                    next = Some(format!("ended.{}", found.transaction.id));
                    break;
                }
            }
        }
    }
    Ok(Json(Transactions { transactions: bodies, next }))
}

impl Wanted {
    fn allows(&self, snapshot: &Snapshot) -> bool {
        let transaction = &snapshot.transaction;
        (!self.parked_only || seata_coordinator::session::is_parked(snapshot.status))
            && self.status.is_none_or(|status| status == snapshot.status)
            && self.application.as_deref().is_none_or(|wanted| wanted == &*transaction.application)
            && self.name.as_deref().is_none_or(|wanted| wanted == &*transaction.name)
    }

    fn allows_ended(&self, ended: &Ended) -> bool {
        let transaction = &ended.transaction;
        self.status.is_none_or(|status| status == ended.status)
            && self.application.as_deref().is_none_or(|wanted| wanted == &*transaction.application)
            && self.name.as_deref().is_none_or(|wanted| wanted == &*transaction.name)
    }
}

enum Cursor {
    Open(TransactionId),
    Ended(Option<TransactionId>),
}

fn parse_cursor(text: &str) -> Result<Cursor, Refusal> {
    let parse = || {
        let (kind, id) = text.split_once('.')?;
        let id = TransactionId(id.parse().ok()?);
        match kind {
            "open" => Some(Cursor::Open(id)),
            "ended" => Some(Cursor::Ended(Some(id))),
            _ => None,
        }
    };
    parse().ok_or_else(|| {
        Refusal::bad_request(format!("after is {text:?}, expected what an answer gave as its next"))
    })
}

/// By its name, or by its number as in Java.
fn parse_status(text: &str) -> Result<GlobalStatus, Refusal> {
    let by_number = text.parse().ok().map(GlobalStatus::from_code);
    let named = |status: &GlobalStatus| status.name().is_some_and(|name| name.eq_ignore_ascii_case(text));
    by_number.or_else(|| GlobalStatus::ALL.iter().copied().find(named)).ok_or_else(|| {
        Refusal::bad_request(format!("status is {text:?}, expected a name such as Begin or RollbackRetrying"))
    })
}

fn limit_of(limit: Option<usize>) -> Result<usize, Refusal> {
    match limit.unwrap_or(LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        other => Err(Refusal::bad_request(format!("limit is {other}, expected 1 to {MAX_LIMIT}"))),
    }
}

async fn transaction(State(state): State<ConsoleState>, xid: PathOf<String>) -> Reply<TransactionBody> {
    let xid = parse_xid(&xid?.0)?;
    let known = state.tc.find(&xid).await?.ok_or_else(|| {
        let text =
            format!("global transaction {xid} is unknown: it ended long ago or never was this server's");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })?;
    Ok(Json(TransactionBody::of(&known, now())))
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
    body: Bytes,
) -> Reply<ActedBody> {
    let (xid, name) = path?.0;
    let action = Action::named(&name).ok_or_else(|| {
        let text =
            format!("{name:?} is no action, expected retry, park, commit, rollback, give-up or release");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })?;
    let Why { reason } = if body.is_empty() {
        Why::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Refusal::bad_request(format!(r#"the body is not {{"reason": "…"}}: {error}"#)))?
    };
    let acted = act(&state, &user, action, &xid, &reason).await?;
    Ok(Json(ActedBody { xid, status: acted.status.to_string(), message: acted.message }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LockQuery {
    xid: Option<String>,
    resource: Option<String>,
    table: Option<String>,
    key: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
struct Locks {
    locks: Vec<LockBody>,
    next: Option<String>,
}

async fn locks(State(state): State<ConsoleState>, query: Parameters<LockQuery>) -> Reply<Locks> {
    let query = query?.0;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = LockFilter {
        transaction: given(query.xid).map(|xid| parse_xid(&xid)).transpose()?.map(|xid| xid.transaction_id()),
        resource: given(query.resource).map(|text| text.as_str().into()),
        table: given(query.table).map(Into::into),
        key: given(query.key).map(Into::into),
    };
    let after: Option<LockCursor> = given(query.after)
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: seata_coordinator::store::InvalidCursor| Refusal::bad_request(error.to_string()))?;
    let page = state.tc.locks_after(after, &filter, limit_of(query.limit)?).await?;
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(Json(Locks { locks: page.locks.into_iter().map(Into::into).collect(), next }))
}

#[derive(Deserialize)]
struct RowQuery {
    resource: String,
    table: String,
    key: String,
}

#[derive(Serialize)]
struct Who {
    resource: String,
    table: String,
    key: String,
    holder: Option<TransactionBody>,
    branch: Option<String>,
    waiters: Vec<Waiter>,
}

#[derive(Serialize)]
struct Waiter {
    xid: String,
    since: Millis,
}

async fn who(State(state): State<ConsoleState>, query: Parameters<RowQuery>) -> Reply<Who> {
    let RowQuery { resource, table, key } = query?.0;
    let row = RowLock {
        resource: resource.as_str().into(),
        table: table.as_str().into(),
        key: RowKey::from_text(key.as_str()).map_err(|error| Refusal::bad_request(error.to_string()))?,
    };
    let held = state.tc.holder(&row).await?;
    let holder = match &held {
        Some(held) => state.tc.find(&held.holder).await?,
        None => None,
    };
    let waiters = state.tc.waiters(MAX_WAITERS).into_iter().filter(|waiter| waiter.row == row);
    Ok(Json(Who {
        holder: holder.map(|known| TransactionBody::of(&known, now())),
        branch: held.map(|held| held.branch.to_string()),
        waiters: waiters.map(|waiter| Waiter { xid: waiter.xid.to_string(), since: waiter.since }).collect(),
        resource,
        table,
        key,
    }))
}

#[derive(Serialize)]
struct ClientList {
    clients: Vec<ClientBody>,
}

#[derive(Serialize)]
struct ClientBody {
    application: String,
    group: String,
    address: String,
    version: String,
    roles: Vec<&'static str>,
    resources: Vec<String>,
    since: Millis,
    in_flight: usize,
}

async fn clients(State(state): State<ConsoleState>) -> Json<ClientList> {
    let clients = state.clients.list().into_iter().map(|view| ClientBody {
        application: view.application.to_string(),
        group: view.group.to_string(),
        address: view.address.to_string(),
        version: view.version.to_string(),
        roles: view.roles,
        resources: view.resources.iter().map(ToString::to_string).collect(),
        since: view.since,
        in_flight: view.in_flight,
    });
    Json(ClientList { clients: clients.collect() })
}
