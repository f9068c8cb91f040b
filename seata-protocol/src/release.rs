//! Which release of Seata a peer is, and what it understands.

use crate::{Dialect, GlobalStatus, ProtobufPackage, TransactionExceptionCode, compress::Lz4Form};

/// A release of Seata, as a peer names its own when it registers.
///
/// ```
/// use seata_protocol::Release;
///
/// let client = Release::of("2.0.0");
/// assert!(client.reads_batch_results() && !client.expects_single_answers());
/// assert!(Release::of("2.3.0-SNAPSHOT") == Release::new(2, 3, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Release {
    /// The release `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The release of this version text. What is no number counts as 0, so that an odd text stands for an
    /// old release, as in Java.
    pub fn of(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| {
            let number = part.split('-').next().unwrap_or_default();
            number.parse().unwrap_or(0)
        });
        let mut next = || parts.next().unwrap_or(0);
        Self { major: next(), minor: next(), patch: next() }
    }

    /// What this release writes and reads where releases differ without saying so.
    pub const fn dialect(self) -> Dialect {
        Dialect {
            lz4: if self.is_from(2, 6) { Lz4Form::Frame } else { Lz4Form::BlockStream },
            protobuf: if self.is_from(2, 1) {
                ProtobufPackage::OrgApacheSeata
            } else {
                ProtobufPackage::IoSeata
            },
        }
    }

    /// Whether a client of this release expects each request of a [`Merged`](crate::Message::Merged) one to be
    /// answered by a frame of its own, with the request's own id. Others expect one
    /// [`MergeResult`](crate::Message::MergeResult) with the frame's id.
    pub const fn expects_single_answers(self) -> bool {
        self.is_from(2, 3)
    }

    /// Whether a client of this release also takes [`BatchResult`](crate::Message::BatchResult) for an answer.
    pub const fn reads_batch_results(self) -> bool {
        self.is_from(1, 5)
    }

    const fn is_from(self, major: u32, minor: u32) -> bool {
        self.major > major || self.major == major && self.minor >= minor
    }
}

/// Where 2.x has [`NotRaftLeader`](TransactionExceptionCode::NotRaftLeader), and 1.7 and 1.8 have nothing: their
/// numbers from here on are one less.
const INSERTED: u8 = TransactionExceptionCode::NotRaftLeader.code();

impl GlobalStatus {
    /// The status to send to a peer of this release so that it understands this one: a Java client drops a message
    /// with a number that it does not know.
    ///
    /// | status | since | older releases get |
    /// |---|---|---|
    /// | [`CommitRetryTimeout`](Self::CommitRetryTimeout) | 1.5 | [`CommitFailed`](Self::CommitFailed) |
    /// | [`RollbackRetryTimeout`](Self::RollbackRetryTimeout) | 1.5 | [`RollbackFailed`](Self::RollbackFailed) |
    /// | [`Deleting`](Self::Deleting) | 2.6 | [`Finished`](Self::Finished) |
    /// | [`StopCommitOrCommitRetry`](Self::StopCommitOrCommitRetry) | 2.6 | [`CommitRetrying`](Self::CommitRetrying) |
    /// | [`StopRollbackOrRollbackRetry`](Self::StopRollbackOrRollbackRetry) | 2.6 | [`RollbackRetrying`](Self::RollbackRetrying) |
    ///
    /// What was given up at its limit has failed for the time being; what a person has stopped goes on when
    /// that person says so.
    ///
    /// ```
    /// use seata_protocol::{GlobalStatus, Release};
    ///
    /// let stopped = GlobalStatus::StopCommitOrCommitRetry;
    /// assert_eq!(stopped.for_release(Release::of("2.0.0")), GlobalStatus::CommitRetrying);
    /// assert_eq!(stopped.for_release(Release::of("2.6.0")), stopped);
    /// ```
    pub const fn for_release(self, release: Release) -> Self {
        match self {
            Self::CommitRetryTimeout if !release.is_from(1, 5) => Self::CommitFailed,
            Self::RollbackRetryTimeout if !release.is_from(1, 5) => Self::RollbackFailed,
            Self::Deleting if !release.is_from(2, 6) => Self::Finished,
            Self::StopCommitOrCommitRetry if !release.is_from(2, 6) => Self::CommitRetrying,
            Self::StopRollbackOrRollbackRetry if !release.is_from(2, 6) => Self::RollbackRetrying,
            status => status,
        }
    }
}

