//! Statements that are neither a query nor a change of rows.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Flavor, Refusal, Statement, settings, tokens::keyword};

/// What passes, and why the others are refused. Whatever is not known changes more than rows.
pub(super) fn statement(flavor: Flavor, first: &str, tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    let second = tokens.get(1).map(|token| keyword(&token.token)).unwrap_or_default();
    let named = || first.to_owned();
    match (flavor, first) {
        (Flavor::Sqlite, "PRAGMA") => pragma(tokens),
        (_, "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE") => {
            Err(Refusal::TransactionControl(named()))
        }
        (Flavor::Postgres, "ABORT") => Err(Refusal::TransactionControl(named())),
        (Flavor::Postgres, "PREPARE") if second == "TRANSACTION" => {
            Err(Refusal::TransactionControl("PREPARE TRANSACTION".to_owned()))
        }
        (Flavor::MySql, "XA") => Err(Refusal::TransactionControl(named())),
        (Flavor::MySql | Flavor::Postgres, "SHOW") => Ok(Statement::Read),
        (Flavor::MySql | Flavor::Postgres, "SET") => settings::set(flavor, tokens).map(|()| Statement::Read),
        (Flavor::Postgres, "RESET") => settings::reset(tokens).map(|()| Statement::Read),
        (Flavor::MySql, "HELP") => Ok(Statement::Read),
        // A cursor reads; it is refused to change through one.
        (Flavor::Postgres, "DECLARE") if !locks(tokens) => Ok(Statement::Read),
        (Flavor::Postgres, "DECLARE") => {
            Err(Refusal::NotLockable("a cursor locks what it passes; select without one"))
        }
        (Flavor::Postgres, "FETCH" | "MOVE" | "CLOSE" | "DEALLOCATE") => Ok(Statement::Read),
        (Flavor::Postgres, "LISTEN" | "UNLISTEN" | "NOTIFY" | "LOCK") => Ok(Statement::Read),
        (Flavor::MySql | Flavor::Postgres, "CALL" | "DO" | "EXECUTE" | "PREPARE") => {
            Err(Refusal::Hidden(named()))
        }
        (Flavor::MySql, "DEALLOCATE") => Ok(Statement::Read),
        (_, "MERGE") => Err(Refusal::Merge),
        (Flavor::Postgres, "COPY") => copy(tokens),
        (Flavor::MySql, "LOAD") => Err(Refusal::Bulk(named())),
        (Flavor::MySql, "HANDLER") => Err(Refusal::Bulk(named())),
        (
            Flavor::MySql,
            "LOCK" | "UNLOCK" | "FLUSH" | "ANALYZE" | "CHECK" | "OPTIMIZE" | "REPAIR" | "USE",
        ) => Err(Refusal::Definition(named())),
        _ if DEFINING.contains(&first) => Err(Refusal::Definition(named())),
        _ => Err(Refusal::NotUnderstood(format!("it begins with {first}"))),
    }
}

/// Statements that change the structure, the server or the session, or commit by themselves.
const DEFINING: [&str; 41] = [
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BINLOG",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CHECKPOINT",
    "CHECKSUM",
    "CLONE",
    "CLUSTER",
    "COMMENT",
    "CREATE",
    "DETACH",
    "DISCARD",
    "DROP",
    "FLUSH",
    "GRANT",
    "IMPORT",
    "INSTALL",
    "KILL",
    "LOAD",
    "LOCK",
    "OPTIMIZE",
    "PURGE",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RENAME",
    "REPAIR",
    "RESET",
    "RESTART",
    "REVOKE",
    "SECURITY",
    "SHUTDOWN",
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
    "USE",
    "VACUUM",
];

fn locks(tokens: &[TokenWithSpan]) -> bool {
    tokens.windows(2).any(|two| {
        keyword(&two[0].token) == "FOR"
            && matches!(keyword(&two[1].token).as_str(), "UPDATE" | "SHARE" | "NO" | "KEY")
    })
}

/// Out of a table or a query to the client it only reads.
fn copy(tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let changes = |word: &String| matches!(word.as_str(), "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "FROM");
    let to_client = words.windows(2).any(|two| two[0] == "TO" && two[1] == "STDOUT");
    let is_table = tokens.get(1).is_some_and(|token| token.token != Token::LParen);
    if to_client && is_table && !words.iter().any(changes) {
        return Ok(Statement::Read);
    }
    Err(Refusal::Bulk("COPY".to_owned()))
}

/// Those that only tell something pass; with an argument, most others set something.
fn pragma(tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    const TELLING: [&str; 12] = [
        "TABLE_INFO",
        "TABLE_XINFO",
        "TABLE_LIST",
        "INDEX_LIST",
        "INDEX_INFO",
        "INDEX_XINFO",
        "FOREIGN_KEY_LIST",
        "FOREIGN_KEY_CHECK",
        "INTEGRITY_CHECK",
        "QUICK_CHECK",
        "DATABASE_LIST",
        "COMPILE_OPTIONS",
    ];
    let argument = tokens.iter().position(|token| matches!(token.token, Token::Eq | Token::LParen));
    let Some(argument) = argument else { return Ok(Statement::Read) };
    let name = keyword(&tokens[argument - 1].token);
    if TELLING.contains(&name.as_str()) && tokens[argument].token == Token::LParen {
        return Ok(Statement::Read);
    }
    Err(Refusal::Pragma(name.to_ascii_lowercase()))
}
