//! Connections that are lost come back, with everything that was registered.

use std::time::Duration;

use seata_client::{Reconnect, RemoteCoordinator, RoleState};
use seata_context::{ResourceManager as _, TransactionManager as _};
use seata_protocol::{GlobalStatus, Header, Kind, Message};
use tokio::time::Instant;

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{
        APPLICATION, GROUP, Nobody, Notes, begin, branch, connect, connect_with, is_connected,
        register_branch, registered_resources, settings, until,
    },
};

#[tokio::test]
async fn after_a_loss_both_roles_register_again_with_every_resource() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    for id in ["jdbc:a", "jdbc:b", "jdbc:c"] {
        client.register_resource(Notes::new(id)).await.unwrap();
    }
    tc.disconnect_all();
    tc.until("both are back", |tc| tc.accepted() == 4).await;
    tc.until("all is registered", |tc| registered_resources(tc).len() == 4).await;
    assert_eq!(registered_resources(&tc), ["jdbc:a", "jdbc:b", "jdbc:c", "jdbc:a,jdbc:b,jdbc:c"]);

    let xid = begin(&client).await.unwrap();
    register_branch(&client, &xid, "jdbc:b").await.unwrap();
    assert_eq!(client.commit(&xid).await.unwrap(), GlobalStatus::Committed);
}

#[tokio::test]
async fn a_restarted_server_is_found_again_by_calls_that_wait() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    let dead = Nobody::instead_of(tc).await;
    until("the loss is seen", || !is_connected(&client.servers()[0].transaction_manager)).await;

    let call = tokio::spawn({
        let client = client.clone();
        async move { begin(&client).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!call.is_finished(), "it waits for the server");
    let tc = dead.start().await;
    call.await.unwrap().expect("the server is back");
    tc.until("the resource is registered again", |tc| registered_resources(tc) == ["jdbc:a"]).await;
}

#[tokio::test]
async fn a_resource_that_is_registered_during_an_outage_is_announced_after_it() {
    let dead = Nobody::new();
    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[dead.address()])).unwrap();
    let registering = tokio::spawn({
        let client = client.clone();
        async move { client.register_resource(Notes::new("jdbc:a")).await }
    });
    until("it was tried", || matches!(client.servers()[0].resource_manager, RoleState::Disconnected { .. }))
        .await;
    let tc = dead.start().await;
    registering.await.unwrap().expect("the server is there now");
    assert_eq!(registered_resources(&tc), ["jdbc:a"]);
}

#[tokio::test]
async fn a_resource_is_announced_even_if_nobody_waits_for_it_any_more() {
    let dead = Nobody::new();
    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[dead.address()])).unwrap();
    let registering = client.register_resource(Notes::new("jdbc:a"));
    tokio::time::timeout(Duration::from_millis(20), registering).await.unwrap_err();
    let tc = dead.start().await;
    tc.until("it is announced", |tc| registered_resources(tc) == ["jdbc:a"]).await;
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_not_hammered_and_is_used_when_it_is_well() {
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::Close);
    let began = Instant::now();
    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[tc.address()])).unwrap();
    tc.until("it was tried some times", |tc| tc.accepted() >= 5).await;
    // Four pauses from 20 ms on, doubled up to 100 ms, each at least half of that.
    assert!(began.elapsed() >= Duration::from_millis(10 + 20 + 40 + 50), "{:?}", began.elapsed());
    let state = client.servers().remove(0).transaction_manager;
    assert!(!state.to_string().is_empty() && !is_connected(&state), "{state}");

    tc.greet(Reply::Silence);
    begin(&client).await.expect("it is well now");
}

