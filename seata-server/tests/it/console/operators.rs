//! What an operator does to transactions that are really stuck.

use seata_protocol::{BranchStatus, BranchType, GlobalStatus};
use serde_json::json;

use crate::{peer::Peer, stop};

use super::{console, parked};

#[tokio::test]
async fn a_parked_transaction_is_tried_again_and_ends() {
    let (server, address, browser) = console(|_| {}).await;
    let (mut tm, mut rm, xid) = parked(address).await;
    let (answer, _) =
        tokio::join!(browser.act(&xid, "retry", ""), rm.serve_phase_two(BranchStatus::PhaseTwoRollbacked));
    assert_eq!((answer.status, &answer.json()["xid"]), (200, &json!(xid)), "{answer:?}");
    while tm.status(&xid).await != GlobalStatus::Rollbacked {
        tokio::task::yield_now().await;
    }
    let again = browser.act(&xid, "retry", "").await;
    assert_eq!(again.status, 409);
    assert!(again.json()["error"].as_str().unwrap().contains("has ended"));
    stop(server).await;
}

#[tokio::test]
async fn a_parked_transaction_is_given_up_and_frees_its_rows() {
    let (server, address, browser) = console(|_| {}).await;
    let (mut tm, mut rm, xid) = parked(address).await;
    assert_eq!(browser.act(&xid, "rollback", "  ").await.status, 400, "a reason is needed");
    assert_eq!(browser.act(&xid, "commit", "changed my mind").await.status, 409, "the opposite is decided");
    assert_eq!(browser.act(&xid, "rollback", &"x".repeat(2_000)).await.status, 400, "too long");
    let answer = browser.act(&xid, "rollback", "twice is once").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("RollbackFailed")), "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap().contains("nothing was changed"), "{answer:?}");
    let answer = browser.act(&xid, "give-up", "row repaired by hand").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("Rollbacked")), "{answer:?}");
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("ended as Rollbacked, but not done are 1 branches"), "{message}");
    assert!(message.contains("of jdbc:a"), "{message}");
    let one = browser.get(&format!("/v1/transactions/{xid}")).await;
    assert!(one["reason"].as_str().unwrap().contains("row repaired by hand"), "{one}");
    assert_eq!((&one["given_up"], &one["status"]), (&json!(true), &json!("Rollbacked")));
    let overview = browser.get("/v1/overview").await;
    assert_eq!((&overview["given_up"], &overview["rolled_back"]), (&json!(1), &json!(0)));
    let other = tm.begin().await;
    rm.branch(&other, BranchType::At, "jdbc:a", "stock:1,2").await;
    stop(server).await;
}

#[tokio::test]
async fn the_rows_of_a_parked_transaction_are_released_and_it_stays() {
    let (server, address, browser) = console(|_| {}).await;
    let (mut tm, mut rm, xid) = parked(address).await;
    assert_eq!(browser.act(&xid, "release", "").await.status, 400, "a reason is needed");
    let answer = browser.act(&xid, "release", "others have to go on").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("RollbackFailed")), "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap().starts_with("2 rows"), "{answer:?}");
    let one = browser.get(&format!("/v1/transactions/{xid}")).await;
    assert_eq!(one["parked"], json!(true));
    assert_eq!(browser.get("/v1/locks").await["locks"], json!([]));
    let other = tm.begin().await;
    rm.branch(&other, BranchType::At, "jdbc:a", "stock:1").await;
    stop(server).await;
}

#[tokio::test]
async fn an_undecided_transaction_is_decided_by_force() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let (first, second) = (tm.begin().await, tm.begin().await);
    for (xid, action, status) in [(&first, "commit", "Committed"), (&second, "rollback", "Rollbacked")] {
        assert_eq!(browser.act(xid, "release", "why not").await.status, 409, "it is not parked");
        assert_eq!(browser.act(xid, "park", "").await.status, 409, "it is undecided");
        let answer = browser.act(xid, action, "its starter is gone").await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(status)), "{answer:?}");
    }
    assert_eq!(browser.act("127.0.0.1:1:9", "retry", "").await.status, 404);
    assert_eq!(browser.act("nonsense", "retry", "").await.status, 400);
    assert_eq!(browser.act(&first, "explode", "").await.status, 404);
    let path = format!("/v1/transactions/{first}/retry");
    assert_eq!(browser.send("POST", &path, r#"{"raeson": "x"}"#).await.status, 400, "a typo");
    stop(server).await;
}

#[tokio::test]
async fn a_force_is_answered_when_it_is_decided_and_phase_two_goes_on() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "tcc").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::Tcc, "tcc", "").await;
    let answer = browser.act(&xid, "commit", "its starter is gone").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("Committing")), "{answer:?}");
    assert_eq!(answer.json()["message"], json!("it is decided to commit; phase two goes on"));
    rm.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    while tm.status(&xid).await != GlobalStatus::Committed {
        tokio::task::yield_now().await;
    }
    stop(server).await;
}

#[tokio::test]
async fn java_s_console_stops_and_starts_a_transaction() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "tcc").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::Tcc, "tcc", "").await;
    // Nobody has its resource any more: phase two waits.
    drop(rm);
    let status = tm.rollback(&xid).await;
    assert!(status.is_rollback(), "{status}");
    let path = |operation: &str| format!("/api/v1/console/globalSession/{operation}?xid={xid}");
    let stopped = browser.send("PUT", &path("stopGlobalSession"), "").await;
    assert_eq!((stopped.status, &stopped.json()["success"]), (200, &json!(true)), "{stopped:?}");
    assert_eq!(tm.status(&xid).await, GlobalStatus::StopRollbackOrRollbackRetry);
    let mut rm = Peer::rm(address, "2.6.0", "tcc").await;
    let start = path("startGlobalSession");
    let (started, _) = tokio::join!(
        browser.send("PUT", &start, ""),
        rm.serve_phase_two(BranchStatus::PhaseTwoRollbackFailedUnretryable)
    );
    assert_eq!(started.status, 200, "{started:?}");
    while tm.status(&xid).await != GlobalStatus::RollbackFailed {
        tokio::task::yield_now().await;
    }
    let deleted = browser.send("DELETE", &path("forceDeleteGlobalSession"), "").await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert_eq!(tm.status(&xid).await, GlobalStatus::Rollbacked);
    stop(server).await;
}
