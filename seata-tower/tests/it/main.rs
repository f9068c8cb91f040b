//! The layers with both ends in hand, and end to end over loopback.

mod coordinator;
mod end_to_end;
mod inbound;
mod lifetime;
mod outbound;
#[cfg(feature = "reqwest-middleware")]
mod reqwest;

use seata_context::{Presence, RootContext};
use seata_protocol::Xid;

/// A transaction of the coordinator that the client under test knows.
fn xid(id: u64) -> Xid {
    format!("tc:0:{id}").parse().unwrap()
}

/// What the caller's scope says, as text that a handler can answer with.
fn seen() -> String {
    match RootContext::presence() {
        Presence::Bound(xid) => xid.to_string(),
        other => format!("{other:?}"),
    }
}
