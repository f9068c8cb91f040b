//! A coordinator for tests, over real loopback sockets: honest by default, and whatever a script says.
//!
//! Honest: it registers everybody, begins transactions under XIDs with its own address, gives each branch an
//! id, takes every lock to be free, runs phase two over the connection that registered the resource, and
//! answers heartbeats and merged requests.
#![allow(dead_code, reason = "each of the test programs that include this file uses its own part")]

use std::{
    collections::HashMap,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use seata_protocol::{
    Batch, BranchId, BranchRegister, BranchRegistered, BranchRequest, BranchResponse, BranchStatus,
    FrameDecoder, GlobalBegun, GlobalRequest, GlobalResponse, GlobalStatus, Header, Kind, Limits, Lockable,
    Message, Outcome, Registered, frame,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running coordinator. It ends, with its connections, when it is dropped.
pub(crate) struct ScriptedTc {
    address: SocketAddr,
    tc: Arc<Tc>,
    _tasks: JoinSet<()>,
}

/// A frame that came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Which connection, from 0 in the order of their coming.
    pub connection: usize,
    /// Its header.
    pub header: Header,
    /// What it says; `None` for heartbeats.
    pub message: Option<Message>,
}

/// What the coordinator does about a frame.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// What an honest one does.
    Honest,
    /// Answers this.
    Message(Message),
    /// Answers this under another id.
    WithId(i32, Message),
    /// Sends this frame.
    Frame(Header, Message),
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Silence,
    /// Closes the connection.
    Close,
    /// Reads nothing more from the connection, and keeps it open.
    StopReading,
    /// Does it later.
    After(Duration, Box<Reply>),
    /// Does all of this, in order.
    All(Vec<Reply>),
}

/// The form in which merged requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MergedAnswers {
    /// One message, results in the order of the requests, without ids: Java before 2.3.
    #[default]
    ByPosition,
    /// Two messages with ids, the later requests first: Java from 1.5 on, when it is set so.
    Batches,
    /// Each for itself: Java from 2.3 on.
    Alone,
}

type Script = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

struct Tc {
    address: SocketAddr,
    next_id: AtomicI64,
    changed: Notify,
    state: Mutex<State>,
}

struct State {
    script: Script,
    greeting: Reply,
    merged_answers: MergedAnswers,
    one_byte_at_a_time: bool,
    received: Vec<Received>,
    recording: bool,
    connections: Vec<mpsc::UnboundedSender<Command>>,
    open: usize,
    resources: HashMap<String, usize>,
    branches: HashMap<String, Vec<(BranchId, BranchRegister)>>,
    asked: HashMap<(usize, i32), oneshot::Sender<Message>>,
}

enum Command {
    Do(Option<Header>, Reply),
    RollBack(Header, GlobalRequest),
    Commit(GlobalRequest),
}

