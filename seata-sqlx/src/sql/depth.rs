//! How deep a tree a statement would make: deep ones are refused before a stack overflows.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::keyword;

/// How deep a tree a parser may make of these words: between two commas each AND and OR is a level, on top of the
/// longest row of other operators, and what stands in parentheses, or in a CASE, lies below.
pub(super) fn depth(tokens: &[TokenWithSpan]) -> usize {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        match (keyword(&token.token).as_str(), &token.token) {
            (_, Token::LParen) => outer.push(std::mem::take(&mut level)),
            ("CASE", _) => {
                outer.push(std::mem::replace(&mut level, Level { is_case: true, ..Level::default() }))
            }
            (_, Token::RParen) => {
                while level.is_case {
                    level = level.close(outer.pop());
                }
                level = level.close(outer.pop());
            }
            ("END", _) if level.is_case => level = level.close(outer.pop()),
            ("WHEN" | "THEN" | "ELSE", _) if level.is_case => level.next(),
            (_, Token::Comma | Token::SemiColon) => {
                level.next();
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

/// Inside one pair of parentheses, or one CASE.
#[derive(Default)]
struct Level {
    is_case: bool,
    logical: usize,
    row: usize,
    longest_row: usize,
    deepest: usize,
}

impl Level {
    /// Behind a comma nothing lies on top of what came before.
    fn next(&mut self) {
        *self = Self { is_case: self.is_case, deepest: self.deepest, ..Self::default() };
    }

    /// Back in what it stands in.
    fn close(&self, outer: Option<Self>) -> Self {
        let mut outer = outer.unwrap_or_default();
        outer.row += self.deepest + 1;
        outer
    }
}

/// Those that are words.
const OPERATORS: [&str; 16] = [
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
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Flavor, tokens::significant};

    #[test]
    fn only_what_lies_on_top_of_each_other_counts() {
        for (sql, levels) in [
            ("SELECT a + b + c, d", 2),
            ("SELECT a + (b + c + d) + e", 5),
            ("SELECT CASE id WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END", 1),
            ("SELECT 1 + CASE WHEN a = 1 AND b THEN 2 WHEN c THEN -(3 + 4) END + 5", 5),
            ("SELECT (CASE WHEN (a) + b", 2),
            ("SELECT end ) END CASE", 1),
        ] {
            let tokens = significant(Flavor::Sqlite, sql).unwrap();
            assert!(depth(&tokens).abs_diff(levels) <= 1, "{sql}: {}", depth(&tokens));
        }
    }
}
