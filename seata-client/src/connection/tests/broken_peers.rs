//! A peer that breaks the stream, says nothing, or takes nothing.

use std::time::Instant;

use super::*;

/// What follows in the stream cannot be told apart, so everybody who waits gets the reason.
#[tokio::test]
async fn bytes_that_are_no_frame_end_the_connection_with_a_reason_for_every_call() {
    let lying = |length: u32, head: u16| {
        let mut bytes = raw_frame(1, 1, 1, &[]);
        bytes[3..7].copy_from_slice(&length.to_be_bytes());
        bytes[7..9].copy_from_slice(&head.to_be_bytes());
        bytes
    };
    let cases = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "it answers HTTP: is this the console's port"),
        (b"SSH-2.0-OpenSSH_9\r\n".to_vec(), "a frame begins with [53, 53]"),
        (vec![0xda, 0xda, 7, 0, 0, 0, 16, 0, 16, 1, 1, 0, 0, 0, 0, 1], "a frame has protocol version 7"),
        (lying(9 << 20, 16), "a frame says it is 9437184 bytes long"),
        (lying(u32::MAX, 16), "a frame says it is"),
        (lying(20, 30), "a frame of 20 bytes says its header has 30"),
        // What Java leaves behind when it fails to encode an answer.
        (lying(0, 0), "a frame says it is 0 bytes long"),
    ];
    for (bytes, expected) in cases {
        let tc = ScriptedTc::start().await;
        let sent = bytes.clone();
        tc.script(move |received| match name_in(received).as_str() {
            "second" => Reply::Bytes(sent.clone()),
            _ => Reply::Silence,
        });
        let (connection, mut incoming) = open(&tc).await;
        let first = spawn_call(&connection, "first");
        tc.wait_for("the first call", |received| name_in(received) == "first").await;
        let second = spawn_call(&connection, "second");
        for call in [first, second] {
            let error = within(call).await.unwrap().unwrap_err();
            assert!(
                error.to_string().starts_with(
                    "GlobalBeginRequest has no answer, the connection ended: the server sent what is no frame: "
                ) && error.to_string().contains(expected),
                "{bytes:?}: {error}"
            );
        }
        assert!(!connection.is_open());
        assert!(matches!(&*reason_of(&connection).await, CloseReason::Broken(_)));
        assert!(within(incoming.next()).await.is_none());
        let error = xid_of(&connection, "third").await.unwrap_err();
        assert!(matches!(error, CallError::Ended { sent: false, .. }), "{error}");
        tc.until("the socket is closed", |tc| tc.open() == 0).await;
    }
}

#[tokio::test]
async fn a_length_that_lies_costs_no_memory_and_no_other_call() {
    let tc = ScriptedTc::start().await;
    // Says 8 MiB and sends 16 bytes of them.
    let mut header = raw_frame(1, 1, 1, &[]);
    header[3..7].copy_from_slice(&(8_u32 << 20).to_be_bytes());
    tc.script(move |_| Reply::All(vec![Reply::Bytes(header.clone()), Reply::Close]));
    let (connection, _incoming) = open(&tc).await;
    let error = xid_of(&connection, "a").await.unwrap_err();
    assert!(error.to_string().ends_with("the server closed it 16 bytes into a frame"), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_named() {
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::Close);
    let (connection, _incoming) = open(&tc).await;
    let reason = reason_of(&connection).await;
    assert!(matches!(&*reason, CloseReason::ClosedByServer | CloseReason::Read(_)), "{reason}");
    let error = xid_of(&connection, "a").await.unwrap_err();
    assert!(matches!(error, CallError::Ended { sent: false, .. }), "{error}");
}

#[tokio::test]
async fn a_quiet_connection_is_kept_alive_by_pings() {
    let tc = ScriptedTc::start().await;
    let (connection, _incoming) = open_with(&tc, |settings| {
        settings.heartbeat = Duration::from_millis(20);
        settings.idle = Duration::from_secs(5);
    })
    .await;
    tc.until("three pings", |tc| {
        tc.received().iter().filter(|received| received.header.kind == Kind::Ping).count() >= 3
    })
    .await;
    assert!(connection.is_open());
    assert_eq!(unclaimed(&connection), 0, "a pong is no answer");
}

#[tokio::test]
async fn a_connection_that_is_used_is_not_pinged() {
    let tc = ScriptedTc::start().await;
    tc.script(echo);
    let (connection, _incoming) =
        open_with(&tc, |settings| settings.heartbeat = Duration::from_millis(1000)).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        xid_of(&connection, "a").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pings = tc.received().iter().filter(|received| received.header.kind == Kind::Ping).count();
    assert_eq!(pings, 0);
}

/// Requests that go out leave no need for pings; the missing answers do.
#[tokio::test]
async fn a_server_that_is_slow_to_answer_is_told_from_a_dead_one() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match received.message {
        Some(_) => Reply::Silence,
        None => Reply::Honest,
    });
    let (connection, _incoming) = open_with(&tc, |settings| {
        settings.heartbeat = Duration::from_millis(200);
        settings.idle = Duration::from_millis(2000);
    })
    .await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        let _ = connection.call(&begin("slow"), Duration::from_millis(50)).await.unwrap_err();
    }
    assert!(connection.is_open());
    let most = began.elapsed().as_millis() / 200;
    let pings = tc.received().iter().filter(|received| received.header.kind == Kind::Ping).count();
    assert!(pings > 0 && pings as u128 <= most, "{pings} pings");
}

