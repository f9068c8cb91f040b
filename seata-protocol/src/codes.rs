//! Every number that stands for a name on the wire, each in one table.

use std::fmt;

/// Builds an enum from a table of wire code, Rust name and Java name. Codes of later versions are
/// kept as `Other`, so that a peer's number is never lost and never fatal.
macro_rules! wire_codes {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$variant_meta:meta])* $code:literal $variant:ident $java:literal; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
            /// A code that this version has no name for, kept as it came.
            Other(u8),
        }

        impl $name {
            /// Every named value, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value for a wire code; a code without a name becomes [`Other`](Self::Other).
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $( $code => Self::$variant, )+
                    other => Self::Other(other),
                }
            }

            /// The number that stands for this value on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $( Self::$variant => $code, )+
                    Self::Other(code) => code,
                }
            }

            /// The name Java Seata uses for it, as in its logs and tables; `None` for [`Other`](Self::Other).
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some($java), )+
                    Self::Other(_) => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}({})", stringify!($name), self.code()),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

wire_codes! {
    /// Where a global transaction stands (Java: `core/model/GlobalStatus`).
    GlobalStatus {
        /// Not known, or not asked yet.
        0 Unknown "UnKnown";
        /// Open: branches may still register.
        1 Begin "Begin";
        /// Decided to commit; phase two runs.
        2 Committing "Committing";
        /// Decided to commit; a branch has to be asked again.
        3 CommitRetrying "CommitRetrying";
        /// Decided to roll back; phase two runs.
        4 Rollbacking "Rollbacking";
        /// Decided to roll back; a branch has to be asked again.
        5 RollbackRetrying "RollbackRetrying";
        /// Timed out; phase two rolls back.
        6 TimeoutRollbacking "TimeoutRollbacking";
        /// Timed out; a branch has to be asked again.
        7 TimeoutRollbackRetrying "TimeoutRollbackRetrying";
        /// Decided to commit; undo logs are deleted in the background.
        8 AsyncCommitting "AsyncCommitting";
        /// Committed in every branch.
        9 Committed "Committed";
        /// Decided to commit, but a branch says that it never will.
        10 CommitFailed "CommitFailed";
        /// Rolled back in every branch.
        11 Rollbacked "Rollbacked";
        /// Decided to roll back, but a branch cannot, as with a dirty row.
        12 RollbackFailed "RollbackFailed";
        /// Timed out and rolled back in every branch.
        13 TimeoutRollbacked "TimeoutRollbacked";
        /// Timed out, but a branch cannot roll back.
        14 TimeoutRollbackFailed "TimeoutRollbackFailed";
        /// The coordinator has no such transaction (any more).
        15 Finished "Finished";
        /// The limit for commit retries has passed.
        16 CommitRetryTimeout "CommitRetryTimeout";
        /// The limit for rollback retries has passed.
        17 RollbackRetryTimeout "RollbackRetryTimeout";
        /// Being deleted by an operator.
        18 Deleting "Deleting";
        /// Commit stopped by an operator.
        19 StopCommitOrCommitRetry "StopCommitOrCommitRetry";
        /// Rollback stopped by an operator.
        20 StopRollbackOrRollbackRetry "StopRollbackOrRollbackRetry";
    }
}

wire_codes! {
    /// Where one branch stands, and what a resource manager answers in phase two
    /// (Java: `core/model/BranchStatus`).
    BranchStatus {
        /// Not known.
        0 Unknown "Unknown";
        /// Registered; its phase one runs or has just ended.
        1 Registered "Registered";
        /// Phase one is done.
        2 PhaseOneDone "PhaseOne_Done";
        /// Phase one failed and left nothing to undo.
        3 PhaseOneFailed "PhaseOne_Failed";
        /// Phase one took too long.
        4 PhaseOneTimeout "PhaseOne_Timeout";
        /// Phase two: committed.
        5 PhaseTwoCommitted "PhaseTwo_Committed";
        /// Phase two: commit failed, ask again.
        6 PhaseTwoCommitFailedRetryable "PhaseTwo_CommitFailed_Retryable";
        /// Phase two: commit will never succeed.
        7 PhaseTwoCommitFailedUnretryable "PhaseTwo_CommitFailed_Unretryable";
        /// Phase two: rolled back.
        8 PhaseTwoRollbacked "PhaseTwo_Rollbacked";
        /// Phase two: rollback failed, ask again.
        9 PhaseTwoRollbackFailedRetryable "PhaseTwo_RollbackFailed_Retryable";
        /// Phase two: rollback will never succeed by itself, as with a dirty row.
        10 PhaseTwoRollbackFailedUnretryable "PhaseTwo_RollbackFailed_Unretryable";
        /// XA: commit found no such transaction in the database (since 1.5.0).
        11 PhaseTwoCommitFailedXaerNotaRetryable "PhaseTwo_CommitFailed_XAER_NOTA_Retryable";
        /// XA: rollback found no such transaction in the database (since 1.5.0).
        12 PhaseTwoRollbackFailedXaerNotaRetryable "PhaseTwo_RollbackFailed_XAER_NOTA_Retryable";
        /// XA: phase one only read, nothing to do in phase two (since 2.2.0).
        13 PhaseOneReadOnly "PhaseOne_RDONLY";
        /// Retries stopped by an operator (since 2.5.0).
        14 StopRetry "STOP_RETRY";
    }
}

