//! One connection that asks one question at a time and keeps what came back, whatever it is. The client's own
//! connection would say less of a peer that does not speak Seata.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use bytes::BytesMut;
use seata_protocol::{
    DecodeError, EncodeError, Frame, FrameDecoder, FrameError, Header, Kind, Message, frame,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::peer::Peer;
use crate::Settings;

/// The first bytes of every frame.
const MAGIC: [u8; 2] = [0xda, 0xda];

/// How long a peer that speaks something else is listened to, and for how many bytes.
const LISTEN: (Duration, usize) = (Duration::from_millis(200), 64);

/// A connection that is being tried.
pub(super) struct Probe<'a> {
    stream: TcpStream,
    decoder: FrameDecoder,
    received: BytesMut,
    settings: &'a Settings,
    last_id: i32,
    /// Whether a whole frame has come: from then on the peer speaks Seata.
    speaks: bool,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The peer takes connections and says nothing.
    #[error("nothing was answered to {asked} within {limit:?}")]
    Silent { asked: &'static str, limit: Duration },
    /// The peer closed the connection.
    #[error("the connection was closed on receiving {asked}")]
    Closed { asked: &'static str },
    /// The peer closed the connection inside a frame.
    #[error("the connection was closed {received} bytes into the answer to {asked}")]
    CutShort { asked: &'static str, received: usize },
    /// The peer or something between aborted the connection.
    #[error("the connection broke after {asked}: {source}")]
    Lost { asked: &'static str, source: io::Error },
    /// The peer speaks something else.
    #[error("{0}")]
    Foreign(Peer),
    /// The peer began a frame and did not keep to the format.
    #[error("the answer to {asked} is no frame: {source}")]
    Frame { asked: &'static str, source: FrameError },
    /// The answer is a frame that holds no message.
    #[error("the answer to {asked} cannot be read: {source}")]
    Message { asked: &'static str, source: DecodeError },
    /// This side cannot write the question.
    #[error("{asked} cannot be written: {source}")]
    Unsendable { asked: &'static str, source: EncodeError },
}

impl<'a> Probe<'a> {
    pub(super) fn new(stream: TcpStream, settings: &'a Settings) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(settings.limits),
            received: BytesMut::new(),
            settings,
            last_id: 0,
            speaks: false,
        }
    }

    /// This side's address, as Java's clients sign it.
    pub(super) fn local_ip(&self) -> IpAddr {
        self.stream.local_addr().map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
    }

    /// Sends a heartbeat and waits for its echo.
    pub(super) async fn ping(&mut self, limit: Duration) -> Result<(), ProbeError> {
        let header = self.header(Kind::Ping);
        let mut out = BytesMut::new();
        frame::write_heartbeat(&mut out, &header);
        self.ask("a ping", &out, limit, |frame| frame.header.kind == Kind::Pong).await.map(drop)
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call(&mut self, request: &Message, limit: Duration) -> Result<Message, ProbeError> {
        let asked = request.name();
        let header = self.header(Kind::Request);
        let mut out = BytesMut::new();
        frame::write(&mut out, &header, request)
            .map_err(|source| ProbeError::Unsendable { asked, source })?;
        let answers = |frame: &Frame| frame.header.kind == Kind::Response && frame.header.id == header.id;
        let answer = self.ask(asked, &out, limit, answers).await?;
        let decoded = answer.message(&self.settings.limits);
        Ok(decoded.map_err(|source| ProbeError::Message { asked, source })?.message)
    }

    fn header(&mut self, kind: Kind) -> Header {
        self.last_id += 1;
        let mut header = Header::new(kind, self.last_id);
        header.codec = self.settings.codec;
        header.compressor = self.settings.compressor;
        header.dialect = self.settings.dialect;
        header
    }

    async fn ask(
        &mut self,
        asked: &'static str,
        question: &[u8],
        limit: Duration,
        answers: impl Fn(&Frame) -> bool,
    ) -> Result<Frame, ProbeError> {
        let exchange = async {
            // A peer that has closed already may still have said why: that is for reading to find out.
            let written = self.stream.write_all(question).await;
            loop {
                let frame = self.next_frame(asked, written.is_err()).await?;
                if answers(&frame) {
                    return Ok(frame);
                }
            }
        };
        timeout(limit, exchange).await.unwrap_or(Err(ProbeError::Silent { asked, limit }))
    }

    async fn next_frame(&mut self, asked: &'static str, aborted: bool) -> Result<Frame, ProbeError> {
        loop {
            let begins_well = self.received.iter().zip(MAGIC).all(|(found, expected)| *found == expected);
            if !self.speaks && !begins_well {
                self.listen().await;
                return Err(ProbeError::Foreign(Peer::recognise(&self.received)));
            }
            match self.decoder.next(&mut self.received) {
                Ok(Some(frame)) => {
                    self.speaks = true;
                    return Ok(frame);
                }
                Ok(None) => {}
                Err(source) => return Err(ProbeError::Frame { asked, source }),
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) if !self.received.is_empty() => {
                    return Err(ProbeError::CutShort { asked, received: self.received.len() });
                }
                Ok(0) => return Err(ProbeError::Closed { asked }),
                Ok(_) => {}
                Err(_) if aborted => return Err(ProbeError::Closed { asked }),
                Err(source) => return Err(ProbeError::Lost { asked, source }),
            }
        }
    }

    /// Reads a little more of what is not Seata, to tell what it is.
    async fn listen(&mut self) {
        let (pause, enough) = LISTEN;
        let deadline = Instant::now() + pause;
        while self.received.len() < enough {
            match timeout_at(deadline, self.stream.read_buf(&mut self.received)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return,
            }
        }
    }
}
