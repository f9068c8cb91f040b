//! MySQL's and MariaDB's.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Bridge;
use crate::sql::clauses::{outer_words, verb};

pub(super) fn bridge(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let outer = outer_words(&tokens);
    let verb = verb(&tokens, &outer);
    let mut bridge = Bridge::new(tokens);
    let statement = bridge.word(verb).to_owned();
    let mut names_tables = statement == "UPDATE";
    let mut index = 0;
    // Behind which parenthesis a list of joined tables ends.
    let mut joined_up_to = 0;
    while index < bridge.tokens.len() {
        let is_outer = !outer[index].is_empty() || bridge.is(index, &Token::Comma);
        let next = bridge.word(index + 1).to_owned();
        match (bridge.word(index), &bridge.tokens[index].token) {
            ("LOW_PRIORITY" | "QUICK" | "IGNORE", _)
                if matches!(statement.as_str(), "UPDATE" | "DELETE")
                    && follows_verb(&bridge, verb, index) => {}
            ("SET", _) if !outer[index].is_empty() => {
                names_tables = false;
                bridge.keep(index);
            }
            (_, Token::Comma)
                if (names_tables && is_outer && depth_is_zero(&bridge, verb, index))
                    || index < joined_up_to =>
            {
                bridge.put(index, Token::make_keyword("CROSS"));
                bridge.add(index, Token::make_keyword("JOIN"));
            }
            ("JOIN" | "STRAIGHT_JOIN", _) => {
                if bridge.is(index + 1, &Token::LParen)
                    && !matches!(bridge.word(index + 2), "SELECT" | "WITH" | "VALUES" | "TABLE" | "")
                {
                    joined_up_to = bridge.closing(index + 1);
                }
                bridge.keep(index);
            }
            // `DELETE a.* FROM`
            (_, Token::Period) if statement == "DELETE" && bridge.is(index + 1, &Token::Mul) => index += 1,
            ("PARTITION", _) if statement == "INSERT" && bridge.is(index + 1, &Token::LParen) => {
                index = bridge.closing(index + 1);
            }
            ("MOD", _) if !bridge.is(index + 1, &Token::LParen) => bridge.put(index, Token::Mod),
            ("SOUNDS", _) if next == "LIKE" => {}
            ("TABLE", _) if bridge.is_word(index + 1) => bridge.put(index, Token::make_keyword("SELECT")),
            _ => bridge.keep(index),
        }
        index += 1;
    }
    bridge.bridged
}

/// With nothing but its like between.
fn follows_verb(bridge: &Bridge, verb: usize, index: usize) -> bool {
    (verb + 1..index).all(|between| matches!(bridge.word(between), "LOW_PRIORITY" | "QUICK" | "IGNORE"))
}

fn depth_is_zero(bridge: &Bridge, verb: usize, index: usize) -> bool {
    let Some(before) = bridge.tokens.get(verb..index) else { return false };
    let depth = before.iter().fold(0, |depth, token| match token.token {
        Token::LParen => depth + 1,
        Token::RParen => depth - 1,
        _ => depth,
    });
    depth == 0
}
