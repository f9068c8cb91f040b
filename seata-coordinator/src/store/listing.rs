//! How row locks are listed, a page at a time.

use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};

use seata_protocol::{BranchId, ResourceId, TransactionId};

use crate::record::HeldLock;

/// Which row locks to list. What is not set allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFilter {
    /// Those of this transaction.
    pub transaction: Option<TransactionId>,
    /// Those on this resource.
    pub resource: Option<ResourceId>,
    /// Those in this table.
    pub table: Option<Arc<str>>,
    /// Those of rows with this key.
    pub key: Option<Arc<str>>,
}

impl LockFilter {
    /// Whether it allows a row, as `table NUL key`.
    pub(super) fn allows(&self, row: &str) -> bool {
        let (table, key) = row.split_once('\0').unwrap_or((row, ""));
        self.table.as_deref().is_none_or(|wanted| wanted == table)
            && self.key.as_deref().is_none_or(|wanted| wanted == key)
    }
}

/// A place in the list of all row locks, which stands still while others come and go. As text,
/// `transaction.branch.row`, it is a cursor for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockCursor {
    pub(super) transaction: TransactionId,
    pub(super) branch: BranchId,
    /// Where the last row stands in the branch's [`LockSet`](crate::record::LockSet), so that nobody has to
    /// look for it.
    pub(super) row: u32,
}

impl LockCursor {
    /// Behind the last row of a branch.
    pub(super) const END: u32 = u32::MAX;
}

/// A part of the list of row locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockPage {
    /// The locks, in the order of their transactions. There may be fewer than asked for, or none, though more
    /// follow: one step looks at so many rows and no more.
    pub locks: Vec<HeldLock>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<LockCursor>,
}

impl fmt::Display for LockCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.transaction, self.branch, self.row)
    }
}

/// A text that is no place in a list of locks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a place in the list of locks, expected the one that an answer gave as its next")]
pub struct InvalidCursor {
    found: String,
}

impl FromStr for LockCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || -> Result<Option<Self>, ParseIntError> {
            let mut parts = text.split('.');
            let (Some(transaction), Some(branch), Some(row), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Ok(None);
            };
            Ok(Some(Self {
                transaction: TransactionId(transaction.parse()?),
                branch: BranchId(branch.parse()?),
                row: row.parse()?,
            }))
        };
        parse().ok().flatten().ok_or_else(|| InvalidCursor { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text_and_nothing_else_does() {
        let cursor = LockCursor { transaction: TransactionId(7), branch: BranchId(8), row: 9 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "7.8", "7.8.9.0", "a.b.c", "7.8.-1"] {
            assert!(text.parse::<LockCursor>().is_err(), "{text}");
        }
    }
}
