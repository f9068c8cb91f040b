//! Requests: what a message asks, and carrying it out.
//!
//! A message is read as soon as it has come. What is under way then keeps nothing of the bytes that it came in,
//! and weighs what it says it does.

use std::{sync::Arc, time::Duration};

use seata_coordinator::driver::{BeginRequest, BranchRequest, RegisterError};
use seata_protocol::{
    BranchId, BranchRegister, BranchRegistered, BranchReport, BranchStatus, BranchType, GlobalBegin,
    GlobalBegun, GlobalReport, GlobalRequest, GlobalResponse, GlobalStatus, Lockable, Message, Outcome,
    Release, ResourceId, RowLock, Text, TransactionExceptionCode as Code, Xid, parse_lock_key,
};

use super::{answers, clients::Identity, desk::Desk, names::Names};

/// What a waiting registration stays below: Java resource managers give up after 15 s.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(10);
/// The longest resource id, in bytes: the width of Java's column.
pub(super) const MAX_RESOURCE: usize = 256;
/// What a row is counted as, beside its name.
const ROW: usize = 100;

/// Who asks.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) identity: Arc<Identity>,
    pub(super) release: Release,
}

/// A request that this server carries out.
pub(super) enum Request {
    Begin(BeginRequest),
    End(End, Xid),
    Report(Xid, GlobalStatus),
    Register(BranchRequest),
    ReportBranch(Xid, BranchId, BranchStatus, Option<Arc<str>>),
    QueryLocks(Option<Xid>, Vec<RowLock>),
}

/// What is asked of a transaction as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    Rollback,
    Status,
}

/// What a message asks.
pub(super) enum Asked {
    /// To be carried out.
    Request(Request),
    /// Nothing that could be carried out: the answer is known.
    Answered(Answer),
    /// Nothing that this server does.
    Nothing,
}

/// An answer, and whether the request failed.
pub(super) struct Answer {
    pub(super) message: Message,
    pub(super) failed: bool,
}

impl Request {
    /// How many bytes it keeps.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Begin(request) => request.name.len(),
            Self::End(..) | Self::Report(..) => 0,
            Self::Register(request) => rows_weight(&request.locks) + request.application_data.len(),
            Self::ReportBranch(.., data) => data.as_ref().map_or(0, |data| data.len()),
            Self::QueryLocks(_, locks) => rows_weight(locks),
        }
    }

    /// It waited so long for its turn. Its asker counts from when it asked.
    pub(super) fn has_waited(&mut self, time: Duration) {
        if let Self::Register(request) = self {
            request.lock_wait = request.lock_wait.saturating_sub(time);
        }
    }
}

/// Whether only starters of transactions ask this.
pub(super) fn is_for_starters(message: &Message) -> bool {
    use Message::*;
    matches!(message, GlobalBegin(_) | GlobalCommit(_) | GlobalRollback(_) | GlobalReport(_))
}

/// Reads what a message asks. What `may_wait` may wait for rows of others: nobody else's answer waits for its.
pub(super) fn read(desk: &Desk, asker: &Asker, names: &mut Names, message: Message, may_wait: bool) -> Asked {
    match message {
        Message::GlobalBegin(request) => begin(asker, request),
        Message::GlobalCommit(request) => end(End::Commit, &request),
        Message::GlobalRollback(request) => end(End::Rollback, &request),
        Message::GlobalStatus(request) => end(End::Status, &request),
        Message::GlobalReport(request) => report(&request),
        Message::BranchRegister(request) => register(desk, asker, names, &request, may_wait),
        Message::BranchReport(request) => branch_report(asker.release, &request),
        Message::GlobalLockQuery(request) => lock_query(desk, asker.release, names, &request),
        _ => Asked::Nothing,
    }
}

fn begin(asker: &Asker, request: GlobalBegin) -> Asked {
    Asked::Request(Request::Begin(BeginRequest {
        application: Arc::clone(&asker.identity.application),
        group: Arc::clone(&asker.identity.group),
        name: (&*request.name).into(),
        timeout: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
        is_local: false,
    }))
}

fn end(end: End, request: &GlobalRequest) -> Asked {
    if request.xid.is_empty() {
        // What Java says when it fails before it knows better.
        let status = match end {
            End::Commit => GlobalStatus::Committing,
            End::Rollback => GlobalStatus::Rollbacking,
            End::Status => GlobalStatus::Unknown,
        };
        let answer = GlobalResponse { outcome: answers::failed("the request has no XID"), status };
        return Asked::Answered(end.answer(answer));
    }
    match request.xid.parse() {
        Ok(xid) => Asked::Request(Request::End(end, xid)),
        Err(_) => Asked::Answered(end.answer(standing(GlobalStatus::Finished))),
    }
}

