//! The two queries of Java's console.
//!
//! Text filters are exact, as with Java's databases, and time filters the right way round. The shapes have no room
//! for a sign that more follows, so an answer leaves out the branches for which it has no place, and cuts long texts.

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use seata_coordinator::{
    driver::Known,
    record::{Branch, HeldLock, Millis, Snapshot},
    session::is_parked,
    store::LockFilter,
};
use seata_protocol::{GlobalStatus, ResourceId, TransactionId, Xid};
use serde::{Deserialize, Serialize};

use super::{
    super::{ConsoleState, entries::Entries, reply::Refusal, scans::Scans, view::cut},
    Parameters,
};

pub(super) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/api/v1/console/globalSession/query", get(sessions))
        .route("/api/v1/console/globalLock/query", get(locks))
}

/// The longest page.
const MAX_PAGE: usize = 1_000;
/// How many locks are looked at in one step. A page that begins behind so many entries is a long way off.
const STEP: usize = 1_000;
/// How many bytes of branches an answer has, its last branch aside.
const BRANCHES: usize = 4 << 20;
/// How much is shown of a text, in bytes: as much as Java's database keeps of application data.
const MAX_TEXT: usize = 2_000;

/// Java's answer with a page. `total`, `pages`, `pageNum`, `pageSize`: numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    code: &'static str,
    message: &'static str,
    success: bool,
    total: usize,
    pages: usize,
    page_num: usize,
    page_size: usize,
    data: Vec<T>,
}

