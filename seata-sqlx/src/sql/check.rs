//! What becomes of a statement, told without a database.

use std::{fmt, ops::RangeInclusive};

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    Flavor, Kind, Refusal, Rows, Statement, Write, analyse, image_query,
    tokens::{Offsets, keyword, significant_or_line},
};

/// What AT mode does with a statement inside a global transaction, as far as its words tell. The table may yet speak
/// against it: one without a primary key, or with a trigger that the statement would fire, is refused when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The table whose rows it changes or locks, as the statement names it.
    pub table: Option<String>,
    /// The query that reads the rows before they are changed, or the keys of those that are locked. `<key>` stands for
    /// the columns of the primary key, `*` for all columns. `None` where none is needed.
    pub image_query: Option<String>,
    /// The row locks that the coordinator is asked for, `<key>` being the values of the primary key.
    pub lock_keys: Option<String>,
    /// How many statements are run beside it, at the fewest and at the most (a database that has no RETURNING clause, or
    /// rows that an upsert finds there), while it touches no more than 200 rows, none twice, and nobody else adds any it
    /// would. The local transaction, its undo log and the request to the coordinator, which all statements of a branch
    /// share, are not counted, nor is what is asked of a table that was not seen for a while.
    pub extra_round_trips: RangeInclusive<u32>,
}

/// What becomes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It runs as it is: it changes no rows.
    Passed,
    /// It runs, and a rollback of the global transaction puts its rows back.
    Undone,
    /// It waits until no other global transaction holds the rows that it locks.
    Locked,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Undone => "undone",
            Self::Locked => "locked",
        })
    }
}

/// Tells what AT mode does with a statement inside a global transaction. No database is asked.
///
/// ```
/// use seata_sqlx::{Flavor, Outcome, Refusal, check};
///
/// let checked = check(Flavor::MySql, "UPDATE stock SET n = n - ? WHERE id = ?")?;
/// assert_eq!(checked.outcome, Outcome::Undone);
/// assert_eq!(checked.lock_keys.as_deref(), Some("stock:<key>"));
/// assert_eq!(
///     checked.image_query.as_deref(),
///     Some("SELECT <key>, `stock`.`n` FROM `stock` JOIN (SELECT ? AS seata_p0) AS seata_parameters WHERE id = ? FOR UPDATE"),
/// );
///
/// assert_eq!(check(Flavor::MySql, "REPLACE INTO stock VALUES (1, 2)"), Err(Refusal::Replace));
/// # Ok::<(), Refusal>(())
/// ```
///
/// In a test of an application, for the statements that it has:
/// ```
/// # use seata_sqlx::{Flavor, check};
/// # const STATEMENTS: [&str; 2] = ["SELECT 1", "DELETE FROM stock WHERE id = $1"];
/// for sql in STATEMENTS {
///     check(Flavor::Postgres, sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
/// }
/// ```
///
/// # Errors
/// Why the statement would be refused before it runs, with the alternative.
pub fn check(flavor: Flavor, sql: &str) -> Result<Checked, Refusal> {
    match analyse(flavor, sql).statement? {
        Statement::Read => Ok(Checked {
            outcome: Outcome::Passed,
            table: None,
            image_query: None,
            lock_keys: None,
            extra_round_trips: 0..=0,
        }),
        Statement::Lock(rows) => Ok(Checked {
            outcome: Outcome::Locked,
            image_query: Some(image(flavor, &rows, "<key>")),
            extra_round_trips: of_a_lock(flavor)..=of_a_lock(flavor),
            ..on_table(flavor, &rows)
        }),
        Statement::Write(write) => Ok(Checked {
            image_query: before_image(flavor, &write),
            extra_round_trips: extra_round_trips(flavor, &write),
            ..on_table(flavor, &write.rows)
        }),
    }
}

fn on_table(flavor: Flavor, rows: &Rows) -> Checked {
    let schema = rows.schema.as_ref().map(|schema| format!("{schema}."));
    Checked {
        outcome: Outcome::Undone,
        table: Some(format!("{}{}", schema.unwrap_or_default(), rows.table)),
        image_query: None,
        lock_keys: Some(format!("{}:<key>", locked_table(flavor, rows))),
        extra_round_trips: 0..=0,
    }
}

/// As Java names it: with its schema only in PostgreSQL, and there only where that is another than `public`.
fn locked_table(flavor: Flavor, rows: &Rows) -> String {
    match &rows.schema {
        Some(schema) if flavor == Flavor::Postgres && schema != "public" => {
            format!("{schema}.{}", rows.table)
        }
        _ => rows.table.clone(),
    }
}

