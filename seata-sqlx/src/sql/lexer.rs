//! Where texts, quoted names and comments begin and end: a second opinion.
//!
//! Everything here hangs on the words being those that the database sees. The parser's tokenizer knows some
//! rules of each database better than others, so its words are held against the few rules that matter.

use std::ops::Range;

use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::{Flavor, Refusal, tokens::Offsets};

/// A part of the text in which words mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Region {
    is_comment: bool,
    range: Range<usize>,
}

/// Checks that these tokens, white space included, are what the database makes of the text.
///
/// # Errors
/// [`Refusal::Ambiguous`] where it hangs on a setting of the session, [`Refusal::NotUnderstood`] where the tokenizer
/// is at odds with the rules, and at which byte.
pub(super) fn check(flavor: Flavor, sql: &str, tokens: &[TokenWithSpan]) -> Result<(), (usize, Refusal)> {
    let is_mysql = flavor == Flavor::MySql;
    let not_understood = |at, reason: &str| (at, Refusal::NotUnderstood(reason.to_owned()));
    let regions = Lexer::new(flavor, sql, is_mysql, is_mysql).regions();
    let regions = regions.map_err(|at| not_understood(at, "a text, a name or a comment has no end"))?;
    if is_mysql {
        let is_conditional = |region: &&Region| {
            let text = &sql[region.range.clone()];
            region.is_comment && (text.starts_with("/*!") || text.starts_with("/*M!"))
        };
        if let Some(comment) = regions.iter().find(is_conditional) {
            let cause = "which part of a conditional comment is run";
            return Err((comment.range.start, Refusal::Ambiguous(cause)));
        }
    }
    // What sql_mode (NO_BACKSLASH_ESCAPES, ANSI_QUOTES) or standard_conforming_strings may make of it. Where that
    // leaves something open, the statement would not run under it.
    let other_readings: &[(bool, bool)] = match flavor {
        Flavor::Sqlite => &[],
        Flavor::MySql => &[(false, false), (true, false)],
        Flavor::Postgres => &[(true, false)],
    };
    for (single, double) in other_readings {
        let Ok(others) = Lexer::new(flavor, sql, *single, *double).regions() else { continue };
        if others != regions {
            let same = regions.iter().zip(&others).take_while(|(one, other)| one == other).count();
            let differs = regions.get(same).or(others.get(same));
            let at = differs.map_or(0, |region| region.range.start);
            return Err((at, Refusal::Ambiguous("where a text with a backslash ends")));
        }
    }
    match disagreement(sql, tokens, &regions) {
        None => Ok(()),
        Some(at) => Err(not_understood(at, "it is not clear where a text, a name or a comment ends")),
    }
}

/// Where a text, a name or a comment begins that has no end.
pub(super) fn endless(flavor: Flavor, sql: &str) -> Option<usize> {
    let is_mysql = flavor == Flavor::MySql;
    Lexer::new(flavor, sql, is_mysql, is_mysql).regions().err()
}

/// Where the tokens are something else than the regions say.
fn disagreement(sql: &str, tokens: &[TokenWithSpan], regions: &[Region]) -> Option<usize> {
    let mut regions = regions.iter().peekable();
    let mut offsets = Offsets::new(sql);
    let mut end = 0;
    for token in tokens {
        let range = offsets.of(token.span.start)..offsets.of(token.span.end);
        if range.start != end {
            return Some(end);
        }
        end = range.end;
        let is_comment = matches!(
            token.token,
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
        );
        match regions.peek() {
            Some(region) if region.range.start < range.end => {
                // A text may have a prefix; the end of a line may belong to its comment.
                let begins = region.range.start == range.start
                    || (!is_comment && region.range.start <= range.start + 2);
                let ends = region.range.end == range.end
                    || (is_comment && sql[region.range.end..range.end].trim().is_empty());
                if !begins || !ends || region.is_comment != is_comment {
                    return Some(range.start);
                }
                regions.next();
            }
            _ if is_comment => return Some(range.start),
            _ => {}
        }
    }
    (end != sql.len() || regions.next().is_some()).then_some(end)
}