/// Everything is text, because a form sends what was left blank as an empty one.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SessionQuery {
    xid: String,
    application_id: String,
    status: String,
    transaction_name: String,
    with_branch: String,
    page_num: String,
    page_size: String,
    time_start: String,
    time_end: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LockQuery {
    xid: String,
    table_name: String,
    transaction_id: String,
    branch_id: String,
    pk: String,
    resource_id: String,
    page_num: String,
    page_size: String,
    time_start: String,
    time_end: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GlobalSession {
    xid: String,
    transaction_id: String,
    status: u8,
    application_id: String,
    transaction_service_group: String,
    transaction_name: String,
    timeout: Millis,
    begin_time: Millis,
    application_data: Option<String>,
    gmt_create: Millis,
    gmt_modified: Millis,
    #[serde(rename = "branchSessionVOs")]
    branches: Entries,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BranchSession {
    xid: String,
    transaction_id: String,
    branch_id: String,
    resource_group_id: Option<String>,
    resource_id: String,
    branch_type: String,
    status: u8,
    client_id: String,
    application_data: String,
    gmt_create: Millis,
    gmt_modified: Millis,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GlobalLock {
    xid: String,
    transaction_id: String,
    branch_id: String,
    resource_id: String,
    table_name: String,
    pk: String,
    row_key: String,
    gmt_create: Millis,
    gmt_modified: Millis,
}

/// An error in Java's shape.
struct Failure(Refusal);

impl<E: Into<Refusal>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        super::failure(&self.0)
    }
}

async fn sessions(
    State(state): State<ConsoleState>,
    Extension(scans): Extension<Scans>,
    query: Parameters<SessionQuery>,
) -> Result<Json<Page<GlobalSession>>, Failure> {
    let Query(query) = query?;
    let place = Place::of(&query.page_num, &query.page_size)?;
    let times = Times::of(&query.time_start, &query.time_end)?;
    let status = parse_number::<u8>("status", &query.status)?.map(GlobalStatus::from_code);
    let with_branch = query.with_branch == "true";
    let wanted = |snapshot: &Snapshot| {
        let transaction = &snapshot.transaction;
        status.is_none_or(|status| status == snapshot.status)
            && matches(&query.application_id, &transaction.application)
            && matches(&query.transaction_name, &transaction.name)
            && times.hold(transaction.begun_at)
    };
    let mut total = 0;
    let found = if query.xid.is_empty() {
        let is_plain = status.is_none()
            && query.application_id.is_empty()
            && query.transaction_name.is_empty()
            && times.are_open();
        let _place = scans.place(!is_plain || place.is_far()).await?;
        // What is counted already need not be counted again.
        let limit = if is_plain { place.size } else { usize::MAX };
        let window = place.window();
        let choose = |snapshot: &Snapshot| {
            let is_wanted = wanted(snapshot);
            let is_here = is_wanted && window.contains(&total);
            total += usize::from(is_wanted);
            is_here
        };
        let found = if status.is_some_and(is_parked) {
            state.tc.parked_where(None, limit, choose).await?
        } else {
            state.tc.page_where(None, limit, choose).await?
        };
        let found: Vec<Snapshot> = found.into_iter().map(|view| view.snapshot).collect();
        if is_plain {
            // Some may have begun or ended since.
            let seen = if found.is_empty() { 0 } else { place.start() + found.len() };
            total = state.tc.stats().open.max(seen);
        }
        found
    } else {
        let found = match query.xid.parse::<Xid>() {
            Ok(xid) => state.tc.find(&xid).await?,
            Err(_) => None,
        };
        let snapshot = match found {
            Some(Known::Open(view)) => Some(view.snapshot).filter(wanted),
            Some(Known::Ended(_)) | None => None,
        };
        total = usize::from(snapshot.is_some());
        snapshot.into_iter().filter(|_| place.number == 1).collect()
    };
    let mut room = if with_branch { BRANCHES } else { 0 };
    let sessions = found.iter().map(|snapshot| GlobalSession::of(snapshot, &mut room)).collect();
    Ok(Json(place.page(total, sessions)))
}

async fn locks(
    State(state): State<ConsoleState>,
    Extension(scans): Extension<Scans>,
    query: Parameters<LockQuery>,
) -> Result<Json<Page<GlobalLock>>, Failure> {
    let Query(query) = query?;
    let place = Place::of(&query.page_num, &query.page_size)?;
    let times = Times::of(&query.time_start, &query.time_end)?;
    let branch = parse_number::<i64>("branchId", &query.branch_id)?;
    let by_id = parse_number::<i64>("transactionId", &query.transaction_id)?.map(TransactionId);
    let xid = match query.xid.as_str() {
        "" => None,
        text => match text.parse::<Xid>() {
            Ok(xid) => Some(xid),
            // No transaction has such a name.
            Err(_) => return Ok(Json(place.page(0, Vec::new()))),
        },
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let filter = LockFilter {
        transaction: by_id.or_else(|| xid.as_ref().map(Xid::transaction_id)),
        resource: given(&query.resource_id).map(|text| ResourceId::from(text.as_str())),
        table: given(&query.table_name).map(Into::into),
        key: given(&query.pk).map(Into::into),
    };
    let is_plain = filter == LockFilter::default() && branch.is_none() && times.are_open();
    let wanted = |held: &HeldLock| {
        xid.as_ref().is_none_or(|xid| *xid == held.holder)
            && branch.is_none_or(|branch| branch == held.branch.0)
            && times.hold(held.since)
    };
    let scans_all = filter.transaction.is_none() && (!is_plain || place.is_far());
    let _place = scans.place(scans_all).await?;
    let (mut total, mut after, mut found) = (0, None, Vec::new());
    loop {
        let part = state.tc.locks_after(after, &filter, STEP).await?;
        for held in part.locks.iter().filter(|held| wanted(held)) {
            if place.window().contains(&total) {
                found.push(GlobalLock::of(held));
            }
            total += 1;
        }
        after = part.next;
        if after.is_none() || is_plain && found.len() == place.size {
            break;
        }
    }
    if is_plain {
        total = state.tc.stats().locks.max(total);
    }
    Ok(Json(place.page(total, found)))
}

/// Which page.
struct Place {
    number: usize,
    size: usize,
}

impl Place {
    fn of(number_text: &str, size_text: &str) -> Result<Self, Refusal> {
        let number = parse_number::<usize>("pageNum", number_text)?.unwrap_or(1);
        let size = parse_number("pageSize", size_text)?.unwrap_or(10);
        if number == 0 || !(1..=MAX_PAGE).contains(&size) {
            let text =
                format!("wrong pageSize or pageNum: expected pages from 1 and sizes from 1 to {MAX_PAGE}");
            return Err(Refusal::bad_request(text));
        }
        Ok(Self { number, size })
    }

    fn start(&self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    fn is_far(&self) -> bool {
        self.start() > STEP
    }

    fn window(&self) -> std::ops::Range<usize> {
        self.start()..self.start().saturating_add(self.size)
    }

    fn page<T>(&self, total: usize, data: Vec<T>) -> Page<T> {
        Page {
            code: "200",
            message: "success",
            success: true,
            total,
            pages: total.div_ceil(self.size),
            page_num: self.number,
            page_size: self.size,
            data,
        }
    }
}

/// From when until when; both ends belong to it.
struct Times {
    start: Option<Millis>,
    end: Option<Millis>,
}

impl Times {
    fn of(start: &str, end: &str) -> Result<Self, Refusal> {
        Ok(Self { start: parse_number("timeStart", start)?, end: parse_number("timeEnd", end)? })
    }

    fn are_open(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    fn hold(&self, time: Millis) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time <= end)
    }
}

fn matches(wanted: &str, text: &str) -> bool {
    wanted.is_empty() || wanted == text
}

fn parse_number<T: std::str::FromStr>(name: &str, text: &str) -> Result<Option<T>, Refusal> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("{name} is {text:?}, expected a number"))
        }),
    }
}

