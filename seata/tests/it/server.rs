//! A coordinator's server of a few lines: takes every application, begins and ends every transaction, writes
//! down what it was asked, and can be slow.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use seata::{BranchId, GlobalStatus};
use seata_protocol::{
    BranchRegistered, FrameDecoder, GlobalBegun, GlobalResponse, Header, Kind, Limits, Message, Outcome,
    Registered, frame,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

#[derive(Clone)]
struct Desk {
    log: Arc<Mutex<Vec<String>>>,
    /// How long a rollback takes.
    slowness: Duration,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::slow(Duration::ZERO).await
    }

    /// One at an address that an earlier one had.
    pub(crate) async fn again(address: SocketAddr) -> Self {
        Self::listen(TcpListener::bind(address).await.unwrap(), Duration::ZERO)
    }

    /// Takes so long for each rollback.
    pub(crate) async fn slow(slowness: Duration) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), slowness)
    }

    fn listen(listener: TcpListener, slowness: Duration) -> Self {
        let address = listener.local_addr().unwrap();
        let desk = Desk { log: Arc::default(), slowness };
        let log = desk.log.clone();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let desk = desk.clone();
                peers.spawn(async move {
                    // A client that goes away is no failure.
                    let _ = desk.serve(stream).await;
                    desk.note("closed");
                });
            }
        });
        Self { address, log, _connections: connections }
    }

    /// What it was asked and what else happened, by name, but for registrations.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Desk {
    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(what.to_owned());
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let limits = Limits::default();
        let (mut decoder, mut input) = (FrameDecoder::new(limits), BytesMut::new());
        while stream.read_buf(&mut input).await? > 0 {
            while let Some(frame) = decoder.next(&mut input).map_err(io::Error::other)? {
                let mut output = BytesMut::new();
                if frame.header.kind == Kind::Ping {
                    frame::write_heartbeat(&mut output, &frame.header.reply());
                } else {
                    let message = frame.message(&limits).map_err(io::Error::other)?.message;
                    let answer = self.answer(message).await;
                    let header = Header { kind: Kind::Response, ..frame.header.reply() };
                    frame::write(&mut output, &header, &answer).map_err(io::Error::other)?;
                }
                stream.write_all(&output).await?;
            }
        }
        Ok(())
    }

    async fn answer(&self, request: Message) -> Message {
        let outcome = Outcome::success;
        let ended = |status| GlobalResponse { outcome: outcome(), status };
        let registered = Registered {
            identified: true,
            version: "2.0.0".into(),
            outcome: outcome(),
            extra_data: "".into(),
        };
        match request {
            Message::RegisterTm(_) => return Message::RegisterTmResponse(registered),
            Message::RegisterRm(_) => return Message::RegisterRmResponse(registered),
            _ => {}
        }
        self.note(request.name());
        match request {
            Message::GlobalBegin(_) => Message::GlobalBeginResponse(GlobalBegun {
                outcome: outcome(),
                xid: "127.0.0.1:8091:7".into(),
                extra_data: "".into(),
            }),
            Message::BranchRegister(_) => Message::BranchRegisterResponse(BranchRegistered {
                outcome: outcome(),
                branch_id: BranchId(8),
            }),
            Message::GlobalCommit(_) => Message::GlobalCommitResponse(ended(GlobalStatus::Committed)),
            Message::GlobalRollback(_) => {
                tokio::time::sleep(self.slowness).await;
                self.note("rolled back");
                Message::GlobalRollbackResponse(ended(GlobalStatus::Rollbacked))
            }
            other => panic!("{} is not for this server", other.name()),
        }
    }
}