struct Lexer<'a> {
    flavor: Flavor,
    bytes: &'a [u8],
    /// A backslash in '…' keeps the next character from ending it.
    single_escapes: bool,
    /// Likewise in "…".
    double_escapes: bool,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn new(flavor: Flavor, sql: &'a str, single_escapes: bool, double_escapes: bool) -> Self {
        Self { flavor, bytes: sql.as_bytes(), single_escapes, double_escapes, at: 0 }
    }

    /// An error, where it begins, if one of them has no end, or a backslash stands outside.
    fn regions(mut self) -> Result<Vec<Region>, usize> {
        let mut regions = Vec::new();
        while self.at < self.bytes.len() {
            let start = self.at;
            match self.region().ok_or(start)? {
                None => {}
                Some(is_comment) => regions.push(Region { is_comment, range: start..self.at }),
            }
        }
        Ok(regions)
    }

    /// Goes over the next region, or one character; says whether it was a comment.
    fn region(&mut self) -> Option<Option<bool>> {
        let rest = &self.bytes[self.at..];
        let is_mysql = self.flavor == Flavor::MySql;
        match rest {
            // MySQL wants white space or a control character behind it.
            [b'-', b'-', ..]
                if !is_mysql || rest.get(2).is_none_or(|next| *next <= b' ' || *next == 0x7f) =>
            {
                self.line();
            }
            [b'#', ..] if is_mysql => self.line(),
            [b'/', b'*', ..] => self.block()?,
            [quote @ (b'\'' | b'"'), ..] => {
                let is_escaped = match quote {
                    b'\'' => self.single_escapes || self.follows_escape_prefix(),
                    _ => self.double_escapes,
                };
                self.quoted(*quote, is_escaped)?;
                return Some(Some(false));
            }
            [b'`', ..] if self.flavor != Flavor::Postgres => {
                self.quoted(b'`', false)?;
                return Some(Some(false));
            }
            [b'[', ..] if self.flavor == Flavor::Sqlite => {
                self.at += 1 + rest.iter().position(|byte| *byte == b']')?;
                return Some(Some(false));
            }
            [b'$', ..] if self.flavor == Flavor::Postgres && !self.follows_name() => {
                let Some(tag) = dollar_tag(rest) else {
                    self.at += 1;
                    return Some(None);
                };
                let body = &rest[tag.len()..];
                let length = body.windows(tag.len()).position(|window| window == tag)?;
                self.at += length + 2 * tag.len();
                return Some(Some(false));
            }
            // NULL is \N in MySQL.
            [b'\\', next, ..] if self.flavor != Flavor::Sqlite && !(is_mysql && *next == b'N') => {
                return None;
            }
            _ => {
                self.at += 1;
                return Some(None);
            }
        }
        Some(Some(true))
    }

    fn line(&mut self) {
        let rest = &self.bytes[self.at..];
        let ends = |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.flavor == Flavor::Postgres);
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn block(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match self.bytes.get(self.at..)? {
                [b'/', b'*', ..] if depth == 0 || self.flavor == Flavor::Postgres => {
                    depth += 1;
                    self.at += 2;
                }
                [b'*', b'/', ..] => {
                    depth -= 1;
                    self.at += 2;
                }
                [_, ..] => self.at += 1,
                [] => return None,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn quoted(&mut self, quote: u8, is_escaped: bool) -> Option<()> {
        self.at += 1;
        loop {
            match self.bytes.get(self.at..)? {
                [b'\\', _, ..] if is_escaped => self.at += 2,
                [first, second, ..] if *first == quote && *second == quote => self.at += 2,
                [first, ..] => {
                    self.at += 1;
                    if *first == quote {
                        return Some(());
                    }
                }
                [] => return None,
            }
        }
    }

    /// `E'…'`, where the E is no end of a name.
    fn follows_escape_prefix(&self) -> bool {
        let before = &self.bytes[..self.at];
        self.flavor == Flavor::Postgres
            && matches!(before, [.., b'e' | b'E'])
            && !before.iter().rev().nth(1).is_some_and(|byte| is_name(*byte))
    }

    fn follows_name(&self) -> bool {
        self.bytes[..self.at].last().is_some_and(|byte| is_name(*byte))
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

/// `$$` or `$tag$`.
fn dollar_tag(rest: &[u8]) -> Option<&[u8]> {
    let length = rest[1..].iter().position(|byte| *byte == b'$')?;
    let tag = &rest[1..=length];
    let is_tag = tag.iter().all(|byte| is_name(*byte)) && !tag.first().is_some_and(u8::is_ascii_digit);
    is_tag.then(|| &rest[..length + 2])
}

#[cfg(test)]
mod tests {
    use crate::sql::{Flavor, tokens::significant};

    #[test]
    fn two_minus_signs_begin_a_comment_where_the_database_says_so() {
        let words = |flavor, sql| significant(flavor, sql).map(|words| words.len()).ok();
        for (flavor, sql, expected) in [
            (Flavor::MySql, "SELECT 5 -- 1", Some(2)),
            (Flavor::MySql, "SELECT 5--1", Some(5)),
            // A comment to MySQL, two signs to the parser.
            (Flavor::MySql, "SELECT 5 --\u{1} 1", None),
            (Flavor::MySql, "SELECT 5 --\u{7f} 1", None),
            (Flavor::Postgres, "SELECT 5--1", Some(2)),
            (Flavor::Sqlite, "SELECT 5--1", Some(2)),
        ] {
            assert_eq!(words(flavor, sql), expected, "{sql:?}");
        }
    }
}
