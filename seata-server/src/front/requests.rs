//! Requests, carried out.

use std::{sync::Arc, time::Duration};

use seata_coordinator::driver::{BeginRequest, BranchRequest};
use seata_protocol::{
    BranchId, BranchRegister, BranchRegistered, BranchReport, BranchType, GlobalBegin, GlobalBegun,
    GlobalReport, GlobalRequest, GlobalResponse, GlobalStatus, Lockable, Message, Outcome, Release,
    ResourceId, RowLock, Text, TransactionExceptionCode as Code, Xid, parse_lock_key,
};

use super::{answers, clients::Identity, desk::Desk};

/// What a waiting registration stays below: Java resource managers give up after 15 s.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) identity: Arc<Identity>,
    pub(super) release: Release,
}

/// A request that this server carries out, with what its connection knew of it.
pub(super) struct Request {
    pub(super) message: Message,
    /// The resource that it names, if any.
    pub(super) resource: Option<ResourceId>,
    /// It may wait for rows of others: nobody else's answer waits for its.
    pub(super) may_wait: bool,
}

impl Request {
    /// Whether messages of this kind are carried out here.
    pub(super) fn is_one(message: &Message) -> bool {
        use Message::*;
        matches!(
            message,
            GlobalBegin(_)
                | GlobalCommit(_)
                | GlobalRollback(_)
                | GlobalStatus(_)
                | GlobalReport(_)
                | BranchRegister(_)
                | BranchReport(_)
                | GlobalLockQuery(_)
        )
    }

    /// Whether only starters of transactions ask this.
    pub(super) fn is_for_starters(message: &Message) -> bool {
        use Message::*;
        matches!(message, GlobalBegin(_) | GlobalCommit(_) | GlobalRollback(_) | GlobalReport(_))
    }
}

/// Carries a request out; whether it failed, and its answer.
pub(super) async fn answer(desk: &Desk, asker: &Asker, request: Request) -> (bool, Message) {
    let Request { message, resource, may_wait } = request;
    let release = asker.release;
    match message {
        Message::GlobalBegin(request) => {
            let answer = begin(desk, asker, request).await;
            (!answer.outcome.is_success(), Message::GlobalBeginResponse(answer))
        }
        Message::GlobalCommit(request) => {
            let answer = end(desk, release, request, End::Commit).await;
            (!answer.outcome.is_success(), Message::GlobalCommitResponse(answer))
        }
        Message::GlobalRollback(request) => {
            let answer = end(desk, release, request, End::Rollback).await;
            (!answer.outcome.is_success(), Message::GlobalRollbackResponse(answer))
        }
        Message::GlobalStatus(request) => {
            let answer = end(desk, release, request, End::Status).await;
            (!answer.outcome.is_success(), Message::GlobalStatusResponse(answer))
        }
        Message::GlobalReport(request) => {
            let answer = report(desk, release, request).await;
            (!answer.outcome.is_success(), Message::GlobalReportResponse(answer))
        }
        Message::BranchRegister(request) => {
            let resource = resource.unwrap_or_else(|| ResourceId::from(&*request.resource_id));
            let answer = register(desk, asker, request, resource, may_wait).await;
            (!answer.outcome.is_success(), Message::BranchRegisterResponse(answer))
        }
        Message::BranchReport(request) => {
            let answer = branch_report(desk, release, request).await;
            let answer = answers::for_short_readers(release, answer);
            (!answer.is_success(), Message::BranchReportResponse(answer))
        }
        Message::GlobalLockQuery(request) => {
            let resource = resource.unwrap_or_else(|| ResourceId::from(&*request.resource_id));
            let answer = query_locks(desk, release, request, resource).await;
            let outcome = answers::for_short_readers(release, answer.outcome);
            (!outcome.is_success(), Message::GlobalLockQueryResponse(Lockable { outcome, ..answer }))
        }
        other => unreachable!("{} is not carried out here, and was not handed over", other.name()),
    }
}

async fn begin(desk: &Desk, asker: &Asker, request: GlobalBegin) -> GlobalBegun {
    let begun = desk.tc.begin(BeginRequest {
        application: Arc::clone(&asker.identity.application),
        group: Arc::clone(&asker.identity.group),
        name: (&*request.name).into(),
        timeout: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
        is_local: false,
    });
    match begun.await {
        Ok(xid) => {
            GlobalBegun { outcome: Outcome::success(), xid: xid.as_str().into(), extra_data: Text::new() }
        }
        Err(error) => {
            let outcome = answers::begin(asker.release, &error);
            GlobalBegun { outcome, xid: Text::new(), extra_data: Text::new() }
        }
    }
}

/// What is asked of a transaction as a whole.
#[derive(Clone, Copy)]
enum End {
    Commit,
    Rollback,
    Status,
}

