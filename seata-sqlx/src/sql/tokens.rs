//! What can be seen from a statement's words alone.

use std::ops::Range;

use sqlparser::{
    dialect::Dialect,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

/// The words of a statement, without white space and comments.
pub(super) fn significant(dialect: &dyn Dialect, sql: &str) -> Result<Vec<TokenWithSpan>, String> {
    let mut tokens =
        Tokenizer::new(dialect, sql).tokenize_with_location().map_err(|error| error.to_string())?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    Ok(tokens)
}

/// An unquoted word in upper case; empty for anything else.
pub(super) fn keyword(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        _ => String::new(),
    }
}

/// The byte offset of a place in `sql`, whose columns count characters.
pub(super) fn offset(sql: &str, location: Location) -> usize {
    let line_start = match location.line {
        0 | 1 => 0,
        line => sql.match_indices('\n').nth(line as usize - 2).map_or(sql.len(), |(index, _)| index + 1),
    };
    let column = (location.column as usize).saturating_sub(1);
    sql[line_start..].char_indices().nth(column).map_or(sql.len(), |(index, _)| line_start + index)
}

/// Where the clauses that choose rows stand among a statement's words.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    /// Behind WHERE.
    pub(super) condition: Range<usize>,
    /// ORDER BY and LIMIT, these words included.
    pub(super) tail: Range<usize>,
}

impl Clauses {
    pub(super) fn find(tokens: &[TokenWithSpan]) -> Self {
        let mut depth = 0;
        let mut clauses = Self::default();
        let mut current: Option<&mut Range<usize>> = None;
        for (index, token) in tokens.iter().enumerate() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::SemiColon if depth == 0 => break,
                _ => {}
            }
            let word = if depth == 0 { keyword(&token.token) } else { String::new() };
            match word.as_str() {
                "WHERE" => {
                    clauses.condition = index + 1..index + 1;
                    current = Some(&mut clauses.condition);
                }
                "ORDER" | "LIMIT" => {
                    if clauses.tail.is_empty() {
                        clauses.tail = index..index;
                    }
                    current = Some(&mut clauses.tail);
                    extend(&mut current, index);
                }
                "RETURNING" | "GROUP" | "HAVING" | "WINDOW" => current = None,
                _ => extend(&mut current, index),
            }
        }
        clauses
    }
}

fn extend(clause: &mut Option<&mut Range<usize>>, index: usize) {
    if let Some(clause) = clause {
        clause.end = index + 1;
    }
}

/// Which of INSERT, UPDATE and DELETE a `CREATE TRIGGER` statement waits for; all when it cannot be told.
pub(crate) fn trigger_events(dialect: &dyn Dialect, sql: &str) -> Vec<&'static str> {
    const ALL: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
    let Ok(tokens) = significant(dialect, sql) else { return ALL.to_vec() };
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    // Behind the name, which may be one of these words: `… name [BEFORE|AFTER|INSTEAD OF] INSERT ON …`.
    let on = words.iter().position(|word| word == "ON").unwrap_or(0);
    let event = words[..on].iter().skip(2).rev().find_map(|word| ALL.into_iter().find(|event| event == word));
    event.map_or(ALL.to_vec(), |event| vec![event])
}

/// The action of an `ON CONFLICT` clause in a `CREATE TABLE` statement, unless it is harmless.
pub(crate) fn conflict_clause(dialect: &dyn Dialect, sql: &str) -> Option<String> {
    let Ok(tokens) = significant(dialect, sql) else { return Some("…".to_owned()) };
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let actions = words.windows(3).filter(|three| three[0] == "ON" && three[1] == "CONFLICT");
    actions.map(|three| three[2].clone()).find(|action| !matches!(action.as_str(), "ABORT" | "IGNORE"))
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::SQLiteDialect;

    use super::*;

    #[test]
    fn the_event_of_a_trigger_is_the_last_word_before_its_table() {
        for (sql, events) in [
            ("CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END", vec!["INSERT"]),
            (
                "CREATE TRIGGER IF NOT EXISTS \"update\" BEFORE DELETE ON t BEGIN SELECT 1; END",
                vec!["DELETE"],
            ),
            ("CREATE TRIGGER x UPDATE OF a, b ON t BEGIN DELETE FROM u; END", vec!["UPDATE"]),
            ("CREATE TRIGGER ???", vec!["INSERT", "UPDATE", "DELETE"]),
        ] {
            assert_eq!(trigger_events(&SQLiteDialect {}, sql), events, "{sql}");
        }
    }

    #[test]
    fn a_declared_conflict_action_is_found() {
        let found = |sql| conflict_clause(&SQLiteDialect {}, sql);
        assert_eq!(
            found("CREATE TABLE t(a INTEGER PRIMARY KEY ON CONFLICT replace)"),
            Some("REPLACE".into())
        );
        assert_eq!(found("CREATE TABLE t(a UNIQUE ON CONFLICT IGNORE)"), None);
        assert_eq!(found("CREATE TABLE t(a TEXT DEFAULT 'ON CONFLICT REPLACE')"), None);
    }

    #[test]
    fn offsets_count_characters_and_lines() {
        let sql = "SELECT '你'\n, 1";
        let tokens = significant(&SQLiteDialect {}, sql).unwrap();
        assert_eq!(offset(sql, tokens.last().unwrap().span.end), sql.len());
        assert_eq!(&sql[..offset(sql, tokens[1].span.end)], "SELECT '你'");
    }
}
