//! Every key that is read: the one place from which reading, printing, the sample file and the manual come.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use seata_config::value::{self, ValueError};

use crate::settings::{AccessKey, StoreKind};

use super::{
    LogFormat,
    draft::{CHECK_AUTH, Draft, RETRY_PERIODS},
    log_level,
};

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    /// As Java's server writes it, where Java's has it.
    pub(super) name: &'static str,
    /// Where its value goes and how it is read.
    pub(super) field: Field,
    /// What it is for.
    pub(super) meaning: &'static str,
    /// Other names of the same.
    pub(super) aliases: &'static [&'static str],
    /// Variables of Java's, beside those that each key has.
    pub(super) variables: &'static [&'static str],
    /// The default in words, where it depends on other things.
    pub(super) otherwise: Option<&'static str>,
    /// Java's server has it.
    pub(super) is_java: bool,
    /// A change takes effect without a restart.
    pub(super) is_live: bool,
    /// Never shown.
    pub(super) is_secret: bool,
}

type At<T> = fn(&mut Draft) -> &mut T;

/// Where a value goes and how it is read.
#[derive(Debug)]
pub(super) enum Field {
    Flag(At<bool>),
    /// Longer than zero.
    Time(At<Duration>),
    /// A bare number counts seconds.
    Seconds(At<Duration>),
    /// −1 is never.
    Limit(At<Option<Duration>>),
    Count(At<usize>, usize, usize),
    Bytes(At<usize>, usize, usize),
    Port(At<u16>),
    Text(At<Option<String>>),
    Path(At<Option<PathBuf>>),
    Addresses(At<Vec<IpAddr>>),
    Own {
        unit: &'static str,
        read: fn(&mut Draft, &str) -> Result<(), ValueError>,
        show: fn(&Draft) -> String,
    },
}

