//! The way to resource managers.

use std::time::Duration;

use seata_protocol::{
    BranchId, BranchResponse, BranchStatus, BranchType, GlobalStatus, Kind, Message, Outcome,
    TransactionExceptionCode,
};
use tokio::time::{sleep, timeout};

use crate::{
    peer::{Peer, global, phase_two_answer, status_of},
    server, stop,
};

#[tokio::test]
async fn phase_two_goes_to_the_client_that_registered_the_branch() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rms = Vec::new();
    for _ in 0..4 {
        rms.push(Peer::rm(address, "2.6.0", "stock").await);
    }
    for rm in &mut rms {
        let xid = tm.begin().await;
        rm.branch(&xid, BranchType::Tcc, "stock", "").await;
        let (status, _) = tokio::join!(tm.commit(&xid), rm.serve_phase_two(BranchStatus::PhaseTwoCommitted));
        assert_eq!(status, GlobalStatus::Committed);
    }
    stop(server).await;
}

#[tokio::test]
async fn only_an_at_branch_is_finished_by_another_application() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut other = Peer::connect(address).await;
    other.register_rm("2.6.0", "other", "jdbc:a,stock").await;
    let mut gone = Peer::rm(address, "2.6.0", "jdbc:a,stock").await;
    let (at, tcc) = (tm.begin().await, tm.begin().await);
    let branch = gone.branch(&at, BranchType::At, "jdbc:a", "t:1").await;
    gone.branch(&tcc, BranchType::Tcc, "stock", "").await;
    drop(gone);
    assert_eq!(tm.commit(&at).await, GlobalStatus::Committed);
    assert_eq!(other.serve_phase_two(BranchStatus::PhaseTwoCommitted).await.branch_id, branch);

    assert_eq!(tm.commit(&tcc).await, GlobalStatus::CommitRetrying);
    let nothing = timeout(Duration::from_millis(200), other.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    // The same application again, from another port.
    let mut back = Peer::rm(address, "2.6.0", "stock").await;
    back.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    while tm.status(&tcc).await != GlobalStatus::Committed {
        sleep(Duration::from_millis(10)).await;
    }
    stop(server).await;
}

#[tokio::test]
async fn a_resource_manager_that_goes_is_not_waited_for_and_asked_again_when_it_is_back() {
    let (server, address) = server(|settings| {
        settings.coordinator.retry_period = Duration::from_secs(1);
        settings.coordinator.max_retry_period = Duration::from_secs(1);
    })
    .await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "stock").await;
    let xid = tm.begin().await;
    let branch = rm.branch(&xid, BranchType::Tcc, "stock", "").await;
    let leave = async {
        rm.asked().await;
        drop(rm);
    };
    let (status, ()) = tokio::join!(tm.rollback(&xid), leave);
    assert_eq!(status, GlobalStatus::RollbackRetrying);
    let mut rm = Peer::rm(address, "2.6.0", "stock").await;
    assert_eq!(rm.serve_phase_two(BranchStatus::PhaseTwoRollbacked).await.branch_id, branch);
    while tm.status(&xid).await != GlobalStatus::Rollbacked {
        sleep(Duration::from_millis(10)).await;
    }
    stop(server).await;
}

#[tokio::test]
async fn an_answer_may_come_over_another_connection_of_the_application() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut asked = Peer::rm(address, "2.6.0", "stock").await;
    let mut stranger = Peer::connect(address).await;
    stranger.register_rm("2.6.0", "stranger", "other").await;
    let xid = tm.begin().await;
    asked.branch(&xid, BranchType::Tcc, "stock", "").await;
    let answer = async {
        let (header, request) = asked.asked().await;
        let reply = header.reply();
        let failed = phase_two_answer(&request, BranchStatus::PhaseTwoCommitFailedUnretryable);
        // Who is of another application has no say.
        stranger.send_as(&reply, &failed).await;
        stranger.begin().await;
        let done = phase_two_answer(&request, BranchStatus::PhaseTwoCommitted);
        let mut second = Peer::rm(address, "2.6.0", "stock").await;
        // Who was not asked itself has to know what it answers.
        for outcome in [Outcome::success(), Outcome::failed(TransactionExceptionCode::Unknown, "why")] {
            let Message::BranchCommitResponse(nameless) = &failed else { unreachable!() };
            let nameless = BranchResponse { outcome, branch_id: BranchId(0), ..nameless.clone() };
            second.send_as(&reply, &Message::BranchCommitResponse(nameless)).await;
        }
        second.send_as(&reply, &done).await;
        second.begin().await;
    };
    let (status, ()) = tokio::join!(tm.commit(&xid), answer);
    assert_eq!(status, GlobalStatus::Committed);
    stop(server).await;
}

