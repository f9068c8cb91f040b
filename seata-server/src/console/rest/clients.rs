//! Who is connected.

use axum::{Json, extract::State};
use seata_coordinator::record::Millis;
use serde::{Deserialize, Serialize};

use crate::front::ClientView;

use super::{
    super::{
        ConsoleState,
        entries::Entries,
        parameters::{Parameters, given},
        reply::{Refusal, Reply},
    },
    LIMIT, parse_limit,
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: String,
    after: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ClientList {
    clients: Entries,
    next: Option<String>,
}

#[derive(Serialize)]
struct ClientBody {
    application: String,
    group: String,
    address: String,
    version: String,
    roles: Vec<&'static str>,
    resources: Vec<String>,
    resource_count: usize,
    since: Millis,
    in_flight: usize,
}

pub(super) async fn list(
    State(state): State<ConsoleState>,
    Parameters(query): Parameters<ListQuery>,
) -> Reply<ClientList> {
    let limit = parse_limit(&query.limit, LIMIT)?;
    let after = given(query.after).map(|text| {
        text.parse().map_err(|_| {
            Refusal::bad_request(format!("after is {text:?}, expected what an answer gave as its next"))
        })
    });
    let mut answer = ClientList::default();
    for (number, view) in state.clients.page(after.transpose()?, limit) {
        answer.clients.push(&ClientBody::from(view));
        if answer.clients.len() == limit || answer.clients.is_full() {
            answer.next = Some(number.to_string());
            break;
        }
    }
    Ok(Json(answer))
}

impl From<ClientView> for ClientBody {
    fn from(view: ClientView) -> Self {
        Self {
            application: view.application.to_string(),
            group: view.group.to_string(),
            address: view.address.to_string(),
            version: view.version.to_string(),
            roles: view.roles,
            resources: view.resources.iter().map(ToString::to_string).collect(),
            resource_count: view.resource_count,
            since: view.since,
            in_flight: view.in_flight,
        }
    }
}