pub(super) const KEYS: &[Key] = &[
    // The Seata port.
    key("server.bind", Field::Addresses(|draft| &mut draft.settings.front.bind),
        "Where the Seata port listens: addresses of this machine, several for IPv4 and IPv6; 0.0.0.0 for all of IPv4, :: \
         for all of IPv6.").otherwise("127.0.0.1 and, where the machine has it, ::1"),
    key("server.host", Field::Text(|draft| &mut draft.settings.front.host),
        "What stands in XIDs: the name or address under which clients reach this server.")
        .variables(&["SEATA_IP"])
        .otherwise("the address listened on; for 0.0.0.0 and :: the first of this machine that is not loopback"),
    key("server.servicePort", Field::Port(|draft| &mut draft.settings.front.port),
        "The Seata port; 0 for any free one.").java().variables(&["SEATA_PORT"]),
    key("server.tls.certificate", Field::Path(|draft| &mut draft.server_tls.certificate),
        "TLS on the Seata port: the server's certificate chain, PEM. Seata's clients speak none themselves: each needs a TLS \
         proxy beside it."),
    key("server.tls.key", Field::Path(|draft| &mut draft.server_tls.key),
        "TLS on the Seata port: the certificate's private key, PEM."),
    key("server.tls.clientAuthorities", Field::Path(|draft| &mut draft.server_tls.client_authorities),
        "TLS on the Seata port: the authorities of client certificates, PEM; a client without one is refused."),
    key("server.accessKeys", Field::Own { unit: "list of group=key:secret", read: access_keys, show: shown_access_keys },
        "Who may begin and end transactions, by transaction service group; the group * stands for every group that has no key \
         of its own. Resource managers cannot sign: they register without a key.")
        .secret().otherwise("everybody"),
    key(CHECK_AUTH, Field::Own { unit: "true, false", read: check_auth, show: shown_check_auth },
        "Whether server.accessKeys is checked: false is refused where keys stand there, true has no effect where none do.").java()
        .otherwise("true where server.accessKeys is set"),
    key("server.maxConnections", Field::Count(|draft| &mut draft.settings.front.max_connections, 1, 1_000_000),
        "How many connections there may be; a further one is closed at once."),
    key("server.maxRequestsPerConnection",
        Field::Count(|draft| &mut draft.settings.front.max_requests_per_connection, 1, 1_000_000),
        "How many requests of one connection, each part of a merged one for itself, are worked on at a time; more wait."),
    key("server.maxBufferedBytes", Field::Bytes(|draft| &mut draft.settings.front.max_buffered_bytes, 16 << 20, usize::MAX),
        "How many bytes all connections together may hold in frames that are read or written; beyond that the one that \
         holds the most is closed."),
    key("server.idleTimeout", Field::Time(|draft| &mut draft.settings.front.read_idle),
        "After how long without a byte from the client its connection is closed; Java's clients send one about \
         each 10 s, Go's and Rust's each 5 s."),
    key("server.patience", Field::Time(|draft| &mut draft.settings.front.patience),
        "How long a connection may take for the TLS handshake, to register, or to take some of its answers."),
    key("server.lockWait", Field::Own { unit: "ms", read: lock_wait, show: |draft| shown_time(draft.settings.front.lock_wait) },
        "How long a registration waits in the queue for rows that others hold before the conflict is told; at most 10 s, and \
         below the clients' RPC time-out. Zero: not at all, as Java's server.").live(),
    key("server.maxLockWaiters", Field::Count(|draft| &mut draft.settings.coordinator.max_waiters, 0, 10_000_000),
        "How many registrations may be in that queue; a further one is told of the conflict at once.").live(),
    key("server.maxLockWaitersPerClient",
        Field::Count(|draft| &mut draft.settings.coordinator.max_waiters_per_client, 0, 10_000_000),
        "How many of them may be of one client; more than half of server.maxRequestsPerConnection count as this half, for \
         what frees the rows comes from there, too.").live(),
    key("server.maxLockWaitingRows",
        Field::Count(|draft| &mut draft.settings.coordinator.max_waiting_rows, 0, 100_000_000),
        "How many rows they may wait for together; one of a long name counts as one for each 256 bytes.").live(),
    key("server.maxLockKeyLength", Field::Bytes(|draft| &mut draft.settings.front.max_lock_key, 1, 8 << 20),
        "The longest lock key text of a branch."),
    key("server.maxResourcesPerClient", Field::Count(|draft| &mut draft.settings.front.max_resources_per_client, 1, 1_000_000),
        "How many resource ids one client may name; a registration that goes beyond is refused."),
    key("transport.enableTcServerBatchSendResponse", Field::Flag(|draft| &mut draft.settings.front.batch_results),
        "Whether merged requests of clients from 1.5 to 2.2 are answered as batch results, each when it is ready.").java(),
    key("transport.shutdown.wait", Field::Seconds(|draft| &mut draft.settings.stop_limit),
        "How long a stop waits for requests under way.").java(),

    // Phase two.
    key("transport.rpcTcRequestTimeout", Field::Time(|draft| &mut draft.settings.coordinator.call_limit),
        "How long a resource may take to answer in phase two before it is asked again.").java().live(),
    key(RETRY_PERIODS[0], Field::Own { unit: "ms",
        read: |draft, text| retry_period(draft, 0, text), show: |draft| shown_retry_period(draft, 0) },
        "The pause before a branch that could not commit is asked again; it doubles from try to try. One pause holds for \
         all kinds: of several that are given the shortest.").java().live(),
    key(RETRY_PERIODS[1], Field::Own { unit: "ms",
        read: |draft, text| retry_period(draft, 1, text), show: |draft| shown_retry_period(draft, 1) },
        "The same for AT commits, which are sent as soon as they are decided.").java().live(),
    key(RETRY_PERIODS[2], Field::Own { unit: "ms",
        read: |draft, text| retry_period(draft, 2, text), show: |draft| shown_retry_period(draft, 2) },
        "The same for rolling back.").java().live(),
    key("server.recovery.maxRetryPeriod", Field::Time(|draft| &mut draft.settings.coordinator.max_retry_period),
        "What that pause grows to at most; up to half of it is added at random.").live(),
    key("server.recovery.timeoutRetryPeriod", Field::Time(|draft| &mut draft.settings.coordinator.timeout_check_period),
        "How late a global transaction's time-out may be noticed.").java().live(),
    key("server.maxCommitRetryTimeout", Field::Limit(|draft| &mut draft.settings.coordinator.retry_limits.commit),
        "After how long, counted from begin, a transaction that cannot commit is parked; -1 for never. AT commits are tried \
         without a limit.").java().live(),
    key("server.maxRollbackRetryTimeout", Field::Limit(|draft| &mut draft.settings.coordinator.retry_limits.rollback),
        "The same for rolling back.").java().live(),
    key("server.rollbackRetryTimeoutUnlockEnable",
        Field::Flag(|draft| &mut draft.settings.coordinator.retry_limits.unlock_rollback),
        "Whether a rollback that is parked because of server.maxRollbackRetryTimeout frees its row locks; the rows are as \
         the transaction left them.").java().live(),
    key("server.rollbackFailedUnlockEnable",
        Field::Flag(|draft| &mut draft.settings.coordinator.retry_limits.unlock_failed),
        "The same where a branch said that it will never roll back.").java().live(),
    key("server.xaerNotaRetryTimeout", Field::Time(|draft| &mut draft.settings.coordinator.retry_limits.xaer_nota_wait),
        "How long after its transaction's time-out a prepared XA branch that its database does not know counts as done; \
         at least that time-out once more.").java().live(),
    key("server.answerLimit", Field::Time(|draft| &mut draft.settings.coordinator.answer_limit),
        "How long a commit or rollback request waits for phase two; the transaction goes on either way. Keep it above \
         transport.rpcTcRequestTimeout, and below the 20 s after which Go's clients give a request up (Java's: 30 s).").live(),
    key("server.callsPerResource", Field::Count(|draft| &mut draft.settings.coordinator.calls_per_resource, 1, 10_000),
        "How many phase-two calls one resource gets at a time.").live(),
    key("server.commitsPerCall", Field::Count(|draft| &mut draft.settings.coordinator.commits_per_call, 1, 10_000),
        "How many AT commits are handed to a resource together at most.").live(),
    key("server.undo.logSaveDays", Field::Own { unit: "days", read: undo_log_save_days,
        show: |draft| draft.settings.front.undo_log_save_days.to_string() },
        "How many days old undo logs must be to be deleted.").java(),
    key("server.undo.logDeletePeriod", Field::Own { unit: "ms", read: undo_log_delete_period,
        show: |draft| shown_time(draft.settings.front.undo_log_delete_period) },
        "How often resource managers are asked to delete old undo logs, first 3 minutes after the start; 0 for never.")
        .java(),

    // Limits of the coordinator.
    key("server.applicationDataLimit", Field::Bytes(|draft| &mut draft.application_data_limit, 1, 8 << 20),
        "The longest application data of a branch, where server.applicationDataLimitCheck is on.").java().live(),
    key("server.applicationDataLimitCheck", Field::Flag(|draft| &mut draft.application_data_limit_check),
        "Whether that limit holds. If not, only that of a frame does, 8 MiB.").java().live(),
    key("server.maxLocks", Field::Count(|draft| &mut draft.settings.coordinator.max_locks, 1, 10_000_000),
        "How many rows one branch may lock.").live(),
    key("server.maxBranches", Field::Count(|draft| &mut draft.settings.coordinator.max_branches, 1, 10_000_000),
        "How many branches one global transaction may have.").live(),
    key("server.history", Field::Count(|draft| &mut draft.settings.coordinator.history, 0, 100_000_000),
        "Of how many ended transactions the outcome is kept, about 100 bytes each."),
    key("server.idsPerBlock", Field::Own { unit: "number", read: ids_per_block,
        show: |draft| draft.settings.coordinator.ids_per_block.to_string() },
        "How many transaction and branch ids are taken from the store at once."),
    key("server.inbox", Field::Count(|draft| &mut draft.settings.coordinator.inbox, 1, 10_000_000),
        "How many commit and rollback requests may be on their way to phase two; more wait."  ),

    // Where records live.
    key("store.mode", Field::Own { unit: "journal, memory", read: store_mode, show: shown_store_mode },
        "journal (Java's file): what is acknowledged survives. memory: everything is forgotten at the end, for tests.")
        .java().variables(&["STORE_MODE"]),
    key("store.directory", Field::Path(|draft| &mut draft.directory),
        "The data directory: the journal and the console's password.").aliases(&["store.file.dir"]),

    // The HTTP port.
    key("console.bind", Field::Addresses(|draft| &mut draft.settings.console.bind),
        "Where the HTTP port of console, metrics and health listens.").otherwise("as server.bind"),
    key("console.port", Field::Own { unit: "port, off", read: console_port, show: shown_console_port },
        "The HTTP port; 0 for any free one, off for none."),
    key("server.port", Field::Own { unit: "port", read: http_port, show: |draft| shown(draft.http_port) },
        "Java's name of the HTTP port: the Seata port is then 1000 above it, unless server.servicePort says otherwise.")
        .java().otherwise("none"),
    key("console.user.username", Field::Own { unit: "text", read: console_user,
        show: |draft| draft.settings.console.user.clone() },
        "The console's user.").java(),
    key("console.user.password", Field::Text(|draft| &mut draft.settings.console.password),
        "The console's password. With store.mode memory nobody can log in unless it is set.").java().secret()
        .otherwise("made at random at the first start and kept in the data directory"),
    key("seata.security.secretKey", Field::Own { unit: "text", read: token_secret,
        show: |draft| draft.settings.console.token_secret.clone().unwrap_or_default() },
        "What signs the console's tokens; at least 32 bytes.").java().secret().otherwise("made at random at each start"),
    key("seata.security.tokenValidityInMilliseconds", Field::Time(|draft| &mut draft.settings.console.token_validity),
        "How long a token of the console is valid.").java(),
    key("console.tls.certificate", Field::Path(|draft| &mut draft.console_tls.certificate),
        "HTTPS: the certificate chain, PEM."),
    key("console.tls.key", Field::Path(|draft| &mut draft.console_tls.key), "HTTPS: the certificate's private key, PEM."),
    key("console.tls.clientAuthorities", Field::Path(|draft| &mut draft.console_tls.client_authorities),
        "HTTPS: the authorities of client certificates, PEM; a client without one is refused, a probe of /health too."),

    // The log.
    key("logging.level", Field::Own { unit: "level, list of name=level", read: log_level,
        show: |draft| draft.logging.level.clone() },
        "What is written to the log: off, error, warn, info, debug, trace, or a list such as info,seata_server=debug, in \
         which what is not named is written from warn on. What operators did is always written.")
        .live().variables(&["RUST_LOG"]),
    key("logging.format", Field::Own { unit: "text, json", read: log_format, show: shown_log_format },
        "How a line of the log is written."),
];

