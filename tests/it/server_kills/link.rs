//! An application's two connections, as frames.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use seata::GlobalStatus;
use seata_protocol::{
    BranchRegister, BranchRequest, BranchResponse, BranchStatus, BranchType, Frame, FrameDecoder,
    GlobalBegin, GlobalRequest, Header, Kind, Limits, Message, Outcome, RegisterRm, RegisterTm,
    SEATA_VERSION, TransactionExceptionCode, frame,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::timeout,
};

use seata_tests::wait::LIMIT;

use super::ledger::{Decision, Ledger};

const RESOURCE: &str = "jdbc:mysql://127.0.0.1/kills";
const GROUP: &str = "default_tx_group";
const TIMEOUT_MS: i32 = 60 * 60 * 1000;

/// The server is gone; what it did with the last request, nobody knows.
#[derive(Debug)]
pub(super) struct Lost;

/// A way to the server, which ends with it.
#[derive(Clone)]
pub(super) struct Link {
    tm: Connection,
    rm: Connection,
}

type Connection = mpsc::Sender<(Message, oneshot::Sender<Message>)>;

impl Link {
    /// Registers an application; phase two is answered at once, and noted.
    pub(super) async fn connect(server: SocketAddr, number: usize, ledger: Arc<Ledger>) -> Self {
        let application_id = format!("kills-{number}");
        let tm = connect(server, Arc::clone(&ledger)).await;
        let starter = RegisterTm {
            version: SEATA_VERSION.into(),
            application_id: application_id.clone().into(),
            transaction_service_group: GROUP.into(),
            extra_data: "".into(),
        };
        ask(&tm, Message::RegisterTm(starter)).await.expect("the server lives");
        let rm = connect(server, ledger).await;
        let holder = RegisterRm {
            version: SEATA_VERSION.into(),
            application_id: application_id.into(),
            transaction_service_group: GROUP.into(),
            extra_data: "".into(),
            resource_ids: RESOURCE.into(),
        };
        ask(&rm, Message::RegisterRm(holder)).await.expect("the server lives");
        Self { tm, rm }
    }

    pub(super) async fn begin(&self) -> Result<String, Lost> {
        let begin = GlobalBegin { timeout_ms: TIMEOUT_MS, name: "kills".into() };
        match ask(&self.tm, Message::GlobalBegin(begin)).await? {
            Message::GlobalBeginResponse(begun) if begun.outcome.is_success() => Ok(begun.xid.to_string()),
            other => panic!("not the answer to a begin: {other:?}"),
        }
    }

    /// The new branch, or why there is none.
    pub(super) async fn register(
        &self,
        xid: &str,
        rows: &[String],
    ) -> Result<Result<i64, TransactionExceptionCode>, Lost> {
        let register = BranchRegister {
            xid: xid.into(),
            branch_type: BranchType::At,
            resource_id: RESOURCE.into(),
            lock_key: format!("rows:{}", rows.join(",")).into(),
            application_data: "".into(),
        };
        match ask(&self.rm, Message::BranchRegister(register)).await? {
            Message::BranchRegisterResponse(answer) if answer.outcome.is_success() => {
                Ok(Ok(answer.branch_id.0))
            }
            Message::BranchRegisterResponse(answer) => Ok(Err(answer.outcome.code)),
            other => panic!("not the answer to a registration: {other:?}"),
        }
    }

    pub(super) async fn decide(&self, xid: &str, decision: Decision) -> Result<GlobalStatus, Lost> {
        let request = GlobalRequest { xid: xid.into(), extra_data: "".into() };
        self.status_of(match decision {
            Decision::Commit => Message::GlobalCommit(request),
            Decision::Rollback => Message::GlobalRollback(request),
        })
        .await
    }

    pub(super) async fn status(&self, xid: &str) -> Result<GlobalStatus, Lost> {
        self.status_of(Message::GlobalStatus(GlobalRequest { xid: xid.into(), extra_data: "".into() })).await
    }

