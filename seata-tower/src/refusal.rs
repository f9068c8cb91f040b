//! Why a server refuses a request.

use seata_protocol::{InvalidXid, Xid};

/// Why a server refuses a request before its handler runs.
///
/// Running it without its transaction would leave the caller with work that no rollback reaches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The header is not UTF-8.
    #[error("the tx_xid header is not text: expected an XID host:port:id")]
    NotText,
    /// The header is text, but no XID.
    #[error("the tx_xid header was refused: {0}")]
    Malformed(#[from] InvalidXid),
    /// Several headers name different transactions.
    #[error("two tx_xid headers name different transactions, {first} and {second}: expected one")]
    Conflicting {
        /// What the first header says.
        first: Xid,
        /// What a later one says.
        second: Xid,
    },
    /// The transaction belongs to a coordinator that this service does not reach, so that its
    /// branches could not be registered.
    #[error(
        "global transaction {xid} belongs to coordinator {}, which {application} does not use: \
         connect both services to one coordinator",
        xid.coordinator()
    )]
    UnknownCoordinator {
        /// The transaction.
        xid: Xid,
        /// The application id of this service.
        application: String,
    },
    /// This edge takes no transaction from outside ([`InboundXid::Refuse`](crate::InboundXid::Refuse)).
    #[error("a tx_xid header is not accepted here: send the request without it")]
    Untrusted,
}
