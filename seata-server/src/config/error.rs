//! Why a configuration cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use seata_config::{Origin, ReadError};

use crate::address::AddressError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {message}{hint}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected there.
        message: String,
        /// What to do about a file of another kind.
        hint: &'static str,
    },
    /// A list or a table where a single value is expected.
    #[error(transparent)]
    Shape(ReadError),
    /// Nobody knows this key.
    #[error("unknown key {key} ({origin}){}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A key is given twice, in two spellings.
    #[error("{key} is given twice, at {first} and at {again}: leave one out")]
    Twice {
        /// The key.
        key: String,
        /// Its first place.
        first: Origin,
        /// Its second place.
        again: Origin,
    },
    /// A value is not of the kind that its key takes.
    #[error("{key} is {value:?} ({origin}): expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What would do.
        expected: String,
    },
    /// A value that means something in Java, which this server does not do.
    #[error("{key} is {value:?} ({origin}), which this server cannot do: {instead}")]
    Unsupported {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What to do instead.
        instead: &'static str,
    },
    /// One of two keys that belong together.
    #[error("{given} is given without {missing}: they belong together")]
    Incomplete {
        /// The key that is there.
        given: String,
        /// The one that is not.
        missing: String,
    },
    /// There are access keys, which are not to be checked.
    #[error(
        "server.enableCheckAuth is false ({origin}), and server.accessKeys says who may register: leave one out"
    )]
    KeysUnchecked {
        /// Where it stands.
        origin: Origin,
    },
    /// Both ports are one.
    #[error(
        "server.servicePort and console.port are both {port}: set another for one of them, or console.port to off"
    )]
    SamePort {
        /// The port.
        port: u16,
    },
    /// There is no address for XIDs.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl ConfigError {
    pub(super) fn file(path: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Syntax { message } => {
                Self::Syntax { path: path.to_owned(), message, hint: hint(path) }
            }
            ReadError::Twice { key, first, again } => Self::Twice { key, first, again },
            error => Self::Shape(error),
        }
    }
}

fn hint(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yml" | "yaml") => {
            "; this looks like Java's YAML: write `a: b` below `server:` as `server.a = \"b\"`"
        }
        Some("properties" | "txt" | "conf") => {
            "; this looks like one of Java's files: write each line as `key = \"value\"`"
        }
        _ => "",
    }
}

pub(super) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}
