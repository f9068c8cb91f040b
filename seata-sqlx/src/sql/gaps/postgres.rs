//! PostgreSQL's.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Bridge;
use crate::sql::clauses::{outer_words, verb};

/// Types that a text may follow, which the parser does not know as such: `inet '10.0.0.1'`.
const TYPES: [&str; 42] = [
    "BOX",
    "BYTEA",
    "CIDR",
    "CIRCLE",
    "CITEXT",
    "DATERANGE",
    "FLOAT4",
    "FLOAT8",
    "GEOGRAPHY",
    "GEOMETRY",
    "HSTORE",
    "INET",
    "INT2",
    "INT4",
    "INT4RANGE",
    "INT8",
    "INT8RANGE",
    "JSON",
    "JSONB",
    "JSONPATH",
    "LINE",
    "LSEG",
    "LTREE",
    "MACADDR",
    "MACADDR8",
    "MONEY",
    "NAME",
    "NUMRANGE",
    "PATH",
    "PG_LSN",
    "POINT",
    "POLYGON",
    "REGCLASS",
    "TEXT",
    "TIMETZ",
    "TSQUERY",
    "TSRANGE",
    "TSTZRANGE",
    "TSVECTOR",
    "UUID",
    "VARBIT",
    "XML",
];

pub(super) fn bridge(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let outer = outer_words(&tokens);
    let verb = verb(&tokens, &outer);
    let set = outer.iter().position(|word| word == "SET").unwrap_or(tokens.len());
    let assigned = assigned_subscripts(&tokens, &outer, verb);
    let mut bridge = Bridge::new(tokens);
    let statement = bridge.word(verb).to_owned();
    let mut index = 0;
    while index < bridge.tokens.len() {
        let next = bridge.word(index + 1).to_owned();
        match (bridge.word(index), &bridge.tokens[index].token) {
            ("ONLY", _) if names_tables(&bridge, index) => bridge.leave_to_next(index),
            // `UPDATE t * SET`, `DELETE FROM t * WHERE`
            (_, Token::Mul) if follows_changed_table(&bridge, &statement, verb, set, index) => {}
            ("OVERRIDING", _) if statement == "INSERT" && bridge.word(index + 2) == "VALUE" => index += 2,
            // The target of a conflict says nothing that undoing needs.
            ("CONFLICT", _) if statement == "INSERT" && bridge.word(index.wrapping_sub(1)) == "ON" => {
                bridge.keep(index);
                let action = (index..bridge.tokens.len()).find(|index| bridge.word(*index) == "DO");
                index = action.map_or(index, |action| action - 1);
            }
            (_, Token::LBracket) if assigned.contains(&index) => index = bridge.closing(index),
            ("BETWEEN", _) if matches!(next.as_str(), "SYMMETRIC" | "ASYMMETRIC") => {
                bridge.keep(index);
                index += 1;
            }
            ("ISNULL", _) if !bridge.is(index + 1, &Token::LParen) => {
                bridge.put(index, Token::make_keyword("IS"));
                bridge.add(index, Token::make_keyword("NULL"));
            }
            ("TABLE", _) if bridge.is_word(index + 1) => bridge.put(index, Token::make_keyword("SELECT")),
            (word, _) if TYPES.contains(&word) && is_text(&bridge, index + 1) => bridge.leave_to_next(index),
            _ => bridge.keep(index),
        }
        index += 1;
    }
    bridge.bridged
}

/// `UPDATE ONLY t`, `FROM ONLY t`, `JOIN ONLY t`.
fn names_tables(bridge: &Bridge, only: usize) -> bool {
    let before = only.checked_sub(1).map_or("", |before| bridge.word(before));
    matches!(before, "UPDATE" | "FROM" | "JOIN" | "USING") && bridge.word(only + 1) != "SET"
}

fn follows_changed_table(bridge: &Bridge, statement: &str, verb: usize, set: usize, index: usize) -> bool {
    let names = |from: usize| {
        (from..index).all(|between| matches!(bridge.tokens[between].token, Token::Word(_) | Token::Period))
    };
    match statement {
        "UPDATE" => index > verb + 1 && index < set && names(verb + 1),
        "DELETE" => index > verb + 2 && names(verb + 1) && !behind_clause(bridge, verb, index),
        _ => false,
    }
}

fn behind_clause(bridge: &Bridge, verb: usize, index: usize) -> bool {
    (verb..index).any(|between| matches!(bridge.word(between), "WHERE" | "USING" | "RETURNING"))
}

/// Where the subscripts of assigned columns open: `SET tags[1] = …`.
fn assigned_subscripts(tokens: &[TokenWithSpan], outer: &[String], verb: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut is_target = false;
    let mut depth = 0;
    for index in verb..tokens.len() {
        match &tokens[index].token {
            Token::LBracket => {
                if depth == 0 && is_target {
                    found.push(index);
                }
                depth += 1;
            }
            Token::LParen => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 => is_target = true,
            Token::Eq if depth == 0 => is_target = false,
            _ => {}
        }
        match outer[index].as_str() {
            "SET" => is_target = true,
            "FROM" | "WHERE" | "RETURNING" => is_target = false,
            _ => {}
        }
    }
    found
}

fn is_text(bridge: &Bridge, index: usize) -> bool {
    bridge.tokens.get(index).is_some_and(|token| {
        matches!(token.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
    })
}
