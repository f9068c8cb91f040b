//! The keys of a configuration: those that are read, those of Java that are known and not used, and the
//! nearest of them to a slip.

use seata_config::{camel_case, is_like};

use super::ConfigError;

/// The keys that are read, beside [`GROUP_PREFIX`] and [`server_list_key`].
pub(super) const READ: &[&str] = &[
    "application-id",
    "client.loadBalance.type",
    "client.loadBalance.virtualNodes",
    "client.tm.commitRetryCount",
    "client.tm.defaultGlobalTransactionTimeout",
    "client.tm.degradeCheck",
    "client.tm.degradeCheckAllowTimes",
    "client.tm.degradeCheckPeriod",
    "client.tm.rollbackRetryCount",
    "config.type",
    "registry.type",
    "seata.accesskey",
    "seata.application-id",
    "seata.enabled",
    "seata.secretkey",
    "seata.tx-service-group",
    "service.disableGlobalTransaction",
    "transport.compressor",
    "transport.connectTimeout",
    "transport.enableClientBatchSendRequest",
    "transport.enableRmClientBatchSendRequest",
    "transport.enableRmClientChannelCheckFailFast",
    "transport.enableTmClientBatchSendRequest",
    "transport.enableTmClientChannelCheckFailFast",
    "transport.heartbeat",
    "transport.heartbeatInterval",
    "transport.idleTimeout",
    "transport.maxOutgoingBytes",
    "transport.maxRequestsInFlight",
    "transport.phaseTwoCallLimit",
    "transport.phaseTwoConcurrency",
    "transport.phaseTwoQueue",
    "transport.protocol",
    "transport.reconnectFirst",
    "transport.reconnectMax",
    "transport.rpcRmRequestTimeout",
    "transport.rpcTmRequestTimeout",
    "transport.serialization",
    "transport.waitForServer",
    "tx-service-group",
];

/// `service.vgroupMapping.<group>` names the group's cluster.
pub(super) const GROUP_PREFIX: &str = "service.vgroupMapping.";

/// `service.<cluster>.grouplist` lists the cluster's servers.
pub(super) fn server_list_key(cluster: &str) -> String {
    format!("service.{cluster}.grouplist")
}

/// The cluster of `service.<cluster>.grouplist`.
pub(super) fn server_list_cluster(key: &str) -> Option<&str> {
    key.strip_prefix("service.")?.strip_suffix(".grouplist").filter(|cluster| !cluster.is_empty())
}

/// Keys of the Java client that say nothing to this one.
const UNUSED: &[&str] = &[
    "client.http.interceptor-enabled",
    "client.metadataMaxAgeMs",
    "client.rm.applicationDataLimit",
    "client.rm.applicationDataLimitCheck",
    "client.rm.asyncCommitBufferLimit",
    "client.rm.branchExecutionTimeoutXA",
    "client.rm.connectionTwoPhaseHoldTimeoutXA",
    "client.rm.lock.retryInterval",
    "client.rm.lock.retryPolicyBranchRollbackOnConflict",
    "client.rm.lock.retryTimes",
    "client.rm.reportRetryCount",
    "client.rm.reportSuccessEnable",
    "client.rm.sagaBranchRegisterEnable",
    "client.rm.sagaCompensatePersistModeUpdate",
    "client.rm.sagaJsonParser",
    "client.rm.sagaRetryPersistModeUpdate",
    "client.rm.sqlParserType",
    "client.rm.tableMetaCheckEnable",
    "client.rm.tableMetaCheckerInterval",
    "client.rm.tccActionInterceptorOrder",
    "client.tm.interceptorOrder",
    "client.undo.compress.enable",
    "client.undo.compress.threshold",
    "client.undo.compress.type",
    "client.undo.dataValidation",
    "client.undo.logSerialization",
    "client.undo.logTable",
    "client.undo.onlyCareUpdateColumns",
    "log.exceptionRate",
    "seata.data-source-proxy-mode",
    "tcc.contextJsonParserType",
    "tcc.fence.cleanPeriod",
    "tcc.fence.logTableName",
    "transport.enableTcServerBatchSendResponse",
    "transport.rpcTcRequestTimeout",
    "transport.server",
    "transport.shutdown.wait",
    "transport.type",
];

