//! What is said when a request was not carried out, in the words and numbers that clients know.

use std::fmt::Display;

use seata_coordinator::driver::{BeginError, RegisterError, ReportError, Unavailable};
use seata_protocol::{Outcome, Release, Text, TransactionExceptionCode as Code};

/// A refusal that Java calls a `TransactionException`.
pub(super) fn refused(release: Release, code: Code, text: impl Display) -> Outcome {
    Outcome::failed(code.for_release(release), format!("TransactionException[{text}]"))
}

/// A failure that Java has no name for.
pub(super) fn failed(text: impl Display) -> Outcome {
    Outcome::failed(Code::Unknown, format!("RuntimeException[{text}]"))
}

/// Nothing can be done now.
pub(super) fn unavailable(release: Release, error: &Unavailable) -> Outcome {
    match error {
        Unavailable::Store(error) => refused(release, Code::FailedStore, error),
        error => failed(error),
    }
}

/// There is no such transaction.
pub(super) fn unknown(release: Release, xid: &str) -> Outcome {
    let text = format!("Could not found global transaction xid = {xid}, may be has finished.");
    refused(release, Code::GlobalTransactionNotExist, text)
}

pub(super) fn begin(release: Release, error: &BeginError) -> Outcome {
    match error {
        BeginError::Unavailable(error) => unavailable(release, error),
        error => refused(release, Code::BeginFailed, error),
    }
}

/// `data` is what the request carried for its resource manager.
pub(super) fn register(release: Release, error: &RegisterError, xid: &str, data: &str) -> Outcome {
    match error {
        RegisterError::LockConflict(conflict) => {
            let code = match conflict.holder_is_rolling_back && forbids_waiting(data) {
                true => Code::LockKeyConflictFailFast,
                false => Code::LockKeyConflict,
            };
            refused(release, code, format_args!("Global lock acquire failed xid = {xid}: {conflict}"))
        }
        RegisterError::NotActive { xid, status } => {
            let text = format_args!(
                "Could not register branch into global session xid = {xid} status = {status}, cause by \
                 globalSession not active"
            );
            refused(release, Code::GlobalTransactionNotActive, text)
        }
        RegisterError::UnknownTransaction { .. } => unknown(release, xid),
        RegisterError::WrongLock { .. } => refused(release, Code::BranchRegisterFailed, error),
        RegisterError::Unavailable(error) => unavailable(release, error),
        error => refused(release, Code::FailedToAddBranch, error),
    }
}

pub(super) fn report(release: Release, error: &ReportError, xid: &str) -> Outcome {
    match error {
        ReportError::UnknownTransaction { .. } => unknown(release, xid),
        ReportError::UnknownBranch { xid, branch } => {
            let text = format_args!("Could not found branch session xid = {xid} branchId = {branch}");
            refused(release, Code::BranchTransactionNotExist, text)
        }
        ReportError::Unavailable(error) => unavailable(release, error),
        error => refused(release, Code::BranchReportFailed, error),
    }
}

/// seata-go reads the length of some texts as one byte where all others write two. It cannot be told from Java
/// 1.5.2, whose version it gives for its own: neither gets a text there.
pub(super) fn for_short_readers(release: Release, mut outcome: Outcome) -> Outcome {
    if [Release::new(1, 5, 2), Release::new(1, 1, 0)].contains(&release) {
        outcome.message = Text::new();
    }
    outcome
}

/// The asker holds database locks that the holder of the row may be waiting for.
fn forbids_waiting(data: &str) -> bool {
    let Some((_, rest)) = data.split_once("\"autoCommit\"") else { return false };
    let Some(value) = rest.trim_start().strip_prefix(':') else { return false };
    value.trim_start().starts_with("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_not_wait_says_so() {
        for (data, forbids) in [
            (r#"{"autoCommit":false}"#, true),
            (r#"{ "skipCheckLock" : true, "autoCommit" : false }"#, true),
            (r#"{"autoCommit":true}"#, false),
            (r#"{"autoCommit"}"#, false),
            ("", false),
        ] {
            assert_eq!(forbids_waiting(data), forbids, "{data}");
        }
    }

    #[test]
    fn a_text_is_withheld_from_those_who_cannot_read_it() {
        for (version, message) in [("1.5.2", ""), ("1.1.0", ""), ("2.0.0", "TransactionException[why]")] {
            let release = Release::of(version);
            let outcome = refused(release, Code::BranchReportFailed, "why");
            assert_eq!(for_short_readers(release, outcome).message, message, "{version}");
        }
    }
}
