//! Clients introduce themselves.

use std::{sync::Arc, time::SystemTime};

use seata_protocol::{
    Message, Outcome, RegisterRm, RegisterTm, Registered, Release, ResourceId, SEATA_VERSION, Text,
    TransactionExceptionCode as Code,
};

use super::{
    access,
    clients::{Identity, Peer, Role},
    desk::Desk,
};

/// Takes a client in, at once; its answer, and its release when it is welcome. `None` when the message is no
/// registration.
pub(super) fn register(
    desk: &Desk,
    peer: &Arc<Peer>,
    message: &Message,
) -> Option<(Message, Option<Release>)> {
    let (result, wrap): (_, fn(Registered) -> Message) = match message {
        Message::RegisterTm(request) => (register_tm(desk, peer, request), Message::RegisterTmResponse),
        Message::RegisterRm(request) => (register_rm(desk, peer, request), Message::RegisterRmResponse),
        _ => return None,
    };
    let (release, outcome) = match result {
        Ok(release) => (Some(release), Outcome::success()),
        Err(reason) => {
            desk.metrics.refused("registration");
            if desk.complaints.is_due(peer.address.ip()) {
                tracing::warn!(peer = %peer.address, %reason, "a client was not registered");
            }
            (None, Outcome::failed(Code::Unknown, reason))
        }
    };
    let version = Text::from_static(SEATA_VERSION);
    let answer = Registered { identified: release.is_some(), version, outcome, extra_data: Text::new() };
    Some((wrap(answer), release))
}

fn register_tm(desk: &Desk, peer: &Arc<Peer>, request: &RegisterTm) -> Result<Release, String> {
    let RegisterTm { version, application_id, transaction_service_group, extra_data } = request;
    let keys = &desk.settings.access_keys;
    access::check(keys, transaction_service_group, extra_data, SystemTime::now())?;
    identify(peer, application_id, transaction_service_group, version)?;
    desk.clients.register(peer, Role::Tm, Vec::new(), 0);
    tracing::info!(peer = %peer.address, application = &**application_id, version = &**version, "TM registered");
    Ok(Release::of(version))
}

fn register_rm(desk: &Desk, peer: &Arc<Peer>, request: &RegisterRm) -> Result<Release, String> {
    let RegisterRm { version, application_id, transaction_service_group, resource_ids, .. } = request;
    let limit = desk.settings.max_resources_per_client;
    let mut resources = Vec::new();
    for name in resource_ids.split(',').filter(|name| !name.is_empty()) {
        if name.len() > MAX_RESOURCE {
            let length = name.len();
            return Err(format!("a resource id is {length} bytes long, at most {MAX_RESOURCE} are allowed"));
        }
        resources.push(ResourceId::from(name));
    }
    if resources.len() > limit {
        return Err(format!("the client names {} resources, at most {limit} are allowed", resources.len()));
    }
    identify(peer, application_id, transaction_service_group, version)?;
    let new = desk.clients.register(peer, Role::Rm, resources, limit);
    for resource in &new {
        desk.tc.resource_available(resource);
    }
    let (application, resources) = (&**application_id, &**resource_ids);
    tracing::info!(peer = %peer.address, application, version = &**version, resources, "RM registered");
    Ok(Release::of(version))
}

/// Who the client is from now on. A connection belongs to one application.
fn identify(peer: &Peer, application: &str, group: &str, version: &str) -> Result<(), String> {
    for (what, text) in [("application id", application), ("transaction service group", group)] {
        if text.len() > MAX_NAME {
            return Err(format!("the {what} is {} bytes long, at most {MAX_NAME} are allowed", text.len()));
        }
    }
    if application.is_empty() {
        return Err("the registration names no application, or no version in front of it".to_owned());
    }
    let identity = peer.identify(|| Identity::new(application, group, version, peer.address));
    if &*identity.application != application {
        return Err(format!(
            "the connection belongs to application {:?}, not to {application:?}: use one of its own",
            identity.application
        ));
    }
    Ok(())
}

/// The longest application id and group, in bytes.
const MAX_NAME: usize = 256;
/// The longest resource id, in bytes: the width of Java's column.
const MAX_RESOURCE: usize = 256;
