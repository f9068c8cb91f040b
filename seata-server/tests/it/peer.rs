//! A client for tests: writes and reads real frames, and does nothing by itself.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use seata_protocol::{
    BranchId, BranchRegister, BranchRequest, BranchResponse, BranchStatus, BranchType, Decoded, FrameDecoder,
    GlobalBegin, GlobalRequest, GlobalStatus, Header, Kind, Limits, Message, Outcome, RegisterRm, RegisterTm,
    frame,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One connection of a client.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    decoder: FrameDecoder,
    incoming: BytesMut,
    /// What came before it was asked for.
    early: VecDeque<(Header, Option<Message>)>,
    next_id: i32,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// A connection that is registered as TM.
    pub(crate) async fn tm(address: SocketAddr, version: &str) -> Self {
        let mut peer = Self::connect(address).await;
        peer.register_tm(version).await;
        peer
    }

    /// A connection that is registered as RM of `app` with this resource.
    pub(crate) async fn rm(address: SocketAddr, version: &str, resource: &str) -> Self {
        let mut peer = Self::connect(address).await;
        peer.register_rm(version, "app", resource).await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(Limits::default()),
            incoming: BytesMut::new(),
            early: VecDeque::new(),
            next_id: 0,
        }
    }

    pub(crate) fn next_id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the server reads").unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn send_as(&mut self, header: &Header, message: &Message) {
        let mut bytes = BytesMut::new();
        frame::write(&mut bytes, header, message).unwrap();
        self.write(&bytes).await;
    }

    /// Sends a request; its id.
    pub(crate) async fn send(&mut self, message: &Message) -> i32 {
        let id = self.next_id();
        self.send_as(&Header::new(Kind::Request, id), message).await;
        id
    }

    /// Sends a request and waits for its answer; what else comes is kept.
    pub(crate) async fn ask(&mut self, message: Message) -> Message {
        let id = self.send(&message).await;
        self.answer_to(id).await
    }

    pub(crate) async fn answer_to(&mut self, id: i32) -> Message {
        let is_it = |header: &Header| header.kind == Kind::Response && header.id == id;
        self.find(is_it).await.1.expect("a response has a message")
    }

    /// The next request of the server.
    pub(crate) async fn asked(&mut self) -> (Header, Message) {
        let (header, message) = self.find(|header| matches!(header.kind, Kind::Request | Kind::Oneway)).await;
        (header, message.expect("a request has a message"))
    }

    pub(crate) async fn pong(&mut self, id: i32) {
        self.find(|header| header.kind == Kind::Pong && header.id == id).await;
    }

    async fn find(&mut self, is_it: impl Fn(&Header) -> bool) -> (Header, Option<Message>) {
        if let Some(index) = self.early.iter().position(|(header, _)| is_it(header)) {
            return self.early.remove(index).unwrap();
        }
        loop {
            let next = self.next().await.expect("the connection is open");
            if is_it(&next.0) {
                return next;
            }
            self.early.push_back(next);
        }
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<(Header, Option<Message>)> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.incoming).expect("the server writes frames") {
                let message = match frame.header.kind {
                    Kind::Ping | Kind::Pong => None,
                    _ => {
                        let Decoded { message, trailing } = frame.message(&Limits::default()).unwrap();
                        assert_eq!(trailing, 0);
                        Some(message)
                    }
                };
                return Some((frame.header, message));
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.incoming)).await;
            match read.expect("something comes in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn is_closed(&mut self) {
        while self.next().await.is_some() {}
    }

    pub(crate) async fn register_tm(&mut self, version: &str) {
        let answer = self.ask(register_tm(version, "")).await;
        let Message::RegisterTmResponse(answer) = answer else { panic!("{answer:?}") };
        assert!(answer.identified);
    }

    pub(crate) async fn register_rm(&mut self, version: &str, application: &str, resources: &str) {
        let answer = self.ask(register_rm(version, application, resources)).await;
        let Message::RegisterRmResponse(answer) = answer else { panic!("{answer:?}") };
        assert!(answer.identified);
    }

    pub(crate) async fn begin(&mut self) -> String {
        let answer = self.ask(begin()).await;
        let Message::GlobalBeginResponse(answer) = answer else { panic!("{answer:?}") };
        assert!(answer.outcome.is_success(), "{answer:?}");
        answer.xid.to_string()
    }

    pub(crate) async fn branch(
        &mut self,
        xid: &str,
        branch_type: BranchType,
        resource: &str,
        lock_key: &str,
    ) -> BranchId {
        let answer = self.ask(branch(xid, branch_type, resource, lock_key)).await;
        let Message::BranchRegisterResponse(answer) = answer else { panic!("{answer:?}") };
        assert!(answer.outcome.is_success(), "{answer:?}");
        answer.branch_id
    }

    pub(crate) async fn commit(&mut self, xid: &str) -> GlobalStatus {
        status_of(self.ask(Message::GlobalCommit(global(xid))).await)
    }

    pub(crate) async fn rollback(&mut self, xid: &str) -> GlobalStatus {
        status_of(self.ask(Message::GlobalRollback(global(xid))).await)
    }

    pub(crate) async fn status(&mut self, xid: &str) -> GlobalStatus {
        status_of(self.ask(Message::GlobalStatus(global(xid))).await)
    }

    /// Waits for a call of phase two and answers it.
    pub(crate) async fn serve_phase_two(&mut self, status: BranchStatus) -> BranchRequest {
        let (header, message) = self.asked().await;
        let request = match &message {
            Message::BranchCommit(request) | Message::BranchRollback(request) => request.clone(),
            other => panic!("{other:?}"),
        };
        self.send_as(&header.reply(), &phase_two_answer(&message, status)).await;
        request
    }
}

