//! SET: which settings of a session may change inside a global transaction.
//!
//! Images are read, statements run and rows put back under the settings of a connection. What these make of a
//! name, a value or a time, and when a transaction ends, has to stay; what only takes time or memory may change.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Flavor, Refusal, tokens::keyword, volatile};

/// Of MySQL and MariaDB.
const MYSQL: [&str; 21] = [
    "cte_max_recursion_depth",
    "group_concat_max_len",
    "idle_transaction_timeout",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "join_buffer_size",
    "lock_wait_timeout",
    "long_query_time",
    "max_execution_time",
    "max_heap_table_size",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "optimizer_prune_level",
    "optimizer_search_depth",
    "optimizer_switch",
    "profiling",
    "read_rnd_buffer_size",
    "sort_buffer_size",
    "tmp_table_size",
    "wait_timeout",
];

/// Of PostgreSQL, beside those of its planner.
const POSTGRES: [&str; 17] = [
    "application_name",
    "client_min_messages",
    "cursor_tuple_fraction",
    "deadlock_timeout",
    "effective_cache_size",
    "geqo",
    "hash_mem_multiplier",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "lock_timeout",
    "log_min_duration_statement",
    "maintenance_work_mem",
    "plan_cache_mode",
    "statement_timeout",
    "temp_buffers",
    "work_mem",
];

/// Checks a whole SET statement.
pub(super) fn set(flavor: Flavor, tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    volatile::refuse_row_count(flavor, tokens)?;
    match flavor {
        Flavor::Postgres => set_postgres(tokens),
        _ => set_mysql(tokens),
    }
}

/// `RESET name`.
pub(super) fn reset(tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    name_in_postgres(&tokens[1..])
}

/// `set_config('name', …)`, which is SET in a query, and in whatever else calls a function.
pub(super) fn set_by_call(flavor: Flavor, tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    if flavor != Flavor::Postgres {
        return Ok(());
    }
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else { continue };
        let Some(next) = tokens.get(index + 1).map(|next| &next.token) else { continue };
        let is_called = *next == Token::LParen;
        let argument = match is_escaped(&tokens[..=index]) {
            true if is_called || keyword(next) == "UESCAPE" => None,
            // Quotes do not change the name.
            false if is_called && word.value.eq_ignore_ascii_case("set_config") => tokens.get(index + 2),
            _ => continue,
        };
        match argument.map(|argument| &argument.token) {
            Some(Token::SingleQuotedString(name)) if is_harmless(&name.to_ascii_lowercase()) => {}
            Some(Token::SingleQuotedString(name)) => return Err(Refusal::Setting(name.clone())),
            _ => return Err(Refusal::Setting("of a name that is computed".to_owned())),
        }
    }
    Ok(())
}

/// Whether the last of these words is the name in `U&"…"`, which may be any.
fn is_escaped(tokens: &[TokenWithSpan]) -> bool {
    let [.., prefix, ampersand, name] = tokens else { return false };
    let is_quoted = matches!(&name.token, Token::Word(word) if word.quote_style.is_some());
    is_quoted && ampersand.token == Token::Ampersand && keyword(&prefix.token) == "U"
}

/// `SET [SESSION | LOCAL] name = …`, and forms that have words of their own for the name.
fn set_postgres(tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    let words: Vec<String> = tokens.iter().take(3).map(|token| keyword(&token.token)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        // These last until the local transaction ends.
        [_, "TRANSACTION" | "CONSTRAINTS", ..] => Ok(()),
        [_, "SESSION", "CHARACTERISTICS"] => Err(Refusal::Setting("session characteristics".to_owned())),
        [_, "SESSION", "AUTHORIZATION"] => Err(Refusal::Setting("session authorization".to_owned())),
        [_, "SESSION" | "LOCAL", ..] => name_in_postgres(&tokens[2..]),
        _ => name_in_postgres(&tokens[1..]),
    }
}

fn name_in_postgres(tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    let name = match tokens {
        [] => return Err(Refusal::Setting("…".to_owned())),
        // A setting of the application's own.
        [_, period, _, ..] if period.token == Token::Period => return Ok(()),
        [name, ..] => word(name),
    };
    if is_harmless(&name) { Ok(()) } else { Err(Refusal::Setting(name)) }
}

fn is_harmless(name: &str) -> bool {
    let is_planner = name.starts_with("enable_") || name.ends_with("_cost") || name.starts_with("log_");
    is_planner || name.contains('.') || POSTGRES.contains(&name)
}

/// `SET a = …, @b := …, SESSION c = …`.
fn set_mysql(tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    let second = tokens.get(1).map(|token| keyword(&token.token)).unwrap_or_default();
    let third = tokens.get(2).map(|token| keyword(&token.token)).unwrap_or_default();
    // The level of isolation changes nothing: images are read with locks.
    if second == "TRANSACTION" || (matches!(second.as_str(), "SESSION" | "LOCAL") && third == "TRANSACTION") {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut assignments = tokens[1..].split(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.token == Token::Comma
    });
    assignments.try_for_each(assigned_in_mysql)
}

fn assigned_in_mysql(tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    let Some(equals) = tokens.iter().position(|token| matches!(token.token, Token::Eq | Token::Assignment))
    else {
        let name = tokens.first().map(word).unwrap_or_default();
        return Err(Refusal::Setting(name));
    };
    let text: String = tokens[..equals].iter().map(|token| format!("{} ", token.token)).collect();
    let text = text.trim().to_ascii_lowercase().replace(" . ", ".").replace("@ ", "@").replace('`', "");
    if text.starts_with('@') && !text.starts_with("@@") {
        return Ok(());
    }
    let scopes = ["@@session.", "@@local.", "@@", "session ", "local "];
    let name = scopes.iter().find_map(|scope| text.strip_prefix(scope)).unwrap_or(&text);
    if MYSQL.contains(&name) { Ok(()) } else { Err(Refusal::Setting(name.to_owned())) }
}

fn word(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::Word(word) => word.value.to_ascii_lowercase(),
        other => other.to_string(),
    }
}