/// Whole families that belong to Java's threads, to its discovery, or to the server.
const UNUSED_FAMILIES: &[&str] =
    &["config.", "console.", "metrics.", "registry.", "server.", "store.", "transport.threadFactory."];

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Read,
    Unused,
}

/// Looks a key up.
///
/// # Errors
/// [`ConfigError::UnknownKey`] with the nearest known key.
pub(super) fn role(key: &str) -> Result<Role, ConfigError> {
    let group = key.strip_prefix(GROUP_PREFIX).is_some_and(|group| !group.is_empty());
    if group || server_list_cluster(key).is_some() || READ.contains(&key) {
        return Ok(Role::Read);
    }
    if UNUSED.contains(&key) || UNUSED_FAMILIES.iter().any(|family| key.starts_with(family)) {
        return Ok(Role::Unused);
    }
    Err(ConfigError::UnknownKey { key: key.to_owned(), nearest: nearest(key) })
}

/// The known key that was probably meant.
fn nearest(key: &str) -> Option<String> {
    let spelled = camel_case(key.strip_prefix("seata.").unwrap_or(key));
    if let Some(service) = spelled.strip_prefix("service.")
        && let Some(meant) = nearest_of_service(service)
    {
        return Some(meant);
    }
    seata_config::nearest(key, READ.iter().chain(UNUSED).copied()).map(str::to_owned)
}

/// The two keys that hold names of the user's own, one of them the other way round in Spring's files.
fn nearest_of_service(rest: &str) -> Option<String> {
    let (first, names) = rest.split_once('.')?;
    let (cluster, last) = rest.rsplit_once('.')?;
    if is_like(first, "vgroupMapping") {
        return Some(format!("{GROUP_PREFIX}{names}"));
    }
    if is_like(first, "grouplist") {
        return Some(server_list_key(names));
    }
    is_like(last, "grouplist").then(|| server_list_key(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_key_that_was_meant() {
        for (slip, meant) in [
            ("client.loadbalance.type", "client.loadBalance.type"),
            ("client.loadBalance.typ", "client.loadBalance.type"),
            ("transport.rpcTmRequestTimeOut", "transport.rpcTmRequestTimeout"),
            ("seata.transport.rpc-rm-request-timeout", "transport.rpcRmRequestTimeout"),
            ("seata.accessKey", "seata.accesskey"),
            ("seata.secret-key", "seata.secretkey"),
            ("txServiceGroup", "tx-service-group"),
            ("service.vgroup_mapping.shop", "service.vgroupMapping.shop"),
            ("seata.service.vgroup-mapping.default_tx_group", "service.vgroupMapping.default_tx_group"),
            ("seata.service.grouplist.default", "service.default.grouplist"),
            ("service.default.groupList", "service.default.grouplist"),
            ("client.undo.logTabel", "client.undo.logTable"),
        ] {
            let Err(ConfigError::UnknownKey { nearest, .. }) = role(slip) else { panic!("{slip} is known") };
            assert_eq!(nearest.as_deref(), Some(meant), "{slip}");
        }
        let Err(ConfigError::UnknownKey { nearest, .. }) = role("colour") else { panic!("colour is known") };
        assert_eq!(nearest, None);
    }

    #[test]
    fn names_of_the_users_own_may_hold_dots_and_words_of_ours() {
        assert_eq!(server_list_cluster("service.eu.west.grouplist"), Some("eu.west"));
        for key in ["service.vgroupMapping.a.b", "service.vgroupMapping.grouplist", "service.a.grouplist"] {
            assert_eq!(role(key).expect(key), Role::Read, "{key}");
        }
        assert!(role("service.vgroupMapping.").is_err());
    }

    #[test]
    fn what_belongs_to_the_server_or_to_java_is_known_and_not_used() {
        for key in [
            "store.mode",
            "server.recovery.committingRetryPeriod",
            "client.undo.logTable",
            "registry.nacos.group",
        ] {
            assert_eq!(role(key).expect(key), Role::Unused, "{key}");
        }
    }
}
