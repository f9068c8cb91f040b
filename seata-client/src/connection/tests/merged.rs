//! Requests that travel together.

use seata_protocol::{Batch, BranchId, BranchRegistered};

use super::*;
use crate::scripted::MergedAnswers;

async fn open_merging(tc: &ScriptedTc) -> (Connection, Incoming) {
    open_with(tc, |settings| settings.merge_requests = true).await
}

fn registered(branch: i64) -> Message {
    let outcome = Outcome::success();
    Message::BranchRegisterResponse(BranchRegistered { outcome, branch_id: BranchId(branch) })
}

async fn branch_of(connection: &Connection, lock_key: &str) -> Result<i64, CallError> {
    match connection.call(&register(lock_key), LONG).await? {
        Message::BranchRegisterResponse(registered) => Ok(registered.branch_id.0),
        other => panic!("{other:?}"),
    }
}

fn batch_in(received: &Received) -> Batch {
    match &received.message {
        Some(Message::Merged(batch)) => batch.clone(),
        other => panic!("expected a merged frame, got {other:?}"),
    }
}

/// The lock key says which branch it is.
fn branch_in(message: &Message) -> i64 {
    match message {
        Message::BranchRegister(request) => request.lock_key.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn requests_of_one_moment_travel_together_whatever_form_the_answer_has() {
    for form in [MergedAnswers::ByPosition, MergedAnswers::Batches, MergedAnswers::Alone] {
        let tc = ScriptedTc::start().await;
        tc.merged_answers(form);
        let (connection, _incoming) = open_merging(&tc).await;
        let (a, b, c, d, begun) = tokio::join!(
            branch_of(&connection, "1"),
            branch_of(&connection, "2"),
            branch_of(&connection, "3"),
            branch_of(&connection, "4"),
            xid_of(&connection, "begin"),
        );
        let ids = [a, b, c, d].map(|id| id.unwrap());
        assert!(ids.is_sorted(), "{form:?}: {ids:?} are given in the order of the requests");
        assert!(begun.unwrap().starts_with("127.0.0.1:"));
        let received = tc.received();
        assert_eq!(received.len(), 2, "{form:?}: the begin goes alone");
        assert_eq!((received[1].header.kind, batch_in(&received[1]).messages.len()), (Kind::Oneway, 4));
        assert_eq!(connection.in_flight(), 0);
        assert!(connection.shared().pending.is_empty(), "{form:?} leaves nothing behind");
        assert_eq!(unclaimed(&connection), 0);
    }
}

#[tokio::test]
async fn a_single_request_goes_alone() {
    let tc = ScriptedTc::start().await;
    let (connection, _incoming) = open_merging(&tc).await;
    branch_of(&connection, "1").await.unwrap();
    let received = tc.received();
    assert!(matches!(&received[0].message, Some(Message::BranchRegister(_))), "{received:?}");
    assert_eq!(received[0].header.kind, Kind::Request);
}

#[tokio::test]
async fn fewer_answers_than_requests_are_assigned_to_nobody() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match &received.message {
        Some(Message::Merged(_)) => Reply::Message(Message::MergeResult(vec![registered(7)])),
        _ => Reply::Honest,
    });
    let (connection, _incoming) = open_merging(&tc).await;
    let (a, b) = tokio::join!(branch_of(&connection, "1"), branch_of(&connection, "2"));
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert_eq!(
            error.to_string(),
            "BranchRegisterRequest was sent merged with others, 2 in all, and 1 answer(s) came back"
        );
    }
    assert!(connection.shared().pending.is_empty());
    branch_of(&connection, "3").await.unwrap();
}

#[tokio::test]
async fn a_merged_answer_that_cannot_be_read_fails_those_in_it() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match &received.message {
        Some(Message::Merged(_)) => Reply::Bytes(raw_frame(1, 1, received.header.id, &[0, 60, 0])),
        _ => Reply::Honest,
    });
    let (connection, _incoming) = open_merging(&tc).await;
    let (a, b) = tokio::join!(branch_of(&connection, "1"), branch_of(&connection, "2"));
    assert!(matches!(a.unwrap_err(), CallError::Unreadable { .. }));
    assert!(matches!(b.unwrap_err(), CallError::Unreadable { .. }));
    branch_of(&connection, "3").await.unwrap();
}

#[tokio::test]
async fn a_merged_frame_answered_by_something_else_fails_those_in_it() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match &received.message {
        Some(Message::Merged(_)) => Reply::Message(registered(7)),
        _ => Reply::Honest,
    });
    let (connection, _incoming) = open_merging(&tc).await;
    let (a, b) = tokio::join!(branch_of(&connection, "1"), branch_of(&connection, "2"));
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert!(matches!(error, CallError::Unassignable { requests: 2, answers: 1, .. }), "{error}");
    }
}

