//! Transactions, in lists and one by one.

use axum::{Extension, Json, extract::State, http::StatusCode};
use seata_coordinator::{
    driver::Known,
    record::{Ended, Snapshot},
    session::is_parked,
};
use seata_protocol::{BranchId, GlobalStatus, TransactionId};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        ConsoleState,
        actions::parse_xid,
        entries::Entries,
        parameters::{Parameters, given},
        reply::{PathOf, Refusal, Reply},
        scans::Scans,
        view::{TransactionBody, WholeTransaction, now},
    },
    LIMIT, MAX_LIMIT, parse_limit,
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListQuery {
    state: String,
    status: String,
    application: String,
    name: String,
    xid: String,
    limit: String,
    after: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Transactions {
    transactions: Entries,
    next: Option<String>,
}

/// Which transactions are asked for.
struct Wanted {
    parked_only: bool,
    status: Option<GlobalStatus>,
    application: Option<String>,
    name: Option<String>,
}

pub(super) async fn list(
    State(state): State<ConsoleState>,
    Extension(scans): Extension<Scans>,
    Parameters(query): Parameters<ListQuery>,
) -> Reply<Transactions> {
    let (mut open, mut ended) = match query.state.as_str() {
        "" | "open" | "parked" => (true, false),
        "ended" => (false, true),
        "all" => (true, true),
        other => {
            let text = format!("state is {other:?}, expected open, parked, ended or all");
            return Err(Refusal::bad_request(text));
        }
    };
    let wanted = Wanted {
        parked_only: query.state == "parked",
        status: given(query.status).map(|text| parse_status(&text)).transpose()?,
        application: given(query.application),
        name: given(query.name),
    };
    let limit = parse_limit(&query.limit, LIMIT)?;
    let mut answer = Transactions::default();
    if let Some(xid) = given(query.xid) {
        let known = state.tc.find(&parse_xid(&xid)?).await?;
        let known = known.filter(|known| match known {
            Known::Open(view) => open && wanted.allows(&view.snapshot),
            Known::Ended(found) => ended && wanted.allows_ended(found),
        });
        known.iter().for_each(|known| answer.transactions.push(&TransactionBody::of(known, now())));
        return Ok(Json(answer));
    }
    let (mut after_open, mut after_ended) = (None, None);
    match given(query.after).map(|text| parse_cursor(&text)).transpose()? {
        Some(Cursor::Open(id)) if open => after_open = Some(id),
        Some(Cursor::Ended(id)) if ended => (open, after_ended) = (false, Some(id)),
        Some(_) => return Err(Refusal::bad_request("after is a cursor of another state; begin without it")),
        None => {}
    }
    let _place = scans.place(wanted.is_narrow()).await?;
    if open {
        let page = if wanted.is_parked() {
            state.tc.parked_where(after_open, limit, |snapshot| wanted.allows(snapshot)).await?
        } else {
            state.tc.page_where(after_open, limit, |snapshot| wanted.allows(snapshot)).await?
        };
        let time = now();
        for view in &page {
            answer.transactions.push(&TransactionBody::open(view, time));
            if answer.is_complete(limit) {
                answer.next = Some(format!("open.{}", view.snapshot.transaction.id));
                return Ok(Json(answer));
            }
        }
    }
    while ended {
        let part = state.tc.ended(after_ended, MAX_LIMIT).await?;
        ended = part.len() == MAX_LIMIT;
        tokio::task::yield_now().await;
        for found in &part {
            after_ended = Some(found.transaction.id);
            if wanted.allows_ended(found) {
                answer.transactions.push(&TransactionBody::ended(found));
                if answer.is_complete(limit) {
                    answer.next = Some(format!("ended.{}", found.transaction.id));
                    return Ok(Json(answer));
                }
            }
        }
    }
    Ok(Json(answer))
}

impl Transactions {
    fn is_complete(&self, limit: usize) -> bool {
        self.transactions.len() == limit || self.transactions.is_full()
    }
}

impl Wanted {
    /// Of the open ones only parked ones are, which are found without a look at the others.
    fn is_parked(&self) -> bool {
        self.parked_only || self.status.is_some_and(is_parked)
    }

    /// It may have to look at many before it finds some.
    fn is_narrow(&self) -> bool {
        let by_status = self.status.is_some_and(|status| !is_parked(status));
        by_status || self.application.is_some() || self.name.is_some()
    }

    fn allows(&self, snapshot: &Snapshot) -> bool {
        let transaction = &snapshot.transaction;
        (!self.parked_only || is_parked(snapshot.status))
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
    Ended(TransactionId),
}

fn parse_cursor(text: &str) -> Result<Cursor, Refusal> {
    let parse = || {
        let (kind, id) = text.split_once('.')?;
        let id = TransactionId(id.parse().ok()?);
        match kind {
            "open" => Some(Cursor::Open(id)),
            "ended" => Some(Cursor::Ended(id)),
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

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BranchQuery {
    limit: String,
    after: String,
}

/// One of them; the parameters say which of its branches.
pub(super) async fn show(
    State(state): State<ConsoleState>,
    xid: PathOf<String>,
    Parameters(query): Parameters<BranchQuery>,
) -> Reply<WholeTransaction> {
    let xid = parse_xid(&xid?.0)?;
    let limit = parse_limit(&query.limit, MAX_LIMIT)?;
    let after = given(query.after).map(|text| parse_branch(&text)).transpose()?;
    let known = state.tc.find(&xid).await?.ok_or_else(|| {
        let text =
            format!("global transaction {xid} is unknown: it ended long ago or never was this server's");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })?;
    Ok(Json(WholeTransaction::of(&known, after, limit, now())))
}

fn parse_branch(text: &str) -> Result<BranchId, Refusal> {
    text.parse().map(BranchId).map_err(|_| {
        Refusal::bad_request(format!("after is {text:?}, expected what an answer gave as its next_branch"))
    })
}
