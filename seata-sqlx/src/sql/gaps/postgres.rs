//! PostgreSQL's.

use sqlparser::tokenizer::TokenWithSpan;

pub(super) fn bridge(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    tokens
}