#[tokio::test]
async fn a_server_that_registers_and_then_closes_is_not_hammered_either() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::All(vec![Reply::Honest, Reply::Close]));
    tc.greet(Reply::After(Duration::from_millis(5), Box::new(Reply::Close)));
    let began = Instant::now();
    let _client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[tc.address()])).unwrap();
    tc.until("it was tried some times", |tc| tc.accepted() >= 5).await;
    assert!(began.elapsed() >= Duration::from_millis(10 + 20 + 40 + 50), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_peer_that_is_no_seata_server_is_told_as_such() {
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    let patience = settings(&[tc.address()]).wait_for_server(Duration::from_millis(100));
    let error = RemoteCoordinator::connect(APPLICATION, GROUP, patience).await.unwrap_err();
    assert!(error.to_string().contains("no frame"), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_idle_limit() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| {
        settings.heartbeat = Duration::from_millis(50);
        settings.idle = Duration::from_millis(150);
        settings.wait_for_server = Duration::from_millis(300);
    })
    .await;
    // Half-open: it takes everything and says nothing, not even to a heartbeat.
    tc.script(|_| Reply::Silence);
    let error = begin(&client).await.unwrap_err();
    assert!(
        error.to_string().contains("the connection was lost: the server sent nothing for 150ms"),
        "{error}"
    );
}

#[tokio::test]
async fn a_call_that_waits_shortens_the_pause() {
    let dead = Nobody::new();
    let mut settings = settings(&[dead.address()]);
    settings.reconnect = Reconnect { first: Duration::from_secs(60), max: Duration::from_secs(60) };
    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings).unwrap();
    let is_down = || matches!(client.servers()[0].transaction_manager, RoleState::Disconnected { .. });
    until("it was tried", is_down).await;
    let began = Instant::now();
    let calling = tokio::spawn({
        let client = client.clone();
        async move { begin(&client).await }
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let tc = dead.start().await;
    calling.await.unwrap().expect("the server is back");
    client.register_resource(Notes::new("jdbc:a")).await.expect("its resources, too");
    assert_eq!(tc.accepted(), 2);
    assert!(began.elapsed() >= Duration::from_millis(750), "it is not hammered: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_never_answers_is_tried_at_growing_pauses() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Silence);
    let mut settings = settings(&[tc.address()]);
    settings.connect_timeout = Duration::from_millis(150);
    let began = Instant::now();
    let _client = RemoteCoordinator::start(APPLICATION, GROUP, settings).unwrap();
    tc.until("it was tried some times", |tc| tc.accepted() >= 5).await;
    // Four attempts, each longer than the longest pause, and the pauses after them.
    let least = Duration::from_millis(4 * 150 + 10 + 20 + 40 + 50);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
}

/// Its server would take it for one more way to the resource.
#[tokio::test]
async fn a_connection_that_is_given_up_is_closed_even_while_phase_two_runs() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| settings.connect_timeout = Duration::from_millis(150)).await;
    let resource = Notes::held("jdbc:a");
    let is_first = std::sync::atomic::AtomicBool::new(true);
    tc.script(move |received| match &received.message {
        Some(Message::RegisterRm(_)) if is_first.swap(false, std::sync::atomic::Ordering::Relaxed) => {
            let request = Message::BranchCommit(branch("jdbc:a", 7));
            Reply::Frame(Header::new(Kind::Request, 1), request)
        }
        _ => Reply::Honest,
    });
    client.register_resource(resource.clone()).await.expect("the second attempt succeeds");
    assert_eq!(resource.calls(), ["commit 7"]);
    tc.until("two are left of three", |tc| tc.accepted() == 3 && tc.open() == 2).await;
}

#[tokio::test]
async fn no_time_is_too_long() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| {
        let longest = Duration::MAX;
        settings.wait_for_server = longest;
        settings.connect_timeout = longest;
        settings.transaction_request_timeout = longest;
        settings.branch_request_timeout = longest;
        settings.phase_two_call_limit = longest;
        settings.idle = longest;
        settings.heartbeat = longest - Duration::from_secs(1);
        settings.reconnect.max = longest;
        settings.limits.frame = usize::MAX;
    })
    .await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    let xid = begin(&client).await.unwrap();
    register_branch(&client, &xid, "jdbc:a").await.unwrap();
    assert_eq!(client.commit(&xid).await.unwrap(), GlobalStatus::Committed);
    tc.disconnect_all();
    begin(&client).await.expect("it is reached again");
    client.shutdown(Duration::MAX).await.unwrap();
}
