//! Who may speak, and as whom.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use seata_protocol::{
    BranchStatus, BranchType, Codec, GlobalStatus, Header, Kind, Message, Version, frame, sign,
};
use seata_server::settings::AccessKey;

use crate::{
    peer::{Peer, begin, branch, global, register_rm, register_tm},
    server, stop,
};

#[tokio::test]
async fn who_is_not_registered_gets_heartbeats_and_nothing_else() {
    let (server, address) = server(|_| {}).await;
    let mut peer = Peer::connect(address).await;
    let mut ping = BytesMut::new();
    frame::write_heartbeat(&mut ping, &Header::new(Kind::Ping, 5));
    peer.write(&ping).await;
    peer.pong(5).await;
    peer.send(&begin()).await;
    peer.is_closed().await;
    stop(server).await;
}

#[tokio::test]
async fn requests_right_behind_a_registration_find_it() {
    let (server, address) = server(|_| {}).await;
    let mut peer = Peer::connect(address).await;
    let mut bytes = BytesMut::new();
    for id in 0..50 {
        let message = match id {
            0 => register_tm("2.6.0", ""),
            1 => register_rm("2.6.0", "app", "jdbc:a"),
            _ => begin(),
        };
        let kind = if id < 2 { Kind::Oneway } else { Kind::Request };
        frame::write(&mut bytes, &Header::new(kind, id), &message).unwrap();
    }
    peer.write(&bytes).await;
    for id in 0..50 {
        let answer = peer.answer_to(id).await;
        assert_eq!(answer.type_code(), [102, 104, 2][(id as usize).min(2)]);
    }
    stop(server).await;
}

/// As seata-go does: one connection, the TM registered oneway with another version, pings with ids of their own
/// that are those of requests under way.
#[tokio::test]
async fn one_connection_may_be_tm_and_rm() {
    let (server, address) = server(|_| {}).await;
    let mut go = Peer::connect(address).await;
    go.send_as(&Header::new(Kind::Oneway, 901), &register_tm("1.1.0", "")).await;
    go.send_as(&Header::new(Kind::Request, 902), &register_rm("1.5.2", "app", "stock")).await;
    go.answer_to(902).await;
    let xid = go.begin().await;
    go.branch(&xid, BranchType::Tcc, "stock", "").await;
    go.send_as(&Header::new(Kind::Request, 77), &Message::GlobalCommit(global(&xid))).await;
    let mut ping = BytesMut::new();
    frame::write_heartbeat(&mut ping, &Header::new(Kind::Ping, 77));
    go.write(&ping).await;
    go.pong(77).await;
    go.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    assert_eq!(crate::peer::status_of(go.answer_to(77).await), GlobalStatus::Committed);

    // A text would be read with a length of one byte there.
    let report = seata_protocol::BranchReport {
        xid: xid.as_str().into(),
        branch_id: seata_protocol::BranchId(2),
        status: BranchStatus::PhaseOneFailed,
        resource_id: "".into(),
        application_data: "".into(),
        branch_type: BranchType::Tcc,
    };
    let Message::BranchReportResponse(outcome) = go.ask(Message::BranchReport(report)).await else {
        panic!("another answer")
    };
    assert!(!outcome.is_success());
    assert_eq!(outcome.message, "");
    stop(server).await;
}

#[tokio::test]
async fn version_zero_is_answered_in_version_zero() {
    let (server, address) = server(|_| {}).await;
    let mut old = Peer::connect(address).await;
    let header = |id| Header { version: Version::V0, ..Header::new(Kind::Request, id) };
    old.send_as(&header(1), &register_rm("0.7.0", "app", "stock")).await;
    let (answered, _) = old.next().await.unwrap();
    assert_eq!((answered.version, answered.id), (Version::V0, 1));
    let mut tm = Peer::tm(address, "2.6.0").await;
    let xid = tm.begin().await;
    old.send_as(&header(2), &branch(&xid, BranchType::Tcc, "stock", "")).await;
    old.answer_to(2).await;
    let phase_two = async {
        let (header, message) = old.asked().await;
        assert_eq!(header.version, Version::V0);
        let answer = crate::peer::phase_two_answer(&message, BranchStatus::PhaseTwoCommitted);
        old.send_as(&header.reply(), &answer).await;
    };
    let (status, ()) = tokio::join!(tm.commit(&xid), phase_two);
    assert_eq!(status, GlobalStatus::Committed);
    stop(server).await;
}

