//! What a server asks of the resources, and what it is answered.

use std::{sync::Arc, time::Duration};

use seata_client::RemoteCoordinator;
use seata_context::{BranchAnswer, Resource, ResourceManager as _};
use seata_protocol::{
    BranchId, BranchRequest, BranchResponse, BranchStatus, BranchType, Header, Kind, Message, Outcome,
    UndoLogDelete,
};

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{Notes, branch, connect, connect_with, until},
};

const A: &str = "jdbc:a";

/// A client with this resource, and the connection over which its server asks.
async fn client_with(resource: Arc<dyn Resource>) -> (ScriptedTc, RemoteCoordinator, usize) {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    let id = resource.id().to_string();
    client.register_resource(resource).await.unwrap();
    let connection = tc.connection_of(&id).unwrap();
    (tc, client, connection)
}

fn status(answer: Message) -> BranchStatus {
    match answer {
        Message::BranchCommitResponse(answer) | Message::BranchRollbackResponse(answer) => answer.status,
        other => panic!("{other:?}"),
    }
}

/// Sends a request under this id without waiting for the answer.
fn send(tc: &ScriptedTc, connection: usize, id: i32, message: Message) {
    tc.send(connection, Reply::Frame(Header::new(Kind::Request, id), message));
}

/// The ids of all answers so far.
fn answered(tc: &ScriptedTc, connection: usize) -> Vec<i32> {
    let answers = tc.received().into_iter().filter(|r| r.connection == connection);
    answers.filter(|received| received.header.kind == Kind::Response).map(|r| r.header.id).collect()
}

#[tokio::test]
async fn both_decisions_reach_the_resource_and_are_answered_as_java_does() {
    let resource = Notes::new(A);
    let (tc, _client, connection) = client_with(resource.clone()).await;
    let answer = tc.ask(connection, Message::BranchCommit(branch(A, 7))).await;
    let expected = BranchResponse {
        outcome: Outcome::success(),
        xid: "10.0.0.9:8091:7".into(),
        branch_id: BranchId(7),
        status: BranchStatus::PhaseTwoCommitted,
    };
    assert_eq!(answer, Message::BranchCommitResponse(expected.clone()));
    let answer = tc.ask(connection, Message::BranchRollback(branch(A, 7))).await;
    let status = BranchStatus::PhaseTwoRollbacked;
    assert_eq!(answer, Message::BranchRollbackResponse(BranchResponse { status, ..expected }));
    assert_eq!(resource.calls(), ["commit 7", "rollback 7"]);
}

