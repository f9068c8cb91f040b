//! What clients and coordinators say to each other.
//!
//! The types hold what travels, without judging it: an XID or a lock key is the text that came. A text
//! that Java would call `null` is empty here, as it is on the wire.

use bytestring::ByteString;

use crate::{BranchId, BranchStatus, BranchType, GlobalStatus, ResultCode, TransactionExceptionCode};

/// A text in a message: a slice of the bytes it came in, cheap to clone.
///
/// It keeps these bytes alive, with all that was read into the same buffer: whoever stores a text for long
/// makes a `String` of it.
pub type Text = ByteString;

/// Builds [`Message`] from a table of type code, Rust name, content and Java's class name.
macro_rules! messages {
    ($( $(#[$meta:meta])* $code:literal $variant:ident($content:ty) $java:literal; )+) => {
        /// One message between a client and its coordinator, under the name of its Java class.
        ///
        /// Heartbeats are no messages: they are frames without a body.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $( $(#[$meta])* $variant($content), )+
        }

        impl Message {
            /// The number that stands for this kind of message on the wire.
            pub const fn type_code(&self) -> i16 {
                match self {
                    $( Self::$variant(_) => $code, )+
                }
            }

            /// The name of its Java class, as it stands in Java's logs.
            pub const fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $java, )+
                }
            }

            /// The name of the Java class that a type code stands for; `None` for a code without a message.
            pub const fn name_of(type_code: i16) -> Option<&'static str> {
                match type_code {
                    $( $code => Some($java), )+
                    _ => None,
                }
            }
        }
    };
}

messages! {
    /// TM → TC: a starter of transactions introduces itself.
    101 RegisterTm(RegisterTm) "RegisterTMRequest";
    /// TC → TM: whether it is welcome.
    102 RegisterTmResponse(Registered) "RegisterTMResponse";
    /// RM → TC: a holder of resources introduces itself, and again whenever it has one more.
    103 RegisterRm(RegisterRm) "RegisterRMRequest";
    /// TC → RM: whether it is welcome.
    104 RegisterRmResponse(Registered) "RegisterRMResponse";
    /// TM → TC: begin a global transaction.
    1 GlobalBegin(GlobalBegin) "GlobalBeginRequest";
    /// TC → TM: its XID.
    2 GlobalBeginResponse(GlobalBegun) "GlobalBeginResponse";
    /// TM → TC: commit it.
    7 GlobalCommit(GlobalRequest) "GlobalCommitRequest";
    /// TC → TM: where it stands now.
    8 GlobalCommitResponse(GlobalResponse) "GlobalCommitResponse";
    /// TM → TC: roll it back.
    9 GlobalRollback(GlobalRequest) "GlobalRollbackRequest";
    /// TC → TM: where it stands now.
    10 GlobalRollbackResponse(GlobalResponse) "GlobalRollbackResponse";
    /// TM → TC: where does it stand?
    15 GlobalStatus(GlobalRequest) "GlobalStatusRequest";
    /// TC → TM: where it stands now.
    16 GlobalStatusResponse(GlobalResponse) "GlobalStatusResponse";
    /// TM → TC: how a transaction ended that the client drives itself (Saga).
    17 GlobalReport(GlobalReport) "GlobalReportRequest";
    /// TC → TM: where it stands now.
    18 GlobalReportResponse(GlobalResponse) "GlobalReportResponse";
    /// RM → TC: a branch joins, with the rows it changed.
    11 BranchRegister(BranchRegister) "BranchRegisterRequest";
    /// TC → RM: its number.
    12 BranchRegisterResponse(BranchRegistered) "BranchRegisterResponse";
    /// RM → TC: how phase one of a branch ended.
    13 BranchReport(BranchReport) "BranchReportRequest";
    /// TC → RM: whether that was taken.
    14 BranchReportResponse(Outcome) "BranchReportResponse";
    /// RM → TC: are these rows free?
    21 GlobalLockQuery(BranchRegister) "GlobalLockQueryRequest";
    /// TC → RM: whether they are.
    22 GlobalLockQueryResponse(Lockable) "GlobalLockQueryResponse";
    /// TC → RM: phase two, commit a branch.
    3 BranchCommit(BranchRequest) "BranchCommitRequest";
    /// RM → TC: how that went.
    4 BranchCommitResponse(BranchResponse) "BranchCommitResponse";
    /// TC → RM: phase two, roll a branch back.
    5 BranchRollback(BranchRequest) "BranchRollbackRequest";
    /// RM → TC: how that went.
    6 BranchRollbackResponse(BranchResponse) "BranchRollbackResponse";
    /// TC → RM: delete undo logs that nobody needs any more. Not answered.
    111 UndoLogDelete(UndoLogDelete) "UndoLogDeleteRequest";
    /// Client → TC: several requests in one frame.
    59 Merged(Batch) "MergedWarpMessage";
    /// TC → client: the answers to a merged request, in its order, all at once.
    60 MergeResult(Vec<Message>) "MergeResultMessage";
    /// TC → client: some answers to a merged request, with the ids of what they answer.
    121 BatchResult(Batch) "BatchResultMessage";
}

impl Message {
    /// Whether it is made of other messages. Such a message is never part of one.
    pub const fn is_merged(&self) -> bool {
        Self::is_merged_code(self.type_code())
    }

    pub(crate) const fn is_merged_code(type_code: i16) -> bool {
        matches!(type_code, 59 | 60 | 121)
    }
}