#[tokio::test]
async fn with_access_keys_only_those_who_sign_begin_transactions() {
    let key = AccessKey { group: None, key: "ak".to_owned(), secret: "secret".to_owned() };
    let (server, address) = server(|settings| settings.front.access_keys = vec![key]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let signed = |secret: &str, at: Duration| {
        let at = u64::try_from(at.as_millis()).unwrap();
        let digest = sign(&format!("group,10.0.0.9,{at}"), at, secret);
        format!("ak=ak\ndigest={digest}\ntimestamp={at}\nauthVersion=V4\nvgroup=group\nip=10.0.0.9\n")
    };
    for (data, is_welcome) in [
        (signed("secret", now), true),
        (signed("another", now), false),
        (signed("secret", now - Duration::from_secs(3_600)), false),
        (String::new(), false),
    ] {
        let mut tm = Peer::connect(address).await;
        let answer = tm.ask(register_tm("2.6.0", &data)).await;
        let Message::RegisterTmResponse(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.identified, is_welcome, "{data}");
        tm.send(&begin()).await;
        match is_welcome {
            true => assert!(tm.next().await.is_some()),
            false => tm.is_closed().await,
        }
    }
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    rm.send(&begin()).await;
    rm.is_closed().await;
    stop(server).await;
}

#[tokio::test]
async fn resources_beyond_the_limit_are_refused_and_nothing_changes() {
    let (server, address) = server(|settings| settings.front.max_resources_per_client = 3).await;
    let mut rm = Peer::rm(address, "2.6.0", "a,b").await;
    for (resources, is_welcome) in
        [("c,d", false), ("a,b,c", true), ("d", false), ("b,a", true), ("a,b,c,d", false)]
    {
        let answer = rm.ask(register_rm("2.6.0", "app", resources)).await;
        let Message::RegisterRmResponse(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.identified, is_welcome, "{resources}");
    }
    // Protobuf has room for the reason.
    let header = Header { codec: Codec::Protobuf, ..Header::new(Kind::Request, 900) };
    rm.send_as(&header, &register_rm("2.6.0", "app", "d")).await;
    let Message::RegisterRmResponse(answer) = rm.answer_to(900).await else { panic!("another answer") };
    assert!(answer.outcome.message.contains("server.maxResourcesPerClient"), "{answer:?}");
    stop(server).await;
}

#[tokio::test]
async fn names_that_are_too_long_are_refused() {
    let (server, address) = server(|_| {}).await;
    for (version, application, resource) in [
        ("2".repeat(65), "app".to_owned(), "a".to_owned()),
        ("2.6.0".to_owned(), "a".repeat(257), "a".to_owned()),
        ("2.6.0".to_owned(), "app".to_owned(), "a".repeat(257)),
    ] {
        let mut rm = Peer::connect(address).await;
        let answer = rm.ask(register_rm(&version, &application, &resource)).await;
        let Message::RegisterRmResponse(answer) = answer else { panic!("{answer:?}") };
        assert!(!answer.identified);
    }
    let mut rm = Peer::rm(address, "2.6.0", "a").await;
    let xid = rm.begin().await;
    let long = "a".repeat(257);
    let answer = rm.ask(branch(&xid, BranchType::At, &long, "t:1")).await;
    let Message::BranchRegisterResponse(answer) = answer else { panic!("{answer:?}") };
    assert!(answer.outcome.message.contains("257 bytes long"), "{answer:?}");
    let Message::BranchRegister(query) = branch(&xid, BranchType::At, &long, "t:1") else { unreachable!() };
    let Message::GlobalLockQueryResponse(answer) = rm.ask(Message::GlobalLockQuery(query)).await else {
        panic!("another answer")
    };
    assert!(answer.outcome.message.contains("257 bytes long"), "{answer:?}");
    stop(server).await;
}
