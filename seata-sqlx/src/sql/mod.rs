//! What a statement is, before any table is looked at.

mod analysis;
mod cache;
mod gaps;
mod parameters;
mod refusal;
mod tokens;
mod volatile;

pub(crate) use analysis::Rows;
pub(crate) use analysis::{Analysis, Kind, Statement, Write, analyse, committed_read};
pub(crate) use cache::StatementCache;
pub use refusal::Refusal;
pub(crate) use tokens::{conflict_clause, trigger_events};
