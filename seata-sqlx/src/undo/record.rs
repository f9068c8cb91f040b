//! The document model: statements, tables, rows and fields.

use super::Value;

/// Everything one branch changed, in the order in which it was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchUndoLog {
    /// The global transaction, as text: a log by a peer may hold anything.
    pub xid: String,
    /// The branch.
    pub branch_id: i64,
    /// One entry for each statement and table.
    pub sql_undo_logs: Vec<SqlUndoLog>,
}

/// What one statement changed in one table.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlUndoLog {
    /// What kind of statement it was.
    pub sql_type: SqlType,
    /// The table as the statement named it.
    pub table_name: String,
    /// The rows before; absent where a peer wrote `null`.
    pub before_image: Option<TableRecords>,
    /// The rows after; absent where a peer wrote `null`.
    pub after_image: Option<TableRecords>,
}

/// The kinds of statement that are undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlType {
    /// Rows were added.
    Insert,
    /// Rows were changed.
    Update,
    /// Rows were removed.
    Delete,
    /// Java's name for an update over a join; undone like [`Update`](Self::Update).
    UpdateJoin,
    /// A kind that this version does not undo, kept as it stands.
    Other(String),
}

impl SqlType {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::UpdateJoin => "UPDATE_JOIN",
            Self::Other(name) => name,
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "INSERT" => Self::Insert,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "UPDATE_JOIN" => Self::UpdateJoin,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Rows of one table at one moment: an image.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRecords {
    /// The table's real name.
    pub table_name: String,
    /// The rows.
    pub rows: Vec<Row>,
}

impl TableRecords {
    /// The image of a table without rows.
    pub fn empty(table_name: impl Into<String>) -> Self {
        Self { table_name: table_name.into(), rows: Vec::new() }
    }
}

/// One row of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its columns, those of the primary key among them.
    pub fields: Vec<Field>,
}

impl Row {
    /// The value of this column, whose name is matched without case as Java does.
    pub fn value(&self, column: &str) -> Option<&Value> {
        self.field(column).map(|field| &field.value)
    }

    /// This column, whose name is matched without case.
    pub fn field(&self, column: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(column))
    }

    /// The fields of the primary key.
    pub fn key(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.is_key)
    }
}

/// One column of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The column.
    pub name: String,
    /// Whether it is part of the primary key.
    pub is_key: bool,
    /// The JDBC type number.
    pub jdbc_type: i32,
    /// The value, in the class that Java's driver gives for the column.
    pub value: Value,
    /// The database's own text, only where `value` cannot say it all. Java's resource managers pass over it.
    pub exact: Option<String>,
}
