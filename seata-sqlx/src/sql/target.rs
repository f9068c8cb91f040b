//! The one table whose rows a statement changes or locks, among those it names.

use sqlparser::{
    ast::{Assignment, AssignmentTarget, Ident, ObjectName, TableFactor, TableWithJoins},
    parser::Parser,
    tokenizer::Token,
};

use super::{Flavor, Refusal};
use crate::structure::TableName;

/// A table as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) schema: Option<String>,
    pub(super) table: String,
    pub(super) alias: Option<String>,
}

impl Target {
    pub(super) fn named(flavor: Flavor, name: &ObjectName) -> Result<Self, Refusal> {
        let mut parts = parts(flavor, name)?;
        let (schema, table) = match (parts.pop(), parts.pop(), parts.is_empty()) {
            (Some(table), schema, true) => (schema, table),
            _ => return Err(Refusal::NotUnderstood(format!("{name} names no table"))),
        };
        Ok(Self { schema, table, alias: None })
    }

    /// A table that stands alone.
    pub(super) fn single(flavor: Flavor, table: &TableWithJoins) -> Result<Self, Refusal> {
        Self::of(flavor, &table.relation)
    }

    fn of(flavor: Flavor, factor: &TableFactor) -> Result<Self, Refusal> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return Err(Refusal::NotUnderstood("it changes something that is not a table".to_owned()));
        };
        let mut target = Self::named(flavor, name)?;
        target.alias = alias.as_ref().map(|alias| flavor.name(&alias.name));
        Ok(target)
    }

    /// Whether a column `name.column` of the statement is one of this table's.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.alias.as_deref().unwrap_or(&self.table) == name
    }

    /// The one of these tables that is called so.
    pub(super) fn among(tables: &[Option<Self>], name: &str) -> Result<Self, Refusal> {
        let mut called = tables.iter().flatten().filter(|table| table.is_called(name));
        match (called.next(), called.next()) {
            (Some(table), None) => Ok(table.clone()),
            _ => Err(Refusal::Target(name.to_owned())),
        }
    }
}

/// Whether these say more than which table is meant.
pub(super) fn needs_source(from: &[TableWithJoins]) -> bool {
    let says_partitions = |table: &TableWithJoins| matches!(&table.relation, TableFactor::Table { partitions, .. } if !partitions.is_empty());
    from.len() > 1 || from.iter().any(|table| !table.joins.is_empty() || says_partitions(table))
}

/// All tables of a FROM clause; `None` for what is not a table by a name.
pub(super) fn tables_of(flavor: Flavor, from: &[TableWithJoins]) -> Vec<Option<Target>> {
    let mut tables = Vec::new();
    for table in from {
        collect(flavor, table, &mut tables);
    }
    tables
}

fn collect(flavor: Flavor, table: &TableWithJoins, tables: &mut Vec<Option<Target>>) {
    let joined = table.joins.iter().map(|join| &join.relation);
    for factor in std::iter::once(&table.relation).chain(joined) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None, .. } => {
                collect(flavor, table_with_joins, tables);
            }
            factor => tables.push(Target::of(flavor, factor).ok()),
        }
    }
}

/// The table that a name of an undo log means; `None` for what is none in this flavor.
pub(crate) fn table_name(flavor: Flavor, text: &str) -> Option<TableName> {
    let mut parser = Parser::new(flavor.grammar()).try_with_sql(text).ok()?;
    let name = parser.parse_object_name(false).ok()?;
    if parser.peek_token().token != Token::EOF {
        return None;
    }
    let mut parts = parts(flavor, &name).ok()?;
    let name = parts.pop()?;
    Some(TableName { schema: parts.pop(), name })
}

/// The columns that are set, each with the table it is qualified by.
pub(super) fn assigned(
    flavor: Flavor,
    assignments: &[Assignment],
) -> Result<Vec<(Option<String>, String)>, Refusal> {
    let mut columns = Vec::new();
    for assignment in assignments {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => columns.push(column(flavor, name)?),
            AssignmentTarget::Tuple(names) => {
                for name in names {
                    columns.push(column(flavor, name)?);
                }
            }
        }
    }
    Ok(columns)
}

pub(super) fn column(flavor: Flavor, name: &ObjectName) -> Result<(Option<String>, String), Refusal> {
    let mut parts = parts(flavor, name)?;
    // PostgreSQL qualifies no column here: `a.b` is the field b of the column a.
    if flavor == Flavor::Postgres {
        parts.truncate(1);
    }
    let column = parts.pop().ok_or_else(|| Refusal::NotUnderstood("a column has no name".to_owned()))?;
    Ok((parts.pop(), column))
}

fn parts(flavor: Flavor, name: &ObjectName) -> Result<Vec<String>, Refusal> {
    let idents = name.0.iter().map(|part| part.as_ident().map(|ident: &Ident| flavor.name(ident)));
    idents.collect::<Option<_>>().ok_or_else(|| Refusal::NotUnderstood(format!("{name} is no name")))
}
