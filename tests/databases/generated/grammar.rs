//! A grammar of data changes.

use rand::{Rng as _, rngs::StdRng};

use super::any;
use crate::engine::{Engine, Value};

/// A database's own tables, and what its statements have that others do not.
pub(crate) trait Grammar: Engine {
    const SCHEMA: &'static str;
    const TABLES: &'static [Table];
    /// What may stand between INSERT and INTO.
    const INSERT: &'static [&'static str];
    /// What may stand between UPDATE and the table.
    const UPDATE: &'static [&'static str];
    /// What may end an UPDATE or a DELETE; `$k` is a column of the key.
    const ENDS: &'static [&'static str];
    /// What may end an INSERT; `$k` is the key, `$c` a column and `$e` a value for it.
    const CONFLICTS: &'static [&'static str];
    /// Whole statements; `$t` is the table, `$k` a column of its key, `$c` another column, `$e` a value for it, `$o` another table.
    const OTHERS: &'static [&'static str];
    /// How a backslash is written in a text.
    const BACKSLASH: &'static str = "\\";
}

/// A table as the grammar knows it.
pub(crate) struct Table {
    /// As it stands in SQL.
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Column],
    /// The others, but for those that the database computes.
    pub(crate) columns: &'static [Column],
}

/// A column and what to put into it.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Samples);

pub(crate) enum Samples {
    Integers,
    Texts,
    /// Literals.
    Given(&'static [&'static str]),
}

/// A statement with its arguments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sentence {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// Any statement.
pub(crate) fn sentence<E: Grammar>(numbers: &mut StdRng) -> Sentence {
    let table = any(numbers, E::TABLES);
    let mut writer = Writer { numbers, sentence: Sentence::default(), table };
    match writer.numbers.random_range(0..10) {
        0..3 => writer.update::<E>(),
        3..5 => writer.delete::<E>(),
        5..8 => writer.insert::<E>(),
        _ => writer.other::<E>(),
    }
    writer.sentence
}

