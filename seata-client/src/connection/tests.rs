//! Each test talks to a scripted coordinator over a real socket.

mod answers;
mod broken_peers;
mod closing;
mod limits;
mod merged;
mod requests;

use std::{sync::Arc, time::Duration};

use seata_protocol::{BranchRegister, BranchType, GlobalBegin, GlobalBegun, Header, Kind, Message, Outcome};

use super::{CallError, CloseReason, Connection, Incoming};
use crate::{
    Services, Settings,
    scripted::{Received, Reply, ScriptedTc},
};

/// A limit that is never reached unless a test has failed.
const LONG: Duration = Duration::from_secs(10);
/// A limit that is meant to be reached.
const SHORT: Duration = Duration::from_millis(100);

async fn open(tc: &ScriptedTc) -> (Connection, Incoming) {
    open_with(tc, |_| {}).await
}

async fn open_with(tc: &ScriptedTc, change: impl FnOnce(&mut Settings)) -> (Connection, Incoming) {
    let address = tc.address().to_string();
    let mut settings = Settings::new(Services::servers([address.as_str()]));
    change(&mut settings);
    let opened = Connection::open(&address.parse().unwrap(), &settings).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// A request to begin a transaction of this name.
fn begin(name: &str) -> Message {
    Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: name.into() })
}

/// The answer to it.
fn begun(xid: &str) -> Message {
    let outcome = Outcome::success();
    Message::GlobalBeginResponse(GlobalBegun { outcome, xid: xid.into(), extra_data: "".into() })
}

fn register(lock_key: &str) -> Message {
    Message::BranchRegister(BranchRegister {
        xid: "127.0.0.1:8091:1".into(),
        branch_type: BranchType::At,
        resource_id: "r".into(),
        lock_key: lock_key.into(),
        application_data: "".into(),
    })
}

/// The name in a request to begin a transaction; panics on everything else.
fn name_in(received: &Received) -> String {
    match &received.message {
        Some(Message::GlobalBegin(begin)) => begin.name.to_string(),
        other => panic!("expected a begin, got {other:?}"),
    }
}

/// An honest answer, told from others by the name of the transaction.
fn echo(received: &Received) -> Reply {
    match &received.message {
        Some(Message::GlobalBegin(begin)) => Reply::Message(begun(&begin.name)),
        _ => Reply::Honest,
    }
}

async fn xid_of(connection: &Connection, name: &str) -> Result<String, CallError> {
    match connection.call(&begin(name), LONG).await? {
        Message::GlobalBeginResponse(begun) => Ok(begun.xid.to_string()),
        other => panic!("expected a begin's answer, got {other:?}"),
    }
}

/// A call that waits on a task of its own.
fn spawn_call(connection: &Connection, name: &str) -> tokio::task::JoinHandle<Result<String, CallError>> {
    let (connection, name) = (connection.clone(), name.to_owned());
    tokio::spawn(async move { xid_of(&connection, &name).await })
}

fn unclaimed(connection: &Connection) -> u64 {
    connection.shared().pending.unclaimed()
}

fn response(id: i32, message: Message) -> Reply {
    Reply::Frame(Header::new(Kind::Response, id), message)
}

/// A version 1 frame as bytes, so that each part of it can be wrong.
fn raw_frame(kind: u8, codec: u8, id: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xda, 0xda, 1];
    bytes.extend(u32::try_from(16 + body.len()).unwrap().to_be_bytes());
    bytes.extend(16_u16.to_be_bytes());
    bytes.extend([kind, codec, 0]);
    bytes.extend(id.to_be_bytes());
    bytes.extend(body);
    bytes
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("not within the patience of a test")
}

async fn reason_of(connection: &Connection) -> Arc<CloseReason> {
    within(connection.closed()).await
}

/// Waits until nothing is in flight; places are given back by drops, which no future tells of.
async fn until_idle(connection: &Connection) {
    within(async {
        while connection.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
