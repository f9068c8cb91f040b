//! A coordinator that is slow, forgetful and repeats itself, and whose every answer tells whom it is meant for.
//!
//! Transactions and branches have the numbers that their callers gave them, see [`transaction_number`]. What is
//! answered follows from the number alone, so a caller knows which answer is its own.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use seata_protocol::{
    Batch, BranchId, BranchRegistered, BranchRequest, BranchType, GlobalBegun, GlobalResponse, GlobalStatus,
    Header, Kind, Lockable, Message, Outcome, Text, TransactionExceptionCode,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    proxy::{Proxy, Weather},
    resource::Decision,
    seed::numbers,
};
use crate::scripted::{Received, Reply, ScriptedTc};

/// The server and the network in front of it.
pub(super) struct Server {
    pub(super) proxy: Proxy,
    tc: Arc<ScriptedTc>,
    book: Arc<Book>,
    _tasks: JoinSet<()>,
}

/// How a server differs from others.
#[derive(Clone, Copy)]
pub(super) struct Character {
    pub(super) weather: Weather,
    /// Its XIDs carry the address that the client has for it, or one of its own.
    pub(super) is_known_by_its_address: bool,
    pub(super) seed: u64,
}

/// What the server knows.
struct Book {
    /// The address that its XIDs carry.
    name: String,
    is_stormy: AtomicBool,
    numbers: Mutex<StdRng>,
    branches: Mutex<HashMap<i64, HashMap<i64, Text>>>,
    /// What [`PhaseTwo`] does not know of yet. Held while it looks around.
    decided: Mutex<Vec<Branch>>,
    /// How much of phase two is not done.
    to_do: AtomicUsize,
    held: Mutex<Option<Vec<(usize, Header, Message)>>>,
}

/// A branch that is to be finished.
#[derive(Clone, Debug)]
struct Branch {
    number: i64,
    decision: Decision,
    resource: Text,
    due: Instant,
}

/// Phase two as the server sees it.
#[derive(Default)]
struct PhaseTwo {
    open: Vec<Branch>,
    finished: HashSet<i64>,
    /// By connection and id.
    asked: HashMap<(usize, i32), Branch>,
    last_id: i32,
    seen: usize,
}

/// The number of a caller's transaction. Its branches have the numbers that follow.
pub(super) fn transaction_number(caller: i64, count: i64) -> i64 {
    (caller + 1) * 1_000_000 + count * 10
}

/// The name under which a transaction is begun.
pub(super) fn name(number: i64) -> String {
    format!("transaction {number}")
}

/// What comes back to a branch in phase two.
pub(super) fn application_data(number: i64) -> String {
    format!("data of {number}")
}

/// How the server answers what is asked of a transaction or a branch.
pub(super) fn verdict(what: &str, number: i64) -> Result<(), String> {
    match (number / 10 + number) % 4 {
        0 => Err(format!("{what} {number}: no")),
        _ => Ok(()),
    }
}

/// Where a transaction stands.
pub(super) fn status(number: i64) -> GlobalStatus {
    GlobalStatus::ALL[(number / 10) as usize % GlobalStatus::ALL.len()]
}