async fn end(desk: &Desk, release: Release, request: GlobalRequest, end: End) -> GlobalResponse {
    // What Java says when it fails before it knows better.
    let preset = match end {
        End::Commit => GlobalStatus::Committing,
        End::Rollback => GlobalStatus::Rollbacking,
        End::Status => GlobalStatus::Unknown,
    };
    if request.xid.is_empty() {
        return GlobalResponse { outcome: answers::failed("the request has no XID"), status: preset };
    }
    let Ok(xid) = request.xid.parse::<Xid>() else {
        return GlobalResponse { outcome: Outcome::success(), status: GlobalStatus::Finished };
    };
    let status = match end {
        End::Commit => desk.tc.commit(&xid).await,
        End::Rollback => desk.tc.rollback(&xid).await,
        End::Status => desk.tc.status(&xid).await,
    };
    match status {
        Ok(status) => GlobalResponse { outcome: Outcome::success(), status: status.for_release(release) },
        Err(error) => GlobalResponse { outcome: answers::unavailable(release, &error), status: preset },
    }
}

async fn report(desk: &Desk, release: Release, request: GlobalReport) -> GlobalResponse {
    let Some(reported) = request.status else {
        let outcome = answers::failed("the report names no status");
        return GlobalResponse { outcome, status: GlobalStatus::Unknown };
    };
    let Ok(xid) = request.xid.parse::<Xid>() else {
        return GlobalResponse { outcome: Outcome::success(), status: reported };
    };
    match desk.tc.report(&xid, reported).await {
        Ok(status) => GlobalResponse { outcome: Outcome::success(), status: status.for_release(release) },
        Err(error) => GlobalResponse { outcome: answers::unavailable(release, &error), status: reported },
    }
}

async fn register(
    desk: &Desk,
    asker: &Asker,
    request: BranchRegister,
    resource: ResourceId,
    may_wait: bool,
) -> BranchRegistered {
    let release = asker.release;
    let refused = |outcome| BranchRegistered { outcome, branch_id: BranchId(0) };
    let Ok(xid) = request.xid.parse::<Xid>() else {
        return refused(answers::unknown(release, &request.xid));
    };
    let locks = match locks(desk, release, &request, &resource, Code::BranchRegisterFailed) {
        Ok(locks) => locks,
        Err(outcome) => return refused(outcome),
    };
    let lock_wait = if may_wait { desk.lock_wait().min(MAX_LOCK_WAIT) } else { Duration::ZERO };
    let registered = desk.tc.register_branch(BranchRequest {
        xid,
        branch_type: request.branch_type,
        resource,
        locks,
        application_data: (&*request.application_data).into(),
        client: Arc::clone(&asker.identity.client),
        lock_wait,
    });
    match registered.await {
        Ok(branch_id) => BranchRegistered { outcome: Outcome::success(), branch_id },
        Err(error) => refused(answers::register(release, &error, &request.xid, &request.application_data)),
    }
}

async fn branch_report(desk: &Desk, release: Release, request: BranchReport) -> Outcome {
    let Ok(xid) = request.xid.parse::<Xid>() else { return answers::unknown(release, &request.xid) };
    let data = match &*request.application_data {
        "" => None,
        data => Some(data.into()),
    };
    match desk.tc.report_branch(&xid, request.branch_id, request.status, data).await {
        Ok(()) => Outcome::success(),
        Err(error) => answers::report(release, &error, &request.xid),
    }
}

async fn query_locks(
    desk: &Desk,
    release: Release,
    request: BranchRegister,
    resource: ResourceId,
) -> Lockable {
    let locks = match locks(desk, release, &request, &resource, Code::LockableCheckFailed) {
        Ok(locks) => locks,
        Err(outcome) => return Lockable { outcome, lockable: false },
    };
    let lockable = locks.is_empty() || {
        let xid = request.xid.parse::<Xid>().ok();
        // As in Java, rows that cannot be looked at are not free.
        desk.tc.query_locks(xid.as_ref(), &locks).await.is_ok()
    };
    Lockable { outcome: Outcome::success(), lockable }
}

/// The rows that a request names. Only AT branches lock any.
fn locks(
    desk: &Desk,
    release: Release,
    request: &BranchRegister,
    resource: &ResourceId,
    code: Code,
) -> Result<Vec<RowLock>, Outcome> {
    if request.branch_type != BranchType::At || request.lock_key.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (length, limit) = (request.lock_key.len(), desk.settings.max_lock_key);
    if length > limit {
        let text = format_args!("the lock key is {length} bytes long, at most {limit} are allowed");
        return Err(answers::bad_lock_key(release, code, text));
    }
    parse_lock_key(resource, &request.lock_key).map_err(|error| answers::bad_lock_key(release, code, error))
}
