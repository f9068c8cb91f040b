//! A client that starts while no server is there.

use std::time::Duration;

use seata_client::{ConnectError, RemoteCoordinator, RoleState, Services, Settings};
use seata_context::{CoordinationError, ResourceManager as _};
use seata_protocol::Message;
use tokio::time::timeout;

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{
        APPLICATION, GROUP, LONG, Nobody, Notes, begin, connect_with, register_branch, settings, until,
    },
};

/// Long enough for a busy machine, and far shorter than any wait for a server.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn it_is_there_at_once_and_has_its_transactions_when_the_server_comes() {
    let dead = Nobody::new();
    let settings = settings(&[dead.address()]).wait_for_server(LONG).start_without_server();
    let start = async {
        let client =
            RemoteCoordinator::connect(APPLICATION, GROUP, settings).await.expect("no server is needed");
        client.register_resource(Notes::new("jdbc:a")).await.expect("no server is needed");
        client.register_resource(Notes::new("jdbc:b")).await.expect("no server is needed");
        client
    };
    let client = timeout(AT_ONCE, start).await.expect("nothing is waited for");

    let tc = dead.start().await;
    let xid = begin(&client).await.expect("the server has come");
    register_branch(&client, &xid, "jdbc:b").await.expect("the server has come");
    let order: Vec<_> = tc
        .messages()
        .into_iter()
        .filter_map(|message| match message {
            Message::RegisterRm(request) => Some(request.resource_ids.to_string()),
            Message::BranchRegister(request) => Some(format!("branch on {}", request.resource_id)),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["jdbc:a,jdbc:b", "branch on jdbc:b"]);
}

#[tokio::test]
async fn calls_wait_as_long_as_ever_and_name_the_server() {
    let dead = Nobody::new();
    let settings =
        settings(&[dead.address()]).wait_for_server(Duration::from_millis(50)).start_without_server();
    let client = RemoteCoordinator::connect(APPLICATION, GROUP, settings).await.unwrap();
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    let address = dead.address().to_string();
    let xid = format!("{address}:42").parse().unwrap();
    for error in [
        begin(&client).await.map(drop).unwrap_err(),
        register_branch(&client, &xid, "jdbc:a").await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(&address), "{error}");
    }
    client.shutdown(LONG).await.unwrap();
    let late = client.register_resource(Notes::new("jdbc:late")).await;
    assert_eq!(late, Err(CoordinationError::ShuttingDown));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_nevertheless() {
    let settings = Settings::new(Services::new()).start_without_server();
    let refused = RemoteCoordinator::connect(APPLICATION, GROUP, settings).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Settings(_)), "{refused:?}");
}

/// A server that does not know a branch's resource would not find anybody for phase two.
#[tokio::test]
async fn a_branch_waits_until_a_server_knows_its_resource() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match &received.message {
        Some(Message::RegisterRm(request)) if request.resource_ids.contains("jdbc:b") => Reply::Silence,
        _ => Reply::Honest,
    });
    let client = connect_with(&[&tc], |settings| {
        settings.start_without_server = true;
        settings.connect_timeout = Duration::from_millis(300);
        settings.wait_for_server = Duration::from_millis(500);
    })
    .await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    until("the first resource is known", || {
        matches!(client.servers()[0].resource_manager, RoleState::Connected { .. })
    })
    .await;
    client.register_resource(Notes::new("jdbc:b")).await.unwrap();
    let xid = begin(&client).await.unwrap();
    register_branch(&client, &xid, "jdbc:a").await.expect("the server knows this one");
    let error = register_branch(&client, &xid, "jdbc:b").await.unwrap_err();
    assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("a resource is not registered: no answer"), "{error}");

    tc.script(|_| Reply::Honest);
    until("the second resource is known", || tc.connection_of("jdbc:b").is_some()).await;
    register_branch(&client, &xid, "jdbc:b").await.expect("the server knows it now");
}