impl TransactionExceptionCode {
    /// The code to send to a peer of this release so that it understands this one: releases number the end
    /// of the list differently, and a Java client drops a message with a number that it does not know.
    ///
    /// A release without this code gets [`LockKeyConflict`](Self::LockKeyConflict) for
    /// [`LockKeyConflictFailFast`](Self::LockKeyConflictFailFast), else [`Unknown`](Self::Unknown).
    ///
    /// ```
    /// use seata_protocol::{Release, TransactionExceptionCode as Code};
    ///
    /// assert_eq!(Code::LockKeyConflictFailFast.for_release(Release::of("1.8.0")).code(), 19);
    /// assert_eq!(Code::LockKeyConflictFailFast.for_release(Release::of("1.5.2")), Code::LockKeyConflict);
    /// ```
    pub const fn for_release(self, release: Release) -> Self {
        let number = match self.code() {
            number if release.is_from(2, 0) => number,
            number if release.is_from(1, 7) && number > INSERTED => number - 1,
            number if release.is_from(1, 5) && number < INSERTED => number,
            number if number < Self::FailedStore.code() => number,
            _ if matches!(self, Self::LockKeyConflictFailFast) => Self::LockKeyConflict.code(),
            _ => Self::Unknown.code(),
        };
        Self::from_code(number)
    }

    /// What a peer of this release means by this code, which came with a message of its own.
    ///
    /// ```
    /// use seata_protocol::{Release, TransactionExceptionCode as Code};
    ///
    /// assert_eq!(Code::from_code(19).meant_by(Release::of("1.8.0")), Code::LockKeyConflictFailFast);
    /// ```
    pub const fn meant_by(self, release: Release) -> Self {
        match self.code() {
            number if release.is_from(2, 0) || number < INSERTED || number == u8::MAX => {
                Self::from_code(number)
            }
            number => Self::from_code(number + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_its_version() {
        for (version, release) in [
            ("1.4.2", Release::new(1, 4, 2)),
            ("2.1.0-SNAPSHOT", Release::new(2, 1, 0)),
            ("2.10.1.7", Release::new(2, 10, 1)),
            ("3", Release::new(3, 0, 0)),
            ("", Release::new(0, 0, 0)),
            ("newest", Release::new(0, 0, 0)),
            ("4294967296.1", Release::new(0, 1, 0)),
        ] {
            assert_eq!(Release::of(version), release, "{version:?}");
        }
    }

    #[test]
    fn a_dialect_belongs_to_a_release() {
        let old = Dialect::default();
        let apache = Dialect { protobuf: ProtobufPackage::OrgApacheSeata, ..old };
        let newest = Dialect { lz4: Lz4Form::Frame, ..apache };
        for (version, dialect) in [
            ("", old),
            ("1.4.2", old),
            ("2.0.0", old),
            ("2.1.0-SNAPSHOT", apache),
            ("2.5.0", apache),
            ("2.6.0", newest),
            ("2.10.1", newest),
            ("3", newest),
        ] {
            assert_eq!(Release::of(version).dialect(), dialect, "{version:?}");
        }
    }

    #[test]
    fn a_number_that_no_release_has_is_kept() {
        let code = TransactionExceptionCode::from_code(255);
        assert_eq!(code.meant_by(Release::of("1.8.0")), code);
    }

    /// The numbers of the codes that moved, by release; `None` where there is no such code.
    #[test]
    fn the_end_of_the_exception_codes_is_numbered_as_each_release_does() {
        use TransactionExceptionCode::*;
        let codes = [
            FailedWriteSession,
            FailedStore,
            NotRaftLeader,
            LockKeyConflictFailFast,
            TransactionTimeout,
            Broken,
        ];
        for (version, numbers) in [
            ("1.4.2", [Some(17), None, None, None, None, None]),
            ("1.5.2", [Some(17), Some(18), None, None, None, None]),
            ("1.6.1", [Some(17), Some(18), None, None, None, None]),
            ("1.7.0", [Some(17), Some(18), None, Some(19), Some(20), Some(22)]),
            ("1.8.0", [Some(17), Some(18), None, Some(19), Some(20), Some(22)]),
            ("2.0.0", [Some(17), Some(18), Some(19), Some(20), Some(21), Some(23)]),
            ("2.6.0", [Some(17), Some(18), Some(19), Some(20), Some(21), Some(23)]),
        ] {
            let release = Release::of(version);
            for (code, number) in codes.into_iter().zip(numbers) {
                let sent = code.for_release(release);
                match number {
                    Some(number) => {
                        assert_eq!(sent.code(), number, "{code} to {version}");
                        assert_eq!(sent.meant_by(release), code, "{number} from {version}");
                    }
                    None if code == LockKeyConflictFailFast => assert_eq!(sent, LockKeyConflict, "{version}"),
                    None => assert_eq!(sent, Unknown, "{code} to {version}"),
                }
            }
        }
    }
}