#[tokio::test]
async fn a_failure_travels_as_its_status_within_a_success() {
    let resource = Notes::new(A);
    let (tc, _client, connection) = client_with(resource.clone()).await;
    let dirty = BranchStatus::PhaseTwoRollbackFailedUnretryable;
    resource.answer_next(BranchAnswer::failed(dirty, "row 7 was changed outside"));
    let answer = tc.ask(connection, Message::BranchRollback(branch(A, 7))).await;
    let Message::BranchRollbackResponse(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((answer.outcome, answer.status), (Outcome::success(), dirty));
}

#[tokio::test]
async fn a_resource_is_found_by_its_id_and_its_branch_type() {
    let (at, xa) = (Notes::new(A), Notes::of_type(A, BranchType::Xa));
    let (tc, client, connection) = client_with(at.clone()).await;
    client.register_resource(xa.clone()).await.unwrap();
    let xa_branch = BranchRequest { branch_type: BranchType::Xa, ..branch(A, 8) };
    tc.ask(connection, Message::BranchCommit(branch(A, 7))).await;
    tc.ask(connection, Message::BranchCommit(xa_branch)).await;
    assert_eq!((at.calls(), xa.calls()), (vec!["commit 7".to_owned()], vec!["commit 8".to_owned()]));
}

#[tokio::test]
async fn what_nobody_here_can_do_is_left_for_later() {
    let (tc, _client, connection) = client_with(Notes::new(A)).await;
    let unknown = branch("jdbc:unknown", 7);
    let other_type = BranchRequest { branch_type: BranchType::Tcc, ..branch(A, 7) };
    let no_xid = BranchRequest { xid: "nonsense".into(), ..branch(A, 7) };
    for request in [unknown, other_type, no_xid] {
        let answer = tc.ask(connection, Message::BranchCommit(request.clone())).await;
        assert_eq!(status(answer), BranchStatus::PhaseTwoCommitFailedRetryable);
        let answer = tc.ask(connection, Message::BranchRollback(request)).await;
        assert_eq!(status(answer), BranchStatus::PhaseTwoRollbackFailedRetryable);
    }
}

#[tokio::test]
async fn the_same_id_again_replaces_the_resource() {
    let (before, after) = (Notes::new(A), Notes::new(A));
    let (tc, client, connection) = client_with(before.clone()).await;
    client.register_resource(after.clone()).await.unwrap();
    tc.ask(connection, Message::BranchCommit(branch(A, 7))).await;
    assert_eq!((before.calls().len(), after.calls().len()), (0, 1));
}

#[tokio::test]
async fn the_same_request_twice_runs_once_and_both_are_answered() {
    let resource = Notes::held(A);
    let (tc, _client, connection) = client_with(resource.clone()).await;
    send(&tc, connection, 1, Message::BranchRollback(branch(A, 7)));
    resource.wait_for_calls(1).await;
    send(&tc, connection, 2, Message::BranchRollback(branch(A, 7)));
    send(&tc, connection, 3, Message::BranchRollback(branch(A, 8)));
    // The third shows that the second has been looked at.
    resource.wait_for_calls(2).await;
    assert_eq!(resource.calls(), ["rollback 7", "rollback 8"]);
    resource.finish(2);
    tc.until("all are answered", |tc| answered(tc, connection).len() == 3).await;
    let mut ids = answered(&tc, connection);
    ids.sort_unstable();
    assert_eq!((ids, resource.calls().len()), (vec![1, 2, 3], 2));

    // Once it is answered it is a new question.
    resource.finish(1);
    tc.ask(connection, Message::BranchRollback(branch(A, 7))).await;
    assert_eq!(resource.calls().len(), 3);
}

#[tokio::test]
async fn a_saga_is_asked_anew_when_the_status_in_its_data_changes() {
    let resource = Notes::held(A);
    let (tc, _client, connection) = client_with(resource.clone()).await;
    let asked = |data: &str| BranchRequest { application_data: data.into(), ..branch(A, -1) };
    for (id, data) in [(1, "Committing"), (2, "CommitRetrying")] {
        let request = BranchRequest { xid: "10.0.0.9:8091:7".into(), ..asked(data) };
        send(&tc, connection, id, Message::BranchCommit(request));
    }
    assert_eq!(resource.wait_for_calls(2).await, ["commit -1", "commit -1"]);
}

#[tokio::test]
async fn an_answer_for_a_connection_that_is_gone_is_dropped_and_the_next_question_is_answered() {
    let resource = Notes::held(A);
    let (tc, _client, connection) = client_with(resource.clone()).await;
    send(&tc, connection, 1, Message::BranchRollback(branch(A, 7)));
    resource.wait_for_calls(1).await;
    tc.send(connection, Reply::Close);
    tc.until("the client is back", |tc| tc.connection_of(A).is_some_and(|now| now != connection)).await;
    let again = tc.connection_of(A).unwrap();
    // Still the same call, which now has two who asked.
    send(&tc, again, 1, Message::BranchRollback(branch(A, 7)));
    send(&tc, again, 2, Message::BranchRollback(branch(A, 8)));
    assert_eq!(resource.wait_for_calls(2).await, ["rollback 7", "rollback 8"]);
    resource.finish(2);
    tc.until("both are answered", |tc| answered(tc, again).len() == 2).await;
    assert_eq!(answered(&tc, connection), [0; 0]);
}

#[tokio::test]
async fn a_panic_is_answered_and_harms_nobody() {
    let (tc, client, connection) = client_with(Notes::panicking(A)).await;
    let answer = tc.ask(connection, Message::BranchCommit(branch(A, 7))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoCommitFailedRetryable);
    let answer = tc.ask(connection, Message::BranchRollback(branch(A, 7))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoRollbackFailedRetryable);
    tc.send(connection, Reply::Frame(Header::new(Kind::Oneway, 9), undo_log_delete(7)));

    client.register_resource(Notes::new(A)).await.unwrap();
    let answer = tc.ask(connection, Message::BranchCommit(branch(A, 7))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoCommitted);
}

#[tokio::test]
async fn a_call_that_does_not_return_gives_its_place_back() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| {
        settings.phase_two_concurrency = 1;
        settings.phase_two_call_limit = Duration::from_millis(50);
    })
    .await;
    let resource = Notes::held(A);
    client.register_resource(resource.clone()).await.unwrap();
    let connection = tc.connection_of(A).unwrap();
    tc.send(connection, Reply::Frame(Header::new(Kind::Oneway, 9), undo_log_delete(7)));
    let answer = tc.ask(connection, Message::BranchCommit(branch(A, 7))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoCommitFailedRetryable);
    let answer = tc.ask(connection, Message::BranchRollback(branch(A, 8))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoRollbackFailedRetryable);
    assert_eq!(resource.calls(), ["delete 7", "commit 7", "rollback 8"]);
}

