//! What the answers to calls mean.

use std::time::Duration;

use seata_context::{
    BeginRequest, BranchRegistration, CoordinationError, ResourceManager as _, TransactionManager as _,
};
use seata_protocol::{
    BranchId, BranchRegister, BranchRegistered, BranchStatus, BranchType, GlobalBegun, GlobalResponse,
    GlobalStatus, Lockable, Message, Outcome, Registered, ResourceId, RowKey, RowLock,
    TransactionExceptionCode as Code, Xid,
};

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{Notes, begin, connect},
};

fn xid() -> Xid {
    "192.0.2.1:8091:42".parse().unwrap()
}

fn row(resource: &str, key: &str) -> RowLock {
    RowLock {
        resource: ResourceId::from(resource),
        table: "t_order".into(),
        key: RowKey::from_text(key).unwrap(),
    }
}

fn on_stock(locks: Vec<RowLock>) -> BranchRegistration {
    BranchRegistration {
        xid: xid(),
        branch_type: BranchType::At,
        resource: "jdbc:stock".into(),
        locks,
        application_data: "{\"autoCommit\":false}".into(),
    }
}

/// A coordinator that answers every request of a transaction with this.
async fn answering(answer: GlobalResponse) -> ScriptedTc {
    let tc = ScriptedTc::start().await;
    tc.script(move |received| {
        let answer = answer.clone();
        Reply::Message(match received.message {
            Some(Message::GlobalCommit(_)) => Message::GlobalCommitResponse(answer),
            Some(Message::GlobalRollback(_)) => Message::GlobalRollbackResponse(answer),
            Some(Message::GlobalStatus(_)) => Message::GlobalStatusResponse(answer),
            Some(Message::GlobalReport(_)) => Message::GlobalReportResponse(answer),
            _ => return Reply::Honest,
        })
    });
    tc
}

#[tokio::test]
async fn a_status_is_what_the_server_says() {
    for status in [GlobalStatus::Finished, GlobalStatus::TimeoutRollbacking, GlobalStatus::CommitRetrying] {
        let tc = answering(GlobalResponse { outcome: Outcome::success(), status }).await;
        let client = connect(&[&tc]).await;
        assert_eq!(client.commit(&xid()).await, Ok(status));
        assert_eq!(client.rollback(&xid()).await, Ok(status));
        assert_eq!(client.status(&xid()).await, Ok(status));
        assert_eq!(client.report(&xid(), GlobalStatus::Committed).await, Ok(status));
        let Some(Message::GlobalReport(report)) = tc.messages().pop() else { panic!("{:?}", tc.messages()) };
        assert_eq!((&*report.xid, report.status), (xid().as_str(), Some(GlobalStatus::Committed)));
    }
}

/// Java's servers answer so to every commit that comes after the time-out, also to one that they have heard
/// before.
#[tokio::test]
async fn a_commit_is_told_from_a_time_out_by_where_the_transaction_stands() {
    use GlobalStatus::{
        AsyncCommitting, Begin, CommitRetrying, Finished, TimeoutRollbacked, TimeoutRollbacking,
    };
    for (stands, told) in [
        (AsyncCommitting, AsyncCommitting),
        (CommitRetrying, CommitRetrying),
        (TimeoutRollbacked, TimeoutRollbacked),
        (Begin, TimeoutRollbacking),
        (Finished, Finished),
    ] {
        let answer = |status| GlobalResponse { outcome: Outcome::success(), status };
        let tc = ScriptedTc::start().await;
        tc.script(move |received| match received.message {
            Some(Message::GlobalCommit(_)) => {
                Reply::Message(Message::GlobalCommitResponse(answer(TimeoutRollbacking)))
            }
            Some(Message::GlobalStatus(_)) => Reply::Message(Message::GlobalStatusResponse(answer(stands))),
            _ => Reply::Honest,
        });
        assert_eq!(connect(&[&tc]).await.commit(&xid()).await, Ok(told), "it is {stands}");
    }
}

