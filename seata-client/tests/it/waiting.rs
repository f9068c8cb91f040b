//! What a call does while no server answers: dead, slow and half-open ones.

use std::time::Duration;

use seata_client::{ConnectError, RemoteCoordinator};
use seata_context::{BeginRequest, CoordinationError, ResourceManager as _, TransactionManager as _};
use seata_protocol::Message;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{APPLICATION, GROUP, LONG, Nobody, Notes, begin, connect_with, settings},
};

const WAIT: Duration = Duration::from_millis(300);

/// How long it took, and that it was not much longer than allowed on a busy machine.
fn assert_took(began: Instant, at_least: Duration) {
    let took = began.elapsed();
    assert!(took >= at_least && took < at_least + Duration::from_secs(3), "{took:?} instead of {at_least:?}");
}

#[tokio::test]
async fn a_dead_server_is_waited_for_as_long_as_was_set_and_no_longer() {
    let dead = Nobody::new();
    let address = dead.address();
    for wait in [Duration::ZERO, WAIT] {
        let client =
            RemoteCoordinator::start(APPLICATION, GROUP, settings(&[address]).wait_for_server(wait)).unwrap();
        let began = Instant::now();
        let error = begin(&client).await.unwrap_err();
        assert_took(began, wait);
        assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_begin_waits_no_longer_than_its_transaction_may_last() {
    let dead = Nobody::new();
    let patient = settings(&[dead.address()]).wait_for_server(LONG);
    let client = RemoteCoordinator::start(APPLICATION, GROUP, patient).unwrap();
    let began = Instant::now();
    let request = BeginRequest { name: "purchase".into(), timeout: WAIT };
    let error = client.begin(request).await.unwrap_err();
    assert_took(began, WAIT);
    assert!(error.to_string().contains(&dead.address().to_string()), "{error}");
}

#[tokio::test]
async fn connecting_to_a_dead_server_names_it_and_what_happened() {
    let dead = Nobody::new();
    let address = dead.address();
    for wait in [Duration::ZERO, WAIT] {
        let began = Instant::now();
        let patience = settings(&[address]).wait_for_server(wait);
        let error = RemoteCoordinator::connect(APPLICATION, GROUP, patience).await.unwrap_err();
        assert_took(began, wait);
        assert!(matches!(error, ConnectError::NoServer { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with("no available service: no server of cluster \"default\" is connected"),
            "{text}"
        );
        assert!(text.contains(&format!("cannot connect to {address}")), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_comes_while_a_call_waits_gets_the_call() {
    let dead = Nobody::new();
    let address = dead.address();
    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[address])).unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { begin(&client).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _tc = dead.start().await;
    waiting.await.unwrap().expect("the server has come");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_says_a_word_is_a_half_open_one() {
    // The kernel accepts; nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut at_once = settings(&[address]).wait_for_server(Duration::ZERO);
    at_once.connect_timeout = WAIT;
    let began = Instant::now();
    let error = RemoteCoordinator::connect(APPLICATION, GROUP, at_once).await.unwrap_err();
    assert_took(began, Duration::from_millis(200));
    assert!(error.to_string().contains("no answer to RegisterTMRequest within"), "{error}");

    let client =
        RemoteCoordinator::start(APPLICATION, GROUP, settings(&[address]).wait_for_server(WAIT)).unwrap();
    let began = Instant::now();
    let error = begin(&client).await.unwrap_err();
    assert_took(began, WAIT);
    assert!(
        error.to_string().contains(&format!("{address}: accepted the connection, but has not answered")),
        "{error}"
    );
}

#[tokio::test]
async fn a_slow_registration_is_waited_for() {
    let tc = ScriptedTc::start().await;
    let slow = Duration::from_millis(100);
    tc.script(move |received| match received.message {
        Some(Message::RegisterTm(_)) => Reply::After(slow, Box::new(Reply::Message(registered()))),
        _ => Reply::Honest,
    });
    for wait in [Duration::ZERO, LONG] {
        let began = Instant::now();
        let client = connect_with(&[&tc], |settings| settings.wait_for_server = wait).await;
        assert_took(began, slow);
        begin(&client).await.unwrap();
    }
}

fn registered() -> Message {
    Message::RegisterTmResponse(seata_protocol::Registered {
        identified: true,
        version: "2.0.0".into(),
        outcome: seata_protocol::Outcome::success(),
        extra_data: "".into(),
    })
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_an_error_that_says_who_and_how_long() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| {
        settings.transaction_request_timeout = Duration::from_millis(100);
        settings.branch_request_timeout = Duration::from_millis(50);
    })
    .await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    tc.script(|received| match received.message {
        None => Reply::Honest,
        Some(_) => Reply::Silence,
    });
    let server = tc.address();
    let error = begin(&client).await.unwrap_err();
    let expected =
        format!("no coordinator answered: server {server}: no answer to GlobalBeginRequest within 100ms");
    assert_eq!(error.to_string(), expected);
    let xid = format!("{server}:42").parse().unwrap();
    let error = crate::support::register_branch(&client, &xid, "jdbc:a").await.unwrap_err();
    let expected =
        format!("no coordinator answered: server {server}: no answer to BranchRegisterRequest within 50ms");
    assert_eq!(error.to_string(), expected);

    // It was slow, not dead: the next call goes through.
    tc.script(|_| Reply::Honest);
    begin(&client).await.unwrap();
}

#[tokio::test]
async fn a_slow_answer_holds_up_nobody_else() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |_| {}).await;
    let xid = begin(&client).await.unwrap();
    tc.script(|received| match received.message {
        Some(Message::GlobalCommit(_)) => Reply::Silence,
        _ => Reply::Honest,
    });
    let commit = client.commit(&xid);
    assert!(timeout(Duration::from_millis(50), commit).await.is_err(), "the commit is not answered");
    let pending = tokio::spawn({
        let (client, xid) = (client.clone(), xid.clone());
        async move { client.commit(&xid).await }
    });
    begin(&client).await.unwrap();
    assert!(!pending.is_finished());
    pending.abort();
}

#[tokio::test]
async fn a_call_whose_connection_is_lost_after_it_was_sent_is_not_repeated_unless_it_is_a_begin() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |_| {}).await;
    let xid = begin(&client).await.unwrap();
    tc.script(|received| match received.message {
        Some(Message::GlobalCommit(_)) => Reply::Close,
        _ => Reply::Honest,
    });
    let error = client.commit(&xid).await.unwrap_err();
    assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}");
    let expected =
        format!("server {}: GlobalCommitRequest has no answer, the connection ended", tc.address());
    assert!(error.to_string().contains(&expected), "{error}");
    let commits = tc.messages().iter().filter(|message| message.name() == "GlobalCommitRequest").count();
    assert_eq!(commits, 1);

    let lost_once = std::sync::atomic::AtomicBool::new(false);
    tc.script(move |received| match received.message {
        Some(Message::GlobalBegin(_)) if !lost_once.swap(true, std::sync::atomic::Ordering::Relaxed) => {
            Reply::Close
        }
        _ => Reply::Honest,
    });
    begin(&client).await.expect("the second attempt is answered");
}

#[tokio::test]
async fn a_begin_that_no_server_survives_is_not_repeated_for_ever() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |_| {}).await;
    tc.script(|received| match received.message {
        Some(Message::GlobalBegin(_)) => Reply::Close,
        _ => Reply::Honest,
    });
    let error = begin(&client).await.unwrap_err();
    assert!(error.to_string().contains("GlobalBeginRequest has no answer"), "{error}");
    let begins = tc.messages().iter().filter(|message| message.name() == "GlobalBeginRequest").count();
    assert_eq!(begins, 3);
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| settings.max_requests_in_flight = 1).await;
    tc.script(|received| match &received.message {
        Some(Message::GlobalBegin(_)) => Reply::Silence,
        _ => Reply::Honest,
    });
    for _ in 0..20 {
        assert!(timeout(Duration::from_millis(5), begin(&client)).await.is_err());
    }
    tc.script(|_| Reply::Honest);
    begin(&client).await.expect("its place is free again");
    client.shutdown(LONG).await.expect("nobody is counted as under way");
}
