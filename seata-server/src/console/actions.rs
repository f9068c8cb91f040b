//! What an operator can do, and the line that tells of it.

use std::sync::Arc;

use axum::http::StatusCode;
use seata_coordinator::{
    driver::{GivenUp, Known},
    record::Branch,
    session::Decision,
};
use seata_protocol::{GlobalStatus, Xid};

use crate::Tc;

use super::{ConsoleState, reply::Refusal};

/// What can be done with one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Try it again now.
    Retry,
    /// Stop trying.
    Park,
    /// Decide to commit.
    Commit,
    /// Decide to roll back.
    Rollback,
    /// End a decided one without asking the branches that are left.
    GiveUp,
    /// Free the rows of a parked one.
    Release,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Acted {
    pub(super) status: GlobalStatus,
    pub(super) message: String,
}

/// How many branches are named that were given up.
const MAX_NAMED: usize = 5;
/// The longest reason, in bytes.
const MAX_REASON: usize = 1_024;

impl Action {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "retry" => Self::Retry,
            "park" => Self::Park,
            "commit" => Self::Commit,
            "rollback" => Self::Rollback,
            "give-up" => Self::GiveUp,
            "release" => Self::Release,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Park => "park",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::GiveUp => "give-up",
            Self::Release => "release",
        }
    }

    /// It may leave data behind that nobody repairs, so somebody has to say why.
    fn needs_reason(self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::GiveUp | Self::Release)
    }
}

/// Does it, and writes the audit line, also when the caller goes away meanwhile.
pub(super) async fn act(
    state: &ConsoleState,
    user: &str,
    action: Action,
    xid: &str,
    reason: &str,
) -> Result<Acted, Refusal> {
    let reason = reason.trim();
    let mut line = AuditLine { user, action: action.name(), xid, reason, outcome: None };
    let acted = carry_out(state, user, action, xid, reason).await;
    line.outcome = Some(match &acted {
        Ok(acted) => acted.message.clone(),
        Err(refusal) => format!("refused: {}", refusal.text()),
    });
    acted
}

async fn carry_out(
    state: &ConsoleState,
    user: &str,
    action: Action,
    xid: &str,
    reason: &str,
) -> Result<Acted, Refusal> {
    if reason.len() > MAX_REASON {
        let length = reason.len();
        let text = format!("the reason is {length} bytes long, at most {MAX_REASON} are allowed");
        return Err(Refusal::bad_request(text));
    }
    if reason.is_empty() && action.needs_reason() {
        let text = format!(r#"{} needs a reason: send {{"reason": "…"}}"#, action.name());
        return Err(Refusal::bad_request(text));
    }
    let xid: Xid = parse_xid(xid)?;
    let reason: Arc<str> =
        if reason.is_empty() { format!("by {user}").into() } else { format!("{reason} ({user})").into() };
    let tc = &state.tc;
    let (status, message) = match action {
        Action::Retry => {
            let status = tc.retry(&xid).await?;
            (status, "it is tried again".to_owned())
        }
        Action::Park => {
            let status = tc.park(&xid, reason).await?;
            (status, "it is not tried again until somebody asks for it; its locks stay".to_owned())
        }
        Action::Commit => force(tc, &xid, Decision::Commit, reason).await?,
        Action::Rollback => force(tc, &xid, Decision::Rollback, reason).await?,
        Action::GiveUp => {
            let given_up = tc.give_up(&xid, reason).await?;
            (given_up.status, given_up_text(&given_up))
        }
        Action::Release => {
            let rows = tc.release(&xid, reason).await?;
            let status = match tc.find(&xid).await? {
                Some(Known::Open(view)) => view.snapshot.status,
                Some(Known::Ended(ended)) => ended.status,
                None => GlobalStatus::Finished,
            };
            (status, format!("{rows} rows are free; it stays parked"))
        }
    };
    Ok(Acted { status, message })
}

async fn force(
    tc: &Tc,
    xid: &Xid,
    decision: Decision,
    reason: Arc<str>,
) -> Result<(GlobalStatus, String), Refusal> {
    let was_undecided = match tc.find(xid).await? {
        Some(Known::Open(view)) => view.snapshot.status == GlobalStatus::Begin,
        Some(Known::Ended(_)) | None => false,
    };
    let status = tc.force(xid, decision, reason).await?;
    let decided = match decision {
        Decision::Commit => "it is decided to commit",
        Decision::Rollback | Decision::Timeout => "it is decided to roll back",
    };
    let message = match was_undecided {
        false => "it was decided that way before, and nothing was changed: retry tries its branches again, give-up \
                  ends it without them"
            .to_owned(),
        true if status.is_complete() => format!("{decided}: {status}"),
        true => format!("{decided}; phase two goes on"),
    };
    Ok((status, message))
}

/// What was not done, too: somebody has to do it by hand.
fn given_up_text(GivenUp { status, branches, .. }: &GivenUp) -> String {
    if branches.is_empty() {
        return format!("ended as {status}; no branch was left");
    }
    let name = |branch: &Arc<Branch>| format!("{} {} of {}", branch.branch_type, branch.id, branch.resource);
    let mut names: Vec<String> = branches.iter().take(MAX_NAMED).map(name).collect();
    if branches.len() > MAX_NAMED {
        names.push(format!("{} more", branches.len() - MAX_NAMED));
    }
    format!(
        "ended as {status}, but not done are {} branches, whose changes stay as they are: {}; its row locks are free",
        branches.len(),
        names.join(", ")
    )
}

/// The XID of a path or a parameter.
pub(super) fn parse_xid(text: &str) -> Result<Xid, Refusal> {
    text.parse()
        .map_err(|error: seata_protocol::InvalidXid| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// Written when it is dropped.
struct AuditLine<'a> {
    user: &'a str,
    action: &'static str,
    xid: &'a str,
    reason: &'a str,
    outcome: Option<String>,
}

impl Drop for AuditLine<'_> {
    fn drop(&mut self) {
        let Self { user, action, xid, reason, .. } = *self;
        let outcome = self.outcome.as_deref().unwrap_or("not known: the caller went away before the answer");
        // As texts, which the log escapes: none of them can look like another line.
        tracing::info!(target: "seata::audit", user, action, xid, reason, outcome);
    }
}
