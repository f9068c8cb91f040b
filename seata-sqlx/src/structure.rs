//! What is known of a table, and whether a change of it can be undone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::Error;

use crate::{
    dialect::{ColumnOf, Dialect},
    sql::{Kind, Refusal, Write},
};

/// A table's name, as a statement or an undo log gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

/// A table as it stands in the open transaction.
#[derive(Debug)]
pub struct Structure<DB: Dialect> {
    pub(crate) table: Arc<Table<DB>>,
    /// The connection enforces foreign keys.
    pub(crate) foreign_keys: bool,
}

/// A table's structure.
#[derive(Debug)]
pub struct Table<DB: Dialect> {
    /// Its one canonical name, as row locks and images have it.
    pub(crate) name: String,
    /// How statements of our own, and undo logs, name it: quoted, and beyond the reach of other tables of that name.
    pub(crate) reference: String,
    pub(crate) columns: Vec<ColumnOf<DB>>,
    /// The columns of the primary key, in the order in which row locks have them.
    pub(crate) key: Vec<String>,
    /// By which collation each of them is unique, as the database calls it.
    pub(crate) key_collations: Vec<String>,
    pub(crate) triggers: Vec<Trigger>,
    /// Foreign keys of other tables on this one, if they make the database change rows.
    pub(crate) references: Vec<Reference>,
    /// An ON CONFLICT action in its definition that may change or end more than the statement.
    pub(crate) declared_conflict: Option<String>,
    /// Where a statement gives back the rows that it touched, it can tell which of them an upsert has changed.
    pub(crate) tells_updates: bool,
}

/// A column, whose type is told as its database needs it.
#[derive(Debug)]
pub struct Column<T> {
    pub(crate) name: String,
    /// Computed by the database; never written.
    pub(crate) is_generated: bool,
    /// The database sets it anew in each UPDATE.
    pub(crate) is_updated_by_database: bool,
    /// `GENERATED ALWAYS AS IDENTITY`: an UPDATE can give it the next value, but none of its own.
    pub(crate) is_always_identity: bool,
    pub(crate) column_type: T,
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
    /// How statements of our own name it.
    pub(crate) child_reference: String,
    /// (column of the child, column of this table)
    pub(crate) columns: Vec<(String, String)>,
    /// The action, if it changes rows.
    pub(crate) on_delete: Option<String>,
    /// The action, if it changes rows.
    pub(crate) on_update: Option<String>,
}

impl<DB: Dialect> Table<DB> {
    /// Checks that this change can be undone exactly.
    pub(crate) fn admit(&self, write: &Write, foreign_keys: bool) -> Result<(), Refusal> {
        if let Some(action) = &self.declared_conflict
            && write.kind != Kind::Delete
        {
            return Err(Refusal::DeclaredConflict { table: self.name.clone(), action: action.clone() });
        }
        if !self.tells_updates && matches!(write.kind, Kind::Upsert { .. }) {
            return Err(Refusal::PartitionedUpsert(self.name.clone()));
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
            if self
                .columns
                .iter()
                .any(|known| known.is_always_identity && known.name.eq_ignore_ascii_case(column))
            {
                let (table, column) = (self.name.clone(), column.clone());
                return Err(Refusal::IdentityChange { table, column });
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

    /// The column of this name, whose case is as free as SQL's.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnOf<DB>> {
        let exactly = self.columns.iter().find(|column| column.name == name);
        exactly.or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }

    /// The columns of the primary key.
    pub(crate) fn key_columns(&self) -> Vec<&ColumnOf<DB>> {
        self.key.iter().filter_map(|name| self.column(name)).collect()
    }

    /// The columns that images of this change hold: for an UPDATE the key and what is set, else all.
    pub(crate) fn image_columns(&self, kind: &Kind) -> Vec<&ColumnOf<DB>> {
        let needed = |column: &&ColumnOf<DB>| match kind {
            Kind::Update { columns } => {
                column.is_updated_by_database || self.is_key(&column.name) || contains(columns, &column.name)
            }
            _ => true,
        };
        self.columns.iter().filter(|column| !column.is_generated).filter(needed).collect()
    }
}

fn contains(columns: &[String], column: &str) -> bool {
    columns.iter().any(|known| known.eq_ignore_ascii_case(column))
}

/// Structures that were loaded before, by the name under which their dialect keeps them.
pub struct StructureCache<DB: Dialect>(Mutex<HashMap<String, Arc<Place<DB>>>>);

/// Where one table's structure is kept.
struct Place<DB: Dialect> {
    known: Mutex<Option<Known<DB>>>,
    /// Whoever loads it. The others wait, instead of asking the same.
    loading: tokio::sync::Mutex<()>,
}

/// A structure, and how it can be told from a later one.
pub(crate) struct Known<DB: Dialect> {
    pub(crate) table: Arc<Table<DB>>,
    pub(crate) version: i64,
    loaded: Instant,
}

impl<DB: Dialect> Known<DB> {
    /// How long ago it was loaded.
    pub(crate) fn age(&self) -> Duration {
        self.loaded.elapsed()
    }
}

impl<DB: Dialect> StructureCache<DB> {
    /// The structure kept under this name if it is still the right one, or the one that `load` gives, which is then
    /// kept as of `version`.
    pub(crate) async fn find_or_load(
        &self,
        name: &str,
        is_right: impl Fn(&Known<DB>) -> bool,
        version: i64,
        load: impl Future<Output = Result<Result<Table<DB>, Refusal>, Error>>,
    ) -> Result<Result<Arc<Table<DB>>, Refusal>, Error> {
        let place = self.place(name);
        if let Some(table) = place.find(&is_right) {
            return Ok(Ok(table));
        }
        let _loading = place.loading.lock().await;
        if let Some(table) = place.find(&is_right) {
            return Ok(Ok(table));
        }
        let table = match load.await? {
            Ok(table) => Arc::new(table),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let known = Known { table: table.clone(), version, loaded: Instant::now() };
        *place.known() = Some(known);
        Ok(Ok(table))
    }

    /// Drops this structure: it has turned out to be wrong.
    pub(crate) fn forget(&self, table: &Table<DB>) {
        let places: Vec<Arc<Place<DB>>> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for place in places {
            place.known().take_if(|known| std::ptr::eq(&*known.table, table));
        }
    }

    /// Whether a structure is kept under this name, be it the right one or not.
    #[cfg(feature = "postgres")]
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.place(name).known().is_some()
    }

    /// Drops those that were loaded before this moment, and says whether there were any.
    pub(crate) fn forget_before(&self, moment: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.len();
        places.retain(|_, place| place.known().as_ref().is_none_or(|known| known.loaded >= moment));
        places.len() < count
    }

    fn place(&self, name: &str) -> Arc<Place<DB>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(name) {
            return place.clone();
        }
        let place = Arc::new(Place { known: Mutex::new(None), loading: tokio::sync::Mutex::default() });
        places.insert(name.to_owned(), place.clone());
        place
    }
}

impl<DB: Dialect> Place<DB> {
    fn find(&self, is_right: impl Fn(&Known<DB>) -> bool) -> Option<Arc<Table<DB>>> {
        self.known().as_ref().filter(|known| is_right(known)).map(|known| known.table.clone())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known<DB>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: Dialect> Default for StructureCache<DB> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
