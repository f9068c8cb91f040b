//! Transactions over the wire.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use seata_protocol::{
    Batch, BranchRegister, BranchStatus, BranchType, GlobalBegin, GlobalStatus, Header, Kind, Message,
    TransactionExceptionCode, frame,
};

use crate::{
    peer::{Peer, begin, branch, global, phase_two_answer, status_of},
    server, stop,
};

#[tokio::test]
async fn a_tcc_branch_is_committed_while_its_starter_waits() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "stock").await;
    let xid = tm.begin().await;
    let branch = rm.branch(&xid, BranchType::Tcc, "stock", "").await;
    let (status, request) =
        tokio::join!(tm.commit(&xid), rm.serve_phase_two(BranchStatus::PhaseTwoCommitted));
    assert_eq!(status, GlobalStatus::Committed);
    assert_eq!((&*request.xid, request.branch_id), (&*xid, branch));
    assert_eq!((&*request.resource_id, request.branch_type), ("stock", BranchType::Tcc));
    assert_eq!(tm.status(&xid).await, GlobalStatus::Committed);
    stop(server).await;
}

#[tokio::test]
async fn at_branches_lock_rows_and_are_rolled_back_youngest_first() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let (xid, other) = (tm.begin().await, tm.begin().await);
    let first = rm.branch(&xid, BranchType::At, "jdbc:a", "t:1,2").await;
    let second = rm.branch(&xid, BranchType::At, "jdbc:a", "t:3").await;

    let refused = rm.ask(branch(&other, BranchType::At, "jdbc:a", "t:2")).await;
    let Message::BranchRegisterResponse(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.outcome.code, TransactionExceptionCode::LockKeyConflict);
    let text = &*refused.outcome.message;
    assert!(text.starts_with(&format!("TransactionException[Global lock acquire failed xid = {other}")));
    assert!(text.contains("t:2") && text.contains(&xid), "{text}");

    let phase_two = async {
        let mut asked = Vec::new();
        for _ in 0..2 {
            asked.push(rm.serve_phase_two(BranchStatus::PhaseTwoRollbacked).await.branch_id);
        }
        asked
    };
    let (status, asked) = tokio::join!(tm.rollback(&xid), phase_two);
    assert_eq!((status, asked), (GlobalStatus::Rollbacked, vec![second, first]));
    rm.branch(&other, BranchType::At, "jdbc:a", "t:2").await;
    assert_eq!(tm.commit(&other).await, GlobalStatus::Committed);
    rm.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    stop(server).await;
}

#[tokio::test]
async fn what_is_not_known_is_answered_in_java_s_words() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    for xid in ["127.0.0.1:8291:1", "not-an-xid"] {
        assert_eq!(tm.commit(xid).await, GlobalStatus::Finished);
        assert_eq!(tm.rollback(xid).await, GlobalStatus::Finished);
        assert_eq!(tm.status(xid).await, GlobalStatus::Finished);
        let refused = tm.ask(branch(xid, BranchType::At, "jdbc:a", "t:2")).await;
        let Message::BranchRegisterResponse(refused) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.outcome.code, TransactionExceptionCode::GlobalTransactionNotExist);
        let text = format!(
            "TransactionException[Could not found global transaction xid = {xid}, may be has finished.]"
        );
        assert_eq!(refused.outcome.message, text);
    }
    let Message::GlobalCommitResponse(answer) = tm.ask(Message::GlobalCommit(global(""))).await else {
        panic!("another answer")
    };
    assert!(!answer.outcome.is_success());
    assert_eq!(answer.status, GlobalStatus::Committing);
    stop(server).await;
}

#[tokio::test]
async fn a_registration_waits_for_a_row_unless_others_are_answered_with_it() {
    let (server, address) = server(|settings| settings.front.lock_wait = Duration::from_secs(5)).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let mut old = Peer::rm(address, "2.0.0", "jdbc:a").await;
    let (holder, other) = (tm.begin().await, tm.begin().await);
    rm.branch(&holder, BranchType::At, "jdbc:a", "t:1").await;
    let contended = || branch(&other, BranchType::At, "jdbc:a", "t:1");

    let merged = Message::Merged(Batch { messages: vec![contended()], ids: vec![1] });
    old.send_as(&Header::new(Kind::Oneway, 9), &merged).await;
    let Message::MergeResult(answers) = old.answer_to(9).await else { panic!("another answer") };
    let Message::BranchRegisterResponse(refused) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(refused.outcome.code, TransactionExceptionCode::LockKeyConflict);

    let merged = Message::Merged(Batch { messages: vec![contended(), begin()], ids: vec![501, 502] });
    rm.send_as(&Header::new(Kind::Oneway, 500), &merged).await;
    // What waits holds up nobody else of its frame.
    assert_eq!(rm.answer_to(502).await.type_code(), 2);
    assert_eq!(tm.commit(&holder).await, GlobalStatus::Committed);
    let Message::BranchRegisterResponse(granted) = rm.answer_to(501).await else { panic!("another answer") };
    assert!(granted.outcome.is_success(), "{granted:?}");
    stop(server).await;
}

