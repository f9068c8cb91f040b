//! Grammar where the parser does not follow the database.
//!
//! For the parser's eyes alone, what it lacks is replaced by something of the same shape or left out. What
//! is run, and what image queries copy, stays as it was written: both are cut from the text.

mod mysql;
mod postgres;
mod sqlite;

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::{Flavor, tokens::keyword};

/// The statement in words that the parser knows.
pub(super) fn bridge(flavor: Flavor, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    match flavor {
        Flavor::Sqlite => sqlite::bridge(tokens),
        Flavor::MySql => mysql::bridge(tokens),
        Flavor::Postgres => postgres::bridge(tokens),
    }
}

/// Words on their way from one to the next.
struct Bridge {
    tokens: Vec<TokenWithSpan>,
    words: Vec<String>,
    bridged: Vec<TokenWithSpan>,
    /// Where words begin that were left out, and belong to what comes next.
    left_out: Option<Location>,
}

impl Bridge {
    fn new(tokens: Vec<TokenWithSpan>) -> Self {
        let words = tokens.iter().map(|token| keyword(&token.token)).collect();
        Self { bridged: Vec::with_capacity(tokens.len()), tokens, words, left_out: None }
    }

    /// The word there, in upper case; empty if there is none.
    fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    fn is(&self, index: usize, token: &Token) -> bool {
        self.tokens.get(index).is_some_and(|found| found.token == *token)
    }

    /// Whether a word stands there, in quotes or not.
    fn is_word(&self, index: usize) -> bool {
        self.tokens.get(index).is_some_and(|found| matches!(found.token, Token::Word(_)))
    }

    fn keep(&mut self, index: usize) {
        self.put(index, self.tokens[index].token.clone());
    }

    /// Leaves out a word that belongs to the next: what is copied from there begins with it.
    fn leave_to_next(&mut self, index: usize) {
        self.left_out.get_or_insert(self.tokens[index].span.start);
    }

    /// Something else in the place of the word there.
    fn put(&mut self, index: usize, token: Token) {
        let mut span = self.tokens[index].span;
        span.start = self.left_out.take().unwrap_or(span.start);
        self.bridged.push(TokenWithSpan { token, span });
    }

    /// Something behind the word there, which stands in no text.
    fn add(&mut self, index: usize, token: Token) {
        let end = self.tokens[index].span.end;
        self.bridged.push(TokenWithSpan { token, span: Span::new(end, end) });
    }

    /// The parenthesis or bracket that closes the one there; the end if none does.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for index in open..self.tokens.len() {
            match self.tokens[index].token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len()
    }
}
