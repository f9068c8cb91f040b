//! What a scraper and a supervisor see.

use std::collections::BTreeMap;

use seata_protocol::{BranchStatus, BranchType, Message};
use serde_json::json;

use crate::{
    peer::{Peer, global},
    stop,
};

use super::{
    browser::{Browser, request},
    console, parked,
    prometheus::parse,
};

#[tokio::test]
async fn the_metrics_are_well_formed_and_count_what_happened() {
    let (server, address, browser) = console(|_| {}).await;
    let (mut tm, _rm, _) = parked(address).await;
    let xid = tm.begin().await;
    tm.commit(&xid).await;
    let answer = request(browser.address, "GET", "/metrics", "", "").await;
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("content-length"), "{}", answer.head);
    let samples = parse(&answer.body);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let wanted = |have: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| have.get(*key).is_some_and(|have| have == value))
        };
        let all = samples.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        let found: Vec<f64> = all.iter().filter(|(have, _)| wanted(have)).map(|(_, value)| *value).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0]
    };
    assert_eq!(value("seata_transactions_begun_total", &[]), 2.0);
    assert_eq!(value("seata_transactions_parked_total", &[]), 1.0);
    assert_eq!(value("seata_transactions_parked", &[]), 1.0);
    assert_eq!(value("seata_transactions_open", &[("status", "RollbackFailed")]), 1.0);
    assert_eq!(value("seata_transactions_open", &[("status", "CommitRetrying")]), 0.0, "for an alert");
    assert_eq!(samples["seata_transactions_open"].len(), 15);
    assert_eq!(value("seata_connections_closed_total", &[("reason", "greedy")]), 0.0);
    assert_eq!(value("seata_refused_total", &[("reason", "handshake")]), 0.0);
    let failed = [("applicationId", "BranchRegisterRequest"), ("statistic", "tps")];
    assert_eq!(value("seata_exception", &failed), 0.0);
    assert_eq!(value("seata_locks_held", &[]), 2.0);
    assert_eq!(value("seata_connections", &[("role", "any")]), 2.0);
    assert_eq!(value("seata_request_duration_seconds_count", &[("request", "GlobalBeginRequest")]), 2.0);
    assert_eq!(value("seata_phase_two_call_duration_seconds_count", &[("phase", "rollback")]), 1.0);
    assert_eq!(value("seata_transaction_duration_seconds_count", &[("outcome", "committed")]), 1.0);
    let java = |meter, statistic, status| {
        value(
            "seata_transaction",
            &[("role", "tc"), ("meter", meter), ("statistic", statistic), ("status", status)],
        )
    };
    assert_eq!(java("counter", "", "active"), 0.0, "nothing goes on by itself");
    assert_eq!(java("counter", "", "committed"), 1.0);
    assert_eq!(java("counter", "", "rollbacked"), 1.0);
    assert_eq!(java("summary", "count", "failed"), 1.0);
    assert_eq!(java("timer", "count", "AfterCommitted"), 1.0);
    let (labels, _) = &samples["seata_transaction"][0];
    let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
    assert_eq!(keys, ["applicationId", "group", "meter", "role", "statistic", "status"]);
    for name in [
        "seata_build_info",
        "seata_oldest_parked_age_seconds",
        "seata_lock_waiters",
        "seata_inbox_depth",
        "seata_phase_two_queue_depth",
        "seata_buffered_bytes",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(samples.contains_key(name), "{name}");
    }
    stop(server).await;
}