#[tokio::test]
async fn who_waits_for_rows_leaves_room_for_what_frees_them() {
    let (server, address) = server(|settings| {
        settings.front.lock_wait = Duration::from_secs(9);
        settings.front.max_requests_per_connection = 4;
    })
    .await;
    let mut peer = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let (holder, other) = (peer.begin().await, peer.begin().await);
    peer.branch(&holder, BranchType::At, "jdbc:a", "t:1").await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(peer.send(&branch(&other, BranchType::At, "jdbc:a", "t:1")).await);
    }
    let began = Instant::now();
    assert_eq!(peer.commit(&holder).await, GlobalStatus::Committed);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let mut granted = 0;
    for id in waiting {
        let Message::BranchRegisterResponse(answer) = peer.answer_to(id).await else { panic!("another") };
        granted += usize::from(answer.outcome.is_success());
    }
    assert_eq!(granted, 2, "half of what is worked on at a time may wait");
    stop(server).await;
}

#[tokio::test]
async fn answers_of_phase_two_pass_whatever_else_the_client_asked() {
    let (server, address) = server(|settings| settings.front.max_requests_per_connection = 1).await;
    let mut peer = Peer::rm(address, "2.6.0", "stock").await;
    let xid = peer.begin().await;
    peer.branch(&xid, BranchType::Tcc, "stock", "").await;
    let commit = peer.send(&Message::GlobalCommit(global(&xid))).await;
    let (header, request) = peer.asked().await;
    let mut bytes = BytesMut::new();
    let long = Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: "n".repeat(30_000).into() });
    for id in 1_000..1_200 {
        frame::write(&mut bytes, &Header::new(Kind::Request, id), &long).unwrap();
    }
    let answer = phase_two_answer(&request, BranchStatus::PhaseTwoCommitted);
    frame::write(&mut bytes, &header.reply(), &answer).unwrap();
    tokio::time::timeout(Duration::from_secs(5), peer.write(&bytes)).await.expect("the server reads on");
    assert_eq!(status_of(peer.answer_to(commit).await), GlobalStatus::Committed);
    for id in 1_000..1_200 {
        assert_eq!(peer.answer_to(id).await.type_code(), 2);
    }
    stop(server).await;
}

#[tokio::test]
async fn a_key_too_long_is_refused_and_told_why() {
    let (server, address) = server(|_| {}).await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = rm.begin().await;
    let lock_key = format!("t:1,{}", "k".repeat(5_000));
    let answer = rm.ask(branch(&xid, BranchType::At, "jdbc:a", &lock_key)).await;
    let Message::BranchRegisterResponse(answer) = answer else { panic!("{answer:?}") };
    assert!(!answer.outcome.is_success());
    assert!(answer.outcome.message.contains("5000 bytes, at most 4096 are allowed"), "{answer:?}");
    rm.branch(&xid, BranchType::At, "jdbc:a", "t:1").await;
    stop(server).await;
}

#[tokio::test]
async fn who_holds_the_row_in_its_database_is_told_not_to_wait_for_a_rollback() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let (holder, other) = (tm.begin().await, tm.begin().await);
    rm.branch(&holder, BranchType::At, "jdbc:a", "t:1").await;
    let rollback = tm.send(&Message::GlobalRollback(global(&holder))).await;
    let (header, request) = rm.asked().await;
    for (data, code) in [
        (r#"{"autoCommit":false}"#, TransactionExceptionCode::LockKeyConflictFailFast),
        ("", TransactionExceptionCode::LockKeyConflict),
    ] {
        let Message::BranchRegister(contended) = branch(&other, BranchType::At, "jdbc:a", "t:1") else {
            unreachable!()
        };
        let contended = BranchRegister { application_data: data.into(), ..contended };
        let answer = rm.ask(Message::BranchRegister(contended)).await;
        let Message::BranchRegisterResponse(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.outcome.code, code, "{data}");
    }
    rm.send_as(&header.reply(), &phase_two_answer(&request, BranchStatus::PhaseTwoRollbacked)).await;
    assert_eq!(status_of(tm.answer_to(rollback).await), GlobalStatus::Rollbacked);
    stop(server).await;
}

#[tokio::test]
async fn a_branch_too_many_is_refused_and_told_why() {
    let (server, address) = server(|settings| settings.coordinator.max_branches = 2).await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = rm.begin().await;
    for key in ["t:1", "t:2"] {
        rm.branch(&xid, BranchType::At, "jdbc:a", key).await;
    }
    let answer = rm.ask(branch(&xid, BranchType::At, "jdbc:a", "t:3")).await;
    let Message::BranchRegisterResponse(answer) = answer else { panic!("{answer:?}") };
    assert!(!answer.outcome.is_success());
    assert!(
        answer.outcome.message.contains("has 2 branches") && answer.outcome.message.contains("max_branches"),
        "{answer:?}"
    );
    stop(server).await;
}

#[tokio::test]
async fn more_rows_than_a_branch_may_lock_are_neither_locked_nor_looked_for() {
    let (server, address) = server(|settings| settings.coordinator.max_locks = 3).await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = rm.begin().await;
    for (lock_key, fits) in [("t:1,2;u:3", true), ("t:1,2;u:3,4", false), ("t:1,,,,,,;;;", true)] {
        let Message::BranchRegister(query) = branch(&xid, BranchType::At, "jdbc:a", lock_key) else {
            unreachable!()
        };
        let answer = rm.ask(Message::GlobalLockQuery(query.clone())).await;
        let Message::GlobalLockQueryResponse(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.outcome.is_success(), fits, "{lock_key}");
        assert_eq!(answer.outcome.message.contains("at most 3 are allowed"), !fits, "{answer:?}");
        let answer = rm.ask(Message::BranchRegister(query)).await;
        let Message::BranchRegisterResponse(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.outcome.is_success(), fits, "{lock_key}: {answer:?}");
    }
    stop(server).await;
}
