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
    Offsets::new(sql).of(location)
}

/// [`offset`] for many places in ascending order, in one walk over the text.
pub(super) struct Offsets<'s> {
    sql: &'s str,
    at: usize,
    line: u64,
    column: u64,
}

impl<'s> Offsets<'s> {
    pub(super) fn new(sql: &'s str) -> Self {
        Self { sql, at: 0, line: 1, column: 1 }
    }

    pub(super) fn of(&mut self, location: Location) -> usize {
        let wanted = (location.line.max(1), location.column.max(1));
        if wanted < (self.line, self.column) {
            *self = Self::new(self.sql);
        }
        for character in self.sql[self.at..].chars() {
            if (self.line, self.column) >= wanted {
                break;
            }
            self.at += character.len_utf8();
            (self.line, self.column) =
                if character == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.at
    }
}

/// How deep a tree a parser may make of these words: between two commas each AND and OR is a level, on top of the
/// longest row of other operators, and what stands in parentheses lies below.
pub(super) fn depth(tokens: &[TokenWithSpan]) -> usize {
    /// Inside one pair of parentheses.
    #[derive(Default)]
    struct Level {
        logical: usize,
        row: usize,
        longest_row: usize,
        deepest: usize,
    }
    let mut outer = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        match (keyword(&token.token).as_str(), &token.token) {
            (_, Token::LParen) => outer.push(std::mem::take(&mut level)),
            (_, Token::RParen) => {
                let inner = level.deepest;
                level = outer.pop().unwrap_or_default();
                level.row = level.row.max(inner);
            }
            (_, Token::Comma | Token::SemiColon) => {
                level = Level { deepest: level.deepest, ..Level::default() }
            }
            ("AND" | "OR", _) => (level.logical, level.row) = (level.logical + 1, 0),
            (word, Token::Word(_)) if !OPERATORS.contains(&word) => {}
            (_, Token::Number(..) | Token::SingleQuotedString(_) | Token::HexStringLiteral(_)) => {}
            (_, Token::Placeholder(_) | Token::Period) => {}
            _ => level.row += 1,
        }
        level.longest_row = level.longest_row.max(level.row);
        level.deepest = level.deepest.max(level.logical + level.longest_row);
    }
    level.deepest
}

/// Those that are words.
const OPERATORS: [&str; 18] = [
    "NOT",
    "IS",
    "ISNULL",
    "NOTNULL",
    "IN",
    "LIKE",
    "GLOB",
    "REGEXP",
    "MATCH",
    "BETWEEN",
    "ESCAPE",
    "COLLATE",
    "CASE",
    "WHEN",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
];

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
