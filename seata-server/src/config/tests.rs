//! What the sources come to.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use crate::{address::AddressError, settings::StoreKind};

use super::{Config, ConfigError, Sources, pages, table::KEYS};

fn read(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("seata.toml");
    fs::write(&path, file).expect("written");
    Config::read(&sources(&path, variables, flags))
}

fn sources(path: &Path, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        file: Some(path.to_owned()),
        variables: variables.iter().map(owned).collect(),
        flags: flags.iter().map(owned).map(|(key, value)| ("--set".into(), key, value)).collect(),
    }
}

fn refusal(file: &str) -> String {
    read(file, &[], &[]).expect_err(file).to_string()
}

fn value(config: &Config, key: &str) -> String {
    config.printed().into_iter().find(|setting| setting.key == key).expect(key).value
}

#[test]
fn nothing_said_is_every_default() {
    let config = Config::read(&Sources::default()).expect("defaults");
    assert_eq!((config.settings.front.port, config.settings.console.port), (8091, Some(7091)));
    assert_eq!(config.settings.front.host.as_deref(), Some("127.0.0.1"));
    assert_eq!(config.settings.store.kind, StoreKind::Journal);
    assert!(
        config.settings.front.bind.iter().chain(&config.settings.console.bind).all(|ip| ip.is_loopback())
    );
    assert!(config.notes.is_empty());
    assert!(config.printed().iter().all(|setting| setting.from == "default"));
}

#[test]
fn every_key_is_read_back_as_it_is_shown() {
    for key in KEYS {
        let text = match key.unit() {
            "ms" | "number" | "days" | "s" => "7".to_owned(),
            "bytes" => (32 << 20).to_string().chars().take(7).collect(),
            "port" | "port, off" => "5001".to_owned(),
            "true, false" => "true".to_owned(),
            "list of addresses" => "127.0.0.2,::1".to_owned(),
            "list of group=key:secret" => "shop=key:secret,*=other:hidden".to_owned(),
            "journal, memory" => "memory".to_owned(),
            "text, json" => "json".to_owned(),
            "level, list of name=level" => "warn,seata_server=debug".to_owned(),
            _ => "a-text-that-is-long-enough-for-a-secret".to_owned(),
        };
        let text = if key.name == "server.maxBufferedBytes" { "33554432".to_owned() } else { text };
        let mut draft = super::Draft::default();
        key.read(&mut draft, &text).unwrap_or_else(|error| panic!("{}: {error}", key.name));
        assert_eq!(key.show(&draft), text, "{}", key.name);
    }
}

#[test]
fn a_flag_goes_before_a_variable_and_a_variable_before_the_file() {
    let file = "server.servicePort = 1\nserver.maxLocks = 11\nserver.inbox = 111";
    let variables = [("SEATA_PORT", "2"), ("SEATA_SERVER_MAXLOCKS", "22")];
    let config = read(file, &variables, &[("server.servicePort", "3")]).expect("good");
    assert_eq!(value(&config, "server.servicePort"), "3");
    assert_eq!(
        (value(&config, "server.maxLocks"), value(&config, "server.inbox")),
        ("22".into(), "111".into())
    );
    let from = |key: &str| config.printed().into_iter().find(|setting| setting.key == key).expect(key).from;
    assert_eq!(from("server.servicePort"), "--set");
    assert_eq!(from("server.maxLocks"), "environment variable SEATA_SERVER_MAXLOCKS");
    assert!(from("server.inbox").ends_with("seata.toml:3"), "{}", from("server.inbox"));
}

#[test]
fn every_key_has_a_variable_but_the_one_that_kubernetes_sets() {
    for key in KEYS.iter().filter(|key| key.name != "server.port") {
        let names = super::variables_of(key);
        assert!(names[0].starts_with("SEATA_SERVER_"), "{}", key.name);
        assert!(!super::is_of_kubernetes(&names[0]), "{}", key.name);
    }
    let variables = [("SEATA_SERVER_PORT", "tcp://10.0.0.1:8091"), ("SEATA_SERVER_SERVICE_PORT", "8091")];
    let config = read("", &variables, &[]).expect("good");
    assert!(config.notes.is_empty(), "{:?}", config.notes);
    let config = read("", &[("SEATA_SERVER_MAXLOCK", "1")], &[]).expect("good");
    assert!(config.notes[0].contains("did you mean SEATA_SERVER_MAXLOCKS?"), "{:?}", config.notes);
    let config = read("", &[("SEATA_SERVER_COLOUR", "1")], &[]).expect("good");
    assert!(config.notes[0].ends_with("no such setting"), "{:?}", config.notes);
    assert!(!refusal("server.colour = 1").contains("did you mean"), "{}", refusal("server.colour = 1"));
}

