//! How a connection ends from this side.

use tokio::net::TcpSocket;

use super::*;
use crate::connection::OpenError;

#[tokio::test]
async fn close_waits_for_calls_in_flight_and_refuses_new_ones() {
    let tc = ScriptedTc::start().await;
    tc.script(|received| Reply::After(SHORT * 2, Box::new(echo(received))));
    let (connection, _incoming) = open(&tc).await;
    let call = spawn_call(&connection, "in flight");
    tc.wait_for("the call", |_| true).await;
    let closing = tokio::spawn({
        let connection = connection.clone();
        async move { connection.close(LONG).await }
    });
    within(async {
        while connection.is_open() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let error = xid_of(&connection, "new").await.unwrap_err();
    assert_eq!(error.to_string(), "GlobalBeginRequest was not sent, the connection is being closed");
    assert_eq!(within(call).await.unwrap().unwrap(), "in flight");
    within(closing).await.unwrap();
    assert!(matches!(&*reason_of(&connection).await, CloseReason::Asked));
    tc.until("the socket is closed", |tc| tc.open() == 0).await;
    assert_eq!(tc.messages().len(), 1);
}

#[tokio::test]
async fn close_writes_what_waits() {
    let tc = ScriptedTc::start().await;
    let (connection, _incoming) = open(&tc).await;
    for id in 0..100 {
        let request = Header::new(Kind::Request, id);
        connection.answer(&request, begun("answered")).await.unwrap();
    }
    within(connection.close(LONG)).await;
    tc.until("the socket is closed", |tc| tc.open() == 0).await;
    assert_eq!(tc.messages().len(), 100);
}

#[tokio::test]
async fn close_ends_with_its_limit() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::Silence);
    let (connection, _incoming) = open(&tc).await;
    let call = spawn_call(&connection, "unanswered");
    tc.wait_for("the call", |_| true).await;
    within(connection.close(SHORT)).await;
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "GlobalBeginRequest has no answer, the connection ended: it was closed by this side"
    );
}

#[tokio::test]
async fn the_last_handle_takes_the_connection_with_it() {
    let tc = ScriptedTc::start().await;
    let (connection, mut incoming) = open(&tc).await;
    let other = connection.clone();
    drop(connection);
    assert!(xid_of(&other, "a").await.is_ok());
    drop(other);
    assert!(within(incoming.next()).await.is_none());
    tc.until("the socket is closed", |tc| tc.open() == 0).await;
}

#[test]
fn a_runtime_that_is_gone_is_a_named_reason() {
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outer = build();
    let tc = outer.block_on(ScriptedTc::start());
    let inner = build();
    let (connection, _incoming) = std::thread::scope(|scope| {
        // The server's runtime has to run while the other one connects.
        let opening = scope.spawn(|| inner.block_on(open(&tc)));
        outer.block_on(tc.until("it is accepted", |tc| tc.accepted() == 1));
        opening.join().unwrap()
    });
    drop(inner);
    let error = outer.block_on(xid_of(&connection, "a")).unwrap_err();
    assert!(error.to_string().ends_with("its task was stopped"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let settings = Settings::new(Services::servers([address.as_str()]));
    let error = Connection::open(&address.parse().unwrap(), &settings).await.err().unwrap();
    assert!(matches!(&error, OpenError::Connect { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}")), "{error}");
}

#[tokio::test]
async fn a_host_that_is_unknown_is_named() {
    let settings = Settings::new(Services::servers(["tc.invalid:8091"]));
    let error = Connection::open(&"tc.invalid:8091".parse().unwrap(), &settings).await.err().unwrap();
    assert!(error.to_string().starts_with("the host of tc.invalid:8091 cannot be looked up"), "{error}");
}

/// A full queue of connections drops the next one's packets, as a firewall does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_does_not_react_is_named() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = Settings::new(Services::servers([address.to_string()]));
    settings.connect_timeout = SHORT;
    let mut opened = Vec::new();
    let error = loop {
        match Connection::open(&address.to_string().parse().unwrap(), &settings).await {
            Ok(connection) => opened.push(connection),
            Err(error) => break error,
        }
        assert!(opened.len() < 100);
    };
    assert_eq!(error.to_string(), format!("no connection to {address} within 100ms"));
}
