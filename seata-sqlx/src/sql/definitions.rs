//! What SQLite keeps of a table only as the text of its definition.

use super::{
    Flavor,
    tokens::{keyword, significant},
};

/// Which of INSERT, UPDATE and DELETE a `CREATE TRIGGER` statement waits for; all when it cannot be told.
pub(crate) fn trigger_events(sql: &str) -> Vec<&'static str> {
    const ALL: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
    let Ok(tokens) = significant(Flavor::Sqlite, sql) else { return ALL.to_vec() };
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    // Behind the name, which may be one of these words: `… name [BEFORE|AFTER|INSTEAD OF] INSERT ON …`.
    let on = words.iter().position(|word| word == "ON").unwrap_or(0);
    let event = words[..on].iter().skip(2).rev().find_map(|word| ALL.into_iter().find(|event| event == word));
    event.map_or(ALL.to_vec(), |event| vec![event])
}

/// The action of an `ON CONFLICT` clause in a `CREATE TABLE` statement, unless it is harmless.
pub(crate) fn conflict_clause(sql: &str) -> Option<String> {
    let Ok(tokens) = significant(Flavor::Sqlite, sql) else { return Some("…".to_owned()) };
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let actions = words.windows(3).filter(|three| three[0] == "ON" && three[1] == "CONFLICT");
    actions.map(|three| three[2].clone()).find(|action| !matches!(action.as_str(), "ABORT" | "IGNORE"))
}

#[cfg(test)]
mod tests {
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
            assert_eq!(trigger_events(sql), events, "{sql}");
        }
    }

    #[test]
    fn a_declared_conflict_action_is_found() {
        let found = |sql| conflict_clause(sql);
        assert_eq!(
            found("CREATE TABLE t(a INTEGER PRIMARY KEY ON CONFLICT replace)"),
            Some("REPLACE".into())
        );
        assert_eq!(found("CREATE TABLE t(a UNIQUE ON CONFLICT IGNORE)"), None);
        assert_eq!(found("CREATE TABLE t(a TEXT DEFAULT 'ON CONFLICT REPLACE')"), None);
    }
}
