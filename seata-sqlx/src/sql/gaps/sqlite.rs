//! SQLite's.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Bridge;

pub(super) fn bridge(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut bridge = Bridge::new(tokens);
    let mut index = 0;
    while index < bridge.tokens.len() {
        let next = bridge.word(index + 1).to_owned();
        match (bridge.word(index), &bridge.tokens[index].token) {
            ("IS", _) if next == "NOT" && !is_truth(bridge.word(index + 2)) => {
                bridge.put(index, Token::Neq);
                index += 1;
            }
            ("IS", _) if next != "NOT" && !is_truth(&next) => bridge.put(index, Token::Eq),
            ("ISNULL", _) => {
                bridge.put(index, Token::make_keyword("IS"));
                bridge.add(index, Token::make_keyword("NULL"));
            }
            ("NOT", _) if matches!(next.as_str(), "GLOB" | "REGEXP" | "MATCH") => bridge.leave_to_next(index),
            ("NOT", _) if next == "INDEXED" => index += 1,
            ("INDEXED", _) if next == "BY" => index += 2,
            ("NOT", _) if next == "IN" && !bridge.is(index + 2, &Token::LParen) => {
                bridge.leave_to_next(index)
            }
            ("IN", _) if !bridge.is(index + 1, &Token::LParen) => bridge.put(index, Token::Eq),
            ("AS", _) if names_inserted_table(&bridge, index) => index += 1,
            // The condition of a conflict target: which partial index is meant.
            ("WHERE", _) if ends_conflict_target(&bridge, index) => {
                let action = (index..bridge.tokens.len()).find(|index| bridge.word(*index) == "DO");
                index = action.map_or(index, |action| action - 1);
            }
            (_, Token::ShiftLeft | Token::ShiftRight) => bridge.put(index, Token::Plus),
            _ => bridge.keep(index),
        }
        index += 1;
    }
    bridge.bridged
}

fn is_truth(word: &str) -> bool {
    matches!(word, "NULL" | "TRUE" | "FALSE" | "DISTINCT")
}

/// `INTO [schema.]table AS …`
fn names_inserted_table(bridge: &Bridge, index: usize) -> bool {
    let is_into = |back: usize| index >= back && bridge.word(index - back) == "INTO";
    is_into(2) || (is_into(4) && bridge.is(index - 2, &Token::Period))
}

/// `ON CONFLICT (…) WHERE …`
fn ends_conflict_target(bridge: &Bridge, index: usize) -> bool {
    let mut depth = 0;
    for before in (0..index).rev() {
        match bridge.tokens[before].token {
            Token::RParen => depth += 1,
            Token::LParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return bridge.is(before, &Token::LParen) && before > 0 && bridge.word(before - 1) == "CONFLICT";
        }
    }
    false
}