fn before_image(flavor: Flavor, write: &Write) -> Option<String> {
    let rows = write.rows.as_changed(true);
    let qualifier = rows.qualifier(flavor);
    match &write.kind {
        Kind::Insert | Kind::Upsert { .. } => None,
        // PostgreSQL gives back what it removes.
        Kind::Delete if flavor == Flavor::Postgres => None,
        Kind::Delete => Some(image(flavor, rows, &format!("{qualifier}.*"))),
        Kind::Update { columns } => {
            let set = columns.iter().map(|column| format!("{qualifier}.{}", flavor.quote(column)));
            let columns: Vec<String> = std::iter::once("<key>".to_owned()).chain(set).collect();
            Some(image(flavor, rows, &columns.join(", ")))
        }
    }
}

fn image(flavor: Flavor, rows: &Rows, columns: &str) -> String {
    let schema = rows.schema.as_ref().map(|schema| format!("{}.", flavor.quote(schema)));
    let reference = format!("{}{}", schema.unwrap_or_default(), flavor.quote(&rows.table));
    let lock = if flavor == Flavor::Sqlite { "" } else { "FOR UPDATE" };
    image_query(flavor, rows, columns, &reference, lock)
}

/// The image before, and what it takes to know the rows afterwards. `tests/databases/round_trips.rs` counts them.
fn extra_round_trips(flavor: Flavor, write: &Write) -> RangeInclusive<u32> {
    let (least, most) = match (flavor, &write.kind) {
        // Its RETURNING clause tells all that has to be known of the rows.
        (Flavor::Postgres, Kind::Insert | Kind::Delete) => (0, 0),
        (Flavor::Postgres, Kind::Update { .. }) => (1, 1),
        // That of MariaDB as well; the driver's answer is then asked for with statements of their own.
        (Flavor::MySql, Kind::Insert) if write.has_returning => (0, 0),
        (Flavor::MySql, Kind::Insert) => (0, 2),
        // The columns of the table are asked for too.
        (Flavor::MySql, Kind::Delete) => (2, 3),
        // What touches no rows leaves none to be looked at.
        (_, Kind::Update { .. } | Kind::Delete) => (1, 2),
        (Flavor::Sqlite, Kind::Insert) if !write.has_returning => (0, 1),
        // Run once to see which rows it touches, taken back, and run again.
        (Flavor::Sqlite, Kind::Insert) => (4, 5),
        (Flavor::Sqlite, Kind::Upsert { .. }) => (4, 6),
        // Between two savepoints, and once more for rows that are there.
        (Flavor::Postgres, Kind::Upsert { .. }) => (2, 7),
        (Flavor::MySql, Kind::Upsert { .. }) if write.has_returning => (3, 10),
        (Flavor::MySql, Kind::Upsert { .. }) => (3, 13),
    };
    least + of_any(flavor)..=most + of_any(flavor)
}

/// Between a savepoint and its release, or the two ends of a local transaction of its own: its rows are asked for, before
/// and behind it.
fn of_a_lock(flavor: Flavor) -> u32 {
    2 + 2 * (1 + of_any(flavor))
}

/// Around each change.
fn of_any(flavor: Flavor) -> u32 {
    match flavor {
        // A savepoint and its release too: a statement that fails may leave something behind.
        Flavor::Sqlite => 3,
        // Whether what is known of the table is still right.
        Flavor::Postgres => 1,
        Flavor::MySql => 0,
    }
}

/// Why a text does not fall into statements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
#[non_exhaustive]
pub struct NotSeparable {
    /// The line in which what is not clear begins, counted from 1.
    pub line: u64,
    /// [`Refusal::NotUnderstood`] or [`Refusal::Ambiguous`].
    pub reason: Refusal,
}

impl NotSeparable {
    fn delimiter(line: u64) -> Self {
        let cause = "DELIMITER is a command of the mysql client's and not SQL: leave it out, and the stored programs with it";
        Self { line, reason: Refusal::NotUnderstood(cause.to_owned()) }
    }
}

