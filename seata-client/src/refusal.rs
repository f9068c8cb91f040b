//! What a server's "no" means.

use seata_context::CoordinationError;
use seata_protocol::{
    GlobalStatus, Message, Outcome, Release, RowLock, TransactionExceptionCode as Code, Xid,
};

use crate::ServerAddress;

/// Stands for a holder that the server does not name.
const UNNAMED: &str = "(the coordinator does not say which)";

/// A failed request that concerned this transaction, if any, as a server of this release says it.
pub(crate) fn refused(outcome: Outcome, release: Release, xid: Option<&Xid>) -> CoordinationError {
    match (outcome.code.meant_by(release), xid) {
        (Code::GlobalTransactionNotExist, Some(xid)) => {
            CoordinationError::UnknownTransaction { xid: xid.clone() }
        }
        (Code::GlobalTransactionNotActive | Code::GlobalTransactionStatusInvalid, Some(xid)) => {
            CoordinationError::NotActive { xid: xid.clone(), status: status_in(&outcome.message) }
        }
        (code, _) => CoordinationError::Refused { code, message: words(&outcome).to_owned() },
    }
}

/// A failed branch registration or lock query for these rows.
pub(crate) fn refused_rows(
    outcome: Outcome,
    release: Release,
    xid: Option<&Xid>,
    rows: &[RowLock],
) -> CoordinationError {
    match outcome.code.meant_by(release) {
        Code::LockKeyConflict => conflict(&outcome.message, rows, false),
        Code::LockKeyConflictFailFast => conflict(&outcome.message, rows, true),
        _ => refused(outcome, release, xid),
    }
}

/// One of these rows is locked. Java's servers say neither which nor by whom; a server that says it writes
/// `row R is locked by global transaction H`.
pub(crate) fn conflict(message: &str, rows: &[RowLock], holder_is_rolling_back: bool) -> CoordinationError {
    let named =
        message.split_once("row ").and_then(|(_, rest)| rest.split_once(" is locked by global transaction "));
    let (row, holder) = match (named, rows) {
        (Some((row, holder)), _) => (row.to_owned(), first_word(holder)),
        (None, [only]) => (only.to_string(), UNNAMED),
        (None, [first, others @ ..]) => (format!("{first} (or one of {} others)", others.len()), UNNAMED),
        (None, []) => ("of no name".to_owned(), UNNAMED),
    };
    CoordinationError::LockConflict { row, holder: holder.to_owned(), holder_is_rolling_back }
}

/// An answer to another question.
pub(crate) fn wrong_answer(server: &ServerAddress, answer: &Message) -> CoordinationError {
    let message = format!("server {server} answered with a {}", answer.name());
    CoordinationError::Refused { code: Code::Unknown, message }
}

/// The server's words, or, where it has none, that there are none.
fn words(outcome: &Outcome) -> &str {
    if outcome.message.is_empty() { "the server gives no reason" } else { &outcome.message }
}

/// Java's servers write `status = Committing` somewhere in the text.
fn status_in(message: &str) -> GlobalStatus {
    let name = message.split_once("status = ").map(|(_, rest)| first_word(rest));
    let status = GlobalStatus::ALL.iter().find(|status| status.name() == name);
    status.copied().filter(|_| name.is_some()).unwrap_or(GlobalStatus::Unknown)
}

/// Up to what ends a name or an XID in a sentence.
fn first_word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ']' | ')')).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use seata_protocol::{ResourceId, RowKey};

    use super::*;

    const JAVA: Release = Release::new(2, 0, 0);

    fn xid() -> Xid {
        "192.0.2.1:8291:9854222718369797".parse().unwrap()
    }

    fn row(key: &str) -> RowLock {
        RowLock {
            resource: ResourceId::from("jdbc:stock"),
            table: "t".into(),
            key: RowKey::from_text(key).unwrap(),
        }
    }

    #[test]
    fn java_s_words_are_understood() {
        let not_active = "TransactionException[Could not register branch into global session xid = \
                          192.0.2.1:8291:9854222718369797 status = RollbackRetrying, cause by globalSession not \
                          active]";
        let cases = [
            (
                Outcome::failed(Code::GlobalTransactionNotExist, "TransactionException[Could not found]"),
                CoordinationError::UnknownTransaction { xid: xid() },
            ),
            (
                Outcome::failed(Code::GlobalTransactionNotActive, not_active),
                CoordinationError::NotActive { xid: xid(), status: GlobalStatus::RollbackRetrying },
            ),
            (
                Outcome::failed(Code::GlobalTransactionStatusInvalid, "in other words"),
                CoordinationError::NotActive { xid: xid(), status: GlobalStatus::Unknown },
            ),
            (
                Outcome::failed(Code::FailedStore, "StoreException[disk full]"),
                CoordinationError::Refused {
                    code: Code::FailedStore,
                    message: "StoreException[disk full]".into(),
                },
            ),
            (
                Outcome::failed(Code::Unknown, ""),
                CoordinationError::Refused {
                    code: Code::Unknown,
                    message: "the server gives no reason".into(),
                },
            ),
        ];
        for (outcome, expected) in cases {
            assert_eq!(refused_rows(outcome, JAVA, Some(&xid()), &[]), expected);
        }
    }

    #[test]
    fn a_conflict_names_what_is_known() {
        let java = "TransactionException[Global lock acquire failed xid = 192.0.2.1:8291:3 branchId = 4]";
        let outcome = |code| Outcome::failed(code, java);
        assert_eq!(
            refused_rows(outcome(Code::LockKeyConflict), JAVA, Some(&xid()), &[row("1")]),
            CoordinationError::LockConflict {
                row: "t:1 in jdbc:stock".into(),
                holder: "(the coordinator does not say which)".into(),
                holder_is_rolling_back: false
            }
        );
        assert_eq!(
            refused_rows(
                outcome(Code::LockKeyConflictFailFast),
                JAVA,
                Some(&xid()),
                &[row("1"), row("2"), row("3")]
            ),
            CoordinationError::LockConflict {
                row: "t:1 in jdbc:stock (or one of 2 others)".into(),
                holder: "(the coordinator does not say which)".into(),
                holder_is_rolling_back: true
            }
        );
        let ours = CoordinationError::LockConflict {
            row: "t:2 in jdbc:stock".into(),
            holder: "10.0.0.1:8091:7".into(),
            holder_is_rolling_back: false,
        };
        let told = Outcome::failed(Code::LockKeyConflict, format!("TransactionException[{ours}]"));
        assert_eq!(refused_rows(told, JAVA, Some(&xid()), &[row("1"), row("2")]), ours);
    }

    #[test]
    fn a_number_means_what_it_means_in_the_release_of_the_server() {
        let nineteen = || Outcome::failed(Code::from_code(19), "TransactionException[19]");
        let of = |version| refused_rows(nineteen(), Release::of(version), Some(&xid()), &[row("1")]);
        for version in ["1.7.0", "1.8.0"] {
            let error = of(version);
            assert!(
                matches!(error, CoordinationError::LockConflict { holder_is_rolling_back: true, .. }),
                "{version}: {error:?}"
            );
        }
        let error = of("2.0.0");
        assert!(matches!(error, CoordinationError::Refused { code: Code::NotRaftLeader, .. }), "{error:?}");
    }
}
