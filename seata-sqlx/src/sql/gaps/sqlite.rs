//! SQLite's.

use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::sql::tokens::keyword;

pub(super) fn bridge(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    let mut bridged = Vec::with_capacity(tokens.len());
    let mut skip_to = 0;
    for (index, token) in tokens.iter().enumerate() {
        if index < skip_to {
            continue;
        }
        let follows = |ahead: usize| word(index + ahead);
        let with = |replacement| TokenWithSpan { token: replacement, span: token.span };
        match (word(index), &token.token) {
            ("IS", _) if follows(1) == "NOT" && !is_truth(follows(2)) => {
                bridged.push(with(Token::Neq));
                skip_to = index + 2;
            }
            ("IS", _) if follows(1) != "NOT" && !is_truth(follows(1)) => bridged.push(with(Token::Eq)),
            ("ISNULL", _) => {
                bridged.push(with(Token::make_keyword("IS")));
                let nothing = Span::new(token.span.end, token.span.end);
                bridged.push(TokenWithSpan { token: Token::make_keyword("NULL"), span: nothing });
            }
            ("NOT", _) if matches!(follows(1), "GLOB" | "REGEXP" | "MATCH") => {}
            ("NOT", _) if follows(1) == "INDEXED" => skip_to = index + 2,
            ("INDEXED", _) if follows(1) == "BY" => skip_to = index + 3,
            ("NOT", _) if follows(1) == "IN" && !opens(&tokens, index + 2) => {}
            ("IN", _) if !opens(&tokens, index + 1) => bridged.push(with(Token::Eq)),
            ("AS", _) if names_inserted_table(&words, &tokens, index) => skip_to = index + 2,
            // The condition of a conflict target: which partial index is meant.
            ("WHERE", _) if ends_conflict_target(&words, &tokens, index) => {
                let to_action = words[index..].iter().position(|word| word == "DO");
                skip_to = index + to_action.unwrap_or(1);
            }
            (_, Token::ShiftLeft | Token::ShiftRight) => bridged.push(with(Token::Plus)),
            _ => bridged.push(token.clone()),
        }
    }
    bridged
}

fn is_truth(word: &str) -> bool {
    matches!(word, "NULL" | "TRUE" | "FALSE" | "DISTINCT")
}

fn opens(tokens: &[TokenWithSpan], index: usize) -> bool {
    tokens.get(index).is_some_and(|token| token.token == Token::LParen)
}

/// `INTO [schema.]table AS …`
fn names_inserted_table(words: &[String], tokens: &[TokenWithSpan], index: usize) -> bool {
    let is_into = |back: usize| index >= back && words[index - back] == "INTO";
    is_into(2) || (is_into(4) && tokens[index - 2].token == Token::Period)
}

/// `ON CONFLICT (…) WHERE …`
fn ends_conflict_target(words: &[String], tokens: &[TokenWithSpan], index: usize) -> bool {
    let mut depth = 0;
    for before in (0..index).rev() {
        match tokens[before].token {
            Token::RParen => depth += 1,
            Token::LParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return tokens[before].token == Token::LParen && before > 0 && words[before - 1] == "CONFLICT";
        }
    }
    false
}
