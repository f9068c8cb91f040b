//! Calls that end before their answer: by their limit, by a drop, for want of a place.

use super::*;

#[tokio::test]
async fn a_call_ends_with_its_limit_and_its_late_answer_is_ignored() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match name_in(received).as_str() {
        "late" => Reply::After(SHORT * 3, Box::new(echo(received))),
        _ => echo(received),
    });
    let (connection, _incoming) = open(&tc).await;
    let error = connection.call(&begin("late"), SHORT).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer to GlobalBeginRequest within 100ms");
    assert_eq!(connection.in_flight(), 0);
    assert_eq!(xid_of(&connection, "other").await.unwrap(), "other");
    within(async {
        while unclaimed(&connection) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(xid_of(&connection, "next").await.unwrap(), "next");
    assert_eq!(unclaimed(&connection), 1);
}

#[tokio::test]
async fn a_dropped_call_gives_its_place_back() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match name_in(received).as_str() {
        "dropped" => Reply::Silence,
        _ => echo(received),
    });
    let (connection, _incoming) = open_with(&tc, |settings| settings.max_requests_in_flight = 1).await;
    let dropped = spawn_call(&connection, "dropped");
    let first = tc.wait_for("the call", |received| name_in(received) == "dropped").await;
    assert_eq!(connection.in_flight(), 1);
    dropped.abort();
    until_idle(&connection).await;

    // Its answer, if it comes now, is nobody's, also while another call waits.
    tc.script(move |received| Reply::All(vec![response(first.header.id, begun("dropped")), echo(received)]));
    assert_eq!(xid_of(&connection, "next").await.unwrap(), "next");
    assert_eq!(unclaimed(&connection), 1);
}

#[tokio::test]
async fn more_calls_than_places_wait_within_their_limits() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Silence);
    let (connection, _incoming) = open_with(&tc, |settings| settings.max_requests_in_flight = 2).await;
    let _first = spawn_call(&connection, "first");
    let _second = spawn_call(&connection, "second");
    tc.until("both", |tc| tc.messages().len() == 2).await;
    let error = connection.call(&begin("third"), SHORT).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GlobalBeginRequest was not sent, 2 other requests were in flight for 100ms"
    );

    let waiting = spawn_call(&connection, "waiting");
    tc.script(echo);
    let id = tc.received()[0].header.id;
    tc.send(0, response(id, begun("first")));
    assert_eq!(within(waiting).await.unwrap().unwrap(), "waiting");
    assert_eq!(tc.messages().len(), 3, "the third was never sent");
}

#[tokio::test]
async fn many_dropped_calls_leave_nothing_behind() {
    let tc = ScriptedTc::start().await;
    tc.stop_recording();
    tc.script(|_| Reply::Silence);
    let (connection, _incoming) = open(&tc).await;
    let calls: Vec<_> = (0..5000).map(|_| spawn_call(&connection, "dropped")).collect();
    tokio::task::yield_now().await;
    for call in &calls {
        call.abort();
    }
    for call in calls {
        let _ = call.await;
    }
    let shared = connection.shared();
    assert_eq!((connection.in_flight(), shared.places.available_permits()), (0, shared.max_in_flight));
}
