//! Several servers: which one a call goes to, and what happens when one of them is gone.

use std::{collections::HashSet, time::Duration};

use seata_client::{LoadBalance, RemoteCoordinator};
use seata_context::{CoordinationError, ResourceManager as _, TransactionManager as _};
use seata_protocol::{GlobalBegun, GlobalRequest, Message, Outcome, Xid};
use tokio::time::Instant;

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{
        APPLICATION, GROUP, Nobody, Notes, begin, connect_to_all, is, register_branch, registered_resources,
        settings,
    },
};

fn count(tc: &ScriptedTc, name: &str) -> usize {
    tc.messages().iter().filter(|message| message.name() == name).count()
}

/// The transactions that a server was asked to commit.
fn commits(tc: &ScriptedTc) -> HashSet<String> {
    let xid = |message| match message {
        Message::GlobalCommit(GlobalRequest { xid, .. }) => Some(xid.to_string()),
        _ => None,
    };
    tc.messages().into_iter().filter_map(xid).collect()
}

/// Begins transactions until both servers have some, and returns them.
async fn begin_on_both(client: &RemoteCoordinator, one: &ScriptedTc, other: &ScriptedTc) -> Vec<Xid> {
    let mut xids = Vec::new();
    while count(one, "GlobalBeginRequest") < 2 || count(other, "GlobalBeginRequest") < 2 {
        xids.push(begin(client).await.unwrap());
    }
    xids
}

#[tokio::test]
async fn a_transaction_stays_with_the_server_that_began_it() {
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let client = connect_to_all(&[&one, &other], |_| {}).await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    for tc in [&one, &other] {
        tc.until("the resource is known to each server", |tc| registered_resources(tc) == ["jdbc:a"]).await;
    }
    for xid in begin_on_both(&client, &one, &other).await {
        register_branch(&client, &xid, "jdbc:a").await.unwrap();
        client.commit(&xid).await.unwrap();
    }
    for tc in [&one, &other] {
        let own = format!("{}:", tc.address());
        let xids = commits(tc);
        assert!(!xids.is_empty() && xids.iter().all(|xid| xid.starts_with(&own)), "{own}: {xids:?}");
        assert_eq!(count(tc, "BranchRegisterRequest"), count(tc, "GlobalBeginRequest"));
    }
}

#[tokio::test]
async fn a_server_that_names_itself_otherwise_is_found_by_what_it_began() {
    // Both say that they are at port 8091 of an address that is in no list, as servers in containers do.
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    for (tc, alias) in [(&one, "172.17.0.2:8091"), (&other, "172.17.0.3:8091")] {
        let number = std::sync::atomic::AtomicI64::new(1);
        tc.script(move |received| match received.message {
            Some(Message::GlobalBegin(_)) => {
                let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Reply::Message(Message::GlobalBeginResponse(GlobalBegun {
                    outcome: Outcome::success(),
                    xid: format!("{alias}:{number}").into(),
                    extra_data: "".into(),
                }))
            }
            _ => Reply::Honest,
        });
    }
    let client = connect_to_all(&[&one, &other], |_| {}).await;
    for xid in begin_on_both(&client, &one, &other).await {
        client.commit(&xid).await.unwrap();
    }
    assert!(commits(&one).iter().all(|xid| xid.starts_with("172.17.0.2:")), "{:?}", commits(&one));
    assert!(commits(&other).iter().all(|xid| xid.starts_with("172.17.0.3:")), "{:?}", commits(&other));
    assert!(!commits(&one).is_empty() && !commits(&other).is_empty());
}

#[tokio::test]
async fn an_address_in_no_list_is_found_by_a_port_that_only_one_server_has() {
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let client = connect_to_all(&[&one, &other], |_| {}).await;
    // Begun elsewhere, on a server that takes itself for 192.0.2.1.
    let xid: Xid = format!("192.0.2.1:{}:42", other.address().port()).parse().unwrap();
    for _ in 0..10 {
        client.status(&xid).await.unwrap();
    }
    assert_eq!((count(&one, "GlobalStatusRequest"), count(&other, "GlobalStatusRequest")), (0, 10));
}

#[tokio::test]
async fn a_transaction_of_nobody_known_goes_to_any_server() {
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let client = connect_to_all(&[&one, &other], |_| {}).await;
    client.status(&"192.0.2.1:1:42".parse().unwrap()).await.unwrap();
    assert_eq!(count(&one, "GlobalStatusRequest") + count(&other, "GlobalStatusRequest"), 1);
}

#[tokio::test]
async fn with_one_server_every_transaction_is_its_own() {
    let tc = ScriptedTc::start().await;
    let client = connect_to_all(&[&tc], |_| {}).await;
    client.commit(&"192.0.2.1:1:42".parse().unwrap()).await.unwrap();
    assert_eq!(count(&tc, "GlobalCommitRequest"), 1);
}

