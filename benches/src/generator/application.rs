//! One application: its two connections, and its transactions.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io, mem,
    net::SocketAddr,
    task::{Context, Poll},
    time::Instant,
};

use seata_protocol::{
    Batch, BranchRegister, BranchRequest, BranchResponse, BranchStatus, BranchType, Frame, GlobalBegin,
    GlobalRequest, GlobalStatus, Header, Kind, Limits, Message, Outcome, RegisterRm, RegisterTm, Registered,
    SEATA_VERSION, Text,
};

use super::{End, Progress, next_row};
use crate::wire::Connection;

const RESOURCE: &str = "jdbc:mysql://127.0.0.1/bench";
const GROUP: &str = "default_tx_group";
/// Longer than any load.
const TIMEOUT_MS: i32 = 24 * 60 * 60 * 1000;
/// A message's id is its transaction's place, and above it a number that is never the same twice in a row.
const PLACES: usize = 1 << 12;

pub(super) struct Application {
    tm: Connection,
    rm: Connection,
    transactions: Vec<Transaction>,
    free: Vec<usize>,
    last_id: i32,
    /// Registrations that wait to be said in one frame.
    waiting: Batch,
    /// The ids in each merged frame, which its answer may leave out.
    merged: HashMap<i32, Vec<i32>>,
}

struct Transaction {
    began: Instant,
    xid: Text,
    /// Branches that are registered.
    branches: usize,
    /// What is asked.
    id: i32,
}

impl Application {
    pub(super) async fn connect(server: SocketAddr, number: usize, transactions: usize) -> io::Result<Self> {
        assert!(transactions <= PLACES, "{transactions} at a time, at most {PLACES} can be");
        let application_id = Text::from(format!("bench-{number}"));
        let (mut tm, mut rm) = (Connection::connect(server).await?, Connection::connect(server).await?);
        let starter = RegisterTm {
            version: SEATA_VERSION.into(),
            application_id: application_id.clone(),
            transaction_service_group: GROUP.into(),
            extra_data: "".into(),
        };
        let holder = RegisterRm {
            version: SEATA_VERSION.into(),
            application_id,
            transaction_service_group: GROUP.into(),
            extra_data: "".into(),
            resource_ids: RESOURCE.into(),
        };
        assert_welcome(tm.ask(1, &Message::RegisterTm(starter)).await?);
        assert_welcome(rm.ask(1, &Message::RegisterRm(holder)).await?);
        let idle = || Transaction { began: Instant::now(), xid: Text::new(), branches: 0, id: 0 };
        Ok(Self {
            tm,
            rm,
            transactions: (0..transactions).map(|_| idle()).collect(),
            free: (0..transactions).rev().collect(),
            last_id: 1,
            waiting: Batch::default(),
            merged: HashMap::new(),
        })
    }

    pub(super) fn is_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(super) fn begin(&mut self, now: Instant) {
        let place = self.free.pop().expect("it was asked before");
        let id = self.next_id(place);
        let begin = GlobalBegin { timeout_ms: TIMEOUT_MS, name: "bench".into() };
        self.tm.say(&Header::new(Kind::Request, id), &Message::GlobalBegin(begin));
        self.transactions[place] = Transaction { began: now, xid: Text::new(), branches: 0, id };
    }

    pub(super) fn beat(&mut self) {
        let id = self.next_id(0);
        self.tm.beat(Kind::Ping, id);
        self.rm.beat(Kind::Ping, id);
    }

