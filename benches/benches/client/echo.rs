//! A server that knows every answer by heart.

use bytes::BytesMut;
use seata_protocol::{
    BranchId, BranchRegistered, FrameDecoder, GlobalBegun, Kind, Limits, Message, Outcome, Registered, Text,
    frame,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The XID of every transaction. No address of a server is in it, and with one server none needs to be.
pub(crate) const XID: &str = "192.0.2.1:8091:2612341069705662465";

/// Prints its address, and serves until it is killed.
pub(crate) fn serve() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("it is bound"));
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            tokio::spawn(answer_all(socket));
        }
    })
}

async fn answer_all(mut socket: TcpStream) {
    socket.set_nodelay(true).expect("a TCP socket");
    let (mut decoder, limits) = (FrameDecoder::new(Limits::default()), Limits::default());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        input.reserve(32 << 10);
        if !matches!(socket.read_buf(&mut input).await, Ok(1..)) {
            return;
        }
        while let Some(frame) = decoder.next(&mut input).expect("a frame") {
            let reply = frame.header.reply();
            if frame.header.kind == Kind::Ping {
                frame::write_heartbeat(&mut output, &reply);
                continue;
            }
            let request = frame.message(&limits).expect("a message").message;
            frame::write(&mut output, &reply, &answer(&request)).expect("an answer");
        }
        if socket.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}

fn answer(request: &Message) -> Message {
    let outcome = Outcome::success();
    match request {
        Message::RegisterTm(_) => Message::RegisterTmResponse(registered()),
        Message::RegisterRm(_) => Message::RegisterRmResponse(registered()),
        Message::GlobalBegin(_) => Message::GlobalBeginResponse(GlobalBegun {
            outcome,
            xid: Text::from_static(XID),
            extra_data: Text::new(),
        }),
        Message::BranchRegister(_) => {
            Message::BranchRegisterResponse(BranchRegistered { outcome, branch_id: BranchId(7) })
        }
        Message::Merged(batch) => Message::MergeResult(batch.messages.iter().map(answer).collect()),
        other => panic!("{} is not asked here", other.name()),
    }
}

fn registered() -> Registered {
    Registered {
        identified: true,
        version: Text::from_static("2.0.0"),
        outcome: Outcome::success(),
        extra_data: Text::new(),
    }
}
