//! The layers around tonic, with both ends in hand and end to end over loopback.

#[path = "../../../seata-tower/tests/it/coordinator.rs"]
mod coordinator;
mod end_to_end;
mod headers;
mod service;

use seata_protocol::Xid;

/// A transaction of the coordinator that the client under test knows.
fn xid(id: u64) -> Xid {
    format!("tc:0:{id}").parse().unwrap()
}
