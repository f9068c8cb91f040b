//! What can be seen from a statement's words alone.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::{Flavor, Refusal, lexer};

/// The words of a statement, without white space and comments.
pub(super) fn significant(flavor: Flavor, sql: &str) -> Result<Vec<TokenWithSpan>, Refusal> {
    significant_or_line(flavor, sql).map_err(|(_, refusal)| refusal)
}

/// As [`significant`]; an error has the line in which what is not clear begins.
pub(super) fn significant_or_line(flavor: Flavor, sql: &str) -> Result<Vec<TokenWithSpan>, (u64, Refusal)> {
    let line = |at: usize| 1 + sql.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
    let mut tokens = Tokenizer::new(flavor.grammar(), sql).tokenize_with_location().map_err(|error| {
        // The tokenizer tells of some things where it gave up.
        let line = lexer::endless(flavor, sql).map_or(error.location.line, line);
        (line, Refusal::NotUnderstood(error.to_string()))
    })?;
    lexer::check(flavor, sql, &tokens).map_err(|(at, refusal)| (line(at), refusal))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_characters_and_lines() {
        let sql = "SELECT '你'\n, 1";
        let tokens = significant(Flavor::Sqlite, sql).unwrap();
        assert_eq!(offset(sql, tokens.last().unwrap().span.end), sql.len());
        assert_eq!(&sql[..offset(sql, tokens[1].span.end)], "SELECT '你'");
    }
}