#[test]
fn a_port_that_kubernetes_sets_is_none() {
    let link = "tcp://10.0.0.1:8091";
    for (name, key, value_of_it) in [
        ("SEATA_PORT", "server.servicePort", "8091"),
        ("SEATA_SERVER_SERVICEPORT", "server.servicePort", "8091"),
        ("SEATA_CONSOLE_PORT", "console.port", "7091"),
        ("SEATA_SERVER_CONSOLE_PORT", "console.port", "7091"),
    ] {
        let config = read("", &[(name, link)], &[]).expect(name);
        assert_eq!(value(&config, key), value_of_it, "{name}");
        assert!(
            config.notes[0].contains(name) && config.notes[0].contains("Kubernetes"),
            "{:?}",
            config.notes
        );
    }
    let config = read("", &[("SEATA_SERVER_SERVICEPORT", link), ("SEATA_PORT", "9")], &[]).expect("good");
    assert_eq!(value(&config, "server.servicePort"), "9", "the next one that says something");
    let error = read("", &[("SEATA_PORT", "http://10.0.0.1")], &[]).expect_err("no port").to_string();
    assert!(error.contains("SEATA_PORT") && error.contains("65535"), "{error}");
}

#[test]
fn javas_keys_do_in_all_their_spellings() {
    for file in [
        "server.maxCommitRetryTimeout = 5000",
        "seata.server.maxCommitRetryTimeout = '5s'",
        "[seata.server]\nmax-commit-retry-timeout = 5000",
    ] {
        let config = read(file, &[], &[]).expect(file);
        let limit = config.settings.coordinator.retry_limits.commit;
        assert_eq!(limit, Some(Duration::from_secs(5)), "{file}");
    }
    let twice = "server.maxLocks = 1\nseata.server.max-locks = 2";
    assert!(refusal(twice).contains("server.maxLocks is given twice"), "{}", refusal(twice));
    let never = read("server.maxCommitRetryTimeout = -1", &[], &[]).expect("never");
    assert_eq!(never.settings.coordinator.retry_limits.commit, None);
    let config = read("security.secretKey = '0123456789012345678901234567890123456789'", &[], &[]);
    assert!(config.expect("good").settings.console.token_secret.is_some());
}

#[test]
fn javas_ports_and_periods_mean_what_they_mean_there() {
    let front_and_console = |file: &str| {
        let settings = read(file, &[], &[]).expect(file).settings;
        (settings.front.port, settings.console.port)
    };
    assert_eq!(front_and_console("server.port = 7092"), (8092, Some(7092)));
    assert_eq!(front_and_console("server.port = 7092\nserver.servicePort = 9000"), (9000, Some(7092)));
    assert_eq!(front_and_console("console.port = 'off'"), (8091, None));
    let file = "server.recovery.committingRetryPeriod = 3000\nserver.recovery.rollbackingRetryPeriod = 2000";
    let period = read(file, &[], &[]).expect("good").settings.coordinator.retry_period;
    assert_eq!(period, Duration::from_secs(2));
    let stop = |file: &str| read(file, &[], &[]).expect(file).settings.stop_limit;
    assert_eq!(stop("transport.shutdown.wait = 3"), Duration::from_secs(3));
    assert_eq!(stop("transport.shutdown.wait = '300ms'"), Duration::from_millis(300));
}

