//! The way to a server's console port.

use std::{env, fs, io, path::PathBuf, time::Duration};

use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ureq::{
    Agent, Body,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Which server to ask, and as whom
#[derive(Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Console {
    /// The server's console port
    #[arg(
        long = "console",
        global = true,
        value_name = "URL",
        env = "SEATA_CONSOLE",
        default_value = "http://127.0.0.1:7091"
    )]
    url: String,

    /// The console's user
    #[arg(long, global = true, env = "SEATA_CONSOLE_USER", default_value = "seata")]
    user: String,

    /// A file that holds the password, such as console.password in the server's data directory
    /// [default: the environment variable SEATA_CONSOLE_PASSWORD]
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// The authorities that signed the console's certificate, in PEM [default: those of the web]
    #[arg(long, global = true, value_name = "FILE")]
    authorities: Option<PathBuf>,
}

/// Why the console did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsoleError {
    /// There is no password.
    #[error(
        "no password for the console: set {PASSWORD_VARIABLE}, or name a file with --password-file; a server without a \
         configured one keeps it in console.password in its data directory"
    )]
    NoPassword,
    /// A file could not be read.
    #[error("{} cannot be read: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    /// A file holds no certificate.
    #[error("{} holds no certificate; PEM is expected", path.display())]
    NoCertificate { path: PathBuf },
    /// Nobody answers.
    #[error("no answer from the console at {url}: {error}; is it the console port, not the Seata port?")]
    Unreachable { url: String, error: ureq::Error },
    /// The password is wrong.
    #[error("the console at {url} refuses user {user:?}: {reason}")]
    Login { url: String, user: String, reason: String },
    /// The console said no.
    #[error("{reason}")]
    Refused { reason: String },
    /// The answer makes no sense.
    #[error("the console at {url} gave an answer that this version cannot read: {error}")]
    Malformed { url: String, error: serde_json::Error },
}

impl ConsoleError {
    /// It is the arguments that are wrong, not what was found.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::NoPassword | Self::File { .. } | Self::NoCertificate { .. })
    }
}

/// A console that let us in.
pub(crate) struct Session {
    agent: Agent,
    url: String,
    token: String,
}

const PASSWORD_VARIABLE: &str = "SEATA_CONSOLE_PASSWORD";
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct LoginAnswer {
    success: bool,
    message: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

impl Console {
    /// Logs in.
    pub(crate) fn log_in(&self) -> Result<Session, ConsoleError> {
        let url = self.url.trim_end_matches('/').to_owned();
        let password = self.password()?;
        let agent = Agent::new_with_config(
            Agent::config_builder()
                .timeout_global(Some(LIMIT))
                .http_status_as_error(false)
                .tls_config(TlsConfig::builder().root_certs(self.root_certificates()?).build())
                .build(),
        );
        let unreachable = |error| ConsoleError::Unreachable { url: url.clone(), error };
        let mut answer = agent
            .post(format!("{url}/api/v1/auth/login"))
            .send_json(json!({ "username": self.user, "password": password }))
            .map_err(unreachable)?;
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let answered: LoginAnswer = serde_json::from_str(&text).unwrap_or_default();
        match answered {
            LoginAnswer { success: true, data: Some(token), .. } => Ok(Session { agent, url, token }),
            LoginAnswer { message, .. } => {
                let reason = message.unwrap_or_else(|| format!("it answered {}", answer.status()));
                Err(ConsoleError::Login { url, user: self.user.clone(), reason })
            }
        }
    }

    fn password(&self) -> Result<String, ConsoleError> {
        let password = match &self.password_file {
            Some(path) => Some(read(path)?),
            None => env::var(PASSWORD_VARIABLE).ok(),
        };
        let password = password.map(|password| password.trim_end_matches(['\r', '\n']).to_owned());
        password.filter(|password| !password.is_empty()).ok_or(ConsoleError::NoPassword)
    }

    fn root_certificates(&self) -> Result<RootCerts, ConsoleError> {
        let Some(path) = &self.authorities else { return Ok(RootCerts::WebPki) };
        let pem = read(path)?;
        let certificates: Vec<Certificate<'static>> = parse_pem(pem.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(ConsoleError::NoCertificate { path: path.clone() });
        }
        Ok(RootCerts::from(certificates))
    }
}

impl Session {
    /// Asks for `path`, with those of `query` that have a value.
    pub(crate) fn get(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<Value, ConsoleError> {
        let given = query.iter().filter_map(|(name, value)| value.as_ref().map(|value| (*name, value)));
        let request = self.agent.get(format!("{}{path}", self.url)).query_pairs(given);
        self.read(request.header("Authorization", &self.token).call())
    }

    /// Asks for an action.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, ConsoleError> {
        let request = self.agent.post(format!("{}{path}", self.url));
        self.read(request.header("Authorization", &self.token).send_json(body))
    }

    /// Reads a value of ours out of an answer.
    pub(crate) fn view<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, ConsoleError> {
        T::deserialize(answer).map_err(|error| self.malformed(error))
    }

    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, ConsoleError> {
        let unreachable = |error| ConsoleError::Unreachable { url: self.url.clone(), error };
        let mut answer = answer.map_err(unreachable)?;
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        if answer.status().is_success() {
            return serde_json::from_str(&text).map_err(|error| self.malformed(error));
        }
        let reason = match serde_json::from_str(&text) {
            Ok(Failure { error }) => error,
            Err(_) => format!("the console answered {}", answer.status()),
        };
        Err(ConsoleError::Refused { reason })
    }

    fn malformed(&self, error: serde_json::Error) -> ConsoleError {
        ConsoleError::Malformed { url: self.url.clone(), error }
    }
}

/// What stands in a path, with everything escaped that has a meaning there.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn read(path: &PathBuf) -> Result<String, ConsoleError> {
    fs::read_to_string(path).map_err(|error| ConsoleError::File { path: path.clone(), error })
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn an_xid_stands_in_a_path_as_it_is_and_a_slash_does_not() {
        assert_eq!(segment("10.0.0.5:8091:42"), "10.0.0.5:8091:42");
        assert_eq!(segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }
}