pub(crate) fn phase_two_answer(request: &Message, status: BranchStatus) -> Message {
    let answer = |request: &BranchRequest| BranchResponse {
        outcome: Outcome::success(),
        xid: request.xid.clone(),
        branch_id: request.branch_id,
        status,
    };
    match request {
        Message::BranchCommit(request) => Message::BranchCommitResponse(answer(request)),
        Message::BranchRollback(request) => Message::BranchRollbackResponse(answer(request)),
        other => panic!("{other:?} is no request of phase two"),
    }
}

pub(crate) fn register_tm(version: &str, extra_data: &str) -> Message {
    Message::RegisterTm(RegisterTm {
        version: version.into(),
        application_id: "app".into(),
        transaction_service_group: "group".into(),
        extra_data: extra_data.into(),
    })
}

pub(crate) fn register_rm(version: &str, application: &str, resources: &str) -> Message {
    Message::RegisterRm(RegisterRm {
        version: version.into(),
        application_id: application.into(),
        transaction_service_group: "group".into(),
        extra_data: "".into(),
        resource_ids: resources.into(),
    })
}

pub(crate) fn begin() -> Message {
    Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: "purchase".into() })
}

pub(crate) fn global(xid: &str) -> GlobalRequest {
    GlobalRequest { xid: xid.into(), extra_data: "".into() }
}

pub(crate) fn branch(xid: &str, branch_type: BranchType, resource: &str, lock_key: &str) -> Message {
    Message::BranchRegister(BranchRegister {
        xid: xid.into(),
        branch_type,
        resource_id: resource.into(),
        lock_key: lock_key.into(),
        application_data: "".into(),
    })
}

pub(crate) fn status_of(answer: Message) -> GlobalStatus {
    match answer {
        Message::GlobalCommitResponse(answer)
        | Message::GlobalRollbackResponse(answer)
        | Message::GlobalStatusResponse(answer)
        | Message::GlobalReportResponse(answer) => {
            assert!(answer.outcome.is_success(), "{answer:?}");
            answer.status
        }
        other => panic!("{other:?}"),
    }
}
