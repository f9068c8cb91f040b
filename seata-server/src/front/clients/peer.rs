//! One connection, as all others see it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bytes::BytesMut;
use futures_util::task::AtomicWaker;
use seata_coordinator::{
    driver::{BranchAnswer, BranchTask, Reached},
    record::Millis,
    session::Phase,
};
use seata_protocol::{
    BranchId, BranchRequest, Header, Kind, Message, Outcome, Text, UndoLogDelete, Version, frame,
};

use super::batch::Batch;

/// How many requests a client may owe an answer for.
const MAX_ASKED: usize = 65_536;
/// How many bytes may wait to be written to one client.
const MAX_WAITING: usize = 8 << 20;

/// A client's connection.
pub(in crate::front) struct Peer {
    pub(super) id: u64,
    pub(in crate::front) address: SocketAddr,
    /// When it connected.
    pub(super) since: Millis,
    identity: OnceLock<Arc<Identity>>,
    roles: AtomicU8,
    is_version_zero: AtomicBool,
    is_to_close: AtomicBool,
    in_flight: AtomicUsize,
    outgoing: Mutex<Outgoing>,
    waker: AtomicWaker,
}

/// Who a client is, as it said when it registered.
#[derive(Debug)]
pub(in crate::front) struct Identity {
    pub(in crate::front) application: Arc<str>,
    pub(in crate::front) group: Arc<str>,
    pub(in crate::front) version: Arc<str>,
    /// `application:ip:port`.
    pub(in crate::front) client: Arc<str>,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Role {
    /// It begins and ends transactions.
    Tm = 1,
    /// It has resources.
    Rm = 2,
}

/// What a client answered in phase two.
pub(in crate::front) enum Answer {
    /// How it went.
    Branch(BranchId, BranchAnswer),
    /// It could not write its answer down.
    Unreadable(String),
}

#[derive(Default)]
struct Outgoing {
    bytes: BytesMut,
    asked: HashMap<i32, Question>,
    has_ended: bool,
}

struct Question {
    batch: Arc<Batch>,
    index: usize,
    branch: BranchId,
}

impl Identity {
    pub(in crate::front) fn new(application: &str, group: &str, version: &str, address: SocketAddr) -> Self {
        Self {
            application: application.into(),
            group: group.into(),
            version: version.into(),
            client: format!("{application}:{}:{}", address.ip(), address.port()).into(),
        }
    }
}

impl Peer {
    pub(super) fn new(id: u64, address: SocketAddr) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            id,
            address,
            since: since.as_millis() as Millis,
            identity: OnceLock::new(),
            roles: AtomicU8::new(0),
            is_version_zero: AtomicBool::new(false),
            is_to_close: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            outgoing: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// Who it is, once it is registered.
    pub(in crate::front) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.get()
    }

    /// Takes its identity in, the first time.
    pub(in crate::front) fn identify(&self, identity: impl FnOnce() -> Identity) -> &Arc<Identity> {
        self.identity.get_or_init(|| Arc::new(identity()))
    }

    pub(in crate::front) fn has_role(&self, role: Role) -> bool {
        self.roles.load(Ordering::Acquire) & role as u8 != 0
    }

    pub(super) fn take_role(&self, role: Role) {
        self.roles.fetch_or(role as u8, Ordering::AcqRel);
    }

    pub(in crate::front) fn set_version_zero(&self) {
        self.is_version_zero.store(true, Ordering::Relaxed);
    }

