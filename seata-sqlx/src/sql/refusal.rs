//! Why AT mode refuses a statement, each with what to do instead.

/// What makes a statement one that cannot be undone exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The statement could not be understood.
    #[error(
        "the statement could not be understood ({0}), so nothing is known of the rows it changes; write it more plainly"
    )]
    NotUnderstood(String),
    /// What the statement says hangs on something that cannot be seen from here.
    #[error("{0} hangs on a setting of the session; write it so that it does not, or bind the value")]
    Ambiguous(&'static str),
    /// Several statements stand in one call.
    #[error("several statements in one call are not undone; run them one by one")]
    SeveralStatements,
    /// The statement changes the structure of the database, or moves it.
    #[error("{0} changes more than rows and cannot be undone; run it outside the global transaction")]
    Definition(String),
    /// The statement begins or ends a transaction.
    #[error("{0} bypasses the data source's own transactions; use `begin()`, `commit()` and `rollback()`")]
    TransactionControl(String),
    /// The statement changes how the connection works.
    #[error("PRAGMA {0} changes the connection or the file; set it in the connect options")]
    Pragma(String),
    /// The statement changes a setting that images, names or the end of the transaction hang on.
    #[error(
        "SET {0} may change what statements mean, or when the transaction ends; set it in the connect options"
    )]
    Setting(String),
    /// A part of WITH changes rows.
    #[error(
        "a change inside WITH is not undone; run it as a statement of its own, with RETURNING where it is needed"
    )]
    With,
    /// The statement runs others that nobody sees.
    #[error("{0} runs statements that are not seen and cannot be undone; run them one by one")]
    Hidden(String),
    /// The statement writes or reads rows past images.
    #[error("{0} goes past images and cannot be undone; use INSERT or SELECT")]
    Bulk(String),
    /// MERGE.
    #[error("MERGE is not undone; use INSERT … ON CONFLICT DO UPDATE, or UPDATE and INSERT")]
    Merge,
    /// A SELECT that creates a table or writes a file.
    #[error(
        "SELECT … {0} creates a table or writes a file, which is not undone; use INSERT … SELECT into a table"
    )]
    Into(String),
    /// The statement sets columns of joined tables without saying whose.
    #[error(
        "which of the joined tables is changed cannot be told; qualify each column that is set with its table"
    )]
    UnqualifiedColumn,
    /// The changed table is not one of those named, or not one alone.
    #[error("{0} is not the name of one table of the statement alone; give each table an alias of its own")]
    Target(String),
    /// The statement changes rows joined from other tables.
    #[error("{0} is not undone; use a sub-query in WHERE or SET")]
    Join(&'static str),
    /// The statement may remove rows that it does not name.
    #[error(
        "OR REPLACE and REPLACE may delete rows that no image holds; use ON CONFLICT … DO UPDATE or ON DUPLICATE KEY UPDATE"
    )]
    Replace,
    /// A failure inside the statement would leave a half-changed or ended transaction.
    #[error("OR {0} leaves changes behind, or ends the transaction, when it fails; leave it out")]
    OnFailure(&'static str),
    /// The table's own definition does what the two above do.
    #[error(
        "table {table} is declared with ON CONFLICT {action}, which changes rows that no image holds; declare it without"
    )]
    DeclaredConflict {
        /// The table.
        table: String,
        /// The action in its definition.
        action: String,
    },
    /// The database does not tell which rows of a partitioned table an upsert has changed.
    #[error(
        "ON CONFLICT DO UPDATE on the partitioned table {0} is not undone: PostgreSQL does not tell which rows it has \
         changed; lock the row with SELECT … FOR UPDATE, then INSERT or UPDATE it"
    )]
    PartitionedUpsert(String),
    /// The condition cannot be copied into the image query word for word.
    #[error("{0} could not be copied into the image query word for word; write it more plainly")]
    NotReproducible(&'static str),
    /// A parameter has a name that sqlx does not bind.
    #[error("the parameter {0} is not one that sqlx binds; use ? (SQLite, MySQL) or $1 (PostgreSQL)")]
    NamedParameter(String),
    /// There is no such table where the connection looks for it.
    #[error("there is no table {0} where this connection looks for it; name its schema, or create it")]
    UnknownTable(String),
    /// The name means a table that phase two would not see.
    #[error(
        "{0} is a temporary or attached table, which phase two's own connection does not see; use an ordinary one"
    )]
    NotInMain(String),
    /// The name means something whose rows cannot be written back.
    #[error("{name} is a {kind}; only ordinary tables are undone")]
    NotATable {
        /// The name.
        name: String,
        /// What it is.
        kind: String,
    },
    /// Rows of the table cannot be told apart for ever.
    #[error(
        "table {0} has no declared primary key, and a row of it could not be told from others for ever (a hidden \
         rowid may go to another row); declare one"
    )]
    NoPrimaryKey(String),
    /// Nobody but the connection knows which of the table's keys are equal.
    #[error(
        "the primary key of table {table} is ordered by the collation {collation}, and which keys it takes for one \
         cannot be told; declare it with another one (in SQLite BINARY, NOCASE or RTRIM)"
    )]
    KeyCollation {
        /// The table.
        table: String,
        /// The collation.
        collation: String,
    },
    /// The statement may mean other rows when it runs than when its image was taken, unseen.
    #[error(
        "{0} need not give the same value when the rows are looked at and when they are changed; ask for its value \
         first, and bind it"
    )]
    Volatile(String),
    /// The statement asks how many rows the last one touched, which may have been an image of ours.
    #[error(
        "ROW_COUNT() tells of the statement that ran last, which may be one that looked at the changed rows; take the number \
         from the driver's answer to the change, `rows_affected()`"
    )]
    RowCount,
    /// The statement would set a key.
    #[error(
        "the statement sets {column}, part of the primary key of {table}; delete the row and insert it anew"
    )]
    KeyChange {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The statement would set a column that takes the database's next value alone.
    #[error(
        "the statement sets {column} of {table}, which is GENERATED ALWAYS AS IDENTITY and could not be set back; leave \
         it, or declare it GENERATED BY DEFAULT"
    )]
    IdentityChange {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The statement names a column that the table has not.
    #[error("table {table} has no column {column}")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The statement, or undoing it, would fire a trigger.
    #[error(
        "the trigger {trigger} on {table} changes rows that no image holds; do its work in the application"
    )]
    Trigger {
        /// The table.
        table: String,
        /// The trigger.
        trigger: String,
    },
    /// The statement would make the database change rows of another table.
    #[error(
        "the foreign key of {child} on {table} says {action}, which changes rows that no image holds; change them first, with a statement of their own"
    )]
    ReferentialAction {
        /// The table that is changed.
        table: String,
        /// The table that refers to it.
        child: String,
        /// As in the table's definition: `ON DELETE CASCADE`.
        action: String,
    },
    /// A locking or global-committed read over something else than one table.
    #[error("a read that looks at row locks takes a SELECT from one table; {0}")]
    NotLockable(&'static str),
    /// The server does not tell which rows such a statement touched.
    #[error("this server does not give back the rows that an INSERT adds, as MariaDB does since 10.5")]
    NoReturning,
    /// The undo table itself.
    #[error("{0} is the undo table of this data source and belongs to it")]
    UndoTable(String),
}
