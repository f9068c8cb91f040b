//! What a statement is, before any table is looked at.

mod analysis;
mod cache;
mod change;
mod check;
mod clauses;
#[cfg(feature = "sqlite")]
mod definitions;
mod depth;
mod flavor;
mod functions;
mod gaps;
mod image;
mod insert;
mod lexer;
mod others;
mod parameters;
mod query;
mod refusal;
mod settings;
mod sharing;
mod statement;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod volatile;
mod words;

pub(crate) use analysis::analyse;
pub(crate) use cache::StatementCache;
pub use check::{Checked, NotSeparable, Outcome, check, statements};
#[cfg(feature = "sqlite")]
pub(crate) use definitions::{conflict_clause, trigger_events};
pub use flavor::Flavor;
pub(crate) use image::image_query;
pub(crate) use query::committed_read;
pub use refusal::Refusal;
pub(crate) use statement::{Analysis, Given, Inserted, Kind, Narrowing, Rows, Statement, Swallowed, Write};
pub(crate) use target::table_name;
