use std::{
    future::{Pending, Ready, pending, ready},
    sync::atomic::Ordering,
    task::Wake,
    time::Duration,
};

use seata_coordinator::{
    driver::{Driver, SystemClock},
    store::{AnyStore, MemoryStore},
};
use seata_protocol::{
    Batch, BranchId, BranchRegister, BranchRequest, BranchType, Compressor, GlobalBegin, GlobalRequest,
    Header, Kind, Message, RegisterRm, RegisterTm, frame,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex},
    time::timeout,
};

use super::*;
use crate::{
    front::{
        Clients,
        incoming::{Job, Place},
        requests::{Answer, Asked, Asker, read},
    },
    metrics::Metrics,
    settings::FrontSettings,
};

const ADDRESS: &str = "10.0.0.9:40000";
const PATIENCE: Duration = Duration::from_secs(5);

async fn desk() -> Arc<Desk> {
    desk_with(FrontSettings::default()).await
}

async fn desk_with(front: FrontSettings) -> Arc<Desk> {
    let (clients, metrics) = (Clients::default(), Arc::new(Metrics::default()));
    let store = AnyStore::Memory(MemoryStore::new("test", 100));
    let settings = seata_coordinator::settings::Settings::default();
    let (tc, _) =
        Driver::start(store, clients.clone(), SystemClock::new(), Box::new(|| 0.0), settings).await.unwrap();
    Arc::new(Desk::new(tc, clients, metrics, front))
}

fn register_tm(version: &str, group: &str) -> Message {
    Message::RegisterTm(RegisterTm {
        version: version.into(),
        application_id: "app".into(),
        transaction_service_group: group.into(),
        extra_data: "".into(),
    })
}

fn begin() -> Message {
    Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: "purchase".into() })
}

fn global(xid: &str) -> GlobalRequest {
    GlobalRequest { xid: xid.into(), extra_data: "".into() }
}

fn requests(count: i32) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame::write(&mut bytes, &Header::new(Kind::Request, 0), &register_tm("2.6.0", "group")).unwrap();
    let status = Message::GlobalStatus(global("127.0.0.1:1:1"));
    for id in 1..count {
        frame::write(&mut bytes, &Header::new(Kind::Request, id), &status).unwrap();
    }
    bytes
}

/// As TLS does: what was written may still be on its way when the writer takes no more notice.
#[tokio::test]
async fn what_stands_in_front_of_the_socket_is_flushed_to_the_last_byte() {
    let desk = desk().await;
    let (client, server) = duplex(1_024);
    let (mut read, mut write) = tokio::io::split(client);
    let stream = BufWriter::with_capacity(64 << 10, server);
    let serving = tokio::spawn(serve(stream, ADDRESS.parse().unwrap(), desk));
    let sent = tokio::spawn(async move {
        write.write_all(&requests(200)).await.unwrap();
        write
    });
    let _write = sent.await.unwrap();
    // Its answers do not fit before it reads.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut decoder, mut incoming, mut answers) =
        (FrameDecoder::new(seata_protocol::Limits::default()), BytesMut::new(), 0);
    while answers < 200 {
        let more = timeout(PATIENCE, read.read_buf(&mut incoming)).await;
        assert!(more.expect("the answers come").unwrap() > 0);
        while decoder.next(&mut incoming).unwrap().is_some() {
            answers += 1;
        }
    }
    serving.abort();
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls until nobody wakes it.
fn settle<F: Future<Output = Option<Answer>>>(connection: &mut Connection<DuplexStream, F>) {
    if let Some(end) = settle_or_end(connection) {
        panic!("{end}");
    }
}

fn settle_or_end<F: Future<Output = Option<Answer>>>(
    connection: &mut Connection<DuplexStream, F>,
) -> Option<End> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        let before = woken.0.load(Ordering::Relaxed);
        if let Poll::Ready(end) = connection.poll(&mut Context::from_waker(&waker)) {
            return Some(end);
        }
        if woken.0.load(Ordering::Relaxed) == before {
            return None;
        }
    }
}

/// A connection whose requests never end, and its client, registered as a TM of this version.
async fn busy(
    desk: &Arc<Desk>,
    version: &str,
) -> (Connection<DuplexStream, Pending<Option<Answer>>>, DuplexStream) {
    let (mut client, server) = duplex(8 << 20);
    let never: fn(Arc<Desk>, Release, Request) -> Pending<Option<Answer>> = |_, _, _| pending();
    let mut connection = Connection::new(server, ADDRESS.parse().unwrap(), Arc::clone(desk), never);
    send(&mut client, &Header::new(Kind::Request, 0), &register_tm(version, "group")).await;
    settle(&mut connection);
    (connection, client)
}

