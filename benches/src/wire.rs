//! A connection as cheap as it can be: frames in, frames out, one write for all that was said in between.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, BytesMut};
use seata_protocol::{Frame, FrameDecoder, Header, Kind, Limits, Message, frame};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// One end of a connection. Whoever polls it gets everything that has come, and then flushes once.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    decoder: FrameDecoder,
    chunk: Box<[u8]>,
    received: BytesMut,
    out: BytesMut,
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(server: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(server).await?)
    }

    /// Takes over a socket that is connected.
    ///
    /// # Errors
    /// When the socket has been closed.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            decoder: FrameDecoder::new(Limits::default()),
            chunk: vec![0; CHUNK].into(),
            received: BytesMut::new(),
            out: BytesMut::new(),
        })
    }

    /// Says a message, at the next flush.
    ///
    /// # Panics
    /// When it is none that can be written.
    pub fn say(&mut self, header: &Header, message: &Message) {
        frame::write(&mut self.out, header, message).expect("a message that fits into a frame");
    }

    /// Says that it is still there, or answers that, at the next flush.
    pub fn beat(&mut self, kind: Kind, id: i32) {
        frame::write_heartbeat(&mut self.out, &Header::new(kind, id));
    }

    /// Reads once, if there is anything to read. Whatever is whole can be [taken](Self::take) then.
    ///
    /// # Errors
    /// When the connection has ended; at its end in order this is [`io::ErrorKind::UnexpectedEof`].
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = ReadBuf::new(&mut self.chunk);
        std::task::ready!(Pin::new(&mut self.socket).poll_read(cx, &mut chunk))?;
        if chunk.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.received.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(()))
    }

    /// The next frame of what was received.
    ///
    /// # Errors
    /// When the peer does not speak in frames.
    pub fn take(&mut self) -> io::Result<Option<Frame>> {
        self.decoder.next(&mut self.received).map_err(io::Error::other)
    }

    /// Writes what was said, as far as it can go; the context is woken when more of it can.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = std::task::ready!(Pin::new(&mut self.socket).poll_write(cx, &self.out))?;
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Says a message and waits for the next one.
    ///
    /// # Errors
    /// When the connection ends before, or what comes is no message.
    pub async fn ask(&mut self, id: i32, message: &Message) -> io::Result<Message> {
        self.say(&Header::new(Kind::Request, id), message);
        std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
        loop {
            while let Some(frame) = self.take()? {
                if frame.header.id == id && frame.header.kind == Kind::Response {
                    return Ok(frame.message(&Limits::default()).map_err(io::Error::other)?.message);
                }
            }
            std::future::poll_fn(|cx| self.poll_receive(cx)).await?;
        }
    }
}
