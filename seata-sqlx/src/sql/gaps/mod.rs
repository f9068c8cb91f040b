//! Grammar where the parser does not follow the database.
//!
//! For the parser's eyes alone, what it lacks is replaced by something of the same shape or left out. What
//! is run, and what image queries copy, stays as it was written: both are cut from the text.

mod mysql;
mod postgres;
mod sqlite;

use sqlparser::tokenizer::TokenWithSpan;

use super::Flavor;

/// The statement in words that the parser knows.
pub(super) fn bridge(flavor: Flavor, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    match flavor {
        Flavor::Sqlite => sqlite::bridge(tokens),
        Flavor::MySql => mysql::bridge(tokens),
        Flavor::Postgres => postgres::bridge(tokens),
    }
}
