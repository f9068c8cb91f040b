//! Peers that are slow, half dead, greedy, lying or no clients at all cost one connection each.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use seata_protocol::{Header, Kind, Message, frame};
use tokio::io::AsyncWriteExt;

use crate::{
    peer::{Peer, begin, global},
    server, stop,
};

#[tokio::test]
async fn what_is_no_frame_ends_its_connection() {
    let (server, address) = server(|_| {}).await;
    let mut good = Peer::tm(address, "2.6.0").await;
    let frame = |length: u32, head: u16, kind: u8, codec: u8, body: &[u8]| {
        let mut bytes = vec![0xda, 0xda, 1];
        bytes.extend(length.to_be_bytes());
        bytes.extend(head.to_be_bytes());
        bytes.extend([kind, codec, 0, 0, 0, 0, 1]);
        bytes.extend(body);
        bytes
    };
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xda, 0xda, 9],
        frame(u32::MAX, 16, 0, 1, &[]),
        frame(8 << 20 | 1, 16, 0, 1, &[]),
        frame(4, 16, 0, 1, &[]),
        frame(20, 40, 0, 1, &[0; 4]),
        frame(20, 16, 0, 22, &[0; 4]),
        frame(20, 16, 0, 1, &[0x7f, 0xff, 0, 0]),
        // Merged: a count that the bytes cannot hold.
        frame(24, 16, 2, 1, &[0, 59, 0, 0, 0, 2, 0x7f, 0xff]),
    ] {
        let mut peer = Peer::connect(address).await;
        peer.write(&bytes).await;
        peer.is_closed().await;
        good.begin().await;
    }
    stop(server).await;
}

#[tokio::test]
async fn noise_harms_nobody_else() {
    let (server, address) = server(|_| {}).await;
    let mut good = Peer::tm(address, "2.6.0").await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut sample = BytesMut::new();
    frame::write(&mut sample, &Header::new(Kind::Request, 1), &crate::peer::register_tm("2.6.0", ""))
        .unwrap();
    frame::write(&mut sample, &Header::new(Kind::Request, 2), &begin()).unwrap();
    for _ in 0..300 {
        let mut bytes = sample.to_vec();
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        let mut peer = Peer::connect(address).await;
        let _ = peer.stream.write_all(&bytes).await;
        if random().is_multiple_of(2) {
            let _ = peer.stream.shutdown().await;
        }
    }
    good.begin().await;
    stop(server).await;
}

#[tokio::test]
async fn who_says_nothing_is_left_after_a_while() {
    let (server, address) = server(|settings| {
        settings.front.read_idle = Duration::from_millis(300);
        settings.front.patience = Duration::from_millis(150);
    })
    .await;
    let begun = Instant::now();
    let mut silent = Peer::tm(address, "2.6.0").await;
    let mut anonymous = Peer::connect(address).await;
    let mut half = Peer::connect(address).await;
    half.write(&[0xda, 0xda, 1, 0, 0]).await;
    anonymous.is_closed().await;
    half.is_closed().await;
    assert!(begun.elapsed() >= Duration::from_millis(150) && begun.elapsed() < Duration::from_millis(300));
    silent.is_closed().await;
    assert!(begun.elapsed() >= Duration::from_millis(300));

    let mut alive = Peer::tm(address, "2.6.0").await;
    for id in 0..8 {
        let mut ping = BytesMut::new();
        frame::write_heartbeat(&mut ping, &Header::new(Kind::Ping, id));
        alive.write(&ping).await;
        alive.pong(id).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    alive.begin().await;
    stop(server).await;
}

#[tokio::test]
async fn who_does_not_read_its_answers_is_left_with_bounded_memory() {
    let (server, address) = server(|settings| settings.front.patience = Duration::from_millis(300)).await;
    let mut good = Peer::tm(address, "2.6.0").await;
    let mut deaf = Peer::tm(address, "2.6.0").await;
    let mut bytes = BytesMut::new();
    let status = Message::GlobalStatus(global("127.0.0.1:1:1"));
    for id in 0..1_000 {
        frame::write(&mut bytes, &Header::new(Kind::Request, id), &status).unwrap();
    }
    let flood = async { while deaf.stream.write_all(&bytes).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), flood).await.expect("the server leaves a deaf client");
    good.begin().await;
    stop(server).await;
}

#[tokio::test]
async fn a_thousand_connections_are_served_and_more_than_allowed_are_not() {
    let (server, address) = server(|settings| settings.front.max_connections = 1_000).await;
    let mut peers = Vec::new();
    for _ in 0..1_000 {
        peers.push(Peer::tm(address, "2.6.0").await);
    }
    let mut refused = Peer::connect(address).await;
    refused.is_closed().await;
    for peer in &mut peers {
        peer.begin().await;
    }
    drop(peers);
    tokio::time::sleep(Duration::from_millis(200)).await;
    Peer::tm(address, "2.6.0").await.begin().await;
    stop(server).await;
}

#[tokio::test]
async fn more_requests_than_are_worked_on_at_a_time_are_answered_in_turn() {
    let (server, address) = server(|settings| settings.front.max_requests_per_connection = 2).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut bytes = BytesMut::new();
    for id in 1_000..1_500 {
        frame::write(&mut bytes, &Header::new(Kind::Request, id), &begin()).unwrap();
    }
    for half in bytes.chunks(bytes.len() / 2 + 7) {
        tm.write(half).await;
    }
    for id in 1_000..1_500 {
        tm.answer_to(id).await;
    }
    stop(server).await;
}

#[tokio::test]
async fn who_wants_more_memory_than_there_is_for_all_is_left() {
    let (server, address) = server(|settings| settings.front.max_buffered_bytes = 1 << 20).await;
    let mut good = Peer::tm(address, "2.6.0").await;
    let mut greedy = Peer::tm(address, "2.6.0").await;
    // The beginning of a frame of 8 MiB, whose end never comes.
    let mut bytes = vec![0xda, 0xda, 1];
    bytes.extend((8_u32 << 20).to_be_bytes());
    bytes.extend([0, 16, 0, 1, 0, 0, 0, 0, 1]);
    bytes.resize(2 << 20, 0);
    let _ = greedy.stream.write_all(&bytes).await;
    greedy.is_closed().await;
    good.begin().await;
    // What it took is given back.
    let mut small = Peer::tm(address, "2.6.0").await;
    small.write(&bytes[..512 << 10]).await;
    let end = tokio::time::timeout(Duration::from_millis(200), small.next()).await;
    assert!(end.is_err(), "{end:?}");
    drop(small);
    stop(server).await;
}

#[tokio::test]
async fn who_holds_the_most_pays_for_what_all_hold() {
    let (server, address) = server(|settings| settings.front.max_buffered_bytes = 1 << 20).await;
    let mut bytes = vec![0xda, 0xda, 1];
    bytes.extend((8_u32 << 20).to_be_bytes());
    bytes.extend([0, 16, 0, 1, 0, 0, 0, 0, 1]);
    bytes.resize(2 << 20, 0);
    let mut greedy = Peer::tm(address, "2.6.0").await;
    greedy.write(&bytes[..600 << 10]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut small = Peer::tm(address, "2.6.0").await;
    small.write(&bytes[..500 << 10]).await;
    greedy.is_closed().await;
    let end = tokio::time::timeout(Duration::from_millis(200), small.next()).await;
    assert!(end.is_err(), "{end:?}");
    stop(server).await;
}
