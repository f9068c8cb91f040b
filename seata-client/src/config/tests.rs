//! What a file and the environment come to.

use std::{collections::HashMap, time::Duration};

use seata_context::DegradeCheck;
use seata_protocol::{Codec, Compressor};

use super::{Config, ConfigError};
use crate::{LoadBalance, Settings};

fn refusal(text: &str) -> String {
    Config::from_toml(text).expect_err(text).to_string()
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Config::from_toml_with(text, |name| variables.get(name).map(|value| (*value).to_owned()))
}

fn servers(config: &Config) -> Vec<String> {
    let cluster = config.settings.services.resolve(&config.tx_service_group).expect("the group has servers");
    cluster.servers.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_said_is_every_default() {
    let config = Config::from_toml("").expect("an empty file");
    let Config { application_id, tx_service_group, settings, degrade_check, unused, .. } = config;
    let default = Settings::new(crate::Services::new());
    assert_eq!((application_id, tx_service_group.as_str()), (None, "default_tx_group"));
    assert_eq!(format!("{settings:?}"), format!("{default:?}"));
    assert_eq!((degrade_check, unused), (None, Vec::<String>::new()));
    assert_eq!(
        (config.default_timeout, config.commit_attempts, config.rollback_attempts),
        (None, None, None)
    );
}

#[test]
fn every_key_reaches_its_setting() {
    let config = Config::from_toml(
        r#"
        seata.application-id = "order"
        seata.tx-service-group = "orders"
        seata.accesskey = "key"
        seata.secretkey = "secret"
        service.vgroupMapping.orders = "eu.west"
        service."eu.west".grouplist = ["tc-1:8091", "tc-2:8091"]

        [client]
        loadBalance = { type = "ConsistentHashLoadBalance", virtualNodes = 7 }
        tm.degradeCheck = true
        tm.degradeCheckPeriod = "3s"
        tm.degradeCheckAllowTimes = "4"
        tm.defaultGlobalTransactionTimeout = 90000
        tm.commitRetryCount = 6
        tm.rollbackRetryCount = 7

        [transport]
        rpcTmRequestTimeout = "1m"
        rpcRmRequestTimeout = 2500
        serialization = "seata"
        compressor = "NONE"
        heartbeat = true
        enableRmClientBatchSendRequest = true
        waitForServer = 0
        connectTimeout = "2s"
        heartbeatInterval = "3s"
        idleTimeout = "9s"
        reconnectFirst = "50ms"
        reconnectMax = "20s"
        maxRequestsInFlight = 11
        maxOutgoingBytes = 12
        phaseTwoConcurrency = 13
        phaseTwoQueue = 14
        phaseTwoCallLimit = "15s"
        "#,
    )
    .expect("a good file");
    assert_eq!(config.application_id.as_deref(), Some("order"));
    assert_eq!(servers(&config), ["tc-1:8091", "tc-2:8091"]);
    assert_eq!(config.degrade_check, Some(DegradeCheck { period: Duration::from_secs(3), allowed_times: 4 }));
    assert_eq!(config.default_timeout, Some(Duration::from_secs(90)));
    assert_eq!((config.commit_attempts, config.rollback_attempts), (Some(6), Some(7)));
    assert!(config.unused.is_empty());

    let settings = config.settings;
    let credentials = settings.credentials.expect("both keys are given");
    assert_eq!((credentials.access_key.as_str(), credentials.secret_key.as_str()), ("key", "secret"));
    assert_eq!(settings.load_balance, LoadBalance::ConsistentHash { virtual_nodes: 7 });
    assert_eq!(settings.transaction_request_timeout, Duration::from_secs(60));
    assert_eq!(settings.branch_request_timeout, Duration::from_millis(2_500));
    assert_eq!((settings.codec, settings.compressor), (Codec::Seata, Compressor::None));
    assert!(settings.merge_requests);
    assert_eq!(settings.wait_for_server, Duration::ZERO);
    assert_eq!(settings.connect_timeout, Duration::from_secs(2));
    assert_eq!((settings.heartbeat, settings.idle), (Duration::from_secs(3), Duration::from_secs(9)));
    assert_eq!(settings.reconnect.first, Duration::from_millis(50));
    assert_eq!(settings.reconnect.max, Duration::from_secs(20));
    assert_eq!((settings.max_requests_in_flight, settings.max_outgoing_bytes), (11, 12));
    assert_eq!((settings.phase_two_concurrency, settings.phase_two_queue), (13, 14));
    assert_eq!(settings.phase_two_call_limit, Duration::from_secs(15));
}

#[test]
fn a_list_of_servers_is_written_as_java_s() {
    let config = Config::from_toml(
        "service.vgroupMapping.default_tx_group = 'default'\nservice.default.grouplist = ' a:1; b:2 ;'",
    );
    assert_eq!(servers(&config.expect("a good file")), ["a:1", "b:2"]);
}

#[test]
fn the_older_name_of_merging_gives_way_to_the_newer() {
    let merges = |text: &str| Config::from_toml(text).expect(text).settings.merge_requests;
    assert!(merges("transport.enableClientBatchSendRequest = true"));
    assert!(!merges(
        "transport.enableClientBatchSendRequest = true\ntransport.enableRmClientBatchSendRequest = false"
    ));
}

#[test]
fn what_has_no_effect_is_listed() {
    let config = Config::from_toml(
        "client.undo.logTable = 'undo_log'\nstore.mode = 'file'\ntransport.heartbeat = false\nregistry.type = 'file'",
    );
    assert_eq!(
        config.expect("known keys").unused,
        ["client.undo.logTable", "store.mode", "transport.heartbeat"]
    );
}

/// Java has a switch for each role, and either stops the start.
#[test]
fn a_start_without_a_server_takes_both_switches() {
    let (tm, rm) =
        ("transport.enableTmClientChannelCheckFailFast", "transport.enableRmClientChannelCheckFailFast");
    let starts = |text: String| {
        let config = Config::from_toml(&text).expect("known keys");
        (config.settings.start_without_server, config.unused)
    };
    assert_eq!(starts(format!("{tm} = false\n{rm} = false")), (true, vec![]));
    assert_eq!(starts(format!("{tm} = true\n{rm} = true")), (false, vec![]));
    assert_eq!(starts(format!("{tm} = false")), (false, vec![tm.to_owned()]));
    assert_eq!(starts(format!("{tm} = true\n{rm} = false")), (false, vec![rm.to_owned()]));
}

#[test]
fn a_mistake_is_named_with_what_was_found_and_what_would_do() {
    for (text, expected) in [
        (
            "transport.rpcTmRequestTimeOut = 1",
            "unknown key transport.rpcTmRequestTimeOut; did you mean transport.rpcTmRequestTimeout?",
        ),
        ("colour = 'red'", "unknown key colour"),
        (
            "transport.rpcTmRequestTimeout = '5 sec'",
            "transport.rpcTmRequestTimeout is \"5 sec\": expected a length of time: a number with ms, s, m, h or d, \
             or of milliseconds",
        ),
        (
            "transport.connectTimeout = 0",
            "transport.connectTimeout is \"0\": expected a time longer than zero",
        ),
        (
            "transport.maxRequestsInFlight = -1",
            "transport.maxRequestsInFlight is \"-1\": expected a whole number from 1 to 2147483647",
        ),
        ("client.tm.degradeCheck = 'on'", "client.tm.degradeCheck is \"on\": expected true or false"),
        (
            "client.loadBalance.type = 'Fastest'",
            "client.loadBalance.type is \"Fastest\": expected one of XID, RandomLoadBalance, \
             RoundRobinLoadBalance, LeastActiveLoadBalance, ConsistentHashLoadBalance",
        ),
        (
            "client.loadBalance.type = ['XID']",
            "client.loadBalance.type is \"a list\": expected a single value",
        ),
        (
            "transport.heartbeatInterval = '20s'",
            "transport.heartbeatInterval is \"20s\": expected a time shorter than transport.idleTimeout (15s)",
        ),
        (
            "application-id = ' '",
            "application-id is \" \": expected a name; leave the key out for the default",
        ),
        ("seata.accesskey = 'key'", "seata.accesskey is given without seata.secretkey: they belong together"),
        ("seata.secretkey = 'key'", "seata.secretkey is given without seata.accesskey: they belong together"),
        (
            "application-id = 'a'\nseata.application-id = 'a'",
            "application-id is given twice, the second time as seata.application-id: leave one out",
        ),
        (
            "service.default.grouplist = 'a:1'\n\"service.default.grouplist\" = 'b:1'",
            "service.default.grouplist is given twice, the second time as service.default.grouplist: leave one out",
        ),
        (
            "registry.type = 'nacos'",
            "registry.type is \"nacos\", which this client cannot do: list the servers under \
             service.<cluster>.grouplist, and write \"file\" or nothing here",
        ),
        (
            "client.loadBalance.virtualNodes = 2000000000",
            "client.loadBalance.virtualNodes is \"2000000000\": expected a whole number from 1 to 10000",
        ),
        (
            "seata.enabled = false",
            "seata.enabled is \"false\", which this client cannot do: leave the coordinator out of the application \
             instead, or use client.tm.degradeCheck",
        ),
        (
            "service.disableGlobalTransaction = true",
            "service.disableGlobalTransaction is \"true\", which this client cannot do: leave the coordinator out \
             of the application instead, or use client.tm.degradeCheck",
        ),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn a_serialization_or_compressor_that_cannot_be_written_is_refused_at_once() {
    let error = refusal("transport.serialization = 'hessian'");
    assert!(
        error.starts_with("transport.serialization is \"hessian\", which this client cannot do: "),
        "{error}"
    );
    let error = refusal("transport.compressor = 'sevenz'");
    assert!(
        error.starts_with("transport.compressor is \"sevenz\", which this client cannot do: "),
        "{error}"
    );
    assert!(refusal("transport.compressor = 'rar'").contains("expected one of none, gzip"));
}

#[test]
fn text_that_is_no_toml_is_shown_with_its_line() {
    let error = refusal("a = 1\nservice.default.grouplist 127.0.0.1:8091");
    assert!(error.starts_with("the configuration is not TOML: ") && error.contains("line 2"), "{error}");
}

#[test]
fn the_environment_stands_above_the_file() {
    let file = "transport.rpcTmRequestTimeout = '10s'\nservice.vgroupMapping.default_tx_group = 'a'\n\
                service.a.grouplist = 'file:8091'";
    let config = with_environment(
        file,
        &[
            ("TRANSPORT_RPCTMREQUESTTIMEOUT", "3s"),
            ("transport.rpcRmRequestTimeout", "4s"),
            ("SERVICE_VGROUPMAPPING_ORDERS", "b"),
            ("SERVICE_B_GROUPLIST", "environment:8091"),
            ("SEATA_TX_SERVICE_GROUP", "orders"),
            ("APPLICATION_ID", ""),
        ],
    )
    .expect("good variables");
    assert_eq!(config.settings.transaction_request_timeout, Duration::from_secs(3));
    assert_eq!(config.settings.branch_request_timeout, Duration::from_secs(4));
    assert_eq!(config.tx_service_group, "orders");
    assert_eq!(config.application_id, None, "an empty variable counts as unset");
    assert_eq!(servers(&config), ["environment:8091"]);

    let replaced =
        with_environment(file, &[("SERVICE_A_GROUPLIST", "environment:8091")]).expect("a good variable");
    assert_eq!(servers(&replaced), ["environment:8091"]);

    let error = with_environment(file, &[("TRANSPORT_RPCTMREQUESTTIMEOUT", "soon")]).expect_err("no time");
    assert!(error.to_string().starts_with("transport.rpcTmRequestTimeout is \"soon\""), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read("/nowhere/seata.toml").expect_err("no such file");
    assert!(error.to_string().starts_with("cannot read the configuration /nowhere/seata.toml: "), "{error}");
}