fn report(request: &GlobalReport) -> Asked {
    let Some(reported) = request.status else {
        let outcome = answers::failed("the report names no status");
        return Asked::Answered(Answer::report(GlobalResponse { outcome, status: GlobalStatus::Unknown }));
    };
    match request.xid.parse() {
        Ok(xid) => Asked::Request(Request::Report(xid, reported)),
        Err(_) => Asked::Answered(Answer::report(standing(reported))),
    }
}

fn register(
    desk: &Desk,
    asker: &Asker,
    names: &mut Names,
    request: &BranchRegister,
    may_wait: bool,
) -> Asked {
    let release = asker.release;
    let Ok(xid) = request.xid.parse::<Xid>() else {
        return Asked::Answered(Answer::register_refused(answers::unknown(release, &request.xid)));
    };
    let (resource, locks) = match rows(desk, release, names, request, Code::BranchRegisterFailed) {
        Ok(rows) => rows,
        Err(outcome) => return Asked::Answered(Answer::register_refused(outcome)),
    };
    Asked::Request(Request::Register(BranchRequest {
        xid,
        branch_type: request.branch_type,
        resource,
        locks,
        application_data: match &*request.application_data {
            "" => Arc::clone(&desk.empty),
            data => data.into(),
        },
        client: Arc::clone(&asker.identity.client),
        lock_wait: if may_wait { desk.lock_wait().min(MAX_LOCK_WAIT) } else { Duration::ZERO },
    }))
}

fn branch_report(release: Release, request: &BranchReport) -> Asked {
    let Ok(xid) = request.xid.parse::<Xid>() else {
        let unknown = answers::unknown(release, &request.xid);
        return Asked::Answered(Answer::branch_report(release, unknown));
    };
    let data = match &*request.application_data {
        "" => None,
        data => Some(data.into()),
    };
    Asked::Request(Request::ReportBranch(xid, request.branch_id, request.status, data))
}

fn lock_query(desk: &Desk, release: Release, names: &mut Names, request: &BranchRegister) -> Asked {
    match rows(desk, release, names, request, Code::LockableCheckFailed) {
        Ok((_, locks)) if locks.is_empty() => Asked::Answered(Answer::lock_query(release, Ok(true))),
        Ok((_, locks)) => Asked::Request(Request::QueryLocks(request.xid.parse().ok(), locks)),
        Err(outcome) => Asked::Answered(Answer::lock_query(release, Err(outcome))),
    }
}

/// The resource that a request names, and its rows. Only AT branches lock any.
fn rows(
    desk: &Desk,
    release: Release,
    names: &mut Names,
    request: &BranchRegister,
    code: Code,
) -> Result<(ResourceId, Vec<RowLock>), Outcome> {
    let BranchRegister { branch_type, resource_id, lock_key, .. } = request;
    if resource_id.len() > MAX_RESOURCE {
        let length = resource_id.len();
        let text = format_args!("the resource id is {length} bytes long, at most {MAX_RESOURCE} are allowed");
        return Err(answers::refused(release, code, text));
    }
    let resource = names.resource(resource_id);
    if *branch_type != BranchType::At || lock_key.trim().is_empty() {
        return Ok((resource, Vec::new()));
    }
    let (length, limit) = (lock_key.len(), desk.settings.max_lock_key);
    if length > limit {
        let text = format_args!("the lock key is {length} bytes long, at most {limit} are allowed");
        return Err(answers::refused(release, code, text));
    }
    // Two bytes name a row, which takes a hundred: too many are not even read.
    let limit = desk.tc.max_locks();
    if length / 2 >= limit {
        let count = row_count(lock_key);
        if count > limit {
            return Err(answers::refused(release, code, RegisterError::TooManyLocks { count, limit }));
        }
    }
    match parse_lock_key(&resource, lock_key) {
        Ok(locks) => Ok((resource, locks)),
        Err(error) => Err(answers::refused(release, code, error)),
    }
}

/// The coordinator keeps each row with the name of its table.
fn rows_weight(locks: &[RowLock]) -> usize {
    locks.iter().map(|lock| ROW + lock.table.len() + lock.key.as_str().len()).sum()
}

fn row_count(lock_key: &str) -> usize {
    let groups = lock_key.split(';').filter_map(|group| group.split_once(':'));
    groups.flat_map(|(_, keys)| keys.split(',')).filter(|key| !key.is_empty()).count()
}