impl ScriptedTc {
    /// Starts an honest coordinator on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Starts an honest coordinator there.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tc = Arc::new(Tc {
            address,
            next_id: AtomicI64::new(1000),
            changed: Notify::new(),
            state: Mutex::new(State {
                script: Arc::new(|_| Reply::Honest),
                greeting: Reply::Silence,
                merged_answers: MergedAnswers::default(),
                one_byte_at_a_time: false,
                received: Vec::new(),
                recording: true,
                connections: Vec::new(),
                open: 0,
                resources: HashMap::new(),
                branches: HashMap::new(),
                asked: HashMap::new(),
            }),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&tc)));
        Self { address, tc, _tasks: tasks }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does about each frame from now on.
    pub(crate) fn script(&self, script: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.tc.state.lock().unwrap().script = Arc::new(script);
    }

    /// What it does with each connection that comes from now on.
    pub(crate) fn greet(&self, greeting: Reply) {
        self.tc.state.lock().unwrap().greeting = greeting;
    }

    /// How it answers merged requests.
    pub(crate) fn merged_answers(&self, form: MergedAnswers) {
        self.tc.state.lock().unwrap().merged_answers = form;
    }

    /// Sends each byte on its own from now on.
    pub(crate) fn one_byte_at_a_time(&self) {
        self.tc.state.lock().unwrap().one_byte_at_a_time = true;
    }

    /// Keeps no list of what came from now on.
    pub(crate) fn stop_recording(&self) {
        self.tc.state.lock().unwrap().recording = false;
    }

    /// Every frame so far, heartbeats included.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.tc.state.lock().unwrap().received.clone()
    }

    /// Every frame but the first so many.
    pub(crate) fn received_since(&self, count: usize) -> Vec<Received> {
        self.tc.state.lock().unwrap().received[count..].to_vec()
    }

    /// The messages so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.received().into_iter().filter_map(|received| received.message).collect()
    }

    /// How many connections were ever accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.tc.state.lock().unwrap().connections.len()
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.tc.state.lock().unwrap().open
    }

    /// The connection that registered the resource last.
    pub(crate) fn connection_of(&self, resource: &str) -> Option<usize> {
        self.tc.state.lock().unwrap().resources.get(resource).copied()
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.tc.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if is_so(self) {
                    return;
                }
                changed.await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("{what}: not within {PATIENCE:?}; received {:#?}", self.received());
        }
    }

    /// Waits for the first frame like this, among those that came already or later.
    pub(crate) async fn wait_for(&self, what: &str, is_it: impl Fn(&Received) -> bool) -> Received {
        let mut found = None;
        self.until(what, |tc| {
            found = tc.received().into_iter().find(&is_it);
            found.is_some()
        })
        .await;
        found.expect("until() returned")
    }

    /// Does this on a connection, now.
    pub(crate) fn send(&self, connection: usize, reply: Reply) {
        self.tc.command(connection, Command::Do(None, reply));
    }

    /// Sends a request to the client and waits for its answer.
    pub(crate) async fn ask(&self, connection: usize, message: Message) -> Message {
        let request = message.name();
        match timeout(PATIENCE, self.tc.ask(connection, message)).await {
            Ok(Some(answer)) => answer,
            Ok(None) => panic!("connection {connection} closed before {request} was answered"),
            Err(_) => panic!("{request} not answered within {PATIENCE:?}"),
        }
    }

    /// Closes every connection.
    pub(crate) fn disconnect_all(&self) {
        for connection in 0..self.accepted() {
            self.send(connection, Reply::Close);
        }
    }
}

async fn accept(listener: TcpListener, tc: Arc<Tc>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (sender, commands) = mpsc::unbounded_channel();
        let number = {
            let mut state = tc.state.lock().unwrap();
            let _ = sender.send(Command::Do(None, state.greeting.clone()));
            state.connections.push(sender);
            state.open += 1;
            state.connections.len() - 1
        };
        tc.changed.notify_waiters();
        connections.spawn(Connection::new(Arc::clone(&tc), number, socket).run(commands));
    }
}

/// One accepted connection. What it says at once is written together.
struct Connection {
    tc: Arc<Tc>,
    number: usize,
    socket: TcpStream,
    out: BytesMut,
    reading: bool,
    open: bool,
    later: JoinSet<()>,
}