#[test]
fn what_follows_from_another_key_says_so() {
    let from = |file: &str, key: &str| {
        let printed = read(file, &[], &[]).expect(file).printed();
        printed.into_iter().find(|setting| setting.key == key).expect(key).from
    };
    for (file, key, other) in [
        ("server.port = 7092", "console.port", "server.port"),
        ("server.port = 7092", "server.servicePort", "server.port"),
        ("server.bind = '10.0.0.1'", "console.bind", "server.bind"),
        ("server.bind = '10.0.0.1'", "server.host", "server.bind"),
        ("server.accessKeys = 'a=b:c'", "server.enableCheckAuth", "server.accessKeys"),
        (
            "server.recovery.rollbackingRetryPeriod = 5",
            "server.recovery.committingRetryPeriod",
            "server.recovery.rollbackingRetryPeriod",
        ),
        (
            "server.recovery.committingRetryPeriod = '2m'",
            "server.recovery.maxRetryPeriod",
            "server.recovery.committingRetryPeriod",
        ),
    ] {
        assert_eq!(from(file, key), format!("follows from {other}"), "{file}");
        assert_eq!(from("", key), "default");
    }
    assert!(from("server.port = 7092\nconsole.port = 1", "console.port").ends_with("seata.toml:2"));
}

#[test]
fn what_does_not_hold_as_it_stands_is_told() {
    for (file, parts) in [
        (
            "server.recovery.committingRetryPeriod = 9\nserver.recovery.rollbackingRetryPeriod = 5",
            &["committingRetryPeriod: no effect", "rollbackingRetryPeriod is shorter"][..],
        ),
        (
            "server.recovery.maxRetryPeriod = 5\nserver.recovery.committingRetryPeriod = 6",
            &["maxRetryPeriod: no effect", "committingRetryPeriod is longer"],
        ),
        ("server.applicationDataLimit = 5", &["applicationDataLimit: no effect", "Check is off"]),
        // Java's default, which stands in many a file.
        (
            "server.enableCheckAuth = true",
            &["enableCheckAuth: no effect", "server.accessKeys = [", "everybody may register"],
        ),
        ("server.idleTimeout = '14s'", &["server.idleTimeout", "below 15 s", "each 10 s"]),
    ] {
        let notes = read(file, &[], &[]).expect(file).notes;
        assert!(parts.iter().all(|part| notes.iter().any(|note| note.contains(part))), "{file}: {notes:?}");
    }
    let javas = "server.recovery.committingRetryPeriod = 1000\nserver.recovery.rollbackingRetryPeriod = 1000\n\
                 server.applicationDataLimit = 64000\nserver.applicationDataLimitCheck = false";
    assert!(read(javas, &[], &[]).expect("good").notes.is_empty());
    assert!(read("server.idleTimeout = '15s'", &[], &[]).expect("good").notes.is_empty());
}

#[test]
fn an_address_that_is_not_there_yet_is_told_and_is_no_mistake() {
    let everywhere: IpAddr = "0.0.0.0".parse().expect("an address");
    let mut draft = super::Draft::default();
    let missing = AddressError::NotFound { bind: everywhere, cause: String::new() };
    draft.finish_host(Err(missing), |_| true).expect("the start looks again");
    assert!(draft.notes[0].starts_with("server.host: not known yet"), "{:?}", draft.notes);
    assert_eq!(draft.settings.front.host, None);
    let twice = AddressError::Twice { address: everywhere };
    draft.finish_host(Err(twice), |_| true).expect_err("a mistake");
}

#[test]
fn an_answer_leaves_before_clients_give_up_and_after_a_call_may_have_failed() {
    let coordinator = Config::read(&Sources::default()).expect("defaults").settings.coordinator;
    assert!(coordinator.answer_limit < Duration::from_secs(20), "Go's clients");
    assert!(coordinator.answer_limit > coordinator.call_limit);
}

#[test]
fn what_is_unlocked_and_who_may_wait_can_be_set() {
    let file = "server.rollbackRetryTimeoutUnlockEnable = true\nserver.rollback-failed-unlock-enable = true\n\
                server.xaerNotaRetryTimeout = 5000\nserver.maxLockWaiters = 0\n\
                server.maxLockWaitersPerClient = 3\nserver.maxLockWaitingRows = 9";
    let coordinator = read(file, &[], &[]).expect("good").settings.coordinator;
    let limits = coordinator.retry_limits;
    assert!(limits.unlock_rollback && limits.unlock_failed);
    assert_eq!((limits.xaer_nota_wait, coordinator.max_waiters), (Duration::from_secs(5), 0));
    assert_eq!((coordinator.max_waiters_per_client, coordinator.max_waiting_rows), (3, 9));
    let defaults = Config::read(&Sources::default()).expect("defaults").settings.coordinator;
    assert!(!defaults.retry_limits.unlock_rollback && !defaults.retry_limits.unlock_failed);
}

