//! Settings from a file, the environment and flags, under the key names of Java's server.
//!
//! A flag goes before a variable, a variable before the file, the file before the default. Keys may have
//! Spring's prefix `seata.` and its spelling (`seata.server.max-commit-retry-timeout`). A time is a number of
//! milliseconds, as in Java, or has a unit: `5s`.
//!
//! Each key has a variable: `SEATA_SERVER_` and the key in upper case, without `server.` and with `_` for each
//! dot: `SEATA_SERVER_MAXCOMMITRETRYTIMEOUT`, `SEATA_SERVER_STORE_MODE`. Java's variables (`SEATA_IP`,
//! `SEATA_PORT`, `STORE_MODE`, and `SEATA_STORE_MODE` as Spring has it) do as well.

mod draft;
mod error;
mod java;
pub(crate) mod log_level;
pub mod pages;
mod print;
mod reload;
mod table;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use seata_config::{Entries, Origin, camel_case, variable_name};

use crate::settings::Settings;

use self::{
    draft::Draft,
    java::{FIXED, UNUSED_VARIABLES},
    table::{KEYS, Key},
};

pub use self::{
    error::ConfigError,
    print::Printed,
    reload::{Change, Reloaded},
};

/// What a configuration says.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// For the server.
    pub settings: Settings,
    /// For its log.
    pub logging: Logging,
    /// What was written and has no effect, with the reason: to be told once.
    pub notes: Vec<String>,
    entries: Entries,
    draft: Draft,
}

/// How the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// What is written: a level, or a list such as `info,seata_server=debug`, in which what is not named is
    /// written from `warn` on. Audit lines always are. Default: `info`.
    pub level: String,
    /// Default: text.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Where to read from.
#[derive(Clone, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Flag, key and value.
    pub flags: Vec<(String, String, String)>,
}

impl Sources {
    /// The environment of this process, and nothing else.
    pub fn environment() -> Self {
        // Bytes that are no text are seen, and refused, as the value they were meant to be.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { variables, ..Self::default() }
    }
}

impl Config {
    /// Reads the sources.
    ///
    /// # Errors
    /// [`ConfigError`] names the key, the value, where it stands and what was expected.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut found = Found::default();
        if let Some(path) = &sources.file {
            let text = fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            found.file(&text, path)?;
        }
        found.environment(&sources.variables)?;
        for (flag, key, value) in &sources.flags {
            found.flag(flag, key, value)?;
        }
        let Found { entries, mut notes, unused } = found;
        notes.extend(unused.into_iter().map(|(why, keys)| format!("{}: no effect, {why}", keys.join(", "))));
        Self::build(entries, notes)
    }

    fn build(entries: Entries, mut notes: Vec<String>) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        for key in KEYS {
            let Some(entry) = entries.get(key.name) else { continue };
            key.read(&mut draft, &entry.text).map_err(|error| ConfigError::Value {
                key: key.name.to_owned(),
                value: if key.is_secret { MASK.to_owned() } else { error.value },
                origin: entry.origin.clone(),
                expected: error.expected,
            })?;
        }
        draft.finish(&entries)?;
        // What is read again was told by the first reading.
        let new: Vec<_> = draft.notes.drain(..).filter(|note| !notes.contains(note)).collect();
        notes.extend(new);
        Ok(Self { settings: draft.settings.clone(), logging: draft.logging.clone(), notes, entries, draft })
    }
}

// Without what was written: passwords and keys stand there.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("settings", &self.settings)
            .field("logging", &self.logging)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What stands in place of a secret.
const MASK: &str = "********";

/// What the sources say, under the names of the table.
#[derive(Default)]
struct Found {
    entries: Entries,
    notes: Vec<String>,
    /// The keys without effect, by the reason.
    unused: BTreeMap<&'static str, Vec<String>>,
}