impl Connection {
    fn new(tc: Arc<Tc>, number: usize, socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self { tc, number, socket, out: BytesMut::new(), reading: true, open: true, later: JoinSet::new() }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut decoder = FrameDecoder::new(Limits::default());
        let mut buffer = BytesMut::with_capacity(64 << 10);
        while self.open {
            buffer.reserve(16 << 10);
            tokio::select! {
                // The greeting stands there before anything can be read.
                biased;
                command = commands.recv() => self.obey(command.unwrap()),
                read = read(&mut self.socket, &mut buffer, self.reading) => {
                    if !matches!(read, Ok(1..)) {
                        break;
                    }
                    while let Some(frame) = decoder.next(&mut buffer).unwrap() {
                        let message = match frame.header.kind {
                            Kind::Ping | Kind::Pong => None,
                            _ => Some(frame.message(&Limits::default()).unwrap().message),
                        };
                        self.receive(Received { connection: self.number, header: frame.header, message });
                    }
                }
            }
            if self.flush().await.is_err() {
                break;
            }
        }
        let mut state = self.tc.state.lock().unwrap();
        state.open -= 1;
        state.resources.retain(|_, connection| *connection != self.number);
        state.asked.retain(|(connection, _), _| *connection != self.number);
        drop(state);
        self.tc.changed.notify_waiters();
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        let one_by_one = self.tc.state.lock().unwrap().one_byte_at_a_time;
        if one_by_one {
            for byte in self.out.split() {
                self.socket.write_all(&[byte]).await?;
                tokio::task::yield_now().await;
            }
        } else if !self.out.is_empty() {
            self.socket.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    fn receive(&mut self, received: Received) {
        let script = {
            let mut state = self.tc.state.lock().unwrap();
            if received.header.kind == Kind::Response {
                let asked = state.asked.remove(&(self.number, received.header.id));
                if let (Some(asked), Some(message)) = (asked, &received.message) {
                    let _ = asked.send(message.clone());
                }
            }
            if state.recording {
                state.received.push(received.clone());
            }
            Arc::clone(&state.script)
        };
        self.tc.changed.notify_waiters();
        if received.header.kind == Kind::Response {
            return;
        }
        match script(&received) {
            Reply::Honest => self.be_honest(received),
            reply => self.reply(Some(received.header), reply),
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Do(header, reply) => self.reply(header, reply),
            Command::Commit(request) => {
                let tc = Arc::clone(&self.tc);
                self.later.spawn(async move {
                    tc.finish(&request, Message::BranchCommit).await;
                });
            }
            Command::RollBack(header, request) => {
                let (tc, number) = (Arc::clone(&self.tc), self.number);
                self.later.spawn(async move {
                    let all_undone = tc.finish(&request, Message::BranchRollback).await;
                    let status =
                        if all_undone { GlobalStatus::Rollbacked } else { GlobalStatus::RollbackRetrying };
                    let response = GlobalResponse { outcome: Outcome::success(), status };
                    let reply = Reply::Message(Message::GlobalRollbackResponse(response));
                    tc.command(number, Command::Do(Some(header), reply));
                });
            }
        }
    }

    fn reply(&mut self, to: Option<Header>, reply: Reply) {
        match reply {
            Reply::Honest | Reply::Silence => {}
            Reply::Message(message) => {
                let header = to.expect("an answer needs a request").reply();
                frame::write(&mut self.out, &header, &message).unwrap();
            }
            Reply::WithId(id, message) => {
                let header = Header::new(Kind::Response, id);
                frame::write(&mut self.out, &header, &message).unwrap();
            }
            Reply::Frame(header, message) => frame::write(&mut self.out, &header, &message).unwrap(),
            Reply::Bytes(bytes) => self.out.extend_from_slice(&bytes),
            Reply::Close => self.open = false,
            Reply::StopReading => self.reading = false,
            Reply::After(pause, reply) => {
                let (tc, number) = (Arc::clone(&self.tc), self.number);
                self.later.spawn(async move {
                    tokio::time::sleep(pause).await;
                    tc.command(number, Command::Do(to, *reply));
                });
            }
            Reply::All(replies) => {
                for reply in replies {
                    self.reply(to.clone(), reply);
                }
            }
        }
    }

    fn be_honest(&mut self, received: Received) {
        let header = received.header;
        match received.message {
            None => {
                let header = header.reply();
                frame::write_heartbeat(&mut self.out, &header);
            }
            Some(Message::Merged(batch)) => self.answer_merged(&header, batch),
            Some(Message::GlobalRollback(request)) => self.obey(Command::RollBack(header, request)),
            Some(message) => {
                if let Some(answer) = self.tc.answer(self.number, &message) {
                    self.reply(Some(header), Reply::Message(answer));
                }
                if let Message::GlobalCommit(request) = message {
                    self.obey(Command::Commit(request));
                }
            }
        }
    }

    fn answer_merged(&mut self, header: &Header, batch: Batch) {
        let mut messages: Vec<_> =
            batch.messages.iter().map(|message| self.tc.answer(self.number, message).unwrap()).collect();
        let mut ids = batch.ids;
        let form = self.tc.state.lock().unwrap().merged_answers;
        match form {
            MergedAnswers::ByPosition => {
                self.reply(Some(header.clone()), Reply::Message(Message::MergeResult(messages)));
            }
            MergedAnswers::Batches => {
                let half = messages.len() / 2;
                let later = Batch { messages: messages.split_off(half), ids: ids.split_off(half) };
                for batch in [later, Batch { messages, ids }] {
                    self.reply(Some(header.clone()), Reply::Message(Message::BatchResult(batch)));
                }
            }
            MergedAnswers::Alone => {
                for (id, message) in ids.into_iter().zip(messages) {
                    self.reply(None, Reply::WithId(id, message));
                }
            }
        }
    }
}

async fn read(socket: &mut TcpStream, buffer: &mut BytesMut, reading: bool) -> std::io::Result<usize> {
    if reading { socket.read_buf(buffer).await } else { pending().await }
}

impl Tc {
    fn command(&self, connection: usize, command: Command) {
        // A connection that is closed already does nothing.
        let _ = self.state.lock().unwrap().connections[connection].send(command);
    }

    async fn ask(&self, connection: usize, message: Message) -> Option<Message> {
        let id = self.next_id();
        let (sender, answer) = oneshot::channel();
        self.state.lock().unwrap().asked.insert((connection, id as i32), sender);
        let header = Header::new(Kind::Request, id as i32);
        self.command(connection, Command::Do(None, Reply::Frame(header, message)));
        answer.await.ok()
    }

    /// Phase two: each branch on the connection that registered its resource, the last one first.
    async fn finish(&self, request: &GlobalRequest, what: fn(BranchRequest) -> Message) -> bool {
        let branches = self.state.lock().unwrap().branches.remove(&*request.xid).unwrap_or_default();
        let mut all_done = true;
        for (branch_id, branch) in branches.into_iter().rev() {
            let connection = self.state.lock().unwrap().resources.get(&*branch.resource_id).copied();
            let request = BranchRequest {
                xid: branch.xid,
                branch_id,
                branch_type: branch.branch_type,
                resource_id: branch.resource_id,
                application_data: branch.application_data,
            };
            let answer = match connection {
                Some(connection) => self.ask(connection, what(request)).await,
                None => None,
            };
            all_done &= matches!(
                answer,
                Some(
                    Message::BranchCommitResponse(BranchResponse {
                        status: BranchStatus::PhaseTwoCommitted,
                        ..
                    }) | Message::BranchRollbackResponse(BranchResponse {
                        status: BranchStatus::PhaseTwoRollbacked,
                        ..
                    })
                )
            );
        }
        all_done
    }

    fn answer(&self, connection: usize, message: &Message) -> Option<Message> {
        let outcome = Outcome::success();
        let ended = |status| GlobalResponse { outcome: Outcome::success(), status };
        Some(match message {
            Message::RegisterTm(_) => Message::RegisterTmResponse(registered()),
            Message::RegisterRm(request) => {
                let mut state = self.state.lock().unwrap();
                for resource in request.resource_ids.split(',').filter(|id| !id.is_empty()) {
                    state.resources.insert(resource.to_owned(), connection);
                }
                Message::RegisterRmResponse(registered())
            }
            Message::GlobalBegin(_) => Message::GlobalBeginResponse(GlobalBegun {
                outcome,
                xid: format!("{}:{}", self.address, self.next_id()).into(),
                extra_data: "".into(),
            }),
            Message::GlobalCommit(_) => Message::GlobalCommitResponse(ended(GlobalStatus::Committed)),
            Message::GlobalRollback(_) => Message::GlobalRollbackResponse(ended(GlobalStatus::Rollbacked)),
            Message::GlobalStatus(_) => Message::GlobalStatusResponse(ended(GlobalStatus::Begin)),
            Message::GlobalReport(request) => {
                Message::GlobalReportResponse(ended(request.status.unwrap_or(GlobalStatus::Unknown)))
            }
            Message::BranchRegister(request) => {
                let branch_id = BranchId(self.next_id());
                let mut state = self.state.lock().unwrap();
                if state.recording {
                    let branches = state.branches.entry(request.xid.to_string()).or_default();
                    branches.push((branch_id, request.clone()));
                }
                Message::BranchRegisterResponse(BranchRegistered { outcome, branch_id })
            }
            Message::BranchReport(_) => Message::BranchReportResponse(outcome),
            Message::GlobalLockQuery(_) => {
                Message::GlobalLockQueryResponse(Lockable { outcome, lockable: true })
            }
            _ => return None,
        })
    }

    fn next_id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

fn registered() -> Registered {
    Registered {
        identified: true,
        version: "2.0.0".into(),
        outcome: Outcome::success(),
        extra_data: "".into(),
    }
}
