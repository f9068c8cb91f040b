//! Functions of MySQL and MariaDB of which it is known that they give the same value to the same arguments.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::keyword;

/// Whether these words call a function that is not known: it may choose other rows each time.
pub(super) fn unknown(tokens: &[TokenWithSpan]) -> bool {
    (0..tokens.len()).any(|index| {
        let is_call = matches!(tokens[index].token, Token::Word(_))
            && tokens.get(index + 1).is_some_and(|next| next.token == Token::LParen);
        let is_qualified = index > 0 && tokens[index - 1].token == Token::Period;
        is_call
            && !names_columns(tokens, index)
            && (is_qualified || !is_known(&keyword(&tokens[index].token)))
    })
}

/// `AS v(id, n)`, `… ) v(id, n)`, `WITH v(id, n) AS`.
fn names_columns(tokens: &[TokenWithSpan], index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| &tokens[before].token);
    if before.is_some_and(|before| *before == Token::RParen || keyword(before) == "AS") {
        return true;
    }
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(index + 1) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let next = tokens.get(at + 1).map(|next| keyword(&next.token));
            let opens = tokens.get(at + 2).map(|next| &next.token);
            return next.as_deref() == Some("AS")
                && opens.is_some_and(|next| {
                    *next == Token::LParen || matches!(keyword(next).as_str(), "MATERIALIZED" | "NOT")
                });
        }
    }
    false
}

/// Whether this name, in upper case, is a function that may be trusted, or a word that a parenthesis may follow.
fn is_known(name: &str) -> bool {
    include_str!("functions/mysql.txt").split_ascii_whitespace().any(|known| known == name)
}