/// As seata-go does: one connection asks for commits and is asked to carry them out.
#[tokio::test]
async fn answers_of_phase_two_are_read_however_many_requests_are_under_way() {
    let (server, address) = server(|settings| settings.front.max_requests_per_connection = 2).await;
    let mut go = Peer::tm(address, "1.5.2").await;
    go.register_rm("1.5.2", "app", "stock").await;
    let mut commits = Vec::new();
    for _ in 0..8 {
        let xid = go.begin().await;
        go.branch(&xid, BranchType::Tcc, "stock", "").await;
        commits.push(Message::GlobalCommit(global(&xid)));
    }
    let mut ids = Vec::new();
    for commit in &commits {
        ids.push(go.send(commit).await);
    }
    for _ in 0..8 {
        go.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    }
    for id in ids {
        assert_eq!(status_of(go.answer_to(id).await), GlobalStatus::Committed);
    }
    stop(server).await;
}

#[tokio::test]
async fn a_stopping_server_answers_what_is_under_way() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "stock").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::Tcc, "stock", "").await;
    let phase_two = async {
        let (header, request) = rm.asked().await;
        let stopping = tokio::spawn(async move { stop(server).await });
        sleep(Duration::from_millis(100)).await;
        let answer = phase_two_answer(&request, BranchStatus::PhaseTwoCommitted);
        rm.send_as(&header.reply(), &answer).await;
        stopping.await.unwrap();
    };
    let (status, ()) = tokio::join!(tm.commit(&xid), phase_two);
    assert_eq!(status, GlobalStatus::Committed);
    tm.is_closed().await;
}

#[tokio::test]
async fn commits_that_were_answered_do_not_come_again_with_those_that_were_not() {
    let (server, address) = server(|settings| {
        settings.coordinator.call_limit = Duration::from_millis(800);
        settings.coordinator.calls_per_resource = 1;
    })
    .await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut quick = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let mut slow = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xids = [tm.begin().await, tm.begin().await, tm.begin().await];
    slow.branch(&xids[0], BranchType::At, "jdbc:a", "t:0").await;
    quick.branch(&xids[1], BranchType::At, "jdbc:a", "t:1").await;
    slow.branch(&xids[2], BranchType::At, "jdbc:a", "t:2").await;
    for xid in &xids {
        tm.commit(xid).await;
    }
    // The first went alone, and the others go together once it is answered.
    slow.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    quick.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    for _ in 0..2 {
        assert_eq!(slow.asked().await.1.type_code(), 3);
    }
    let again = timeout(Duration::from_millis(200), quick.next()).await;
    assert!(again.is_err(), "{again:?}");
    stop(server).await;
}

#[tokio::test]
async fn old_undo_logs_are_asked_to_be_deleted_again_and_again_by_one_client_of_a_resource() {
    let (server, address) = server(|settings| {
        settings.front.undo_log_delete_period = Duration::from_millis(200);
        settings.front.undo_log_save_days = 3;
    })
    .await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a,jdbc:b").await;
    for _ in 0..2 {
        let mut resources = Vec::new();
        for _ in 0..2 {
            let (header, message) = rm.asked().await;
            let Message::UndoLogDelete(request) = message else { panic!("{message:?}") };
            assert_eq!((header.kind, request.save_days), (Kind::Oneway, 3));
            resources.push(request.resource_id.to_string());
        }
        resources.sort();
        assert_eq!(resources, ["jdbc:a", "jdbc:b"]);
    }
    stop(server).await;
}

#[tokio::test]
async fn a_client_that_has_other_resources_only_is_not_asked() {
    let (server, address) = server(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut asker = Peer::rm(address, "2.6.0", "other").await;
    let mut holder = Peer::rm(address, "2.6.0", "stock").await;
    let xid = tm.begin().await;
    asker.branch(&xid, BranchType::Tcc, "stock", "").await;
    let (status, _) = tokio::join!(tm.commit(&xid), holder.serve_phase_two(BranchStatus::PhaseTwoCommitted));
    assert_eq!(status, GlobalStatus::Committed);
    stop(server).await;
}

#[tokio::test]
async fn who_is_back_is_asked_at_once_although_others_had_its_resource_all_the_time() {
    let (server, address) = server(|settings| {
        settings.coordinator.retry_period = Duration::from_secs(3_600);
        settings.coordinator.max_retry_period = Duration::from_secs(3_600);
    })
    .await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut other = Peer::connect(address).await;
    other.register_rm("2.6.0", "other", "stock").await;
    let mut rm = Peer::rm(address, "2.6.0", "stock").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::Tcc, "stock", "").await;
    drop(rm);
    assert_eq!(tm.commit(&xid).await, GlobalStatus::CommitRetrying);
    let mut back = Peer::rm(address, "2.6.0", "stock").await;
    back.serve_phase_two(BranchStatus::PhaseTwoCommitted).await;
    while tm.status(&xid).await != GlobalStatus::Committed {
        sleep(Duration::from_millis(10)).await;
    }
    stop(server).await;
}
