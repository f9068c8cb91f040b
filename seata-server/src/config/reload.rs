//! A configuration that is read again while the server runs.

use super::{Config, ConfigError, MASK, Sources, table::KEYS};

/// What reading again came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// What holds from now on: the new values of what may change while the server runs, else the old ones.
    pub config: Config,
    /// What changed and takes effect.
    pub applied: Vec<Change>,
    /// What changed and needs a restart.
    pub needs_restart: Vec<Change>,
}

/// A setting that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The key.
    pub key: &'static str,
    /// The value that held; secrets are masked.
    pub old: String,
    /// The value now written.
    pub new: String,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {:?} to {:?}", self.key, self.old, self.new)
    }
}

impl Config {
    /// Reads the sources again.
    ///
    /// # Errors
    /// As [`read`](Self::read); nothing has changed then.
    pub fn reload(&self, sources: &Sources) -> Result<Reloaded, ConfigError> {
        let new = Self::read(sources)?;
        let mut entries = self.entries.clone();
        let (mut applied, mut needs_restart) = (Vec::new(), Vec::new());
        for key in KEYS {
            if key.is_live {
                entries.remove(key.name);
                if let Some(entry) = new.entries.get(key.name) {
                    entries.insert(key.name, entry.text.clone(), entry.origin.clone());
                }
            }
            // What nobody wrote follows from other settings or from the machine.
            let is_written = self.entries.get(key.name).is_some() || new.entries.get(key.name).is_some();
            let (old_value, new_value) = (key.show(&self.draft), key.show(&new.draft));
            if !is_written || old_value == new_value {
                continue;
            }
            let shown = |value| if key.is_secret { MASK.to_owned() } else { value };
            let change = Change { key: key.name, old: shown(old_value), new: shown(new_value) };
            if key.is_live { applied.push(change) } else { needs_restart.push(change) }
        }
        let config = Self::build(entries, new.notes)?;
        Ok(Reloaded { config, applied, needs_restart })
    }
}
