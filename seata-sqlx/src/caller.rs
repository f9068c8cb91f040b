//! What the task that makes a call is in, read when the call is made.

use seata_context::{LockRetry, LockStrategy, Presence, RootContext};
use seata_protocol::{BranchType, Xid};

use crate::error::AtError;

/// The transaction context of a call.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) presence: Presence,
    pub(crate) mode: Mode,
    pub(crate) retry: LockRetry,
    pub(crate) strategy: LockStrategy,
    /// Reads wait for the outcome of others.
    pub(crate) reads_committed: bool,
}

/// What AT mode does for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Undo logs and a branch of this transaction.
    Global(Xid),
    /// `#[global_lock]`: the locks are looked at, nothing is logged.
    GlobalLock,
    /// Nothing.
    Plain,
}

impl Caller {
    pub(crate) fn now() -> Self {
        let presence = RootContext::presence();
        let global_lock = RootContext::global_lock();
        let mode = match &presence {
            Presence::Bound(xid) if RootContext::branch_type() == Some(BranchType::At) => {
                Mode::Global(xid.clone())
            }
            Presence::Bound(_) => Mode::Plain,
            _ if global_lock.is_some() => Mode::GlobalLock,
            _ => Mode::Plain,
        };
        let retry = match mode {
            Mode::GlobalLock => global_lock.unwrap_or_default(),
            _ => RootContext::lock_retry(),
        };
        Self { presence, mode, retry, strategy: RootContext::lock_strategy(), reads_committed: false }
    }

    /// The same, from a data source that reads so.
    pub(crate) fn reading(self, reads_committed: bool) -> Self {
        Self { reads_committed, ..self }
    }

    /// Checks that a local transaction which began under `began` may go on here.
    pub(crate) fn may_continue(&self, began: &Mode) -> Result<(), AtError> {
        match (began, &self.mode) {
            (began, now) if began == now => Ok(()),
            (Mode::Global(began), Mode::Global(now)) => {
                Err(AtError::OtherTransaction { began: began.clone(), now: now.clone() })
            }
            (Mode::Global(began), _) => {
                Err(AtError::LeftTransaction { began: began.clone(), place: self.place() })
            }
            (_, Mode::Global(now)) => Err(AtError::BegunOutside { now: now.clone() }),
            (Mode::GlobalLock, _) => Err(AtError::LeftGlobalLock),
            (Mode::Plain, _) => Err(AtError::BegunOutsideGlobalLock),
        }
    }

    fn place(&self) -> &'static str {
        match self.presence {
            Presence::NoScope => "this task has no transaction scope",
            Presence::Idle => "this scope has no transaction, or its transaction has ended",
            Presence::Suspended => "the transaction is suspended here",
            _ => "the branch bound here is not an AT branch",
        }
    }
}