async fn send(client: &mut DuplexStream, header: &Header, message: &Message) {
    let mut bytes = BytesMut::new();
    frame::write(&mut bytes, header, message).unwrap();
    client.write_all(&bytes).await.unwrap();
}

#[tokio::test]
async fn a_call_that_waited_behind_many_answers_is_sent() {
    let desk = desk().await;
    let (mut client, server) = duplex(8 << 20);
    let never: fn(Arc<Desk>, Release, Request) -> Ready<Option<Answer>> =
        |_, _, _| unreachable!("nothing is asked");
    let mut connection = Connection::new(server, ADDRESS.parse().unwrap(), Arc::clone(&desk), never);
    let long = |length: usize| {
        Message::BranchCommit(BranchRequest {
            xid: "127.0.0.1:1:1".into(),
            branch_id: BranchId(1),
            branch_type: BranchType::At,
            resource_id: "r".into(),
            application_data: "d".repeat(length).into(),
        })
    };
    let header = Header::new(Kind::Response, 1);
    connection.under_way = 1;
    connection.peer.request_begins();
    let origin = Origin {
        place: Place::Alone(header.clone()),
        kind: "other",
        weight: 0,
        came: std::time::Instant::now(),
    };
    let answer = Answer { message: long(MUCH_TO_WRITE), failed: false };
    connection.work.push(origin, ready(Some(answer)));
    let mut call = BytesMut::new();
    frame::write(&mut call, &header, &long(1)).unwrap();
    connection.peer.send(&call);
    settle(&mut connection);
    drop(connection);
    let mut sent = Vec::new();
    client.read_to_end(&mut sent).await.unwrap();
    assert!(sent.ends_with(&call), "{} bytes were sent", sent.len());
}

/// Java looks at the status alone, and takes any that is no time-out for a commit's success.
#[tokio::test]
async fn what_is_not_known_to_be_done_is_not_answered() {
    for ask in [Message::GlobalCommit, Message::GlobalRollback] {
        let desk = desk().await;
        let (mut client, server) = duplex(1 << 20);
        let mut connection = Connection::new(server, ADDRESS.parse().unwrap(), Arc::clone(&desk), carry_out);
        let xid = format!("{}:1", desk.tc.address());
        desk.tc.stop();
        for (id, message) in [register_tm("2.6.0", "group"), begin(), ask(global(&xid))].iter().enumerate() {
            send(&mut client, &Header::new(Kind::Request, id as i32), message).await;
        }
        let end = settle_or_end(&mut connection).expect("the connection ends");
        assert!(matches!(end, End::Unavailable), "{end}");
        drop(connection);
        let mut bytes = BytesMut::new();
        while client.read_buf(&mut bytes).await.unwrap() > 0 {}
        let (limits, mut answers) = (seata_protocol::Limits::default(), Vec::new());
        let mut decoder = FrameDecoder::new(limits);
        while let Some(frame) = decoder.next(&mut bytes).unwrap() {
            answers.push((frame.header.id, frame.message(&limits).unwrap().message));
        }
        answers.sort_by_key(|(id, _)| *id);
        assert_eq!(answers.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1], "{answers:?}");
        let Message::GlobalBeginResponse(begun) = &answers[1].1 else { panic!("{answers:?}") };
        assert!(!begun.outcome.is_success(), "a begin is looked at as a whole");
    }
}