#[tokio::test]
async fn a_server_that_says_nothing_for_too_long_is_given_up() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Silence);
    let (connection, _incoming) = open_with(&tc, |settings| {
        settings.heartbeat = Duration::from_millis(50);
        settings.idle = Duration::from_millis(200);
    })
    .await;
    let error = xid_of(&connection, "a").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GlobalBeginRequest has no answer, the connection ended: the server sent nothing for 200ms"
    );
    assert!(tc.received().iter().any(|received| received.header.kind == Kind::Ping), "it was asked");
}

/// The limit of a call, not the limit of the connection, decides how long its caller waits.
#[tokio::test]
async fn callers_of_a_server_that_reads_nothing_get_a_named_error_and_memory_stays_bounded() {
    const LIMIT: usize = 64 << 10;
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::StopReading);
    let (connection, _incoming) = open_with(&tc, |settings| settings.max_outgoing_bytes = LIMIT).await;
    let name = "n".repeat(30_000);
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (connection, message) = (connection.clone(), begin(&name));
            tokio::spawn(async move { connection.call(&message, Duration::from_secs(2)).await })
        })
        .collect();
    let (mut unsent, mut unanswered) = (0, 0);
    for call in calls {
        match within(call).await.unwrap().unwrap_err() {
            CallError::NoRoom { .. } => unsent += 1,
            CallError::NoAnswer { .. } => unanswered += 1,
            other => panic!("{other}"),
        }
        assert!(connection.shared().outbox.len() <= LIMIT + 31_000);
    }
    assert!(unsent > 0 && unanswered > 0, "{unsent} had no room, {unanswered} no answer");
    assert!(connection.is_open());
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test]
async fn a_server_that_talks_and_does_not_read_is_given_up() {
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::StopReading);
    let (connection, _incoming) = open_with(&tc, |settings| {
        settings.heartbeat = Duration::from_millis(100);
        settings.idle = Duration::from_millis(400);
        settings.max_outgoing_bytes = 32 << 20;
    })
    .await;
    let name = "n".repeat(30_000);
    let calls: Vec<_> = (0..600).map(|_| spawn_call(&connection, &name)).collect();
    tc.until("the connection", |tc| tc.accepted() == 1).await;
    let chatter = async {
        loop {
            tc.send(0, Reply::Bytes(raw_frame(4, 1, 1, &[])));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reason = tokio::select! {
        reason = reason_of(&connection) => reason,
        () = chatter => unreachable!(),
    };
    assert!(matches!(&*reason, CloseReason::Stalled { .. }), "{reason}");
    for call in calls {
        assert!(matches!(within(call).await.unwrap(), Err(CallError::Ended { .. })));
    }
}

#[tokio::test]
async fn room_that_comes_back_is_used() {
    let tc = ScriptedTc::start().await;
    tc.stop_recording();
    tc.script(|_| Reply::Message(begun("x")));
    let (connection, _incoming) = open_with(&tc, |settings| settings.max_outgoing_bytes = 1).await;
    let name = "n".repeat(1000);
    let calls: Vec<_> = (0..500).map(|_| spawn_call(&connection, &name)).collect();
    for call in calls {
        assert_eq!(within(call).await.unwrap().unwrap(), "x");
    }
}
