//! Answers stay small, whatever there is to tell.

use std::collections::BTreeSet;

use seata_protocol::{BranchRegister, BranchType, GlobalBegin, Message};
use serde_json::{Value, json};

use crate::{peer::Peer, stop};

use super::{browser::Browser, console};

/// Every entry of a list, page after page, and how many pages there were. No page is empty or too large.
async fn all(browser: &Browser, path: &str, name: &str) -> (Vec<Value>, usize) {
    let (mut entries, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let answer = browser.send("GET", &format!("{path}&after={after}"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.len() < 1_100_000, "{} bytes", answer.body.len());
        let page = answer.json();
        let found = page[name].as_array().expect("a list");
        assert!(!found.is_empty() || pages == 0);
        entries.extend(found.iter().cloned());
        pages += 1;
        let next = if page["next"].is_null() { &page["next_branch"] } else { &page["next"] };
        match next.as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return (entries, pages),
        }
    }
}

#[tokio::test]
async fn a_list_of_long_texts_has_more_pages() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let name = "n".repeat(1_024);
    for _ in 0..900 {
        tm.send(&Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: name.as_str().into() })).await;
    }
    tm.begin().await;
    while browser.get("/v1/overview").await["open"] != json!(901) {}
    let (listed, pages) = all(&browser, "/v1/transactions?limit=1000", "transactions").await;
    assert_eq!((listed.len(), pages), (901, 2));
    let xids: BTreeSet<&str> = listed.iter().map(|one| one["xid"].as_str().unwrap()).collect();
    assert_eq!(xids.len(), 901, "each once");
    stop(server).await;
}

#[tokio::test]
async fn a_list_counts_branches_and_one_transaction_shows_them_page_by_page() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = tm.begin().await;
    let mut branches = Vec::new();
    for number in 0..5 {
        let long = Message::BranchRegister(BranchRegister {
            xid: xid.as_str().into(),
            branch_type: BranchType::At,
            resource_id: "jdbc:a".into(),
            lock_key: format!("stock:{number},{}", "k".repeat(1_000)).into(),
            application_data: "é".repeat(100_000).into(),
        });
        let Message::BranchRegisterResponse(answer) = rm.ask(long).await else { panic!("no answer to it") };
        branches.push(answer.branch_id.to_string());
    }
    let listed = &browser.get("/v1/transactions").await["transactions"][0];
    assert_eq!((&listed["branch_count"], &listed["branches"]), (&json!(5), &json!(null)));
    let path = format!("/v1/transactions/{xid}");
    let (found, pages) = all(&browser, &format!("{path}?limit=2"), "branches").await;
    assert_eq!(pages, 3);
    let ids: Vec<&str> = found.iter().map(|branch| branch["id"].as_str().unwrap()).collect();
    assert_eq!(ids, branches);
    let first = &found[0];
    assert_eq!(first["application_data_length"], json!(200_000));
    assert_eq!(
        first["application_data"].as_str().unwrap().chars().count(),
        1_001,
        "and a sign that it is cut"
    );
    assert_eq!(first["lock_count"], json!(2));
    assert!(first["locks"][1].as_str().unwrap().len() < 300);
    assert_eq!(browser.get(&path).await["branches"].as_array().unwrap().len(), 5, "all that fit");
    for wrong in ["limit=0", "after=x", "limt=1"] {
        assert_eq!(browser.send("GET", &format!("{path}?{wrong}"), "").await.status, 400, "{wrong}");
    }
    let java = "/api/v1/console/globalSession/query?withBranch=true";
    let page = browser.get(java).await;
    let shown = page["data"][0]["branchSessionVOs"].as_array().unwrap();
    assert_eq!(shown.len(), 5);
    assert!(shown[0]["applicationData"].as_str().unwrap().len() < 2_010, "as long as Java's column");
    stop(server).await;
}

#[tokio::test]
async fn a_transaction_of_very_many_branches_is_shown_in_parts() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = tm.begin().await;
    let data = "d".repeat(2_000);
    for number in 0..700 {
        rm.send(&Message::BranchRegister(BranchRegister {
            xid: xid.as_str().into(),
            branch_type: BranchType::At,
            resource_id: "jdbc:a".into(),
            lock_key: format!("stock:{number}").into(),
            application_data: data.as_str().into(),
        }))
        .await;
    }
    while browser.get("/v1/overview").await["locks"] != json!(700) {}
    let (found, pages) = all(&browser, &format!("/v1/transactions/{xid}?limit=1000"), "branches").await;
    assert_eq!((found.len(), pages), (700, 2));
    stop(server).await;
}

#[tokio::test]
async fn clients_are_listed_page_by_page() {
    let (server, address, browser) = console(|_| {}).await;
    let mut peers = Vec::new();
    for number in 0..5 {
        peers.push(Peer::rm(address, "2.6.0", &format!("jdbc:{number}")).await);
    }
    let _nobody = Peer::connect(address).await;
    let (clients, pages) = all(&browser, "/v1/clients?limit=2", "clients").await;
    assert_eq!(pages, 3);
    let resources: Vec<&Value> = clients.iter().map(|client| &client["resources"][0]).collect();
    assert_eq!(resources, ["jdbc:0", "jdbc:1", "jdbc:2", "jdbc:3", "jdbc:4"], "the longest connected first");
    let many: Vec<String> = (0..150).map(|number| format!("more:{number}")).collect();
    peers[0].register_rm("2.6.0", "app", &many.join(",")).await;
    let first = &browser.get("/v1/clients?limit=1").await["clients"][0];
    assert_eq!(first["resource_count"], json!(151));
    assert_eq!(first["resources"].as_array().unwrap().len(), 100);
    stop(server).await;
}

#[tokio::test]
async fn who_waits_for_a_row_is_found_among_all_who_wait() {
    let (server, address, browser) = console(|settings| {
        settings.front.lock_wait = std::time::Duration::from_secs(5);
    })
    .await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let holder = tm.begin().await;
    rm.branch(&holder, BranchType::At, "jdbc:a", "stock:1,2,3").await;
    let mut waiters = Vec::new();
    for rows in ["stock:1", "stock:2", "stock:1,2", "stock:3"] {
        let waiter = tm.begin().await;
        rm.send(&crate::peer::branch(&waiter, BranchType::At, "jdbc:a", rows)).await;
        while browser.get("/v1/overview").await["waiting"] != json!(waiters.len() + 1) {}
        waiters.push(waiter);
    }
    for (key, expected) in [("1", vec![0, 2]), ("2", vec![1, 2]), ("3", vec![3]), ("4", vec![])] {
        let who = browser.get(&format!("/v1/locks/who?resource=jdbc:a&table=stock&key={key}")).await;
        let found: Vec<&str> =
            who["waiters"].as_array().unwrap().iter().map(|one| one["xid"].as_str().unwrap()).collect();
        let expected: Vec<&str> = expected.into_iter().map(|at: usize| waiters[at].as_str()).collect();
        assert_eq!(found, expected, "{key}");
    }
    stop(server).await;
}
