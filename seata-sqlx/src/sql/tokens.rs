//! What can be seen from a statement's words alone.

use sqlparser::{
    dialect::Dialect,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

/// The words of a statement, without white space and comments.
pub(super) fn significant(dialect: &dyn Dialect, sql: &str) -> Result<Vec<TokenWithSpan>, String> {
    let mut tokens =
        Tokenizer::new(dialect, sql).tokenize_with_location().map_err(|error| error.to_string())?;
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
    let line_start = match location.line {
        0 | 1 => 0,
        line => sql.match_indices('\n').nth(line as usize - 2).map_or(sql.len(), |(index, _)| index + 1),
    };
    let column = (location.column as usize).saturating_sub(1);
    sql[line_start..].char_indices().nth(column).map_or(sql.len(), |(index, _)| line_start + index)
}

/// Whether `part` stands in `whole` word for word: what the syntax tree printed is then what was written.
pub(super) fn quotes(whole: &[TokenWithSpan], part: &[TokenWithSpan]) -> bool {
    part.is_empty()
        || whole
            .windows(part.len())
            .any(|window| window.iter().zip(part).all(|(a, b)| same(&a.token, &b.token)))
}

fn same(a: &Token, b: &Token) -> bool {
    match (a, b) {
        (Token::Word(a), Token::Word(b)) if a.quote_style.is_none() && b.quote_style.is_none() => {
            a.value.eq_ignore_ascii_case(&b.value)
        }
        (Token::DoubleEq | Token::Eq, Token::DoubleEq | Token::Eq) => true,
        _ => a == b,
    }
}

/// Which of INSERT, UPDATE and DELETE a `CREATE TRIGGER` statement waits for; all when it cannot be told.
pub(crate) fn trigger_events(dialect: &dyn Dialect, sql: &str) -> Vec<&'static str> {
    const ALL: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
    let Ok(tokens) = significant(dialect, sql) else { return ALL.to_vec() };
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    // Behind the name, which may be one of these words: `… name [BEFORE|AFTER|INSTEAD OF] INSERT ON …`.
    let on = words.iter().position(|word| word == "ON").unwrap_or(0);
    let event = words[..on].iter().skip(2).rev().find_map(|word| ALL.into_iter().find(|event| event == word));
    event.map_or(ALL.to_vec(), |event| vec![event])
}

/// The action of an `ON CONFLICT` clause in a `CREATE TABLE` statement, unless it is harmless.
pub(crate) fn conflict_clause(dialect: &dyn Dialect, sql: &str) -> Option<String> {
    let Ok(tokens) = significant(dialect, sql) else { return Some("…".to_owned()) };
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let actions = words.windows(3).filter(|three| three[0] == "ON" && three[1] == "CONFLICT");
    actions.map(|three| three[2].clone()).find(|action| !matches!(action.as_str(), "ABORT" | "IGNORE"))
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::SQLiteDialect;

    use super::*;

    #[test]
    fn the_event_of_a_trigger_is_the_last_word_before_its_table() {
        for (sql, events) in [
            ("CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END", vec!["INSERT"]),
            (
                "CREATE TRIGGER IF NOT EXISTS \"update\" BEFORE DELETE ON t BEGIN SELECT 1; END",
                vec!["DELETE"],
            ),
            ("CREATE TRIGGER x UPDATE OF a, b ON t BEGIN DELETE FROM u; END", vec!["UPDATE"]),
            ("CREATE TRIGGER ???", vec!["INSERT", "UPDATE", "DELETE"]),
        ] {
            assert_eq!(trigger_events(&SQLiteDialect {}, sql), events, "{sql}");
        }
    }

    #[test]
    fn a_declared_conflict_action_is_found() {
        let found = |sql| conflict_clause(&SQLiteDialect {}, sql);
        assert_eq!(
            found("CREATE TABLE t(a INTEGER PRIMARY KEY ON CONFLICT replace)"),
            Some("REPLACE".into())
        );
        assert_eq!(found("CREATE TABLE t(a UNIQUE ON CONFLICT IGNORE)"), None);
        assert_eq!(found("CREATE TABLE t(a TEXT DEFAULT 'ON CONFLICT REPLACE')"), None);
    }

    #[test]
    fn offsets_count_characters_and_lines() {
        let sql = "SELECT '你'\n, 1";
        let tokens = significant(&SQLiteDialect {}, sql).unwrap();
        assert_eq!(offset(sql, tokens.last().unwrap().span.end), sql.len());
        assert_eq!(&sql[..offset(sql, tokens[1].span.end)], "SELECT '你'");
    }
}
