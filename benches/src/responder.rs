//! The least that a server can be: it frames, and knows all answers by heart.
//!
//! Nothing is kept, so it asks for phase two of a branch at once, behind the answer to its registration. The
//! number of frames of a transaction, and what they say, is that of a server that works.

use std::{future::poll_fn, io, net::Ipv4Addr, task::Poll};

use seata_protocol::{
    BranchId, BranchRegistered, BranchRequest, BranchType, Frame, GlobalBegun, GlobalResponse, GlobalStatus,
    Header, Kind, Limits, Message, Outcome, Registered, SEATA_VERSION,
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::wire::Connection;

/// Listens on a loopback port, says it in a line on standard output, and answers until nobody is left to
/// ask: when standard input ends, so does the process.
///
/// # Panics
/// When no port is free.
pub async fn respond() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(|| {
        // An error is as good as the end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.expect("somebody connects");
        connections.spawn(async move {
            let mut connection = Connection::new(socket)?;
            let mut answers = Answers::default();
            serve(&mut connection, &mut answers).await
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(connection: &mut Connection, answers: &mut Answers) -> io::Result<()> {
    poll_fn(|cx| {
        loop {
            let received = connection.poll_receive(cx)?;
            while let Some(frame) = connection.take()? {
                answers.answer(connection, &frame)?;
            }
            if let (_, Poll::Pending) | (Poll::Pending, _) = (received, connection.poll_flush(cx)?) {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[derive(Default)]
struct Answers {
    last_id: i64,
}

impl Answers {
    fn answer(&mut self, connection: &mut Connection, frame: &Frame) -> io::Result<()> {
        match frame.header.kind {
            Kind::Ping => connection.beat(Kind::Pong, frame.header.id),
            Kind::Request | Kind::Oneway => {
                let request = frame.message(&Limits::default()).map_err(io::Error::other)?.message;
                self.answer_message(connection, &frame.header.reply(), request);
            }
            // Phase two.
            _ => drop(frame.message(&Limits::default()).map_err(io::Error::other)?),
        }
        Ok(())
    }

    fn answer_message(&mut self, connection: &mut Connection, header: &Header, request: Message) {
        self.last_id += 1;
        let global = |status| GlobalResponse { outcome: Outcome::success(), status };
        let answer = match request {
            Message::RegisterTm(_) => Message::RegisterTmResponse(registered()),
            Message::RegisterRm(_) => Message::RegisterRmResponse(registered()),
            Message::GlobalBegin(_) => Message::GlobalBeginResponse(GlobalBegun {
                outcome: Outcome::success(),
                xid: format!("127.0.0.1:8091:{}", 2_612_341_069_705_662_465 + self.last_id).into(),
                extra_data: "".into(),
            }),
            Message::GlobalCommit(_) => Message::GlobalCommitResponse(global(GlobalStatus::Committed)),
            Message::GlobalRollback(_) => Message::GlobalRollbackResponse(global(GlobalStatus::Rollbacked)),
            Message::BranchRegister(register) => {
                let branch_id = BranchId(self.last_id);
                let registered = BranchRegistered { outcome: Outcome::success(), branch_id };
                connection.say(header, &Message::BranchRegisterResponse(registered));
                Message::BranchCommit(BranchRequest {
                    xid: register.xid,
                    branch_id,
                    branch_type: BranchType::At,
                    resource_id: register.resource_id,
                    application_data: "".into(),
                })
            }
            Message::Merged(batch) => {
                for (message, id) in batch.messages.into_iter().zip(batch.ids) {
                    let header = Header { id, ..header.clone() };
                    self.answer_message(connection, &header, message);
                }
                return;
            }
            other => panic!("{other:?} is nothing that is asked here"),
        };
        match answer {
            Message::BranchCommit(_) => {
                connection.say(&Header::new(Kind::Request, self.last_id as i32), &answer);
            }
            answer => connection.say(header, &answer),
        }
    }
}

fn registered() -> Registered {
    Registered {
        identified: true,
        version: SEATA_VERSION.into(),
        outcome: Outcome::success(),
        extra_data: "".into(),
    }
}
