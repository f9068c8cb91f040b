//! The least that a begin and a commit can cost: one thread, one socket, a write and a read each.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use seata_benches::{cpu_time, load::Turn};
use seata_protocol::{
    FrameDecoder, GlobalBegin, GlobalRequest, Header, Kind, Limits, Message, RegisterTm, frame,
};

/// A client that waits for each answer before it says anything else, and survives nothing.
pub(crate) struct Bare {
    socket: TcpStream,
    decoder: FrameDecoder,
    out: BytesMut,
    received: BytesMut,
    id: i32,
}

impl Bare {
    pub(crate) fn start(server: &str) -> Self {
        let socket = TcpStream::connect(server).expect("the server is there");
        socket.set_nodelay(true).expect("an option of every TCP socket");
        let decoder = FrameDecoder::new(Limits::default());
        let mut bare = Self { socket, decoder, out: BytesMut::new(), received: BytesMut::new(), id: 0 };
        bare.ask(Message::RegisterTm(RegisterTm {
            version: "2.6.0".into(),
            application_id: "bench-bare".into(),
            transaction_service_group: "default_tx_group".into(),
            extra_data: "".into(),
        }));
        bare
    }

    /// Begins and commits for so long.
    pub(crate) fn turn(&mut self, length: Duration) -> Turn {
        let (start, cpu) = (Instant::now(), cpu_time());
        let mut done = 0;
        while start.elapsed() < length {
            let begin = GlobalBegin { timeout_ms: 60_000, name: "bench".into() };
            let Message::GlobalBeginResponse(begun) = self.ask(Message::GlobalBegin(begin)) else {
                panic!("not the answer to a begin")
            };
            let commit = GlobalRequest { xid: begun.xid, extra_data: "".into() };
            self.ask(Message::GlobalCommit(commit));
            done += 1;
        }
        Turn { done, time: start.elapsed(), cpu: cpu_time() - cpu, drained: Duration::ZERO }
    }

    fn ask(&mut self, request: Message) -> Message {
        self.id += 1;
        self.out.clear();
        frame::write(&mut self.out, &Header::new(Kind::Request, self.id), &request).expect("it fits");
        self.socket.write_all(&self.out).expect("the server listens");
        let mut chunk = [0; 1024];
        loop {
            if let Some(frame) = self.decoder.next(&mut self.received).expect("a frame") {
                return frame.message(&Limits::default()).expect("a message").message;
            }
            let read = self.socket.read(&mut chunk).expect("the server answers");
            assert_ne!(read, 0, "the server has closed the connection");
            self.received.extend_from_slice(&chunk[..read]);
        }
    }
}
