//! The end of a client: in good order, cut short, or by being dropped.

use std::time::Duration;

use seata_client::{RemoteCoordinator, RoleState, ShutdownError};
use seata_context::{CoordinationError, ResourceManager as _, TransactionManager as _};
use seata_protocol::{
    BranchResponse, BranchStatus, GlobalResponse, GlobalStatus, Header, Kind, Message, Outcome,
};
use tokio::time::{Instant, timeout};

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{APPLICATION, GROUP, LONG, Nobody, Notes, begin, branch, connect, is, settings, until},
};

const SHORT: Duration = Duration::from_millis(100);

async fn client_with_resource(tc: &ScriptedTc, resource: &std::sync::Arc<Notes>) -> RemoteCoordinator {
    let client = connect(&[tc]).await;
    client.register_resource(resource.clone()).await.unwrap();
    client
}

#[tokio::test]
async fn a_call_under_way_is_answered_and_a_new_one_is_refused() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    let xid = begin(&client).await.unwrap();
    tc.script(|received| match received.message {
        Some(Message::GlobalCommit(_)) => {
            let response = GlobalResponse { outcome: Outcome::success(), status: GlobalStatus::Committed };
            let answer = Reply::Message(Message::GlobalCommitResponse(response));
            Reply::After(SHORT, Box::new(answer))
        }
        _ => Reply::Honest,
    });
    let commit = tokio::spawn({
        let (client, xid) = (client.clone(), xid.clone());
        async move { client.commit(&xid).await }
    });
    tc.wait_for("the commit", is("GlobalCommitRequest")).await;
    let shutdown = tokio::spawn({
        let client = client.clone();
        async move { client.shutdown(LONG).await }
    });
    until("new calls are refused", || {
        use futures_util::FutureExt as _;
        matches!(client.status(&xid).now_or_never(), Some(Err(CoordinationError::ShuttingDown)))
    })
    .await;
    assert_eq!(commit.await.unwrap(), Ok(GlobalStatus::Committed));
    shutdown.await.unwrap().expect("all ended in time");

    tc.until("the connections are closed", |tc| tc.open() == 0).await;
    assert_eq!(begin(&client).await, Err(CoordinationError::ShuttingDown));
    let refused = client.register_resource(Notes::new("jdbc:late")).await;
    assert_eq!(refused, Err(CoordinationError::ShuttingDown));
    assert_eq!(client.servers()[0].transaction_manager, RoleState::Stopped);
    let began = Instant::now();
    client.shutdown(LONG).await.expect("a second time is fine");
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test]
async fn phase_two_under_way_is_answered_before_the_connection_closes() {
    let tc = ScriptedTc::start().await;
    let resource = Notes::held("jdbc:a");
    let client = client_with_resource(&tc, &resource).await;
    let connection = tc.connection_of("jdbc:a").unwrap();
    let request = Header::new(Kind::Request, 5);
    tc.send(connection, Reply::Frame(request, Message::BranchRollback(branch("jdbc:a", 7))));
    resource.wait_for_calls(1).await;
    let shutdown = tokio::spawn({
        let client = client.clone();
        async move { client.shutdown(LONG).await }
    });
    // What is asked from now on is to be asked again, of whoever comes after this client.
    let late = loop {
        let answer = tc.ask(connection, Message::BranchRollback(branch("jdbc:unknown", 8))).await;
        let Message::BranchRollbackResponse(answer) = answer else { panic!("{answer:?}") };
        if shutdown.is_finished() || answer.status == BranchStatus::PhaseTwoRollbackFailedRetryable {
            break answer;
        }
    };
    assert_eq!(late.status, BranchStatus::PhaseTwoRollbackFailedRetryable);
    assert!(!shutdown.is_finished());
    resource.finish(1);
    shutdown.await.unwrap().expect("all ended in time");
    let answer = tc
        .wait_for("its answer", |received| received.header.id == 5 && received.header.kind == Kind::Response);
    let Some(Message::BranchRollbackResponse(BranchResponse { status, .. })) = answer.await.message else {
        panic!()
    };
    assert_eq!(status, BranchStatus::PhaseTwoRollbacked);
    tc.until("the connections are closed", |tc| tc.open() == 0).await;
}

