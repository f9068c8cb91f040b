//! Answers find their calls, and bad ones harm nobody else.

use std::sync::Mutex;

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn answers_in_another_order_reach_their_calls() {
    let tc = ScriptedTc::start().await;
    let waiting = Mutex::new(Vec::new());
    tc.script(move |received| {
        let mut waiting = waiting.lock().unwrap();
        waiting.push((received.header.id, name_in(received)));
        if waiting.len() < 3 {
            return Reply::Silence;
        }
        Reply::All(waiting.drain(..).rev().map(|(id, name)| response(id, begun(&name))).collect())
    });
    let (connection, _incoming) = open(&tc).await;
    let (a, b, c) =
        tokio::join!(xid_of(&connection, "a"), xid_of(&connection, "b"), xid_of(&connection, "c"),);
    assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), ("a".into(), "b".into(), "c".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_answers_at_once_reach_their_calls() {
    const CALLS: usize = 10_000;
    let tc = ScriptedTc::start().await;
    tc.stop_recording();
    let waiting = Mutex::new(Vec::new());
    tc.script(move |received| {
        let mut waiting = waiting.lock().unwrap();
        waiting.push((received.header.id, name_in(received)));
        if waiting.len() < CALLS {
            return Reply::Silence;
        }
        Reply::All(waiting.drain(..).rev().map(|(id, name)| response(id, begun(&name))).collect())
    });
    let (connection, _incoming) = open(&tc).await;
    let names: Vec<_> = (0..CALLS).map(|call| call.to_string()).collect();
    let calls: Vec<_> = names.iter().map(|name| spawn_call(&connection, name)).collect();
    let answers: Vec<_> = join_all(calls).await.into_iter().map(|xid| xid.unwrap().unwrap()).collect();
    assert_eq!(answers, names);
    assert_eq!((connection.in_flight(), unclaimed(&connection)), (0, 0));
}

#[tokio::test]
async fn one_byte_at_a_time_is_read_like_any_other() {
    let tc = ScriptedTc::start().await;
    tc.one_byte_at_a_time();
    tc.script(echo);
    let (connection, _incoming) = open(&tc).await;
    let (a, b) = tokio::join!(xid_of(&connection, "a"), xid_of(&connection, "b"));
    assert_eq!((a.unwrap(), b.unwrap()), ("a".into(), "b".into()));
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_counted_and_ignored() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| {
        let honest = begun(&name_in(received));
        let id = received.header.id;
        // Nobody's, twice this call's own, and ten thousand more.
        let strange = (1..=10_000).map(|more| response(id.wrapping_sub(more), begun("nobody's")));
        let mut all =
            vec![response(-20_000, begun("nobody's")), response(id, honest), response(id, begun("again"))];
        all.extend(strange);
        Reply::All(all)
    });
    let (connection, _incoming) = open(&tc).await;
    assert_eq!(xid_of(&connection, "a").await.unwrap(), "a");
    tc.script(echo);
    assert_eq!(xid_of(&connection, "b").await.unwrap(), "b", "the connection goes on");
    assert_eq!((unclaimed(&connection), connection.in_flight()), (10_002, 0));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_call_alone() {
    let unknown_type = [0x03, 0xe7];
    let cut_short = [0, 2, 1];
    for (codec, body, expected) in [
        (
            1,
            &unknown_type[..],
            "the answer to GlobalBeginRequest cannot be read: no message has type code 999",
        ),
        (1, &cut_short, "the answer to GlobalBeginRequest cannot be read: GlobalBeginResponse is cut short"),
        (1, &[], "the answer to GlobalBeginRequest cannot be read: "),
        (22, &[0, 2], "the answer to GlobalBeginRequest cannot be read: "),
        (99, &[0, 2], "the answer to GlobalBeginRequest cannot be read: "),
    ] {
        let tc = ScriptedTc::start().await;
        let body = body.to_vec();
        tc.script(move |received| match name_in(received).as_str() {
            "bad" => Reply::Bytes(raw_frame(1, codec, received.header.id, &body)),
            "slow" => Reply::After(SHORT, Box::new(Reply::Message(begun("slow")))),
            _ => echo(received),
        });
        let (connection, _incoming) = open(&tc).await;
        let (bad, slow) = tokio::join!(xid_of(&connection, "bad"), xid_of(&connection, "slow"));
        let error = bad.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(slow.unwrap(), "slow");
        assert_eq!(xid_of(&connection, "next").await.unwrap(), "next");
        assert_eq!(connection.in_flight(), 0);
    }
}

#[tokio::test]
async fn an_answer_to_something_else_fails_its_call_alone() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match name_in(received).as_str() {
        "bad" => Reply::Message(Message::BranchReportResponse(Outcome::success())),
        _ => echo(received),
    });
    let (connection, _incoming) = open(&tc).await;
    let error = xid_of(&connection, "bad").await.unwrap_err();
    assert_eq!(error.to_string(), "GlobalBeginRequest was answered by a BranchReportResponse");
    assert_eq!(xid_of(&connection, "good").await.unwrap(), "good");
}

#[tokio::test]
async fn a_message_that_cannot_be_written_is_refused_and_nothing_of_it_is_sent() {
    let tc = ScriptedTc::start().await;
    tc.script(echo);
    let (connection, _incoming) = open(&tc).await;
    let error = xid_of(&connection, &"x".repeat(40_000)).await.unwrap_err();
    assert!(matches!(error, CallError::Unsendable { .. }), "{error}");
    assert_eq!(xid_of(&connection, "next").await.unwrap(), "next");
    assert_eq!((tc.messages().len(), connection.in_flight()), (1, 0));
}

#[tokio::test]
async fn a_frame_of_an_unknown_kind_is_ignored() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| {
        let strange = Reply::Bytes(raw_frame(9, 1, received.header.id, &[0, 2]));
        Reply::All(vec![strange, echo(received)])
    });
    let (connection, _incoming) = open(&tc).await;
    assert_eq!(xid_of(&connection, "a").await.unwrap(), "a");
}

/// What a Java server does with answers whose connection is gone.
#[tokio::test]
async fn an_answer_to_a_call_of_another_connection_reaches_nobody() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Silence);
    let (gone, _incoming) = open(&tc).await;
    let lost = spawn_call(&gone, "lost");
    let lost_id = tc.wait_for("the lost call", |_| true).await.header.id;
    lost.abort();
    drop(gone);
    tc.script(move |received| Reply::All(vec![response(lost_id, begun("lost")), echo(received)]));
    let (connection, _incoming) = open(&tc).await;
    assert_eq!(xid_of(&connection, "next").await.unwrap(), "next");
    assert_eq!(unclaimed(&connection), 1);
}
