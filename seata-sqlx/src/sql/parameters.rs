//! Which bound argument each parameter of a statement means.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Flavor, Refusal};

/// Gives every parameter the number of its argument, where the database has numbers for them, and returns the highest.
pub(super) fn number(flavor: Flavor, tokens: &mut [TokenWithSpan]) -> Result<usize, Refusal> {
    match flavor {
        Flavor::Sqlite => number_sqlite(tokens),
        Flavor::MySql => count(tokens),
        Flavor::Postgres => highest(tokens),
    }
}

/// Each `?` takes the next argument.
fn count(tokens: &[TokenWithSpan]) -> Result<usize, Refusal> {
    let mut count = 0;
    for token in tokens {
        match &token.token {
            Token::Placeholder(text) if text == "?" => count += 1,
            Token::Placeholder(text) => return Err(Refusal::NamedParameter(text.clone())),
            _ => {}
        }
    }
    Ok(count)
}

/// `$7` takes the seventh.
fn highest(tokens: &[TokenWithSpan]) -> Result<usize, Refusal> {
    /// The protocol's own limit.
    const MAX: usize = 65_535;
    let mut highest = 0;
    for token in tokens {
        let Token::Placeholder(text) = &token.token else { continue };
        match text.strip_prefix('$').map(str::parse) {
            Some(Ok(number @ 1..=MAX)) => highest = highest.max(number),
            _ => return Err(Refusal::NamedParameter(text.clone())),
        }
    }
    Ok(highest)
}

/// SQLite numbers parameters by its own rule, and sqlx looks their arguments up by another; an image
/// query that keeps only some of them must go through both, or it would bind something else.
fn number_sqlite(tokens: &mut [TokenWithSpan]) -> Result<usize, Refusal> {
    let mut slots: Vec<Option<String>> = Vec::new();
    let mut slot_of_token = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::Placeholder(text) => slot_of_token.push((position, slot(&mut slots, text)?)),
            sign @ (Token::Colon | Token::AtSign) => return Err(Refusal::NamedParameter(format!("{sign}…"))),
            _ => {}
        }
    }
    let mut anonymous = 0;
    let mut arguments = Vec::with_capacity(slots.len());
    for name in &slots {
        arguments.push(match name {
            Some(name) => name[1..].parse().map_err(|_| Refusal::NamedParameter(name.clone()))?,
            None => {
                anonymous += 1;
                anonymous
            }
        });
    }
    for (position, slot) in &slot_of_token {
        tokens[*position].token = Token::Placeholder(format!("?{}", arguments[*slot]));
    }
    Ok(slot_of_token.iter().map(|(_, slot)| arguments[*slot]).max().unwrap_or(0))
}

/// SQLite's numbering: `?` takes the next number, `?7` the seventh, a name the next or its own.
fn slot(slots: &mut Vec<Option<String>>, text: &str) -> Result<usize, Refusal> {
    /// SQLite's own limit; a higher number would be refused by it.
    const MAX: usize = 32_766;
    let index = match text.strip_prefix('?') {
        Some("") => slots.len(),
        Some(number) => match number.parse::<usize>() {
            Ok(number @ 1..=MAX) => number - 1,
            _ => return Err(Refusal::NamedParameter(text.to_owned())),
        },
        None => slots.iter().position(|name| name.as_deref() == Some(text)).unwrap_or(slots.len()),
    };
    if slots.len() <= index {
        slots.resize(index + 1, None);
    }
    if text != "?" {
        slots[index] = Some(text.to_owned());
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use sqlparser::{dialect::SQLiteDialect, tokenizer::Tokenizer};

    use super::*;

    fn numbered(sql: &str) -> Result<(Vec<String>, usize), Refusal> {
        let mut tokens = Tokenizer::new(&SQLiteDialect {}, sql).tokenize_with_location().unwrap();
        let highest = number(Flavor::Sqlite, &mut tokens)?;
        let texts = tokens.into_iter().filter_map(|token| match token.token {
            Token::Placeholder(text) => Some(text),
            _ => None,
        });
        Ok((texts.collect(), highest))
    }

    #[test]
    fn each_parameter_gets_the_argument_that_sqlx_would_bind() {
        for (sql, expected, highest) in [
            ("SELECT ?, ?, ?", vec!["?1", "?2", "?3"], 3),
            ("SELECT ?2, ?1, ?2", vec!["?2", "?1", "?2"], 2),
            ("SELECT $2, $1, $2", vec!["?2", "?1", "?2"], 2),
            ("SELECT '?', \"?\", ? -- ?", vec!["?1"], 1),
            // SQLite makes the last one its third parameter; sqlx gives it the second nameless argument.
            ("SELECT ?2, ?", vec!["?2", "?2"], 2),
            ("SELECT ?, ?1", vec!["?1", "?1"], 1),
            ("SELECT 1", vec![], 0),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(numbered(sql), Ok((expected, highest)), "{sql}");
        }
    }

    /// The driver itself is asked: a statement and its rewritten form get the same values.
    #[tokio::test]
    async fn the_driver_binds_the_same_values() {
        use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for sql in [
            "SELECT ?, ?, ?",
            "SELECT ?, ?, ?, ?2",
            "SELECT ?3, ?, ?1",
            "SELECT ?2, ?",
            "SELECT $3, $1, $3",
            "SELECT ?, $2, ?, $1",
            "SELECT ?5, ?",
        ] {
            let mut tokens = Tokenizer::new(&SQLiteDialect {}, sql).tokenize_with_location().unwrap();
            let highest = number(Flavor::Sqlite, &mut tokens).unwrap();
            let rewritten: String = tokens.iter().map(|token| token.token.to_string()).collect();
            let mut results = Vec::new();
            for text in [sql, &rewritten] {
                let mut query = sqlx::query(AssertSqlSafe(text));
                for argument in 1..=highest {
                    query = query.bind(argument as i64);
                }
                let row = query.fetch_one(&mut connection).await.unwrap();
                let values: Vec<Option<i64>> = (0..row.len()).map(|column| row.get(column)).collect();
                results.push(values);
            }
            assert_eq!(results[0], results[1], "{sql} became {rewritten}");
        }
    }

    #[test]
    fn a_name_that_sqlx_does_not_bind_is_refused() {
        assert_eq!(numbered("SELECT $a"), Err(Refusal::NamedParameter("$a".into())));
        assert_eq!(numbered("SELECT ?0"), Err(Refusal::NamedParameter("?0".into())));
    }
}