wire_codes! {
    /// How a branch takes part (Java: `core/model/BranchType`).
    BranchType {
        /// Automatic: the database change is made at once, and undone from an undo log.
        0 At "AT";
        /// Try, confirm, cancel: three methods of the user.
        1 Tcc "TCC";
        /// A long-running sequence with compensations.
        2 Saga "SAGA";
        /// The database's own two-phase commit.
        3 Xa "XA";
        /// Saga steps by annotation (since 2.3.0).
        4 SagaAnnotation "SAGA_ANNOTATION";
    }
}

wire_codes! {
    /// Why a coordinator refused a request (Java: `core/exception/TransactionExceptionCode`).
    ///
    /// The numbers are those of 2.x. Peers of 1.x number the end of the list differently: see
    /// [`for_release`](Self::for_release) and [`meant_by`](Self::meant_by).
    TransactionExceptionCode {
        /// No cause was given.
        0 Unknown "Unknown";
        /// A global transaction could not be begun.
        1 BeginFailed "BeginFailed";
        /// Another global transaction holds one of the rows.
        2 LockKeyConflict "LockKeyConflict";
        /// The network failed, or an answer did not come in time.
        3 Io "IO";
        /// A branch could not be rolled back now.
        4 BranchRollbackFailedRetriable "BranchRollbackFailed_Retriable";
        /// A branch cannot be rolled back at all.
        5 BranchRollbackFailedUnretriable "BranchRollbackFailed_Unretriable";
        /// A branch could not be registered.
        6 BranchRegisterFailed "BranchRegisterFailed";
        /// A branch's report was not taken.
        7 BranchReportFailed "BranchReportFailed";
        /// The look for a row's lock failed.
        8 LockableCheckFailed "LockableCheckFailed";
        /// There is no such branch.
        9 BranchTransactionNotExist "BranchTransactionNotExist";
        /// There is no such global transaction.
        10 GlobalTransactionNotExist "GlobalTransactionNotExist";
        /// The global transaction takes no more branches.
        11 GlobalTransactionNotActive "GlobalTransactionNotActive";
        /// The global transaction's status does not allow this.
        12 GlobalTransactionStatusInvalid "GlobalTransactionStatusInvalid";
        /// A resource manager could not be asked to commit.
        13 FailedToSendBranchCommitRequest "FailedToSendBranchCommitRequest";
        /// A resource manager could not be asked to roll back.
        14 FailedToSendBranchRollbackRequest "FailedToSendBranchRollbackRequest";
        /// A branch could not be stored.
        15 FailedToAddBranch "FailedToAddBranch";
        /// The coordinator was busy with this transaction for too long.
        16 FailedLockGlobalTransaction "FailedLockGlobalTransaction";
        /// A session could not be written.
        17 FailedWriteSession "FailedWriteSession";
        /// The store failed.
        18 FailedStore "FailedStore";
        /// This coordinator is not the leader of its group (since 2.0.0).
        19 NotRaftLeader "NotRaftLeader";
        /// The row's holder is rolling back: do not wait for it (since 2.0.0 under this number).
        20 LockKeyConflictFailFast "LockKeyConflictFailFast";
        /// The global transaction has timed out.
        21 TransactionTimeout "TransactionTimeout";
        /// The commit's outcome is mixed or not known.
        22 CommitHeuristic "CommitHeuristic";
        /// The connection broke.
        23 Broken "Broken";
    }
}

wire_codes! {
    /// Whether a coordinator did what it was asked (Java: `core/protocol/ResultCode`).
    ResultCode {
        /// It did not; the answer says why.
        0 Failed "Failed";
        /// It did.
        1 Success "Success";
    }
}

wire_codes! {
    /// What a frame is for (Java: `core/protocol/ProtocolConstants`).
    Kind {
        /// A request whose answer somebody waits for.
        0 Request "request";
        /// The answer to a request, with its id.
        1 Response "response";
        /// A request that nobody waits for. Java sends merged requests like this, and answers them.
        2 Oneway "oneway";
        /// A heartbeat, from the side that dialled.
        3 Ping "ping";
        /// The answer to a heartbeat.
        4 Pong "pong";
    }
}

