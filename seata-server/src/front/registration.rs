//! Clients introduce themselves.

use std::{sync::Arc, time::SystemTime};

use seata_protocol::{
    Message, Outcome, RegisterRm, RegisterTm, Registered, Release, ResourceId, SEATA_VERSION, Text,
    TransactionExceptionCode as Code,
};

use super::{
    access,
    clients::{Introduction, Peer, Role},
    desk::Desk,
    requests::{Asker, MAX_RESOURCE},
};

/// The longest application id and group, in bytes.
const MAX_NAME: usize = 256;
/// The longest version, in bytes.
const MAX_VERSION: usize = 64;
/// How many resources a line of the log names.
const NAMED: usize = 8;

/// Takes a client in, at once; its answer, and who it is when it is welcome. `None` when the message is no
/// registration.
pub(super) fn register(desk: &Desk, peer: &Arc<Peer>, message: &Message) -> Option<(Message, Option<Asker>)> {
    let (result, wrap): (_, fn(Registered) -> Message) = match message {
        Message::RegisterTm(request) => (register_tm(desk, peer, request), Message::RegisterTmResponse),
        Message::RegisterRm(request) => (register_rm(desk, peer, request), Message::RegisterRmResponse),
        _ => return None,
    };
    let (asker, outcome) = match result {
        Ok(asker) => (Some(asker), Outcome::success()),
        Err(reason) => {
            desk.metrics.refused("registration");
            if desk.complaints.is_due(peer.address.ip(), "registration") {
                tracing::warn!(peer = %peer.address, %reason, "a client was not registered");
            }
            (None, Outcome::failed(Code::Unknown, reason))
        }
    };
    let version = Text::from_static(SEATA_VERSION);
    let answer = Registered { identified: asker.is_some(), version, outcome, extra_data: Text::new() };
    Some((wrap(answer), asker))
}

fn register_tm(desk: &Desk, peer: &Arc<Peer>, request: &RegisterTm) -> Result<Asker, String> {
    let RegisterTm { version, application_id, transaction_service_group, extra_data } = request;
    check(application_id, transaction_service_group, version)?;
    let keys = &desk.settings.access_keys;
    access::check(keys, transaction_service_group, extra_data, SystemTime::now())?;
    let introduction = Introduction {
        application: application_id,
        group: transaction_service_group,
        version,
        role: Role::Tm,
        resources: Vec::new(),
    };
    let is_new = !peer.has_role(Role::Tm);
    let registered = desk.clients.register(peer, introduction, 0);
    let (identity, _) = registered.map_err(|error| error.to_string())?;
    if is_new {
        let (application, group) = (&*identity.application, &*identity.group);
        tracing::info!(peer = %peer.address, application, group, version = &**version, "TM registered");
    }
    Ok(Asker { identity, release: Release::of(version) })
}

fn register_rm(desk: &Desk, peer: &Arc<Peer>, request: &RegisterRm) -> Result<Asker, String> {
    let RegisterRm { version, application_id, transaction_service_group, resource_ids, .. } = request;
    check(application_id, transaction_service_group, version)?;
    let limit = desk.settings.max_resources_per_client;
    let mut resources = Vec::new();
    for name in resource_ids.split(',').filter(|name| !name.is_empty()) {
        if name.len() > MAX_RESOURCE {
            let length = name.len();
            return Err(format!("a resource id is {length} bytes long, at most {MAX_RESOURCE} are allowed"));
        }
        if resources.len() > limit {
            return Err(format!("the client names more resources than the {limit} that are allowed"));
        }
        resources.push(ResourceId::from(name));
    }
    let introduction = Introduction {
        application: application_id,
        group: transaction_service_group,
        version,
        role: Role::Rm,
        resources,
    };
    let is_new = !peer.has_role(Role::Rm);
    let registered = desk.clients.register(peer, introduction, limit);
    let (identity, new) = registered.map_err(|error| error.to_string())?;
    for resource in &new {
        desk.tc.resource_available(resource);
    }
    if is_new || !new.is_empty() {
        let (application, count) = (&*identity.application, new.len());
        let named = &new[..count.min(NAMED)];
        tracing::info!(
            peer = %peer.address,
            application,
            version = &**version,
            count,
            resources = ?named,
            "RM registered"
        );
    }
    Ok(Asker { identity, release: Release::of(version) })
}

fn check(application: &str, group: &str, version: &str) -> Result<(), String> {
    for (what, text, limit) in [
        ("application id", application, MAX_NAME),
        ("transaction service group", group, MAX_NAME),
        ("version", version, MAX_VERSION),
    ] {
        if text.len() > limit {
            return Err(format!("the {what} is {} bytes long, at most {limit} are allowed", text.len()));
        }
    }
    if application.is_empty() {
        return Err("the registration names no application, or no version in front of it".to_owned());
    }
    Ok(())
}