#[test]
fn what_means_nothing_here_is_accepted_and_told_once() {
    let file = "transport.threadFactory.bossThreadSize = 1\ntransport.minServerPoolSize = 5\nstore.db.url = 'x'\n\
                registry.type = 'file'\nservice.vgroupMapping.shop = 'default'\ntransport.protocol = 'seata'\n\
                transport.enableRmClientChannelCheckFailFast = true\nregistry.preferredNetworks = '10.'";
    let notes = read(file, &[("SERVER_NODE", "1")], &[]).expect("accepted").notes;
    let pools = notes.iter().find(|note| note.contains("bossThreadSize")).expect("a note");
    assert!(pools.contains("minServerPoolSize") && pools.contains("no thread pools"), "{pools}");
    for word in
        ["SERVER_NODE", "preferredNetworks: no effect, server.host", "enableRmClientChannelCheckFailFast"]
    {
        assert!(notes.iter().any(|note| note.contains(word)), "{word}: {notes:?}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_a_way_out() {
    for (file, parts) in [
        (
            "\nserver.maxComitRetryTimeout = 1",
            &["seata.toml:2", "did you mean server.maxCommitRetryTimeout?"][..],
        ),
        (
            "server.maxLocks = 'many'",
            &["server.maxLocks", "\"many\"", "seata.toml:1", "a whole number from 1"],
        ),
        ("server.lockWait = '1x'", &["server.lockWait", "a number with ms, s, m, h or d"]),
        ("server.lockWait = '1m'", &["at most 10 s"]),
        ("server.bind = ['127.0.0.1', 'all']", &["\"all\"", "0.0.0.0"]),
        ("store.mode = 'redis'", &["\"redis\"", "journal"]),
        ("store.session.mode = 'db'", &["set store.mode alone"]),
        ("registry.type = 'nacos'", &["registers nowhere", "grouplist"]),
        ("transport.protocol = 'grpc'", &["transport.protocol", "no gRPC", "seata"]),
        (
            "seata.server.enable-check-auth = false\nserver.accessKeys = 'a=b:hush'",
            &["seata.toml:1", "leave one out"],
        ),
        ("logging.level = 'inof'", &["logging.level", "\"inof\"", "seata.toml:1", "info"]),
        ("server.tls.certificate = 'a.pem'", &["server.tls.key", "belong together"]),
        ("console.port = 8091", &["both 8091"]),
        ("server.maxLocks = [1]", &["is a list"]),
        ("server.maxLocks = ", &["seata.toml", "line 1"]),
        ("server.bind = '0.0.0.0'\nserver.host = '127.0.0.1'", &["each client's own machine"]),
        ("seata.security.secretKey = 'hush'", &["********", "at least 32 bytes"]),
    ] {
        let text = refusal(file);
        for part in parts {
            assert!(text.contains(part), "{file}: {text}");
        }
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn who_is_checked_is_said_in_one_way() {
    let checked = |file: &str| value(&read(file, &[], &[]).expect(file), "server.enableCheckAuth");
    assert_eq!(checked(""), "false");
    assert_eq!(checked("server.enableCheckAuth = false"), "false");
    assert_eq!(checked("server.accessKeys = 'a=b:c'"), "true");
    assert_eq!(checked("server.accessKeys = 'a=b:c'\nserver.enableCheckAuth = true"), "true");
}

#[test]
fn two_flags_for_one_key_are_one_too_many() {
    let error = read("", &[], &[("store.mode", "memory"), ("store.mode", "file")]).expect_err("two");
    assert_eq!(error.to_string(), "store.mode is given twice, at --set and at --set: leave one out");
    let config = read("store.mode = 'file'", &[("STORE_MODE", "file")], &[("store.mode", "memory")]);
    assert_eq!(config.expect("good").settings.store.kind, StoreKind::Memory);
}

#[test]
fn secrets_are_never_shown() {
    let file = "console.user.password = 'open-sesame'\nserver.accessKeys = ['shop=key:open-sesame']\n\
                seata.security.secretKey = 'open-sesame-open-sesame-open-sesame'";
    let config = read(file, &[], &[]).expect("good");
    assert_eq!(config.settings.front.access_keys.len(), 1);
    for text in [config.to_text(), config.to_json(), format!("{:?}", config.printed())] {
        assert!(!text.contains("sesame"));
        assert_eq!(text.matches("********").count(), 3);
    }
    let variables = [("CONSOLE_USER_PASSWORD", "open-sesame")];
    let sources = sources(Path::new("x"), &variables, &[("console.user.password", "open-sesame")]);
    for text in [format!("{config:?}"), format!("{sources:?}")] {
        assert!(!text.contains("sesame"), "{text}");
    }
    for file in ["console.user.password = 'open-sesame", "console.user.password = open-sesame"] {
        assert!(!refusal(file).contains("sesame"), "{}", refusal(file));
    }
}

#[test]
fn a_second_reading_changes_what_may_change_and_tells_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("seata.toml");
    fs::write(&path, "server.maxLocks = 5\nserver.servicePort = 1\nconsole.user.password = 'old-one'")
        .expect("written");
    let config = Config::read(&sources(&path, &[], &[])).expect("good");

    fs::write(&path, "server.maxLocks = 6\nserver.servicePort = 2\nconsole.user.password = 'new-one'")
        .expect("written");
    let reloaded = config.reload(&sources(&path, &[], &[])).expect("good");
    assert_eq!(reloaded.applied[0].to_string(), "server.maxLocks from \"5\" to \"6\"");
    let keys: Vec<_> = reloaded.needs_restart.iter().map(|change| change.key).collect();
    assert_eq!(keys, ["server.servicePort", "console.user.password"]);
    assert!(!format!("{:?}", reloaded.needs_restart).contains("-one"));
    assert_eq!(reloaded.config.settings.coordinator.max_locks, 6);
    assert_eq!(reloaded.config.settings.front.port, 1);

    fs::write(&path, "server.applicationDataLimit = 5").expect("written");
    let notes = config.reload(&sources(&path, &[], &[])).expect("good").config.notes;
    assert_eq!(notes.len(), 1, "told once: {notes:?}");

    fs::write(&path, "server.maxLocks = 'x'").expect("written");
    assert!(config.reload(&sources(&path, &[], &[])).is_err());
    fs::write(&path, "").expect("written");
    let reloaded = config.reload(&sources(&path, &[], &[])).expect("good");
    assert_eq!(reloaded.config.settings.coordinator.max_locks, 100_000);
}

/// `UPDATE_PAGES=1` writes them instead.
#[test]
fn the_sample_and_the_manual_say_what_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    check(&root.join("packaging/seata-server.sample.toml"), |_| pages::sample());
    check(&root.join("docs/from-java-server.md"), |page| {
        let page = between(page, "settings", &pages::settings());
        between(&page, "unused", &pages::unused())
    });
}

fn check(path: &Path, expected: impl Fn(&str) -> String) {
    let page = fs::read_to_string(path).unwrap_or_default();
    let expected = expected(&page);
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(path, expected).expect("written");
    } else {
        assert!(
            page == expected,
            "{} is not what the table of keys says: run with UPDATE_PAGES=1",
            path.display()
        );
    }
}

/// The page with `text` between its marks.
fn between(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let start = page.find(&begin).expect("a mark") + begin.len();
    let stop = page.find(&end).expect("a mark at the end");
    format!("{}{text}{}", &page[..start], &page[stop..])
}

#[test]
fn the_sample_is_a_configuration() {
    let written = pages::sample();
    // Each setting that has a value of its own, without its #.
    let settings: String = written
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') && !line.ends_with("= \"\""))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = read(&settings, &[], &[]).expect("the sample is good");
    let default = Config::read(&Sources::default()).expect("defaults");
    let values = |config: &Config| {
        config.printed().into_iter().map(|setting| (setting.key, setting.value)).collect::<Vec<_>>()
    };
    assert_eq!(values(&config), values(&default));
    assert!(settings.lines().count() > 30);
}
