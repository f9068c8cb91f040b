//! The link that broke is named, whatever answers.

use std::{net::TcpListener, time::Duration};

use seata_client::{Credentials, Link, LinkStatus, LoadBalance, Report, Services, Settings, Step, check};
use seata_protocol::{
    GlobalBegun, GlobalResponse, GlobalStatus, Message, Outcome, Registered, Text, TransactionExceptionCode,
};

use crate::scripted::{Received, Reply, ScriptedTc};

/// Long enough for a slow machine where an answer comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Short, where the test waits for its end.
const SHORT: Duration = Duration::from_millis(200);

fn settings(addresses: &[String], limit: Duration) -> Settings {
    let mut settings = Settings::new(Services::servers(addresses));
    settings.connect_timeout = limit;
    settings.transaction_request_timeout = limit;
    settings
}

async fn check_within(address: impl ToString, limit: Duration) -> Report {
    check("order", "default_tx_group", &settings(&[address.to_string()], limit)).await
}

async fn check_tc(tc: &ScriptedTc) -> Report {
    check_within(tc.address(), PATIENCE).await
}

/// The link that broke at the only server; those before it held, those after it were not tried.
fn broken(report: &Report, step: Step) -> &Link {
    let failure = report.first_failure().unwrap_or_else(|| panic!("nothing broke:\n{report}"));
    assert_eq!(failure.link.step, step, "{report}");
    for link in report.servers.iter().flat_map(|server| &server.links) {
        if link.step < step {
            assert_eq!(link.status, LinkStatus::Ok, "{report}");
        }
    }
    assert!(!report.is_ok() && !report.is_usable(), "{report}");
    assert!(!failure.link.advice.is_empty(), "{report}");
    failure.link
}

/// Answers one kind of message, and is honest about the rest.
fn answers(to: &'static str, reply: Reply) -> impl Fn(&Received) -> Reply {
    move |received| match &received.message {
        Some(message) if message.name() == to => reply.clone(),
        _ => Reply::Honest,
    }
}

fn begun(outcome: Outcome, xid: &str) -> Reply {
    let begun = GlobalBegun { outcome, xid: xid.into(), extra_data: Text::new() };
    Reply::Message(Message::GlobalBeginResponse(begun))
}

fn refused_registration() -> Registered {
    Registered {
        identified: false,
        version: "2.0.0".into(),
        outcome: Outcome::success(),
        extra_data: Text::new(),
    }
}

#[tokio::test]
async fn an_honest_server_holds_at_every_link() {
    let tc = ScriptedTc::start().await;
    let report = check_tc(&tc).await;
    assert!(report.is_ok() && report.is_usable(), "{report}");
    assert_eq!(report.warnings().count(), 0, "{report}");
    assert!(report.servers[0].version.is_some(), "{report}");
    assert!(report.to_string().ends_with("every link holds"), "{report}");

    let names: Vec<_> = tc.messages().iter().map(Message::name).collect();
    assert_eq!(
        names,
        ["RegisterTMRequest", "RegisterRMRequest", "GlobalBeginRequest", "GlobalRollbackRequest"]
    );
    let received = tc.received();
    let connection = |name| {
        let is_it =
            |received: &&Received| received.message.as_ref().is_some_and(|message| message.name() == name);
        received.iter().find(is_it).expect(name).connection
    };
    assert_ne!(
        connection("RegisterTMRequest"),
        connection("RegisterRMRequest"),
        "two roles, two connections"
    );
}

#[tokio::test]
async fn an_answer_in_pieces_is_an_answer() {
    let tc = ScriptedTc::start().await;
    tc.one_byte_at_a_time();
    let report = check_tc(&tc).await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let report = check_within(address, PATIENCE).await;
    let link = broken(&report, Step::Tcp);
    assert_eq!(link.found, format!("{address} refused the connection"));
    assert!(link.advice.contains("start the server"), "{report}");
    assert!(report.servers[0].links.iter().any(|link| link.status == LinkStatus::Skipped), "{report}");
}

#[tokio::test]
async fn a_host_name_that_does_not_resolve() {
    let report = check_within("no-such-host.invalid:8091", PATIENCE).await;
    let link = broken(&report, Step::Address);
    assert!(link.found.starts_with("the host name \"no-such-host.invalid\" does not resolve: "), "{report}");
}

/// A full queue of connections that nobody accepts: the system then drops what comes.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn packets_that_are_dropped() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(address)).await {
        queue.push(stream);
    }
    let report = check_within(address, SHORT).await;
    let link = broken(&report, Step::Tcp);
    assert_eq!(link.found, format!("{address} did not answer within 200ms"));
    assert!(link.advice.starts_with("packets get lost"), "{report}");
}

#[tokio::test]
async fn a_listener_that_nobody_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let report = check_within(listener.local_addr().expect("its address"), SHORT).await;
    assert_eq!(broken(&report, Step::Handshake).found, "nothing was answered to a ping within 200ms");
}