const fn key(name: &'static str, field: Field, meaning: &'static str) -> Key {
    Key {
        name,
        field,
        meaning,
        aliases: &[],
        variables: &[],
        otherwise: None,
        is_java: false,
        is_live: false,
        is_secret: false,
    }
}

impl Key {
    const fn java(mut self) -> Self {
        self.is_java = true;
        self
    }

    const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    const fn variables(mut self, names: &'static [&'static str]) -> Self {
        self.variables = names;
        self
    }

    const fn otherwise(mut self, default: &'static str) -> Self {
        self.otherwise = Some(default);
        self
    }

    /// What its values are: a unit, a form or the words there are.
    pub(super) fn unit(&self) -> &'static str {
        match self.field {
            Field::Flag(_) => "true, false",
            Field::Time(_) | Field::Limit(_) => "ms",
            Field::Seconds(_) => "s",
            Field::Count(..) => "number",
            Field::Bytes(..) => "bytes",
            Field::Port(_) => "port",
            Field::Text(_) => "text",
            Field::Path(_) => "path",
            Field::Addresses(_) => "list of addresses",
            Field::Own { unit, .. } => unit,
        }
    }

    /// Whether the TOML file may hold a list.
    pub(super) fn is_list(&self) -> bool {
        self.unit().contains("list")
    }

    /// Puts a value where it belongs.
    pub(super) fn read(&self, draft: &mut Draft, text: &str) -> Result<(), ValueError> {
        match self.field {
            Field::Flag(at) => *at(draft) = value::flag(text)?,
            Field::Time(at) => *at(draft) = positive(text)?,
            Field::Seconds(at) => *at(draft) = value::duration_in_seconds(text)?,
            Field::Limit(at) => *at(draft) = limit(text)?,
            Field::Count(at, least, most) => *at(draft) = value::number(text, least..=most)?,
            Field::Bytes(at, least, most) => *at(draft) = value::bytes(text, least..=most)?,
            Field::Port(at) => *at(draft) = value::number(text, 0..=u16::MAX)?,
            Field::Text(at) => *at(draft) = Some(value::name(text)?),
            Field::Path(at) => *at(draft) = Some(value::name(text)?.into()),
            Field::Addresses(at) => *at(draft) = addresses(text)?,
            Field::Own { read, .. } => read(draft, text)?,
        }
        Ok(())
    }

    /// The value as it could be written; secrets as they are.
    pub(super) fn show(&self, draft: &Draft) -> String {
        // One accessor both reads and writes; writing needs a copy here.
        let draft = &mut draft.clone();
        match self.field {
            Field::Flag(at) => at(draft).to_string(),
            Field::Time(at) => shown_time(*at(draft)),
            Field::Seconds(at) => match *at(draft) {
                time if time.subsec_nanos() == 0 => time.as_secs().to_string(),
                time => format!("{}ms", time.as_millis()),
            },
            Field::Limit(at) => at(draft).map_or_else(|| "-1".to_owned(), shown_time),
            Field::Count(at, ..) | Field::Bytes(at, ..) => at(draft).to_string(),
            Field::Port(at) => at(draft).to_string(),
            Field::Text(at) => at(draft).clone().unwrap_or_default(),
            Field::Path(at) => at(draft).as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            Field::Addresses(at) => at(draft).iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Field::Own { show, .. } => show(draft),
        }
    }
}

