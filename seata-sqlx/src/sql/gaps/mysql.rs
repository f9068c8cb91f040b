//! MySQL's and MariaDB's.

use sqlparser::tokenizer::TokenWithSpan;

pub(super) fn bridge(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    tokens
}