#[tokio::test]
async fn a_server_that_closes_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let closing = async {
        loop {
            drop(listener.accept().await);
        }
    };
    let report = tokio::select! {
        report = check_within(address, PATIENCE) => report,
        () = closing => unreachable!("it goes on for ever"),
    };
    let link = broken(&report, Step::Handshake);
    assert!(link.found.starts_with("the connection ") && link.found.contains("a ping"), "{report}");
    assert!(link.advice.contains("a proxy without a server behind it"), "{report}");
}

#[tokio::test]
async fn a_server_that_closes_on_a_frame() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Close);
    let report = check_tc(&tc).await;
    assert_eq!(broken(&report, Step::Handshake).found, "the connection was closed on receiving a ping");
}

#[tokio::test]
async fn another_protocol_is_called_by_its_name() {
    for (bytes, name) in [
        (&b"HTTP/1.1 400 \r\nConnection: close\r\n\r\n"[..], "answers HTTP, not Seata (\"HTTP/1.1 400 \")"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "answers TLS, not Seata"),
        (b"hello\n", "answers \"hello\\n\", where a Seata frame begins with \"\\xda\\xda\""),
        (b"\x00", "answers \"\\x00\", where a Seata frame begins with \"\\xda\\xda\""),
        (b"\xda\xda\x07", "the answer to a ping is no frame: a frame has protocol version 7"),
        (
            b"\xda\xda\x01\xff\xff\xff\xff\x00\x10\x04\x01\x00\x00\x00\x00\x00",
            "the answer to a ping is no frame: ",
        ),
        (b"\xda", "the connection was closed 1 bytes into the answer to a ping"),
    ] {
        let tc = ScriptedTc::start().await;
        tc.script(move |_| Reply::All(vec![Reply::Bytes(bytes.to_vec()), Reply::Close]));
        let report = check_tc(&tc).await;
        let found = &broken(&report, Step::Handshake).found;
        assert!(found.starts_with(name), "{report}");
    }
}

#[tokio::test]
async fn a_server_that_greets_first_is_not_seata() {
    let tc = ScriptedTc::start().await;
    tc.greet(Reply::Bytes(b"\x5b\x00\x00\x00\x0a8.0.36\x00".to_vec()));
    tc.script(|_| Reply::Silence);
    let report = check_tc(&tc).await;
    let found = &broken(&report, Step::Handshake).found;
    assert_eq!(found, "answers as a MySQL or MariaDB server, not Seata (\"8.0.36\")");
}

#[tokio::test]
async fn a_server_that_says_no() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| match received.message {
        Some(Message::RegisterTm(_)) => Reply::Message(Message::RegisterTmResponse(refused_registration())),
        Some(Message::RegisterRm(_)) => Reply::Message(Message::RegisterRmResponse(refused_registration())),
        _ => Reply::Honest,
    });
    let report = check_tc(&tc).await;
    let link = broken(&report, Step::TransactionManager);
    assert!(link.found.starts_with("the server did not accept application \"order\""), "{report}");
    assert!(link.advice.contains("set seata.accesskey and seata.secretkey"), "{report}");
    assert_eq!(report.failures().count(), 2, "the resource manager is tried for itself\n{report}");

    let settings =
        settings(&[tc.address().to_string()], PATIENCE).credentials(Credentials::new("key", "secret"));
    let report = check("order", "default_tx_group", &settings).await;
    let advice = &broken(&report, Step::TransactionManager).advice;
    assert!(advice.contains("access key \"key\"") && !advice.contains("\"secret\""), "{report}");
}

#[tokio::test]
async fn a_server_that_takes_one_role_only() {
    let tc = ScriptedTc::start().await;
    let no = Message::RegisterRmResponse(refused_registration());
    tc.script(answers("RegisterRMRequest", Reply::Message(no)));
    let report = check_tc(&tc).await;
    broken(&report, Step::ResourceManager);
    assert_eq!(report.failures().count(), 1, "the transaction is tried all the same\n{report}");
}

#[tokio::test]
async fn a_registration_that_is_not_answered() {
    let tc = ScriptedTc::start().await;
    tc.script(answers("RegisterTMRequest", Reply::Silence));
    let report = check_within(tc.address(), SHORT).await;
    let found = &broken(&report, Step::TransactionManager).found;
    assert_eq!(found, "nothing was answered to RegisterTMRequest within 200ms");
}

#[tokio::test]
async fn an_answer_to_another_question() {
    let tc = ScriptedTc::start().await;
    tc.script(answers("RegisterTMRequest", begun(Outcome::success(), "127.0.0.1:8091:42")));
    let report = check_tc(&tc).await;
    let found = &broken(&report, Step::TransactionManager).found;
    assert_eq!(found, "RegisterTMRequest was answered by GlobalBeginResponse");
}