#[tokio::test]
async fn a_commit_that_needs_our_own_phase_two_ends_too() {
    let tc = ScriptedTc::start().await;
    let resource = Notes::held("jdbc:a");
    let client = client_with_resource(&tc, &resource).await;
    let xid = begin(&client).await.unwrap();
    crate::support::register_branch(&client, &xid, "jdbc:a").await.unwrap();
    // The honest coordinator answers a rollback when its branches have been asked.
    let rollback = tokio::spawn({
        let (client, xid) = (client.clone(), xid.clone());
        async move { client.rollback(&xid).await }
    });
    tc.wait_for("the rollback", is("GlobalRollbackRequest")).await;
    let shutdown = tokio::spawn({
        let client = client.clone();
        async move { client.shutdown(LONG).await }
    });
    resource.finish(1);
    assert_eq!(rollback.await.unwrap(), Ok(GlobalStatus::Rollbacked));
    shutdown.await.unwrap().expect("all ended in time");
}

#[tokio::test]
async fn after_the_limit_the_rest_is_cut_off_and_counted() {
    let tc = ScriptedTc::start().await;
    let resource = Notes::held("jdbc:a");
    let client = client_with_resource(&tc, &resource).await;
    let connection = tc.connection_of("jdbc:a").unwrap();
    let request = Header::new(Kind::Request, 5);
    tc.send(connection, Reply::Frame(request, Message::BranchCommit(branch("jdbc:a", 7))));
    resource.wait_for_calls(1).await;
    let began = Instant::now();
    let error = client.shutdown(SHORT).await.unwrap_err();
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    assert_eq!(error, ShutdownError::TimedOut { limit: SHORT, calls: 0, branches: 1 });
    tc.until("the connections are closed nevertheless", |tc| tc.open() == 0).await;
    client.shutdown(SHORT).await.expect("nothing is left to wait for");
}

#[tokio::test]
async fn a_call_that_is_cut_off_is_told_so() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    let xid = begin(&client).await.unwrap();
    tc.script(|_| Reply::Silence);
    let commit = tokio::spawn({
        let (client, xid) = (client.clone(), xid.clone());
        async move { client.commit(&xid).await }
    });
    tc.wait_for("the commit", is("GlobalCommitRequest")).await;
    let error = client.shutdown(SHORT).await.unwrap_err();
    assert_eq!(error, ShutdownError::TimedOut { limit: SHORT, calls: 1, branches: 0 });
    let error = timeout(LONG / 2, commit).await.expect("it does not wait any more").unwrap().unwrap_err();
    assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}");
    tc.until("the connection is closed", |tc| tc.open() == 0).await;
}

#[tokio::test]
async fn a_shutdown_that_is_dropped_half_way_can_be_taken_up_again() {
    let tc = ScriptedTc::start().await;
    let resource = Notes::held("jdbc:a");
    let client = client_with_resource(&tc, &resource).await;
    let connection = tc.connection_of("jdbc:a").unwrap();
    let request = Header::new(Kind::Request, 5);
    tc.send(connection, Reply::Frame(request, Message::BranchCommit(branch("jdbc:a", 7))));
    resource.wait_for_calls(1).await;
    assert!(timeout(SHORT, client.shutdown(LONG)).await.is_err(), "it waits for the branch");
    assert_eq!(begin(&client).await, Err(CoordinationError::ShuttingDown));
    resource.finish(1);
    client.shutdown(LONG).await.expect("all ended in time");
    tc.wait_for("the answer", |received| received.header.id == 5 && received.header.kind == Kind::Response)
        .await;
}

#[tokio::test]
async fn a_client_without_a_server_is_shut_down_at_once() {
    let dead = Nobody::new();
    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[dead.address()])).unwrap();
    let began = Instant::now();
    client.shutdown(LONG).await.unwrap();
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connections() {
    let tc = ScriptedTc::start().await;
    let client = client_with_resource(&tc, &Notes::new("jdbc:a")).await;
    let clone = client.clone();
    drop(client);
    begin(&clone).await.expect("a clone is the same client");
    assert_eq!(tc.open(), 2);
    drop(clone);
    tc.until("the connections are closed", |tc| tc.open() == 0).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(tc.accepted(), 2, "nobody comes back");
}
