//! The keys and values of a configuration, all as dotted names and text.

use std::{collections::BTreeMap, time::Duration};

use toml::{Table, Value};

use super::{
    ConfigError,
    keys::{self, GROUP_PREFIX, Role},
    value,
};

/// Each key once, with its text.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<String, String>);

impl Entries {
    pub(super) fn read(text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            message: error.to_string().trim_end().to_owned(),
        })?;
        let mut entries = Self::default();
        entries.flatten("", table)?;
        Ok(entries)
    }

    /// `[a.b] c = 1`, `a.b.c = 1` and `"a.b.c" = 1` are one key.
    fn flatten(&mut self, prefix: &str, table: Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            let text = match value {
                Value::Table(inner) => {
                    self.flatten(&format!("{key}."), inner)?;
                    continue;
                }
                value => text(&key, value)?,
            };
            if self.0.insert(key.clone(), text).is_some() {
                return Err(ConfigError::Twice { again: key.clone(), key });
            }
        }
        Ok(())
    }

    /// Removes the keys that are known and not used, and returns them.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] for the first key that nobody knows.
    pub(super) fn take_unused(&mut self) -> Result<Vec<String>, ConfigError> {
        let mut unused = Vec::new();
        for key in self.0.keys() {
            if keys::role(key)? == Role::Unused {
                unused.push(key.clone());
            }
        }
        for key in &unused {
            self.0.remove(key);
        }
        Ok(unused)
    }

    /// Lets `key` be written as `alias` too.
    pub(super) fn rename(&mut self, alias: &str, key: &str) -> Result<(), ConfigError> {
        let Some(text) = self.0.remove(alias) else { return Ok(()) };
        match self.0.insert(key.to_owned(), text) {
            Some(_) => Err(ConfigError::Twice { key: key.to_owned(), again: alias.to_owned() }),
            None => Ok(()),
        }
    }

    /// Lets a variable stand for each of these keys.
    pub(super) fn override_each(&mut self, keys: &[&str], variable: impl Fn(&str) -> Option<String>) {
        for key in keys {
            let named = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
            if let Some(text) = named(key).or_else(|| named(&variable_name(key))) {
                self.0.insert((*key).to_owned(), text);
            }
        }
    }

    /// Lets variables stand for the cluster of each known group, then for the servers of each known cluster.
    pub(super) fn override_services(&mut self, group: &str, variable: impl Fn(&str) -> Option<String>) {
        let mut groups: Vec<_> = self.groups().map(|(group, _)| format!("{GROUP_PREFIX}{group}")).collect();
        groups.push(format!("{GROUP_PREFIX}{group}"));
        for key in groups {
            self.override_each(&[&key], &variable);
        }
        let of_groups = self.groups().map(|(_, cluster)| cluster);
        let of_lists = self.server_lists().map(|(cluster, _)| cluster);
        let lists: Vec<_> = of_groups.chain(of_lists).map(keys::server_list_key).collect();
        for key in lists {
            self.override_each(&[&key], &variable);
        }
    }

    /// Each group with its cluster.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(key, text)| Some((key.strip_prefix(GROUP_PREFIX)?, text.trim())))
    }

    /// Each cluster with its list of servers.
    pub(super) fn server_lists(&self) -> impl Iterator<Item = (&str, &str)> {
        let lists = self.0.iter().filter(|(key, _)| !key.starts_with(GROUP_PREFIX));
        lists.filter_map(|(key, text)| Some((keys::server_list_cluster(key)?, text.as_str())))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        debug_assert!(keys::READ.contains(&key), "{key} is not among the keys that are read");
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.text(key).map(|text| value::flag(key, text)).transpose()
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.text(key).map(|text| value::duration(key, text)).transpose()
    }

    pub(super) fn positive_duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        match self.duration(key)? {
            Some(Duration::ZERO) => {
                Err(ConfigError::value(key, self.text(key).unwrap_or_default(), "a time longer than zero"))
            }
            other => Ok(other),
        }
    }

    /// A number from 1 to the highest of Java's.
    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        self.count_up_to(i32::MAX as u32, key)
    }

    pub(super) fn count_up_to(&self, highest: u32, key: &str) -> Result<Option<u32>, ConfigError> {
        self.text(key).map(|text| value::count(key, text, 1..=highest)).transpose()
    }

    pub(super) fn choice<W: AsRef<str>, T: Copy>(
        &self,
        key: &str,
        words: &[(W, T)],
    ) -> Result<Option<T>, ConfigError> {
        self.text(key).map(|text| value::choice(key, text, words)).transpose()
    }
}

/// The text of a value that is no table.
fn text(key: &str, value: Value) -> Result<String, ConfigError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        Value::Array(addresses) if keys::server_list_cluster(key).is_some() => {
            let texts: Result<Vec<_>, _> = addresses.into_iter().map(|address| text(key, address)).collect();
            Ok(texts?.join(";"))
        }
        Value::Array(_) => Err(ConfigError::value(key, "a list", "a single value")),
        Value::Table(_) => Err(ConfigError::value(key, "a table", "a single value")),
    }
}

/// What a key is called in the environment.
fn variable_name(key: &str) -> String {
    key.to_uppercase().replace(['.', '-'], "_")
}
