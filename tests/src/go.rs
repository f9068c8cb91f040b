//! A peer that speaks as seata-go does, with rows and accounts in memory.
//!
//! What it writes differs from Java's: both roles on one connection, registered as the releases 1.1.0 (TM, oneway) and
//! 1.5.2 (RM); pings with ids of their own, which requests have too; answers to phase two on another of its sessions;
//! one byte for the length of the text of a failed answer. It never merges.

mod books;
mod frames;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::{Mutex as AsyncMutex, oneshot},
    task::JoinSet,
};

use self::{
    books::{Books, Branch},
    frames::{Body, Frame, Reader},
};
use crate::java::{Holdings, Loaded, Refused};

const GROUP: &str = "default_tx_group";
const CALL_LIMIT: Duration = Duration::from_secs(20);
const PING_PERIOD: Duration = Duration::from_secs(1);
const RECONNECT_PERIOD: Duration = Duration::from_millis(200);
/// As often and after such a pause as Java asks for a lock again.
const LOCK_TRIES: usize = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const SESSIONS: usize = 2;

const AT: u8 = 0;
const TCC: u8 = 1;
const SAGA: u8 = 2;
const XA: u8 = 3;

/// The peer: an application with its sessions at one server.
#[derive(Debug)]
pub struct GoPeer {
    shared: Arc<Shared>,
    _sessions: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    application: String,
    ids: AtomicU32,
    waiting: Mutex<HashMap<u32, oneshot::Sender<Frame>>>,
    writers: [AsyncMutex<Option<OwnedWriteHalf>>; SESSIONS],
    books: Mutex<Books>,
}

/// A kind of branch whose work is on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Locked at the server, undone from images.
    At,
    /// Prepared, made at commit.
    Xa,
}

impl GoPeer {
    /// Connects to the server at this address, and again whenever a session ends.
    ///
    /// # Panics
    /// When the first session does not come to be.
    pub async fn start(application: &str, server: &str, accounts: usize) -> Self {
        let shared = Arc::new(Shared {
            application: application.to_owned(),
            ids: AtomicU32::new(1),
            waiting: Mutex::default(),
            writers: [AsyncMutex::new(None), AsyncMutex::new(None)],
            books: Mutex::new(Books::new(accounts)),
        });
        let mut sessions = JoinSet::new();
        for session in 0..SESSIONS {
            sessions.spawn(keep_session(shared.clone(), session, server.to_owned()));
        }
        let peer = Self { shared, _sessions: sessions };
        crate::wait::until("the sessions of the Go peer", || peer.connected()).await;
        peer
    }

    async fn connected(&self) -> Result<(), String> {
        for writer in &self.shared.writers {
            if writer.lock().await.is_none() {
                return Err("a session is not open".to_owned());
            }
        }
        Ok(())
    }

    /// Begins a transaction, and returns its XID.
    pub async fn begin(&self, name: &str, timeout: Duration) -> Result<String, Refused> {
        let timeout = u32::try_from(timeout.as_millis()).map_err(Refused::call)?;
        let mut answer = self.ask(1, Body::of(1).u32(timeout).text(name)).await?;
        answer.text()
    }

    /// Ends or asks for a transaction. Returns the name of its status.
    pub async fn commit(&self, xid: &str) -> Result<String, Refused> {
        self.global(7, xid, None).await
    }

    /// As [`commit`](Self::commit).
    pub async fn rollback(&self, xid: &str) -> Result<String, Refused> {
        self.global(9, xid, None).await
    }

    /// As [`commit`](Self::commit).
    pub async fn status(&self, xid: &str) -> Result<String, Refused> {
        self.global(15, xid, None).await
    }

    /// Tells how a state machine of Saga ended.
    pub async fn report(&self, xid: &str, status: &str) -> Result<String, Refused> {
        self.global(17, xid, frames::STATUSES.iter().position(|name| *name == status)).await
    }

    async fn global(&self, code: u16, xid: &str, status: Option<usize>) -> Result<String, Refused> {
        let mut body = Body::of(code).text(xid).text("");
        if let Some(status) = status {
            body = body.u8(u8::try_from(status).map_err(Refused::call)?);
        }
        let mut answer = self.ask(code, body).await?;
        let status = usize::from(answer.u8()?);
        frames::STATUSES.get(status).map(|&name| name.to_owned()).ok_or_else(|| Refused::call(status))
    }