    /// Says what is to be said, reads what has come and moves on what it is about. Whether anything came.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, progress: &mut Progress) -> io::Result<bool> {
        self.flush(cx)?;
        let mut came = false;
        if let Poll::Ready(received) = self.tm.poll_receive(cx) {
            received?;
            came = true;
            while let Some(frame) = self.tm.take()? {
                self.hear(&frame, progress)?;
            }
        }
        if let Poll::Ready(received) = self.rm.poll_receive(cx) {
            received?;
            came = true;
            while let Some(frame) = self.rm.take()? {
                self.hear(&frame, progress)?;
            }
        }
        Ok(came)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.waiting.messages.is_empty() {
            let batch = mem::take(&mut self.waiting);
            let id = self.next_id(0);
            self.merged.insert(id, batch.ids.clone());
            self.rm.say(&Header::new(Kind::Oneway, id), &Message::Merged(batch));
        }
        // What cannot go now wakes the context when it can.
        let _ = (self.tm.poll_flush(cx)?, self.rm.poll_flush(cx)?);
        Ok(())
    }

    fn hear(&mut self, frame: &Frame, progress: &mut Progress) -> io::Result<()> {
        if matches!(frame.header.kind, Kind::Ping | Kind::Pong) {
            return Ok(());
        }
        let message = frame.message(&Limits::default()).map_err(io::Error::other)?.message;
        match message {
            Message::BranchCommit(request) => {
                let answer = end_of_branch(request, BranchStatus::PhaseTwoCommitted);
                self.rm.say(&frame.header.reply(), &Message::BranchCommitResponse(answer));
                progress.finished += 1;
            }
            Message::BranchRollback(request) => {
                let answer = end_of_branch(request, BranchStatus::PhaseTwoRollbacked);
                self.rm.say(&frame.header.reply(), &Message::BranchRollbackResponse(answer));
                progress.finished += 1;
            }
            Message::UndoLogDelete(_) => {}
            Message::MergeResult(answers) => {
                let ids = self.merged.remove(&frame.header.id).unwrap_or_default();
                for (answer, id) in answers.into_iter().zip(ids) {
                    self.move_on(id, answer, progress);
                }
            }
            Message::BatchResult(batch) => {
                for (answer, id) in batch.messages.into_iter().zip(batch.ids) {
                    self.move_on(id, answer, progress);
                }
            }
            answer => self.move_on(frame.header.id, answer, progress),
        }
        Ok(())
    }

    /// The next step of the transaction that this answers.
    fn move_on(&mut self, id: i32, answer: Message, progress: &mut Progress) {
        let place = id as usize % PLACES;
        let Some(transaction) = self.transactions.get_mut(place).filter(|found| found.id == id) else {
            return;
        };
        match answer {
            Message::GlobalBeginResponse(begun) if begun.outcome.is_success() => {
                // A copy: else it keeps all that was received with it.
                transaction.xid = Text::from(&*begun.xid);
                self.next_step(place, progress);
            }
            Message::BranchRegisterResponse(registered) if registered.outcome.is_success() => {
                transaction.branches += 1;
                self.next_step(place, progress);
            }
            Message::GlobalCommitResponse(answer) if answer.status == GlobalStatus::Committed => {
                self.end(place, progress);
            }
            Message::GlobalRollbackResponse(answer) if answer.status == GlobalStatus::Rollbacked => {
                self.end(place, progress);
            }
            error => {
                transaction.id = 0;
                self.free.push(place);
                progress.failed(|| format!("{error:?}"));
            }
        }
    }

    fn next_step(&mut self, place: usize, progress: &mut Progress) {
        let work = progress.load.work;
        let id = self.next_id(place);
        let transaction = &mut self.transactions[place];
        transaction.id = id;
        let xid = transaction.xid.clone();
        if transaction.branches < work.branches {
            let register = BranchRegister {
                xid,
                branch_type: BranchType::At,
                resource_id: RESOURCE.into(),
                lock_key: fresh_rows(work.locks),
                application_data: "".into(),
            };
            let register = Message::BranchRegister(register);
            if progress.load.merged {
                self.waiting.messages.push(register);
                self.waiting.ids.push(id);
            } else {
                self.rm.say(&Header::new(Kind::Request, id), &register);
            }
            return;
        }
        let request = GlobalRequest { xid, extra_data: "".into() };
        let request = match work.end {
            End::Commit => Message::GlobalCommit(request),
            End::Rollback => Message::GlobalRollback(request),
            End::Open => return self.end(place, progress),
        };
        self.tm.say(&Header::new(Kind::Request, id), &request);
    }

    fn end(&mut self, place: usize, progress: &mut Progress) {
        let transaction = &mut self.transactions[place];
        transaction.id = 0;
        if progress.load.work.end != End::Open {
            progress.decided += transaction.branches as u64;
        }
        progress.ended(transaction.began, Instant::now());
        self.free.push(place);
    }

    fn next_id(&mut self, place: usize) -> i32 {
        self.last_id = (self.last_id % (i32::MAX / PLACES as i32 - 1)) + 1;
        self.last_id * PLACES as i32 + place as i32
    }
}

fn assert_welcome(answer: Message) {
    let (Message::RegisterTmResponse(Registered { identified, .. })
    | Message::RegisterRmResponse(Registered { identified, .. })) = answer
    else {
        panic!("not the answer to a registration: {answer:?}")
    };
    assert!(identified, "the server does not want this application: {answer:?}");
}

fn end_of_branch(request: BranchRequest, status: BranchStatus) -> BranchResponse {
    let BranchRequest { xid, branch_id, .. } = request;
    BranchResponse { outcome: Outcome::success(), xid, branch_id, status }
}

fn fresh_rows(count: usize) -> Text {
    let mut text = String::with_capacity(8 + 8 * count);
    for index in 0..count {
        let separator = if index == 0 { "bench:" } else { "," };
        write!(text, "{separator}{}", next_row()).expect("memory is all that it takes");
    }
    text.into()
}
