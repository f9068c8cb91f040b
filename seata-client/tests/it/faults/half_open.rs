//! Servers that are there and do nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use seata_client::{RemoteCoordinator, Settings};
use seata_context::{BranchRegistration, CoordinationError, ResourceManager as _, TransactionManager as _};
use seata_protocol::{BranchType, Header, Kind, Message, Xid, frame};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{SLACK, in_two_runtimes};
use crate::{
    scripted::{Reply, ScriptedTc},
    support::{APPLICATION, GROUP, LONG, Notes, begin, is_connected, settings, until},
};

const CALLS: usize = 200;

/// Many times what there is room for.
const LARGE: usize = 64 << 10;

#[test]
fn a_server_that_accepts_and_never_answers_holds_nobody_up_for_longer_than_was_set() {
    in_two_runtimes(async |rest| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        rest.spawn({
            let accepted = accepted.clone();
            async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut sockets = Vec::new();
                loop {
                    sockets.push(listener.accept().await.unwrap());
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let mut settings = settings(&[address]).wait_for_server(Duration::from_millis(400));
        settings.connect_timeout = Duration::from_millis(100);
        let began = Instant::now();
        let client = RemoteCoordinator::start(APPLICATION, GROUP, settings.clone()).unwrap();
        let xid = format!("{address}:42").parse().unwrap();
        for error in call_at_once(&client, &settings, &xid).await {
            assert!(error.contains(&address.to_string()), "{error}");
        }
        // A connection of each role, and the pauses between them.
        let longest = 1 + began.elapsed().as_millis() as usize / 100;
        let accepted = accepted.load(Ordering::Relaxed);
        assert!((2..=2 * longest).contains(&accepted), "{accepted} connections in {:?}", began.elapsed());
        let metrics = Handle::current().metrics();
        until("two links, and a connection for each", || metrics.num_alive_tasks() <= 4).await;
        client.shutdown(LONG).await.expect("nothing is under way");
    });
}

#[test]
fn a_server_that_stops_reading_holds_nobody_up_for_longer_than_was_set_and_is_replaced() {
    in_two_runtimes(async |rest| {
        let tc = rest.spawn(ScriptedTc::start()).await.unwrap();
        let mut settings = settings(&[tc.address()]).wait_for_server(Duration::from_millis(400));
        settings.branch_request_timeout = Duration::from_millis(300);
        settings.transaction_request_timeout = Duration::from_millis(300);
        (settings.heartbeat, settings.idle) = (Duration::from_millis(100), Duration::from_millis(600));
        (settings.max_requests_in_flight, settings.max_outgoing_bytes) = (8, 1000);
        let client = RemoteCoordinator::connect(APPLICATION, GROUP, settings.clone()).await.unwrap();
        client.register_resource(Notes::new("jdbc:a")).await.unwrap();
        let xid = begin(&client).await.unwrap();

        tc.script(|_| Reply::StopReading);
        let errors = call_at_once(&client, &settings, &xid).await;
        // There is no room for all that is large; for how much, the system's buffers say.
        let is_left = |error: &String| error.contains("BranchRegisterRequest was not sent, ");
        assert!(errors.iter().any(is_left), "{errors:#?}");
        tc.script(|_| Reply::Honest);
        let well =
            async { while begin(&client).await.is_err() || branch(&client, &xid, 0).await.is_err() {} };
        timeout(settings.idle + SLACK, well).await.expect("its connections are replaced");
        client.shutdown(LONG).await.expect("nothing is under way");
    });
}

/// What the client says is lost on the way, what the server says arrives.
#[test]
fn a_server_that_asks_and_never_answers_is_given_up() {
    in_two_runtimes(async |rest| {
        let tc = rest.spawn(ScriptedTc::start()).await.unwrap();
        let mut settings = settings(&[tc.address()]);
        (settings.heartbeat, settings.idle) = (Duration::from_millis(100), Duration::from_millis(300));
        let client = RemoteCoordinator::connect(APPLICATION, GROUP, settings).await.unwrap();
        client.register_resource(Notes::new("jdbc:a")).await.unwrap();
        let connection = tc.connection_of("jdbc:a").unwrap();
        tc.script(|_| Reply::Silence);
        // There is always a part of a request that has not come yet.
        let asks = async {
            let mut rest = BytesMut::new();
            for id in 1.. {
                let request = Message::BranchCommit(crate::support::branch("jdbc:a", id.into()));
                frame::write(&mut rest, &Header::new(Kind::Request, id), &request).unwrap();
                let part = rest.split_to(rest.len() - 10);
                tc.send(connection, Reply::Bytes(part.to_vec()));
                sleep(Duration::from_millis(20)).await;
            }
        };
        let given_up =
            until("its connection is given up", || !is_connected(&client.servers()[0].resource_manager));
        tokio::select! {
            () = asks => {}
            () = given_up => {}
        }
        client.shutdown(LONG).await.expect("nothing is under way");
    });
}

/// Every kind of call, many times at once. None may succeed; each ends in time with the words returned.
async fn call_at_once(client: &RemoteCoordinator, settings: &Settings, xid: &Xid) -> Vec<String> {
    let limit = settings.wait_for_server
        + settings.branch_request_timeout.max(settings.transaction_request_timeout).min(LONG)
        + SLACK;
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let (client, xid) = (client.clone(), xid.clone());
        let call = async move {
            match number % 4 {
                0 => begin(&client).await.map(|_| ()),
                1 => client.commit(&xid).await.map(|_| ()),
                2 => client.query_locks(None, &[super::caller::row("jdbc:a", 1)]).await,
                _ => branch(&client, &xid, LARGE).await,
            }
        };
        calls.spawn(timeout(limit, call));
    }
    let mut errors = Vec::new();
    for ended in calls.join_all().await {
        match ended.expect("no call hangs") {
            Err(CoordinationError::Unreachable { reason }) => errors.push(reason),
            other => panic!("{other:?}"),
        }
    }
    errors
}

async fn branch(client: &RemoteCoordinator, xid: &Xid, data: usize) -> Result<(), CoordinationError> {
    let registration = BranchRegistration {
        xid: xid.clone(),
        branch_type: BranchType::At,
        resource: "jdbc:a".into(),
        locks: Vec::new(),
        application_data: "x".repeat(data),
    };
    client.register_branch(registration).await.map(|_| ())
}
