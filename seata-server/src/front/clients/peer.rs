//! One connection, as all others see it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
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

use super::{
    batch::Batch,
    questions::{Question, Questions},
};

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
    identity: Mutex<Option<Arc<Identity>>>,
    roles: AtomicU8,
    is_version_zero: AtomicBool,
    /// 0, or why it is to close.
    closing: AtomicU8,
    in_flight: AtomicUsize,
    /// How many bytes are counted for it among those of all.
    held: AtomicUsize,
    /// How many answers of phase two it owes.
    owes: AtomicUsize,
    outgoing: Mutex<Outgoing>,
    waker: AtomicWaker,
}

/// Who a client is, as it said when it registered.
#[derive(Clone, Debug)]
pub(in crate::front) struct Identity {
    pub(in crate::front) application: Arc<str>,
    pub(in crate::front) group: Arc<str>,
    pub(in crate::front) version: Arc<str>,
    /// `application:ip:port`.
    pub(in crate::front) client: Arc<str>,
    /// What the clients of the application were asked.
    pub(super) questions: Arc<Questions>,
}

/// Why a connection is to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Closing {
    /// Somebody asked for it.
    Asked = 1,
    /// It holds the most bytes, and all together hold too many.
    Greedy = 2,
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
    /// It failed, and does not say for which branch: Java leaves that out of some failures.
    Failed(BranchAnswer),
    /// It could not write its answer down.
    Unreadable(String),
}

#[derive(Default)]
struct Outgoing {
    bytes: BytesMut,
    has_ended: bool,
}

impl Identity {
    pub(super) fn new(
        application: Arc<str>,
        group: &str,
        version: &str,
        address: SocketAddr,
        questions: Arc<Questions>,
    ) -> Self {
        let client = format!("{application}:{}:{}", address.ip(), address.port());
        let (group, version, client) = (group.into(), version.into(), client.into());
        Self { application, group, version, client, questions }
    }
}

impl Peer {
    pub(super) fn new(id: u64, address: SocketAddr) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            id,
            address,
            since: since.as_millis() as Millis,
            identity: Mutex::default(),
            roles: AtomicU8::new(0),
            is_version_zero: AtomicBool::new(false),
            closing: AtomicU8::new(0),
            in_flight: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            owes: AtomicUsize::new(0),
            outgoing: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// Who it is, once it is registered.
    pub(in crate::front) fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.lock().expect("nothing panics under it").clone()
    }

    pub(super) fn identify(&self, identity: Arc<Identity>) {
        *self.identity.lock().expect("nothing panics under it") = Some(identity);
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
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(in crate::front) fn request_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(in crate::front) fn request_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether no request of it is under way.
    pub(in crate::front) fn is_at_rest(&self) -> bool {
        self.in_flight() == 0
    }

    /// How many bytes are counted for it.
    pub(in crate::front) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Counts so many bytes for it from now on; how many they were.
    pub(in crate::front) fn hold(&self, bytes: usize) -> usize {
        // Only its task changes it.
        let before = self.held.load(Ordering::Relaxed);
        if bytes != before {
            self.held.store(bytes, Ordering::Relaxed);
        }
        before
    }

    /// Whether requests may be sent to it.
    pub(in crate::front) fn is_open(&self) -> bool {
        self.closing.load(Ordering::Acquire) == 0
    }

    /// Asks its task to close the connection. Returns whether that is new.
    pub(in crate::front) fn close(&self, why: Closing) -> bool {
        let changed = self.closing.compare_exchange(0, why as u8, Ordering::AcqRel, Ordering::Acquire);
        self.wake();
        changed.is_ok()
    }

    /// Its task has something to do.
    pub(in crate::front) fn wake(&self) {
        self.waker.wake();
    }

    /// For its task: who is woken when there is something to write, and whether to close.
    pub(in crate::front) fn watch(&self, waker: &std::task::Waker) -> Option<Closing> {
        self.waker.register(waker);
        match self.closing.load(Ordering::Acquire) {
            0 => None,
            closing if closing == Closing::Greedy as u8 => Some(Closing::Greedy),
            _ => Some(Closing::Asked),
        }
    }

    /// For its task: moves what waits to be written to `out`, if that has room; how many bytes wait on.
    pub(in crate::front) fn take_outgoing(&self, out: Option<&mut BytesMut>) -> usize {
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        let Some(out) = out.filter(|_| !outgoing.bytes.is_empty()) else { return outgoing.bytes.len() };
        if out.is_empty() {
            std::mem::swap(out, &mut outgoing.bytes);
        } else {
            out.extend_from_slice(&outgoing.bytes);
            outgoing.bytes.clear();
        }
        0
    }

    /// For its task: an idle connection keeps no memory.
    pub(in crate::front) fn release_memory(&self) {
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        if outgoing.bytes.is_empty() {
            outgoing.bytes = BytesMut::new();
        }
    }

    /// Appends a request of phase two; it is written when its task is woken.
    pub(super) fn ask(
        self: &Arc<Self>,
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
        let identity = self.identity().ok_or_else(|| format!("{} is not registered", self.address))?;
        let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
        if outgoing.has_ended {
            return Err(format!("the connection of {} has ended", task.client));
        }
        if outgoing.bytes.len() > MAX_WAITING {
            return Err(format!("{} does not read what it is asked", self.address));
        }
        if self.owes.load(Ordering::Relaxed) >= MAX_ASKED {
            return Err(format!("{} owes {MAX_ASKED} answers already", self.address));
        }
        frame::write(&mut outgoing.bytes, &self.header(Kind::Request, id), &message)
            .map_err(|error| format!("the request cannot be written: {error}"))?;
        self.owes.fetch_add(1, Ordering::Relaxed);
        let (peer, batch) = (Arc::clone(self), Arc::clone(batch));
        // Not after it has ended: nobody would look for it then.
        identity.questions.insert(id, Question { peer, batch, index, branch: task.branch });
        drop(outgoing);
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
        if let Some(identity) = self.identity() {
            identity.questions.remove(id);
        }
    }

    /// It has answered. Returns whether anybody had asked that, of this connection or, for some clients use
    /// whichever they find first, of another one of its application.
    pub(in crate::front) fn answered(&self, id: i32, answer: Answer) -> bool {
        let Some(identity) = self.identity() else { return false };
        let Some(question) = identity.questions.answered_by(self, id, &answer) else { return false };
        let reached = match answer {
            Answer::Branch(_, answer) | Answer::Failed(answer) => Reached::Answered(answer),
            Answer::Unreadable(reason) => Reached::Unreachable { reason },
        };
        question.batch.settle(question.index, reached);
        true
    }

    /// It owes one answer less.
    pub(super) fn settled(&self) {
        self.owes.fetch_sub(1, Ordering::Relaxed);
    }

    /// The connection is gone, and with it all answers that it owes.
    pub(super) fn end(&self) {
        self.close(Closing::Asked);
        {
            let mut outgoing = self.outgoing.lock().expect("nothing panics under it");
            outgoing.has_ended = true;
            outgoing.bytes = BytesMut::new();
        }
        let Some(identity) = self.identity().filter(|_| self.owes.load(Ordering::Relaxed) > 0) else {
            return;
        };
        for question in identity.questions.remove_of(self) {
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
        let answer = BranchAnswer { status: response.status, reason };
        match response.branch_id {
            BranchId(0) if !response.outcome.is_success() => Self::Failed(answer),
            branch => Self::Branch(branch, answer),
        }
    }
}
