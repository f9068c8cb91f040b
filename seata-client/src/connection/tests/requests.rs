//! Requests of the server.

use seata_protocol::{BranchId, BranchRequest, BranchResponse, BranchStatus, Codec, Release, UndoLogDelete};

use super::*;

fn commit(branch: i64) -> Message {
    Message::BranchCommit(BranchRequest {
        xid: "127.0.0.1:8091:1".into(),
        branch_id: BranchId(branch),
        branch_type: BranchType::At,
        resource_id: "r".into(),
        application_data: "".into(),
    })
}

fn committed(branch: i64) -> Message {
    Message::BranchCommitResponse(BranchResponse {
        outcome: Outcome::success(),
        xid: "127.0.0.1:8091:1".into(),
        branch_id: BranchId(branch),
        status: BranchStatus::PhaseTwoCommitted,
    })
}

#[tokio::test]
async fn a_request_of_the_server_is_answered_under_its_own_id() {
    let tc = ScriptedTc::start().await;
    let (connection, mut incoming) = open(&tc).await;
    let answer = async {
        let (header, message) = within(incoming.next()).await.unwrap();
        assert_eq!(message, commit(7));
        connection.answer(&header, committed(7)).await.unwrap();
    };
    tc.until("the connection", |tc| tc.accepted() == 1).await;
    let (answered, ()) = tokio::join!(tc.ask(0, commit(7)), answer);
    assert_eq!(answered, committed(7));
}

#[tokio::test]
async fn an_answer_is_written_like_its_request() {
    for release in ["2.0.0", "2.6.0"] {
        let dialect = Release::of(release).dialect();
        let tc = ScriptedTc::start().await;
        tc.script(move |received| {
            let request = Header { codec: Codec::Protobuf, dialect, ..Header::new(Kind::Request, 7) };
            Reply::All(vec![Reply::Frame(request, commit(1)), echo(received)])
        });
        let (connection, mut incoming) = open(&tc).await;
        xid_of(&connection, "a").await.unwrap();
        let (header, message) = within(incoming.next()).await.unwrap();
        assert_eq!(message, commit(1));
        assert_eq!(header.reply().dialect.protobuf, dialect.protobuf);
        connection.answer(&header, committed(1)).await.unwrap();
        let answer = tc.wait_for("the answer", |received| received.message == Some(committed(1))).await;
        assert_eq!((answer.header.codec, answer.header.id), (Codec::Protobuf, 7));
    }
}

#[tokio::test]
async fn the_servers_ids_and_ours_are_different_ones() {
    let tc = ScriptedTc::start().await;
    // The request has the id of the call that waits; so has the ping.
    tc.script(|received| {
        let id = received.header.id;
        Reply::All(vec![
            Reply::Frame(Header::new(Kind::Request, id), commit(1)),
            Reply::Bytes(raw_frame(3, 1, id, &[])),
            Reply::Bytes(raw_frame(4, 1, id, &[])),
            Reply::After(SHORT, Box::new(echo(received))),
        ])
    });
    let (connection, mut incoming) = open(&tc).await;
    assert_eq!(xid_of(&connection, "a").await.unwrap(), "a");
    let (header, message) = within(incoming.next()).await.unwrap();
    assert_eq!(message, commit(1));
    let pong = tc.wait_for("the pong", |received| received.header.kind == Kind::Pong).await;
    assert_eq!(pong.header.id, header.id);
}

#[tokio::test]
async fn requests_that_nobody_takes_hold_up_no_answer_and_are_bounded() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match &received.message {
        Some(Message::GlobalBegin(_)) => {
            let flood = (0..5000).map(|id| Reply::Frame(Header::new(Kind::Request, id), commit(id.into())));
            Reply::All(flood.chain([echo(received)]).collect())
        }
        _ => Reply::Honest,
    });
    let (connection, mut incoming) = open(&tc).await;
    assert_eq!(xid_of(&connection, "a").await.unwrap(), "a");
    within(connection.close(LONG)).await;
    let mut taken = 0;
    while let Some((header, _)) = within(incoming.next()).await {
        assert_eq!(header.id, taken, "the first ones, in their order");
        taken += 1;
    }
    assert_eq!(taken, 1024);
}

#[tokio::test]
async fn large_requests_are_bounded_by_their_bytes() {
    let tc = ScriptedTc::start().await;
    let large = |id: i32| {
        let data = "d".repeat(4 << 20);
        let request = BranchRequest { application_data: data.into(), ..branch_request() };
        Reply::Frame(Header::new(Kind::Request, id), Message::BranchCommit(request))
    };
    tc.script(move |received| {
        let flood = (0..10).map(large);
        Reply::All(flood.chain([echo(received)]).collect())
    });
    let (connection, mut incoming) = open(&tc).await;
    assert_eq!(xid_of(&connection, "a").await.unwrap(), "a");
    within(connection.close(LONG)).await;
    let mut taken = 0;
    while within(incoming.next()).await.is_some() {
        taken += 1;
    }
    assert_eq!(taken, 3, "of 4 MiB and a little, in 16 MiB");
}

fn branch_request() -> BranchRequest {
    match commit(1) {
        Message::BranchCommit(request) => request,
        _ => unreachable!(),
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_left_out() {
    let tc = ScriptedTc::start().await;
    let (_connection, mut incoming) = open(&tc).await;
    tc.until("the connection", |tc| tc.accepted() == 1).await;
    let delete = Message::UndoLogDelete(UndoLogDelete {
        branch_type: BranchType::At,
        resource_id: "r".into(),
        save_days: 7,
    });
    tc.send(0, Reply::Bytes(raw_frame(0, 1, 5, &[0x03, 0xe7])));
    tc.send(0, Reply::Bytes(raw_frame(0, 22, 6, &[0, 3])));
    tc.send(0, Reply::Frame(Header::new(Kind::Oneway, 7), delete.clone()));
    let (header, message) = within(incoming.next()).await.unwrap();
    assert_eq!((header.kind, header.id, message), (Kind::Oneway, 7, delete));
}
