//! Keys of Java's configurations that are not read here, and what becomes of them.

/// A key, or with a dot at its end a family of keys, that is accepted and has no effect.
pub(super) const UNUSED: &[(&str, &str)] = &[
    ("client.", "says something to clients"),
    ("log.exceptionRate", "every failure is counted, and written once"),
    ("logging.config", "the log goes to the standard error; see logging.level and logging.format"),
    ("logging.extend.", "the log goes to the standard error; see logging.level and logging.format"),
    ("logging.file.", "the log goes to the standard error; see logging.level and logging.format"),
    ("logging.level.", "write logging.level = \"info,name=debug\""),
    ("management.", "metrics and health stand on the console's port"),
    ("metrics.enabled", "counting costs next to nothing and is always on"),
    ("metrics.exporterList", "/metrics is Prometheus's text"),
    ("metrics.exporterPrometheusPort", "/metrics stands on the console's port"),
    ("metrics.registryType", "there is one"),
    ("registry.preferredNetworks", "server.host says which address stands in XIDs"),
    ("rocketmq.", "says something to clients"),
    ("seata.security.csrf-ignore-urls", "the API takes a token in a header, never a cookie"),
    ("seata.security.csrfIgnoreUrls", "the API takes a token in a header, never a cookie"),
    ("seata.security.ignore.", "which paths need a token is fixed"),
    ("server.distributedLockExpireTime", "one process owns its store"),
    (
        "server.enableParallelHandleBranch",
        "resources are asked beside each other, as server.callsPerResource says",
    ),
    ("server.enableParallelRequestHandle", "requests are always handled beside each other"),
    ("server.endStateRetryDeadThreshold", "a transaction that ended is never kept among the open ones"),
    ("server.http.", "the HTTP port has no pools to set"),
    ("server.raft.", "there is one server; its journal survives a crash"),
    ("server.ratelimit.", "see server.maxConnections and server.maxRequestsPerConnection"),
    ("server.recovery.endstatusRetryPeriod", "a transaction that ended is never kept among the open ones"),
    ("server.retryDeadThreshold", "what is open is never thought dead"),
    ("server.rocketmqMsgTimeout", "Java's server does not read it either"),
    ("server.session.", "branches are removed with the step that ends them"),
    ("server.undo.", "only logSaveDays and logDeletePeriod say something"),
    ("service.", "says something to clients"),
    ("spring.", "belongs to Java's framework"),
    ("store.db.", "there is no database"),
    ("store.file.", "the journal flushes before it acknowledges, and keeps its file small by itself"),
    ("store.publicKey", "there is no database, and so no password of one"),
    ("store.redis.", "there is no Redis"),
    ("tcc.", "says something to clients"),
    ("transport.compressor", "an answer is compressed as its request was"),
    ("transport.enableClientBatchSendRequest", "says something to clients"),
    ("transport.enableRmClientBatchSendRequest", "says something to clients"),
    ("transport.enableRmClientChannelCheckFailFast", "says something to clients"),
    ("transport.enableTmClientBatchSendRequest", "says something to clients"),
    ("transport.enableTmClientChannelCheckFailFast", "says something to clients"),
    ("transport.heartbeat", "always on; see server.idleTimeout"),
    ("transport.keepAliveTime", "there are no thread pools"),
    ("transport.maxBranchResultPoolSize", "there are no thread pools"),
    ("transport.maxServerPoolSize", "there are no thread pools"),
    ("transport.maxTaskQueueSize", "see server.maxRequestsPerConnection"),
    ("transport.minBranchResultPoolSize", "there are no thread pools"),
    ("transport.minServerPoolSize", "there are no thread pools"),
    ("transport.rpcRmRequestTimeout", "says something to clients"),
    ("transport.rpcTmRequestTimeout", "says something to clients"),
    ("transport.serialization", "bodies in seata and protobuf are read, and answered likewise"),
    ("transport.server", "sockets are the system's best"),
    ("transport.threadFactory.", "there are no thread pools"),
    ("transport.type", "always TCP"),
];

/// A key that only one of its values agrees with.
pub(super) struct Fixed {
    pub(super) name: &'static str,
    /// What may stand there, without effect.
    pub(super) accepted: &'static [&'static str],
    /// What to do instead of another value.
    pub(super) instead: &'static str,
    /// A variable of Java's for it.
    pub(super) variable: Option<&'static str>,
}

pub(super) const FIXED: &[Fixed] = &[
    Fixed {
        name: "config.type",
        accepted: &["file"],
        instead: "put the keys into this file, and write \"file\" or nothing here",
        variable: None,
    },
    Fixed {
        name: "registry.type",
        accepted: &["file"],
        instead: "this server registers nowhere: list its address under service.<cluster>.grouplist in the clients' \
                  configuration, and write \"file\" or nothing here",
        variable: None,
    },
    Fixed {
        name: "store.lock.mode",
        accepted: &["file", "journal"],
        instead: "locks live where transactions do: set store.mode alone",
        variable: Some("LOCK_STORE_MODE"),
    },
    Fixed {
        name: "store.session.mode",
        accepted: &["file", "journal"],
        instead: "sessions live where locks do: set store.mode alone",
        variable: Some("SESSION_STORE_MODE"),
    },
    Fixed {
        name: "transport.protocol",
        accepted: &["seata"],
        instead: "it speaks Seata's own protocol and no gRPC: write \"seata\" or nothing here and in the clients' \
                  configuration",
        variable: None,
    },
];

/// Families of which only the type says something, and that only if it is not `file`.
pub(super) const AFTER_FIXED: &[(&str, &str)] = &[
    ("config.", "the configuration is this file"),
    (
        "registry.",
        "this server registers nowhere: clients list its address under service.<cluster>.grouplist",
    ),
];

/// Variables of Java's server that have no effect, its flags that say the same, and why.
pub(super) const UNUSED_VARIABLES: &[(&str, &str, &str)] = &[
    ("SERVER_NODE", "-n", "there is no cluster whose nodes are told apart by number"),
    ("SEATA_ENV", "-e", "it names one of several configuration files: say --config FILE"),
];

/// Why a key of Java's has no effect, if it is one.
pub(super) fn unused(key: &str) -> Option<&'static str> {
    let is_it = |known: &str| known == key || (known.ends_with('.') && key.starts_with(known));
    UNUSED.iter().chain(AFTER_FIXED).find(|(known, _)| is_it(known)).map(|(_, why)| *why)
}