    async fn status_of(&self, request: Message) -> Result<GlobalStatus, Lost> {
        match ask(&self.tm, request).await? {
            Message::GlobalCommitResponse(answer)
            | Message::GlobalRollbackResponse(answer)
            | Message::GlobalStatusResponse(answer) => Ok(answer.status),
            other => panic!("not the answer about a transaction: {other:?}"),
        }
    }
}

async fn ask(connection: &Connection, request: Message) -> Result<Message, Lost> {
    let (sender, answer) = oneshot::channel();
    connection.send((request, sender)).await.map_err(|_| Lost)?;
    let answer = timeout(LIMIT, answer).await.expect("a server that lives answers");
    answer.map_err(|_| Lost)
}

async fn connect(server: SocketAddr, ledger: Arc<Ledger>) -> Connection {
    let socket = TcpStream::connect(server).await.expect("the server listens");
    socket.set_nodelay(true).expect("an option of every TCP socket");
    let (connection, requests) = mpsc::channel(64);
    let line = Line { socket, decoder: FrameDecoder::new(Limits::default()), asked: HashMap::new(), ledger };
    // It ends when the server does, or the last `Link` is dropped; then all who wait hear that.
    tokio::spawn(line.run(requests));
    connection
}

struct Line {
    socket: TcpStream,
    decoder: FrameDecoder,
    asked: HashMap<i32, oneshot::Sender<Message>>,
    ledger: Arc<Ledger>,
}

impl Line {
    async fn run(mut self, mut requests: mpsc::Receiver<(Message, oneshot::Sender<Message>)>) {
        let (mut received, mut out, mut last_id) = (BytesMut::new(), BytesMut::new(), 0);
        loop {
            tokio::select! {
                request = requests.recv() => {
                    let Some((request, answer)) = request else { return };
                    last_id += 1;
                    self.asked.insert(last_id, answer);
                    frame::write(&mut out, &Header::new(Kind::Request, last_id), &request).expect("it fits");
                }
                read = self.socket.read_buf(&mut received) => {
                    if !matches!(read, Ok(1..)) || self.hear(&mut received, &mut out).is_err() {
                        return;
                    }
                }
            }
            if self.socket.write_all_buf(&mut out).await.is_err() {
                return;
            }
        }
    }

    fn hear(&mut self, received: &mut BytesMut, out: &mut BytesMut) -> io::Result<()> {
        while let Some(frame) = self.decoder.next(received).map_err(io::Error::other)? {
            if matches!(frame.header.kind, Kind::Ping | Kind::Pong) {
                continue;
            }
            let message = frame.message(&Limits::default()).map_err(io::Error::other)?.message;
            match message {
                Message::BranchCommit(request) => self.end_branch(&frame, request, Decision::Commit, out),
                Message::BranchRollback(request) => self.end_branch(&frame, request, Decision::Rollback, out),
                Message::UndoLogDelete(_) => {}
                answer => {
                    if let Some(asked) = self.asked.remove(&frame.header.id) {
                        // Who asked may have given up.
                        let _ = asked.send(answer);
                    }
                }
            }
        }
        Ok(())
    }

    fn end_branch(&self, frame: &Frame, request: BranchRequest, decision: Decision, out: &mut BytesMut) {
        let BranchRequest { xid, branch_id, .. } = request;
        self.ledger.phase_two(&xid, branch_id.0, decision);
        let answer = |status| BranchResponse { outcome: Outcome::success(), xid, branch_id, status };
        let answer = match decision {
            Decision::Commit => Message::BranchCommitResponse(answer(BranchStatus::PhaseTwoCommitted)),
            Decision::Rollback => Message::BranchRollbackResponse(answer(BranchStatus::PhaseTwoRollbacked)),
        };
        frame::write(out, &frame.header.reply(), &answer).expect("it fits");
    }
}
