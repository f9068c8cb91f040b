//! Functions that need not give the same value twice.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Flavor, Refusal, tokens::keyword};

/// What a function's value hangs on beside its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Chance.
    Chance,
    /// The time.
    Time,
    /// The statement that ran last on the connection.
    LastStatement,
    /// It does something.
    Effect,
}

/// The first call among these words whose value hangs on one of `causes`, as its name.
pub(super) fn find(flavor: Flavor, tokens: &[TokenWithSpan], causes: &[Cause]) -> Option<String> {
    let is_set = |token: &TokenWithSpan| flavor == Flavor::MySql && token.token == Token::Assignment;
    if causes.contains(&Cause::Effect) && tokens.iter().any(is_set) {
        return Some(":=".to_owned());
    }
    if causes.contains(&Cause::Chance) && skips_locked(tokens) {
        return Some("SKIP LOCKED".to_owned());
    }
    (0..tokens.len()).find_map(|index| {
        let name = keyword(&tokens[index].token);
        let arguments = arguments(&tokens[index + 1..]);
        let cause = match flavor {
            Flavor::Sqlite => sqlite(&name, arguments),
            Flavor::MySql => mysql(&name, arguments),
            // It tells of any statement which rows it touched.
            Flavor::Postgres => None,
        };
        causes.contains(&cause?).then(|| name.to_ascii_lowercase())
    })
}

/// Refuses to ask how many rows the last statement touched, before or behind which images were taken.
pub(super) fn refuse_row_count(flavor: Flavor, tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    let asks = |three: &[TokenWithSpan]| {
        keyword(&three[0].token) == "ROW_COUNT"
            && three[1].token == Token::LParen
            && three[2].token == Token::RParen
    };
    match flavor {
        Flavor::MySql if tokens.windows(3).any(asks) => Err(Refusal::RowCount),
        _ => Ok(()),
    }
}

/// Who else works on the rows decides which are skipped.
fn skips_locked(tokens: &[TokenWithSpan]) -> bool {
    tokens.windows(2).any(|two| keyword(&two[0].token) == "SKIP" && keyword(&two[1].token) == "LOCKED")
}

fn mysql(name: &str, arguments: Option<&[TokenWithSpan]>) -> Option<Cause> {
    let has_arguments = arguments.is_some_and(|arguments| !arguments.is_empty());
    match name {
        "CURRENT_TIME" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "LOCALTIMESTAMP"
        | "UTC_DATE" | "UTC_TIME" | "UTC_TIMESTAMP" => Some(Cause::Time),
        _ if arguments.is_none() => None,
        "NOW" | "CURDATE" | "CURTIME" | "UNIX_TIMESTAMP" => Some(Cause::Time),
        // Images are statements too.
        "FOUND_ROWS" => Some(Cause::LastStatement),
        // With an argument it sets what it tells.
        "LAST_INSERT_ID" if has_arguments => Some(Cause::Effect),
        "SLEEP" | "GET_LOCK" | "RELEASE_LOCK" | "BENCHMARK" | "NEXTVAL" | "SETVAL" => Some(Cause::Effect),
        "RAND" | "UUID" | "UUID_SHORT" | "SYS_GUID" | "SYSDATE" | "RANDOM_BYTES" | "LASTVAL" => {
            Some(Cause::Chance)
        }
        _ => None,
    }
}

fn sqlite(name: &str, arguments: Option<&[TokenWithSpan]>) -> Option<Cause> {
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