#[tokio::test]
async fn a_request_weighs_what_it_keeps_however_short_it_came() {
    let desk = desk().await;
    let (mut connection, mut client) = busy(&desk, "2.6.0").await;
    let register = |lock_key: String, data: String| {
        Message::BranchRegister(BranchRegister {
            xid: "127.0.0.1:1:1".into(),
            branch_type: BranchType::At,
            resource_id: "jdbc:a".into(),
            lock_key: lock_key.into(),
            application_data: data.into(),
        })
    };
    let header = Header { compressor: Compressor::Gzip, ..Header::new(Kind::Request, 1) };
    send(&mut client, &header, &register("t:1".to_owned(), "d".repeat(1 << 20))).await;
    settle(&mut connection);
    assert!(connection.under_way_bytes >= 1 << 20, "{}", connection.under_way_bytes);
    assert!(connection.peer.held() >= 1 << 20, "{}", connection.peer.held());
    let before = connection.under_way_bytes;
    send(&mut client, &header, &register(format!("t:{}", "1,".repeat(10_000)), String::new())).await;
    settle(&mut connection);
    assert!(connection.under_way_bytes - before >= 10_000 * size_of::<seata_protocol::RowLock>());
    let before = connection.under_way_bytes;
    let long_keys = vec!["k".repeat(4_000); 250].join(",");
    send(&mut client, &header, &register(format!("t:{long_keys}"), String::new())).await;
    settle(&mut connection);
    let weight = connection.under_way_bytes - before;
    assert!(weight >= 1_000_000, "{weight}");
    assert_eq!(connection.under_way, 3);
    drop(connection);
    assert_eq!(desk.clients.peers().len(), 0);
}

thread_local! {
    static LOCK_WAITS: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
}

/// Its asker counts the time from when it asked.
#[tokio::test]
async fn what_waited_for_its_turn_waits_the_shorter_for_rows() {
    let settings = FrontSettings { max_requests_per_connection: 2, ..FrontSettings::default() };
    let desk = desk_with(settings).await;
    let limit = Duration::from_secs(9);
    desk.set_lock_wait(limit);
    let (mut client, server) = duplex(1 << 20);
    let noted: fn(Arc<Desk>, Release, Request) -> Pending<Option<Answer>> = |_, _, request| {
        let Request::Register(request) = request else { panic!("it registers") };
        LOCK_WAITS.with_borrow_mut(|waits| waits.push(request.lock_wait));
        pending()
    };
    let mut connection = Connection::new(server, ADDRESS.parse().unwrap(), Arc::clone(&desk), noted);
    let register = Message::BranchRegister(BranchRegister {
        xid: "127.0.0.1:1:1".into(),
        branch_type: BranchType::At,
        resource_id: "jdbc:a".into(),
        lock_key: "t:1".into(),
        application_data: "".into(),
    });
    // One of three parts of a merged frame, and a frame of its own.
    let batch = Batch { messages: vec![register.clone(); 3], ids: vec![1, 2, 3] };
    send(&mut client, &Header::new(Kind::Request, 0), &register_tm("2.6.0", "group")).await;
    send(&mut client, &Header::new(Kind::Oneway, 4), &Message::Merged(batch)).await;
    send(&mut client, &Header::new(Kind::Request, 5), &register).await;
    settle(&mut connection);
    let pause = Duration::from_millis(50);
    tokio::time::sleep(pause).await;
    connection.under_way = 0;
    settle(&mut connection);
    let waits = LOCK_WAITS.take();
    assert_eq!(waits[..2], [limit; 2]);
    assert!(waits.len() == 4 && waits[2..].iter().all(|wait| *wait <= limit - pause), "{waits:?}");
}

#[tokio::test]
async fn behind_parked_requests_the_rest_is_heard_up_to_a_limit() {
    let settings = FrontSettings { max_requests_per_connection: 1, ..FrontSettings::default() };
    let desk = desk_with(settings).await;
    let (mut connection, mut client) = busy(&desk, "2.6.0").await;
    let mut received = BytesMut::new();
    client.read_buf(&mut received).await.unwrap();
    let long = Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: "n".repeat(30_000).into() });
    let mut flood = BytesMut::new();
    for id in 0..200 {
        frame::write(&mut flood, &Header::new(Kind::Request, id), &long).unwrap();
    }
    assert!(flood_with(&flood, &mut client, &mut connection).await.is_none());
    let mut ping = BytesMut::new();
    frame::write_heartbeat(&mut ping, &Header::new(Kind::Ping, 7));
    client.write_all(&ping).await.unwrap();
    settle(&mut connection);
    let pong = timeout(PATIENCE, client.read_buf(&mut received)).await;
    pong.expect("a ping is answered").unwrap();
    let end = flood_with(&flood.repeat(3), &mut client, &mut connection).await;
    assert_eq!(end.expect("the connection ends").reason(), "greedy");
}

