//! Row locks, and who waits for them.

use axum::{Extension, Json, extract::State};
use seata_coordinator::{
    record::Millis,
    store::{InvalidCursor, LockCursor, LockFilter},
};
use seata_protocol::{RowKey, RowLock};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        ConsoleState,
        actions::parse_xid,
        entries::Entries,
        parameters::{Parameters, given},
        reply::{Refusal, Reply},
        scans::Scans,
        view::{LockBody, TransactionBody, now},
    },
    LIMIT, parse_limit,
};

/// How many rows are read at a time: keys may be long.
const STEP: usize = 64;
/// How many waiters of one row are named.
const MAX_WAITERS: usize = 1_000;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListQuery {
    xid: String,
    resource: String,
    table: String,
    key: String,
    limit: String,
    after: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Locks {
    locks: Entries,
    next: Option<String>,
}

pub(super) async fn list(
    State(state): State<ConsoleState>,
    Extension(scans): Extension<Scans>,
    Parameters(query): Parameters<ListQuery>,
) -> Reply<Locks> {
    let limit = parse_limit(&query.limit, LIMIT)?;
    let filter = LockFilter {
        transaction: given(query.xid).map(|xid| parse_xid(&xid)).transpose()?.map(|xid| xid.transaction_id()),
        resource: given(query.resource).map(|text| text.as_str().into()),
        table: given(query.table).map(Into::into),
        key: given(query.key).map(Into::into),
    };
    let mut after: Option<LockCursor> = given(query.after)
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: InvalidCursor| Refusal::bad_request(error.to_string()))?;
    let scans_all = filter.transaction.is_none() && filter != LockFilter::default();
    let _place = scans.place(scans_all).await?;
    let mut answer = Locks::default();
    loop {
        let step = STEP.min(limit - answer.locks.len());
        let part = state.tc.locks_after(after, &filter, step).await?;
        part.locks.into_iter().for_each(|held| answer.locks.push(&LockBody::from(held)));
        after = part.next;
        if after.is_none() || answer.locks.len() >= limit || answer.locks.is_full() {
            answer.next = after.map(|cursor| cursor.to_string());
            return Ok(Json(answer));
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowQuery {
    resource: String,
    table: String,
    key: String,
}

#[derive(Serialize)]
pub(super) struct Who {
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

pub(super) async fn who(
    State(state): State<ConsoleState>,
    Parameters(RowQuery { resource, table, key }): Parameters<RowQuery>,
) -> Reply<Who> {
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
    let waiters = state.tc.waiters_for(&row, MAX_WAITERS);
    Ok(Json(Who {
        holder: holder.map(|known| TransactionBody::of(&known, now())),
        branch: held.map(|held| held.branch.to_string()),
        waiters: waiters
            .into_iter()
            .map(|waiter| Waiter { xid: waiter.xid.to_string(), since: waiter.since })
            .collect(),
        resource,
        table,
        key,
    }))
}
