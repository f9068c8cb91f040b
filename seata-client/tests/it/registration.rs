//! How a client introduces itself, and what it does about a "no".

use std::time::Duration;

use seata_client::{ConnectError, Credentials, RemoteCoordinator, RoleState};
use seata_context::{CoordinationError, ResourceManager as _};
use seata_protocol::{Message, Outcome, Registered, TransactionExceptionCode};

use crate::{
    scripted::{Reply, ScriptedTc},
    support::{
        APPLICATION, GROUP, Notes, connect, connect_with, is, is_connected, registered_resources, settings,
        until,
    },
};

fn no() -> Registered {
    let outcome = Outcome::failed(TransactionExceptionCode::Unknown, "");
    Registered { identified: false, version: "2.0.0".into(), outcome, extra_data: "".into() }
}

#[tokio::test]
async fn the_transaction_manager_registers_at_start_and_says_what_java_says() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;

    let [Message::RegisterTm(request)] = &tc.messages()[..] else { panic!("{:?}", tc.messages()) };
    assert_eq!((&*request.version, &*request.application_id), ("2.6.0", APPLICATION));
    assert_eq!(&*request.transaction_service_group, GROUP);
    let lines: Vec<_> = request.extra_data.split_terminator('\n').collect();
    let [ak, digest, timestamp, version, group, ip] = lines[..] else { panic!("{lines:?}") };
    let millis: u64 = timestamp.strip_prefix("timestamp=").unwrap().parse().unwrap();
    assert!(millis > 1_700_000_000_000, "{millis}");
    assert_eq!(ak, "ak=null");
    assert_eq!(digest, format!("digest={GROUP},127.0.0.1,{millis}"));
    assert_eq!((version, group, ip), ("authVersion=V4", "vgroup=default_tx_group", "ip=127.0.0.1"));
    assert!(request.extra_data.ends_with('\n'));

    let [server] = &client.servers()[..] else { panic!("{client:?}") };
    assert_eq!(server.transaction_manager, RoleState::Connected { version: "2.0.0".into(), refused: None });
    assert_eq!(server.resource_manager, RoleState::Unused);
    assert_eq!(tc.accepted(), 1, "without a resource there is nothing to connect for");
}

#[tokio::test]
async fn an_access_key_is_sent_and_its_secret_is_not() {
    let tc = ScriptedTc::start().await;
    let _client = connect_with(&[&tc], |settings| {
        settings.credentials = Some(Credentials::new("the-key", "the-secret"))
    })
    .await;
    let [Message::RegisterTm(request)] = &tc.messages()[..] else { panic!("{:?}", tc.messages()) };
    assert!(request.extra_data.starts_with("ak=the-key\ndigest="), "{}", request.extra_data);
    assert!(
        !request.extra_data.contains("the-secret") && !request.extra_data.contains("digest=default_tx_group")
    );
}

#[tokio::test]
async fn the_resource_manager_connects_with_the_first_resource_and_announces_each_later_one() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    assert_eq!(registered_resources(&tc), ["jdbc:a"]);
    client.register_resource(Notes::new("jdbc:b")).await.unwrap();
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    assert_eq!(registered_resources(&tc), ["jdbc:a", "jdbc:b"], "known resources are not announced again");
    assert_eq!(tc.accepted(), 2);

    let request = tc.wait_for("an RM registration", is("RegisterRMRequest")).await;
    let Some(Message::RegisterRm(request)) = request.message else { unreachable!() };
    assert_eq!(
        (&*request.version, &*request.application_id, &*request.extra_data),
        ("2.6.0", APPLICATION, "")
    );
}

#[tokio::test]
async fn a_resource_id_that_cannot_travel_is_refused_by_name() {
    let tc = ScriptedTc::start().await;
    let client = connect(&[&tc]).await;
    for (id, why) in [("jdbc:a,b", "contains a comma"), ("", "is empty")] {
        let error = client.register_resource(Notes::new(id)).await.unwrap_err();
        assert!(matches!(error, CoordinationError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(why) && error.to_string().contains(&format!("{id:?}")), "{error}");
    }
    assert_eq!(tc.accepted(), 1, "nothing was announced");
}

#[tokio::test]
async fn a_server_that_says_no_is_named_and_asked_again() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match received.message {
        Some(Message::RegisterTm(_)) => Reply::Message(Message::RegisterTmResponse(no())),
        _ => Reply::Honest,
    });
    let impatient = settings(&[tc.address()]).wait_for_server(Duration::from_millis(200));
    let error = RemoteCoordinator::connect(APPLICATION, GROUP, impatient).await.unwrap_err();
    let ConnectError::NoServer { reason, servers } = error else { panic!("{error:?}") };
    for part in [
        "no available service",
        &tc.address().to_string(),
        "(version \"2.0.0\") refused the registration of application \"order\" in group \"default_tx_group\"",
    ] {
        assert!(reason.contains(part), "{reason:?} lacks {part:?}");
    }
    assert!(matches!(servers[0].transaction_manager, RoleState::Disconnected { .. }), "{servers:?}");
    assert!(tc.accepted() > 1, "it was asked once only");

    // With no time to wait there is one attempt.
    let accepted = tc.accepted();
    let at_once = settings(&[tc.address()]).wait_for_server(Duration::ZERO);
    RemoteCoordinator::connect(APPLICATION, GROUP, at_once).await.unwrap_err();
    assert_eq!(tc.accepted(), accepted + 1);

    let client = RemoteCoordinator::start(APPLICATION, GROUP, settings(&[tc.address()])).unwrap();
    tc.until("it was refused", |tc| tc.accepted() > accepted + 2).await;
    tc.script(|_| Reply::Honest);
    until("it is accepted", || is_connected(&client.servers()[0].transaction_manager)).await;
}

#[tokio::test]
async fn a_later_resource_that_is_refused_does_not_disturb_the_earlier_ones() {
    let tc = ScriptedTc::start().await;
    let client = connect_with(&[&tc], |s| s.wait_for_server = Duration::from_millis(200)).await;
    client.register_resource(Notes::new("jdbc:a")).await.unwrap();
    tc.script(|received| match &received.message {
        Some(Message::RegisterRm(request)) if &*request.resource_ids == "jdbc:b" => {
            Reply::Message(Message::RegisterRmResponse(no()))
        }
        _ => Reply::Honest,
    });
    let error = client.register_resource(Notes::new("jdbc:b")).await.unwrap_err();
    assert!(error.to_string().contains("resource jdbc:b is not registered yet"), "{error}");
    assert!(error.to_string().contains("refused the registration"), "{error}");
    assert_eq!(tc.accepted(), 2, "the connection stays");
    assert!(matches!(
        &client.servers()[0].resource_manager,
        RoleState::Connected { refused: Some(error), .. } if error.contains("refused")
    ));

    tc.script(|_| Reply::Honest);
    client.register_resource(Notes::new("jdbc:b")).await.unwrap();
    assert_eq!(tc.accepted(), 2);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_tried() {
    let tc = ScriptedTc::start().await;
    let error = RemoteCoordinator::connect("a:b", GROUP, settings(&[tc.address()])).await.unwrap_err();
    assert!(matches!(error, ConnectError::Settings(_)), "{error:?}");
    assert_eq!(tc.accepted(), 0);
}

#[test]
fn without_a_runtime_the_error_says_so() {
    let error = RemoteCoordinator::start(APPLICATION, GROUP, settings(&["127.0.0.1:1".parse().unwrap()]))
        .unwrap_err();
    assert_eq!(error.to_string(), "no tokio runtime here: start the client inside one");
}