/// The statements of a text that a semicolon separates, each with the number of its line, counted from 1. What begins
/// with CREATE and has a body of statements is one of them.
///
/// ```
/// use seata_sqlx::{Flavor, statements};
///
/// let text = "-- stock\nSELECT ';';\nDELETE FROM stock -- all\n";
/// let found = statements(Flavor::Sqlite, text)?;
/// assert_eq!(found, [(2, "SELECT ';'"), (3, "DELETE FROM stock")]);
/// # Ok::<(), seata_sqlx::NotSeparable>(())
/// ```
///
/// # Errors
/// Where it cannot be told what is text and what is not.
pub fn statements(flavor: Flavor, text: &str) -> Result<Vec<(u64, &str)>, NotSeparable> {
    let tokens =
        significant_or_line(flavor, text).map_err(|(line, reason)| match delimiter(flavor, text) {
            Some(earlier) if earlier <= line => NotSeparable::delimiter(earlier),
            _ => NotSeparable { line, reason },
        })?;
    let mut offsets = Offsets::new(text);
    let mut found = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some(first) = rest.first() {
        if flavor == Flavor::MySql && keyword(&first.token) == "DELIMITER" {
            return Err(NotSeparable::delimiter(first.span.start.line));
        }
        let length = length(rest);
        if let Some(last) = rest[..length].last() {
            let (start, end) = (offsets.of(first.span.start), offsets.of(last.span.end));
            found.push((first.span.start.line, &text[start..end]));
        }
        rest = &rest[length.min(rest.len())..];
        if rest.first().is_some_and(|token| token.token == Token::SemiColon) {
            rest = &rest[1..];
        }
    }
    Ok(found)
}

/// The first line that looks like `DELIMITER $$`, in a text that cannot be taken apart.
fn delimiter(flavor: Flavor, text: &str) -> Option<u64> {
    let is_command = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [word, mark] if word.eq_ignore_ascii_case("DELIMITER") && !mark.contains(char::is_alphanumeric))
    };
    let line = text.lines().position(is_command).filter(|_| flavor == Flavor::MySql)?;
    Some(line as u64 + 1)
}

