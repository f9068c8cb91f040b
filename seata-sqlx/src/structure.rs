//! What is known of a table, and whether a change of it can be undone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::sql::{Kind, Refusal, Write};

/// A table as it stands in the open transaction.
#[derive(Debug)]
pub struct Structure {
    pub(crate) table: Arc<Table>,
    /// The connection enforces foreign keys.
    pub(crate) foreign_keys: bool,
}

/// A table's structure.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its one canonical name.
    pub(crate) name: String,
    /// How our own statements name it, quoted and beyond the reach of other tables of that name.
    pub(crate) reference: String,
    pub(crate) columns: Vec<Column>,
    /// The columns of the primary key, in the key's order.
    pub(crate) key: Vec<String>,
    /// By which collation each of them is unique, as the database calls it.
    pub(crate) key_collations: Vec<String>,
    pub(crate) triggers: Vec<Trigger>,
    /// Foreign keys of other tables on this one, if they make the database change rows.
    pub(crate) references: Vec<Reference>,
    /// An ON CONFLICT action in its definition that may change or end more than the statement.
    pub(crate) declared_conflict: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Computed by the database; never written.
    pub(crate) is_generated: bool,
}

#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) name: String,
    /// Of INSERT, UPDATE, DELETE.
    pub(crate) events: Vec<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) child: String,
    /// (column of the child, column of this table)
    pub(crate) columns: Vec<(String, String)>,
    /// The action, if it changes rows.
    pub(crate) on_delete: Option<String>,
    /// The action, if it changes rows.
    pub(crate) on_update: Option<String>,
}

impl Table {
    /// Checks that this change can be undone exactly.
    pub(crate) fn admit(&self, write: &Write, foreign_keys: bool) -> Result<(), Refusal> {
        if let Some(action) = &self.declared_conflict
            && write.kind != Kind::Delete
        {
            return Err(Refusal::DeclaredConflict { table: self.name.clone(), action: action.clone() });
        }
        self.admit_columns(write)?;
        // Undoing fires as well: an INSERT is undone by a DELETE.
        let events: &[&str] = match write.kind {
            Kind::Insert | Kind::Delete => &["INSERT", "DELETE"],
            Kind::Update { .. } => &["UPDATE"],
            Kind::Upsert { .. } => &["INSERT", "UPDATE", "DELETE"],
        };
        for trigger in &self.triggers {
            if trigger.events.iter().any(|event| events.contains(event)) {
                let (table, trigger) = (self.name.clone(), trigger.name.clone());
                return Err(Refusal::Trigger { table, trigger });
            }
        }
        if foreign_keys { self.admit_references(write) } else { Ok(()) }
    }

    fn admit_columns(&self, write: &Write) -> Result<(), Refusal> {
        let (Kind::Update { columns } | Kind::Upsert { columns }) = &write.kind else { return Ok(()) };
        for column in columns {
            let refused = |table: String, column: String| Refusal::KeyChange { table, column };
            if !self.columns.iter().any(|known| known.name.eq_ignore_ascii_case(column)) {
                let is_rowid =
                    ["rowid", "oid", "_rowid_"].into_iter().any(|name| name.eq_ignore_ascii_case(column));
                let (table, column) = (self.name.clone(), column.clone());
                return Err(if is_rowid {
                    refused(table, column)
                } else {
                    Refusal::UnknownColumn { table, column }
                });
            }
            if self.is_key(column) {
                return Err(refused(self.name.clone(), column.clone()));
            }
        }
        Ok(())
    }

    fn admit_references(&self, write: &Write) -> Result<(), Refusal> {
        for reference in &self.references {
            let action = match &write.kind {
                Kind::Delete => reference.on_delete.as_ref().map(|action| format!("ON DELETE {action}")),
                Kind::Update { columns } | Kind::Upsert { columns }
                    if reference.columns.iter().any(|(_, own)| contains(columns, own)) =>
                {
                    reference.on_update.as_ref().map(|action| format!("ON UPDATE {action}"))
                }
                _ => None,
            };
            if let Some(action) = action {
                let (table, child) = (self.name.clone(), reference.child.clone());
                return Err(Refusal::ReferentialAction { table, child, action });
            }
        }
        Ok(())
    }

    pub(crate) fn is_key(&self, column: &str) -> bool {
        contains(&self.key, column)
    }

    /// The columns that images of this change hold: for an UPDATE the key and what is set, else all.
    pub(crate) fn image_columns(&self, kind: &Kind) -> Vec<&str> {
        let needed = |column: &&Column| match kind {
            Kind::Update { columns } => self.is_key(&column.name) || contains(columns, &column.name),
            _ => true,
        };
        let stored = self.columns.iter().filter(|column| !column.is_generated);
        stored.filter(needed).map(|column| column.name.as_str()).collect()
    }
}

fn contains(columns: &[String], column: &str) -> bool {
    columns.iter().any(|known| known.eq_ignore_ascii_case(column))
}

/// Structures of one version of the database's schema.
#[derive(Default)]
pub struct StructureCache(Mutex<Versioned>);

#[derive(Default)]
struct Versioned {
    version: i64,
    tables: HashMap<String, Arc<Table>>,
}

impl StructureCache {
    /// The structure of this table, if it was loaded at this version of the schema.
    pub(crate) fn find(&self, version: i64, table: &str) -> Option<Arc<Table>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.version != version {
            return None;
        }
        cached.tables.get(&table.to_ascii_lowercase()).cloned()
    }

    /// Keeps a structure. The first of a new version drops all others.
    pub(crate) fn insert(&self, version: i64, table: Arc<Table>) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.version != version {
            *cached = Versioned { version, tables: HashMap::new() };
        }
        cached.tables.insert(table.name.to_ascii_lowercase(), table);
    }
}