#[tokio::test]
async fn commits_that_wait_together_are_handed_over_together() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| settings.phase_two_concurrency = 1).await;
    let resource = Notes::held(A);
    client.register_resource(resource.clone()).await.unwrap();
    let connection = tc.connection_of(A).unwrap();
    send(&tc, connection, 1, Message::BranchCommit(branch(A, 1)));
    resource.wait_for_calls(1).await;
    for id in 2..=5 {
        send(&tc, connection, id, Message::BranchCommit(branch(A, id.into())));
    }
    // An answer to something else shows that all of them have been taken in.
    tc.ask(connection, Message::BranchCommit(branch("jdbc:unknown", 9))).await;
    resource.finish(2);
    tc.until("all are answered", |tc| answered(tc, connection).len() == 6).await;
    assert_eq!(resource.calls(), ["commit 1", "commit 2 3 4 5"]);
}

/// Each of them is code of the user's: one that is done is not to wait for the others.
#[tokio::test]
async fn commits_of_other_types_than_at_are_handed_over_one_by_one() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| settings.phase_two_concurrency = 1).await;
    let resource = Notes::of_type(A, BranchType::Tcc);
    client.register_resource(resource.clone()).await.unwrap();
    let connection = tc.connection_of(A).unwrap();
    for id in 1..=4 {
        let request = BranchRequest { branch_type: BranchType::Tcc, ..branch(A, id.into()) };
        send(&tc, connection, id, Message::BranchCommit(request));
    }
    tc.until("all are answered", |tc| answered(tc, connection).len() == 4).await;
    assert_eq!(resource.calls(), ["commit 1", "commit 2", "commit 3", "commit 4"]);
}

