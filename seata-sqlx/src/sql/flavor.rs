//! Whose SQL a statement is.

use std::fmt;

use sqlparser::{
    ast::Ident,
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
};

/// The SQL of one kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flavor {
    /// SQLite.
    Sqlite,
    /// MySQL, MariaDB, and what speaks as they do.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// As the command line names it.
impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sqlite => "sqlite",
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
        })
    }
}

impl Flavor {
    /// The grammar that its statements are parsed with.
    pub(super) fn grammar(self) -> &'static dyn Dialect {
        match self {
            Self::Sqlite => &SQLiteDialect {},
            Self::MySql => &MySqlDialect {},
            Self::Postgres => &PostgreSqlDialect {},
        }
    }

    /// An identifier in quotes.
    pub(crate) fn quote(self, name: &str) -> String {
        match self {
            Self::MySql => format!("`{}`", name.replace('`', "``")),
            Self::Sqlite | Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// The name that an identifier stands for: PostgreSQL folds what has no quotes.
    pub(super) fn name(self, identifier: &Ident) -> String {
        match (self, identifier.quote_style) {
            (Self::Postgres, None) => identifier.value.to_ascii_lowercase(),
            _ => identifier.value.clone(),
        }
    }
}