    /// A branch that takes money from a row; it waits for a lock as long as Java does.
    pub async fn take(
        &self,
        xid: &str,
        kind: Rows,
        database: usize,
        row: usize,
        amount: i64,
    ) -> Result<(), Refused> {
        let (kind, locks) = match kind {
            Rows::At => (AT, format!("account:{row}")),
            Rows::Xa => (XA, String::new()),
        };
        let resource = self.resource(database);
        let mut tries = 0;
        let branch = loop {
            tries += 1;
            match self.branch(xid, kind, &resource, &locks).await {
                Err(refused) if refused.code.as_deref() == Some("LockKeyConflict") && tries <= LOCK_TRIES => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                registered => break registered?,
            }
        };
        self.shared.books().change(branch, kind == AT, database, row, amount);
        Ok(())
    }

    /// Whether a row is free for this transaction.
    pub async fn is_lockable(&self, xid: &str, database: usize, row: usize) -> Result<bool, Refused> {
        let body = Body::of(21).text(xid).u8(AT).text(&self.resource(database));
        let mut answer = self.ask(21, body.long_text(&format!("account:{row}")).long_text("")).await?;
        Ok(answer.u16()? == 1)
    }

    /// All rows of a database.
    pub fn rows(&self, database: usize) -> Vec<String> {
        self.shared.books().rows(database)
    }

    /// How many branches are not finished.
    pub fn unfinished(&self) -> usize {
        self.shared.books().branches.len()
    }

    /// Makes an account, a TCC resource.
    pub async fn open_account(&self, account: &str, balance: i64) -> Result<(), Refused> {
        self.shared.books().open_account(account, balance);
        let registration = self.shared.registration(&format!("account-{account}"));
        self.shared.call(0, frames::REQUEST, registration).await.map(drop)
    }

    /// A TCC branch: sets money aside.
    pub async fn reserve(&self, xid: &str, account: &str, amount: i64) -> Result<(), Refused> {
        let branch = self.branch(xid, TCC, &format!("account-{account}"), "").await?;
        self.shared.books().reserve(branch, account, amount);
        Ok(())
    }

    /// What an account holds.
    pub fn holdings(&self, account: &str) -> Holdings {
        self.shared.books().holdings(account)
    }

    /// Has this many of the next commits of accounts fail, each in another way.
    pub fn fail_commits(&self, times: u64) {
        self.shared.books().failures = times;
    }

    /// A branch of a state machine of Saga.
    pub async fn saga_branch(&self, xid: &str) -> Result<String, Refused> {
        let resource = format!("{}#{GROUP}", self.shared.application);
        self.branch(xid, SAGA, &resource, "").await.map(|branch| branch.to_string())
    }

    /// Tells that the service of a branch of Saga is done.
    pub async fn report_branch(&self, xid: &str, branch: &str) -> Result<(), Refused> {
        const PHASE_ONE_DONE: u8 = 2;
        let branch: u64 = branch.parse().map_err(Refused::call)?;
        let body = Body::of(13).text(xid).u64(branch).u8(PHASE_ONE_DONE).text("").long_text("{}").u8(SAGA);
        self.ask(13, body).await.map(drop)
    }

    /// So many tasks make so many transfers each, from the first database to the second.
    pub async fn load(self: &Arc<Self>, tasks: usize, times: usize, accounts: usize) -> Loaded {
        let mut running = JoinSet::new();
        for task in 0..tasks {
            let peer = self.clone();
            running.spawn(async move {
                let mut loaded = Loaded { committed: 0, rolled_back: 0, refused: 0 };
                for time in 0..times {
                    // Any rows: a step that is prime to their number.
                    let row = (task * 31 + time * 77) % accounts + 1;
                    match peer.transfer(row, accounts + 1 - row, time % 8 == 0).await {
                        Ok(true) => loaded.committed += 1,
                        Ok(false) => loaded.rolled_back += 1,
                        Err(_) => loaded.refused += 1,
                    }
                }
                loaded
            });
        }
        running.join_all().await.into_iter().fold(
            Loaded { committed: 0, rolled_back: 0, refused: 0 },
            |sum, one| Loaded {
                committed: sum.committed + one.committed,
                rolled_back: sum.rolled_back + one.rolled_back,
                refused: sum.refused + one.refused,
            },
        )
    }

    /// Whether it was committed.
    async fn transfer(&self, from: usize, to: usize, given_up: bool) -> Result<bool, Refused> {
        let xid = self.begin("transfer", Duration::from_secs(60)).await?;
        let taken = async {
            self.take(&xid, Rows::At, 0, from, 1).await?;
            self.take(&xid, Rows::At, 1, to, -1).await
        };
        if let Err(refused) = taken.await {
            self.rollback(&xid).await?;
            return Err(refused);
        }
        if given_up {
            self.rollback(&xid).await?;
        } else {
            self.commit(&xid).await?;
        }
        Ok(!given_up)
    }

