//! A network between the client and one server, whose faults are drawn from a seed.
//!
//! Bytes come late, in pieces, after a pause or not at all; connections are half-closed, reset and cut inside a
//! frame; new ones are refused. No byte is changed, repeated or overtaken by another: TCP sees to that.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{JoinSet, yield_now},
    time::sleep,
};

use super::seed::numbers;

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// Late now and then, and in pieces, but nothing is lost.
    Fair,
    /// Everything happens.
    Storm,
    /// Every connection is reset, and new ones are refused.
    Dead,
}

/// The network in front of one server. It ends, with its connections, when it is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    net: Arc<Net>,
    _tasks: JoinSet<()>,
}

struct Net {
    server: SocketAddr,
    seed: u64,
    weather: watch::Sender<Weather>,
    open: AtomicUsize,
    damaged: AtomicUsize,
}

impl Proxy {
    pub(super) fn start(server: SocketAddr, weather: Weather, seed: u64) -> Self {
        let place = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = place.local_addr().unwrap();
        let net = Arc::new(Net {
            server,
            seed,
            weather: watch::Sender::new(weather),
            open: AtomicUsize::new(0),
            damaged: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(Arc::clone(&net), place.listen(BACKLOG).unwrap(), address));
        Self { address, net, _tasks: tasks }
    }

    /// Where the client finds the server.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, weather: Weather) {
        self.net.weather.send_replace(weather);
    }

    /// How many connections there are.
    pub(super) fn open(&self) -> usize {
        self.net.open.load(Ordering::SeqCst)
    }

    /// How many of them lose bytes for as long as they last.
    pub(super) fn damaged(&self) -> usize {
        self.net.damaged.load(Ordering::SeqCst)
    }
}

const BACKLOG: u32 = 128;

async fn accept(net: Arc<Net>, listener: TcpListener, address: SocketAddr) {
    let mut numbers = numbers(net.seed, 0);
    let mut weather = net.weather.subscribe();
    let mut listener = listener;
    let mut connections = JoinSet::new();
    let mut count = 0;
    loop {
        let now = *weather.borrow_and_update();
        let calm = Duration::from_millis(numbers.random_range(100..600));
        tokio::select! {
            accepted = listener.accept(), if now != Weather::Dead => {
                let Ok((client, _)) = accepted else { continue };
                count += 1;
                connections.spawn(connect(Arc::clone(&net), client, count));
                continue;
            }
            _ = weather.changed() => continue,
            () = sleep(calm), if now == Weather::Storm => {}
            () = sleep(Duration::ZERO), if now == Weather::Dead => {}
        }
        // An outage.
        drop(listener);
        if now == Weather::Dead || numbers.random_bool(0.3) {
            connections.shutdown().await;
        }
        // A socket that is bound and does not listen keeps the place, and refuses.
        let place = keep(address).await;
        let outage = Duration::from_millis(numbers.random_range(10..300));
        tokio::select! {
            _ = weather.changed() => {}
            () = sleep(outage), if now != Weather::Dead => {}
        }
        listener = place.listen(BACKLOG).unwrap();
    }
}

async fn keep(address: SocketAddr) -> TcpSocket {
    loop {
        match bind(address) {
            Ok(place) => return place,
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// How a connection ends that does not end by both sides' wish.
enum Torn {
    Closed,
    Reset,
}

async fn connect(net: Arc<Net>, mut client: TcpStream, number: u64) {
    let Ok(mut server) = TcpStream::connect(net.server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // Dropped before the sockets: what is counted is whole.
    let _open = Counted::new(&net.open);
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let ended = tokio::try_join!(
        carry(&net, from_client, to_server, numbers(net.seed, 2 * number)),
        carry(&net, from_server, to_client, numbers(net.seed, 2 * number + 1)),
    );
    if let Err(Torn::Reset) = ended {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// One direction of a connection.
async fn carry(
    net: &Net,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut numbers: StdRng,
) -> Result<(), Torn> {
    let mut weather = net.weather.subscribe();
    let temper = [0, 1, 4][numbers.random_range(0..3)];
    let mut buffer = vec![0; 8 << 10];
    loop {
        let room = if numbers.random_bool(0.1) { numbers.random_range(1..20) } else { buffer.len() };
        let length = from.read(&mut buffer[..room]).await.map_err(|_| Torn::Closed)?;
        if length == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        let bytes = &buffer[..length];
        let is_stormy = *weather.borrow_and_update() == Weather::Storm;
        match numbers.random_range(0..1000) {
            draw if draw < 12 * temper && is_stormy => match draw % 4 {
                0 => return Err(Torn::Reset),
                1 => {
                    let part = numbers.random_range(0..length);
                    let _ = to.write_all(&bytes[..part]).await;
                    return Err(Torn::Closed);
                }
                2 => {
                    let _ = to.shutdown().await;
                    return swallow(net, from, buffer).await;
                }
                _ => {
                    let _to = to;
                    return swallow(net, from, buffer).await;
                }
            },
            100..200 => sleep(Duration::from_millis(numbers.random_range(1..20))).await,
            200..210 if is_stormy => {
                let pause = Duration::from_millis(numbers.random_range(50..800));
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = weather.wait_for(|weather| *weather == Weather::Fair) => {}
                }
            }
            _ => {}
        }
        write(&mut to, bytes, &mut numbers).await.map_err(|_| Torn::Closed)?;
    }
}

/// Whole, or in pieces of a few bytes.
async fn write(to: &mut WriteHalf<'_>, mut bytes: &[u8], numbers: &mut StdRng) -> io::Result<()> {
    if numbers.random_bool(0.2) {
        let most = numbers.random_range(1..40);
        while !bytes.is_empty() {
            let piece = numbers.random_range(1..=most).min(bytes.len());
            to.write_all(&bytes[..piece]).await?;
            bytes = &bytes[piece..];
            yield_now().await;
        }
    }
    to.write_all(bytes).await
}

/// A direction that leads nowhere any more.
async fn swallow(net: &Net, mut from: ReadHalf<'_>, mut buffer: Vec<u8>) -> Result<(), Torn> {
    let _damaged = Counted::new(&net.damaged);
    while let Ok(1..) = from.read(&mut buffer).await {}
    Err(Torn::Closed)
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
