//! Which rows an INSERT has added, told by its own words and by the table's counter.

use sqlx::MySql;

use super::{quote, types::ColumnType};
use crate::{
    dialect::Returned,
    sql::{Given, Write},
    structure::{Column, Table},
};

/// The condition for the rows that this INSERT has added, once it has run. It takes the statement's own arguments.
/// `None` if it does not say what their keys are.
pub(super) fn added_rows(write: &Write, table: &Table<MySql>, returned: Returned) -> Option<String> {
    let inserted = write.inserted.as_ref().filter(|_| !write.may_skip)?;
    let rows = inserted.rows.as_ref()?;
    let columns: Vec<&str> = match inserted.columns.is_empty() {
        true => table.columns.iter().map(|column| column.name.as_str()).collect(),
        false => inserted.columns.iter().map(String::as_str).collect(),
    };
    let mut condition = Condition::default();
    for (number, row) in rows.iter().enumerate() {
        // Invisible columns may be among the table's.
        if row.len() != columns.len() && !row.is_empty() {
            return None;
        }
        condition.begin_row();
        for (name, given) in columns.iter().zip(row) {
            match key_column(table, name) {
                Some(column) => condition.add_key(column, given, number)?,
                None => condition.pass_over(given),
            }
        }
        for column in table.key_columns() {
            let is_given =
                !row.is_empty() && columns.iter().any(|name| column.name.eq_ignore_ascii_case(name));
            if !is_given {
                condition.add_key(column, &Given::Default, number)?;
            }
        }
    }
    // A key that is given moves the counter on, so that those behind it are not what they would be.
    let is_mixed = condition.counts && condition.gives;
    // An argument may be NULL or not, and nobody says.
    let may_be_mixed = rows.len() > 1 && condition.may_count && returned == Returned::Image;
    (!is_mixed && !may_be_mixed).then(|| condition.finish(write.rows.parameters))
}

/// Whether it adds one row, whose key is the counter's next number.
pub(super) fn counts_one(write: &Write, table: &Table<MySql>) -> bool {
    let Some(inserted) = &write.inserted else { return false };
    let (Some([row]), [key]) = (inserted.rows.as_deref(), table.key.as_slice()) else { return false };
    let is_counted = key_column(table, key).is_some_and(|column| column.column_type.is_auto_increment);
    let place = match inserted.columns.is_empty() {
        true => table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(key)),
        false => inserted.columns.iter().position(|column| column.eq_ignore_ascii_case(key)),
    };
    let given = place.and_then(|place| row.get(place));
    is_counted && matches!(given, None | Some(Given::Null | Given::Default))
}

fn key_column<'t>(table: &'t Table<MySql>, name: &str) -> Option<&'t Column<ColumnType>> {
    table.key_columns().into_iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// The condition as it grows. Arguments have no numbers in MySQL: each stands in it once, in the statement's order.
#[derive(Default)]
struct Condition {
    rows: Vec<Vec<String>>,
    /// The number of arguments that stand in it.
    placed: usize,
    /// The table counts a key for some row.
    counts: bool,
    /// A column that it would count is given for some row.
    gives: bool,
    /// Whether it is, an argument says.
    may_count: bool,
}

impl Condition {
    fn begin_row(&mut self) {
        self.rows.push(Vec::new());
    }

    fn add(&mut self, term: String) {
        self.rows.last_mut().expect("a row was begun").push(term);
    }

    /// `None` if nothing is known of the key.
    fn add_key(&mut self, column: &Column<ColumnType>, given: &Given, row: usize) -> Option<()> {
        let name = quote(&column.name);
        // That of the first row, and the others in steps.
        let counted = format!("LAST_INSERT_ID() + {row} * @@auto_increment_increment");
        let is_counted = column.column_type.is_auto_increment;
        let is_left = matches!(given, Given::Null | Given::Default);
        self.counts |= is_counted && is_left;
        self.gives |= is_counted && !is_left;
        self.may_count |= is_counted && matches!(given, Given::Parameter(_));
        let value = match given {
            Given::Null | Given::Default if is_counted => counted,
            Given::Null | Given::Default | Given::Expression { .. } => return None,
            Given::Literal(text) if is_counted => given_or_counted(text, &counted),
            Given::Literal(text) => text.clone(),
            Given::Parameter(number) => {
                self.place_until(number - 1);
                self.placed = *number;
                if is_counted { given_or_counted("?", &counted) } else { "?".to_owned() }
            }
        };
        self.add(format!("{name} = {value}"));
        Some(())
    }

    fn pass_over(&mut self, given: &Given) {
        match given {
            Given::Parameter(number) => self.place_until(*number),
            Given::Expression { parameters, .. } => {
                self.place_until(parameters.iter().copied().max().unwrap_or_default());
            }
            Given::Default | Given::Null | Given::Literal(_) => {}
        }
    }

    /// Places arguments that say nothing.
    fn place_until(&mut self, number: usize) {
        let term = idle(number.saturating_sub(self.placed));
        if let Some(term) = term {
            self.add(term);
        }
        self.placed = self.placed.max(number);
    }

    fn finish(self, parameters: usize) -> String {
        let rows: Vec<String> = self.rows.iter().map(|terms| format!("({})", terms.join(" AND "))).collect();
        let mut condition = format!("({})", rows.join(" OR "));
        if let Some(term) = idle(parameters.saturating_sub(self.placed)) {
            condition.push_str(&format!(" AND {term}"));
        }
        condition
    }
}