#[tokio::test]
async fn a_begin_that_is_refused() {
    let tc = ScriptedTc::start().await;
    let outcome = Outcome::failed(TransactionExceptionCode::FailedStore, "disk full\nreally");
    tc.script(answers("GlobalBeginRequest", begun(outcome, "")));
    let report = check_tc(&tc).await;
    let link = broken(&report, Step::Transaction);
    assert_eq!(link.found, "the server refused a begin (FailedStore): disk full\\nreally");
    assert!(link.advice.contains("cannot write to its store"), "{report}");
}

#[tokio::test]
async fn a_rollback_that_ends_as_something_else() {
    let tc = ScriptedTc::start().await;
    let status = GlobalStatus::RollbackFailed;
    let failed = Message::GlobalRollbackResponse(GlobalResponse { outcome: Outcome::success(), status });
    tc.script(answers("GlobalRollbackRequest", Reply::Message(failed)));
    let report = check_tc(&tc).await;
    let found = &broken(&report, Step::Transaction).found;
    assert!(found.ends_with("ended as RollbackFailed"), "{report}");
}

#[tokio::test]
async fn a_connection_that_is_lost_after_begin() {
    let tc = ScriptedTc::start().await;
    tc.script(answers("GlobalRollbackRequest", Reply::Close));
    let report = check_tc(&tc).await;
    let found = &broken(&report, Step::Transaction).found;
    assert!(found.contains("was begun, but the connection"), "{report}");
}

#[tokio::test]
async fn a_name_that_is_no_xid() {
    let tc = ScriptedTc::start().await;
    tc.script(answers("GlobalBeginRequest", begun(Outcome::success(), "42")));
    let report = check_tc(&tc).await;
    let found = &broken(&report, Step::Transaction).found;
    assert_eq!(found, "the server calls a transaction \"42\": expected host:port:number");
}

#[tokio::test]
async fn xids_that_name_another_address_matter_where_there_are_several_servers() {
    let tc = ScriptedTc::start().await;
    tc.script(answers("GlobalBeginRequest", begun(Outcome::success(), "10.1.2.3:8091:42")));

    let report = check_tc(&tc).await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.warnings().count(), 0, "{report}");
    assert!(report.to_string().contains("its XIDs name 10.1.2.3:8091, 127.0.0.1:"), "{report}");

    let other = ScriptedTc::start().await;
    let both = settings(&[tc.address().to_string(), other.address().to_string()], PATIENCE);
    let report = check("order", "default_tx_group", &both).await;
    assert!(report.is_ok(), "{report}");
    let warned: Vec<_> = report.warnings().map(|warning| warning.server.map(str::to_owned)).collect();
    assert_eq!(warned, [Some(tc.address().to_string())], "{report}");

    let report = check("order", "default_tx_group", &both.load_balance(LoadBalance::Random)).await;
    assert_eq!(report.warnings().count(), 0, "servers that share a store\n{report}");
}

#[tokio::test]
async fn one_dead_server_of_two() {
    let tc = ScriptedTc::start().await;
    let dead =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let both = settings(&[dead.to_string(), tc.address().to_string()], PATIENCE);
    let report = check("order", "default_tx_group", &both).await;
    assert!(!report.is_ok() && report.is_usable(), "{report}");
    let failure = report.first_failure().expect("one is dead");
    assert_eq!((failure.server, failure.link.step), (Some(dead.to_string().as_str()), Step::Tcp));
    assert!(report.to_string().ends_with("work can go on: at least one server is whole"), "{report}");
}

#[tokio::test]
async fn the_chain_of_names() {
    let services = Services::new()
        .group("orders", "shanghai")
        .group("stock", "beijing")
        .group("pay", "malformed")
        .cluster("shanghia", ["127.0.0.1:8091"])
        .cluster("malformed", ["127.0.0.1"]);
    let settings = Settings::new(services);
    for (application, group, step, found, advice) in [
        ("a", "order", Step::Group, "\"order\" is mapped to no cluster", "is \"orders\" meant?"),
        ("a", "other", Step::Group, "known groups: orders, pay, stock", "add service.vgroupMapping.other"),
        ("a", "orders", Step::Cluster, "\"shanghai\" has no servers", "is \"shanghia\" meant?"),
        ("a", "stock", Step::Cluster, "\"beijing\" has no servers", "add service.beijing.grouplist"),
        ("a", "pay", Step::Address, "the port is missing", "correct it in the list"),
        ("a:b", "orders", Step::Settings, "the application id \"a:b\" cannot be registered", "correct it"),
    ] {
        let report = check(application, group, &settings).await;
        let link = broken(&report, step);
        assert!(link.found.contains(found) && link.advice.contains(advice), "{report}");
        assert!(report.servers.is_empty(), "{report}");
    }
}
