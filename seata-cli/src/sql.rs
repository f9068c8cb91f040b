//! `seata sql check`: what AT mode makes of the statements in a file.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use seata_sqlx::{Checked, Flavor, Refusal, check, statements};
use serde_json::{Value, json};

use crate::{
    Outcome,
    terminal::{harmless, print, print_json},
};

/// Says what AT mode makes of SQL statements
#[derive(Args)]
pub(crate) struct Sql {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Says of each statement in a file whether a global transaction can undo it, and what that takes
    ///
    /// No database is asked, so nothing is said of the tables: one without a primary key, or with a trigger that a
    /// statement would fire, is refused when the statement runs. Ends with code 1 when a statement is refused.
    Check {
        /// The file, whose statements end with semicolons; - is standard input
        file: PathBuf,
        /// Whose SQL it is
        #[arg(long, value_enum)]
        dialect: Dialect,
        /// Print JSON instead of a list
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Dialect {
    /// MySQL or MariaDB
    #[value(alias = "mariadb")]
    Mysql,
    /// PostgreSQL
    #[value(aliases = ["postgresql", "pg"])]
    Postgres,
    /// SQLite
    #[value(alias = "sqlite3")]
    Sqlite,
}

impl Dialect {
    pub(crate) fn flavor(self) -> Flavor {
        match self {
            Self::Mysql => Flavor::MySql,
            Self::Postgres => Flavor::Postgres,
            Self::Sqlite => Flavor::Sqlite,
        }
    }
}

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    /// The file cannot be read, or is no text.
    #[error("cannot read {file}: {source}")]
    Read { file: String, source: io::Error },
    /// Its statements cannot be told apart.
    #[error("{file}:{line}: the file does not fall into statements: {source}")]
    Statements { file: String, line: u64, source: Refusal },
}

struct Line<'t> {
    number: u64,
    statement: &'t str,
    checked: Result<Checked, Refusal>,
}

impl Sql {
    pub(crate) fn run(self) -> Result<Outcome, SqlError> {
        let Action::Check { file, dialect, json } = self.action;
        let name = file.display().to_string();
        let text = read(&file).map_err(|source| SqlError::Read { file: name.clone(), source })?;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let flavor = dialect.flavor();
        let found = statements(flavor, text).map_err(|error| SqlError::Statements {
            file: name.clone(),
            line: error.line,
            source: error.reason,
        })?;
        let lines: Vec<Line<'_>> = found
            .into_iter()
            .map(|(number, statement)| Line { number, statement, checked: check(flavor, statement) })
            .collect();
        match json {
            true => print_json(&lines.iter().map(value).collect(), true),
            false => print(&list(&name, &lines)),
        }
        let is_refused = lines.iter().any(|line| line.checked.is_err());
        Ok(if is_refused { Outcome::NotWell } else { Outcome::Well })
    }
}

fn read(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn list(file: &str, lines: &[Line<'_>]) -> String {
    let mut text = String::new();
    for Line { number, statement, checked } in lines {
        let outcome = match checked {
            Ok(checked) => checked.outcome.to_string(),
            Err(_) => "refused".to_owned(),
        };
        text.push_str(&format!("{}:{number}: {outcome}: {}\n", harmless(file), on_one_line(statement)));
        match checked {
            Err(refusal) => text.push_str(&format!("    {}\n", harmless(&refusal.to_string()))),
            Ok(checked) => text.push_str(&details(checked)),
        }
    }
    let refused = lines.iter().filter(|line| line.checked.is_err()).count();
    text + &format!("statements: {}, refused: {refused}\n", lines.len())
}

fn details(checked: &Checked) -> String {
    let mut text = String::new();
    if let Some(query) = &checked.image_query {
        text.push_str(&format!("    image query: {}\n", on_one_line(query)));
    }
    if let Some(keys) = &checked.lock_keys {
        text.push_str(&format!("    row locks: {}\n", harmless(keys)));
        text.push_str(&format!("    extra round trips: {}\n", round_trips(checked)));
    }
    text
}

fn round_trips(checked: &Checked) -> String {
    let (least, most) = (checked.extra_round_trips.start(), checked.extra_round_trips.end());
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

fn on_one_line(sql: &str) -> String {
    let lines: Vec<&str> = sql.lines().map(str::trim).collect();
    harmless(&lines.join(" ")).into_owned()
}

fn value(line: &Line<'_>) -> Value {
    let Line { number, statement, checked } = line;
    match checked {
        Err(refusal) => json!({
            "line": number,
            "statement": statement,
            "outcome": "refused",
            "reason": refusal.to_string(),
        }),
        Ok(checked) => json!({
            "line": number,
            "statement": statement,
            "outcome": checked.outcome.to_string(),
            "table": checked.table,
            "image_query": checked.image_query,
            "lock_keys": checked.lock_keys,
            "extra_round_trips": {
                "least": checked.extra_round_trips.start(),
                "most": checked.extra_round_trips.end(),
            },
        }),
    }
}
