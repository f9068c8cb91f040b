//! Who may see and do things: one user, a password without a default, tokens.

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Instant, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::settings::{Settings, StoreKind};

use super::token::Tokens;

use attempts::{Attempts, Verdict};

mod attempts;

/// Checks passwords and tokens.
pub(super) struct Auth {
    user: String,
    tokens: Tokens,
    /// `None`: nobody can log in.
    password: Option<Password>,
    attempts: Mutex<Attempts>,
}

/// Why somebody did not get a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LoginError {
    #[error("user or password is wrong")]
    Wrong,
    #[error("too many failed attempts from this address; try again in a minute")]
    TooMany,
    #[error("nobody can log in: no password is set, and a store in memory has no place to keep one; set one")]
    NoPassword,
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: LoginError,
    /// Whether the log should tell of it, and of how many before it it did not.
    pub(super) line: Option<u64>,
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The file could not be read or written.
    #[error("the console's password file {} cannot be used: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// The file is there and holds nothing.
    #[error("the console's password file {} is empty: write a password into it, or delete it to have one made", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A keyed digest of the password: comparing two of them tells nothing of the password by its time.
struct Password {
    key: Hmac<Sha256>,
    digest: Vec<u8>,
}

impl Auth {
    /// Reads the password from the settings or from its file; makes one if there is none.
    pub(super) fn new(settings: &Settings) -> Result<Self, PasswordError> {
        let console = &settings.console;
        let random: [u8; 32] = rand::random();
        let secret = console.token_secret.as_ref().map_or(&random[..], |secret| secret.as_bytes());
        let password = match (&console.password, settings.store.kind) {
            (Some(password), _) => Some(password.clone()),
            (None, _) if console.port.is_none() => None,
            (None, StoreKind::Journal) => Some(kept(&settings.store.directory)?),
            (None, StoreKind::Memory) => {
                tracing::warn!("nobody can log in to the console: set a password for it");
                None
            }
        };
        Ok(Self {
            user: console.user.clone(),
            tokens: Tokens::new(secret, console.token_validity),
            password: password.map(|password| Password::new(&password)),
            attempts: Mutex::default(),
        })
    }

    /// A token for who knows user and password.
    pub(super) fn login(&self, from: IpAddr, user: &str, password: &str) -> Result<String, Failed> {
        // Counted before the password is looked at, so that many attempts at once are many attempts.
        let verdict = self.attempts().make(from, Instant::now());
        let error = match &self.password {
            None => LoginError::NoPassword,
            Some(_) if verdict != Verdict::Allowed => LoginError::TooMany,
            Some(expected) if expected.is(password) & (user == self.user) => {
                self.attempts().forget(from);
                return Ok(self.tokens.issue(user, SystemTime::now()));
            }
            Some(_) => LoginError::Wrong,
        };
        let line = self.attempts().line(verdict, Instant::now());
        Err(Failed { error, line })
    }

    /// The user of a valid token.
    pub(super) fn check(&self, token: &str) -> Option<String> {
        self.tokens.check(token, SystemTime::now()).filter(|user| *user == self.user)
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().expect("nothing panics under it")
    }
}

impl Password {
    fn new(password: &str) -> Self {
        let key: Hmac<Sha256> =
            Hmac::new_from_slice(&rand::random::<[u8; 32]>()).expect("a key may have any length");
        let digest = key.clone().chain_update(password).finalize().into_bytes().to_vec();
        Self { key, digest }
    }

    fn is(&self, given: &str) -> bool {
        self.key.clone().chain_update(given).verify_slice(&self.digest).is_ok()
    }
}

/// The password in the data directory, made at random if there is none yet.
fn kept(directory: &Path) -> Result<String, PasswordError> {
    let path = directory.join("console.password");
    let fails = |error| PasswordError::File { path: path.clone(), error };
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim_end_matches(['\r', '\n']) {
            "" => Err(PasswordError::Empty { path }),
            password => Ok(password.to_owned()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let password = BASE64.encode(rand::random::<[u8; 18]>());
            write_whole(directory, &path, &password).map_err(fails)?;
            tracing::info!(file = %path.display(), "a console password was made at random; read it there");
            Ok(password)
        }
        Err(error) => Err(fails(error)),
    }
}

/// Never half written: a crash leaves the whole file or none.
fn write_whole(directory: &Path, path: &Path, password: &str) -> io::Result<()> {
    let draft = directory.join("console.password.new");
    let _ = fs::remove_file(&draft);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    // Elsewhere a file is for whom its directory is.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = kept(directory.path()).expect("made");
        assert_eq!(kept(directory.path()).expect("read"), made);
        assert_eq!(made.len(), 24);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let file = fs::metadata(directory.path().join("console.password")).expect("there");
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
        assert_ne!(kept(tempfile::tempdir().expect("a directory").path()).expect("made"), made);
    }

    #[test]
    fn an_empty_password_file_lets_nobody_in() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("console.password"), "\n").expect("written");
        assert!(matches!(kept(directory.path()), Err(PasswordError::Empty { .. })));
    }
}