#[tokio::test]
async fn no_more_run_and_no_more_wait_than_was_set() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| {
        settings.phase_two_concurrency = 2;
        settings.phase_two_queue = 3;
    })
    .await;
    let (resource, other) = (Notes::held(A), Notes::new("jdbc:b"));
    client.register_resource(resource.clone()).await.unwrap();
    client.register_resource(other).await.unwrap();
    let connection = tc.connection_of(A).unwrap();
    for id in 1..=2 {
        send(&tc, connection, id, Message::BranchRollback(branch(A, id.into())));
        resource.wait_for_calls(id as usize).await;
    }
    for id in 3..=5 {
        send(&tc, connection, id, Message::BranchRollback(branch(A, id.into())));
    }
    let answer = tc.ask(connection, Message::BranchRollback(branch(A, 6))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoRollbackFailedRetryable, "the queue is full");
    let answer = tc.ask(connection, Message::BranchRollback(branch("jdbc:b", 7))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoRollbacked, "another resource is not held up");
    assert_eq!(resource.calls(), ["rollback 1", "rollback 2"]);

    resource.finish(5);
    tc.until("those that were taken are answered", |tc| answered(tc, connection).len() == 7).await;
    assert_eq!(resource.calls().len(), 5);
}

#[tokio::test]
async fn commits_and_rollbacks_do_not_starve_each_other() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |settings| settings.phase_two_concurrency = 1).await;
    let resource = Notes::held(A);
    client.register_resource(resource.clone()).await.unwrap();
    let connection = tc.connection_of(A).unwrap();
    send(&tc, connection, 1, Message::BranchRollback(branch(A, 1)));
    resource.wait_for_calls(1).await;
    for id in 2..=4 {
        send(&tc, connection, id, Message::BranchRollback(branch(A, id.into())));
    }
    send(&tc, connection, 5, Message::BranchCommit(branch(A, 5)));
    tc.ask(connection, Message::BranchCommit(branch("jdbc:unknown", 9))).await;
    resource.finish(5);
    tc.until("all are answered", |tc| answered(tc, connection).len() == 6).await;
    assert_eq!(resource.calls(), ["rollback 1", "commit 5", "rollback 2", "rollback 3", "rollback 4"]);
}

#[tokio::test]
async fn phase_two_may_come_before_the_registration_is_answered() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    let resource = Notes::new(A);
    tc.script(|received| match &received.message {
        Some(Message::RegisterRm(_)) => Reply::All(vec![
            Reply::Frame(Header::new(Kind::Request, 1), Message::BranchCommit(branch(A, 7))),
            Reply::After(Duration::from_millis(50), Box::new(Reply::Message(registered()))),
        ]),
        _ => Reply::Honest,
    });
    client.register_resource(resource.clone()).await.unwrap();
    assert_eq!(resource.calls(), ["commit 7"], "it did not wait for the answer");
}

fn registered() -> Message {
    Message::RegisterRmResponse(seata_protocol::Registered {
        identified: true,
        version: "2.0.0".into(),
        outcome: Outcome::success(),
        extra_data: "".into(),
    })
}

fn undo_log_delete(save_days: i16) -> Message {
    Message::UndoLogDelete(UndoLogDelete { branch_type: BranchType::At, resource_id: A.into(), save_days })
}

#[tokio::test]
async fn old_undo_logs_are_deleted_when_a_server_says_so() {
    let resource = Notes::new(A);
    let (tc, _client, connection) = client_with(resource.clone()).await;
    for days in [-1, 7] {
        tc.send(connection, Reply::Frame(Header::new(Kind::Oneway, 1), undo_log_delete(days)));
    }
    until("they are deleted", || !resource.calls().is_empty()).await;
    tc.ask(connection, Message::BranchCommit(branch(A, 1))).await;
    assert_eq!(resource.calls(), ["delete 7", "commit 1"], "a negative age is no age");
    assert_eq!(answered(&tc, connection).len(), 1, "only the commit is answered");
}

#[tokio::test]
async fn what_a_client_does_not_do_is_not_answered_and_does_no_harm() {
    let (tc, _client, connection) = client_with(Notes::new(A)).await;
    send(&tc, connection, 1, Message::GlobalCommit(Default::default()));
    let answer = tc.ask(connection, Message::BranchCommit(branch(A, 1))).await;
    assert_eq!(status(answer), BranchStatus::PhaseTwoCommitted);
}
