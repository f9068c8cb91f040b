//! Row locks: the rows that one global transaction keeps from all others.

use std::{fmt, sync::Arc};

use crate::{ResourceId, Text};

/// One row that a global transaction holds until its outcome is decided.
///
/// Two values name the same row when resource, table and key are equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowLock {
    /// The database.
    pub resource: ResourceId,
    /// The table, under its one canonical name.
    pub table: Arc<str>,
    /// The primary key of the row.
    pub key: RowKey,
}

impl fmt::Display for RowLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} in {}", self.table, self.key, self.resource)
    }
}

impl fmt::Debug for RowLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowLock({self})")
    }
}

/// The primary key of a row, in the canonical text that every Seata client gives it: the parts in
/// key order, joined with `_`.
///
/// This text, not the typed parts, decides whether two keys are the same, because it is all that a
/// Java client can send: a row locked from here as the number 7 and from there as the text `7` must
/// be one lock. The price is that (`a_b`, `c`) and (`a`, `b_c`) also lock each other out, which costs
/// a wait and never an update.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Box<str>);

/// One column's value in a primary key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum KeyPart<'a> {
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A text.
    Text(&'a str),
    /// Bytes, written as `x'…'` in hexadecimal.
    Bytes(&'a [u8]),
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRowKey {
    /// There is no part at all, or all of them are empty texts.
    #[error("an empty primary key cannot be locked")]
    Empty,
    /// Java's grammar for lock keys cannot carry this key to a remote coordinator.
    #[error(
        "the primary key {key:?} contains {separator:?}, which Seata's lock-key grammar uses as a separator; \
         use an embedded coordinator, or a key without it"
    )]
    NotOnTheWire {
        /// The key.
        key: String,
        /// The character that cannot be carried.
        separator: char,
    },
}

/// Why row locks cannot be written as text, or a text holds no row locks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLockKey {
    /// A row's key cannot be written.
    #[error(transparent)]
    Key(#[from] InvalidRowKey),
    /// A table's name is empty or holds a separator of the grammar.
    #[error(
        "the table name {table:?} cannot stand in a lock key: it must not be empty nor contain ':' or ';'"
    )]
    Table {
        /// The name.
        table: String,
    },
    /// One text holds the rows of one resource.
    #[error("rows of {first} and of {other} cannot stand in one lock key: register one branch for each")]
    Resources {
        /// The resource of the first row.
        first: ResourceId,
        /// Another row's.
        other: ResourceId,
    },
    /// A part of the text names no table.
    #[error("{group:?} in a lock key names no table: expected table:key,key")]
    NoTable {
        /// The part.
        group: String,
    },
}

/// The text that stands for these rows in a branch registration: `table:key,key;table:key`, the tables in
/// the order in which they first occur.
///
/// # Errors
/// When a key or a table's name holds a separator of the grammar, and when the rows are of several resources.
///
/// ```
/// use seata_protocol::{ResourceId, RowKey, RowLock, lock_key_text};
///
/// let row = |table: &str, key: &str| RowLock {
///     resource: ResourceId::from("stock"),
///     table: table.into(),
///     key: RowKey::from_text(key).unwrap(),
/// };
/// let text = lock_key_text(&[row("t", "1"), row("u", "3_4"), row("t", "2")])?;
/// assert_eq!(text, "t:1,2;u:3_4");
/// # Ok::<(), seata_protocol::InvalidLockKey>(())
/// ```
pub fn lock_key_text(locks: &[RowLock]) -> Result<Text, InvalidLockKey> {
    if let Some(other) = locks.iter().find(|lock| lock.resource != locks[0].resource) {
        let first = locks[0].resource.clone();
        return Err(InvalidLockKey::Resources { first, other: other.resource.clone() });
    }
    let mut text = String::with_capacity(locks.iter().map(|lock| lock.key.as_str().len() + 1).sum());
    let mut tables: Vec<&str> = Vec::new();
    for (index, lock) in locks.iter().enumerate() {
        let table = &*lock.table;
        if tables.contains(&table) {
            continue;
        }
        if table.is_empty() || table.contains([':', ';']) {
            return Err(InvalidLockKey::Table { table: table.to_owned() });
        }
        if !tables.is_empty() {
            text.push(';');
        }
        tables.push(table);
        text.push_str(table);
        for (nth, row) in locks[index..].iter().filter(|row| &*row.table == table).enumerate() {
            text.push(if nth == 0 { ':' } else { ',' });
            text.push_str(row.key.wire_text()?);
        }
    }
    Ok(text.into())
}

