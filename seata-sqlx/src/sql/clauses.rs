//! Where the clauses of a statement stand among its words.

use std::ops::Range;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::keyword;

/// The clauses that choose rows. Those that are missing are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Clauses {
    /// `WITH …`, up to the statement's verb.
    pub(super) with: Range<usize>,
    /// The table that is changed, or all that are joined where they stand together.
    pub(super) tables: Range<usize>,
    /// Behind the FROM of an UPDATE, or USING.
    pub(super) others: Range<usize>,
    /// Behind WHERE.
    pub(super) condition: Range<usize>,
    /// ORDER BY and LIMIT, these words included.
    pub(super) tail: Range<usize>,
    /// `FOR UPDATE` and the like.
    pub(super) lock: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Tables,
    Others,
    Condition,
    Tail,
    Lock,
    Elsewhere,
}

impl Clauses {
    /// The clauses of a statement whose verb may stand behind WITH.
    pub(super) fn find(tokens: &[TokenWithSpan]) -> Self {
        let words = outer_words(tokens);
        let start = verb(tokens, &words);
        let verb = words.get(start).map_or("", String::as_str);
        let mut clauses = Self { with: 0..start, ..Self::default() };
        let mut place = if verb == "UPDATE" { Place::Tables } else { Place::Elsewhere };
        // Behind `UPDATE OR IGNORE`.
        let modifiers = if words.get(start + 1).is_some_and(|word| word == "OR") { 2 } else { 0 };
        for index in start + 1 + modifiers..tokens.len() {
            let word = words[index].as_str();
            let previous = words[index - 1].as_str();
            let next = words.get(index + 1).map_or("", String::as_str);
            let next_place = match (verb, word) {
                ("UPDATE", "LOW_PRIORITY" | "IGNORE")
                    if place == Place::Tables && clauses.tables.is_empty() =>
                {
                    continue;
                }
                ("UPDATE", "SET") if place == Place::Tables => Some((Place::Elsewhere, false)),
                ("UPDATE", "FROM") if previous != "DISTINCT" && place == Place::Elsewhere => {
                    Some((Place::Others, false))
                }
                ("DELETE" | "SELECT", "FROM") if previous != "DISTINCT" && place == Place::Elsewhere => {
                    Some((Place::Tables, false))
                }
                ("DELETE", "USING") if place == Place::Tables && !joins(&words, index) => {
                    Some((Place::Others, false))
                }
                (_, "WHERE") => Some((Place::Condition, false)),
                (_, "ORDER" | "LIMIT") => Some((Place::Tail, true)),
                ("SELECT", "OFFSET" | "FETCH") => Some((Place::Tail, true)),
                ("SELECT", "FOR") if matches!(next, "UPDATE" | "SHARE" | "NO" | "KEY") => {
                    Some((Place::Lock, true))
                }
                ("SELECT", "LOCK") if next == "IN" => Some((Place::Lock, true)),
                (_, "RETURNING") => Some((Place::Elsewhere, false)),
                ("SELECT", "GROUP" | "HAVING" | "WINDOW" | "INTO" | "PROCEDURE") => {
                    Some((Place::Elsewhere, false))
                }
                _ => None,
            };
            let includes = match next_place {
                Some((next, includes)) => {
                    place = next;
                    includes
                }
                None => true,
            };
            if let Some(range) = clauses.at(place) {
                if Range::is_empty(range) {
                    *range = if includes { index..index } else { index + 1..index + 1 };
                }
                if includes {
                    range.end = index + 1;
                }
            }
        }
        clauses
    }

    fn at(&mut self, place: Place) -> Option<&mut Range<usize>> {
        match place {
            Place::Tables => Some(&mut self.tables),
            Place::Others => Some(&mut self.others),
            Place::Condition => Some(&mut self.condition),
            Place::Tail => Some(&mut self.tail),
            Place::Lock => Some(&mut self.lock),
            Place::Elsewhere => None,
        }
    }
}

/// `JOIN … USING (…)`
fn joins(words: &[String], using: usize) -> bool {
    words[..using].iter().rev().take_while(|word| *word != "FROM").any(|word| word.ends_with("JOIN"))
}

/// The words outside all parentheses in upper case, empty for all else.
pub(super) fn outer_words(tokens: &[TokenWithSpan]) -> Vec<String> {
    let mut depth = 0_usize;
    let word = |token: &TokenWithSpan| {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ if depth == 0 => return keyword(&token.token),
            _ => {}
        }
        String::new()
    };
    tokens.iter().map(word).collect()
}

/// Behind WITH it follows the parentheses of the last part, and nothing else does (SEARCH, CYCLE): 0 where it is not
/// found.
pub(super) fn verb(tokens: &[TokenWithSpan], words: &[String]) -> usize {
    if words.first().is_none_or(|word| word != "WITH") {
        return 0;
    }
    let is_behind = |index: &usize| {
        tokens[index - 1].token == Token::RParen && !matches!(words[*index].as_str(), "" | "AS")
    };
    let is_verb = |index: &usize| {
        matches!(
            words[*index].as_str(),
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE" | "VALUES" | "TABLE"
        )
    };
    (1..tokens.len()).find(is_behind).filter(is_verb).unwrap_or(0)
}
