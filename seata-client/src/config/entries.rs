//! The keys of a client's configuration with their values.

use std::time::Duration;

use seata_config::{
    ReadError,
    value::{self, ValueError},
    variable_name,
};

use super::{
    ConfigError,
    keys::{self, GROUP_PREFIX, Role},
};

/// Each key once, with its text.
#[derive(Debug, Default)]
pub(super) struct Entries(seata_config::Entries);

impl Entries {
    pub(super) fn read(text: &str) -> Result<Self, ConfigError> {
        let separator = |key: &str| keys::server_list_cluster(key).map(|_| ";");
        Ok(Self(seata_config::Entries::from_toml(text, None, separator)?))
    }

    /// Removes the keys that are known and not used, and returns them.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] for the first key that nobody knows.
    pub(super) fn take_unused(&mut self) -> Result<Vec<String>, ConfigError> {
        let mut unused = Vec::new();
        for key in self.0.keys() {
            if keys::role(key)? == Role::Unused {
                unused.push(key.to_owned());
            }
        }
        for key in &unused {
            self.0.remove(key);
        }
        Ok(unused)
    }

    /// Lets `key` be written as `alias` too.
    pub(super) fn rename(&mut self, alias: &str, key: &str) -> Result<(), ConfigError> {
        let Some(entry) = self.0.remove(alias) else { return Ok(()) };
        match self.0.insert(key, entry.text, entry.origin) {
            Some(_) => Err(ConfigError::Twice { key: key.to_owned(), again: alias.to_owned() }),
            None => Ok(()),
        }
    }

    /// Lets a variable stand for each of these keys.
    pub(super) fn override_each(&mut self, keys: &[&str], variable: impl Fn(&str) -> Option<String>) {
        for key in keys {
            self.0.override_from(key, [*key, &variable_name(key)], &variable);
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
        self.0.iter().filter_map(|(key, entry)| Some((key.strip_prefix(GROUP_PREFIX)?, entry.text.trim())))
    }

    /// Each cluster with its list of servers.
    pub(super) fn server_lists(&self) -> impl Iterator<Item = (&str, &str)> {
        let lists = self.0.iter().filter(|(key, _)| !key.starts_with(GROUP_PREFIX));
        lists.filter_map(|(key, entry)| Some((keys::server_list_cluster(key)?, entry.text.as_str())))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        debug_assert!(keys::READ.contains(&key), "{key} is not among the keys that are read");
        self.0.text(key)
    }

    pub(super) fn name(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.value(key, value::name)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.value(key, value::flag)
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.value(key, value::duration)
    }

    pub(super) fn positive_duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.value(key, |text| match value::duration(text)? {
            Duration::ZERO => Err(ValueError::new(text, "a time longer than zero")),
            time => Ok(time),
        })
    }

    /// A number from 1 to the highest of Java's.
    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        self.count_up_to(i32::MAX as u32, key)
    }

    pub(super) fn count_up_to(&self, highest: u32, key: &str) -> Result<Option<u32>, ConfigError> {
        self.value(key, |text| value::number(text, 1..=highest))
    }

    pub(super) fn choice<W: AsRef<str>, T: Copy>(
        &self,
        key: &str,
        words: &[(W, T)],
    ) -> Result<Option<T>, ConfigError> {
        self.value(key, |text| value::choice(text, words))
    }

    fn value<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ConfigError> {
        let value = self.text(key).map(read).transpose();
        value.map_err(|error| ConfigError::value(key, error.value, error.expected))
    }
}

impl From<ReadError> for ConfigError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Twice { key, .. } => Self::Twice { again: key.clone(), key },
            ReadError::List { key, .. } => Self::value(key, "a list", "a single value"),
            ReadError::Table { key, .. } => Self::value(key, "a table", "a single value"),
            ReadError::Syntax { message } => Self::Syntax { message },
            error => Self::Syntax { message: error.to_string() },
        }
    }
}
