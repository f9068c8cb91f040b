//! What AT mode has to know of a statement.

use std::ops::Range;

use super::{Flavor, Refusal};
use crate::structure::TableName;

/// What a statement is.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) statement: Result<Statement, Refusal>,
    /// It says itself that it changes rows, undone or refused: what `outside` looks at. What CALL, LOAD DATA or EXPLAIN
    /// ANALYZE do is not asked, nor are changes of the structure.
    pub(crate) changes_rows: bool,
    /// How many positional parameters (`?` in MySQL) it has.
    pub(crate) positional: usize,
}

/// A statement that AT mode lets run.
#[derive(Debug)]
pub(crate) enum Statement {
    /// It changes no rows, and nothing that undoing hangs on.
    Read,
    /// It changes rows of one table.
    Write(Write),
    /// It reads rows of one table and locks them (`SELECT … FOR UPDATE`). [`Rows::lock`] holds its lock clause.
    Lock(Rows),
}

/// A statement that changes rows of one table.
#[derive(Debug)]
pub struct Write {
    pub(crate) kind: Kind,
    /// The rows it starts from; for an INSERT only the table.
    pub(crate) rows: Rows,
    /// What an INSERT or upsert says of its rows; `None` for the other kinds.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "the others give the rows back"))]
    pub(crate) inserted: Option<Inserted>,
    /// `IGNORE`, `OR IGNORE`, `ON CONFLICT DO NOTHING`: rows may be passed over.
    pub(crate) may_skip: bool,
    /// It might choose other rows when it runs than when its image is taken, and the database does not tell which
    /// rows it touched: it has to be [narrowed] to those of the image.
    ///
    /// [narrowed]: Narrowing::apply
    pub(crate) narrowing: Option<Narrowing>,
    /// The user reads rows back.
    pub(crate) has_returning: bool,
    /// Where in the text a RETURNING clause ends, or would stand; `None` where one cannot be put. Whether the
    /// database has the clause is another question.
    pub(crate) returning_at: Option<usize>,
    /// Where in the text the assignments of an upsert end.
    pub(crate) updates_end: Option<usize>,
    /// Where in the text the statement ends, before a semicolon and comments; `None` where it leaves something in the
    /// session that the next one would take away (`LAST_INSERT_ID(n)`).
    pub(crate) ends_at: Option<usize>,
}

/// How a statement is kept to rows that are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Narrowing {
    /// Where its condition stands, or empty where it would.
    pub(crate) condition: Range<usize>,
    /// That condition goes: it has chosen, and might choose anew.
    pub(crate) chooses_once: bool,
    /// Where a LIMIT with parameters stands, which goes: the rows are as many already.
    pub(crate) limit: Range<usize>,
    /// How many arguments were those of what goes.
    pub(crate) idle: usize,
}

impl Narrowing {
    /// The statement with this condition on top of its own. The arguments of `keys` follow the statement's.
    pub(crate) fn apply(&self, sql: &str, keys: &str) -> String {
        let (before, between, after) = (
            &sql[..self.condition.start],
            &sql[self.condition.end..self.limit.start],
            &sql[self.limit.end..],
        );
        let idle = match self.idle {
            0 => String::new(),
            count => format!("(COALESCE(NULL, {}) IS NULL OR TRUE) AND ", vec!["?"; count].join(", ")),
        };
        let condition = match &sql[self.condition.clone()] {
            "" => " WHERE ".to_owned(),
            _ if self.chooses_once => String::new(),
            condition => format!("({condition}) AND "),
        };
        format!("{before}{condition}{idle}({keys}) {between}{after}")
    }
}

/// The kinds of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Insert,
    /// INSERT … ON CONFLICT … DO UPDATE, ON DUPLICATE KEY UPDATE, with the columns it sets.
    Upsert {
        columns: Vec<String>,
    },
    /// With the columns it sets.
    Update {
        columns: Vec<String>,
    },
    Delete,
}

/// What an INSERT says of its rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// The columns it lists; empty where it lists none and means all.
    pub(crate) columns: Vec<String>,
    /// One for each row, each with as many values as columns are meant (none: DEFAULT VALUES); `None` where
    /// a query gives them.
    pub(crate) rows: Option<Vec<Vec<Given>>>,
}

/// What an INSERT gives a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// `DEFAULT`.
    Default,
    /// `NULL`.
    Null,
    /// The argument with this number, counted from 1.
    Parameter(usize),
    /// A number or a text, in the user's words.
    Literal(String),
    /// Anything else, in the user's words, and the numbers of the arguments in it, in order.
    Expression { text: String, parameters: Vec<usize> },
}

/// Rows of one table, as a statement selects them. All texts are the user's own words; names are the names
/// meant, without quotes and folded as the database folds them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// `WITH …` before the statement, or nothing.
    pub(crate) with: String,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) alias: Option<String>,
    /// `ONLY`: not those of tables that inherit from it.
    pub(crate) only: bool,
    /// What would stand behind FROM, the table included, where others are joined to it; a row may then be
    /// selected several times, and in an outer join not at all (its key is NULL).
    pub(crate) source: Option<String>,
    /// What stands behind WHERE.
    pub(crate) condition: Option<String>,
    /// ORDER BY and LIMIT.
    pub(crate) tail: String,
    /// The lock clause of a SELECT, or nothing: `FOR UPDATE SKIP LOCKED`.
    pub(crate) lock: String,
    /// Where in the text a lock clause could be put, of a SELECT that has none.
    pub(crate) lock_at: Option<usize>,
    /// How many arguments the whole statement needs.
    pub(crate) parameters: usize,
    /// Where an image query must consume arguments it has no use for.
    pub(crate) swallowed: Swallowed,
    /// The same rows, with sub-queries that lock what they read, where a change reads otherwise than a SELECT.
    pub(crate) sharing: Option<Box<Rows>>,
}

/// Numbers of positional arguments (MySQL) that stand where an image query has nothing in their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swallowed {
    pub(crate) before_source: usize,
    pub(crate) before_condition: usize,
    pub(crate) after_condition: usize,
}

impl Rows {
    /// All rows of a table.
    pub(crate) fn of(schema: Option<String>, table: String) -> Self {
        Self { schema, table, ..Self::default() }
    }

    /// Themselves as a change selects them, on a server that knows share locks.
    pub(crate) fn as_changed(&self, knows_share_locks: bool) -> &Self {
        self.sharing.as_deref().filter(|_| knows_share_locks).unwrap_or(self)
    }

    /// The name of the table.
    pub(crate) fn name(&self) -> TableName {
        TableName { schema: self.schema.clone(), name: self.table.clone() }
    }

    /// By what name the columns of the table are qualified in an image query, in quotes.
    pub(crate) fn qualifier(&self, flavor: Flavor) -> String {
        flavor.quote(self.alias.as_deref().unwrap_or(&self.table))
    }
}