wire_codes! {
    /// How a frame's body is serialized (Java: `core/serializer/SerializerType`).
    ///
    /// This crate speaks [`Seata`](Self::Seata) and, with the feature `protobuf`,
    /// [`Protobuf`](Self::Protobuf). The others are Java object graphs, which it refuses by name.
    Codec {
        /// Seata's own layout.
        1 Seata "SEATA";
        /// Protocol buffers.
        2 Protobuf "PROTOBUF";
        /// Kryo.
        4 Kryo "KRYO";
        /// FST (until 2.0.0).
        8 Fst "FST";
        /// Hessian.
        22 Hessian "HESSIAN";
        /// What gRPC connections of 2.x announce.
        40 Grpc "GRPC";
        /// Jackson.
        50 Jackson "JACKSON";
        /// Fury, Fory's old name.
        86 Fury "FURY";
        /// Fory.
        87 Fory "FORY";
        /// Fastjson 2.
        100 Fastjson2 "FASTJSON2";
    }
}

wire_codes! {
    /// How a frame's body is compressed (Java: `core/compressor/CompressorType`).
    Compressor {
        /// Not at all.
        0 None "NONE";
        /// gzip (feature `gzip`).
        1 Gzip "GZIP";
        /// One zip entry without the directory at the end (feature `zip`).
        2 Zip "ZIP";
        /// Named by Java, implemented by nobody.
        3 SevenZ "SEVENZ";
        /// bzip2 without its first two bytes (feature `bzip2`).
        4 Bzip2 "BZIP2";
        /// LZ4, in one of [two forms](crate::compress::Lz4Form) (feature `lz4`).
        5 Lz4 "LZ4";
        /// zlib (feature `deflate`).
        6 Deflater "DEFLATER";
        /// Zstandard (feature `zstd`).
        7 Zstd "ZSTD";
    }
}

impl GlobalStatus {
    /// Phase two is over and was complete: nothing of this transaction is left anywhere.
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Committed | Self::Rollbacked | Self::TimeoutRollbacked)
    }

    /// The decision is to commit, whether or not phase two is over.
    pub const fn is_commit(self) -> bool {
        matches!(
            self,
            Self::Committing
                | Self::CommitRetrying
                | Self::AsyncCommitting
                | Self::Committed
                | Self::CommitFailed
                | Self::CommitRetryTimeout
                | Self::StopCommitOrCommitRetry
        )
    }

    /// The decision is to roll back, whether or not phase two is over; time-outs are among them.
    pub const fn is_rollback(self) -> bool {
        self.is_timeout()
            || matches!(
                self,
                Self::Rollbacking
                    | Self::RollbackRetrying
                    | Self::Rollbacked
                    | Self::RollbackFailed
                    | Self::RollbackRetryTimeout
                    | Self::StopRollbackOrRollbackRetry
            )
    }

    /// The coordinator decided by time-out.
    pub const fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::TimeoutRollbacking
                | Self::TimeoutRollbackRetrying
                | Self::TimeoutRollbacked
                | Self::TimeoutRollbackFailed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_as_itself() {
        for code in 0..=u8::MAX {
            assert_eq!(GlobalStatus::from_code(code).code(), code);
            assert_eq!(BranchStatus::from_code(code).code(), code);
            assert_eq!(BranchType::from_code(code).code(), code);
            assert_eq!(TransactionExceptionCode::from_code(code).code(), code);
            assert_eq!(ResultCode::from_code(code).code(), code);
            assert_eq!(Kind::from_code(code).code(), code);
            assert_eq!(Codec::from_code(code).code(), code);
            assert_eq!(Compressor::from_code(code).code(), code);
        }
    }

    #[test]
    fn an_unknown_code_is_shown_with_its_number() {
        assert_eq!(GlobalStatus::from_code(99).to_string(), "GlobalStatus(99)");
        assert_eq!(BranchStatus::PhaseOneReadOnly.to_string(), "PhaseOne_RDONLY");
    }

    /// Statuses that Java adds later have to be put into a class here.
    #[test]
    fn every_status_belongs_to_its_class() {
        use GlobalStatus::*;
        let of = |class: fn(GlobalStatus) -> bool| -> Vec<_> {
            GlobalStatus::ALL.iter().copied().filter(|status| class(*status)).collect()
        };
        assert_eq!(of(GlobalStatus::is_complete), [Committed, Rollbacked, TimeoutRollbacked]);
        let neither = |status: GlobalStatus| !status.is_commit() && !status.is_rollback();
        assert_eq!(of(neither), [Unknown, Begin, Finished, Deleting]);
        for status in GlobalStatus::ALL {
            let name = status.name().unwrap();
            assert_eq!(status.is_commit(), name.contains("Commit"), "{name}");
            assert_eq!(status.is_rollback(), name.contains("Rollback"), "{name}");
            assert_eq!(status.is_timeout(), name.starts_with("Timeout"), "{name}");
        }
    }
}