/// What a key is.
enum Role {
    Setting(&'static Key),
    Fixed(&'static java::Fixed),
    Unused(&'static str),
}

impl Found {
    fn file(&mut self, text: &str, path: &std::path::Path) -> Result<(), ConfigError> {
        let separator = |key: &str| match role(key) {
            Some(Role::Setting(key)) => key.is_list().then_some(","),
            // A list of what is not read does no harm.
            Some(_) => Some(","),
            None => None,
        };
        let read = Entries::from_toml(text, Some(path), separator)
            .map_err(|error| ConfigError::file(path, error))?;
        for (key, entry) in read {
            self.put(&key, entry.text, entry.origin)?;
        }
        Ok(())
    }

    fn environment(&mut self, variables: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for key in KEYS {
            let names = variables_of(key);
            let (links, names): (Vec<_>, Vec<_>) =
                names.iter().map(String::as_str).partition(|name| is_service_link(key, name, variables));
            for name in links {
                self.notes.push(format!(
                    "environment variable {name}: no effect, Kubernetes set it for a service of that name"
                ));
            }
            self.entries.override_from(key.name, names, |name| variables.get(name).cloned());
        }
        for fixed in FIXED {
            if let Some(name) = fixed.variable
                && let Some(text) = variables.get(name).filter(|text| !text.trim().is_empty())
            {
                self.put(fixed.name, text.clone(), Origin::Variable(name.to_owned()))?;
            }
        }
        for (name, _, why) in UNUSED_VARIABLES {
            if variables.contains_key(*name) {
                self.notes.push(format!("environment variable {name}: no effect, {why}"));
            }
        }
        self.note_unknown(variables);
        Ok(())
    }

    /// An unknown variable is a warning and no error: the environment is not this server's alone.
    fn note_unknown(&mut self, variables: &BTreeMap<String, String>) {
        let known: Vec<_> = KEYS.iter().flat_map(variables_of).collect();
        let ours = variables.keys().filter(|name| name.starts_with(VARIABLE_PREFIX));
        for name in ours.filter(|name| !known.contains(name) && !is_of_kubernetes(name)) {
            let of_ours = known.iter().filter_map(|known| known.strip_prefix(VARIABLE_PREFIX));
            let nearest = seata_config::nearest(&name[VARIABLE_PREFIX.len()..], of_ours);
            let nearest = nearest.map(|nearest| format!("{VARIABLE_PREFIX}{nearest}"));
            let suggestion = error::suggestion(nearest.as_deref());
            self.notes.push(format!("environment variable {name}: no effect, no such setting{suggestion}"));
        }
    }

    fn flag(&mut self, flag: &str, key: &str, value: &str) -> Result<(), ConfigError> {
        if let Some((_, _, why)) = UNUSED_VARIABLES.iter().find(|(_, unused, _)| *unused == flag) {
            self.notes.push(format!("{flag}: no effect, {why}"));
            return Ok(());
        }
        self.put(key, value.to_owned(), Origin::Flag(flag.to_owned()))
    }

    fn put(&mut self, key: &str, text: String, origin: Origin) -> Result<(), ConfigError> {
        match role(key) {
            Some(Role::Setting(setting)) => {
                let before = self.entries.insert(setting.name, text, origin.clone());
                match before {
                    Some(first) if is_same_source(&first.origin, &origin) => {
                        let key = setting.name.to_owned();
                        Err(ConfigError::Twice { key, first: first.origin, again: origin })
                    }
                    _ => Ok(()),
                }
            }
            Some(Role::Fixed(fixed)) => {
                if fixed.accepted.iter().any(|word| text.trim().eq_ignore_ascii_case(word)) {
                    return Ok(());
                }
                let (key, instead) = (fixed.name.to_owned(), fixed.instead);
                Err(ConfigError::Unsupported { key, value: text, origin, instead })
            }
            Some(Role::Unused(why)) => {
                self.unused.entry(why).or_default().push(key.to_owned());
                Ok(())
            }
            None => Err(ConfigError::UnknownKey { key: key.to_owned(), origin, nearest: nearest(key) }),
        }
    }
}

/// Whether neither goes before the other: two spellings in one file, two flags.
fn is_same_source(first: &Origin, again: &Origin) -> bool {
    matches!((first, again), (Origin::File { .. }, Origin::File { .. }) | (Origin::Flag(_), Origin::Flag(_)))
}

/// What a key is, in Java's spelling or in Spring's.
fn role(key: &str) -> Option<Role> {
    let spelled = camel_case(key);
    let short = spelled.strip_prefix("seata.").unwrap_or(&spelled);
    let is_it = |known: &str| {
        known == key || known == spelled || known.strip_prefix("seata.").unwrap_or(known) == short
    };
    let setting = KEYS.iter().find(|key| is_it(key.name) || key.aliases.iter().any(|alias| is_it(alias)));
    let setting = setting.map(Role::Setting);
    let fixed = || FIXED.iter().find(|fixed| is_it(fixed.name)).map(Role::Fixed);
    let unused = || java::unused(short).or_else(|| java::unused(&spelled)).map(Role::Unused);
    setting.or_else(fixed).or_else(unused)
}

/// The known key that was probably meant. What has an effect goes before what has none.
fn nearest(key: &str) -> Option<String> {
    let spelled = camel_case(key);
    let settings = KEYS.iter().map(|key| key.name).chain(FIXED.iter().map(|fixed| fixed.name));
    let unused = java::UNUSED.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('.'));
    seata_config::nearest(&spelled, settings.chain(unused)).map(str::to_owned)
}

const VARIABLE_PREFIX: &str = "SEATA_SERVER_";

/// The variables of a key, the first of them ours.
fn variables_of(key: &Key) -> Vec<String> {
    // Kubernetes sets `SEATA_SERVER_PORT` in every container beside a service of that name.
    if key.name == "server.port" {
        return Vec::new();
    }
    let short = key.name.strip_prefix("seata.").unwrap_or(key.name);
    let name = variable_name(short.strip_prefix("server.").unwrap_or(short));
    let mut names = vec![format!("{VARIABLE_PREFIX}{name}")];
    names.extend(key.variables.iter().map(|name| (*name).to_owned()));
    if !short.starts_with("server.") {
        names.push(format!("SEATA_{name}"));
    }
    if short.starts_with("console.user.") {
        names.push(name);
    }
    names
}

/// Whether Kubernetes set this variable: beside a service called `seata` every container has a `SEATA_PORT` that
/// says `tcp://10.0.0.1:8091`.
fn is_service_link(key: &Key, name: &str, variables: &BTreeMap<String, String>) -> bool {
    let is_link =
        |text: &String| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    key.unit().starts_with("port") && variables.get(name).is_some_and(is_link)
}

/// What Kubernetes tells every container of a service called `seata-server`.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = &name[VARIABLE_PREFIX.len()..];
    rest == "PORT"
        || rest.starts_with("PORT_")
        || rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
}