#[tokio::test]
async fn a_failure_is_never_taken_for_the_status_that_comes_with_it() {
    let words = "RuntimeException[the store is away]";
    for status in [GlobalStatus::Committing, GlobalStatus::Committed, GlobalStatus::Rollbacked] {
        let tc = answering(GlobalResponse { outcome: Outcome::failed(Code::Unknown, words), status }).await;
        let client = connect(&[&tc]).await;
        let expected = Err(CoordinationError::Refused { code: Code::Unknown, message: words.into() });
        assert_eq!(client.commit(&xid()).await, expected);
        assert_eq!(client.rollback(&xid()).await, expected);
        assert_eq!(client.status(&xid()).await, expected);
        assert_eq!(client.report(&xid(), GlobalStatus::Committed).await, expected);
    }
    let gone = Outcome::failed(Code::GlobalTransactionNotExist, "TransactionException[Could not find it]");
    let tc = answering(GlobalResponse { outcome: gone, status: GlobalStatus::Finished }).await;
    let unknown = CoordinationError::UnknownTransaction { xid: xid() };
    assert_eq!(connect(&[&tc]).await.commit(&xid()).await, Err(unknown));
}

#[tokio::test]
async fn a_begin_carries_its_time_out_and_fails_by_name() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    let begun = begin(&client).await.unwrap();
    assert!(begun.as_str().starts_with(&tc.address().to_string()), "{begun}");
    let Some(Message::GlobalBegin(request)) = tc.messages().pop() else { panic!("{:?}", tc.messages()) };
    assert_eq!((request.timeout_ms, &*request.name), (60_000, "purchase"));

    let forever = BeginRequest { name: "purchase".into(), timeout: Duration::MAX };
    let error = client.begin(forever).await.unwrap_err();
    assert!(error.to_string().contains("does not fit 31 bits of milliseconds"), "{error}");

    for (outcome, xid, words) in [
        (Outcome::failed(Code::BeginFailed, "no room"), "", "the coordinator refused (BeginFailed): no room"),
        (Outcome::success(), "nonsense", "\"nonsense\" is no XID"),
        (Outcome::success(), "", "\"\" is no XID"),
    ] {
        tc.script(move |received| match received.message {
            Some(Message::GlobalBegin(_)) => Reply::Message(Message::GlobalBeginResponse(GlobalBegun {
                outcome: outcome.clone(),
                xid: xid.into(),
                extra_data: "".into(),
            })),
            _ => Reply::Honest,
        });
        let error = begin(&client).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_branch_is_registered_with_its_rows_in_java_s_form() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
    let rows = vec![row("jdbc:stock", "1"), row("jdbc:stock", "2_3")];
    let branch = client.register_branch(on_stock(rows)).await.unwrap();
    assert!(branch.0 > 0);
    assert_eq!(
        tc.messages().pop(),
        Some(Message::BranchRegister(BranchRegister {
            xid: xid().as_str().into(),
            branch_type: BranchType::At,
            resource_id: "jdbc:stock".into(),
            lock_key: "t_order:1,2_3".into(),
            application_data: "{\"autoCommit\":false}".into(),
        }))
    );
}

#[tokio::test]
async fn rows_that_cannot_travel_are_refused_before_anything_is_sent() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
    let sent = tc.messages().len();
    for (row, words) in [
        (row("jdbc:stock", "a,b"), "contains ','"),
        (row("jdbc:other", "1"), "a branch on jdbc:stock cannot lock t_order:1 in jdbc:other"),
    ] {
        let error = client.register_branch(on_stock(vec![row])).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(tc.messages().len(), sent);
}

#[tokio::test]
async fn a_refused_branch_says_why() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
    let conflict = |holder_is_rolling_back| CoordinationError::LockConflict {
        row: "t_order:1 in jdbc:stock".into(),
        holder: "(the coordinator does not say which)".into(),
        holder_is_rolling_back,
    };
    for (code, words, expected) in [
        (Code::LockKeyConflict, "Global lock acquire failed", conflict(false)),
        (Code::LockKeyConflictFailFast, "Global lock acquire failed", conflict(true)),
        (
            Code::GlobalTransactionNotExist,
            "may be has finished",
            CoordinationError::UnknownTransaction { xid: xid() },
        ),
        (
            Code::GlobalTransactionNotActive,
            "status = TimeoutRollbacking, cause by globalSession not active",
            CoordinationError::NotActive { xid: xid(), status: GlobalStatus::TimeoutRollbacking },
        ),
    ] {
        tc.script(move |received| match received.message {
            Some(Message::BranchRegister(_)) => {
                Reply::Message(Message::BranchRegisterResponse(BranchRegistered {
                    outcome: Outcome::failed(code, words),
                    branch_id: BranchId(0),
                }))
            }
            _ => Reply::Honest,
        });
        assert_eq!(client.register_branch(on_stock(vec![row("jdbc:stock", "1")])).await, Err(expected));
    }
}

