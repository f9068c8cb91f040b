//! Slow, huge and malformed clients, and HTTPS.

use std::{sync::Arc, time::Duration};

use seata_server::settings::TlsSettings;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::stop;

use super::{
    browser::{read_answer, request, request_over},
    console,
};

#[tokio::test]
async fn a_huge_body_or_head_is_refused() {
    let (server, _, browser) = console(|_| {}).await;
    let body = "x".repeat(1 << 20);
    let answer = request(browser.address, "POST", "/api/v1/auth/login", "", &body).await;
    assert!(answer.status == 413 || answer.status == 0, "{}", answer.head);
    let headers = format!("X-Long: {}\r\n", "x".repeat(1 << 20));
    let answer = request(browser.address, "GET", "/health", &headers, "").await;
    assert!(answer.status == 431 || answer.status == 0, "{}", answer.head);
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET /health SPDY/9\r\n\r\n", "\u{da}\u{da}\u{1}"] {
        let mut stream = TcpStream::connect(browser.address).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_answer(stream).await;
        assert!(answer.status == 400 || answer.status == 0, "{nonsense:?}: {answer:?}");
    }
    assert_eq!(request(browser.address, "GET", "/health", "", "").await.status, 200);
    stop(server).await;
}

#[tokio::test]
async fn a_slow_client_costs_its_connection_and_no_more() {
    let (server, _, browser) = console(|_| {}).await;
    let mut slow = TcpStream::connect(browser.address).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nX: ").await.unwrap();
    assert_eq!(request(browser.address, "GET", "/health", "", "").await.status, 200);
    let closed = async {
        while slow.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(250)).await;
        }
    };
    timeout(Duration::from_secs(15), closed).await.expect("a head has a limit");
    stop(server).await;
}

#[tokio::test]
async fn there_are_only_so_many_connections_and_idle_ones_do_not_hold_up_the_end() {
    let (server, _, browser) = console(|_| {}).await;
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(TcpStream::connect(browser.address).await.unwrap());
    }
    let refused = open.pop().unwrap();
    assert_eq!(read_answer(refused).await.status, 0, "closed without an answer");
    open.truncate(10);
    let answered = async {
        while request(browser.address, "GET", "/health", "", "").await.status != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), answered).await.expect("places are free again");
    timeout(Duration::from_secs(5), stop(server)).await.expect("idle connections are closed");
}

/// The whole of 127.0.0.0/8 is this machine there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let (server, _, browser) = console(|_| {}).await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(TcpStream::connect(browser.address).await.unwrap());
    }
    assert_eq!(request(browser.address, "GET", "/health", "", "").await.status, 0, "it has its share");
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = socket.connect(browser.address).await.unwrap();
    assert_eq!(request_over(other, "GET", "/health", "", "").await.status, 200);
    stop(server).await;
}

#[tokio::test]
async fn https_speaks_tls_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (server, _) = crate::server(|settings| {
        settings.console.port = Some(0);
        settings.console.tls = Some(TlsSettings { certificate, key, client_authorities: None });
    })
    .await;
    let address = server.console_addresses()[0];
    assert_eq!(request(address, "GET", "/health", "", "").await.status, 0, "no plain HTTP");

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let answer = request_over(stream, "GET", "/health", "", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    stop(server).await;
}