/// How long the server waits for an answer in phase two before it asks once more.
const ASKS_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Server {
    pub(super) async fn start(character: Character) -> Self {
        let Character { weather, is_known_by_its_address, seed } = character;
        let tc = Arc::new(ScriptedTc::start().await);
        let proxy = Proxy::start(tc.address(), weather, seed ^ 1);
        let name = if is_known_by_its_address { proxy.address() } else { tc.address() };
        let book = Arc::new(Book {
            name: name.to_string(),
            is_stormy: AtomicBool::new(weather == Weather::Storm),
            numbers: Mutex::new(numbers(seed, 0)),
            branches: Mutex::default(),
            decided: Mutex::default(),
            to_do: AtomicUsize::new(0),
            held: Mutex::default(),
        });
        tc.script({
            let book = Arc::clone(&book);
            move |received| book.reply(received)
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(run_phase_two(Arc::clone(&tc), Arc::clone(&book)));
        Self { proxy, tc, book, _tasks: tasks }
    }
}

impl Server {
    /// No more faults. Connections that are damaged stay so.
    pub(super) fn calm_down(&self) {
        self.book.is_stormy.store(false, Ordering::SeqCst);
        self.proxy.set(Weather::Fair);
    }

    /// How many connections there are to the network, how many of them are damaged, and how many there are to
    /// the server.
    pub(super) fn connections(&self) -> (usize, usize, usize) {
        (self.proxy.open(), self.proxy.damaged(), self.tc.open())
    }

    /// The address that its XIDs carry.
    pub(super) fn name(&self) -> &str {
        &self.book.name
    }

    /// Whether each branch of an ended transaction was finished, and each request of phase two that reached
    /// the resources over the connection that is there now has been answered.
    pub(super) fn has_finished(&self) -> bool {
        self.book.decided.lock().unwrap().is_empty() && self.book.to_do.load(Ordering::SeqCst) == 0
    }

    /// The resources that were registered over the last connection that registered any.
    pub(super) fn resources(&self) -> BTreeSet<String> {
        let mut resources: Vec<(usize, String)> = Vec::new();
        for received in self.tc.received() {
            if let Some(Message::RegisterRm(request)) = received.message {
                let ids = request.resource_ids.split(',').map(|id| (received.connection, id.to_owned()));
                resources.extend(ids);
            }
        }
        let last = resources.iter().map(|(connection, _)| *connection).max();
        let of_last = resources.into_iter().filter(|(connection, _)| Some(*connection) == last);
        of_last.map(|(_, id)| id).collect()
    }

    /// Answers nothing that concerns a transaction until [`let_go`](Self::let_go).
    pub(super) fn hold(&self) {
        *self.book.held.lock().unwrap() = Some(Vec::new());
    }

    /// How many requests wait.
    pub(super) fn held(&self) -> usize {
        self.book.held.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// Answers all that waits.
    pub(super) fn let_go(&self) {
        for (connection, request, answer) in self.book.held.lock().unwrap().take().unwrap_or_default() {
            self.tc.send(connection, Reply::Frame(request.reply(), answer));
        }
    }
}

impl Book {
    fn reply(&self, received: &Received) -> Reply {
        let header = &received.header;
        match &received.message {
            None | Some(Message::RegisterTm(_) | Message::RegisterRm(_)) => match self.number(0..100) {
                0..4 if self.is_stormy() => Reply::Silence,
                4..8 if self.is_stormy() => Reply::Close,
                _ => Reply::Honest,
            },
            Some(request) => match (&mut *self.held.lock().unwrap(), request) {
                (Some(held), Message::Merged(batch)) => {
                    let parts = batch.ids.iter().zip(&batch.messages);
                    let part = |(&id, request)| {
                        (received.connection, Header::new(Kind::Request, id), self.answer(request))
                    };
                    held.extend(parts.map(part));
                    Reply::Silence
                }
                (Some(held), request) => {
                    held.push((received.connection, header.clone(), self.answer(request)));
                    Reply::Silence
                }
                (None, Message::Merged(batch)) => self.reply_to_many(header, batch),
                (None, request) => self.deliver(Reply::Message(self.answer(request))),
            },
        }
    }

    /// Now or later, twice, or not at all.
    fn deliver(&self, answer: Reply) -> Reply {
        let pause = Duration::from_millis(self.number(1..40));
        match self.number(0..100) {
            0..1 if self.is_stormy() => Reply::Close,
            1..4 if self.is_stormy() => Reply::Silence,
            10..30 => Reply::After(pause, Box::new(answer)),
            30..35 => Reply::All(vec![answer.clone(), answer]),
            35..40 => Reply::All(vec![answer.clone(), Reply::After(pause, Box::new(answer))]),
            _ => answer,
        }
    }

    /// In one of the three forms that Java's servers have.
    fn reply_to_many(&self, header: &Header, batch: &Batch) -> Reply {
        let mut answers: Vec<_> = batch.messages.iter().map(|request| self.answer(request)).collect();
        let mut ids = batch.ids.clone();
        let result = |batch| self.deliver(Reply::Frame(header.reply(), Message::BatchResult(batch)));
        match self.number(0..3) {
            0 => self.deliver(Reply::Message(Message::MergeResult(answers))),
            1 => {
                let half = answers.len() / 2;
                let later = Batch { messages: answers.split_off(half), ids: ids.split_off(half) };
                Reply::All(vec![result(later), result(Batch { messages: answers, ids })])
            }
            _ => {
                let alone = |(id, answer)| self.deliver(Reply::WithId(id, answer));
                Reply::All(ids.into_iter().zip(answers).map(alone).collect())
            }
        }
    }

    fn answer(&self, request: &Message) -> Message {
        match request {
            Message::GlobalBegin(request) => {
                let number = last_number(&request.name);
                let xid = format!("{}:{number}", self.name).into();
                let outcome = Outcome::success();
                Message::GlobalBeginResponse(GlobalBegun { outcome, xid, extra_data: Text::new() })
            }
            Message::GlobalCommit(request) => {
                Message::GlobalCommitResponse(self.end("commit", Decision::Commit, &request.xid))
            }
            Message::GlobalRollback(request) => {
                Message::GlobalRollbackResponse(self.end("rollback", Decision::Rollback, &request.xid))
            }
            Message::GlobalStatus(request) => {
                let number = self.own(&request.xid);
                let outcome = outcome("status", number);
                Message::GlobalStatusResponse(GlobalResponse { outcome, status: status(number) })
            }
            Message::BranchRegister(request) => {
                let (transaction, number) = (self.own(&request.xid), last_number(&request.lock_key));
                assert_eq!(number / 10, transaction / 10, "a request is as its caller made it");
                assert_eq!(request.application_data, application_data(number));
                let outcome = outcome("branch", number);
                if outcome.is_success() {
                    let mut branches = self.branches.lock().unwrap();
                    branches.entry(transaction).or_default().insert(number, request.resource_id.clone());
                }
                Message::BranchRegisterResponse(BranchRegistered { outcome, branch_id: BranchId(number) })
            }
            Message::BranchReport(request) => {
                assert_eq!(request.branch_id.0 / 10, self.own(&request.xid) / 10);
                Message::BranchReportResponse(outcome("report", request.branch_id.0))
            }
            Message::GlobalLockQuery(request) => {
                let outcome = outcome("query", last_number(&request.lock_key));
                Message::GlobalLockQueryResponse(Lockable { outcome, lockable: true })
            }
            other => panic!("nobody asked for {}", other.name()),
        }
    }

    fn end(&self, what: &str, decision: Decision, xid: &Text) -> GlobalResponse {
        let transaction = self.own(xid);
        let outcome = outcome(what, transaction);
        if outcome.is_success() {
            let branches = self.branches.lock().unwrap().remove(&transaction).unwrap_or_default();
            let due = Instant::now();
            let branch = |(number, resource)| Branch { number, decision, resource, due };
            self.decided.lock().unwrap().extend(branches.into_iter().map(branch));
        }
        GlobalResponse { outcome, status: status(transaction) }
    }

    /// The number of a transaction that this server began: no other one is asked of it.
    fn own(&self, xid: &Text) -> i64 {
        let (name, number) = xid.rsplit_once(':').unwrap();
        assert_eq!(name, self.name, "the transaction belongs to another server");
        number.parse().unwrap()
    }

    fn is_stormy(&self) -> bool {
        self.is_stormy.load(Ordering::SeqCst)
    }

    fn number(&self, range: std::ops::Range<u64>) -> u64 {
        self.numbers.lock().unwrap().random_range(range)
    }
}

fn outcome(what: &str, number: i64) -> Outcome {
    match verdict(what, number) {
        Ok(()) => Outcome::success(),
        Err(words) => Outcome::failed(TransactionExceptionCode::FailedStore, words),
    }
}

fn last_number(text: &str) -> i64 {
    text.rsplit([' ', ':']).next().unwrap().parse().unwrap()
}

/// Asks for each decided branch until it is finished, also twice at once and again when it is finished, over
/// whatever connection registered the resource last.
async fn run_phase_two(tc: Arc<ScriptedTc>, book: Arc<Book>) {
    let mut phase_two = PhaseTwo::default();
    loop {
        sleep(Duration::from_millis(10)).await;
        let mut decided = book.decided.lock().unwrap();
        phase_two.open.append(&mut decided);
        phase_two.take_answers(&tc);
        phase_two.ask(&tc, &book);
        book.to_do.store(phase_two.to_do(&tc), Ordering::SeqCst);
    }
}

impl PhaseTwo {
    fn take_answers(&mut self, tc: &ScriptedTc) {
        let received = tc.received_since(self.seen);
        self.seen += received.len();
        for answer in received.into_iter().filter(|received| received.header.kind == Kind::Response) {
            let asked = self.asked.remove(&(answer.connection, answer.header.id));
            let asked = asked.expect("an answer to a question of this connection, and the only one");
            let (decision, answer) = match answer.message {
                Some(Message::BranchCommitResponse(answer)) => (Decision::Commit, answer),
                Some(Message::BranchRollbackResponse(answer)) => (Decision::Rollback, answer),
                other => panic!("{asked:?} was answered by {other:?}"),
            };
            assert_eq!((answer.branch_id.0, decision), (asked.number, asked.decision));
            assert_eq!(last_number(&answer.xid) / 10, asked.number / 10);
            if answer.status == decision.done() {
                self.finished.insert(asked.number);
            } else {
                assert_eq!(answer.status, decision.not_now());
            }
        }
    }

    fn ask(&mut self, tc: &ScriptedTc, book: &Book) {
        let now = Instant::now();
        let mut open = std::mem::take(&mut self.open);
        open.retain_mut(|branch| {
            if branch.due > now {
                return true;
            }
            let is_finished = self.finished.contains(&branch.number);
            // A server that lost the answer, or its memory of it, asks once more.
            if is_finished && book.number(0..100) >= 10 {
                return false;
            }
            if let Some(connection) = tc.connection_of(&branch.resource) {
                let times = if book.number(0..100) < 15 { 2 } else { 1 };
                (0..times).for_each(|_| self.send(tc, book, connection, branch));
                branch.due = now + if is_finished { Duration::from_millis(100) } else { ASKS_AGAIN_AFTER };
            }
            true
        });
        self.open = open;
    }

    /// What was asked over a connection that has gone is not answered any more.
    fn to_do(&self, tc: &ScriptedTc) -> usize {
        let is_there = |&(connection, _): &(usize, i32), branch: &Branch| {
            tc.connection_of(&branch.resource) == Some(connection)
        };
        self.open.len() + self.asked.iter().filter(|(key, branch)| is_there(key, branch)).count()
    }

    fn send(&mut self, tc: &ScriptedTc, book: &Book, connection: usize, branch: &Branch) {
        self.last_id += 1;
        let request = BranchRequest {
            xid: format!("{}:{}", book.name, branch.number / 10 * 10).into(),
            branch_id: BranchId(branch.number),
            branch_type: BranchType::At,
            resource_id: branch.resource.clone(),
            application_data: application_data(branch.number).into(),
        };
        self.asked.insert((connection, self.last_id), branch.clone());
        tc.send(
            connection,
            Reply::Frame(Header::new(Kind::Request, self.last_id), branch.decision.request(request)),
        );
    }
}