/// Releases number the end of the list of codes differently.
#[tokio::test]
async fn a_code_means_what_it_means_in_the_server_s_release() {
    for (version, is_conflict) in [("1.8.0", true), ("2.0.0", false)] {
        let tc = ScriptedTc::start().await;
        let registered = Registered {
            identified: true,
            version: version.into(),
            outcome: Outcome::success(),
            extra_data: "".into(),
        };
        tc.script(move |received| match received.message {
            Some(Message::RegisterRm(_)) => Reply::Message(Message::RegisterRmResponse(registered.clone())),
            Some(Message::BranchRegister(_)) => {
                let outcome = Outcome::failed(Code::from_code(19), "Global lock acquire failed");
                let answer = BranchRegistered { outcome, branch_id: BranchId(0) };
                Reply::Message(Message::BranchRegisterResponse(answer))
            }
            _ => Reply::Honest,
        });
        let client = connect(&[&tc]).await;
        client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
        let error = client.register_branch(on_stock(vec![row("jdbc:stock", "1")])).await.unwrap_err();
        let found = matches!(error, CoordinationError::LockConflict { holder_is_rolling_back: true, .. });
        assert_eq!(found, is_conflict, "{version}: {error:?}");
    }
}

#[tokio::test]
async fn a_report_is_taken_or_refused() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
    client.report_branch(&xid(), BranchId(7), BranchStatus::PhaseOneFailed).await.unwrap();
    let Some(Message::BranchReport(report)) = tc.messages().pop() else { panic!("{:?}", tc.messages()) };
    assert_eq!((report.branch_id, report.status), (BranchId(7), BranchStatus::PhaseOneFailed));

    tc.script(|received| match received.message {
        Some(Message::BranchReport(_)) => {
            let outcome = Outcome::failed(Code::BranchTransactionNotExist, "Could not find it");
            Reply::Message(Message::BranchReportResponse(outcome))
        }
        _ => Reply::Honest,
    });
    let error = client.report_branch(&xid(), BranchId(7), BranchStatus::PhaseOneFailed).await.unwrap_err();
    let code = Code::BranchTransactionNotExist;
    assert_eq!(error, CoordinationError::Refused { code, message: "Could not find it".into() });
}

#[tokio::test]
async fn locks_are_asked_for_one_resource_at_a_time() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
    let rows = [row("jdbc:stock", "1"), row("jdbc:stock", "2"), row("jdbc:other", "3")];
    client.query_locks(Some(&xid()), &rows).await.unwrap();
    client.query_locks(None, &rows[..1]).await.unwrap();
    client.query_locks(None, &[]).await.unwrap();
    let queries: Vec<_> = tc
        .messages()
        .into_iter()
        .filter_map(|message| match message {
            Message::GlobalLockQuery(q) => Some(format!("{} {} {}", q.xid, q.resource_id, q.lock_key)),
            _ => None,
        })
        .collect();
    assert_eq!(
        queries,
        [
            "192.0.2.1:8091:42 jdbc:stock t_order:1,2",
            "192.0.2.1:8091:42 jdbc:other t_order:3",
            " jdbc:stock t_order:1"
        ]
    );
}

#[tokio::test]
async fn a_row_that_is_not_lockable_is_a_conflict_and_a_failure_is_not() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:stock")).await.unwrap();
    let rows = [row("jdbc:stock", "1")];
    let answer = |outcome: Outcome| {
        move |received: &crate::scripted::Received| match received.message {
            Some(Message::GlobalLockQuery(_)) => {
                let answer = Lockable { outcome: outcome.clone(), lockable: false };
                Reply::Message(Message::GlobalLockQueryResponse(answer))
            }
            _ => Reply::Honest,
        }
    };
    tc.script(answer(Outcome::success()));
    let error = client.query_locks(Some(&xid()), &rows).await.unwrap_err();
    assert!(
        matches!(&error, CoordinationError::LockConflict { row, .. } if row == "t_order:1 in jdbc:stock")
    );
    tc.script(answer(Outcome::failed(Code::LockableCheckFailed, "the store is away")));
    let error = client.query_locks(Some(&xid()), &rows).await.unwrap_err();
    assert!(matches!(&error, CoordinationError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn an_embedded_coordinator_s_transaction_is_nobody_s_here() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    assert!(client.knows(&xid()));
    assert!(!client.knows(&"tc-5f3a9c1e:0:1".parse().unwrap()));
}