    fn resource(&self, database: usize) -> String {
        self.shared.resource(database)
    }

    async fn branch(&self, xid: &str, kind: u8, resource: &str, locks: &str) -> Result<u64, Refused> {
        let body = Body::of(11).text(xid).u8(kind).text(resource).long_text(locks).long_text("{}");
        self.ask(11, body).await?.u64()
    }

    /// Asks on the first session. The answer stands behind its result.
    async fn ask(&self, code: u16, body: Body) -> Result<Reader, Refused> {
        let frame = self.shared.call(0, frames::REQUEST, body).await?;
        frame.answer(code + 1)
    }
}

impl Shared {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics with it")
    }

    fn resource(&self, database: usize) -> String {
        format!("jdbc:go:{}:{database}", self.application)
    }

    fn registration(&self, resource: &str) -> Body {
        Body::of(103).text("1.5.2").text(&self.application).text(GROUP).text("").long_text(resource)
    }

    fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    async fn call(&self, session: usize, kind: u8, body: Body) -> Result<Frame, Refused> {
        let id = self.next_id();
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().expect("nobody panics with it").insert(id, sender);
        self.write(session, &body.frame(kind, id)).await?;
        match tokio::time::timeout(CALL_LIMIT, answer).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(_)) => Err(Refused::call("the session ended")),
            Err(late) => Err(Refused::call(late)),
        }
    }

    async fn write(&self, session: usize, bytes: &[u8]) -> Result<(), Refused> {
        let mut writer = self.writers[session].lock().await;
        let open = writer.as_mut().ok_or_else(|| Refused::call("no session is open"))?;
        open.write_all(bytes).await.map_err(Refused::call)
    }

    /// What the server asks: phase two. The answer goes to the other session.
    async fn serve(&self, session: usize, frame: Frame) {
        let Some(request) = frame.branch_request() else { return };
        let body = match self.books().finish(&request) {
            Branch::Ended(status) => request.answer().u8(1).u8(0).ended(&request, status),
            Branch::Failed => request.answer().u8(0).u8(4).raw(b"busy").u8(0).ended(&request, 6),
        };
        let bytes = body.frame(frames::RESPONSE, frame.id);
        if self.write((session + 1) % SESSIONS, &bytes).await.is_err() {
            let _ = self.write(session, &bytes).await;
        }
    }
}

async fn keep_session(shared: Arc<Shared>, session: usize, server: String) {
    loop {
        if let Ok(stream) = TcpStream::connect(&server).await {
            let _ = run_session(&shared, session, stream).await;
            *shared.writers[session].lock().await = None;
            if session == 0 {
                shared.waiting.lock().expect("nobody panics with it").clear();
            }
        }
        tokio::time::sleep(RECONNECT_PERIOD).await;
    }
}

async fn run_session(shared: &Arc<Shared>, session: usize, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let manager = Body::of(101).text("1.1.0").text(&shared.application).text(GROUP).text("");
    let mut hello = manager.frame(frames::ONEWAY, shared.next_id());
    let accounts: Vec<String> = shared.books().accounts().map(|name| format!("account-{name}")).collect();
    let saga = format!("{}#{GROUP}", shared.application);
    for resource in [shared.resource(0), shared.resource(1), saga].into_iter().chain(accounts) {
        hello.extend(shared.registration(&resource).frame(frames::REQUEST, shared.next_id()));
    }
    writer.write_all(&hello).await?;
    *shared.writers[session].lock().await = Some(writer);

    let mut phase_two = JoinSet::new();
    let mut pings = tokio::time::interval(PING_PERIOD);
    // A count of their own: each is also the number of a request.
    let mut ping = 0;
    let mut bytes = Vec::new();
    loop {
        tokio::select! {
            read = reader.read_buf(&mut bytes) => if read? == 0 { return Ok(()) },
            _ = pings.tick() => {
                ping += 1;
                let _ = shared.write(session, &frames::ping(ping)).await;
            }
            Some(_) = phase_two.join_next() => {}
        }
        while let Some(frame) = Frame::cut(&mut bytes) {
            match frame.kind {
                frames::RESPONSE => {
                    let waiting = shared.waiting.lock().expect("nobody panics with it").remove(&frame.id);
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(frame);
                    }
                }
                frames::PONG => {}
                _ => {
                    let shared = shared.clone();
                    phase_two.spawn(async move { shared.serve(session, frame).await });
                }
            }
        }
    }
}
