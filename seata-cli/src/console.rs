//! The way to a server's console port.

use std::{borrow::Cow, env, fs, io, path::PathBuf, time::Duration};

use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ureq::{
    Agent, Body,
    http::{Response, StatusCode},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::terminal::harmless;

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
        default_value = "http://127.0.0.1:7091",
        value_parser = console_url
    )]
    url: String,

    /// What `seata doctor` asks for.
    #[arg(long, global = true, hide = true, value_parser = no_server)]
    server: Option<String>,

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
    #[error("no answer from the console at {url}: {error}; {}", advice(error))]
    Unreachable { url: String, error: ureq::Error },
    /// The answer is longer than is read.
    #[error(
        "the console at {url} answers with more than {} MiB; ask for less, with --limit or more filters",
        LONGEST_ANSWER >> 20
    )]
    TooLarge { url: String },
    /// The password is wrong.
    #[error(
        "the console at {url} refuses user {user:?}: {reason}; the password is what console.user.password says, or \
         stands in console.password in the server's data directory"
    )]
    Login { url: String, user: String, reason: String },
    /// What answers is something else.
    #[error("{url} answers, but not as the console of a seata-server: {found}; {PORTS}")]
    NotAConsole { url: String, found: String },
    /// The console said no.
    #[error("{reason}")]
    Refused { status: StatusCode, reason: String },
    /// The answer makes no sense.
    #[error("the console at {url} gave an answer that this version cannot read: {error}")]
    Malformed { url: String, error: serde_json::Error },
}

impl ConsoleError {
    /// It is the arguments that are wrong, not what was found.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::NoPassword | Self::File { .. } | Self::NoCertificate { .. })
    }

    /// The token is not, or no longer, good.
    pub(crate) fn is_logged_out(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::UNAUTHORIZED, .. })
    }

    /// The server is not there or has no time now, which may change by itself.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => is_passing(*status),
            _ => false,
        }
    }
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS
}

/// What to do when nobody answers.
fn advice(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Timeout(_) => "is a firewall between, or the server too busy?",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => CERTIFICATE,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there: is seata-server running, on this machine, and with this console port (--console)? \
             It listens on loopback alone unless console.bind says otherwise"
        }
        // So does rustls tell what it finds while it shakes hands.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => CERTIFICATE,
        _ => PORTS,
    }
}

const CERTIFICATE: &str = "does that port speak HTTPS, and was its certificate signed for this name by an authority of the \
                           web or of --authorities?";
const PORTS: &str = "are host and port right? The console port is 7091 unless set, not the Seata port; with a \
                     certificate the console speaks https:// alone";

/// A console that let us in.
pub(crate) struct Session {
    agent: Agent,
    url: String,
    token: String,
}

const PASSWORD_VARIABLE: &str = "SEATA_CONSOLE_PASSWORD";
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How many bytes of an answer are read.
const LONGEST_ANSWER: u64 = 32 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginAnswer {
    success: Option<bool>,
    message: Option<String>,
    data: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

impl Console {
    /// Logs in.
    pub(crate) fn log_in(&self) -> Result<Session, ConsoleError> {
        let url = self.url.clone();
        let password = self.password()?;
        let agent = Agent::new_with_config(
            Agent::config_builder()
                .timeout_global(Some(LIMIT))
                .http_status_as_error(false)
                .tls_config(TlsConfig::builder().root_certs(self.root_certificates()?).build())
                .build(),
        );
        let answer = agent
            .post(format!("{url}/api/v1/auth/login"))
            .send_json(json!({ "username": self.user, "password": password }));
        let (status, text) = receive(&url, answer)?;
        let answered: LoginAnswer = serde_json::from_str(&text).unwrap_or_default();
        let reason = || match answered.message.as_deref().or(answered.error.as_deref()) {
            Some(reason) => harmless(reason).into_owned(),
            None => format!("it answered {status}"),
        };
        match (answered.success, &answered.data) {
            (Some(true), Some(token)) => Ok(Session { agent, url, token: token.clone() }),
            _ if is_passing(status) => Err(ConsoleError::Refused { status, reason: reason() }),
            (Some(false), _) => Err(ConsoleError::Login { url, user: self.user.clone(), reason: reason() }),
            _ => Err(ConsoleError::NotAConsole { url, found: reason() }),
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

    /// Reads a value of ours out of an answer, to be shown on a terminal.
    pub(crate) fn view<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, ConsoleError> {
        let mut answer = answer.clone();
        defuse(&mut answer);
        T::deserialize(answer).map_err(|error| self.malformed(error))
    }

    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, ConsoleError> {
        let (status, text) = receive(&self.url, answer)?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|error| self.malformed(error));
        }
        match serde_json::from_str(&text) {
            Ok(Failure { error }) => {
                Err(ConsoleError::Refused { status, reason: harmless(&error).into_owned() })
            }
            Err(_) => Err(ConsoleError::NotAConsole {
                url: self.url.clone(),
                found: format!("it answered {status}"),
            }),
        }
    }

    fn malformed(&self, error: serde_json::Error) -> ConsoleError {
        ConsoleError::Malformed { url: self.url.clone(), error }
    }
}

/// The status and the text of an answer.
fn receive(
    url: &str,
    answer: Result<Response<Body>, ureq::Error>,
) -> Result<(StatusCode, String), ConsoleError> {
    let failed = |error| match error {
        ureq::Error::BodyExceedsLimit(_) => ConsoleError::TooLarge { url: url.to_owned() },
        error => ConsoleError::Unreachable { url: url.to_owned(), error },
    };
    let mut answer = answer.map_err(failed)?;
    let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).lossy_utf8(true);
    let text = body.read_to_string().map_err(failed)?;
    Ok((answer.status(), text))
}

/// Makes every text in an answer harmless to a terminal.
fn defuse(answer: &mut Value) {
    match answer {
        Value::String(text) => {
            if let Cow::Owned(harmless) = harmless(text) {
                *text = harmless;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(defuse),
        // Names of fields are our own.
        Value::Object(fields) => fields.values_mut().for_each(defuse),
        _ => {}
    }
}

/// Where a console is, or what is wrong with that.
fn console_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() => Ok(url.to_owned()),
        _ if text.contains("://") => Err("expected http://HOST:PORT or https://HOST:PORT".to_owned()),
        _ => Err(format!("expected http://HOST:PORT or https://HOST:PORT; is http://{url} meant?")),
    }
}

/// What to say in place of `--server`.
fn no_server(_: &str) -> Result<String, String> {
    Err("a server is asked at its console port: --console http://HOST:7091".to_owned())
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
