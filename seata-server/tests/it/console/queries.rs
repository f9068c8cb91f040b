//! What is shown, in Java's shape and in ours.

use std::collections::BTreeSet;

use seata_protocol::BranchType;
use serde_json::{Value, json};

use crate::{peer::Peer, stop};

use super::{console, parked};

const SESSIONS: &str = "/api/v1/console/globalSession/query";
const LOCKS: &str = "/api/v1/console/globalLock/query";

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn sessions_and_locks_have_java_s_fields() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let xid = tm.begin().await;
    let branch = rm.branch(&xid, BranchType::At, "jdbc:a", "stock:7").await;
    let id = xid.rsplit_once(':').unwrap().1;

    let page = browser.get(&format!("{SESSIONS}?pageNum=1&pageSize=10&withBranch=true")).await;
    let session = &page["data"][0];
    let created = session["gmtCreate"].as_u64().unwrap();
    let joined = session["gmtModified"].as_u64().unwrap();
    assert!(created > 1_600_000_000_000 && joined >= created);
    let branches = &session["branchSessionVOs"][0];
    assert_eq!(
        page,
        json!({
            "code": "200", "message": "success", "success": true,
            "total": 1, "pages": 1, "pageNum": 1, "pageSize": 10,
            "data": [{
                "xid": xid, "transactionId": id, "status": 1,
                "applicationId": session["applicationId"].as_str().unwrap(),
                "transactionServiceGroup": session["transactionServiceGroup"].as_str().unwrap(),
                "transactionName": session["transactionName"].as_str().unwrap(),
                "timeout": session["timeout"].as_u64().unwrap(),
                "beginTime": created, "applicationData": null, "gmtCreate": created, "gmtModified": joined,
                "branchSessionVOs": [{
                    "xid": xid, "transactionId": id, "branchId": branch.to_string(),
                    "resourceGroupId": null, "resourceId": "jdbc:a", "branchType": "AT", "status": 1,
                    "clientId": branches["clientId"].as_str().unwrap(),
                    "applicationData": branches["applicationData"].as_str().unwrap(),
                    "gmtCreate": joined, "gmtModified": joined,
                }],
            }],
        })
    );

    let page = browser.get(&format!("{LOCKS}?pageNum=1&pageSize=10")).await;
    assert_eq!(
        page,
        json!({
            "code": "200", "message": "success", "success": true,
            "total": 1, "pages": 1, "pageNum": 1, "pageSize": 10,
            "data": [{
                "xid": xid, "transactionId": id, "branchId": branch.to_string(), "resourceId": "jdbc:a",
                "tableName": "stock", "pk": "7", "rowKey": "jdbc:a^^^stock^^^7",
                "gmtCreate": joined, "gmtModified": joined,
            }],
        })
    );
    let exists = |branch: &str| format!("/api/v1/console/globalLock/check?xid={xid}&branchId={branch}");
    assert_eq!(browser.get(&exists(&branch.to_string())).await["data"], json!(true));
    assert_eq!(browser.get(&exists("1")).await["data"], json!(false));
    stop(server).await;
}

#[tokio::test]
async fn sessions_are_filtered_and_paged() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut xids = Vec::new();
    for _ in 0..7 {
        xids.push(tm.begin().await);
    }
    let query = async |filter: &str| {
        let page = browser.get(&format!("{SESSIONS}?{filter}")).await;
        let found: Vec<String> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["xid"].as_str().unwrap().to_owned())
            .collect();
        (page["total"].as_u64().unwrap(), page["pages"].as_u64().unwrap(), found)
    };
    assert_eq!(query("pageNum=1&pageSize=3").await, (7, 3, xids[..3].to_vec()));
    assert_eq!(query("pageNum=3&pageSize=3").await, (7, 3, xids[6..].to_vec()));
    assert_eq!(query("pageNum=4&pageSize=3").await, (7, 3, vec![]));
    assert_eq!(query("pageNum=2&pageSize=3&status=1").await, (7, 3, xids[3..6].to_vec()));
    assert_eq!(query("status=2").await, (0, 0, vec![]));
    assert_eq!(query(&format!("xid={}", xids[4])).await, (1, 1, vec![xids[4].clone()]));
    assert_eq!(query("xid=nonsense").await, (0, 0, vec![]));
    assert_eq!(query("applicationId=nobody&transactionName=").await, (0, 0, vec![]));
    let all = browser.get(&format!("{SESSIONS}?withBranch=false")).await;
    let first = &all["data"][0];
    let (application, name) =
        (first["applicationId"].as_str().unwrap(), first["transactionName"].as_str().unwrap());
    assert_eq!(query(&format!("applicationId={application}&transactionName={name}")).await.0, 7);

    let times: Vec<u64> =
        all["data"].as_array().unwrap().iter().map(|one| one["beginTime"].as_u64().unwrap()).collect();
    let (begin, end) = (times[0], times[6]);
    assert_eq!(query(&format!("timeStart={begin}&timeEnd={end}")).await.0, 7);
    assert_eq!(query(&format!("timeStart={}", end + 1)).await.0, 0, "nothing began later");
    assert_eq!(query(&format!("timeEnd={}", begin - 1)).await.0, 0, "nothing began earlier");
    for wrong in ["pageNum=0", "pageSize=0", "pageSize=-1", "pageSize=100000", "status=x", "timeStart=x"] {
        let answer = browser.send("GET", &format!("{SESSIONS}?{wrong}"), "").await;
        assert_eq!((answer.status, &answer.json()["success"]), (400, &json!(false)), "{wrong}");
    }
    stop(server).await;
}

