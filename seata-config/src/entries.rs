//! Keys as dotted names, values as text, each with its origin.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

/// Each key once, with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(BTreeMap<String, Entry>);

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it was written; the parts of a list are joined.
    pub text: String,
    /// Where it was written.
    pub origin: Origin,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file, at this line, counted from 1. The path is missing for text that was handed over.
    File {
        /// The file.
        path: Option<PathBuf>,
        /// The line.
        line: usize,
    },
    /// In the environment.
    Variable(String),
    /// On the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path: Some(path), line } => write!(f, "{}:{line}", path.display()),
            Self::File { path: None, line } => write!(f, "line {line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Why a text gives no entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not TOML.
    #[error("the configuration is not TOML: {message}")]
    Syntax {
        /// Where, and what was expected there.
        message: String,
    },
    /// A key stands there twice, once as a path of tables and once quoted.
    #[error("{key} is given twice, at {first} and at {again}: leave one out")]
    Twice {
        /// The key.
        key: String,
        /// Its first place.
        first: Origin,
        /// Its second place.
        again: Origin,
    },
    /// A list where a single value is expected.
    #[error("{key} is a list ({origin}): expected a single value")]
    List {
        /// The key.
        key: String,
        /// Its place.
        origin: Origin,
    },
    /// A table within a list.
    #[error("{key} holds a table ({origin}): expected a single value")]
    Table {
        /// The key.
        key: String,
        /// Its place.
        origin: Origin,
    },
}

impl Entries {
    /// Reads TOML. `[a.b] c = 1`, `a.b.c = 1` and `"a.b.c" = 1` are one key.
    ///
    /// `separator` says for each key that may be a list what joins its parts; `path` is only told.
    ///
    /// # Errors
    /// [`ReadError`] names the place.
    pub fn from_toml(
        text: &str,
        path: Option<&Path>,
        separator: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Self, ReadError> {
        let table =
            DeTable::parse(text).map_err(|error| ReadError::Syntax { message: told(text, &error) })?;
        let mut reader = Reader { text, path, separator, entries: Self::default() };
        reader.table("", table.get_ref())?;
        Ok(reader.entries)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(|entry| entry.text.as_str())
    }

    /// Sets a value; returns the one that was there.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        text: impl Into<String>,
        origin: Origin,
    ) -> Option<Entry> {
        self.0.insert(key.into(), Entry { text: text.into(), origin })
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        self.0.remove(key)
    }

    /// All keys, in their alphabet's order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Lets the first of these variables that is set stand for `key`. A blank variable counts as unset.
    pub fn override_from<'a>(
        &mut self,
        key: &str,
        names: impl IntoIterator<Item = &'a str>,
        variable: impl Fn(&str) -> Option<String>,
    ) {
        let set = names.into_iter().find_map(|name| {
            let text = variable(name).filter(|text| !text.trim().is_empty())?;
            Some((name.to_owned(), text))
        });
        if let Some((name, text)) = set {
            self.insert(key, text, Origin::Variable(name));
        }
    }
}

/// Where a text is no TOML. The line itself is not shown: it may be the one with a password.
fn told(text: &str, error: &toml::de::Error) -> String {
    let what = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return what.to_owned() };
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.chars().rev().take_while(|letter| *letter != '\n').count();
    format!("line {line}, column {column}: {what}")
}

impl IntoIterator for Entries {
    type Item = (String, Entry);
    type IntoIter = std::collections::btree_map::IntoIter<String, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

struct Reader<'a, S> {
    text: &'a str,
    path: Option<&'a Path>,
    separator: S,
    entries: Entries,
}

impl<S: Fn(&str) -> Option<&'static str>> Reader<'_, S> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) -> Result<(), ReadError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.table(&format!("{key}."), inner)?;
                continue;
            }
            let origin = self.origin(name.span().start);
            let text = self.value(&key, &origin, value.get_ref())?;
            if let Some(first) = self.entries.insert(&*key, text, origin.clone()) {
                return Err(ReadError::Twice { key, first: first.origin, again: origin });
            }
        }
        Ok(())
    }

    fn value(&self, key: &str, origin: &Origin, value: &DeValue<'_>) -> Result<String, ReadError> {
        match value {
            DeValue::Array(parts) => {
                let listed = || ReadError::List { key: key.to_owned(), origin: origin.clone() };
                let separator = (self.separator)(key).ok_or_else(listed)?;
                let parts = parts.iter().map(|part| match part.get_ref() {
                    DeValue::Array(_) => Err(listed()),
                    part => self.value(key, origin, part),
                });
                Ok(parts.collect::<Result<Vec<_>, _>>()?.join(separator))
            }
            DeValue::Table(_) => Err(ReadError::Table { key: key.to_owned(), origin: origin.clone() }),
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => number.as_str().to_owned(),
            }),
            DeValue::Float(number) => Ok(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            DeValue::Datetime(time) => Ok(time.to_string()),
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.map(Path::to_owned), line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Entries, ReadError> {
        Entries::from_toml(text, None, |key| (key == "list").then_some(";"))
    }

    #[test]
    fn three_spellings_are_one_key_and_each_entry_knows_its_line() {
        for text in ["\n[a.b]\nc = 1", "\n\na.b.c = 1", "\n\n\"a.b.c\" = 1", "\n\na = { b.c = 1 }"] {
            let entries = read(text).expect(text);
            let line = Origin::File { path: None, line: 3 };
            assert_eq!(entries.get("a.b.c"), Some(&Entry { text: "1".into(), origin: line }), "{text}");
        }
        let error = read("\"a.b\" = 1\n[a]\nb = 2").expect_err("twice");
        let text = error.to_string();
        assert!(text.contains("a.b is given twice") && text.contains("line 1") && text.contains("line 3"));
    }

    #[test]
    fn values_of_every_kind_are_text() {
        let entries = read(
            "text = 'x'\nnumber = 1_000\nhex = 0xff\nfloat = 1.5\nflag = true\ntime = 2024-01-02\nlist = ['a', 2]\n",
        )
        .expect("a good text");
        for (key, text) in [
            ("text", "x"),
            ("number", "1000"),
            ("hex", "255"),
            ("float", "1.5"),
            ("flag", "true"),
            ("time", "2024-01-02"),
            ("list", "a;2"),
        ] {
            assert_eq!(entries.text(key), Some(text), "{key}");
        }
    }

    #[test]
    fn what_is_no_single_value_is_refused_with_its_place() {
        for (text, expected) in [
            ("\na = [1]", "a is a list (line 2): expected a single value"),
            ("list = [[1]]", "list is a list (line 1): expected a single value"),
            ("list = [{ a = 1 }]", "list holds a table (line 1): expected a single value"),
        ] {
            assert_eq!(read(text).expect_err(text).to_string(), expected);
        }
        let error = read("a = 1\n\nb = hush").expect_err("no value").to_string();
        assert!(error.contains("line 3, column 5: ") && !error.contains("hush"), "{error}");
        assert!(matches!(read("a = 1\na = 2"), Err(ReadError::Syntax { .. })));
    }

    #[test]
    fn the_first_variable_that_says_something_overrides() {
        let mut entries = read("a = 1").expect("a good text");
        entries.override_from("a", ["A", "B", "C"], |name| match name {
            "A" => Some(" ".to_owned()),
            "C" => None,
            name => Some(name.to_lowercase()),
        });
        let entry = entries.get("a").expect("it is there");
        assert_eq!(
            (entry.text.as_str(), entry.origin.to_string()),
            ("b", "environment variable B".to_owned())
        );
    }
}
