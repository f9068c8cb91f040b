//! What one statement of an undo log did to each row.

use crate::{
    dialect::Dialect,
    image::ByKey,
    phase_two::undo::UndoError,
    sql::table_name,
    structure::{Structure, StructureCache, Table, TableName},
    undo::{Row, SqlType, SqlUndoLog, TableRecords},
};

/// What one statement did to one row.
pub(crate) struct RowChange<'r> {
    pub(crate) before: Option<&'r Row>,
    pub(crate) after: Option<&'r Row>,
}

impl<'r> RowChange<'r> {
    /// An image of it, for its key.
    pub(crate) fn keyed(&self) -> &'r Row {
        self.before.or(self.after).expect("it comes from one of the two images")
    }

    /// Whether the row could be added as it was: an image of an UPDATE holds some columns only.
    pub(crate) fn is_whole<DB: Dialect>(&self, table: &Table<DB>) -> bool {
        let written = table.columns.iter().filter(|column| !column.is_generated);
        self.before.is_none_or(|row| written.into_iter().all(|column| row.value(&column.name).is_some()))
    }
}

/// The table of a statement that did this, once its images are found to fit it; `None` if it changed no row.
pub(crate) async fn structure<DB: Dialect>(
    connection: &mut DB::Connection,
    structures: &StructureCache<DB>,
    statement: &SqlUndoLog,
    changes: &[RowChange<'_>],
) -> Result<Option<Structure<DB>>, UndoError> {
    if let SqlType::Other(kind) = &statement.sql_type {
        return Err(UndoError::Kind(kind.clone()));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let mut images = [&statement.before_image, &statement.after_image].into_iter().flatten();
    let Some(image) = images.find(|image| !image.rows.is_empty()) else { return Ok(None) };
    let structure = DB::structure(connection, structures, &named::<DB>(statement, image)).await??;
    check_images(&structure.table, statement)?;
    Ok(Some(structure))
}

/// The statement's own words name the table; where they name no schema, Java's name of the image may.
fn named<DB: Dialect>(statement: &SqlUndoLog, image: &TableRecords) -> TableName {
    let found = table_name(DB::FLAVOR, &statement.table_name);
    let mut name = found.unwrap_or_else(|| TableName { schema: None, name: image.table_name.clone() });
    if name.schema.is_none() {
        let before = image.table_name.strip_suffix(name.name.as_str());
        let schema = before.and_then(|before| before.strip_suffix('.'));
        name.schema = schema.or(DB::DEFAULT_SCHEMA).map(str::to_owned);
    }
    name
}

/// The rows of both images by their keys, in the order of the images; those that the statement left as they were
/// need nothing.
pub(crate) fn changes<DB: Dialect>(statement: &SqlUndoLog) -> Vec<RowChange<'_>> {
    let (before, after) = (rows(&statement.before_image), rows(&statement.after_image));
    let (old, new) = (ByKey::new(before), ByKey::new(after));
    let known = before.iter().map(|row| RowChange { before: Some(row), after: new.find(row) });
    let added = after.iter().filter(|row| old.find(row).is_none());
    let added = added.map(|row| RowChange { before: None, after: Some(row) });
    known.chain(added).filter(|change| !same::<DB>(change.before, change.after)).collect()
}

/// Whether the row is as the image has it. Only the columns of the image are looked at.
pub(crate) fn same<DB: Dialect>(image: Option<&Row>, row: Option<&Row>) -> bool {
    match (image, row) {
        (None, None) => true,
        (Some(image), Some(row)) => image.fields.iter().all(|field| {
            let other = row.fields.iter().find(|other| other.name.eq_ignore_ascii_case(&field.name));
            other.is_some_and(|other| {
                let same_type = !DB::VALUES_HAVE_TYPES || field.jdbc_type == other.jdbc_type;
                same_type && field.same_value(other)
            })
        }),
        _ => false,
    }
}

/// Checks that the images fit the table as it is now: the document may be a peer's, and the table altered. (SQLite
/// would take the quoted name of a missing column for a text.)
fn check_images<DB: Dialect>(table: &Table<DB>, statement: &SqlUndoLog) -> Result<(), UndoError> {
    for row in rows(&statement.before_image).iter().chain(rows(&statement.after_image)) {
        let unknown = |name: &str| !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        if let Some(field) = row.fields.iter().find(|field| unknown(&field.name)) {
            return Err(UndoError::Image(format!(
                "table {} has no column {} any more",
                table.name, field.name
            )));
        }
        let of_key = row.key().filter(|field| table.is_key(&field.name)).count();
        if of_key != table.key.len() || of_key != row.key().count() {
            let found: Vec<&str> = row.key().map(|field| field.name.as_str()).collect();
            return Err(UndoError::Image(format!(
                "the primary key of table {} is ({}), and that of its image ({})",
                table.name,
                table.key.join(", "),
                found.join(", ")
            )));
        }
    }
    Ok(())
}

/// A peer may write `null` for no rows.
fn rows(image: &Option<TableRecords>) -> &[Row] {
    image.as_ref().map_or(&[], |image| &image.rows)
}