async fn flood_with<F: Future<Output = Option<Answer>>>(
    bytes: &[u8],
    client: &mut DuplexStream,
    connection: &mut Connection<DuplexStream, F>,
) -> Option<End> {
    for part in bytes.chunks(1 << 20) {
        timeout(PATIENCE, client.write_all(part)).await.expect("it is read").unwrap();
        // A task may only do so much in a row.
        tokio::task::yield_now().await;
        let end = settle_or_end(connection);
        if end.is_some() {
            return end;
        }
    }
    None
}

#[tokio::test]
async fn a_merged_frame_counts_as_its_parts() {
    let settings = FrontSettings { max_requests_per_connection: 2, ..FrontSettings::default() };
    let desk = desk_with(settings).await;
    for version in ["2.6.0", "2.0.0"] {
        let (mut connection, mut client) = busy(&desk, version).await;
        let batch = Batch { messages: vec![begin(); 1_000], ids: (1..=1_000).collect() };
        send(&mut client, &Header::new(Kind::Oneway, 2_000), &Message::Merged(batch)).await;
        send(&mut client, &Header::new(Kind::Request, 2_001), &begin()).await;
        settle(&mut connection);
        assert_eq!(connection.under_way, 2, "{version}");
        assert!(!connection.peer.is_at_rest(), "who stops the server knows at once");
        assert!(connection.backlog.bytes() >= 998 * size_of::<Job>(), "{version}");
    }
}

#[tokio::test]
async fn a_request_that_says_it_is_an_answer_passes_no_limit() {
    let desk = desk().await;
    for message in [begin(), register_tm("2.6.0", "group")] {
        let (mut connection, mut client) = busy(&desk, "2.6.0").await;
        send(&mut client, &Header::new(Kind::Response, 1), &message).await;
        let end = settle_or_end(&mut connection).expect("the connection ends");
        assert!(matches!(end, End::Misplaced(_)), "{end}");
        assert_eq!(connection.under_way, 0);
    }
}

#[tokio::test]
async fn a_parked_frame_keeps_nothing_of_what_came_with_it() {
    let settings = FrontSettings { max_requests_per_connection: 1, ..FrontSettings::default() };
    let desk = desk_with(settings).await;
    let (mut connection, mut client) = busy(&desk, "2.6.0").await;
    for id in 1..100 {
        send(&mut client, &Header::new(Kind::Request, id), &begin()).await;
    }
    settle(&mut connection);
    assert_eq!(connection.under_way, 1);
    let Some(backlog::Next::Frame(frame, _)) = connection.backlog.pop() else { panic!("a frame waits") };
    let mut body = frame.body.try_into_mut().expect("nobody else has it");
    assert_eq!(body.split_off(0).capacity(), 2 + 4 + 2 + "purchase".len(), "no more than its own bytes");
}

#[tokio::test]
async fn a_transaction_belongs_to_the_group_of_its_tm() {
    let desk = desk().await;
    let (mut client, server) = duplex(1 << 20);
    let never: fn(Arc<Desk>, Release, Request) -> Pending<Option<Answer>> = |_, _, _| pending();
    let mut connection = Connection::new(server, ADDRESS.parse().unwrap(), Arc::clone(&desk), never);
    let register_rm = |group: &str| {
        Message::RegisterRm(RegisterRm {
            version: "2.6.0".into(),
            application_id: "app".into(),
            transaction_service_group: group.into(),
            extra_data: "".into(),
            resource_ids: "jdbc:a".into(),
        })
    };
    for (message, group) in [
        (register_rm("unsigned"), "unsigned"),
        (register_tm("2.6.0", "signed"), "signed"),
        (register_rm("unsigned"), "signed"),
        (register_tm("2.6.0", "other"), "other"),
    ] {
        send(&mut client, &Header::new(Kind::Request, 1), &message).await;
        settle(&mut connection);
        let Some(Asker { identity, .. }) = &connection.asker else { panic!("it is registered") };
        assert_eq!(&*identity.group, group);
    }
}

/// Each is moved to its place once, and thousands may wait.
#[tokio::test]
async fn a_request_under_way_is_small() {
    let desk = desk().await;
    let (connection, _client) = busy(&desk, "2.6.0").await;
    let asker = connection.asker.as_ref().expect("it is registered");
    let Asked::Request(request) = read(&desk, asker, &mut Names::default(), begin(), true) else {
        panic!("it is one")
    };
    let size = size_of_val(&carry_out(Arc::clone(&desk), asker.release, request));
    assert!(size <= 1_024, "{size} bytes");
}