#[tokio::test]
async fn locks_are_filtered_and_paged_in_both_apis() {
    let (server, address, browser) = console(|_| {}).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let (first, second) = (tm.begin().await, tm.begin().await);
    let branch = rm.branch(&first, BranchType::At, "jdbc:a", "stock:1,2,3;orders:1").await;
    rm.branch(&second, BranchType::At, "jdbc:a", "stock:4").await;
    let id = first.rsplit_once(':').unwrap().1;
    for (filter, total) in [
        (String::new(), 5),
        (format!("xid={first}"), 4),
        (format!("transactionId={id}&tableName=stock"), 3),
        (format!("branchId={branch}&pk=1"), 2),
        ("tableName=stock&pk=4&resourceId=jdbc:a".to_owned(), 1),
        ("resourceId=jdbc:b".to_owned(), 0),
        ("timeStart=1".to_owned(), 5),
        ("timeEnd=1".to_owned(), 0),
    ] {
        let page = browser.get(&format!("{LOCKS}?pageSize=2&pageNum=1&{filter}")).await;
        assert_eq!(page["total"], json!(total), "{filter}");
        assert_eq!(page["data"].as_array().unwrap().len(), total.min(2), "{filter}");
    }

    let (mut seen, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = browser.get(&format!("/v1/locks?limit=2&after={after}")).await;
        for lock in page["locks"].as_array().unwrap() {
            assert_eq!(keys(lock), BTreeSet::from(["branch", "holder", "key", "resource", "since", "table"]));
            assert!(seen.insert(format!("{}:{}", lock["table"], lock["key"])), "once");
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(browser.get("/v1/locks?table=orders").await["locks"].as_array().unwrap().len(), 1);

    let who = browser.get("/v1/locks/who?resource=jdbc:a&table=stock&key=2").await;
    assert_eq!((&who["holder"]["xid"], &who["branch"]), (&json!(first), &json!(branch.to_string())));
    assert_eq!(who["waiters"], json!([]));
    let free = browser.get("/v1/locks/who?resource=jdbc:a&table=stock&key=99").await;
    assert_eq!((&free["holder"], &free["branch"]), (&json!(null), &json!(null)));
    for wrong in [
        "/v1/locks?limit=0",
        "/v1/locks?after=x",
        "/v1/locks/who?table=a",
        "/v1/locks?xid=x",
        "/v1/locks?tabel=a",
        "/v1/clients?limit=x",
        "/v1/clients?after=x",
    ] {
        let answer = browser.send("GET", wrong, "").await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.json()["error"].as_str().unwrap().len() > 10);
    }
    stop(server).await;
}

#[tokio::test]
async fn transactions_are_shown_while_open_parked_and_ended() {
    let (server, address, browser) = console(|_| {}).await;
    let (mut tm, _rm, stuck) = parked(address).await;
    let (open, ended) = (tm.begin().await, tm.begin().await);
    tm.commit(&ended).await;
    let list = async |query: &str| {
        let page = browser.get(&format!("/v1/transactions?{query}")).await;
        let xids = page["transactions"].as_array().unwrap().iter();
        xids.map(|one| one["xid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, [stuck.clone(), open.clone()]);
    assert_eq!(list("state=parked").await, std::slice::from_ref(&stuck));
    assert_eq!(list("status=RollbackFailed").await, std::slice::from_ref(&stuck));
    assert_eq!(list("state=parked&status=CommitFailed").await, Vec::<String>::new());
    assert_eq!(list("state=parked&status=Begin").await, Vec::<String>::new());
    assert_eq!(list("state=all&status=RollbackFailed").await, std::slice::from_ref(&stuck));
    let failed = browser.get(&format!("{SESSIONS}?status=12")).await;
    assert_eq!((&failed["total"], &failed["data"][0]["xid"]), (&json!(1), &json!(stuck)));
    assert_eq!(list("state=ended").await, std::slice::from_ref(&ended));
    assert_eq!(list("state=all").await, [stuck.clone(), open.clone(), ended.clone()]);
    assert_eq!(list("status=begin").await, std::slice::from_ref(&open));
    assert_eq!(list("state=all&status=Committed").await, std::slice::from_ref(&ended));
    assert_eq!(list(&format!("xid={open}")).await, std::slice::from_ref(&open));
    assert_eq!(list(&format!("state=ended&xid={open}")).await, Vec::<String>::new());
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = browser.get(&format!("/v1/transactions?state=all&limit=1&after={after}")).await;
        all.extend(
            page["transactions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["xid"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(all, [stuck.clone(), open.clone(), ended.clone()]);

    let one = browser.get(&format!("/v1/transactions/{stuck}")).await;
    assert_eq!(
        keys(&one),
        BTreeSet::from([
            "xid",
            "id",
            "status",
            "application",
            "group",
            "name",
            "begun_at",
            "timeout_ms",
            "age_ms",
            "parked",
            "reason",
            "failures",
            "waits_for",
            "ended_at",
            "given_up",
            "locks",
            "branch_count",
            "branches",
            "next_branch",
        ])
    );
    assert_eq!(
        (&one["status"], &one["parked"], &one["locks"]),
        (&json!("RollbackFailed"), &json!(true), &json!(2))
    );
    assert!(one["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    let branch = &one["branches"][0];
    assert_eq!(
        keys(branch),
        BTreeSet::from([
            "id",
            "type",
            "resource",
            "status",
            "client",
            "registered_at",
            "locks",
            "lock_count",
            "application_data",
            "application_data_length",
        ])
    );
    assert_eq!((&branch["locks"], &branch["type"]), (&json!(["stock:1", "stock:2"]), &json!("AT")));
    let one = browser.get(&format!("/v1/transactions/{}", ended.replace(':', "%3A"))).await;
    assert_eq!((&one["status"], &one["parked"]), (&json!("Committed"), &json!(false)));
    assert!(one["ended_at"].as_u64() >= one["begun_at"].as_u64());
    for (path, status) in [
        ("/v1/transactions/127.0.0.1:1:99", 404),
        ("/v1/transactions/nonsense", 400),
        ("/v1/transactions?state=odd", 400),
        ("/v1/transactions?status=Odd", 400),
        ("/v1/transactions?after=odd", 400),
        ("/v1/transactions?limit=1001", 400),
        ("/v1/transactions?stat=parked", 400),
        ("/v1/transactions?limit=1&limit=2", 400),
        ("/v1/nothing", 404),
    ] {
        let answer = browser.send("GET", path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.json()["error"].as_str().unwrap().len() > 10, "{path}");
    }
    stop(server).await;
}

#[tokio::test]
async fn the_overview_and_the_clients_are_counted() {
    let (server, address, browser) = console(|_| {}).await;
    let (mut tm, _rm, _) = parked(address).await;
    let xid = tm.begin().await;
    tm.commit(&xid).await;
    tm.begin().await;
    let overview = browser.get("/v1/overview").await;
    let expected = json!({
        "open": 2, "parked": 1, "locks": 2, "waiting": 0, "by_status": { "Begin": 1, "RollbackFailed": 1 },
        "connections": 2, "tm": 1, "rm": 1, "resources": 1, "begun": 3, "committed": 1, "rolled_back": 0,
        "failed": 0, "store": "memory",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&overview[key], value, "{key}");
    }
    assert_eq!(overview["requests"]["GlobalBeginRequest"], json!(3));
    assert_eq!(overview["version"], json!(env!("CARGO_PKG_VERSION")));
    assert!(overview["now"].as_u64() >= overview["started_at"].as_u64());

    let clients = browser.get("/v1/clients").await;
    let clients = clients["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 2);
    for client in clients {
        assert_eq!(
            keys(client),
            BTreeSet::from([
                "application",
                "group",
                "address",
                "version",
                "roles",
                "resources",
                "resource_count",
                "since",
                "in_flight"
            ])
        );
    }
    let rm = clients.iter().find(|client| client["roles"] == json!(["RM"])).expect("the RM");
    assert_eq!((&rm["resources"], &rm["version"]), (&json!(["jdbc:a"]), &json!("2.6.0")));
    stop(server).await;
}
