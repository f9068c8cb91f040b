//! Transactions over the wire.

use seata_protocol::{BranchStatus, BranchType, GlobalStatus, Message, TransactionExceptionCode};

use crate::{
    peer::{Peer, branch, global},
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