#[tokio::test]
async fn one_dead_at_start_or_dying_later_does_not_stop_the_work() {
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let dead = Nobody::new();
    let addresses = [dead.address(), one.address(), other.address()];
    let client = RemoteCoordinator::connect(APPLICATION, GROUP, settings(&addresses)).await.unwrap();
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    begin_on_both(&client, &one, &other).await;

    let _dead = Nobody::instead_of(one).await;
    for _ in 0..10 {
        let xid = begin(&client).await.expect("the other server is there");
        register_branch(&client, &xid, "jdbc:a").await.unwrap();
        client.commit(&xid).await.unwrap();
    }
}

#[tokio::test]
async fn what_belongs_to_a_dead_server_waits_for_that_one_and_the_error_names_it() {
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let wait = Duration::from_millis(200);
    let client = connect_to_all(&[&one, &other], |settings| settings.wait_for_server = wait).await;
    let address = one.address();
    let xids = begin_on_both(&client, &one, &other).await;
    let own = format!("{address}:");
    let orphan = xids.iter().find(|xid| xid.as_str().starts_with(&own)).unwrap();
    let _dead = Nobody::instead_of(one).await;
    // A commit that is caught in the middle ends at once, with its own words.
    while !matches!(client.status(orphan).await, Err(error) if error.to_string().contains("is not connected"))
    {
    }

    let began = Instant::now();
    let error = client.commit(orphan).await.unwrap_err();
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}");
    let expected =
        format!("server {address}, which has transaction {orphan}, is not connected after 0.2 s: ");
    assert!(error.to_string().contains(&expected), "{error}");
    assert_eq!(count(&other, "GlobalCommitRequest"), 0, "the other server knows nothing of it");
}

#[tokio::test]
async fn with_a_shared_store_any_live_server_will_do() {
    for load_balance in [
        LoadBalance::Random,
        LoadBalance::RoundRobin,
        LoadBalance::LeastActive,
        LoadBalance::ConsistentHash { virtual_nodes: 10 },
    ] {
        let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
        let client = connect_to_all(&[&one, &other], |settings| settings.load_balance = load_balance).await;
        let mut xids = Vec::new();
        for number in 0..40 {
            // The name decides under consistent hash.
            let request = seata_context::BeginRequest {
                name: format!("purchase {number}"),
                timeout: Duration::from_secs(60),
            };
            xids.push(client.begin(request).await.unwrap());
        }
        let begins = (count(&one, "GlobalBeginRequest"), count(&other, "GlobalBeginRequest"));
        assert!(begins.0 > 0 && begins.1 > 0 && begins.0 + begins.1 == 40, "{load_balance:?}: {begins:?}");
        let _dead = Nobody::instead_of(one).await;
        for xid in xids {
            // One call may be caught by the loss itself.
            while client.commit(&xid).await.is_err() {}
        }
        assert!(count(&other, "GlobalCommitRequest") >= 20, "{load_balance:?}");
    }
}

#[tokio::test]
async fn every_server_may_ask_for_phase_two() {
    let (one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let client = connect_to_all(&[&one, &other], |_| {}).await;
    let resource = Notes::new("jdbc:a");
    client.register_resource(resource.clone()).await.unwrap();
    for (number, tc) in [&one, &other].into_iter().enumerate() {
        tc.wait_for("the resource", is("RegisterRMRequest")).await;
        tc.until("its connection", |tc| tc.connection_of("jdbc:a").is_some()).await;
        let request = crate::support::branch("jdbc:a", number as i64);
        tc.ask(tc.connection_of("jdbc:a").unwrap(), Message::BranchCommit(request)).await;
    }
    assert_eq!(resource.calls(), ["commit 0", "commit 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_go_on_while_servers_come_and_go() {
    let (mut one, other) = (ScriptedTc::start().await, ScriptedTc::start().await);
    let client =
        connect_to_all(&[&one, &other], |settings| settings.load_balance = LoadBalance::Random).await;
    let resource = Notes::new("jdbc:a");
    client.register_resource(resource.clone()).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for _ in 0..32 {
        let (client, stop) = (client.clone(), stop.clone());
        callers.spawn(async move {
            let mut committed = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let ended = async {
                    let xid = begin(&client).await?;
                    register_branch(&client, &xid, "jdbc:a").await?;
                    client.commit(&xid).await
                };
                match ended.await {
                    Ok(_) => committed += 1,
                    // Only what was caught in the middle of a loss may fail, and only so.
                    Err(error) => {
                        assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}")
                    }
                }
            }
            committed
        });
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let dead = Nobody::instead_of(one).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        one = dead.start().await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let committed = callers.join_all().await;
    assert!(committed.iter().all(|count| *count > 0), "{committed:?}");
    client.shutdown(crate::support::LONG).await.expect("nothing is left behind");
}