/// What the table makes of a value for the column that it counts: it counts for a zero too, unless the session says
/// otherwise.
fn given_or_counted(given: &str, counted: &str) -> String {
    let meant_to_count = "IF(FIND_IN_SET('NO_AUTO_VALUE_ON_ZERO', @@sql_mode), NULL, 0)";
    format!("COALESCE(NULLIF({given}, {meant_to_count}), {counted})")
}

/// A term that takes so many arguments and is true.
fn idle(arguments: usize) -> Option<String> {
    (arguments > 0).then(|| format!("(COALESCE(NULL, {}) IS NULL OR TRUE)", vec!["?"; arguments].join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{super::types::Description, *};
    use crate::sql::{Flavor, Statement, analyse};

    /// `t (id BIGINT AUTO_INCREMENT, v VARCHAR, kind INT)` with this key.
    fn condition(key: &[&str], statement: &str) -> Option<String> {
        condition_beside(Returned::Nothing, key, statement)
    }

    fn condition_beside(returned: Returned, key: &[&str], statement: &str) -> Option<String> {
        let column = |name: &str, definition, extra| {
            let description = Description { name: definition, definition, charset: None, extra };
            let column_type = ColumnType::parse(&description);
            Column {
                name: name.to_owned(),
                is_generated: false,
                is_updated_by_database: false,
                is_always_identity: false,
                column_type,
            }
        };
        let table = Table {
            name: "t".to_owned(),
            reference: "`d`.`t`".to_owned(),
            columns: vec![
                column("id", "bigint", "auto_increment"),
                column("v", "varchar", ""),
                column("kind", "int", ""),
            ],
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            key_collations: Vec::new(),
            triggers: Vec::new(),
            references: Vec::new(),
            declared_conflict: None,
            tells_updates: true,
        };
        match analyse(Flavor::MySql, statement).statement {
            Ok(Statement::Write(write)) => added_rows(&write, &table, returned),
            other => panic!("{statement}: {other:?}"),
        }
    }

    #[test]
    fn keys_are_given_or_counted() {
        const FIRST: &str = "LAST_INSERT_ID() + 0 * @@auto_increment_increment";
        const ZERO: &str = "IF(FIND_IN_SET('NO_AUTO_VALUE_ON_ZERO', @@sql_mode), NULL, 0)";
        const SECOND: &str = "LAST_INSERT_ID() + 1 * @@auto_increment_increment";
        for (key, statement, expected) in [
            (&["id"][..], "INSERT INTO t (kind) VALUES (7)", format!("((`id` = {FIRST}))")),
            (&["id"], "INSERT INTO t VALUES (DEFAULT, 'a', 1)", format!("((`id` = {FIRST}))")),
            (
                &["id"],
                "INSERT INTO t (id, v) VALUES (NULL, 'a'), (NULL, 'b')",
                format!("((`id` = {FIRST}) OR (`id` = {SECOND}))"),
            ),
            (
                &["id"],
                "INSERT INTO t (id, v) VALUES (5, 'a'), (0, 'b')",
                format!(
                    "((`id` = COALESCE(NULLIF(5, {ZERO}), {FIRST})) OR (`id` = COALESCE(NULLIF(0, {ZERO}), {SECOND})))"
                ),
            ),
            (
                &["v", "kind"],
                "INSERT INTO t SET v = 'a', kind = -1",
                "((`v` = 'a' AND `kind` = -1))".to_owned(),
            ),
        ] {
            assert_eq!(condition(key, statement), Some(expected), "{statement}");
        }
    }

    #[test]
    fn each_argument_stands_in_the_condition_once_and_in_its_order() {
        let idle = "(COALESCE(NULL, ?) IS NULL OR TRUE)";
        assert_eq!(
            condition(&["v", "kind"], "INSERT INTO t (id, v, kind) VALUES (?, ?, 1), (2, ?, ?)"),
            Some(format!("(({idle} AND `v` = ? AND `kind` = 1) OR (`v` = ? AND `kind` = ?))"))
        );
        assert_eq!(
            condition(&["kind"], "INSERT INTO t (kind, v) VALUES (?, CONCAT(?, ?))"),
            Some("((`kind` = ? AND (COALESCE(NULL, ?, ?) IS NULL OR TRUE)))".to_owned())
        );
    }

    #[test]
    fn what_does_not_tell_its_keys_is_left_to_others() {
        for statement in [
            "INSERT INTO t (v, kind) SELECT v, kind FROM other",
            "INSERT INTO t (v, kind) VALUES (UUID(), 1)",
            "INSERT INTO t (v) VALUES ('a')",
            "INSERT INTO t (v, kind) VALUES (NULL, 1)",
            "INSERT IGNORE INTO t (v, kind) VALUES ('a', 1)",
        ] {
            assert_eq!(condition(&["v", "kind"], statement), None, "{statement}");
        }
        let mixed = "INSERT INTO t (id, v) VALUES (NULL, 'a'), (5, 'b'), (DEFAULT, 'c')";
        assert_eq!(condition(&["id"], mixed), None);
    }

    #[test]
    fn arguments_that_may_be_null_are_left_to_who_gives_rows_back() {
        for (statement, is_told) in [
            ("INSERT INTO t (id, v) VALUES (?, 'a'), (?, 'b')", false),
            ("INSERT INTO t (id, v) VALUES (?, 'a')", true),
            ("INSERT INTO t (id, v) VALUES (1, ?), (2, ?)", true),
            ("INSERT INTO t (v) VALUES (?), (?)", true),
        ] {
            let told = condition_beside(Returned::Image, &["id"], statement);
            assert_eq!(told.is_some(), is_told, "{statement}");
            assert!(condition(&["id"], statement).is_some(), "{statement}");
        }
    }
}
