//! Which numbers protobuf has for which codes. Java converts by name: what the `.proto` files have no
//! name for, a Java peer can neither write nor read.
//!
//! On reading, a number without a name is kept as the code that it is in the `seata` codec, which is how
//! later releases number what they add; among the exception codes, which are numbered otherwise, it
//! becomes [`Unknown`](TransactionExceptionCode::Unknown).

use crate::{BranchStatus, BranchType, GlobalStatus, ResultCode, TransactionExceptionCode};

/// A code, and its number in protobuf.
pub(super) trait ProtobufCode: Sized {
    /// `None` if protobuf has no name for it.
    fn number(self) -> Option<i32>;

    /// `None` if it is a number that no code can have.
    fn from_number(number: i32) -> Option<Self>;
}

impl ProtobufCode for ResultCode {
    fn number(self) -> Option<i32> {
        matches!(self, Self::Failed | Self::Success).then(|| self.code().into())
    }

    fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().map(Self::from_code)
    }
}

impl ProtobufCode for BranchType {
    fn number(self) -> Option<i32> {
        matches!(self, Self::At | Self::Tcc | Self::Saga).then(|| self.code().into())
    }

    fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().map(Self::from_code)
    }
}

impl ProtobufCode for GlobalStatus {
    fn number(self) -> Option<i32> {
        matches!(self.code(), 0..=15).then(|| self.code().into())
    }

    fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().map(Self::from_code)
    }
}

/// 0 is named `BUnknown`, which no Java code is named; 13 is there from 2.2 on.
impl ProtobufCode for BranchStatus {
    fn number(self) -> Option<i32> {
        matches!(self.code(), 1..=10 | 13).then(|| self.code().into())
    }

    fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().map(Self::from_code)
    }
}

/// `BeginFailed`, 1, has no name, and all that follow up to `FailedStore`, 18, have a number less.
impl ProtobufCode for TransactionExceptionCode {
    fn number(self) -> Option<i32> {
        match self.code() {
            0 => Some(0),
            code @ 2..=18 => Some(i32::from(code) - 1),
            _ => None,
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        Some(match u8::try_from(number) {
            Ok(number @ 1..=17) => Self::from_code(number + 1),
            _ => Self::Unknown,
        })
    }
}