/// Writes from left to right, so that arguments stand in the order of their places.
struct Writer<'w> {
    numbers: &'w mut StdRng,
    sentence: Sentence,
    table: &'static Table,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.sentence.sql.push_str(text);
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.numbers.random_bool(probability)
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.numbers.random_range(0..choices.len())]
    }

    fn column(&mut self) -> &'static Column {
        any(self.numbers, self.table.columns)
    }

    fn any_column(&mut self) -> &'static Column {
        let table = self.table;
        if self.chance(0.4) { any(self.numbers, table.key) } else { self.column() }
    }

    fn update<E: Grammar>(&mut self) {
        let form = self.one(E::UPDATE);
        self.push(&format!("UPDATE {form}{} SET ", self.table.name));
        let first = self.column();
        self.assignment::<E>(first);
        if self.chance(0.4) {
            let second = self.column();
            if second.0 != first.0 {
                self.push(", ");
                self.assignment::<E>(second);
            }
        }
        self.condition::<E>();
        self.end::<E>(E::ENDS);
    }

    fn assignment<E: Grammar>(&mut self, column: &'static Column) {
        self.push(&format!("{} = ", column.0));
        self.expression::<E>(column);
    }

    fn delete<E: Grammar>(&mut self) {
        self.push(&format!("DELETE FROM {}", self.table.name));
        self.condition::<E>();
        self.end::<E>(E::ENDS);
    }

    fn insert<E: Grammar>(&mut self) {
        let form = self.one(E::INSERT);
        // Without its key a row has a generated one, or none.
        let with_key = self.chance(0.8);
        let mut columns: Vec<&'static Column> =
            if with_key { self.table.key.iter().collect() } else { Vec::new() };
        for column in self.table.columns {
            if self.chance(0.7) {
                columns.push(column);
            }
        }
        if columns.is_empty() {
            columns.push(&self.table.columns[0]);
        }
        let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
        self.push(&format!("{form} INTO {} ({}) ", self.table.name, names.join(", ")));
        if self.chance(0.15) {
            self.push("SELECT ");
            self.listed(&columns, |writer, column| {
                // Its own values clash, and a value of ours once.
                if writer.chance(0.5) { writer.push(column.0) } else { writer.literal::<E>(column) }
            });
            self.push(&format!(" FROM {}", self.table.name));
            self.condition::<E>();
            return;
        }
        self.push("VALUES ");
        for row in 0..self.numbers.random_range(1..4) {
            self.push(if row == 0 { "(" } else { ", (" });
            self.listed(&columns, |writer, column| {
                if writer.chance(0.05) { writer.push("DEFAULT") } else { writer.literal::<E>(column) }
            });
            self.push(")");
        }
        self.end::<E>(E::CONFLICTS);
    }

    fn listed(&mut self, columns: &[&'static Column], mut each: impl FnMut(&mut Self, &'static Column)) {
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            each(self, column);
        }
    }

    fn other<E: Grammar>(&mut self) {
        let template = self.one(E::OTHERS);
        self.template::<E>(template);
    }

    fn end<E: Grammar>(&mut self, ends: &[&str]) {
        if self.chance(0.4) {
            let template = self.one(ends);
            self.template::<E>(template);
        }
    }

    fn template<E: Grammar>(&mut self, template: &str) {
        let column = self.column();
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            self.push(&rest[..at]);
            match rest.as_bytes()[at + 1] {
                b't' => self.push(self.table.name),
                b'k' => {
                    let keys: Vec<&str> = self.table.key.iter().map(|column| column.0).collect();
                    self.push(&keys.join(", "));
                }
                b'c' => self.push(column.0),
                b'e' => self.literal::<E>(column),
                b'o' => {
                    let other = any(self.numbers, E::TABLES);
                    self.push(other.name);
                }
                b'w' => self.condition::<E>(),
                other => panic!("{template} has a {other}"),
            }
            rest = &rest[at + 2..];
        }
        self.push(rest);
    }

    fn expression<E: Grammar>(&mut self, column: &'static Column) {
        let name = column.0;
        match self.numbers.random_range(0..10) {
            0..6 => self.literal::<E>(column),
            6 => {
                let other = self.any_column().0;
                self.push(other);
            }
            7 => {
                self.push(&format!("COALESCE({name}, "));
                self.literal::<E>(column);
                self.push(")");
            }
            8 => {
                self.push("CASE WHEN ");
                self.comparison::<E>();
                self.push(" THEN ");
                self.literal::<E>(column);
                self.push(&format!(" ELSE {name} END"));
            }
            _ => match column.1 {
                Samples::Integers => self.push(&format!("{name} + 1")),
                _ => self.push(&format!(
                    "(SELECT m FROM (SELECT MAX({name}) AS m FROM {}) AS s)",
                    self.table.name
                )),
            },
        }
    }

    fn condition<E: Grammar>(&mut self) {
        if self.chance(0.25) {
            return;
        }
        self.push(" WHERE ");
        match self.numbers.random_range(0..6) {
            0 => {
                self.push("NOT (");
                self.comparison::<E>();
                self.push(")");
            }
            1 => {
                self.comparison::<E>();
                self.push(" AND ");
                self.comparison::<E>();
            }
            2 => {
                self.comparison::<E>();
                self.push(" OR ");
                self.comparison::<E>();
            }
            _ => self.comparison::<E>(),
        }
    }

    fn comparison<E: Grammar>(&mut self) {
        let column = self.any_column();
        let name = column.0;
        match self.numbers.random_range(0..9) {
            0 => self.push(&format!("{name} IS NULL")),
            1 => self.push(&format!("{name} IS NOT NULL")),
            2 => {
                self.push(&format!("{name} IN ("));
                self.literal::<E>(column);
                self.push(", ");
                self.literal::<E>(column);
                self.push(")");
            }
            3 => {
                self.push(&format!("{name} BETWEEN "));
                self.literal::<E>(column);
                self.push(" AND ");
                self.literal::<E>(column);
            }
            4 => {
                let table = self.table.name;
                self.push(&format!(
                    "{name} IN (SELECT x FROM (SELECT {name} AS x FROM {table} ORDER BY 1 LIMIT 2) AS s)"
                ));
            }
            _ => {
                let operator = self.one(&["=", "<>", "<=", ">"]);
                self.push(&format!("{name} {operator} "));
                self.literal::<E>(column);
            }
        }
    }

    fn literal<E: Grammar>(&mut self, column: &Column) {
        if self.chance(0.1) {
            return self.push("NULL");
        }
        let bind = self.chance(0.2);
        match column.1 {
            Samples::Integers => {
                let number: i64 = self.numbers.random_range(-3..12);
                self.bound(bind, number.into(), number.to_string());
            }
            Samples::Texts => {
                let text = self.one(&TEXTS);
                let quoted = text.replace('\'', "''").replace('\\', E::BACKSLASH);
                self.bound(bind, text.into(), format!("'{quoted}'"));
            }
            Samples::Given(literals) => {
                let literal = self.one(literals);
                self.push(literal);
            }
        }
    }

    fn bound(&mut self, bind: bool, value: Value, literal: String) {
        if bind {
            self.sentence.values.push(value);
            self.push("?");
        } else {
            self.push(&literal);
        }
    }
}

/// Alike under some collation, of any script, and with what separates elsewhere.
const TEXTS: [&str; 14] =
    ["", "a", "A", "á", "b", "a ", "it's", "a_b", "1", "ß", "ss", "你😀", "back\\slash", "\"quoted\" `so`"];