/// Carries a request out. `None`: whether it was done is not known, and no answer says so to Java, which takes
/// any status of a commit for its success. Whoever asks again learns it.
pub(super) async fn carry_out(desk: Arc<Desk>, release: Release, request: Request) -> Option<Answer> {
    Some(match request {
        Request::Begin(request) => Answer::begin(match desk.tc.begin(request).await {
            Ok(xid) => {
                GlobalBegun { outcome: Outcome::success(), xid: xid.as_str().into(), extra_data: Text::new() }
            }
            Err(error) => GlobalBegun {
                outcome: answers::begin(release, &error),
                xid: Text::new(),
                extra_data: Text::new(),
            },
        }),
        Request::End(End::Commit, xid) => {
            let status = desk.tc.commit(&xid).await.ok()?;
            End::Commit.answer(standing(status.for_release(release)))
        }
        Request::End(End::Rollback, xid) => {
            let status = desk.tc.rollback(&xid).await.ok()?;
            End::Rollback.answer(standing(status.for_release(release)))
        }
        Request::End(End::Status, xid) => End::Status.answer(match desk.tc.status(&xid).await {
            Ok(status) => standing(status.for_release(release)),
            Err(error) => GlobalResponse {
                outcome: answers::unavailable(release, &error),
                status: GlobalStatus::Unknown,
            },
        }),
        Request::Report(xid, reported) => {
            let status = desk.tc.report(&xid, reported).await.ok()?;
            Answer::report(standing(status.for_release(release)))
        }
        Request::Register(request) => {
            let (xid, data) = (request.xid.clone(), Arc::clone(&request.application_data));
            match desk.tc.register_branch(request).await {
                Ok(branch_id) => Answer::registered(branch_id),
                Err(error) => {
                    Answer::register_refused(answers::register(release, &error, xid.as_str(), &data))
                }
            }
        }
        Request::ReportBranch(xid, branch, status, data) => {
            let reported = desk.tc.report_branch(&xid, branch, status, data).await;
            let refused = |error| answers::report(release, &error, xid.as_str());
            Answer::branch_report(release, reported.map_or_else(refused, |()| Outcome::success()))
        }
        Request::QueryLocks(xid, locks) => {
            // As in Java, rows that cannot be looked at are not free.
            let is_free = desk.tc.query_locks(xid.as_ref(), &locks).await.is_ok();
            Answer::lock_query(release, Ok(is_free))
        }
    })
}

/// The answer that says where a transaction stands.
fn standing(status: GlobalStatus) -> GlobalResponse {
    GlobalResponse { outcome: Outcome::success(), status }
}

impl End {
    fn answer(self, answer: GlobalResponse) -> Answer {
        let failed = !answer.outcome.is_success();
        let message = match self {
            Self::Commit => Message::GlobalCommitResponse(answer),
            Self::Rollback => Message::GlobalRollbackResponse(answer),
            Self::Status => Message::GlobalStatusResponse(answer),
        };
        Answer { message, failed }
    }
}

impl Answer {
    fn begin(answer: GlobalBegun) -> Self {
        Self { failed: !answer.outcome.is_success(), message: Message::GlobalBeginResponse(answer) }
    }

    fn report(answer: GlobalResponse) -> Self {
        Self { failed: !answer.outcome.is_success(), message: Message::GlobalReportResponse(answer) }
    }

    fn registered(branch_id: BranchId) -> Self {
        let answer = BranchRegistered { outcome: Outcome::success(), branch_id };
        Self { failed: false, message: Message::BranchRegisterResponse(answer) }
    }

    fn register_refused(outcome: Outcome) -> Self {
        let answer = BranchRegistered { outcome, branch_id: BranchId(0) };
        Self { failed: true, message: Message::BranchRegisterResponse(answer) }
    }

    fn branch_report(release: Release, outcome: Outcome) -> Self {
        let failed = !outcome.is_success();
        let outcome = answers::for_short_readers(release, outcome);
        Self { failed, message: Message::BranchReportResponse(outcome) }
    }

    fn lock_query(release: Release, free: Result<bool, Outcome>) -> Self {
        let failed = free.is_err();
        let (lockable, outcome) = match free {
            Ok(lockable) => (lockable, Outcome::success()),
            Err(outcome) => (false, answers::for_short_readers(release, outcome)),
        };
        Self { failed, message: Message::GlobalLockQueryResponse(Lockable { outcome, lockable }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_they_are_read() {
        let resource = ResourceId::from("jdbc:a");
        for text in ["t:1", "t:1,2;u:3_4", "t:1,;", ";;t:,1", "t:", "", "t:1,1,,;;u:;v:a:b"] {
            let read = parse_lock_key(&resource, text).unwrap();
            assert_eq!(row_count(text), read.len(), "{text}");
        }
    }
}