/// The rows that a branch registration names by this text. An empty text names none.
///
/// Empty parts, as after a `;` at the end, and tables without keys name no rows. Java's server drops
/// everything behind them, and behind a part without a table; here rows are never lost in silence. A row that
/// is named twice is there twice.
///
/// Two bytes of text can name a row, which takes some 80 bytes of memory: who takes texts from strangers limits
/// their length first.
///
/// # Errors
/// [`InvalidLockKey::NoTable`] when a part that is not empty has no `:`, or nothing before it.
///
/// ```
/// use seata_protocol::{ResourceId, parse_lock_key};
///
/// let locks = parse_lock_key(&ResourceId::from("stock"), "t:1,2;u:3_4")?;
/// assert_eq!(locks.len(), 3);
/// assert_eq!(locks[2].to_string(), "u:3_4 in stock");
/// # Ok::<(), seata_protocol::InvalidLockKey>(())
/// ```
pub fn parse_lock_key(resource: &ResourceId, text: &str) -> Result<Vec<RowLock>, InvalidLockKey> {
    let mut locks = Vec::new();
    for group in text.split(';').filter(|group| !group.is_empty()) {
        let (table, keys) = group
            .split_once(':')
            .filter(|(table, _)| !table.is_empty())
            .ok_or_else(|| InvalidLockKey::NoTable { group: group.to_owned() })?;
        let table: Arc<str> = table.into();
        for key in keys.split(',').filter(|key| !key.is_empty()) {
            let key = RowKey::from_text(key)?;
            locks.push(RowLock { resource: resource.clone(), table: table.clone(), key });
        }
    }
    Ok(locks)
}