impl GlobalSession {
    /// With as many branches as there is room for.
    fn of(snapshot: &Snapshot, room: &mut usize) -> Self {
        let transaction = &snapshot.transaction;
        let mut branches = Entries::new(*room);
        for branch in &snapshot.branches {
            if branches.is_full() {
                break;
            }
            branches.push(&BranchSession::of(&transaction.xid, branch));
        }
        *room = branches.left();
        let youngest = snapshot.branches.iter().map(|branch| branch.registered_at).max();
        Self {
            xid: transaction.xid.to_string(),
            transaction_id: transaction.id.to_string(),
            status: snapshot.status.code(),
            application_id: transaction.application.to_string(),
            transaction_service_group: transaction.group.to_string(),
            transaction_name: transaction.name.to_string(),
            timeout: transaction.timeout,
            begin_time: transaction.begun_at,
            application_data: None,
            gmt_create: transaction.begun_at,
            gmt_modified: youngest.unwrap_or(0).max(transaction.begun_at),
            branches,
        }
    }
}

impl BranchSession {
    fn of(xid: &Xid, branch: &Branch) -> Self {
        Self {
            xid: xid.to_string(),
            transaction_id: branch.transaction.to_string(),
            branch_id: branch.id.to_string(),
            resource_group_id: None,
            resource_id: branch.resource.to_string(),
            branch_type: branch.branch_type.to_string(),
            status: branch.status.code(),
            client_id: branch.client.to_string(),
            application_data: cut(&branch.application_data, MAX_TEXT),
            gmt_create: branch.registered_at,
            gmt_modified: branch.registered_at,
        }
    }
}

impl GlobalLock {
    fn of(held: &HeldLock) -> Self {
        let (resource, table) = (&held.lock.resource, &held.lock.table);
        let pk = cut(held.lock.key.as_str(), MAX_TEXT);
        Self {
            xid: held.holder.to_string(),
            transaction_id: held.holder.transaction_id().to_string(),
            branch_id: held.branch.to_string(),
            resource_id: resource.to_string(),
            table_name: table.to_string(),
            row_key: format!("{resource}^^^{table}^^^{pk}"),
            pk,
            gmt_create: held.since,
            gmt_modified: held.since,
        }
    }
}