fn shown_time(time: Duration) -> String {
    time.as_millis().to_string()
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn positive(text: &str) -> Result<Duration, ValueError> {
    match value::duration(text)? {
        Duration::ZERO => Err(ValueError::new(text, "a time longer than zero")),
        time => Ok(time),
    }
}

fn limit(text: &str) -> Result<Option<Duration>, ValueError> {
    match text.trim() {
        "-1" => Ok(None),
        text => match positive(text) {
            Ok(time) => Ok(Some(time)),
            Err(error) => Err(ValueError::new(error.value, format!("{}; or -1 for never", error.expected))),
        },
    }
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, ValueError> {
    let refused = |part: &str| {
        ValueError::new(
            part,
            "addresses of this machine, such as 127.0.0.1, ::1 or 0.0.0.0, with commas between them",
        )
    };
    let parts = text.split(',').map(str::trim);
    parts
        .map(|part| {
            let inner = part.strip_prefix('[').and_then(|part| part.strip_suffix(']')).unwrap_or(part);
            inner.parse().map_err(|_| refused(part))
        })
        .collect()
}

fn lock_wait(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    const LONGEST: Duration = Duration::from_secs(10);
    let wait = value::duration(text)?;
    if wait > LONGEST {
        return Err(ValueError::new(text, "a time of at most 10 s: clients give a request up after 15 s"));
    }
    draft.settings.front.lock_wait = wait;
    Ok(())
}

fn retry_period(draft: &mut Draft, kind: usize, text: &str) -> Result<(), ValueError> {
    draft.retry_periods[kind] = Some(positive(text)?);
    Ok(())
}

fn shown_retry_period(draft: &Draft, kind: usize) -> String {
    shown_time(draft.retry_periods[kind].unwrap_or(draft.settings.coordinator.retry_period))
}

fn undo_log_save_days(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.settings.front.undo_log_save_days = value::number(text, 1..=i16::MAX)?;
    Ok(())
}

fn undo_log_delete_period(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.settings.front.undo_log_delete_period = value::duration(text)?;
    Ok(())
}

fn ids_per_block(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.settings.coordinator.ids_per_block = value::number(text, 1..=1 << 24)?;
    Ok(())
}

fn store_mode(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.settings.store.kind = match text.trim().to_lowercase().as_str() {
        "journal" | "file" => StoreKind::Journal,
        "memory" => StoreKind::Memory,
        "db" | "redis" | "raft" => {
            return Err(ValueError::new(
                text,
                "journal, which survives a crash and needs no database; this server has no store of that kind",
            ));
        }
        _ => return Err(ValueError::new(text, "journal (or Java's word for it, file) or memory")),
    };
    Ok(())
}

fn shown_store_mode(draft: &Draft) -> String {
    match draft.settings.store.kind {
        StoreKind::Journal => "journal".to_owned(),
        StoreKind::Memory => "memory".to_owned(),
    }
}

fn console_port(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.settings.console.port = match text.trim() {
        "off" => None,
        text => Some(
            value::number(text, 0..=u16::MAX)
                .map_err(|error| ValueError::new(error.value, format!("{}, or off", error.expected)))?,
        ),
    };
    Ok(())
}

fn shown_console_port(draft: &Draft) -> String {
    draft.settings.console.port.map_or_else(|| "off".to_owned(), |port| port.to_string())
}

fn http_port(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.http_port = Some(value::number(text, 0..=u16::MAX - 1_000)?);
    Ok(())
}

fn console_user(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.settings.console.user = value::name(text)?;
    Ok(())
}

fn token_secret(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    // It stands in the example that Java's server is shipped with.
    const PUBLIC: &str = "SeataSecretKey0c382ef121d778043159209298fd40bf3850a017";
    if text.len() < 32 {
        return Err(ValueError::new(text, "at least 32 bytes"));
    }
    if text == PUBLIC {
        return Err(ValueError::new(text, "a secret of your own: this one is public"));
    }
    draft.settings.console.token_secret = Some(text.to_owned());
    Ok(())
}

fn access_keys(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    let mut keys: Vec<AccessKey> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let parts =
            part.split_once('=').and_then(|(group, pair)| Some((group.trim(), pair.split_once(':')?)));
        let Some((group, (key, secret))) =
            parts.filter(|(group, (key, secret))| !group.is_empty() && !key.is_empty() && !secret.is_empty())
        else {
            return Err(ValueError::new(part, "group=key:secret, several with commas between them"));
        };
        let group = (group != "*").then(|| group.to_owned());
        if keys.iter().any(|known| known.group == group && known.key == key) {
            return Err(ValueError::new(part, "each key of a group once"));
        }
        keys.push(AccessKey { group, key: key.to_owned(), secret: secret.to_owned() });
    }
    draft.settings.front.access_keys = keys;
    Ok(())
}

fn shown_access_keys(draft: &Draft) -> String {
    let keys = draft.settings.front.access_keys.iter();
    let shown = keys.map(|AccessKey { group, key, secret }| {
        format!("{}={key}:{secret}", group.as_deref().unwrap_or("*"))
    });
    shown.collect::<Vec<_>>().join(",")
}

fn check_auth(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.check_auth = Some(value::flag(text)?);
    Ok(())
}

fn shown_check_auth(draft: &Draft) -> String {
    draft.check_auth.unwrap_or(!draft.settings.front.access_keys.is_empty()).to_string()
}

fn log_level(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    log_level::filter(text)?;
    draft.logging.level = text.trim().to_owned();
    Ok(())
}

fn log_format(draft: &mut Draft, text: &str) -> Result<(), ValueError> {
    draft.logging.format = value::choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
    Ok(())
}

fn shown_log_format(draft: &Draft) -> String {
    match draft.logging.format {
        LogFormat::Text => "text".to_owned(),
        LogFormat::Json => "json".to_owned(),
    }
}
