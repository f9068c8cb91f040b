//! From a statement's text to what AT mode has to know of it.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    Analysis, Flavor, Refusal, Statement, change, others, query, settings,
    tokens::{keyword, significant},
};

/// Analyses a statement. Costs a full parse.
pub(crate) fn analyse(flavor: Flavor, sql: &str) -> Analysis {
    let tokens = match significant(flavor, sql) {
        Ok(tokens) => tokens,
        Err(refusal) => return Analysis { statement: Err(refusal), changes_rows: true, positional: 0 },
    };
    let statements: Vec<&[TokenWithSpan]> = tokens
        .split(|token| token.token == Token::SemiColon)
        .filter(|statement| !statement.is_empty())
        .collect();
    let changes_rows = statements.iter().any(|statement| changes_rows(flavor, statement));
    let statement = match statements.as_slice() {
        [] => Ok(Statement::Read),
        [statement] => one(flavor, sql, statement),
        [first, ..] if keyword(&first[0].token) == "CREATE" => Err(Refusal::Definition("CREATE".to_owned())),
        several if several.iter().all(|one| only_reads(flavor, sql, one)) => Ok(Statement::Read),
        _ => Err(Refusal::SeveralStatements),
    };
    let is_positional =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Placeholder(text) if text == "?");
    let positional = tokens.iter().filter(is_positional).count();
    Analysis { statement, changes_rows, positional }
}

fn changes_rows(flavor: Flavor, statement: &[TokenWithSpan]) -> bool {
    match keyword(&statement[0].token).as_str() {
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE" => true,
        // Or a parenthesis before it.
        "WITH" | "" => change::stands_behind_with(statement) || query::changes_in_with(flavor, statement),
        _ => false,
    }
}

fn only_reads(flavor: Flavor, sql: &str, statement: &[TokenWithSpan]) -> bool {
    matches!(one(flavor, sql, statement), Ok(Statement::Read))
}

fn one(flavor: Flavor, sql: &str, tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    settings::set_by_call(flavor, tokens)?;
    let first = keyword(&tokens[0].token);
    match first.as_str() {
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" => {
            change::write(flavor, sql, tokens).map(Statement::Write)
        }
        "WITH" if change::stands_behind_with(tokens) => {
            change::write(flavor, sql, tokens).map(Statement::Write)
        }
        "SELECT" | "VALUES" | "WITH" => query::read(flavor, sql, tokens),
        "TABLE" if flavor != Flavor::Sqlite => query::read(flavor, sql, tokens),
        "EXPLAIN" => explain(flavor, sql, tokens),
        "DESCRIBE" | "DESC" if flavor == Flavor::MySql => explain(flavor, sql, tokens),
        "ANALYZE" if flavor == Flavor::MySql && explains(tokens) => explain(flavor, sql, tokens),
        "" if tokens[0].token == Token::LParen => query::read(flavor, sql, tokens),
        "" => Err(Refusal::NotUnderstood("it does not begin with a word".to_owned())),
        _ => others::statement(flavor, &first, tokens),
    }
}

/// `ANALYZE [FORMAT=JSON] UPDATE …`, not `ANALYZE TABLE`.
fn explains(tokens: &[TokenWithSpan]) -> bool {
    let second = tokens.get(1).map(|token| keyword(&token.token)).unwrap_or_default();
    !matches!(second.as_str(), "TABLE" | "TABLES" | "LOCAL" | "NO_WRITE_TO_BINLOG")
}

/// It runs nothing, unless it says ANALYZE.
fn explain(flavor: Flavor, sql: &str, tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    const VERBS: [&str; 13] = [
        "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES", "TABLE", "MERGE", "CREATE",
        "REFRESH", "EXECUTE", "DECLARE",
    ];
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    if flavor == Flavor::Sqlite {
        return Ok(Statement::Read);
    }
    let verb = words.iter().position(|word| VERBS.contains(&word.as_str())).unwrap_or(words.len());
    // PostgreSQL takes "analyze" for ANALYZE, and U&"…" for whatever it stands for.
    if flavor == Flavor::Postgres && tokens[..verb].iter().any(is_quoted) {
        return Err(Refusal::NotUnderstood("an option of EXPLAIN stands in quotes".to_owned()));
    }
    if !words[..verb].iter().any(|word| matches!(word.as_str(), "ANALYZE" | "ANALYSE")) {
        return Ok(Statement::Read);
    }
    match words.get(verb).map(String::as_str) {
        // It is run, not only declared.
        Some("DECLARE") | None => Err(Refusal::Hidden("EXPLAIN ANALYZE".to_owned())),
        Some(_) if only_reads(flavor, sql, &tokens[verb..]) => Ok(Statement::Read),
        _ => Err(Refusal::Hidden("EXPLAIN ANALYZE".to_owned())),
    }
}

fn is_quoted(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_that_it_changes_rows_is_known() {
        for (flavor, sql, changes) in [
            (Flavor::Sqlite, "WITH x AS (SELECT 1) DELETE FROM t", true),
            (Flavor::Sqlite, "REPLACE INTO t VALUES (1)", true),
            (Flavor::Sqlite, "SELECT 1; DELETE FROM t", true),
            (Flavor::Sqlite, "CREATE TABLE t(a)", false),
            (Flavor::MySql, "WITH x AS (SELECT REPLACE(name, 'a', 'b') AS n FROM t) SELECT n FROM x", false),
            (Flavor::MySql, "WITH x AS (SELECT 1) SELECT * FROM t FOR UPDATE", false),
            (Flavor::Postgres, "WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x", true),
            (Flavor::Postgres, "(WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x)", true),
            (
                Flavor::Postgres,
                "WITH x AS (SELECT 1) MERGE INTO t USING x ON true WHEN MATCHED THEN DELETE",
                true,
            ),
            (Flavor::Postgres, "WITH x AS (SELECT 1) SELECT * FROM t FOR NO KEY UPDATE", false),
            (
                Flavor::Postgres,
                "CREATE TABLE t (a INT REFERENCES u ON DELETE CASCADE) WITH (fillfactor = 70)",
                false,
            ),
        ] {
            assert_eq!(analyse(flavor, sql).changes_rows, changes, "{sql}");
        }
    }
}
