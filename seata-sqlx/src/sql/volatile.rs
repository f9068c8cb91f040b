//! Functions that need not give the same value twice.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Flavor, tokens::keyword};

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
pub(super) fn find(flavor: Flavor, tokens: &[TokenWithSpan], causes: &[Cause]) -> Option<String> {
    if causes.contains(&Cause::Chance)
        && let Some(found) = chance_without_call(flavor, tokens)
    {
        return Some(found);
    }
    (0..tokens.len()).find_map(|index| {
        let name = keyword(&tokens[index].token);
        let arguments = arguments(&tokens[index + 1..]);
        let cause = match flavor {
            Flavor::Sqlite => sqlite(&name, arguments),
            Flavor::MySql => mysql(&name, arguments),
            Flavor::Postgres => postgres(&name, arguments.is_some()),
        };
        causes.contains(&cause?).then(|| name.to_ascii_lowercase())
    })
}

/// Who else works on the rows decides which are skipped; a variable that is set changes from row to row.
fn chance_without_call(flavor: Flavor, tokens: &[TokenWithSpan]) -> Option<String> {
    if flavor == Flavor::MySql && tokens.iter().any(|token| token.token == Token::Assignment) {
        return Some(":=".to_owned());
    }
    let skips =
        |two: &[TokenWithSpan]| keyword(&two[0].token) == "SKIP" && keyword(&two[1].token) == "LOCKED";
    tokens.windows(2).any(skips).then(|| "SKIP LOCKED".to_owned())
}

/// NOW() and its kin stand still while SET timestamp says so.
fn mysql(name: &str, arguments: Option<&[TokenWithSpan]>) -> Option<Cause> {
    let has_arguments = arguments.is_some_and(|arguments| !arguments.is_empty());
    match name {
        "CURRENT_TIME" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "LOCALTIMESTAMP"
        | "UTC_DATE" | "UTC_TIME" | "UTC_TIMESTAMP" => Some(Cause::Time),
        _ if arguments.is_none() => None,
        "NOW" | "CURDATE" | "CURTIME" | "UNIX_TIMESTAMP" => Some(Cause::Time),
        // Images are statements too.
        "ROW_COUNT" | "FOUND_ROWS" => Some(Cause::LastStatement),
        // With an argument it sets what it tells.
        "LAST_INSERT_ID" if has_arguments => Some(Cause::Chance),
        "RAND" | "UUID" | "UUID_SHORT" | "SYS_GUID" | "SYSDATE" | "RANDOM_BYTES" | "SLEEP" | "GET_LOCK"
        | "RELEASE_LOCK" | "BENCHMARK" | "NEXTVAL" | "LASTVAL" | "SETVAL" => Some(Cause::Chance),
        _ => None,
    }
}

/// now() and its kin stand still in a transaction.
fn postgres(name: &str, is_call: bool) -> Option<Cause> {
    match name {
        _ if !is_call => None,
        "RANDOM"
        | "RANDOM_NORMAL"
        | "SETSEED"
        | "GEN_RANDOM_UUID"
        | "GEN_RANDOM_BYTES"
        | "UUIDV4"
        | "UUIDV7"
        | "UUID_GENERATE_V1"
        | "UUID_GENERATE_V1MC"
        | "UUID_GENERATE_V4"
        | "CLOCK_TIMESTAMP"
        | "TIMEOFDAY"
        | "STATEMENT_TIMESTAMP"
        | "NEXTVAL"
        | "SETVAL"
        | "PG_SLEEP"
        | "PG_TRY_ADVISORY_LOCK"
        | "PG_TRY_ADVISORY_XACT_LOCK" => Some(Cause::Chance),
        "LASTVAL" | "CURRVAL" => Some(Cause::LastStatement),
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
