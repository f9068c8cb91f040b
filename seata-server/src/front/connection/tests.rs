use std::{
    future::{Ready, ready},
    task::{Wake, Waker},
};

use seata_coordinator::{
    driver::{Driver, SystemClock},
    store::{AnyStore, MemoryStore},
};
use seata_protocol::{BranchId, BranchRequest, BranchType, GlobalRequest, RegisterTm};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex},
    time::timeout,
};

use super::*;
use crate::{front::Clients, metrics::Metrics, settings::FrontSettings};

const ADDRESS: &str = "10.0.0.9:40000";
const PATIENCE: Duration = Duration::from_secs(5);

async fn desk() -> Arc<Desk> {
    let (clients, metrics) = (Clients::default(), Arc::new(Metrics::default()));
    let store = AnyStore::Memory(MemoryStore::new("test", 100));
    let settings = seata_coordinator::settings::Settings::default();
    let (tc, _) =
        Driver::start(store, clients.clone(), SystemClock::new(), Box::new(|| 0.0), settings).await.unwrap();
    Arc::new(Desk::new(tc, clients, metrics, FrontSettings::default()))
}

fn requests(count: i32) -> BytesMut {
    let mut bytes = BytesMut::new();
    let register = Message::RegisterTm(RegisterTm {
        version: "2.6.0".into(),
        application_id: "app".into(),
        transaction_service_group: "group".into(),
        extra_data: "".into(),
    });
    frame::write(&mut bytes, &Header::new(Kind::Request, 0), &register).unwrap();
    let status = Message::GlobalStatus(GlobalRequest { xid: "127.0.0.1:1:1".into(), extra_data: "".into() });
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
fn settle(connection: &mut Connection<DuplexStream, Ready<Done>>) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        let before = woken.0.load(Ordering::Relaxed);
        assert!(connection.poll(&mut Context::from_waker(&waker)).is_pending());
        if woken.0.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

#[tokio::test]
async fn a_call_that_waited_behind_many_answers_is_sent() {
    let desk = desk().await;
    let (mut client, server) = duplex(8 << 20);
    let never: fn(Arc<Desk>, Asker, Job) -> Ready<Done> = |_, _, _| unreachable!("nothing is asked");
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
    connection.work.push(ready(Done {
        header: header.clone(),
        part: None,
        answer: long(MUCH_TO_WRITE),
        weight: Weight::default(),
    }));
    let mut call = BytesMut::new();
    frame::write(&mut call, &header, &long(1)).unwrap();
    connection.peer.send(&call);
    settle(&mut connection);
    drop(connection);
    let mut sent = Vec::new();
    client.read_to_end(&mut sent).await.unwrap();
    assert!(sent.ends_with(&call), "{} bytes were sent", sent.len());
}