/// Whether a coordinator or a resource manager did what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it did.
    pub result: ResultCode,
    /// Why not, for people. Travels only with [`ResultCode::Failed`], at most 32767 bytes of it.
    pub message: Text,
    /// Why not, for programs; [`Unknown`](TransactionExceptionCode::Unknown) with a success.
    pub code: TransactionExceptionCode,
}

impl Outcome {
    /// It was done.
    pub const fn success() -> Self {
        Self { result: ResultCode::Success, message: Text::new(), code: TransactionExceptionCode::Unknown }
    }

    /// It was not done.
    pub fn failed(code: TransactionExceptionCode, message: impl Into<Text>) -> Self {
        Self { result: ResultCode::Failed, message: message.into(), code }
    }

    /// Whether it was done.
    pub fn is_success(&self) -> bool {
        self.result == ResultCode::Success
    }
}

/// Asks a coordinator to take a transaction manager in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterTm {
    /// The client's version, which decides how the coordinator answers merged requests.
    pub version: Text,
    /// The application's name.
    pub application_id: Text,
    /// The transaction service group.
    pub transaction_service_group: Text,
    /// Lines of `key=value`: access key, digest and what it was made of.
    pub extra_data: Text,
}

/// Asks a coordinator to take a resource manager in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterRm {
    /// The client's version, which decides how the coordinator answers merged requests.
    pub version: Text,
    /// The application's name.
    pub application_id: Text,
    /// The transaction service group.
    pub transaction_service_group: Text,
    /// Empty in all known clients.
    pub extra_data: Text,
    /// The names of the resources, separated by commas.
    pub resource_ids: Text,
}

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Whether the client is welcome.
    pub identified: bool,
    /// The coordinator's version.
    pub version: Text,
    /// Why it is not. The `seata` codec does not carry this: a reader finds a success or a failure
    /// without a cause, as `identified` says.
    pub outcome: Outcome,
    /// Empty from all known servers; not carried by the `seata` codec.
    pub extra_data: Text,
}

/// Asks for a new global transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalBegin {
    /// How long it may stay undecided, in milliseconds.
    pub timeout_ms: i32,
    /// The name that operators see.
    pub name: Text,
}

/// The answer to a begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalBegun {
    /// Whether there is a new transaction.
    pub outcome: Outcome,
    /// Its XID.
    pub xid: Text,
    /// Empty from all known servers.
    pub extra_data: Text,
}

/// Asks something of a global transaction: commit, rollback, its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalRequest {
    /// Which transaction.
    pub xid: Text,
    /// Empty in all known clients.
    pub extra_data: Text,
}

/// Where a global transaction stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalResponse {
    /// Whether the request was done.
    pub outcome: Outcome,
    /// Where the transaction stands now. Java clients look at this alone.
    pub status: GlobalStatus,
}

/// Says how a global transaction ended that the client drives itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalReport {
    /// Which transaction.
    pub xid: Text,
    /// Empty in all known clients.
    pub extra_data: Text,
    /// How it ended; `None` is what Java calls `null`, 255 on the wire.
    pub status: Option<GlobalStatus>,
}

/// Registers a branch with its locks, or asks whether they are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRegister {
    /// The global transaction.
    pub xid: Text,
    /// How the branch takes part. A lock query from Java always says AT.
    pub branch_type: BranchType,
    /// The resource that phase two is sent to.
    pub resource_id: Text,
    /// The rows, as [`lock_key_text`](crate::lock_key_text) writes them.
    pub lock_key: Text,
    /// What comes back in phase two.
    pub application_data: Text,
}

/// The answer to a branch registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRegistered {
    /// Whether the branch has joined.
    pub outcome: Outcome,
    /// Its number; 0 when it has not.
    pub branch_id: BranchId,
}

/// Says how phase one of a branch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchReport {
    /// The global transaction.
    pub xid: Text,
    /// The branch.
    pub branch_id: BranchId,
    /// How it ended.
    pub status: BranchStatus,
    /// The resource; Java leaves it empty.
    pub resource_id: Text,
    /// Replaces what was given at registration, also when it is empty.
    pub application_data: Text,
    /// How the branch takes part. Java always says AT here.
    pub branch_type: BranchType,
}

/// Whether rows are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockable {
    /// Whether the request was done.
    pub outcome: Outcome,
    /// Whether no other global transaction holds one of the rows.
    pub lockable: bool,
}

/// Phase two: asks for the commit or rollback of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRequest {
    /// The global transaction.
    pub xid: Text,
    /// The branch.
    pub branch_id: BranchId,
    /// How it takes part.
    pub branch_type: BranchType,
    /// The resource it works on. Never leave it empty: Java peers then read nothing of what follows.
    pub resource_id: Text,
    /// What was given at registration.
    pub application_data: Text,
}

/// How a branch's phase two went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchResponse {
    /// Whether the request was done.
    pub outcome: Outcome,
    /// The global transaction.
    pub xid: Text,
    /// The branch.
    pub branch_id: BranchId,
    /// Where the branch stands now.
    pub status: BranchStatus,
}

/// Asks a resource manager to delete old undo logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoLogDelete {
    /// Always AT.
    pub branch_type: BranchType,
    /// The database.
    pub resource_id: Text,
    /// Logs older than this many days are to go.
    pub save_days: i16,
}

/// Several messages with the ids that they would have had alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The messages; none of them may be a merged one.
    pub messages: Vec<Message>,
    /// Their ids, one each. A Java peer may leave all of them out of a merged request; then only a
    /// [`Message::MergeResult`] can answer it.
    pub ids: Vec<i32>,
}
