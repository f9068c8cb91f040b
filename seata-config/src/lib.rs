//! What the configurations of client and server have in common: a TOML file and the environment under the
//! dotted key names of Java's Seata, each entry with the place it comes from.
//!
//! ```
//! use std::time::Duration;
//!
//! use seata_config::{Entries, Origin, value};
//!
//! let no_lists = |_: &str| None;
//! let mut entries = Entries::from_toml("[server]\nmaxCommitRetryTimeout = '5m'", None, no_lists)?;
//! let entry = entries.get("server.maxCommitRetryTimeout").expect("it is there");
//! assert_eq!(value::duration(&entry.text)?, Duration::from_secs(300));
//! assert_eq!(entry.origin.to_string(), "line 2");
//!
//! let origin = Origin::Flag("--port".into());
//! entries.insert("server.servicePort", "8092", origin);
//! assert_eq!(entries.keys().count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Which keys there are, what they mean and which of them a program does not know is each program's own.

#![forbid(unsafe_code)]

mod entries;
mod spelling;
pub mod value;

pub use entries::{Entries, Entry, Origin, ReadError};
pub use spelling::{camel_case, is_like, nearest, variable_name};