/// How many tokens the first statement has.
fn length(tokens: &[TokenWithSpan]) -> usize {
    let is_creation = keyword(&tokens[0].token) == "CREATE";
    let mut may_have_body = false;
    let mut parentheses = 0_usize;
    let mut open = 0_usize;
    let mut previous = String::new();
    for (index, token) in tokens.iter().enumerate() {
        let word = keyword(&token.token);
        match (&token.token, word.as_str()) {
            (Token::SemiColon, _) if open == 0 => return index,
            (Token::LParen, _) => parentheses += 1,
            (Token::RParen, _) => parentheses = parentheses.saturating_sub(1),
            // Names, and what ends there as it has begun.
            _ if parentheses > 0 => {}
            (_, "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "PACKAGE") => may_have_body = is_creation,
            (_, "BEGIN") if may_have_body => open += 1,
            (_, "CASE") if open > 0 && previous != "END" => open += 1,
            (_, "END") if !ends_another(tokens.get(index + 1)) => open = open.saturating_sub(1),
            _ => {}
        }
        previous = word;
    }
    tokens.len()
}

/// `END IF`
fn ends_another(next: Option<&TokenWithSpan>) -> bool {
    let next = next.map(|next| keyword(&next.token)).unwrap_or_default();
    matches!(next.as_str(), "IF" | "LOOP" | "WHILE" | "REPEAT" | "FOR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_its_statements() {
        let text = "/* ; */ SELECT 1;;\n\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; DELETE FROM u; END;\nCOMMIT";
        let found = statements(Flavor::Sqlite, text).unwrap();
        assert_eq!(
            found,
            [
                (1, "SELECT 1"),
                (3, "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; DELETE FROM u; END"),
                (4, "COMMIT"),
            ]
        );
        for body in [
            "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM u; END",
            "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN IF a THEN BEGIN SET @a = 1; END; END IF; SET @b = 2; END",
            "CREATE PROCEDURE p() BEGIN CASE a WHEN 1 THEN SET @a = 1; END CASE; DELETE FROM t; END",
            "CREATE TABLE t (begin INT, end INT)",
            "CREATE TABLE begin (id INT)",
        ] {
            let text = format!("{body};\nDELETE FROM t");
            for flavor in [Flavor::Sqlite, Flavor::MySql] {
                assert_eq!(statements(flavor, &text).unwrap(), [(1, body), (2, "DELETE FROM t")]);
            }
        }
        let body = "DO $$ BEGIN DELETE FROM t; END $$;\r\nSELECT 2";
        assert_eq!(statements(Flavor::Postgres, body).unwrap()[1], (2, "SELECT 2"));
    }

    #[test]
    fn a_text_that_does_not_fall_into_statements_is_told_with_the_line() {
        for (flavor, text, line) in [
            (Flavor::MySql, "SELECT 1;\nSELECT 2,\n'x", 3),
            (Flavor::Sqlite, "SELECT 1;\n/* x\n", 2),
            (Flavor::MySql, "SELECT 1;\n\n/*!40000 SELECT 1 */;\n", 3),
            (Flavor::MySql, "SELECT 1;\nUPDATE acc SET n = 'x\\'' /* \\'*/;", 2),
        ] {
            let error = statements(flavor, text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
        }
    }

    #[test]
    fn a_command_of_the_mysql_client_is_named() {
        for mark in ["//", "$$", "'", ";;"] {
            let body = format!("CREATE PROCEDURE p() BEGIN SELECT 1; END{mark}");
            let text = format!("SELECT 1;\ndelimiter {mark}\n{body}\nDELIMITER ;\nSELECT 2;\n");
            let error = statements(Flavor::MySql, &text).unwrap_err();
            assert_eq!(error.line, 2, "{error}");
            assert!(error.to_string().contains("DELIMITER is a command of the mysql client"), "{error}");
        }
        let column = "CREATE TABLE t (\n delimiter CHAR(1),\n DELIMITER int)";
        assert_eq!(statements(Flavor::MySql, column).unwrap(), [(1, column)]);
    }

    #[test]
    fn what_stands_beside_a_statement_is_told() {
        for (flavor, sql, image_query, lock_keys) in [
            (
                Flavor::Postgres,
                "UPDATE s.acc AS a SET n = $1 FROM b WHERE b.id = a.id",
                Some(r#"SELECT <key>, "a"."n" FROM s.acc AS a, b WHERE b.id = a.id FOR UPDATE OF "a""#),
                Some("s.acc:<key>"),
            ),
            (Flavor::Postgres, "DELETE FROM Public.Acc WHERE id = $1", None, Some("acc:<key>")),
            (
                Flavor::MySql,
                "DELETE FROM s.acc WHERE id = ?",
                Some("SELECT `acc`.* FROM `s`.`acc` WHERE id = ? FOR UPDATE"),
                Some("acc:<key>"),
            ),
            (Flavor::Sqlite, "INSERT INTO acc DEFAULT VALUES", None, Some("acc:<key>")),
            (
                Flavor::MySql,
                "SELECT * FROM acc WHERE id = ? FOR UPDATE",
                Some("SELECT <key> FROM `acc` WHERE id = ? FOR UPDATE"),
                Some("acc:<key>"),
            ),
            (Flavor::MySql, "SELECT 1", None, None),
        ] {
            let checked = check(flavor, sql).unwrap();
            assert_eq!(
                (checked.image_query.as_deref(), checked.lock_keys.as_deref()),
                (image_query, lock_keys)
            );
        }
    }

    /// Counted on the databases by `tests/databases/round_trips.rs`.
    #[test]
    fn the_statements_beside_one_are_told() {
        let upsert = "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE n = 1";
        for (flavor, sql, told) in [
            (Flavor::Postgres, "UPDATE t SET n = 1", 2..=2),
            (Flavor::Postgres, "DELETE FROM t", 1..=1),
            (Flavor::Postgres, "SELECT id FROM t FOR UPDATE", 6..=6),
            (Flavor::Postgres, "INSERT INTO t VALUES (1) RETURNING id", 1..=1),
            (Flavor::Postgres, "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 1", 3..=8),
            (Flavor::MySql, "UPDATE t SET n = 1", 1..=2),
            (Flavor::MySql, "DELETE FROM t", 2..=3),
            (Flavor::MySql, "SELECT id FROM t FOR UPDATE", 4..=4),
            (Flavor::MySql, "INSERT INTO t VALUES (1)", 0..=2),
            (Flavor::MySql, "INSERT INTO t VALUES (1) RETURNING id", 0..=0),
            (Flavor::MySql, upsert, 3..=13),
            (Flavor::MySql, &format!("{upsert} RETURNING id"), 3..=10),
            (Flavor::Sqlite, "UPDATE t SET n = 1", 4..=5),
            (Flavor::Sqlite, "DELETE FROM t", 4..=5),
            (Flavor::Sqlite, "INSERT INTO t VALUES (1)", 3..=4),
            (Flavor::Sqlite, "INSERT INTO t VALUES (1) RETURNING id", 7..=8),
            (Flavor::Sqlite, "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 1", 7..=9),
        ] {
            assert_eq!(check(flavor, sql).unwrap().extra_round_trips, told, "{sql}");
        }
    }
}