impl RowKey {
    /// The key made of these parts, in the order of the primary key's columns.
    ///
    /// # Errors
    /// [`InvalidRowKey::Empty`] when the text would be empty.
    ///
    /// ```
    /// use seata_protocol::{KeyPart, RowKey};
    ///
    /// let key = RowKey::new([KeyPart::Text("EU"), KeyPart::Integer(7)])?;
    /// assert_eq!(key.as_str(), "EU_7");
    /// # Ok::<(), seata_protocol::InvalidRowKey>(())
    /// ```
    pub fn new<'a>(parts: impl IntoIterator<Item = KeyPart<'a>>) -> Result<Self, InvalidRowKey> {
        use fmt::Write as _;

        let mut text = String::new();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                text.push('_');
            }
            match part {
                KeyPart::Integer(number) => write!(text, "{number}").expect("a String takes any text"),
                KeyPart::Real(number) => write!(text, "{number:?}").expect("a String takes any text"),
                KeyPart::Text(part) => text.push_str(part),
                KeyPart::Bytes(bytes) => {
                    text.push_str("x'");
                    for byte in bytes {
                        write!(text, "{byte:02x}").expect("a String takes any text");
                    }
                    text.push('\'');
                }
            }
        }
        Self::from_text(text)
    }

    /// The key that a peer wrote as this text.
    ///
    /// # Errors
    /// [`InvalidRowKey::Empty`] for an empty text.
    pub fn from_text(text: impl Into<Box<str>>) -> Result<Self, InvalidRowKey> {
        let text = text.into();
        if text.is_empty() { Err(InvalidRowKey::Empty) } else { Ok(Self(text)) }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text for Java's lock-key grammar (`table:key,key;table:key`).
    ///
    /// # Errors
    /// [`InvalidRowKey::NotOnTheWire`] when the key holds one of its separators.
    pub fn wire_text(&self) -> Result<&str, InvalidRowKey> {
        match self.0.chars().find(|c| matches!(c, ',' | ';')) {
            None => Ok(&self.0),
            Some(separator) => Err(InvalidRowKey::NotOnTheWire { key: self.0.to_string(), separator }),
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_when_a_java_peer_would_write_them_alike() {
        let number = RowKey::new([KeyPart::Integer(7)]).unwrap();
        let text = RowKey::new([KeyPart::Text("7")]).unwrap();
        assert_eq!(number, text);
        assert_eq!(RowKey::new([KeyPart::Bytes(&[0, 255])]).unwrap().as_str(), "x'00ff'");
        assert_eq!(RowKey::new([KeyPart::Real(1.0)]).unwrap().as_str(), "1.0");
    }

    #[test]
    fn a_separator_in_a_key_is_refused_only_on_the_wire() {
        let key = RowKey::new([KeyPart::Text("a,b")]).unwrap();
        assert_eq!(key.as_str(), "a,b");
        assert_eq!(key.wire_text(), Err(InvalidRowKey::NotOnTheWire { key: "a,b".into(), separator: ',' }));
    }

    #[test]
    fn an_empty_key_is_refused() {
        assert_eq!(RowKey::new([]), Err(InvalidRowKey::Empty));
        assert_eq!(RowKey::new([KeyPart::Text("")]), Err(InvalidRowKey::Empty));
    }

    fn row(table: &str, key: &str) -> RowLock {
        RowLock {
            resource: ResourceId::from("stock"),
            table: table.into(),
            key: RowKey::from_text(key).unwrap(),
        }
    }

    #[test]
    fn rows_are_grouped_by_table_and_come_back() {
        let rows = [row("t", "1"), row("u", "3_4"), row("t", "a:b"), row("t,v", "5")];
        let text = lock_key_text(&rows).unwrap();
        assert_eq!(text, "t:1,a:b;u:3_4;t,v:5");
        let again = parse_lock_key(&rows[0].resource, &text).unwrap();
        assert_eq!(again, [&rows[0], &rows[2], &rows[1], &rows[3]].map(RowLock::clone));
        assert_eq!(lock_key_text(&[]).unwrap(), "");
        assert_eq!(parse_lock_key(&rows[0].resource, "").unwrap(), []);
    }

    #[test]
    fn parts_without_rows_do_not_hide_those_behind_them() {
        let resource = ResourceId::from("stock");
        for text in ["t:1;", "t:1,;", ";t:1", "t:,1", "u:;t:1", ";;t:1"] {
            assert_eq!(parse_lock_key(&resource, text).unwrap(), [row("t", "1")], "{text}");
        }
        for text in ["t", "t:1;u", ":1"] {
            let error = parse_lock_key(&resource, text).unwrap_err();
            assert!(matches!(error, InvalidLockKey::NoTable { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn what_the_grammar_cannot_say_is_refused() {
        for table in ["", "a:b", "a;b"] {
            let error = lock_key_text(&[row(table, "1")]).unwrap_err();
            assert_eq!(error, InvalidLockKey::Table { table: table.to_owned() });
        }
        for key in ["1,2", "1;2"] {
            let error = lock_key_text(&[row("t", "1"), row("t", key)]).unwrap_err();
            assert!(matches!(error, InvalidLockKey::Key(InvalidRowKey::NotOnTheWire { .. })), "{error}");
        }
        let elsewhere = RowLock { resource: ResourceId::from("orders"), ..row("t", "1") };
        let error = lock_key_text(&[row("t", "1"), elsewhere]).unwrap_err();
        assert!(matches!(error, InvalidLockKey::Resources { .. }), "{error}");
    }
}
