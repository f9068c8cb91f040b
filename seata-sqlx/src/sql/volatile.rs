//! Functions that need not give the same value twice.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::keyword;

/// What a function's value hangs on beside its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Chance.
    Chance,
    /// The time.
    Time,
    /// The statement that ran last on the connection.
    LastStatement,
}

/// The first call among these words whose value hangs on one of `causes`, as its name.
pub(super) fn find(tokens: &[TokenWithSpan], causes: &[Cause]) -> Option<String> {
    (0..tokens.len()).find_map(|index| {
        let name = keyword(&tokens[index].token);
        let cause = cause(&name, arguments(&tokens[index + 1..]))?;
        causes.contains(&cause).then(|| name.to_ascii_lowercase())
    })
}

fn cause(name: &str, arguments: Option<&[TokenWithSpan]>) -> Option<Cause> {
    if matches!(name, "CURRENT_TIME" | "CURRENT_DATE" | "CURRENT_TIMESTAMP") {
        return Some(Cause::Time);
    }
    let arguments = arguments?;
    match name {
        "RANDOM" | "RANDOMBLOB" => Some(Cause::Chance),
        "LAST_INSERT_ROWID" | "CHANGES" | "TOTAL_CHANGES" => Some(Cause::LastStatement),
        "DATE" | "TIME" | "DATETIME" | "JULIANDAY" | "UNIXEPOCH" | "STRFTIME" | "TIMEDIFF"
            if tells_the_time(arguments) =>
        {
            Some(Cause::Time)
        }
        _ => None,
    }
}

/// Of a column it tells that column's time; of a parameter or without any, perhaps the clock's.
fn tells_the_time(arguments: &[TokenWithSpan]) -> bool {
    let is_now = |token: &TokenWithSpan| match &token.token {
        Token::SingleQuotedString(text) => text.eq_ignore_ascii_case("now"),
        _ => false,
    };
    let is_word = |token: &TokenWithSpan| matches!(token.token, Token::Word(_));
    arguments.iter().any(is_now) || !arguments.iter().any(is_word)
}

/// What stands in the parentheses that open here.
fn arguments(tokens: &[TokenWithSpan]) -> Option<&[TokenWithSpan]> {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return tokens.get(1..index);
        }
    }
    None
}
