//! Queries inside a condition that are to lock what they read, as they do inside a change: those of a MySQL transaction
//! otherwise read its snapshot, and a change reads what is there now.

use std::mem;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::keyword;

/// Words that are added to a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) place: Place,
    pub(super) text: &'static str,
}

/// Where: before the token with this index, or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Before(usize),
    After(usize),
}

/// What stands between two parentheses, and part of it that one set operator parts from others.
#[derive(Default)]
struct Level {
    /// Where its SELECT stands, if it is a query.
    select: Option<usize>,
    /// It has a lock clause of its own.
    locks: bool,
}

/// What has to be added so that each query in parentheses locks what it reads, in the order of the text.
pub(super) fn additions(tokens: &[TokenWithSpan]) -> Vec<Addition> {
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let (mut level, mut outer) = (Level::default(), Vec::new());
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = words.get(index + 1).map_or("", String::as_str);
        match (&token.token, words[index].as_str()) {
            (Token::LParen, _) => outer.push(mem::take(&mut level)),
            (Token::RParen, _) => {
                let inner = mem::replace(&mut level, outer.pop().unwrap_or_default());
                if inner.select.is_some() && !inner.locks {
                    found.push(Addition { place: Place::After(index - 1), text: " LOCK IN SHARE MODE" });
                }
            }
            // Without parentheses a lock clause would be that of the last query alone.
            (_, "UNION" | "EXCEPT" | "INTERSECT") => {
                let part = mem::take(&mut level);
                if let Some(select) = part.select.filter(|_| !part.locks) {
                    found.push(Addition { place: Place::Before(select), text: "(" });
                    found.push(Addition { place: Place::After(index - 1), text: " LOCK IN SHARE MODE)" });
                }
            }
            (_, "SELECT") => level.select = Some(index),
            (_, "LOCK") if next == "IN" => level.locks = true,
            (_, "FOR") if matches!(next, "UPDATE" | "SHARE") => level.locks = true,
            _ => {}
        }
    }
    // Those of a query in parentheses come before those of the one around it.
    found.sort_by_key(|addition| match addition.place {
        Place::Before(index) => (index, false),
        Place::After(index) => (index, true),
    });
    found
}