#[tokio::test]
async fn batched_answers_reach_only_calls_of_their_frame() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Silence);
    let (connection, _incoming) = open_merging(&tc).await;
    let alone = spawn_call(&connection, "alone");
    let alone_id = tc.wait_for("the first call", |_| true).await.header.id;
    // Ids of nobody, of a call in no merged frame, and the right ones twice.
    tc.script(move |received| {
        let batch = batch_in(received);
        let answers: Vec<_> = batch.messages.iter().map(|message| registered(branch_in(message))).collect();
        let nobody = if alone_id == 0 { 500_000 } else { alone_id - 1 };
        let stranger = Batch { messages: vec![registered(99), registered(98)], ids: vec![nobody, alone_id] };
        let honest = Batch { messages: answers, ids: batch.ids };
        let batches = [stranger, honest.clone(), honest];
        Reply::All(batches.map(|batch| Reply::Message(Message::BatchResult(batch))).to_vec())
    });
    let (a, b) = tokio::join!(branch_of(&connection, "1"), branch_of(&connection, "2"));
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
    tc.send(0, response(alone_id, begun("alone")));
    assert_eq!(within(alone).await.unwrap().unwrap(), "alone");
    // The two strangers, and the third message as a whole: nobody of its frame waits by then.
    assert_eq!(unclaimed(&connection), 3);
}

#[tokio::test]
async fn one_that_cannot_be_sent_does_not_keep_the_others() {
    let tc = ScriptedTc::start().await;
    let (connection, _incoming) = open_merging(&tc).await;
    let Message::BranchRegister(mut too_long) = register("3") else { unreachable!() };
    too_long.resource_id = "r".repeat(40_000).into();
    let too_long = Message::BranchRegister(too_long);
    let (a, bad, b) = tokio::join!(
        branch_of(&connection, "1"),
        connection.call(&too_long, LONG),
        branch_of(&connection, "2"),
    );
    assert!(matches!(bad.unwrap_err(), CallError::Unsendable { .. }));
    assert!(a.is_ok() && b.is_ok());
    assert!(connection.shared().pending.is_empty());
}

#[tokio::test]
async fn calls_dropped_before_they_were_sent_are_left_out() {
    let tc = ScriptedTc::start().await;
    let (connection, _incoming) = open_merging(&tc).await;
    {
        let dropped = branch_of(&connection, "1");
        tokio::pin!(dropped);
        // Polled once, so that it waits in the queue; the task behind the connection has not run since.
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(dropped.as_mut().poll(context).is_pending())
        });
        assert!(polled.await);
    }
    branch_of(&connection, "2").await.unwrap();
    let sent: Vec<_> = tc.messages().iter().map(branch_in).collect();
    assert_eq!(sent, [2]);
}

#[tokio::test]
async fn merged_requests_of_a_connection_that_ends_get_its_reason() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Close);
    let (connection, _incoming) = open_merging(&tc).await;
    let (a, b) = tokio::join!(branch_of(&connection, "1"), branch_of(&connection, "2"));
    assert!(matches!(a.unwrap_err(), CallError::Ended { sent: true, .. }));
    assert!(matches!(b.unwrap_err(), CallError::Ended { sent: true, .. }));
    assert!(connection.shared().pending.is_empty());
}

#[tokio::test]
async fn a_thousand_merged_requests_take_few_frames() {
    let tc = ScriptedTc::start().await;
    let (connection, _incoming) = open_merging(&tc).await;
    let calls: Vec<_> = (0..3000)
        .map(|call: i64| {
            let connection = connection.clone();
            tokio::spawn(async move { branch_of(&connection, &call.to_string()).await })
        })
        .collect();
    for call in calls {
        within(call).await.unwrap().unwrap();
    }
    let frames = tc.received();
    assert!(frames.len() < 100, "{} frames", frames.len());
    let largest = frames.iter().filter_map(|frame| match &frame.message {
        Some(Message::Merged(batch)) => Some(batch.ids.len()),
        _ => None,
    });
    assert_eq!(largest.max(), Some(1024));
}

#[tokio::test]
async fn requests_to_be_merged_wait_for_room_like_all_others() {
    const LIMIT: usize = 64 << 10;
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::StopReading);
    let (connection, _incoming) = open_with(&tc, |settings| {
        settings.merge_requests = true;
        settings.max_outgoing_bytes = LIMIT;
    })
    .await;
    let lock_key = "k".repeat(30_000);
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (connection, message) = (connection.clone(), register(&lock_key));
            tokio::spawn(async move { connection.call(&message, Duration::from_secs(2)).await })
        })
        .collect();
    let mut unsent = 0;
    for call in calls {
        match within(call).await.unwrap().unwrap_err() {
            CallError::NoRoom { .. } => unsent += 1,
            CallError::NoAnswer { .. } => {}
            other => panic!("{other}"),
        }
        assert!(connection.shared().outbox.len() <= LIMIT + 31_000);
    }
    assert!(unsent > 0);
    assert!(connection.is_open());
}