#[tokio::test]
async fn flushes_of_the_journal_are_timed() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address, browser) = console(|settings| {
        settings.store.kind = seata_server::settings::StoreKind::Journal;
        settings.store.directory = directory.path().to_owned();
    })
    .await;
    let (_tm, _rm, _) = parked(address).await;
    let samples = parse(&request(browser.address, "GET", "/metrics", "", "").await.body);
    assert!(samples["seata_journal_flush_duration_seconds_count"][0].1 >= 2.0, "a branch and a decision");
    assert!(samples["seata_journal_flush_records_sum"][0].1 >= 2.0);
    stop(server).await;
}

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let (server, _, browser) = console(|_| {}).await;
    let health = request(browser.address, "GET", "/health", "", "").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    let ready = request(browser.address, "GET", "/ready", "", "").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    stop(server).await;
    assert!(tokio::net::TcpStream::connect(browser.address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_server_that_drains_lives_and_is_not_ready() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "tcc").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::Tcc, "tcc", "").await;
    // Its answer has to wait for the resource manager, and the end of the server for its answer.
    let commit = tm.send(&Message::GlobalCommit(global(&xid))).await;
    let (header, call) = rm.asked().await;
    let stopped = tokio::spawn(stop(server));
    let ready = loop {
        let ready = request(browser.address, "GET", "/ready", "", "").await;
        if ready.status != 200 {
            break ready;
        }
    };
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: the server is shutting down\n"));
    assert_eq!(request(browser.address, "GET", "/health", "", "").await.status, 200);
    let answer = crate::peer::phase_two_answer(&call, BranchStatus::PhaseTwoCommitted);
    rm.send_as(&header.reply(), &answer).await;
    tm.answer_to(commit).await;
    stopped.await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_told_in_json() {
    let (server, _, browser) = console(|_| {}).await;
    for (method, path, status, allowed) in [
        ("GET", "/", 404, ""),
        ("GET", "/v1/nothing", 404, ""),
        ("POST", "/health", 405, "GET,HEAD"),
        ("DELETE", "/metrics", 405, "GET,HEAD"),
        ("PUT", "/v1/overview", 405, "GET,HEAD"),
        ("GET", "/v1/transactions/a:1:2/retry", 405, "POST"),
    ] {
        let answer = browser.send(method, path, "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"].as_str().unwrap().len() > 10, "{answer:?}");
        let allow = answer.head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default();
        assert_eq!(allow, allowed.to_ascii_lowercase(), "{method} {path}");
    }
    for (method, path, code) in [
        ("GET", "/api/v1/console/nothing", "404"),
        ("GET", "/api/v1/auth/login", "405"),
        ("POST", "/api/v1/console/globalSession/query", "405"),
    ] {
        let answer = browser.send(method, path, "").await;
        let body = answer.json();
        assert_eq!((answer.status.to_string(), &body["code"]), (code.to_owned(), &json!(code)), "{path}");
        assert_eq!((&body["success"], &body["data"]), (&json!(false), &json!(null)), "{path}");
    }
    stop(server).await;
}

#[tokio::test]
async fn active_are_those_that_go_on_by_themselves_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let journal = |settings: &mut seata_server::settings::Settings| {
        settings.store.kind = seata_server::settings::StoreKind::Journal;
        settings.store.directory = directory.path().to_owned();
        settings.front.host = Some("localhost".to_owned());
    };
    let active = async |browser: &Browser| {
        let samples = parse(&request(browser.address, "GET", "/metrics", "", "").await.body);
        let all = samples["seata_transaction"].iter();
        let values: Vec<f64> =
            all.filter(|(labels, _)| labels["status"] == "active").map(|(_, value)| *value).collect();
        assert_eq!(values.len(), 1);
        values[0]
    };
    let (server, address, browser) = console(journal).await;
    let (mut tm, mut rm, stuck) = parked(address).await;
    let open = tm.begin().await;
    rm.branch(&open, BranchType::At, "jdbc:a", "stock:9").await;
    assert_eq!(active(&browser).await, 1.0);
    stop(server).await;

    let (server, _, browser) = console(journal).await;
    assert_eq!(active(&browser).await, 1.0, "the parked one rests");
    // Nobody has its resource: it is tried for ever.
    assert_eq!(browser.act(&stuck, "retry", "").await.status, 200);
    assert_eq!(active(&browser).await, 2.0);
    assert_eq!(browser.act(&stuck, "park", "").await.status, 200);
    assert_eq!(active(&browser).await, 1.0);
    assert_eq!(browser.act(&stuck, "give-up", "repaired by hand").await.status, 200);
    assert_eq!(active(&browser).await, 1.0);
    stop(server).await;
}