    pub(super) fn reads_undo_log_delete(&self) -> bool {
        !self.is_version_zero.load(Ordering::Relaxed) && self.has_role(Role::Rm)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(in crate::front) fn set_in_flight(&self, requests: usize) {
        self.in_flight.store(requests, Ordering::Relaxed);
    }

    /// Whether nothing of it is under way, neither its requests nor ours.
    pub(in crate::front) fn is_at_rest(&self) -> bool {
        self.in_flight() == 0
    }

    /// Whether requests may be sent to it.
    pub(super) fn is_open(&self) -> bool {
        !self.is_to_close.load(Ordering::Acquire)
    }

    /// Asks its task to close the connection. Returns whether that is new.
    pub(in crate::front) fn close(&self) -> bool {
        let is_new = !self.is_to_close.swap(true, Ordering::AcqRel);
        self.wake();
        is_new
    }

    /// Its task has something to do.
    pub(in crate::front) fn wake(&self) {
        self.waker.wake();
    }

    /// For its task: who is woken when there is something to write, and whether to close.
    pub(in crate::front) fn watch(&self, waker: &std::task::Waker) -> bool {
        self.waker.register(waker);
        self.is_to_close.load(Ordering::Acquire)
    }

    /// For its task: moves what waits to be written to `out`.
    pub(in crate::front) fn take_outgoing(&self, out: &mut BytesMut) {
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        if outgoing.bytes.is_empty() {
            return;
        }
        if out.is_empty() {
            std::mem::swap(out, &mut outgoing.bytes);
        } else {
            out.extend_from_slice(&outgoing.bytes);
            outgoing.bytes.clear();
        }
    }

    /// For its task: an idle connection keeps no memory.
    pub(in crate::front) fn release_memory(&self) {
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        if outgoing.bytes.is_empty() {
            outgoing.bytes = BytesMut::new();
        }
        if outgoing.asked.is_empty() {
            outgoing.asked = HashMap::new();
        }
    }

    /// Appends a request of phase two; it is written when its task is woken.
    pub(super) fn ask(
        &self,
        id: i32,
        phase: Phase,
        task: &BranchTask,
        batch: &Arc<Batch>,
        index: usize,
    ) -> Result<(), String> {
        let request = BranchRequest {
            xid: task.xid.as_str().into(),
            branch_id: task.branch,
            branch_type: task.branch_type,
            resource_id: task.resource.as_str().into(),
            application_data: match &*task.application_data {
                "" => Text::new(),
                data => data.into(),
            },
        };
        let message = match phase {
            Phase::Commit => Message::BranchCommit(request),
            Phase::Rollback => Message::BranchRollback(request),
        };
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        let outgoing = &mut *outgoing;
        if outgoing.has_ended {
            return Err(format!("the connection of {} has ended", task.client));
        }
        if outgoing.bytes.len() > MAX_WAITING {
            return Err(format!("{} does not read what it is asked", self.address));
        }
        if outgoing.asked.len() >= MAX_ASKED {
            return Err(format!("{} owes {MAX_ASKED} answers already", self.address));
        }
        frame::write(&mut outgoing.bytes, &self.header(Kind::Request, id), &message)
            .map_err(|error| format!("the request cannot be written: {error}"))?;
        let question = Question { batch: Arc::clone(batch), index, branch: task.branch };
        outgoing.asked.insert(id, question);
        Ok(())
    }

    /// Sends what nobody answers.
    pub(super) fn tell(&self, id: i32, message: UndoLogDelete) {
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        if !outgoing.has_ended && outgoing.bytes.len() <= MAX_WAITING {
            let header = self.header(Kind::Oneway, id);
            let written = frame::write(&mut outgoing.bytes, &header, &Message::UndoLogDelete(message));
            drop(outgoing);
            match written {
                Ok(()) => self.wake(),
                Err(error) => tracing::warn!(peer = %self.address, %error, "undo logs are not deleted"),
            }
        }
    }

    /// Appends a frame to what waits to be written.
    #[cfg(test)]
    pub(in crate::front) fn send(&self, frame: &[u8]) {
        self.outgoing.lock().expect("nothing panics under it").bytes.extend_from_slice(frame);
        self.wake();
    }

    pub(super) fn forget_request(&self, id: i32) {
        self.outgoing.lock().expect("nothing panics under it").asked.remove(&id);
    }

    /// Whether it owes the answer to this request.
    pub(in crate::front) fn expects(&self, id: i32) -> bool {
        self.outgoing.lock().expect("nothing panics under it").asked.contains_key(&id)
    }

    /// It has answered. Returns whether anybody had asked that.
    pub(in crate::front) fn answered(&self, id: i32, answer: Answer) -> bool {
        let question = {
            let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
            match (outgoing.asked.get(&id), &answer) {
                // Java leaves the branch out of some failures.
                (Some(question), Answer::Branch(branch, _))
                    if branch.0 != 0 && *branch != question.branch =>
                {
                    None
                }
                _ => outgoing.asked.remove(&id),
            }
        };
        let Some(question) = question else { return false };
        let reached = match answer {
            Answer::Branch(_, answer) => Reached::Answered(answer),
            Answer::Unreadable(reason) => Reached::Unreachable { reason },
        };
        question.batch.settle(question.index, reached);
        true
    }

    /// The connection is gone, and with it all answers that it owes.
    pub(super) fn end(&self) {
        self.is_to_close.store(true, Ordering::Release);
        let asked = {
            let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
            outgoing.has_ended = true;
            outgoing.bytes = BytesMut::new();
            std::mem::take(&mut outgoing.asked)
        };
        for question in asked.into_values() {
            let reason = format!("the connection of {} ended before it answered", self.address);
            question.batch.settle(question.index, Reached::Unreachable { reason });
        }
    }

    fn header(&self, kind: Kind, id: i32) -> Header {
        let is_zero = self.is_version_zero.load(Ordering::Relaxed);
        Header { version: if is_zero { Version::V0 } else { Version::V1 }, ..Header::new(kind, id) }
    }
}

impl Answer {
    /// How a branch's phase two went, in a client's words.
    pub(in crate::front) fn of(response: &seata_protocol::BranchResponse) -> Self {
        let Outcome { message, .. } = &response.outcome;
        let reason = if response.outcome.is_success() { String::new() } else { message.to_string() };
        Self::Branch(response.branch_id, BranchAnswer { status: response.status, reason })
    }
}
